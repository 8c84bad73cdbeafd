/** Who is signed in, for the app and for `sync`: a snapshot, and what listens to its changes. */
import type { User } from './schemas'

/** `signed-out`: by `signOut`, here or in another tab. `expired`: the server refused to renew. `replaced`: another user signed in. */
export type EndReason = 'signed-out' | 'expired' | 'replaced'

/** A snapshot that never changes. A change makes another one. */
export type SessionState =
  | { readonly status: 'loading'; readonly user: undefined; readonly reason: undefined }
  | { readonly status: 'signed-in'; readonly user: User; readonly reason: undefined }
  | {
      readonly status: 'signed-out'
      readonly user: undefined
      /** Why the session has ended; undefined if there was none since the page was loaded. */
      readonly reason: EndReason | undefined
    }

/** Who is signed in: `client.session`. */
export interface Session {
  /** Stays the same object until something changes, as React's `useSyncExternalStore` wants it. */
  readonly current: SessionState
  /** `loading` until the storage has been read. */
  readonly status: SessionState['status']
  /** The signed-in user. What the server has not told is null. */
  readonly user: User | undefined
  /** Why a signed-out user is so. */
  readonly reason: EndReason | undefined
  /**
   * Resolves once it is known who is signed in; rejects with what `storage` or `token` throws. With a `token` this asks
   * for it.
   */
  readonly ready: Promise<SessionState>
  /**
   * Calls a function after each change. With a `token` this asks for it.
   *
   * @returns a function that stops that
   */
  onChange(listener: (state: SessionState) => void): () => void
}

/** What `sync` has to know of the session. */
export interface SessionEnds {
  /**
   * @param listener called when a user's session ends, with the user's id; `signOut` waits for a promise that it returns
   * @returns a function that stops that
   */
  onEnd(listener: (reason: EndReason, userKey: string) => unknown): () => void
  /** @returns the id of the signed-in user, which names what is stored for that user; undefined if no user is known */
  userKey(): Promise<string | undefined>
}

export type SessionStore = ReturnType<typeof createSessionStore>

/** Holds the state, and tells of its changes. */
export function createSessionStore() {
  let current: SessionState = { status: 'loading', user: undefined, reason: undefined }
  const changes = listeners<[SessionState]>()
  const ends = listeners<[EndReason, string]>()

  async function become(next: SessionState): Promise<void> {
    const { user } = current
    if (JSON.stringify(next) === JSON.stringify(current)) return
    current = next
    const cleared = user && user.id !== next.user?.id && ends.call(next.reason ?? 'replaced', user.id)
    changes.call(next)
    await cleared
  }

  return {
    onChange: changes.add,
    onEnd: ends.add,
    get current() {
      return current
    },
    /** @returns resolves when all that listens to the end of the earlier user's session is done */
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
