/** Keeps a map of tasks up to date: reads all tasks, then each change as it happens. */
import { type ChangeSource, Failure } from './change-source'
import { RequestError } from './errors'
import { readEvents } from './event-stream'
import { onPage } from './page-events'
import { rest } from './rest'
import type { Change, Reminder } from './schemas'
import type { SyncControl, SyncOptions, TaskStore } from './sync-handle'
import type { Snapshot, TaskStorage } from './task-storage'
import { backoff } from './wait'

/** What came together, and the cursor after the changes; or 'gap' if changes may have been missed and have to be read. */
export type ChangeEvent = { changes: Change[]; cursor: string; reminders?: Reminder[] } | 'gap'

/** Opens a stream of this tab's own, which begins at the store's cursor; 'open' tells that it has begun. */
export type OpenEvents = (signal: AbortSignal) => AsyncIterable<ChangeEvent | 'open'>

/**
 * Gives a store its events, from a stream of its own or from another tab.
 *
 * @param heard must be called at every sign of life
 */
export type Share = (
  open: OpenEvents,
  signal: AbortSignal,
  heard: () => void,
) => AsyncIterable<ChangeEvent | 'open'>

export interface KeepUpOptions extends Pick<SyncOptions, 'onChange' | 'onReminder'> {
  /** Left out: the store has a stream of its own. */
  share?: Share
  /** Left out: nothing is kept. */
  kept?: TaskStorage | undefined
  /** Called when all changes up to a revision are in the store. */
  reach?: (revision: number) => void
  /** When to stop. Left out: that of `control`. */
  signal?: AbortSignal
}

/** In milliseconds. The server sends something every 15 s: after three times that, the connection is dead. */
const SILENCE = 45_000
/** In milliseconds, before the next connection. */
const FIRST_DELAY = 200
const LONGEST_DELAY = 5000
/** In milliseconds, between reads without streams; also the longest that a server can ask to wait. */
const POLL_DELAY = 5000
const LONGEST_POLL_DELAY = 60_000

/**
 * Keeps the store up to date until the signal is aborted.
 *
 * @throws what the store, `onChange` and `onStatus` throw, and an error for an answer that will not be better the next time
 */
