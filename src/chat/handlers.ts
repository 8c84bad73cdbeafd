/** The handlers of conversations with the assistant. */
import type { Logger } from 'pino'
import type { ToolRunner } from '../assistants/run'
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { backgroundContext } from '../database/query-context'
import { prefers } from '../http/accept'
import { Count, decodeCursor, encodeCursor } from '../http/cursor'
import { invalid, Problem } from '../http/problems'
import type { PublicPath } from '../http/public-path'
import { nextLink } from '../http/query'
import { contextOf } from '../http/request-context'
import { DEFAULT_LIMIT } from '../http/schemas'
import type { Settings } from '../settings'
import { createAssistant, type Work } from './assistant'
import {
  type ChatAnswer,
  type ChatMessage,
  type Conversation,
  type ConversationsQuery,
  type Message,
  type MessagesQuery,
  STREAM_TYPE,
} from './model'
import * as queries from './queries'
import { Reply } from './reply'
import { createBeginTurn } from './turns'
import { type StreamedPart, uiParts, uiStream } from './ui-stream'
import { ModelUnavailable } from './unavailable'

export interface ChatDeps {
  settings: Pick<Settings, 'assistant' | 'aiTimeoutMs' | 'requestTimeoutMs'>
  runner: ToolRunner
  publicPath: PublicPath
  log: Logger
}

type ChatContext = Pick<SignedIn, 'caller' | 'request' | 'set'> & { body: ChatMessage }

export function createChatHandlers(services: Services, { settings, runner, publicPath, log }: ChatDeps) {
  const { database, rateLimiter, serverState, metrics } = services
  const { assistant, aiTimeoutMs, requestTimeoutMs } = settings
  const work = assistant && createAssistant({ settings: assistant, runner, log, metrics })
  const newSql = (ms = requestTimeoutMs) => database.sqlFor(backgroundContext(ms))
  const beginTurn = createBeginTurn(newSql)

  async function answer(work: Work, { body, caller, request }: ChatContext): Promise<ChatAnswer> {
    const end = performance.now() + aiTimeoutMs
    const left = new AbortController()
    const signal = AbortSignal.any([AbortSignal.timeout(aiTimeoutMs), request.signal, left.signal])
    const begun = beginTurn(caller, body, signal)
    serverState.awaitAtStop(
      begun.then(
        ({ ended }) => ended,
        () => {},
      ),
      () => left.abort(new ModelUnavailable('stopping', undefined, 1)),
    )
    const turn = await begun.catch((error) => {
      throw problemOf(error, body.conversation_id)
    })
    const { conversationId } = turn
    const reply = new Reply()
    const { id: requestId } = contextOf(request)
    const toolSql = () => newSql(Math.min(requestTimeoutMs, Math.max(end - performance.now(), 1)))
    const context = { caller, requestId, toolSql, signal, timeZone: body.time_zone ?? undefined }
    const told = work(turn, { ...context, address: publicPath.whole(request) }, reply)
    try {
      if (prefers(request.headers.get('accept'), STREAM_TYPE)) {
        const parts = uiParts(await waitForFirstPart(told), conversationId)
        // Elysia trap 24 (docs/elysia.md)
        return uiStream(parts, () => left.abort()) as unknown as ChatAnswer
      }
      for await (const _ of told);
    } catch (error) {
      throw problemOf(error, conversationId)
    }
    return { conversation_id: conversationId, response: reply.content, tool_calls: reply.toolCalls }
  }

  const chat = async ({ body, caller, request, set }: ChatContext): Promise<ChatAnswer> => {
    if (!work) throw new Problem('ASSISTANT_OFF')
    await rateLimiter.chat({ request, set }, caller.id)
    // what was done is stored after the deadline
    serverState.limitIdle(request, idleLimit(aiTimeoutMs + requestTimeoutMs))
    try {
      return await answer(work, { body, caller, request, set })
    } catch (error) {
      throw request.signal.aborted ? new Problem('REQUEST_TIMEOUT') : error
    }
  }

  return { chat, listConversations, listMessages, deleteConversation }
}

