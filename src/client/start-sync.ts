/** The code that `sync` loads when it is first called. */
import type { TasksCalls } from './calls'
import { changeSource } from './change-source'
import { createOverlay } from './overlay'
import type { EndReason, SessionEnds } from './session'
import type { KeyValueStorage } from './storage'
import { keepUp } from './sync'
import { keysOf, type SyncControl, type SyncOptions, type TaskStore } from './sync-handle'
import { createWrites } from './sync-writes'
import { nameOfTabs, shareBetweenTabs } from './tabs'
import { createTaskStorage } from './task-storage'

/** What `sync` needs of its client. */
export interface SyncClient {
  url: string
  /** Calls that repeat nothing by themselves, as that user only; left out: as the user who is signed in. */
  todosOf: (user?: string) => TasksCalls
  /** The client's own. */
  storage: KeyValueStorage | undefined
  session: SessionEnds
}

const WHY_ENDED = {
  expired: 'The session has expired',
  replaced: 'Another user has signed in',
}

/**
 * Keeps a store up to date, and sends what the user changes in it, until it is stopped or the session ends.
 *
 * When the user signs out, the store is emptied, and what is kept is removed. When the session has expired or another
 * user has signed in, both stay: the app decides what its page shows then, and what is kept is named after the user.
 *
 * @param endedBy how the session has ended while this code was loaded
 */
export async function startSync(
  client: SyncClient,
  store: TaskStore,
  options: SyncOptions,
  control: SyncControl,
  endedBy?: EndReason,
): Promise<void> {
  const { session } = client
  const ending = new AbortController()
  const stop = () => ending.abort()
  control.signal.addEventListener('abort', stop)
  let reason: EndReason | undefined
  let hasSignedOut = false
  let fault: { error: unknown } | undefined

  const stopListening = session.onEnd((why) => {
    hasSignedOut ||= why === 'signed-out'
    // a stopped store is the app's
    if (!ending.signal.aborted) end(why)
    return finished.catch(() => {})
  })
  function fail(error: unknown): void {
    fault ??= { error }
    stop()
  }
  function end(why: EndReason): void {
    stop()
    reason = why
    try {
      if (why === 'signed-out') empty(store, options.onChange)
    } catch (error) {
      fail(error)
    }
  }
  async function follow(): Promise<void> {
    const stopped = new Promise<undefined>((resolve) => {
      ending.signal.addEventListener('abort', () => resolve(undefined))
    })
    // a token function may take its time
    const userKey = await Promise.race([session.userKey(), stopped])
    if (ending.signal.aborted) return
    const { kept, writes, keep } = partsOf(client, store, options, userKey, {
      control,
      signal: ending.signal,
      fail,
    })
    let sending = Promise.resolve()
    try {
      await writes.load()
      control.open(writes.write)
      sending = writes.send().catch(fail)
      await keep()
    } finally {
      control.signal.removeEventListener('abort', stop)
      stop()
      await sending
      for (const each of [kept, writes]) {
        if (!hasSignedOut) await each?.close()
        // the user may have signed out while that was written
        if (hasSignedOut) await each?.remove()
      }
      if (hasSignedOut) control.pending = []
    }
  }
  async function work(): Promise<void> {
    if (endedBy) end(endedBy)
    else await follow().finally(stopListening)
    if (fault) throw fault.error
    if (reason && reason !== 'signed-out') throw new Error(WHY_ENDED[reason])
  }
  const finished = work()
  return finished
}

interface Ending {
  control: SyncControl
  signal: AbortSignal
  fail: (error: unknown) => void
}

/** What keeps one user's store. @param userKey undefined: the user is not known, and nothing is kept */
function partsOf(
  { url, todosOf, storage: own, session }: SyncClient,
  store: TaskStore,
  { storage = own, cursor, onChange = () => {}, onReminder, onConflict, onPending }: SyncOptions,
  userKey: string | undefined,
  { control, signal, fail }: Ending,
) {
  const [tasksKey, writesKey] = keysOf(url, userKey ?? '')
  const usable = userKey === undefined ? undefined : (storage ?? undefined)
  const isCurrent = async () => (await session.userKey()) === userKey
  const kept = usable && cursor === undefined ? createTaskStorage(usable, tasksKey, isCurrent) : undefined
  const overlay = createOverlay(store, userKey ?? '', onChange)
  const tabs = usable && nameOfTabs(url, own, userKey)
  const writes = createWrites({
    todos: todosOf(userKey),
    overlay,
    key: writesKey,
    storage: usable,
    tabs: tabs && `${tabs} writes`,
    look: () => session.userKey().catch(() => undefined),
    onConflict,
    onPending(pending, error) {
      control.pending = pending
      onPending?.(pending, error)
    },
    signal,
    fail,
  })
  const share = shareBetweenTabs(async () => nameOfTabs(url, own, await session.userKey()))
  const { view, tell, reach } = overlay
  const keep = () =>
    keepUp(changeSource(url, todosOf()), view, control, {
      onChange: tell,
      onReminder,
      share,
      kept,
      reach,
      signal,
    })
  return { kept, writes, keep }
}

function empty(store: TaskStore, onChange: SyncOptions['onChange']): void {
  const ids = [...store.keys()]
  const changes = ids.map((id) => ({ id, revision: store.get(id)?.revision ?? 0, deleted: true as const }))
  for (const id of ids) store.delete(id)
  if (changes.length > 0) onChange?.(changes)
}