export async function keepUp(
  source: ChangeSource,
  store: TaskStore,
  control: SyncControl,
  {
    onChange = () => {},
    onReminder = () => {},
    share = (open, signal) => open(signal),
    kept,
    reach = () => {},
    signal: stopping = control.signal,
  }: KeepUpOptions = {},
): Promise<void> {
  /** The newest revision that has arrived so far; 0 if none has. */
  let revision = 0
  let isRestored = false
  let hasAnswered = control.cursor !== undefined
  let isPolling = false
  let failures = 0
  let fault: { error: unknown } | undefined

  /** Remembers what the app's functions and its store throw, so that it does not count as a lost connection. */
  function call(work: () => unknown): void {
    try {
      work()
    } catch (error) {
      fault = { error }
      throw error
    }
  }
  function tell(changes: Change[]): void {
    if (changes.length > 0) call(() => onChange(changes))
  }
  function isLive(): void {
    call(() => control.be('live'))
  }
  /** Fills the store with the tasks of an earlier visit. The app may have stored newer ones already. */
  function restore({ tasks, cursor, revision: last }: Snapshot): void {
    const known = new Set(tasks.map(({ id }) => id))
    const isOlder = (id: number) => (store.get(id)?.revision ?? 0) <= last
    const changes: Change[] = tasks.filter((task) => put(task))
    for (const id of [...store.keys()]) if (!known.has(id) && isOlder(id)) changes.push(forget(id))
    revision = last
    reach(last)
    control.cursor = cursor
    isRestored = true
    tell(changes)
  }
  /** Reads all changes since the cursor; without a cursor all tasks, and drops what else is in the store. */
  async function catchUp(): Promise<void> {
    let since = control.cursor
    const isNew = since === undefined
    if (isNew) {
      revision = 0
      kept?.clear()
    }
    const seen = new Set<number>()
    for (let hasMore = true; hasMore; ) {
      const page = await watch((signal) => source.read(since, signal))
      refuseStopped()
      hasAnswered = true
      for (const { id } of page.changes) seen.add(id)
      since = page.cursor
      hasMore = page.has_more
      const changes = take(page.changes, isNew)
      if (isNew && !hasMore) {
        for (const id of [...store.keys()]) if (!seen.has(id)) changes.push(forget(id))
      }
      if (!hasMore) moveTo(page.cursor)
      tell(changes)
    }
    isLive()
  }
  function moveTo(cursor: string): void {
    control.cursor = cursor
    kept?.moveTo(cursor, revision)
  }
  /** @returns the changes that the store did not have */
  function take(changes: Change[], isNew = false): Change[] {
    return changes.filter((change) => {
      revision = Math.max(revision, change.revision)
      kept?.take(change)
      const isPut = put(change, isNew)
      reach(revision)
      return isPut
    })
  }
  /**
   * @param isNew what the store has is older; otherwise the caller may have stored a newer task after a write
   * @returns whether the store did not have it
   */
  function put(change: Change, isNew = false): boolean {
    if (!isNew && (store.get(change.id)?.revision ?? 0) >= change.revision) return false
    if ('deleted' in change) call(() => store.delete(change.id))
    else call(() => store.set(change.id, change))
    return true
  }
  /** Drops a task that was deleted so long ago that no change tells of it. */
  function forget(id: number): Change {
    const { revision = 0 } = store.get(id) ?? {}
    call(() => store.delete(id))
    return { id, revision, deleted: true }
  }
  /** Takes events until the stream ends. */
  function follow(): Promise<void> {
    return watch(async (signal, heard) => {
      for await (const event of share((stream) => readStream(stream, heard), signal, heard)) {
        if (signal.aborted) return
        if (event === 'open') isLive()
        // an event of another tab may be older than the cursor: without a revision to compare, ask the server
        else if (event === 'gap' || revision === 0) await catchUp()
        else takeEvent(event.changes, event.cursor)
        remindOf(event)
      }
    })
  }
  function takeEvent(changes: Change[], cursor: string): void {
    const known = revision
    const news = take(changes.filter((change) => change.revision > known))
    if (revision > known) moveTo(cursor)
    tell(news)
    isLive()
  }
  function remindOf(event: ChangeEvent | 'open'): void {
    if (typeof event === 'object') for (const each of event.reminders ?? []) call(() => onReminder(each))
  }
  async function* readStream(signal: AbortSignal, heard: () => void): AsyncGenerator<ChangeEvent | 'open'> {
    if (control.cursor === undefined) return
    const body = await source.open(control.cursor, signal)
    if (!body) return yield* poll(heard)
    yield 'open'
    yield* changesOf(body, heard)
  }
  async function* poll(heard: () => void): AsyncGenerator<ChangeEvent> {
    for (isPolling = true; ; failures = 0) {
      await rest(backoff(failures, POLL_DELAY, LONGEST_POLL_DELAY), stopping)
      heard()
      yield 'gap'
    }
  }
  function refuseStopped(): void {
    // React Native has no `throwIfAborted`
    if (stopping.aborted) throw new Error('the synchronization was stopped')
  }
  /** Aborts the work when it has been silent for too long, when the browser goes offline, and when it is stopped. */
  async function watch<T>(work: (signal: AbortSignal, heard: () => void) => Promise<T>): Promise<T> {
    const connection = new AbortController()
    let reason: Error | undefined
    const giveUp = (why?: string) => {
      if (why !== undefined) reason ??= new Error(why)
      connection.abort()
    }
    const stop = () => giveUp()
    const fallSilent = () => giveUp(`Nothing has come from the server for ${SILENCE / 1000} seconds`)
    stopping.addEventListener('abort', stop)
    const stopListening = onPage('offline', () => giveUp('The browser has lost its connection'))
    // not every `fetch` heeds the signal
    const aborted = new Promise<never>((_, fail) => {
      connection.signal.addEventListener('abort', () => fail(new Error('the connection was given up')))
    })
    aborted.catch(() => {})
    let silence = setTimeout(fallSilent, SILENCE)
    const heard = () => {
      clearTimeout(silence)
      if (!connection.signal.aborted) silence = setTimeout(fallSilent, SILENCE)
    }
    try {
      return await Promise.race([work(connection.signal, heard), aborted])
    } catch (error) {
      throw reason ?? error
    } finally {
      connection.abort()
      clearTimeout(silence)
      stopListening()
      stopping.removeEventListener('abort', stop)
    }
  }
  /**
   * Tells the app that an attempt has failed.
   *
   * @returns how many milliseconds the server asks to wait
   * @throws an error if trying again cannot help
   */
  function takeFailure(error: unknown): number {
    if (!(error instanceof Failure)) {
      call(() => control.be('offline', error instanceof Error ? error : new Error(String(error))))
      return 0
    }
    const isRefusedSnapshot = isRestored && error.error instanceof RequestError && error.error.status === 422
    if (error.kind === 'anew' || isRefusedSnapshot) {
      isRestored = false
      control.cursor = undefined
      return 0
    }
    if (error.kind === 'refused' || (error.kind === 'foreign' && !hasAnswered)) throw error.error
    call(() => control.be('offline', error.error))
    return Math.min(error.retryAfter, LONGEST_POLL_DELAY)
  }
  async function run(): Promise<void> {
    let isReady = false
    const snapshot = await kept?.load()
    if (stopping.aborted) return
    if (snapshot) restore(snapshot)
    hasAnswered ||= isRestored
    while (!stopping.aborted) {
      const begun = performance.now()
      let asked = 0
      try {
        if (!isReady || control.cursor === undefined) {
          await catchUp()
          isReady = true
          isRestored = false
          control.ready()
        }
        await follow()
      } catch (error) {
        if (fault) throw fault.error
        if (stopping.aborted) return
        asked = takeFailure(error)
      }
      // a connection that ends at once counts as a failure
      const hasLasted = !isPolling && performance.now() - begun > LONGEST_DELAY
      failures = hasLasted ? 0 : failures + 1
      await rest(Math.max(asked, backoff(failures, FIRST_DELAY, LONGEST_DELAY)), stopping)
    }
  }

  await run()
}

/** All that comes together in a stream is told together. Events that have other names belong to newer servers. */
async function* changesOf(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<ChangeEvent> {
  for await (const events of readEvents(body, heard)) {
    const unnamed = events.filter(({ event }) => !event)
    const reminders = events.filter(({ event }) => event === 'reminder').map(({ data }) => JSON.parse(data))
    if (unnamed.length + reminders.length === 0) continue
    const changes = unnamed.map(({ data }) => JSON.parse(data))
    yield { changes, cursor: unnamed.at(-1)?.id ?? '', ...(reminders.length > 0 && { reminders }) }
  }
}
