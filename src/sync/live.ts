/** Live updates: the streams of each user, and polls of the database for all of them at once. */
import type { Logger } from 'pino'
import { isRefused } from '../auth/queries'
import type { Sql } from '../database/sql'
import { findLastTold, readTold, type ToldReminder } from '../reminders/queries'
import type { TaskRow } from '../tasks/model'
import { findLiving } from '../tokens/queries'
import { type News, readNews } from './queries'

/** One stream. */
export interface Listener {
  userId: string
  /** When its token was issued, in seconds since 1970; null if the token does not say. */
  issuedAt: number | null
  /** The token for programs that opened it; null: it was a JWT. */
  tokenId: number | null
  /** It has every change up to this revision. */
  revision: number
  /** It has every reminder up to this id; ids count the reminders of all users. */
  told: number
  /** Whether it can take more. If not, nothing is read or kept for it. */
  isReady(): boolean
  /** Takes changes, in their order. */
  send(changes: TaskRow[]): void
  /** Takes reminders that have fallen due, in their order. */
  remind(reminders: ToldReminder[]): void
  /** Shows the client that the connection is alive. */
  beat(): void
  end(): void
  /** Ends it, and asks the client to reconnect, to another process or to this one's successor. */
  reconnect(): void
}

export interface Live {
  /** Sends the changes since the listener's revision, and those to come. @returns a function that stops it */
  listen(listener: Listener): () => void
  /** @returns how many listeners this process has, of one user or of all */
  count(userId?: string): number
  /** Called when this process has changed a user's tasks: reads them without waiting for the next poll. */
  changed(userId: string): void
  /** Ends all streams, also those that begin later. */
  close(): void
  isClosed(): boolean
}

/** In milliseconds: after this time at most, the changes of other processes and reminders are read. */
const POLL_INTERVAL = 500
const BEAT_INTERVAL = 15_000
/** How many changes of one user a poll reads; it is repeated at once if there are more. */
const MAX_CHANGES = 500
/** How many reminders of one user a poll reads; the next one reads more. */
const MAX_REMINDERS = 500

/**
 * Polls instead of using `listen`/`notify`: that works through any pooler and adds nothing to a write. A poll is one
 * statement for changes and one for reminders, for all users who have streams; without streams, there is no poll.
 */
