/** Live updates: who listens to which user's changes, and one look a moment for all of them. */
import type { Logger } from 'pino'
import { isRefused } from '../auth/queries'
import type { Sql } from '../database/sql'
import type { TaskRow } from '../tasks/model'
import { type NewsRow, readNews } from './queries'

/** One stream. */
export interface Listener {
  userId: string
  /** When its token was issued, in seconds since 1970; null where that does not say. */
  issuedAt: number | null
  /** What it has already. */
  revision: number
  /** Whether it can take more: until then nothing is read for it, and nothing kept. */
  isReady(): boolean
  /** Takes changes in their order. */
  send(changes: TaskRow[]): void
  /** Keeps the connection from looking dead. */
  beat(): void
  end(): void
  /** Ends it, and asks to connect anew: to another process, or to the next of this one. */
  reconnect(): void
}

export interface Live {
  /** Begins to listen, to whatever has come since the listener's revision as well. @returns what stops it */
  listen(listener: Listener): () => void
  /** How many listen to this user here; without one, how many listen at all. */
  count(userId?: string): number
  /** Something of this user's has been changed by this process: no need to wait for the next look. */
  changed(userId: string): void
  /** Ends all streams, and those that are still to come. */
  close(): void
  isClosed(): boolean
}

/** In milliseconds: changes made by other processes arrive within one look and the time it takes. */
const LOOK_INTERVAL = 500
const BEAT_INTERVAL = 15_000
/** How many changes of one user one look takes; the rest follow at once. */
const MAX_CHANGES = 500

interface Intervals {
  lookInterval?: number
  beatInterval?: number
}

/**
 * Looking, and not `listen`/`notify`, because that works through any pooler, and costs what is listened to and nothing
 * for what is written: one statement a look for all users, and none while nobody listens.
 */
export function createLive(
  sql: Sql,
  log: Logger,
  { lookInterval = LOOK_INTERVAL, beatInterval = BEAT_INTERVAL }: Intervals = {},
): Live {
  const byUser = new Map<string, Set<Listener>>()
  /** Of whom there is news, as far as this process knows. */
  const hinted = new Set<string>()
  let isRunning = false
  let isClosed = false
  /** Whether the last look failed. */
  let isBlind = false
  let wake = () => {}
  let beats: Timer | undefined

  async function run(): Promise<void> {
    let lookedAt = Number.NEGATIVE_INFINITY
    while (byUser.size > 0) {
      if (hinted.size === 0) await nap(lookedAt + lookInterval - performance.now())
      const isDue = performance.now() - lookedAt >= lookInterval
      const userIds = [...(isDue ? byUser.keys() : hinted)]
      hinted.clear()
      if (isDue) lookedAt = performance.now()
      await look(userIds)
    }
    isRunning = false
    clearInterval(beats)
  }
  /** Until then, or until there is a hint. */
  async function nap(milliseconds: number): Promise<void> {
    if (milliseconds <= 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, milliseconds)
    wake = resolve
    await promise
    clearTimeout(timer)
  }
  async function look(userIds: string[]): Promise<void> {
    // whoever comes during the look may know less than it asks for, and waits for the next
    const asking = new Map(userIds.map((id) => [id, listenersOf(id).filter((each) => each.isReady())]))
    for (const [id, listeners] of asking) if (listeners.length === 0) asking.delete(id)
    if (asking.size === 0) return
    try {
      const revisions = [...asking.values()].map((all) => Math.min(...all.map(({ revision }) => revision)))
      const found = await readNews(sql, [...asking.keys()], revisions, MAX_CHANGES)
      for (const news of found) deliver(news, asking.get(news.user_id) ?? [])
      if (isBlind) log.info('live updates can be read again')
      isBlind = false
    } catch (err) {
      // once the database is back, a look finds all that has come meanwhile
      if (!isBlind) log.warn({ err }, 'live updates cannot be read')
      isBlind = true
    }
  }
  function deliver(news: NewsRow, listeners: Listener[]): void {
    const { changes } = news
    const last = changes.length < MAX_CHANGES ? undefined : changes.at(-1)
    if (last) hinted.add(news.user_id)
    for (const listener of listeners) {
      if (isRefused(listener, news.refuse_tokens_until)) listener.end()
      else forward(listener, changes, last?.revision ?? news.revision)
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
    hinted.add(userId)
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

/** Listeners of one user may have come at different times. */
function forward(listener: Listener, changes: TaskRow[], revision: number): void {
  if (revision <= listener.revision) return
  const news = changes.filter((change) => change.revision > listener.revision)
  listener.revision = revision
  listener.send(news)
}
