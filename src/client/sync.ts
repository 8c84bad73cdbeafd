/** Keeps a map of tasks up to date: reads what is there, then what changes, as it happens. */
import { createParser } from 'eventsource-parser'
import type { Change } from '../sync/model'
import type { Task } from '../tasks/model'
import { RequestError } from './errors'
import { pause } from './pause'

/** A `Map`, or what behaves like one, such as the reactive maps of user interfaces. */
export interface TaskStore {
  get(id: number): Task | undefined
  set(id: number, task: Task): unknown
  delete(id: number): unknown
  keys(): Iterable<number>
}

export interface SyncOptions {
  /** Where an earlier `sync` of the same store has got to, if the store outlived it; left out: the store begins anew. */
  cursor?: string
  /** Called after each change that the store has taken. */
  onChange?: (change: Change) => void
}

export interface Sync {
  /** Resolves once the store has all that the server had; rejects if that never comes. */
  ready: Promise<void>
  /**
   * Resolves after `stop`; rejects with what `onChange` throws, and with RequestError for an answer that trying again
   * does not change, such as a 401.
   */
  ended: Promise<void>
  /** How far the store is; keep it beside a store that outlives the page. */
  readonly cursor: string | undefined
  stop(): void
}

export interface ChangeSource {
  /** A page of changes. @throws RequestError */
  read(
    since: string | undefined,
    signal: AbortSignal,
  ): Promise<{ changes: Change[]; cursor: string; has_more: boolean }>
  /** The events since; undefined if `fetch` gives no streams here. @throws RequestError */
  open(since: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | undefined>
}

/** A change with the cursor after it; or 'gap', if changes may have been missed and have to be read. */
export type ChangeEvent = { change: Change; cursor: string } | 'gap'

/** Opens the store's own stream, from where the store is by then. */
export type OpenEvents = (signal: AbortSignal) => AsyncIterable<ChangeEvent>

/**
 * Gives a store its events: from its own stream, or from another tab's.
 *
 * @param heard has to be called at every sign of life
 */
export type Share = (open: OpenEvents, signal: AbortSignal, heard: () => void) => AsyncIterable<ChangeEvent>

/** All in milliseconds. The server says something every 15 s: after three times that, the connection is dead. */
const SILENCE = 45_000
const FIRST_DELAY = 200
const LONGEST_DELAY = 5000
/** In milliseconds, between reads where there are no streams. */
const POLL_DELAY = 5000
const LONGEST_POLL_DELAY = 60_000

export function createSync(
  source: ChangeSource,
  store: TaskStore,
  options: SyncOptions,
  share: Share = (open, signal) => open(signal),
): Sync {
  const { onChange = () => {} } = options
  const stopping = new AbortController()
  let settle: { ready(): void; failed(reason: Error): void } | undefined
  // not `Promise.withResolvers`, which React Native lacks
  const ready = new Promise<void>((resolve, reject) => {
    settle = { ready: resolve, failed: reject }
  })
  // without this, a caller that ignores `ready` would get an unhandled rejection
  ready.catch(() => {})
  let cursor = options.cursor
  /** The newest revision taken so far; 0: none. */
  let revision = 0
  let isPolling = false
  let failures = 0
  let fault: { error: unknown } | undefined

  /** Takes all that has come since the cursor; without one, all that is there, and nothing else stays in the store. */
  async function catchUp(): Promise<void> {
    const isNew = cursor === undefined
    if (isNew) revision = 0
    const seen = new Set<number>()
    let since = cursor
    for (let hasMore = true; hasMore; ) {
      const page = await attentive((signal) => source.read(since, signal))
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
  /** @param isNew whatever the store has is older; else the caller may have put a newer one there, after a write */
  function take(change: Change, isNew = false): void {
    revision = Math.max(revision, change.revision)
    if (!isNew && (store.get(change.id)?.revision ?? 0) >= change.revision) return
    if ('deleted' in change) store.delete(change.id)
    else store.set(change.id, change)
    tell(change)
  }
  /** A fault of the caller's is no lost connection. */
  function tell(change: Change): void {
    try {
      onChange(change)
    } catch (error) {
      fault = { error }
      throw error
    }
  }
  /** Of what has gone while nobody looked, no change tells. */
  function forget(id: number): void {
    const revision = store.get(id)?.revision ?? 0
    store.delete(id)
    tell({ id, revision, deleted: true })
  }
  /** Takes events until the connection ends. */
  function follow(): Promise<void> {
    return attentive(async (signal, heard) => {
      for await (const event of share((stream) => ownEvents(stream, heard), signal, heard)) {
        refuseStopped()
        // another tab's event may be older than the cursor; without a known revision, only the server can tell
        if (event === 'gap' || revision === 0) await catchUp()
        else if (event.change.revision > revision) {
          take(event.change)
          cursor = event.cursor
        }
      }
    })
  }
  async function* ownEvents(signal: AbortSignal, heard: () => void): AsyncGenerator<ChangeEvent> {
    if (cursor === undefined) return
    const body = await source.open(cursor, signal)
    yield* body ? eventsOf(body, heard) : polls(heard)
  }
  async function* polls(heard: () => void): AsyncGenerator<ChangeEvent> {
    for (isPolling = true; ; failures = 0) {
      await pause(delayAfter(failures, POLL_DELAY, LONGEST_POLL_DELAY), stopping.signal)
      heard()
      yield 'gap'
    }
  }
  function refuseStopped(): void {
    // not `throwIfAborted`, which React Native lacks
    if (stopping.signal.aborted) throw new Error('the synchronization was stopped')
  }
  /** Breaks off what has been silent for too long, or is under way when all is to stop. */
  async function attentive<T>(work: (signal: AbortSignal, heard: () => void) => Promise<T>): Promise<T> {
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
        // what has happened since then is forgotten: begin anew
        if (status === 410) cursor = undefined
        else if (status < 500 && status !== 429) throw error
      }
      // a connection that ends at once counts as a failure
      const hasLasted = !isPolling && performance.now() - begun > LONGEST_DELAY
      failures = hasLasted ? 0 : failures + 1
      await pause(delayAfter(failures, FIRST_DELAY, LONGEST_DELAY), stopping.signal)
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

/** Between half of it and all of it, so that clients that were cut off together do not come back together. */
function delayAfter(failures: number, first: number, longest: number): number {
  return Math.min(first * 2 ** failures, longest) * (0.5 + Math.random() / 2)
}

async function* eventsOf(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<ChangeEvent> {
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
