/** HTTP for signing in: from e-mail and password to tokens, and from tokens to newer ones. */
import { Elysia, t } from 'elysia'
import { type Gate, signingIn } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import { signAccessToken, type TokenSettings } from '../auth/token'
import { BODY_PROBLEMS, jsonBody } from '../http/body'
import { Problem, problems } from '../http/problems'
import { inTime } from '../http/request-context'
import { NoQuery } from '../http/validation'
import { Credentials, RefreshToken, Registration, Tokens } from './model'
import { fold, hashPassword, isOutdated, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'
import { hashOf, newRefreshToken } from './refresh-token'

const OPEN = [
  'VALIDATION_ERROR',
  'RATE_LIMITED',
  'DATABASE_UNAVAILABLE',
  'OVERLOADED',
  ...BODY_PROBLEMS,
] as const

const signIn = { tags: ['Sign-in'] }

/** Below `/api/v1/auth`. */
export function signInRoutes(gate: Omit<Gate, 'verify'>, settings: TokenSettings) {
  /** RFC 6749 section 5.1. */
  async function answer(refreshToken: string, session: queries.SessionRow, set: { headers: object }) {
    const { session_id, ...user } = session
    Object.assign(set.headers, { 'cache-control': 'no-store' })
    return {
      access_token: await signAccessToken(user.id, settings, session_id),
      token_type: 'bearer' as const,
      expires_in: settings.jwtExpireMinutes * 60,
      refresh_token: refreshToken,
      user,
    }
  }

  return new Elysia()
    .use(signingIn(gate))
    .post(
      '/register',
      async (context) => {
        const { body, sql, request, set } = context
        const { email, password, name = null } = body
        refuseGuessable(password, email, '/password')
        await gate.rateLimiter.password(context, fold(email))
        const refreshToken = newRefreshToken()
        const account = await queries.createAccount(sql, {
          userId: Bun.randomUUIDv7(),
          email,
          name,
          passwordHash: await inTime(request, hashPassword(password), 'OVERLOADED'),
          ...newSession(refreshToken, request),
        })
        if (!account) throw new Problem('EMAIL_TAKEN')
        set.status = 201
        return answer(refreshToken, account, set)
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: Registration,
        response: { 201: Tokens, ...problems(...OPEN, 'EMAIL_TAKEN') },
        detail: {
          ...signIn,
          operationId: 'register',
          summary: 'Sign up',
          description: 'Makes an account, and signs it in.',
        },
      },
    )
    .post(
      '/login',
      async (context) => {
        const { body, sql, request, set } = context
        const { email, password } = body
        await gate.rateLimiter.password(context, fold(email))
        const account = await queries.findByEmail(sql, email)
        const isRight = await inTime(request, verifyPassword(password, account?.password_hash), 'OVERLOADED')
        if (!account || !isRight) throw new Problem('INVALID_CREDENTIALS')
        const refreshToken = newRefreshToken()
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
        return answer(refreshToken, session, set)
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: Credentials,
        response: { 200: Tokens, ...problems(...OPEN, 'INVALID_CREDENTIALS') },
        detail: {
          ...signIn,
          operationId: 'login',
          summary: 'Sign in',
          description: 'An address without an account answers as a wrong password does, and takes as long.',
        },
      },
    )
    .post(
      '/refresh',
      async ({ body, sql, request, set }) => {
        const refreshToken = newRefreshToken()
        const session = await queries.rotateToken(sql, {
          tokenHash: hashOf(body.refresh_token),
          nextTokenHash: hashOf(refreshToken),
          userAgent: userAgentOf(request),
        })
        if (!session) throw refuseToken('refresh_token')
        return answer(refreshToken, session, set)
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: RefreshToken,
        response: { 200: Tokens, ...problems(...OPEN, 'TOKEN_INVALID') },
        detail: {
          ...signIn,
          operationId: 'refresh',
          summary: 'Get new tokens',
          description:
            'A refresh token is good once. Within ten seconds of its use it gives one new pair more, for the answer ' +
            'may have been lost; later it ends the session.',
        },
      },
    )
    .post(
      '/logout',
      async ({ body, sql, set }) => {
        await queries.endSessionOf(sql, hashOf(body.refresh_token))
        set.status = 204
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: RefreshToken,
        response: { 204: t.Void(), ...problems(...OPEN) },
        detail: {
          ...signIn,
          operationId: 'logout',
          summary: 'Sign out',
          description: "Ends the token's session. A token that is not known, or no longer, is no error.",
        },
      },
    )
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
