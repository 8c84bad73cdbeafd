/** What `sync` gives at once: its code is loaded when it is first called, so that other apps need not load it. */
import type { RequestError } from './errors'
import type { Change, Operation, Reminder, Task } from './schemas'
import type { KeyValueStorage } from './storage'

/** A `Map`, or anything that behaves like one, such as the reactive maps of user interfaces. */
export interface TaskStore {
  get(id: number): Task | undefined
  set(id: number, task: Task): unknown
  delete(id: number): unknown
  keys(): Iterable<number>
}

/**
 * - `connecting`: the server has not answered yet. The store may have the tasks of an earlier visit already.
 * - `live`: the store has all tasks, and changes arrive.
 * - `offline`: the last attempt has failed, and others follow. The store stays as it is.
 * - `ended`: nothing follows.
 */
export type SyncStatus = 'connecting' | 'live' | 'offline' | 'ended'

export interface SyncOptions {
  /**
   * Keeps the tasks when the page is loaded again, so that they are there at once, also without a connection, and only
   * what has changed since is read. By default the client's own storage; null turns it off. Not used with a `cursor`.
   *
   * What is kept belongs to the server and the user. It is removed when the user signs out.
   */
  storage?: KeyValueStorage | null | undefined
  /** The `cursor` of an earlier `sync` of the same store. Without it, the store is filled anew. */
  cursor?: string | undefined
  /**
   * Called after changes of the store, once for all that came together: the tasks of an earlier visit, a page of
   * changes, or what the stream brought at once.
   */
  onChange?: ((changes: Change[]) => void) | undefined
  /**
   * Called when the status has changed; it begins as `connecting`. Also called when the reason of `offline` has changed.
   *
   * @param error why it is `offline` or `ended`; undefined after `stop` and after the user has signed out
   */
  onStatus?: ((status: SyncStatus, error?: Error) => void) | undefined
  /**
   * Called when the server reminds of a task that is due soon; in every tab, so a notification needs a `tag` to be shown
   * once. What the server tells while there is no connection does not arrive later.
   */
  onReminder?: ((reminder: Reminder) => void) | undefined
  /**
   * Called when the server refuses what was given to `write`, also if an earlier page has given it. Whatever waits behind
   * it waits for the answer: an operation to be sent instead, or nothing to give the change up.
   *
   * @param current the task as it is now, if another device has changed it
   */
  onConflict?: ((operation: Operation, error: RequestError, current?: Task) => Replacement) | undefined
  /**
   * Called when something else waits to be sent than before.
   *
   * @param error why the newest changes are not kept in the storage: they are lost when the page is closed
   */
  onPending?: ((pending: readonly Operation[], error?: Error) => void) | undefined
}

/** What is sent instead of a refused operation; nothing gives it up. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing gives the change up
export type Replacement = Operation | undefined | void | Promise<Operation | undefined | void>

/** Does an operation; see `Sync.write`. */
export type Write = (operation: Operation) => Promise<Task | null>

export interface Sync {
  /** Resolves once the store has all tasks that the server had; rejects if the synchronization ends before. */
  readonly ready: Promise<void>
  /**
   * Resolves after `stop`, and after the user has signed out. Rejects with what the store, `onChange` or `onStatus` throws, and if
   * trying again cannot help: with RequestError for a refusal, such as a 401; with Error if the session has expired, if
   * another user has signed in, if the address has never answered as Taskwell does, or if the code of `sync` cannot be
   * loaded.
   */
  readonly ended: Promise<void>
  /** How far the store has got. An app that keeps its store itself keeps this beside it, and sets `storage` to null. */
  readonly cursor: string | undefined
  readonly status: SyncStatus
  /** Why it is `offline` or `ended`; undefined after `stop` and after the user has signed out. */
  readonly error: Error | undefined
  /**
   * Changes a task, also without a connection: the store shows it at once, and the server gets it when it can be reached,
   * after what was written before. A new task has an id below zero until then. With a `storage`, what waits is kept when
   * the page is loaded again; a sign-out removes it.
   *
   * What another device has changed since is not overwritten: if it has changed the same fields, or a task that is
   * deleted here, `onConflict` decides.
   *
   *     const task = await sync.write({ op: 'create', body: { title: 'Buy milk' } })
   *
   * @returns once the server has answered: the task, or null after a `delete`
   * @throws RequestError if the server refuses it and `onConflict` gives nothing to send instead; Error if the
   *   synchronization ends before: then it may wait for the next one
   */
  write: Write
  /** What the server has not answered yet, in order. */
  readonly pending: readonly Operation[]
  /** @throws what `onStatus` throws */
  stop(): void
}

/** How the work and its handle talk. */
export interface SyncControl {
  /** Aborted by `stop`. */
  readonly signal: AbortSignal
  cursor: string | undefined
  pending: readonly Operation[]
  ready(): void
  /** Takes what `write` does, once. */
  open(write: Write): void
  /** @throws what `onStatus` throws */
  be(status: SyncStatus, error?: Error): void
}

/** Keeps the store up to date until it is stopped. */
export type SyncWork = (control: SyncControl) => Promise<void>

/** @param load loads the code of the work; a browser may refuse to load it again if that has failed once */
export function createSync(
  load: () => Promise<SyncWork>,
  { cursor, onStatus = () => {} }: SyncOptions,
): Sync {
  const stopping = new AbortController()
  let status: SyncStatus = 'connecting'
  let error: Error | undefined
  const ready = deferred<void>()
  const opened = deferred<Write>()
  const stopped = new Promise<undefined>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(undefined))
  })
  const control: SyncControl = {
    signal: stopping.signal,
    cursor,
    pending: [],
    ready: ready.resolve,
    open: opened.resolve,
    be(next, reason) {
      if (status === 'ended' || (next === status && reason?.message === error?.message)) return
      status = next
      error = reason
      onStatus(next, reason)
    },
  }
  async function run(): Promise<void> {
    const work = await Promise.race([load().catch(refuseUnloaded), stopped])
    if (!stopping.signal.aborted) await work?.(control)
  }
  const ended = run()
    .then(
      () => control.be('ended'),
      (reason: unknown) => {
        control.be('ended', reason instanceof Error ? reason : new Error(String(reason)))
        throw reason
      },
    )
    .finally(() => {
      const reason = error ?? new Error('the synchronization has ended')
      ready.reject(reason)
      opened.reject(reason)
    })
  // a caller may ignore these promises: their rejection must not count as unhandled
  for (const each of [ready.promise, opened.promise, ended]) each.catch(() => {})
  return {
    ready: ready.promise,
    ended,
    get cursor() {
      return control.cursor
    },
    get status() {
      return status
    },
    get error() {
      return error
    },
    get pending() {
      return control.pending
    },
    write(operation) {
      const written = opened.promise.then((write) => write(operation))
      written.catch(() => {})
      return written
    },
    stop() {
      stopping.abort()
      control.be('ended')
    },
  }
}

function refuseUnloaded(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : cause
  throw new Error(`The code of sync could not be loaded: ${reason}`, { cause })
}

/** React Native has no `Promise.withResolvers`. */
function deferred<T>() {
  let resolve = (_: T) => {}
  let reject = (_: Error) => {}
  const promise = new Promise<T>((...functions) => {
    ;[resolve, reject] = functions
  })
  return { promise, resolve, reject }
}

/** @returns under which keys a user's tasks are kept, and what waits to be sent; see `task-storage.ts` and `queue.ts` */
export function keysOf(url: string, userKey: string): [tasks: string, writes: string] {
  const key = `taskwell ${url} tasks ${userKey}`
  return [key, `${key} writes`]
}
