/** The code that `sync` loads when it is first called. */
import type { TasksCalls } from './calls'
import { changeSource } from './change-source'
import type { EndReason, SessionEnds } from './session'
import type { KeyValueStorage } from './storage'
import { keepUp } from './sync'
import { type SyncControl, type SyncOptions, type TaskStore, tasksKey } from './sync-handle'
import { nameOfTabs, shareBetweenTabs } from './tabs'
import { createTaskStorage, type TaskStorage } from './task-storage'

/** What `sync` needs of its client. */
export interface SyncClient {
  url: string
  /** Calls that repeat nothing by themselves. */
  todos: TasksCalls
  /** The client's own. */
  storage: KeyValueStorage | undefined
  session: SessionEnds
}

const WHY_ENDED = {
  expired: 'The session has expired',
  replaced: 'Another user has signed in',
}

/**
 * Keeps a store up to date until it is stopped or the session ends.
 *
 * When the user signs out, the store is emptied, and what is kept is removed. When the session has expired or another
 * user has signed in, both stay: the app decides what its page shows then, and what is kept is named after the user.
 *
 * @param endedBy how the session has ended while this code was loaded
 */
export async function startSync(
  { url, todos, storage: own, session }: SyncClient,
  store: TaskStore,
  { storage = own, cursor, onChange = () => {}, onReminder }: SyncOptions,
  control: SyncControl,
  endedBy?: EndReason,
): Promise<void> {
  const ending = new AbortController()
  const stop = () => ending.abort()
  control.signal.addEventListener('abort', stop)
  let reason: EndReason | undefined
  let hasSignedOut = false
  let kept: TaskStorage | undefined
  let fault: { error: unknown } | undefined

  const stopListening = session.onEnd((why) => {
    hasSignedOut ||= why === 'signed-out'
    // a stopped store is the app's
    if (!ending.signal.aborted) end(why)
    return finished.catch(() => {})
  })
  function end(why: EndReason): void {
    stop()
    reason = why
    try {
      if (why === 'signed-out') empty(store, onChange)
    } catch (error) {
      fault = { error }
    }
  }
  async function follow(): Promise<void> {
    const stopped = new Promise<undefined>((resolve) => {
      ending.signal.addEventListener('abort', () => resolve(undefined))
    })
    // a token function may take its time
    const userKey = await Promise.race([session.userKey(), stopped])
    if (ending.signal.aborted) return
    if (storage && userKey !== undefined && cursor === undefined) {
      const isCurrent = async () => (await session.userKey()) === userKey
      kept = createTaskStorage(storage, tasksKey(url, userKey), isCurrent)
    }
    const share = shareBetweenTabs(() => nameOfTabs(url, own, session))
    try {
      await keepUp(changeSource(url, todos), store, control, {
        onChange,
        onReminder,
        share,
        kept,
        signal: ending.signal,
      })
    } finally {
      control.signal.removeEventListener('abort', stop)
      if (!hasSignedOut) await kept?.close()
      // the user may have signed out while that was written
      if (hasSignedOut) await kept?.remove()
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

function empty(store: TaskStore, onChange: NonNullable<SyncOptions['onChange']>): void {
  const ids = [...store.keys()]
  const changes = ids.map((id) => ({ id, revision: store.get(id)?.revision ?? 0, deleted: true as const }))
  for (const id of ids) store.delete(id)
  if (changes.length > 0) onChange(changes)
}
