/** Verifies bearer tokens. The settings say which keys are trusted, never the token. */
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose'
import type { QueryContext } from '../database/query-context'
import { Problem } from '../http/problems'
import { codePoints, isStorable } from '../http/schemas'
import type { Settings } from '../settings'
import { isApiToken, isWellFormed } from './api-token'
import { type Caller, knownScopes } from './caller'
import { anyOf, FETCH_DEADLINE, remoteKeys } from './keys'
import { describeToken, type RefusalReason, reasonOf, refuseToken } from './refusal'

/**
 * @param resource the address of a resource for which OAuth tokens are taken too (RFC 8707); left out, there is none
 * @returns for a remembered token the caller at once, without a promise
 */
export type Verify = (
  authorization: string | null,
  context: QueryContext,
  resource?: string,
) => Caller | Promise<Caller>

/** Looks up a well-formed token for programs. @throws Problem TOKEN_INVALID or TOKEN_EXPIRED */
export type FindByApiToken = (token: string, context: QueryContext) => Promise<Caller>

/** In seconds. Clocks differ. */
const CLOCK_TOLERANCE = 5
/** In characters. */
const MAX_TOKEN = 8192
/** How many verified tokens are remembered; verifying one costs 0.2 ms. */
const MAX_REMEMBERED = 10_000
/** In seconds. After that a token is verified again, because its key may have been withdrawn. */
const REMEMBERED_FOR = 600

const JWKS_ALGORITHMS = ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256']

/** Better Auth also signs sign-out notices and its session cache, which are no access tokens. */
const TOKEN_TYPE = /^(?:at\+)?jwt$/i

type AuthSettings = Pick<Settings, 'secret' | 'jwks' | 'issuers' | 'audiences'> &
  Partial<Pick<Settings, 'requestTimeoutMs'>>

interface Verified {
  caller: Caller
  /** Until when this may be remembered, in seconds since 1970. */
  until: number
}

/**
 * Makes the check for a header `Authorization`. Tokens for programs remember themselves, because they can be ended.
 *
 * @returns a function that gives the caller, or throws Problem TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID,
 *   TOKEN_NOT_JWT or KEYS_UNAVAILABLE
 */
export function createVerify(settings: AuthSettings, findByApiToken: FindByApiToken): Verify {
  let remembered = new Map<string, Verified>()
  const check = createCheck(settings, () => {
    remembered = new Map()
  })

  function recall(header: string): Caller | undefined {
    const known = remembered.get(header)
    return known && known.until > Date.now() / 1000 ? known.caller : undefined
  }
  async function verify(header: string, context: QueryContext, resource?: string): Promise<Caller> {
    const token = bearerToken(header)
    if (isApiToken(token)) return findByApiToken(token, context)
    if (resource !== undefined && isMeantFor(token, resource)) return (await check(token, resource)).caller
    // one spelling for all, so that one token cannot fill the memory
    const usual = `Bearer ${token}`
    const known = recall(usual)
    if (known) return known
    // if the keys change meanwhile, the outcome goes into a map that is no longer read
    const memory = remembered
    memory.delete(usual)
    const verified = await check(token)
    // a Map keeps the order of insertion, so the first is the oldest
    const [oldest] = memory.size < MAX_REMEMBERED ? [] : memory.keys()
    if (oldest !== undefined) memory.delete(oldest)
    memory.set(usual, verified)
    return verified.caller
  }
  // looked up by the whole header, because parsing it costs more than the rest; a token that also names the resource
  // may do less there than is remembered of it
  return (authorization, context, resource) =>
    (resource === undefined ? recall(authorization ?? '') : undefined) ??
    verify(authorization ?? '', context, resource)
}

/** RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1). */
function bearerToken(authorization: string): string {
  const [, token] = /^bearer +(\S.*)$/i.exec(authorization.trim()) ?? []
  if (token === undefined) throw refuseToken('missing')
  // two headers arrive joined by a comma, which no token has
  if (/[\s,]/.test(token) || token.length > MAX_TOKEN) throw refuseToken('malformed')
  if (isApiToken(token)) {
    if (!isWellFormed(token)) throw refuseToken('malformed')
    return token
  }
  if (token.split('.').length !== 3) throw refuseToken('not_a_jwt')
  // RFC 7515 section 2: no padding, which decoders let pass
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) throw refuseToken('malformed')
  return token
}

