/**
 * A turn of a conversation: the user's message is stored, the assistant works, and its answer is stored. One turn is under way
 * in a conversation; another message waits for it. No connection to the database is held meanwhile: a lease in the
 * conversation's row says that somebody answers.
 */
import type { Caller } from '../auth/caller'
import { refuseDeleted } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { Problem } from '../http/problems'
import type { ChatMessage, ToolCall } from './model'
import * as queries from './queries'
import { abortOf } from './unavailable'

/** In seconds: so long after a process has died, another one may answer. */
const LEASE = 5
/** In milliseconds. */
const EXTEND_AFTER = 1500
const ASK_AGAIN_AFTER = 200

/** How much of a conversation goes along with a new message. */
const MAX_MESSAGES = 40
const MAX_CHARACTERS = 24_000

export interface Turn {
  conversationId: number
  /** What was said so far, the new message last. */
  history: queries.Said[]
  /** Stores what the assistant has said and done; nothing, if it has done neither. Ends the turn. */
  end(answer: { content: string; toolCalls: ToolCall[] } | undefined): Promise<void>
}

/**
 * Stores a message, once nobody else answers in its conversation.
 *
 * @param newSql gives each statement its own deadline, because a turn takes longer than a request may
 * @throws Problem CONVERSATION_NOT_FOUND, or TOKEN_INVALID for a deleted user; ModelUnavailable if the wait is too long, or what the
 *   signal was aborted with
 */
export async function beginTurn(
  newSql: () => Sql,
  caller: Caller,
  { conversation_id: id, message }: ChatMessage,
  signal: AbortSignal,
): Promise<Turn> {
  const lease = crypto.randomUUID()
  const conversationId = id
    ? await goOn(newSql, caller, { id, message, lease }, signal)
    : await beginNew(newSql, caller, message, lease)
  const { id: owner } = caller
  const timer = setInterval(() => {
    // if one fails, the next one follows before the lease has ended
    queries.extendLease(newSql(), owner, conversationId, lease, LEASE).catch(() => {})
  }, EXTEND_AFTER)
  async function end(answer: Parameters<Turn['end']>[0]): Promise<void> {
    clearInterval(timer)
    if (!answer) return queries.endLease(newSql(), owner, conversationId, lease)
    const { content, toolCalls } = answer
    const calls = toolCalls.length > 0 ? JSON.stringify(toolCalls) : null
    const row = { content: storable(content), toolCalls: calls }
    // of a conversation that was deleted meanwhile nothing is kept
    await queries.addAnswer(newSql(), owner, conversationId, lease, row)
  }
  try {
    const said = await queries.readHistory(newSql(), owner, conversationId, MAX_MESSAGES)
    return { conversationId, history: newest(said), end }
  } catch (error) {
    await end(undefined).catch(() => {})
    throw error
  }
}

async function beginNew(newSql: () => Sql, caller: Caller, message: string, lease: string): Promise<number> {
  const begin = () => queries.beginConversation(newSql(), caller, message, lease, LEASE)
  // a second try, because another first write of the user may come between
  const id = (await begin()) ?? (await begin())
  if (id === undefined) throw refuseToken('revoked')
  return id
}

async function goOn(
  newSql: () => Sql,
  caller: Caller,
  { id, message, lease }: { id: number; message: string; lease: string },
  signal: AbortSignal,
): Promise<number> {
  while (!(await queries.continueConversation(newSql(), caller, id, message, lease, LEASE))) {
    if (!(await queries.hasConversation(newSql(), caller, id))) {
      await refuseDeleted(newSql(), caller)
      throw new Problem('CONVERSATION_NOT_FOUND')
    }
    await Bun.sleep(ASK_AGAIN_AFTER)
    const abort = abortOf(signal)
    if (abort) throw abort
  }
  return id
}

/** @returns the last messages that are not too long together; the first is one of the user */
function newest(said: readonly queries.Said[]): queries.Said[] {
  let left = MAX_CHARACTERS
  const fitting = said.toReversed().findIndex(({ content }) => {
    left -= content.length
    return left < 0
  })
  const kept = fitting === -1 ? said : said.slice(said.length - Math.max(fitting, 1))
  return kept.slice(kept.findIndex(({ role }) => role === 'user'))
}

/** What PostgreSQL can store of a model's words. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '')
}
