/** What each route of a user's own account does. */
import type { Services, SignedIn } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import { invalid, Problem } from '../http/problems'
import { inTime } from '../http/request-context'
import type { AccountDeletion, AccountUpdate, PasswordChange, Session, User } from './model'
import { fold, hashPassword, isSame, refuseGuessable, verifyPassword } from './passwords'
import * as queries from './queries'

export function createAccountHandlers({ rateLimiter }: Services) {
  /** An account gets no more tries here than at signing in. @throws Problem WRONG_PASSWORD, RATE_LIMITED or OVERLOADED */
  async function checkPassword(
    context: SignedIn,
    password: string,
    { email, password_hash }: queries.PasswordRow,
  ): Promise<void> {
    await rateLimiter.password(context, fold(email))
    const isRight = await inTime(context.request, verifyPassword(password, password_hash), 'OVERLOADED')
    if (!isRight) throw new Problem('WRONG_PASSWORD')
  }

  /** @throws Problem WRONG_PASSWORD, or the reason why there is no password to compare with */
  async function confirm(context: SignedIn, password: string): Promise<queries.PasswordRow> {
    const found = await queries.findPassword(context.sql, context.caller)
    if (!found) throw await whyRefused(context, new Problem('WRONG_PASSWORD'))
    await checkPassword(context, password, found)
    return found
  }

  const deleteUser = async (context: SignedIn & { body: AccountDeletion | undefined }): Promise<void> => {
    const { body, caller, sql, set } = context
    const found = await queries.findPassword(sql, caller)
    if (found) {
      if (body?.password === undefined)
        throw invalid({ in: 'body', pointer: '/password', detail: 'is required' })
      await checkPassword(context, body.password, found)
      const isDone = await queries.deleteAccount(sql, caller, found.password_hash)
      if (!isDone) throw await whyRefused(context, new Problem('WRONG_PASSWORD'))
    } else await deleteWithoutAccount(context)
    set.status = 204
  }

  const updateUser = async (context: SignedIn & { body: AccountUpdate }): Promise<User> => {
    const { body, caller, sql } = context
    checkUpdate(body)
    const { name, email, current_password: password } = body
    const passwordHash = password === undefined ? null : (await confirm(context, password)).password_hash
    const changed = await queries.updateAccount(sql, caller, { name, email, passwordHash })
    if (changed === 'email taken') throw new Problem('EMAIL_TAKEN')
    if (!changed) throw await whyRefused(context, new Problem('WRONG_PASSWORD'))
    return changed
  }

  const changePassword = async (context: SignedIn & { body: PasswordChange }): Promise<void> => {
    const { body, caller, sql, request, set } = context
    const { email, password_hash } = await confirm(context, body.current_password)
    refuseGuessable(body.new_password, email, '/new_password')
    const next = await inTime(request, hashPassword(body.new_password), 'OVERLOADED')
    const isChanged = await queries.updatePassword(sql, caller, password_hash, next)
    if (!isChanged) throw await whyRefused(context, new Problem('WRONG_PASSWORD'))
    set.status = 204
  }

  return { readUser, deleteUser, updateUser, changePassword, listSessions, endOtherSessions, endSession }
}

/** A statement has found nothing for the caller: the user was deleted, the session has ended, there is no account, or else. */
async function whyRefused({ sql, caller }: SignedIn, otherwise: Problem): Promise<Problem> {
  const { is_refused, has_account } = await queries.findCaller(sql, caller)
  if (is_refused) return refuseToken('revoked')
  return has_account ? otherwise : new Problem('ACCOUNT_NOT_FOUND')
}

async function readUser({ caller, sql }: SignedIn): Promise<User> {
  const { is_refused, email, name, known_since } = await queries.findCaller(sql, caller)
  if (is_refused) throw refuseToken('revoked')
  return { id: caller.id, email, name, created_at: known_since }
}

async function deleteWithoutAccount({ caller, sql }: SignedIn): Promise<void> {
  const { is_refused } = await queries.findCaller(sql, caller)
  if (is_refused) throw refuseToken('revoked')
  // the user's first write at the same moment may come between, once
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
    const { is_refused, has_account } = await queries.findCaller(sql, caller)
    if (is_refused) throw refuseToken('revoked')
    if (!has_account) throw new Problem('ACCOUNT_NOT_FOUND')
  }
  return sessions
}

async function endOtherSessions(context: SignedIn): Promise<void> {
  const isDone = await queries.endOtherSessions(context.sql, context.caller)
  if (!isDone) throw await whyRefused(context, refuseToken('revoked'))
  context.set.status = 204
}

async function endSession(context: SignedIn & { params: { id: string } }): Promise<void> {
  const isDone = await queries.endSession(context.sql, context.caller, context.params.id)
  if (!isDone) throw await whyRefused(context, new Problem('SESSION_NOT_FOUND'))
  context.set.status = 204
}
