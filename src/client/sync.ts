/** Keeps a map of tasks true: what is there, then what changes, as it happens. */
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Change } from '../sync/model'
import type { Task } from '../tasks/model'
import { RequestError } from './errors'

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
  /** The events since. @throws RequestError */
  open(since: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

/** All in milliseconds. The server says something every 15 s: after three times that, the connection is dead. */
const SILENCE = 45_000
const FIRST_DELAY = 200
const LONGEST_DELAY = 5000

export function createSync(source: ChangeSource, store: TaskStore, options: SyncOptions): Sync {
  const { onChange = () => {} } = options
  const stopping = new AbortController()
  const ready = Promise.withResolvers<void>()
  // whoever waits for neither is not to be told by way of an unhandled rejection
  ready.promise.catch(() => {})
  let cursor = options.cursor
  let failures = 0
  let fault: { error: unknown } | undefined

  /** Takes all that has come since the cursor; without one, all that is there, and nothing else stays in the store. */
  async function catchUp(): Promise<void> {
    const isNew = cursor === undefined
    const seen = new Set<number>()
    let since = cursor
    for (let hasMore = true; hasMore; ) {
      const page = await attentive((signal) => source.read(since, signal))
      stopping.signal.throwIfAborted()
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
  function follow(since: string): Promise<void> {
    return attentive(async (signal, heard) => {
      for await (const { id, data } of eventsOf(await source.open(since, signal), heard)) {
        stopping.signal.throwIfAborted()
        take(JSON.parse(data))
        cursor = id
      }
    })
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
          ready.resolve()
        }
        if (cursor !== undefined) await follow(cursor)
      } catch (error) {
        if (fault) throw fault.error
        if (stopping.signal.aborted) return
        const status = error instanceof RequestError ? error.status : 503
        // what has happened since then is forgotten: begin anew
        if (status === 410) cursor = undefined
        else if (status < 500 && status !== 429) throw error
      }
      // a connection that ends as soon as it is there is no success
      failures = performance.now() - begun > LONGEST_DELAY ? 0 : failures + 1
      // between half of it and all of it, so that clients that were cut off together do not come back together
      await pause(Math.min(FIRST_DELAY * 2 ** failures, LONGEST_DELAY) * (0.5 + Math.random() / 2))
    }
  }
  function pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        stopping.signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, stopping.signal.aborted ? 0 : milliseconds)
      stopping.signal.addEventListener('abort', done)
    })
  }

  const ended = run().finally(() => ready.reject(new Error('the synchronization has ended')))
  ended.catch(() => {})
  return {
    ready: ready.promise,
    ended,
    get cursor() {
      return cursor
    },
    stop: () => stopping.abort(),
  }
}

async function* eventsOf(body: ReadableStream<Uint8Array>, heard: () => void) {
  const events = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream({ onComment: heard }))
    .getReader()
  for (let next = await events.read(); !next.done; next = await events.read()) {
    heard()
    yield { id: next.value.id ?? '', data: next.value.data }
  }
}
