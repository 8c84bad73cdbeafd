/** The handlers of signing in: tokens are given for an e-mail address and password, and for a refresh token. */
import type { Services, SignedIn } from '../auth/guard'
import { hashOf, newSecret } from '../auth/random-secret'
import { refuseToken } from '../auth/refusal'
import { signAccessToken, type TokenSettings } from '../auth/token'
import { Problem } from '../http/problems'
import { inTime } from '../http/request-context'
import type { Credentials, RefreshToken, Registration, Tokens } from './model'
import { fold, hashPassword, isOutdated, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'

/** The context of a handler whose caller is not signed in. */
type Anonymous<Body> = Omit<SignedIn, 'caller'> & { body: Body }

export function createSignInHandlers({ rateLimiter }: Services, settings: TokenSettings) {
  /** @returns the tokens, in the form of RFC 6749 section 5.1 */
  async function answer(
    { set }: Pick<SignedIn, 'set'>,
    refreshToken: string,
    { session_id, ...user }: queries.SessionRow,
  ): Promise<Tokens> {
    set.headers['cache-control'] = 'no-store'
    return {
      access_token: await signAccessToken(user.id, settings, session_id),
      token_type: 'bearer',
      expires_in: settings.jwtExpireMinutes * 60,
      refresh_token: refreshToken,
      user,
    }
  }

  const register = async (context: Anonymous<Registration>): Promise<Tokens> => {
    const { body, sql, request, set } = context
    const { email, password, name = null } = body
    refuseGuessable(password, email, '/password')
    await rateLimiter.password(context, fold(email))
    const refreshToken = newSecret()
    const account = await queries.createAccount(sql, {
      userId: Bun.randomUUIDv7(),
      email,
      name,
      passwordHash: await inTime(request, hashPassword(password), 'OVERLOADED'),
      ...newSession(refreshToken, request),
    })
    if (!account) throw new Problem('EMAIL_TAKEN')
    set.status = 201
    return answer(context, refreshToken, account)
  }

  const login = async (context: Anonymous<Credentials>): Promise<Tokens> => {
    const { body, sql, request } = context
    const { email, password } = body
    await rateLimiter.password(context, fold(email))
    const account = await queries.findByEmail(sql, email)
    const isRight = await inTime(request, verifyPassword(password, account?.password_hash), 'OVERLOADED')
    if (!account || !isRight) throw new Problem('INVALID_CREDENTIALS')
    const refreshToken = newSecret()
    const session = await queries.createSession(sql, {
      userId: account.user_id,
      email: account.email,
      passwordHash: account.password_hash,
      nextPasswordHash: isOutdated(account.password_hash)
        ? await inTime(request, hashPassword(password), 'OVERLOADED')
        : null,
      ...newSession(refreshToken, request),
    })
    if (!session) throw new Problem('INVALID_CREDENTIALS')
    return answer(context, refreshToken, session)
  }

  const refresh = async (context: Anonymous<RefreshToken>): Promise<Tokens> => {
    const { body, sql, request } = context
    const refreshToken = newSecret()
    const session = await queries.rotateToken(sql, {
      tokenHash: hashOf(body.refresh_token),
      nextTokenHash: hashOf(refreshToken),
      userAgent: userAgentOf(request),
    })
    if (!session) throw refuseToken('refresh_token')
    return answer(context, refreshToken, session)
  }

  const logout = async ({ body, sql, set }: Anonymous<RefreshToken>): Promise<void> => {
    await queries.endSessionOf(sql, hashOf(body.refresh_token))
    set.status = 204
  }

  return { register, login, refresh, logout }
}

function newSession(refreshToken: string, request: Request): queries.NewSession {
  return {
    sessionId: Bun.randomUUIDv7(),
    tokenHash: hashOf(refreshToken),
    userAgent: userAgentOf(request),
  }
}

const MAX_USER_AGENT = 255

function userAgentOf({ headers }: Request): string | null {
  return headers.get('user-agent')?.slice(0, MAX_USER_AGENT).toWellFormed() || null
}