function createCheck(settings: AuthSettings, forget: () => void) {
  const { secret, jwks, issuers, audiences, requestTimeoutMs = Number.POSITIVE_INFINITY } = settings
  const secretKey = secret === undefined ? undefined : new TextEncoder().encode(secret)
  // leaves time for the answer
  const deadline = Math.min(FETCH_DEADLINE, requestTimeoutMs / 2)
  const findKey = jwks && anyOf(jwks.urls.map((url) => remoteKeys(url, { onChange: forget, deadline })))
  const common = { clockTolerance: CLOCK_TOLERANCE, requiredClaims: ['exp'] }
  const forSecret = { ...common, ...bind(issuers, audiences), algorithms: ['HS256'] }
  const forJwks = { ...common, ...bind(jwks?.issuers, jwks?.audiences), algorithms: JWKS_ALGORITHMS }

  async function verifiedPayload(token: string, resource: string | undefined): Promise<JWTPayload> {
    const { alg, typ } = decodeProtectedHeader(token)
    // `RegExp.test` would turn the list ["JWT"] into text and accept it
    const isToken = typ === undefined || (typeof typ === 'string' && TOKEN_TYPE.test(typ))
    if (!isToken) throw refuse('type', token)
    const bound = resource === undefined ? {} : { audience: resource }
    // each kind of key takes its own algorithms only, so a public key can never serve as an HMAC secret
    if (isSymmetric(alg) && secretKey)
      return (await jwtVerify(token, secretKey, { ...forSecret, ...bound })).payload
    if (!isSymmetric(alg) && findKey)
      return (await jwtVerify(token, findKey, { ...forJwks, ...bound })).payload
    throw refuse('algorithm', token)
  }
  function refuse(reason: RefusalReason, token: string): Problem {
    const found = describeToken(token)
    const { issuer = [], audience = [] } = isSymmetric(found.algorithm) ? forSecret : forJwks
    const algorithms = [...(secretKey ? forSecret.algorithms : []), ...(findKey ? forJwks.algorithms : [])]
    return refuseToken(reason, { expected: { algorithms, issuers: issuer, audiences: audience }, found })
  }

  return async (token: string, resource?: string): Promise<Verified> => {
    const payload = await verifiedPayload(token, resource).catch((error) => {
      throw error instanceof Problem ? error : refuse(reasonOf(error), token)
    })
    const verified = toVerified(payload)
    if (verified === undefined) throw refuse('subject', token)
    // RFC 9068 section 2.2.3: what the user has let the program do. At /mcp it has to be said, and so in a token that is also for
    // there. A token that is for elsewhere alone and names none of our scopes is as good as before there were any
    const scopes = knownScopes(String(payload['scope'] ?? '').split(' '))
    const { typ } = decodeProtectedHeader(token)
    const isForMcp =
      isOAuth(typ) && [payload.aud].flat().some((audience) => String(audience).endsWith('/mcp'))
    const isLimited = resource !== undefined || isForMcp || scopes.length > 0
    return isLimited ? { ...verified, caller: { ...verified.caller, scopes } } : verified
  }
}

function isOAuth(type: unknown): boolean {
  return typeof type === 'string' && type.toLowerCase() === 'at+jwt'
}

/** Whether the token says that it is an OAuth access token (RFC 9068) for this resource. It is not verified here. */
function isMeantFor(token: string, resource: string): boolean {
  try {
    const { typ } = decodeProtectedHeader(token)
    return isOAuth(typ) && [decodeJwt(token).aud].flat().includes(resource)
  } catch {
    return false
  }
}

function isSymmetric(algorithm: string | undefined): boolean {
  return algorithm?.startsWith('HS') ?? false
}

/** A claim is checked only if its setting is set. */
function bind(issuers: readonly string[] = [], audiences: readonly string[] = []) {
  return {
    ...(issuers.length > 0 && { issuer: [...issuers] }),
    ...(audiences.length > 0 && { audience: [...audiences] }),
  }
}

/** In seconds since 1970: the year 10000, beyond the times of RFC 3339. */
const LAST_MOMENT = 253_402_300_800

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i

/** @returns undefined if the token names no user */
function toVerified({ sub, userId, exp, iat, sid }: JWTPayload): Verified | undefined {
  const subject: unknown = sub === undefined || sub === '' ? userId : sub
  if (typeof subject !== 'string' || subject === '' || codePoints(subject) > 255 || !isStorable(subject)) {
    return undefined
  }
  // `requiredClaims` makes sure that `exp` is there
  const expires = (exp ?? 0) + CLOCK_TOLERANCE
  const caller = {
    id: subject,
    expiresAt: expires,
    // jose checks neither claim
    issuedAt: typeof iat === 'number' && iat >= 0 && iat < LAST_MOMENT ? iat : null,
    sessionId: typeof sid === 'string' && UUID.test(sid) ? sid : null,
    tokenId: null,
    scopes: null,
  }
  return { caller, until: Math.min(expires, Date.now() / 1000 + REMEMBERED_FOR) }
}
