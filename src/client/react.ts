/** Hooks for React 18 and later. */
import { useSyncExternalStore } from 'react'
import type { Client, Operation, SessionState, Sync, SyncStatus, Task } from './index'

export interface Tasks {
  /** The newest first; another array after each change. */
  tasks: readonly Task[]
  /** `connecting` also while it is not known who is signed in, and `ended` while nobody is. */
  status: SyncStatus
  /** Why it is `offline` or `ended`. */
  error: Error | undefined
  /** Changes a task, also without a connection, as `write` of `client.sync`; always the same function. */
  write: Sync['write']
  /** What the server has not answered yet. */
  pending: readonly Operation[]
}

const LOADING: SessionState = { status: 'loading', user: undefined, reason: undefined }
const refuse: Sync['write'] = () => Promise.reject(new Error('Nobody is signed in'))
const NO_TASKS: Tasks = { tasks: [], status: 'connecting', error: undefined, write: refuse, pending: [] }
/** In milliseconds: for so long after the last component the tasks are kept up to date, because another page may show them. */
const LINGER = 5000

/**
 * Who is signed in. A page that is rendered on a server shows `loading` first.
 *
 *     const { status, user } = useSession(client)
 */
export function useSession({ session }: Client): SessionState {
  return useSyncExternalStore(
    session.onChange,
    () => session.current,
    () => LOADING,
  )
}

/**
 * All tasks of the signed-in user, kept up to date. Components that use the same client share one synchronization, which
 * begins anew when another user signs in.
 *
 *     const { tasks, status } = useTasks(client)
 */
export function useTasks(client: Client): Tasks {
  const { subscribe, read } = liveTasksOf(client)
  return useSyncExternalStore(subscribe, read, () => NO_TASKS)
}

interface LiveTasks {
  subscribe(listener: () => void): () => void
  read(): Tasks
}

const liveTasks = new WeakMap<Client, LiveTasks>()

function liveTasksOf(client: Client): LiveTasks {
  const known = liveTasks.get(client)
  if (known) return known
  const made = createLiveTasks(client)
  liveTasks.set(client, made)
  return made
}

function createLiveTasks(client: Client): LiveTasks {
  const store = new Map<number, Task>()
  const listeners = new Set<() => void>()
  const write: Sync['write'] = (operation) => (sync?.write ?? refuse)(operation)
  const none: Tasks = { ...NO_TASKS, write }
  let current = none
  let sync: Sync | undefined
  let userId: string | undefined
  let stopListening = () => {}
  let timer: ReturnType<typeof setTimeout> | undefined

  function show(status: SyncStatus, error?: Error): void {
    // new tasks have ids far below zero, the newest the lowest
    const tasks = [...store.values()].sort((one, other) => Math.abs(other.id) - Math.abs(one.id))
    current = { tasks, status, error, write, pending: sync?.pending ?? [] }
    for (const listener of listeners) listener()
  }
  function follow({ status, user }: SessionState): void {
    if (user?.id === userId && sync && sync.status !== 'ended') return
    stop()
    userId = user?.id
    // these tasks may be of another user
    store.clear()
    if (status === 'signed-in') begin()
    else show(status === 'loading' ? 'connecting' : 'ended')
  }
  function begin(): void {
    const again = () => begun === sync && show(begun.status, begun.error)
    const begun = client.sync(store, {
      onChange: again,
      onPending: again,
      onStatus: (next, error) => begun === sync && show(next, error),
    })
    sync = begun
    show(begun.status)
  }
  function stop(): void {
    const stopped = sync
    sync = undefined
    stopped?.stop()
  }
  function start(): void {
    stopListening = client.session.onChange(follow)
    follow(client.session.current)
  }
  function end(): void {
    timer = undefined
    stopListening()
    stop()
    // nobody listens any more to a sign-out
    store.clear()
    current = none
  }

  return {
    read: () => current,
    subscribe(listener) {
      listeners.add(listener)
      if (timer !== undefined) clearTimeout(timer)
      else if (listeners.size === 1) start()
      timer = undefined
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) timer = setTimeout(end, LINGER)
      }
    },
  }
}
