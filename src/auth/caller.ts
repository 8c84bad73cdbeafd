/** The user who sent a request, as their token says. */
export interface Caller {
  /** The token's subject. */
  id: string
  /** When the token was issued, in seconds since 1970; null if it does not say. */
  issuedAt: number | null
  /** When the token expires, in seconds since 1970. */
  expiresAt: number
  /** The session that one of Taskwell's own tokens belongs to. */
  sessionId: string | null
}
