/** Keeps a map of tasks up to date: reads all tasks, then each change as it happens. */
import { createParser } from 'eventsource-parser'
import { RequestError } from './errors'
import type { Change, Task } from './schemas'
import { backoff, pause } from './wait'

/** A `Map`, or anything that behaves like one, such as the reactive maps of user interfaces. */
export interface TaskStore {
  get(id: number): Task | undefined
  set(id: number, task: Task): unknown
  delete(id: number): unknown
  keys(): Iterable<number>
}

export interface SyncOptions {
  /** The `cursor` of an earlier `sync` of the same store. Without it, the store is filled anew. */
  cursor?: string
  /** Called after each change of the store. */
  onChange?: (change: Change) => void
}

export interface Sync {
  /** Resolves once the store has all tasks that the server had; rejects if the synchronization ends before. */
  ready: Promise<void>
  /**
   * Resolves after `stop`; rejects with what `onChange` throws, and with RequestError for an answer that will not be
   * better the next time, such as a 401.
   */
  ended: Promise<void>
  /** How far the store has got: store it beside a store that outlives the page. */
  readonly cursor: string | undefined
  stop(): void
}

export interface ChangeSource {
  /** A page of changes. @throws RequestError */
  read(
    since: string | undefined,
    signal: AbortSignal,
  ): Promise<{ changes: Change[]; cursor: string; has_more: boolean }>
  /** The stream of later events; undefined if `fetch` gives no streams here. @throws RequestError */
  open(since: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | undefined>
}

/** A change and the cursor after it; or 'gap' if changes may have been missed and have to be read. */
export type ChangeEvent = { change: Change; cursor: string } | 'gap'

/** Opens a stream of this tab's own, which begins at the store's cursor. */
export type OpenEvents = (signal: AbortSignal) => AsyncIterable<ChangeEvent>

/**
 * Gives a store its events, from a stream of its own or from another tab.
 *
 * @param heard must be called at every sign of life
 */
export type Share = (open: OpenEvents, signal: AbortSignal, heard: () => void) => AsyncIterable<ChangeEvent>

/** In milliseconds. The server sends something every 15 s: after three times that, the connection is dead. */
const SILENCE = 45_000
/** In milliseconds, before the next connection. */
const FIRST_DELAY = 200
const LONGEST_DELAY = 5000
/** In milliseconds, between reads without streams. */
const POLL_DELAY = 5000
const LONGEST_POLL_DELAY = 60_000

/** Starts to keep the store up to date. @param share left out: the store has a stream of its own */
export function createSync(
  source: ChangeSource,
  store: TaskStore,
  options: SyncOptions,
  share: Share = (open, signal) => open(signal),
): Sync {
  const { onChange = () => {} } = options
  const stopping = new AbortController()
  let settle: { ready(): void; failed(reason: Error): void } | undefined
  // React Native has no `Promise.withResolvers`
  const ready = new Promise<void>((resolve, reject) => {
    settle = { ready: resolve, failed: reject }
  })
  // a caller may ignore `ready`: its rejection must not count as unhandled
  ready.catch(() => {})
  let cursor = options.cursor
  /** The newest revision that has arrived so far; 0 if none has. */
  let revision = 0
  let isPolling = false
  let failures = 0
  let fault: { error: unknown } | undefined

  /** Reads all changes since the cursor; without a cursor all tasks, and drops what else is in the store. */
  async function catchUp(): Promise<void> {
    const isNew = cursor === undefined
    if (isNew) revision = 0
    const seen = new Set<number>()
    let since = cursor
    for (let hasMore = true; hasMore; ) {
      const page = await watch((signal) => source.read(since, signal))
      refuseStopped()
      for (const change of page.changes) {
        seen.add(change.id)
        take(change, isNew)
      }
      since = page.cursor
      hasMore = page.has_more
    }
    if (isNew) for (const id of [...store.keys()]) if (!seen.has(id)) forget(id)
    cursor = since
  }
  /** @param isNew what the store has is older; otherwise the caller may have stored a newer task after a write */
  function take(change: Change, isNew = false): void {
    revision = Math.max(revision, change.revision)
    if (!isNew && (store.get(change.id)?.revision ?? 0) >= change.revision) return
    if ('deleted' in change) store.delete(change.id)
    else store.set(change.id, change)
    tell(change)
  }
  /** Remembers what `onChange` throws, so that it does not count as a lost connection. */
  function tell(change: Change): void {
    try {
      onChange(change)
    } catch (error) {
      fault = { error }
      throw error
    }
  }
  /** Drops a task that was deleted so long ago that no change tells of it. */
  function forget(id: number): void {
    const revision = store.get(id)?.revision ?? 0
    store.delete(id)
    tell({ id, revision, deleted: true })
  }
  /** Takes events until the stream ends. */
  function follow(): Promise<void> {
    return watch(async (signal, heard) => {
      for await (const event of share((stream) => readStream(stream, heard), signal, heard)) {
        refuseStopped()
        // an event of another tab may be older than the cursor: without a revision to compare, ask the server
        if (event === 'gap' || revision === 0) await catchUp()
        else if (event.change.revision > revision) {
          take(event.change)
          cursor = event.cursor
        }
      }
    })
  }
  async function* readStream(signal: AbortSignal, heard: () => void): AsyncGenerator<ChangeEvent> {
    if (cursor === undefined) return
    const body = await source.open(cursor, signal)
    yield* body ? readEvents(body, heard) : poll(heard)
  }
  async function* poll(heard: () => void): AsyncGenerator<ChangeEvent> {
    for (isPolling = true; ; failures = 0) {
      await pause(backoff(failures, POLL_DELAY, LONGEST_POLL_DELAY), stopping.signal)
      heard()
      yield 'gap'
    }
  }
  function refuseStopped(): void {
    // React Native has no `throwIfAborted`
    if (stopping.signal.aborted) throw new Error('the synchronization was stopped')
  }
  /** Aborts the work when it has been silent for too long, and when the synchronization is stopped. */
  async function watch<T>(work: (signal: AbortSignal, heard: () => void) => Promise<T>): Promise<T> {
    const connection = new AbortController()
    const giveUp = () => connection.abort()
    stopping.signal.addEventListener('abort', giveUp)
    let silence = setTimeout(giveUp, SILENCE)
    const heard = () => {
      clearTimeout(silence)
      if (!connection.signal.aborted) silence = setTimeout(giveUp, SILENCE)
    }
    try {
      return await work(connection.signal, heard)
    } finally {
      connection.abort()
      clearTimeout(silence)
      stopping.signal.removeEventListener('abort', giveUp)
    }
  }
  async function run(): Promise<void> {
    let isReady = false
    while (!stopping.signal.aborted) {
      const begun = performance.now()
      try {
        if (!isReady || cursor === undefined) {
          await catchUp()
          isReady = true
          settle?.ready()
        }
        await follow()
      } catch (error) {
        if (fault) throw fault.error
        if (stopping.signal.aborted) return
        const status = error instanceof RequestError ? error.status : 503
        // the server no longer has the changes since the cursor: begin anew
        if (status === 410) cursor = undefined
        else if (status < 500 && status !== 429) throw error
      }
      // a connection that ends at once counts as a failure
      const hasLasted = !isPolling && performance.now() - begun > LONGEST_DELAY
      failures = hasLasted ? 0 : failures + 1
      await pause(backoff(failures, FIRST_DELAY, LONGEST_DELAY), stopping.signal)
    }
  }
  const ended = run().finally(() => settle?.failed(new Error('the synchronization has ended')))
  ended.catch(() => {})
  return {
    ready,
    ended,
    get cursor() {
      return cursor
    },
    stop: () => stopping.abort(),
  }
}

async function* readEvents(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<ChangeEvent> {
  const events: ChangeEvent[] = []
  const parser = createParser({
    onEvent: ({ id, data }) => events.push({ change: JSON.parse(data), cursor: id ?? '' }),
  })
  const decoder = new TextDecoder()
  const reader = body.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    heard()
    parser.feed(decoder.decode(next.value, { stream: true }))
    yield* events.splice(0)
  }
}
