/** Why a token is refused. The answer says little; the log (at `debug`) and the metrics have the reason. */
import { errors } from 'jose'
import { type ErrorCode, Problem } from '../http/problems'

/** The reason in the log and the metrics, and the code in the answer. */
const CODES = {
  missing: 'TOKEN_MISSING',
  not_a_jwt: 'TOKEN_NOT_JWT',
  malformed: 'TOKEN_INVALID',
  type: 'TOKEN_INVALID',
  algorithm: 'TOKEN_INVALID',
  unknown_key: 'TOKEN_INVALID',
  signature: 'TOKEN_INVALID',
  issuer: 'TOKEN_INVALID',
  audience: 'TOKEN_INVALID',
  subject: 'TOKEN_INVALID',
  expiry_missing: 'TOKEN_INVALID',
  expired: 'TOKEN_EXPIRED',
  not_yet_valid: 'TOKEN_INVALID',
  // the user was deleted, or the session has ended
  revoked: 'TOKEN_INVALID',
  refresh_token: 'TOKEN_INVALID',
  // a token for programs that was deleted, or never made
  unknown_token: 'TOKEN_INVALID',
  ticket: 'TICKET_INVALID',
} as const satisfies Record<string, ErrorCode>

export type RefusalReason = keyof typeof CODES

/** What was expected, and what the token contains. */
interface RefusalDetails {
  expected: { algorithms: readonly string[]; issuers: readonly string[]; audiences: readonly string[] }
  found: Record<'algorithm' | 'key_id' | 'type' | 'issuer' | 'audience', string | undefined>
}

/** @returns the Problem to throw */
export function refuseToken(reason: RefusalReason, details?: RefusalDetails): Problem {
  return new Problem(CODES[reason], { refusal: { reason, ...details } })
}

const REASON_OF_CLAIM: Record<string, RefusalReason> = {
  iss: 'issuer',
  aud: 'audience',
  nbf: 'not_yet_valid',
  exp: 'expiry_missing',
}

/** @param error what jose throws; it names the claim that is wrong */
export function reasonOf(error: unknown): RefusalReason {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm'
  if (error instanceof errors.JWKSNoMatchingKey) return 'unknown_key'
  if (error instanceof errors.JWTClaimValidationFailed) return REASON_OF_CLAIM[error.claim] ?? 'malformed'
  return 'malformed'
}

/** What an unverified token says, for the log. Its sender may have made it up. */
export function describeToken(token: string): RefusalDetails['found'] {
  const [header, payload] = token.split('.', 2).map(decodePart)
  return {
    algorithm: toText(header?.['alg']),
    key_id: toText(header?.['kid']),
    type: toText(header?.['typ']),
    issuer: toText(payload?.['iss']),
    audience: toText(payload?.['aud']),
  }
}

function decodePart(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** In characters. */
const MAX_TEXT = 200

/** `aud` may be a list (RFC 7519 section 4.1.3). */
function toText(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  // terminals act on control characters, and JSON does not escape all of them
  return text.slice(0, MAX_TEXT).replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '\ufffd')
}
