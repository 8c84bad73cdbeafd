/** HTTP for accounts: signing in, oneself, and where one is signed in. */
import { Elysia, t } from 'elysia'
import { SIGNED_IN_PROBLEMS, signedIn } from '../auth/plugin'
import { signAccessToken, type TokenSettings } from '../auth/token'
import type { Caller, Verify } from '../auth/verify'
import type { Sql } from '../database/connection'
import { BODY_PROBLEMS, jsonBody } from '../http/body'
import { type ErrorCode, invalid, Problem, problems } from '../http/problems'
import { NoQuery } from '../http/validation'
import {
  AccountUpdate,
  Credentials,
  OptionalAccountDeletion,
  PasswordChange,
  RefreshToken,
  Registration,
  Session,
  SessionParams,
  Tokens,
  User,
} from './model'
import { hashPassword, isOutdated, isSame, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'
import { hashOf, newRefreshToken } from './refresh-token'

const OPEN = ['VALIDATION_ERROR', 'DATABASE_UNAVAILABLE', ...BODY_PROBLEMS] as const

const signIn = { tags: ['Sign-in'] }

/** Below `/api/v1/auth`: from e-mail and password to tokens, and from tokens to newer ones. */
export function signInRoutes({ sql, settings }: { sql: Sql; settings: TokenSettings }) {
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
    .post(
      '/register',
      async ({ body: { email, password, name = null }, request, set }) => {
        refuseGuessable(password, email, '/password')
        const refreshToken = newRefreshToken()
        const account = await queries.createAccount(sql, {
          userId: Bun.randomUUIDv7(),
          email,
          name,
          passwordHash: await hashPassword(password),
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
        response: { 201: Tokens, ...problems(...OPEN, 'EMAIL_TAKEN', 'OVERLOADED') },
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
      async ({ body: { email, password }, request, set }) => {
        const account = await queries.findByEmail(sql, email)
        const isRight = await verifyPassword(password, account?.password_hash)
        if (!account || !isRight) throw new Problem('INVALID_CREDENTIALS')
        const refreshToken = newRefreshToken()
        const session = await queries.createSession(sql, {
          userId: account.user_id,
          email: account.email,
          passwordHash: account.password_hash,
          nextPasswordHash: isOutdated(account.password_hash) ? await hashPassword(password) : null,
          ...newSession(refreshToken, request),
        })
        if (!session) throw new Problem('INVALID_CREDENTIALS')
        return answer(refreshToken, session, set)
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: Credentials,
        response: { 200: Tokens, ...problems(...OPEN, 'INVALID_CREDENTIALS', 'OVERLOADED') },
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
      async ({ body, request, set }) => {
        const refreshToken = newRefreshToken()
        const session = await queries.rotateToken(sql, {
          tokenHash: hashOf(body.refresh_token),
          nextTokenHash: hashOf(refreshToken),
          userAgent: userAgentOf(request),
        })
        if (!session) throw new Problem('TOKEN_INVALID')
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
      async ({ body, set }) => {
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

const SIGNED_IN = [...SIGNED_IN_PROBLEMS, 'VALIDATION_ERROR', 'DATABASE_UNAVAILABLE'] as const
const WITH_ACCOUNT = [...SIGNED_IN, 'ACCOUNT_NOT_FOUND'] as const
const WITH_PASSWORD = [...BODY_PROBLEMS, 'WRONG_PASSWORD', 'OVERLOADED'] as const

const account = { tags: ['Account'] }

interface Deps {
  sql: Sql
  verify: Verify
}

/** Why nothing was found for the caller: they are no longer one, have no account, or else. */
async function refusal(sql: Sql, caller: Caller, otherwise: ErrorCode): Promise<Problem> {
  const { is_refused, has_account } = await queries.findCaller(sql, caller)
  if (is_refused) return new Problem('TOKEN_INVALID')
  return new Problem(has_account ? otherwise : 'ACCOUNT_NOT_FOUND')
}

/**
 * Has the caller confirm with their password.
 *
 * @throws Problem WRONG_PASSWORD, or why there is none to compare with
 */
async function confirm(sql: Sql, caller: Caller, password: string): Promise<queries.PasswordRow> {
  const found = await queries.findPassword(sql, caller)
  if (!found) throw await refusal(sql, caller, 'WRONG_PASSWORD')
  await refuseWrong(password, found)
  return found
}

async function refuseWrong(password: string, { password_hash }: queries.PasswordRow): Promise<void> {
  if (!(await verifyPassword(password, password_hash))) throw new Problem('WRONG_PASSWORD')
}

/** Below `/api/v1/users/me`: what every user has, whoever signs them in. */
export function userRoutes({ sql, verify }: Deps) {
  return new Elysia()
    .use(signedIn(verify))
    .get(
      '/',
      async ({ caller }): Promise<User> => {
        const { is_refused, email, name, known_since } = await queries.findCaller(sql, caller)
        if (is_refused) throw new Problem('TOKEN_INVALID')
        return { id: caller.id, email, name, created_at: known_since }
      },
      {
        query: NoQuery,
        response: { 200: User, ...problems(...SIGNED_IN) },
        detail: {
          ...account,
          operationId: 'readUser',
          summary: 'Read oneself',
          description: 'Of a user whom another issuer signs in, only the id is known, and since when.',
        },
      },
    )
    .delete(
      '/',
      async ({ body, caller, set }) => {
        await deleteCaller(sql, caller, body?.password)
        set.status = 204
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: OptionalAccountDeletion,
        response: { 204: t.Void(), ...problems(...SIGNED_IN, ...WITH_PASSWORD) },
        detail: {
          ...account,
          operationId: 'deleteUser',
          summary: 'Delete oneself',
          description:
            'With everything that the user owns, for good. An account needs its password; a user of another issuer ' +
            'has none. Tokens issued until now are refused from now on.',
        },
      },
    )
}

async function deleteCaller(sql: Sql, caller: Caller, password: string | undefined): Promise<void> {
  const found = await queries.findPassword(sql, caller)
  if (found) {
    if (password === undefined) throw invalid({ in: 'body', pointer: '/password', detail: 'is required' })
    await refuseWrong(password, found)
    const isDone = await queries.deleteAccount(sql, caller, found.password_hash)
    if (!isDone) throw await refusal(sql, caller, 'WRONG_PASSWORD')
    return
  }
  const { is_refused } = await queries.findCaller(sql, caller)
  if (is_refused) throw new Problem('TOKEN_INVALID')
  // a user's first write at the same moment may come between, once
  const isDeleted = (await queries.deleteUser(sql, caller)) || (await queries.deleteUser(sql, caller))
  if (!isDeleted) throw new Problem('TOKEN_INVALID')
}

/** Below `/api/v1/users/me`: what only an account has. */
export function accountRoutes({ sql, verify }: Deps) {
  return new Elysia()
    .use(signedIn(verify))
    .patch('/', async ({ body, caller }) => updateCaller(sql, caller, body), {
      ...jsonBody,
      query: NoQuery,
      body: AccountUpdate,
      response: { 200: User, ...problems(...WITH_ACCOUNT, ...WITH_PASSWORD, 'EMAIL_TAKEN') },
      detail: {
        ...account,
        operationId: 'updateUser',
        summary: 'Change name or e-mail address',
        description: 'Another e-mail address needs the current password, and ends all other sessions.',
      },
    })
    .post(
      '/password',
      async ({ body, caller, set }) => {
        const { email, password_hash } = await confirm(sql, caller, body.current_password)
        refuseGuessable(body.new_password, email, '/new_password')
        const next = await hashPassword(body.new_password)
        if (!(await queries.updatePassword(sql, caller, password_hash, next))) {
          throw await refusal(sql, caller, 'WRONG_PASSWORD')
        }
        set.status = 204
      },
      {
        ...jsonBody,
        query: NoQuery,
        body: PasswordChange,
        response: { 204: t.Void(), ...problems(...WITH_ACCOUNT, ...WITH_PASSWORD) },
        detail: {
          ...account,
          operationId: 'changePassword',
          summary: 'Change the password',
          description: 'Ends all other sessions; this one goes on.',
        },
      },
    )
    .get(
      '/sessions',
      async ({ caller }) => {
        const sessions = await queries.listSessions(sql, caller)
        const isGone = caller.sessionId !== null && !sessions.some(({ current }) => current)
        if (isGone || sessions.length === 0) {
          const { is_refused, has_account } = await queries.findCaller(sql, caller)
          if (is_refused) throw new Problem('TOKEN_INVALID')
          if (!has_account) throw new Problem('ACCOUNT_NOT_FOUND')
        }
        return sessions
      },
      {
        query: NoQuery,
        response: { 200: t.Array(Session), ...problems(...WITH_ACCOUNT) },
        detail: {
          ...account,
          operationId: 'listSessions',
          summary: 'List where one is signed in',
          description: 'The last used first.',
        },
      },
    )
    .delete(
      '/sessions',
      async ({ caller, set }) => {
        if (!(await queries.endOtherSessions(sql, caller))) throw await refusal(sql, caller, 'TOKEN_INVALID')
        set.status = 204
      },
      {
        query: NoQuery,
        response: { 204: t.Void(), ...problems(...WITH_ACCOUNT) },
        detail: {
          ...account,
          operationId: 'endOtherSessions',
          summary: 'Sign out everywhere else',
          description: 'Ends all sessions but the one that the request comes from.',
        },
      },
    )
    .delete(
      '/sessions/:id',
      async ({ params, caller, set }) => {
        if (!(await queries.endSession(sql, caller, params.id))) {
          throw await refusal(sql, caller, 'SESSION_NOT_FOUND')
        }
        set.status = 204
      },
      {
        params: SessionParams,
        query: NoQuery,
        response: { 204: t.Void(), ...problems(...WITH_ACCOUNT, 'SESSION_NOT_FOUND') },
        detail: {
          ...account,
          operationId: 'endSession',
          summary: 'Sign out somewhere',
          description:
            'A session of somebody else answers as one that does not exist. Access tokens of the session end when ' +
            'they expire.',
        },
      },
    )
}

async function updateCaller(sql: Sql, caller: Caller, change: AccountUpdate): Promise<User> {
  const { name, email, current_password: password } = change
  if (name === undefined && email === undefined) {
    throw invalid({ in: 'body', pointer: '', detail: 'must have a name or an e-mail address' })
  }
  if (email !== undefined && password === undefined) {
    throw invalid({ in: 'body', pointer: '/current_password', detail: 'is required' })
  }
  if (email !== undefined && password !== undefined && isSame(password, email)) {
    throw invalid({ in: 'body', pointer: '/email', detail: 'must be another than the password' })
  }
  const passwordHash = password === undefined ? null : (await confirm(sql, caller, password)).password_hash
  const changed = await queries.updateAccount(sql, caller, { name, email, passwordHash })
  if (!changed) throw await refusal(sql, caller, 'WRONG_PASSWORD')
  return changed
}
