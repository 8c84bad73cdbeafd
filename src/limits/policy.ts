/** What the counters in memory and in Redis have in common. */

/** `user`: signed-in requests; `address`: all others; `auth-address` and `auth-account`: signing in; `chat`: messages to the assistant. */
export type Policy = 'user' | 'address' | 'auth-address' | 'auth-account' | 'chat'

/** A window begins with the first request of a key. */
export const WINDOW_SECONDS = 60

/** How much of a window is used. */
export interface Used {
  consumed: number
  /** In milliseconds; 0 if nothing is used. */
  endsIn: number
}
