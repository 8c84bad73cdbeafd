/**
 * A turn of a conversation: the user's message is stored, the assistant works, and its answer is stored. One turn is under way
 * in a conversation; another message waits for it. No connection to the database is held meanwhile: a lease in the
 * conversation's row says that somebody answers.
 */
import type { Caller } from '../auth/caller'
import { refuseDeleted } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import { isUnavailable } from '../database/errors'
import type { Sql } from '../database/sql'
import { Problem } from '../http/problems'
import { codePoints } from '../http/schemas'
import { createQueue } from '../system/queue'
import type { ChatMessage } from './model'
import * as queries from './queries'
import type { StoredReply } from './reply'
import { inTime, throwIfAborted } from './unavailable'

/** In seconds: so long after a process has died, another one may answer. */
const LEASE = 5
/** In milliseconds. */
const EXTEND_AFTER = 1500
const ASK_AGAIN_AFTER = 200
const STORE_DEADLINE = 3000
const STORE_AGAIN_AFTER = 300
/** A failover takes a few seconds. */
const STORE_FOR = 6000

/** How much of a conversation the model is told, the new message included. */
const MAX_MESSAGES = 40
const MAX_CHARACTERS = 24_000
const MAX_EXCHANGES = Math.floor((MAX_MESSAGES - 1) / 2)

/** @param ms how long the statements may take; left out, as long as a request */
export type NewSql = (ms?: number) => Sql

export interface Turn {
  conversationId: number
  /** What was said so far, the new message last. */
  history: { role: 'user' | 'assistant'; content: string }[]
  /** Stores what the assistant has said and done so far, in case the process dies. */
  keep(answer: StoredReply): Promise<void>
  /** Stores what the assistant has said and done; nothing, if it has done neither. Ends the turn. */
  end(answer: StoredReply | undefined): Promise<void>
  /** Resolves once the turn has ended, whether or not its answer could be stored. */
  ended: Promise<void>
}

/**
 * @param message is stored once nobody else answers in its conversation
 * @throws Problem CONVERSATION_NOT_FOUND, or TOKEN_INVALID for a deleted user; ModelUnavailable if the wait is too long, or what the
 *   signal was aborted with
 */
export type BeginTurn = (caller: Caller, message: ChatMessage, signal: AbortSignal) => Promise<Turn>

/**
 * Messages of one process have an order; another process is asked for again and again.
 *
 * @param newSql gives each statement its own deadline, because a turn takes longer than a request may
 */
export function createBeginTurn(newSql: NewSql): BeginTurn {
  const waiting = createQueue()

  return async (caller, { conversation_id: id, message }, signal) => {
    const lease = crypto.randomUUID()
    const leave = id ? await inTime(waiting.enter(`${id} ${caller.id}`), signal) : () => {}
    const begun = id
      ? goOn(newSql, caller, { id, message, lease }, signal)
      : beginNew(newSql, caller, message, lease)
    const place = await begun.catch((error) => {
      leave()
      throw error
    })
    const { conversationId } = place
    const { keep, end, ended } = holdTurn(newSql, caller.id, place, lease)
    void ended.then(leave)
    try {
      const exchanges = await queries.readHistory(newSql(), caller.id, conversationId, MAX_EXCHANGES)
      return { conversationId, history: historyOf(message, exchanges), keep, end, ended }
    } catch (error) {
      await end(undefined).catch(() => {})
      throw error
    }
  }
}

/** Extends the lease until the turn is ended. */
function holdTurn(
  newSql: NewSql,
  owner: string,
  place: queries.Place,
  lease: string,
): Pick<Turn, 'keep' | 'end' | 'ended'> {
  const { conversationId: id } = place
  let isOver = false
  let timer: Timer
  const extendLater = () => {
    timer = setTimeout(async () => {
      // if one fails, the next one may come in time
      await queries.extendLease(newSql(EXTEND_AFTER), owner, id, lease, LEASE).catch(() => {})
      if (!isOver) extendLater()
    }, EXTEND_AFTER)
  }
  extendLater()
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>()
  function store({ content, toolCalls }: StoredReply, isWhole: boolean): Promise<void> {
    const calls = toolCalls.length > 0 ? JSON.stringify(toolCalls) : null
    const row = { content: content.toWellFormed(), toolCalls: calls, isWhole }
    return queries.storeAnswer(newSql(STORE_DEADLINE), owner, place, lease, row)
  }
  return {
    ended,
    keep: (answer) => store(answer, false),
    async end(answer) {
      const stored = answer
        ? untilStored(() => store(answer, true))
        : queries.endLease(newSql(), owner, id, lease)
      await stored.finally(() => {
        isOver = true
        clearTimeout(timer)
        onEnd()
      })
    },
  }
}

/** Tries again while the database is away: the answer tells of what has been done. */
async function untilStored(store: () => Promise<void>): Promise<void> {
  const end = performance.now() + STORE_FOR
  for (;;) {
    try {
      return await store()
    } catch (error) {
      if (!isUnavailable(error) || performance.now() > end) throw error
      await Bun.sleep(STORE_AGAIN_AFTER)
    }
  }
}

async function beginNew(
  newSql: NewSql,
  caller: Caller,
  message: string,
  lease: string,
): Promise<queries.Place> {
  const begin = () => queries.beginConversation(newSql(), caller, message, lease, LEASE)
  // a second try, because another first write of the user may come between
  const place = (await begin()) ?? (await begin())
  if (!place) throw refuseToken('revoked')
  return place
}

async function goOn(
  newSql: NewSql,
  caller: Caller,
  { id, message, lease }: { id: number; message: string; lease: string },
  signal: AbortSignal,
): Promise<queries.Place> {
  for (;;) {
    throwIfAborted(signal, 'waiting')
    const place = await queries.continueConversation(newSql(), caller, id, message, lease, LEASE)
    if (place) return place
    if (!(await queries.hasConversation(newSql(), caller, id))) {
      await refuseDeleted(newSql(), caller)
      throw new Problem('CONVERSATION_NOT_FOUND')
    }
    await Bun.sleep(ASK_AGAIN_AFTER)
  }
}

/** @param exchanges the newest first; the one that is too long is cut, and those before it are left out */
function historyOf(message: string, exchanges: readonly queries.Exchange[]): Turn['history'] {
  const history: Turn['history'] = [{ role: 'user', content: message }]
  let left = MAX_CHARACTERS - codePoints(message)
  for (const { question, answer } of exchanges) {
    left -= codePoints(question)
    if (left <= 0) break
    history.unshift({ role: 'user', content: question }, { role: 'assistant', content: cutTo(left, answer) })
    left -= codePoints(answer)
  }
  return history
}

function cutTo(length: number, text: string): string {
  return codePoints(text) > length ? `${[...text].slice(0, length - 1).join('')}…` : text
}