/** In seconds. Nothing is sent while the model works; Bun takes no more than 255 and 0, which is without an end. */
function idleLimit(timeoutMs: number): number {
  const seconds = Math.ceil(timeoutMs / 1000) + 5
  return seconds > 255 ? 0 : seconds
}

/** @param conversationId where the message is, or was to go */
function problemOf(error: unknown, conversationId: number | null | undefined): unknown {
  if (!(error instanceof ModelUnavailable)) return error
  const { retryAfter } = error
  return new Problem('ASSISTANT_UNAVAILABLE', {
    cause: error,
    ...(conversationId && { conversationId }),
    ...(retryAfter !== undefined && { headers: { 'retry-after': String(retryAfter) } }),
  })
}

/** Waits for the first words or the first tool: what fails before can still be a problem. @throws what fails before */
async function waitForFirstPart(
  told: AsyncGenerator<StreamedPart, void>,
): Promise<AsyncGenerator<StreamedPart, void>> {
  const first: StreamedPart[] = []
  for (;;) {
    const next = await told.next()
    if (next.done) break
    first.push(next.value)
    if (next.value.part.type !== 'round') break
  }
  return resume(first, told)
}

async function* resume(
  first: StreamedPart[],
  rest: AsyncGenerator<StreamedPart, void>,
): AsyncGenerator<StreamedPart, void> {
  yield* first
  yield* rest
}

const FIRST = 0
const LAST = Number.MAX_SAFE_INTEGER

async function listConversations({
  query: { limit = DEFAULT_LIMIT, cursor },
  caller,
  sql,
  path,
  request,
  set,
}: SignedIn & { query: ConversationsQuery }): Promise<Conversation[]> {
  const list = ['conversations', caller.id]
  const after = cursor === undefined ? LAST : idIn(list, cursor)
  const found = await queries.listConversations(sql, caller, { after, limit: limit + 1 })
  if (found.length === 0) await refuseDeleted(sql, caller)
  return pageOf(list, found, limit, { path, request, set })
}

async function listMessages({
  params: { id },
  query: { limit = DEFAULT_LIMIT, cursor, order = 'asc' },
  caller,
  sql,
  path,
  request,
  set,
}: SignedIn & { params: { id: number }; query: MessagesQuery }): Promise<Message[]> {
  const ascending = order === 'asc'
  const list = ['messages', caller.id, id, order]
  const after = cursor === undefined ? (ascending ? FIRST : LAST) : idIn(list, cursor)
  const found = await queries.listMessages(sql, caller, id, { after, limit: limit + 1, ascending })
  // a conversation has a message, so there is none, or the page is behind the last one
  if (found.length === 0) await refuseUnknown(sql, caller, id)
  return pageOf(list, found, limit, { path, request, set })
}

async function deleteConversation({
  params,
  caller,
  sql,
  set,
}: SignedIn & { params: { id: number } }): Promise<void> {
  const isDone = await queries.deleteConversation(sql, caller, params.id)
  if (!isDone) await refuseUnknown(sql, caller, params.id)
  set.status = 204
}

/** @throws Problem CONVERSATION_NOT_FOUND, or TOKEN_INVALID for a deleted user */
async function refuseUnknown(sql: SignedIn['sql'], caller: SignedIn['caller'], id: number): Promise<void> {
  if (await queries.hasConversation(sql, caller, id)) return
  await refuseDeleted(sql, caller)
  throw new Problem('CONVERSATION_NOT_FOUND')
}

/** @throws Problem VALIDATION_ERROR for a broken cursor, or one of another list */
function idIn(list: readonly unknown[], cursor: string): number {
  const id = decodeCursor(Count, list, cursor)
  if (id !== undefined) return id
  throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
}

/** @param found one more than the page takes tells whether there is a next one */
function pageOf<Item extends { id: number }>(
  list: readonly unknown[],
  found: readonly Item[],
  limit: number,
  { path, request, set }: Pick<SignedIn, 'path' | 'request' | 'set'>,
): Item[] {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  if (found.length > limit && last) {
    set.headers['link'] = nextLink(path, request, encodeCursor(list, last.id))
  }
  return page
}
