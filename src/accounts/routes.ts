/** HTTP for accounts: oneself, and where one is signed in. */
import { Elysia, t } from 'elysia'
import { type Gate, SIGNED_IN_PROBLEMS, signedIn } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import type { Caller } from '../auth/verify'
import type { Sql } from '../database/sql'
import { BODY_PROBLEMS, jsonBody } from '../http/body'
import { invalid, Problem, problems } from '../http/problems'
import { inTime } from '../http/request-context'
import { NoQuery } from '../http/validation'
import type { Arrival } from '../limits/rate-limiter'
import { AccountUpdate, OptionalAccountDeletion, PasswordChange, Session, SessionParams, User } from './model'
import { fold, hashPassword, isSame, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'

const SIGNED_IN = [...SIGNED_IN_PROBLEMS, 'VALIDATION_ERROR', 'DATABASE_UNAVAILABLE'] as const
const WITH_ACCOUNT = [...SIGNED_IN, 'ACCOUNT_NOT_FOUND'] as const
const WITH_PASSWORD = [...BODY_PROBLEMS, 'WRONG_PASSWORD'] as const

const account = { tags: ['Account'] }

/** Why nothing was found for the caller: they are no longer one, have no account, or else. */
async function refusal(sql: Sql, caller: Caller, otherwise: Problem): Promise<Problem> {
  const { is_refused, has_account } = await queries.findCaller(sql, caller)
  if (is_refused) return refuseToken('revoked')
  return has_account ? otherwise : new Problem('ACCOUNT_NOT_FOUND')
}

/** @throws Problem WRONG_PASSWORD, RATE_LIMITED or OVERLOADED */
type RefuseWrong = (password: string, found: queries.PasswordRow) => Promise<void>

/** For one request: within its time, and with no more tries for an account than signing in has. */
function refuseWrongIn(gate: Gate, arrival: Arrival): RefuseWrong {
  return async (password, { email, password_hash }) => {
    await gate.rateLimiter.password(arrival, fold(email))
    const isRight = await inTime(arrival.request, verifyPassword(password, password_hash), 'OVERLOADED')
    if (!isRight) throw new Problem('WRONG_PASSWORD')
  }
}

/**
 * Has the caller confirm with their password.
 *
 * @throws Problem WRONG_PASSWORD, or why there is none to compare with
 */
async function confirm(
  sql: Sql,
  caller: Caller,
  password: string,
  refuseWrong: RefuseWrong,
): Promise<queries.PasswordRow> {
  const found = await queries.findPassword(sql, caller)
  if (!found) throw await refusal(sql, caller, new Problem('WRONG_PASSWORD'))
  await refuseWrong(password, found)
  return found
}

/** Below `/api/v1/users/me`: what every user has, whoever signs them in. */
export function userRoutes(gate: Gate, onDelete: (userId: string) => void) {
  return new Elysia()
    .use(signedIn(gate))
    .get(
      '/',
      async ({ caller, sql }): Promise<User> => {
        const { is_refused, email, name, known_since } = await queries.findCaller(sql, caller)
        if (is_refused) throw refuseToken('revoked')
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
      async (context) => {
        const { body, caller, sql, set } = context
        await deleteCaller(sql, caller, body?.password, refuseWrongIn(gate, context))
        onDelete(caller.id)
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

async function deleteCaller(
  sql: Sql,
  caller: Caller,
  password: string | undefined,
  refuseWrong: RefuseWrong,
): Promise<void> {
  const found = await queries.findPassword(sql, caller)
  if (found) {
    if (password === undefined) throw invalid({ in: 'body', pointer: '/password', detail: 'is required' })
    await refuseWrong(password, found)
    const isDone = await queries.deleteAccount(sql, caller, found.password_hash)
    if (!isDone) throw await refusal(sql, caller, new Problem('WRONG_PASSWORD'))
    return
  }
  const { is_refused } = await queries.findCaller(sql, caller)
  if (is_refused) throw refuseToken('revoked')
  // a user's first write at the same moment may come between, once
  const isDeleted = (await queries.deleteUser(sql, caller)) || (await queries.deleteUser(sql, caller))
  if (!isDeleted) throw refuseToken('revoked')
}

/** Below `/api/v1/users/me`: what only an account has. */
export function accountRoutes(gate: Gate) {
  return new Elysia()
    .use(signedIn(gate))
    .patch('/', async (context) => updateCaller(context, refuseWrongIn(gate, context)), {
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
      async (context) => {
        const { body, caller, sql, request, set } = context
        const refuseWrong = refuseWrongIn(gate, context)
        const { email, password_hash } = await confirm(sql, caller, body.current_password, refuseWrong)
        refuseGuessable(body.new_password, email, '/new_password')
        const next = await inTime(request, hashPassword(body.new_password), 'OVERLOADED')
        if (!(await queries.updatePassword(sql, caller, password_hash, next))) {
          throw await refusal(sql, caller, new Problem('WRONG_PASSWORD'))
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
      async ({ caller, sql }) => {
        const sessions = await queries.listSessions(sql, caller)
        const isGone = caller.sessionId !== null && !sessions.some(({ current }) => current)
        if (isGone || sessions.length === 0) {
          const { is_refused, has_account } = await queries.findCaller(sql, caller)
          if (is_refused) throw refuseToken('revoked')
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
      async ({ caller, sql, set }) => {
        if (!(await queries.endOtherSessions(sql, caller)))
          throw await refusal(sql, caller, refuseToken('revoked'))
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
      async ({ params, caller, sql, set }) => {
        if (!(await queries.endSession(sql, caller, params.id))) {
          throw await refusal(sql, caller, new Problem('SESSION_NOT_FOUND'))
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

interface UpdateCaller {
  sql: Sql
  caller: Caller
  body: AccountUpdate
}

async function updateCaller(
  { sql, caller, body: change }: UpdateCaller,
  refuseWrong: RefuseWrong,
): Promise<User> {
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
  const passwordHash =
    password === undefined ? null : (await confirm(sql, caller, password, refuseWrong)).password_hash
  const changed = await queries.updateAccount(sql, caller, { name, email, passwordHash })
  if (!changed) throw await refusal(sql, caller, new Problem('WRONG_PASSWORD'))
  return changed
}