export function createLive(
  sql: Sql,
  log: Logger,
  { pollInterval = POLL_INTERVAL, beatInterval = BEAT_INTERVAL } = {},
): Live {
  const byUser = new Map<string, Set<Listener>>()
  /** Users with changes that this process knows of and has not read. */
  const changedUsers = new Set<string>()
  let isRunning = false
  let isClosed = false
  /** Whether the last poll failed. */
  let isFailing = false
  let wake = () => {}
  let beats: Timer | undefined

  async function run(): Promise<void> {
    let polledAt = Number.NEGATIVE_INFINITY
    while (byUser.size > 0) {
      if (changedUsers.size === 0) await sleep(polledAt + pollInterval - performance.now())
      const isDue = performance.now() - polledAt >= pollInterval
      const userIds = [...(isDue ? byUser.keys() : changedUsers)]
      changedUsers.clear()
      if (isDue) {
        polledAt = performance.now()
        await endRevoked()
      }
      await poll(userIds, isDue)
    }
    isRunning = false
    clearInterval(beats)
  }
  /** Waits for this time, or until `wake` is called. */
  async function sleep(milliseconds: number): Promise<void> {
    if (milliseconds <= 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, milliseconds)
    wake = resolve
    await promise
    clearTimeout(timer)
  }
  /** Ends the streams whose tokens have been deleted. */
  async function endRevoked(): Promise<void> {
    const opened = [...byUser.keys()].flatMap(listenersOf).filter(isOfProgram)
    if (opened.length === 0) return
    const living = await findLiving(
      sql,
      opened.map(({ userId }) => userId),
      opened.map(({ tokenId }) => tokenId),
    ).catch(() => undefined)
    // if the database cannot be asked, the next poll asks again
    if (living) for (const listener of opened) if (!living.has(listener.tokenId)) listener.end()
  }
  async function poll(userIds: string[], withReminders: boolean): Promise<void> {
    // a listener that comes during the poll may need older changes than the poll reads, so it waits for the next one
    const ready = new Map(userIds.map((id) => [id, listenersOf(id).filter((each) => each.isReady())]))
    for (const [id, listeners] of ready) if (listeners.length === 0) ready.delete(id)
    if (ready.size === 0) return
    try {
      const revisions = [...ready.values()].map((all) => Math.min(...all.map(({ revision }) => revision)))
      const found = await readNews(sql, [...ready.keys()], revisions, MAX_CHANGES)
      for (const news of found) deliver(news, ready.get(news.user_id) ?? [])
      // after the changes, so that a client knows the task
      if (withReminders) await pollReminders(ready)
      if (isFailing) log.info('live updates can be read again')
      isFailing = false
    } catch (err) {
      // once the database is back, a poll finds every change that was missed
      if (!isFailing) log.warn({ err }, 'live updates cannot be read')
      isFailing = true
    }
  }
  function deliver(news: News, listeners: Listener[]): void {
    const { changes } = news
    const last = changes.length < MAX_CHANGES ? undefined : changes.at(-1)
    if (last) changedUsers.add(news.user_id)
    for (const listener of listeners) {
      if (isRefused(listener, news.refuse_tokens_until)) listener.end()
      else forward(listener, changes, last?.revision ?? news.revision)
    }
  }
  async function pollReminders(ready: Map<string, Listener[]>): Promise<void> {
    const known = new Map([...ready].map(([id, all]) => [id, Math.min(...all.map(({ told }) => told))]))
    // nearly always there is nothing new, and this is all that is asked
    const last = await findLastTold(sql, Math.min(...known.values()))
    for (const [id, told] of known) if (told >= last) known.delete(id)
    if (known.size === 0) return
    const found = await readTold(sql, [...known.keys()], [...known.values()], MAX_REMINDERS)
    const news = Map.groupBy(found, ({ user_id }) => user_id)
    for (const userId of known.keys()) {
      const reminders = news.get(userId) ?? []
      const read = reminders.at(-1)?.id ?? 0
      const upTo = reminders.length < MAX_REMINDERS ? Math.max(last, read) : read
      for (const listener of ready.get(userId) ?? []) remind(listener, reminders, upTo)
    }
  }
  function listenersOf(userId: string): Listener[] {
    return [...(byUser.get(userId) ?? [])]
  }
  function beat(): void {
    for (const userId of byUser.keys()) for (const listener of listenersOf(userId)) listener.beat()
  }
  function changed(userId: string): void {
    if (!byUser.has(userId)) return
    changedUsers.add(userId)
    wake()
  }

  return {
    listen(listener) {
      const { userId } = listener
      if (isClosed) {
        queueMicrotask(() => listener.reconnect())
        return () => {}
      }
      byUser.set(userId, (byUser.get(userId) ?? new Set()).add(listener))
      changed(userId)
      if (!isRunning) {
        isRunning = true
        beats = setInterval(beat, beatInterval)
        void run()
      }
      return () => {
        byUser.get(userId)?.delete(listener)
        if (byUser.get(userId)?.size === 0) byUser.delete(userId)
      }
    },
    count(userId) {
      if (userId !== undefined) return byUser.get(userId)?.size ?? 0
      return [...byUser.values()].reduce((sum, { size }) => sum + size, 0)
    },
    changed,
    isClosed: () => isClosed,
    close() {
      isClosed = true
      for (const userId of byUser.keys()) for (const listener of listenersOf(userId)) listener.reconnect()
      wake()
    },
  }
}

function isOfProgram(listener: Listener): listener is Listener & { tokenId: number } {
  return listener.tokenId !== null
}

/** Sends a listener the changes that it does not have: each listener of a user may have begun at another revision. */
function forward(listener: Listener, changes: TaskRow[], revision: number): void {
  if (revision <= listener.revision) return
  const news = changes.filter((change) => change.revision > listener.revision)
  listener.revision = revision
  listener.send(news)
}

/** Sends a listener the reminders that it does not have; then it has all up to an id. */
function remind(listener: Listener, reminders: ToldReminder[], upTo: number): void {
  const news = reminders.filter(({ id }) => id > listener.told)
  listener.told = Math.max(listener.told, upTo)
  if (news.length > 0) listener.remind(news)
}
