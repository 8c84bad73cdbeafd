export const SCOPES = ['tasks:read', 'tasks:write'] as const
/** What a token can be limited to. */
export type Scope = (typeof SCOPES)[number]

/** @returns the scopes among these words, in their usual order */
export function knownScopes(words: readonly string[]): Scope[] {
  return SCOPES.filter((scope) => words.includes(scope))
}

/** The user who sent a request, as their token says. */
export interface Caller {
  /** The token's subject. */
  id: string
  /** When the token was issued, in seconds since 1970; null if it does not say. */
  issuedAt: number | null
  /** When the token expires, in seconds since 1970; infinity: never. */
  expiresAt: number
  /** The session that one of Taskwell's own tokens belongs to. */
  sessionId: string | null
  /** The token for programs that was sent; null: it was a JWT. */
  tokenId: number | null
  /** What the token may be used for; null: everything that its user may do. */
  scopes: readonly Scope[] | null
}
