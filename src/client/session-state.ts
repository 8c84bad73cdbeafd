/** Who is signed in, as the app and `sync` see it. */
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
