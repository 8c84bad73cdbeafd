/** The handlers of a user's own account. */
import type { Services, SignedIn } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import { invalid, Problem } from '../http/problems'
import { inTime } from '../http/request-context'
import type { AccountDeletion, AccountUpdate, PasswordChange, Session, User } from './model'
import { fold, hashPassword, isSame, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'

export function createAccountHandlers({ rateLimiter, forgetApiTokens }: Services) {
  /** Counts as a try to sign in. @throws Problem WRONG_PASSWORD, RATE_LIMITED or OVERLOADED */
  async function checkPassword(
    context: SignedIn,
    password: string,
    { email, password_hash }: queries.PasswordRow,
  ): Promise<void> {
    await rateLimiter.password(context, fold(email))
    const isRight = await inTime(context.request, verifyPassword(password, password_hash), 'OVERLOADED')
    if (!isRight) throw new Problem('WRONG_PASSWORD')
  }

  /** @throws as `checkPassword`, or as `findRefusal` if there is no password to compare with */
  async function confirm(context: SignedIn, password: string): Promise<queries.PasswordRow> {
    const found = await queries.findPassword(context.sql, context.caller)
    if (!found) throw await findRefusal(context, new Problem('WRONG_PASSWORD'))
    await checkPassword(context, password, found)
    return found
  }

  const deleteUser = async (context: SignedIn & { body: AccountDeletion | undefined }): Promise<void> => {
    const found = await queries.findPassword(context.sql, context.caller)
    await (found ? deleteWithAccount(context, found) : deleteWithoutAccount(context))
    forgetApiTokens()
    context.set.status = 204
  }

  async function deleteWithAccount(
    context: SignedIn & { body: AccountDeletion | undefined },
    found: queries.PasswordRow,
  ): Promise<void> {
    const { body, caller, sql } = context
    if (body?.password === undefined) {
      throw invalid({ in: 'body', pointer: '/password', detail: 'is required' })
    }
    await checkPassword(context, body.password, found)
    const isDone = await queries.deleteAccount(sql, caller, found.password_hash)
    if (!isDone) throw await findRefusal(context, new Problem('WRONG_PASSWORD'))
  }

  const updateUser = async (context: SignedIn & { body: AccountUpdate }): Promise<User> => {
    const { body, caller, sql } = context
    checkUpdate(body)
    const { name, email, current_password: password } = body
    const passwordHash = password === undefined ? null : (await confirm(context, password)).password_hash
    const changed = await queries.updateAccount(sql, caller, { name, email, passwordHash })
    if (changed === 'email taken') throw new Problem('EMAIL_TAKEN')
    if (!changed) throw await findRefusal(context, new Problem('WRONG_PASSWORD'))
    return changed
  }

  const changePassword = async (context: SignedIn & { body: PasswordChange }): Promise<void> => {
    const { body, caller, sql, request, set } = context
    const { email, password_hash } = await confirm(context, body.current_password)
    refuseGuessable(body.new_password, email, '/new_password')
    const next = await inTime(request, hashPassword(body.new_password), 'OVERLOADED')
    const endTokens = body.end_tokens ?? false
    const isChanged = await queries.updatePassword(sql, caller, {
      passwordHash: password_hash,
      nextPasswordHash: next,
      endTokens,
    })
    if (!isChanged) throw await findRefusal(context, new Problem('WRONG_PASSWORD'))
    if (endTokens) forgetApiTokens()
    set.status = 204
  }

  return { readUser, deleteUser, updateUser, changePassword, listSessions, endOtherSessions, endSession }
}

/** @throws Problem TOKEN_INVALID if the user was deleted or the session has ended */
async function readCaller({ sql, caller }: SignedIn): Promise<queries.CallerRow> {
  const row = await queries.findCaller(sql, caller)
  if (row.is_refused) throw refuseToken('revoked')
  return row
}

/**
 * Finds out why a statement has found nothing for the caller.
 *
 * @returns ACCOUNT_NOT_FOUND, or `otherwise` if there is an account
 * @throws Problem TOKEN_INVALID
 */
async function findRefusal(context: SignedIn, otherwise: Problem): Promise<Problem> {
  const { has_account } = await readCaller(context)
  return has_account ? otherwise : new Problem('ACCOUNT_NOT_FOUND')
}

async function readUser(context: SignedIn): Promise<User> {
  const { email, name, known_since } = await readCaller(context)
  return { id: context.caller.id, email, name, created_at: known_since }
}

async function deleteWithoutAccount(context: SignedIn): Promise<void> {
  const { caller, sql } = context
  await readCaller(context)
  // a second try, because the user's first write may come between the delete and the insert
  const isDeleted = (await queries.deleteUser(sql, caller)) || (await queries.deleteUser(sql, caller))
  if (!isDeleted) throw refuseToken('revoked')
}

function checkUpdate({ name, email, current_password: password }: AccountUpdate): void {
  if (name === undefined && email === undefined) {
    throw invalid({ in: 'body', pointer: '', detail: 'must have a name or an e-mail address' })
  }
  if (email !== undefined && password === undefined) {
    throw invalid({ in: 'body', pointer: '/current_password', detail: 'is required' })
  }
  if (email !== undefined && password !== undefined && isSame(password, email)) {
    throw invalid({ in: 'body', pointer: '/email', detail: 'must be another than the password' })
  }
}

async function listSessions(context: SignedIn): Promise<Session[]> {
  const { caller, sql } = context
  const sessions = await queries.listSessions(sql, caller)
  const isGone = caller.sessionId !== null && !sessions.some(({ current }) => current)
  if (isGone || sessions.length === 0) {
    const { has_account } = await readCaller(context)
    if (!has_account) throw new Problem('ACCOUNT_NOT_FOUND')
  }
  return sessions
}

async function endOtherSessions(context: SignedIn): Promise<void> {
  const isDone = await queries.endOtherSessions(context.sql, context.caller)
  if (!isDone) throw await findRefusal(context, refuseToken('revoked'))
  context.set.status = 204
}

async function endSession(context: SignedIn & { params: { id: string } }): Promise<void> {
  const isDone = await queries.endSession(context.sql, context.caller, context.params.id)
  if (!isDone) throw await findRefusal(context, new Problem('SESSION_NOT_FOUND'))
  context.set.status = 204
}
