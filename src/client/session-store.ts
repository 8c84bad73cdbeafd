/** Holds who is signed in, and tells of its changes. */
import type { User } from './schemas'
import type { EndReason, Session, SessionState } from './session-state'

export type SessionStore = ReturnType<typeof createSessionStore>

export function createSessionStore() {
  let current: SessionState = { status: 'loading', user: undefined, reason: undefined }
  const changes = listeners<[SessionState]>()
  const ends = listeners<[EndReason, string]>()

  let cleared = Promise.resolve()

  function become(next: SessionState): void {
    const { user } = current
    if (JSON.stringify(next) === JSON.stringify(current)) return
    current = next
    if (user && user.id !== next.user?.id) cleared = ends.call(next.reason ?? 'replaced', user.id)
    void changes.call(next)
  }

  return {
    onChange: changes.add,
    onEnd: ends.add,
    get current() {
      return current
    },
    /**
     * Resolves when all that has listened to the end of the last session is done. A request must not wait for that: it may
     * be what is waited for.
     */
    get cleared() {
      return cleared
    },
    signedIn: (user: User) => become({ status: 'signed-in', user, reason: undefined }),
    signedOut: (reason: EndReason | undefined) => become({ status: 'signed-out', user: undefined, reason }),
  }
}

/** @param load makes the state known. @param watch called when the app begins to listen */
export function sessionView(store: SessionStore, load: () => Promise<unknown>, watch = () => {}): Session {
  return {
    get current() {
      return store.current
    },
    get status() {
      return store.current.status
    },
    get user() {
      return store.current.user
    },
    get reason() {
      return store.current.reason
    },
    get ready() {
      return load().then(() => store.current)
    },
    onChange(listener) {
      watch()
      return store.onChange(listener)
    },
  }
}

function listeners<Args extends unknown[]>() {
  const all = new Set<{ listener: (...args: Args) => unknown }>()
  return {
    add(listener: (...args: Args) => unknown): () => void {
      // the same function may be added twice
      const entry = { listener }
      all.add(entry)
      return () => void all.delete(entry)
    },
    /** What one throws is no obstacle to the others, and reported as an unhandled rejection. */
    async call(...args: Args): Promise<void> {
      const calls = [...all].map(async ({ listener }) => listener(...args))
      await Promise.all(calls.map((call) => call.catch((error: unknown) => void Promise.reject(error))))
    },
  }
}

/** Takes what is known of a user. */
export function toUser(id: string, { email, name, created_at }: Record<string, unknown>): User {
  const textOf = (value: unknown) => (typeof value === 'string' ? value : null)
  return { id, email: textOf(email), name: textOf(name), created_at: textOf(created_at) }
}
