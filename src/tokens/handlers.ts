/** The handlers of tokens for programs. */
import { newApiToken } from '../auth/api-token'
import { type Caller, knownScopes } from '../auth/caller'
import type { Services, SignedIn } from '../auth/guard'
import { hashOf } from '../auth/random-secret'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { invalid, Problem } from '../http/problems'
import { type ApiToken, type ApiTokenCreate, MAX_TOKENS, type NewApiToken, toApiToken } from './model'
import * as queries from './queries'

/** In milliseconds. */
const DAY = 86_400_000
const USUAL_LIFE = 90 * DAY
/** In milliseconds: a client that counts a year on its own clock may be ahead of ours. */
const CLOCK_TOLERANCE = 60_000

export function createTokenHandlers({ forgetApiTokens }: Services) {
  const remove = async ({
    params,
    caller,
    sql,
    set,
  }: SignedIn & { params: { id: number } }): Promise<void> => {
    const isDone = await queries.deleteToken(sql, caller, params.id)
    if (!isDone) {
      await refuseEnded(sql, caller)
      throw new Problem('TOKEN_NOT_FOUND')
    }
    forgetApiTokens()
    set.status = 204
  }
  return { list, create, remove }
}

async function list({ caller, sql }: SignedIn): Promise<ApiToken[]> {
  const tokens = await queries.listTokens(sql, caller)
  if (tokens.length === 0) await refuseEnded(sql, caller)
  return tokens.map(toApiToken)
}

async function create({ body, caller, sql, set }: SignedIn & { body: ApiTokenCreate }): Promise<NewApiToken> {
  const token = newApiToken()
  const row = {
    name: body.name,
    scopes: knownScopes(body.scopes),
    tokenHash: hashOf(token),
    lastFour: token.slice(-4),
    expiresAt: expiryOf(body),
  }
  // a second try, because another first write of the user may come between
  const made =
    (await queries.createToken(sql, caller, row, MAX_TOKENS)) ??
    (await queries.createToken(sql, caller, row, MAX_TOKENS))
  if (made === undefined) throw refuseToken('revoked')
  if (made === 'too many') throw new Problem('TOO_MANY')
  set.status = 201
  set.headers['cache-control'] = 'no-store'
  return { ...toApiToken(made), token }
}

/** @throws Problem VALIDATION_ERROR */
function expiryOf({ expires_at }: ApiTokenCreate): string | null {
  if (expires_at === null) return null
  if (expires_at === undefined) return new Date(Date.now() + USUAL_LIFE).toISOString()
  const latest = new Date()
  latest.setUTCFullYear(latest.getUTCFullYear() + 1)
  const moment = Date.parse(expires_at)
  if (moment > Date.now() && moment <= latest.getTime() + CLOCK_TOLERANCE) {
    return new Date(moment).toISOString()
  }
  throw invalid({
    in: 'body',
    pointer: '/expires_at',
    detail: 'must be in the future, and at most a year from now',
  })
}

/** @throws Problem TOKEN_INVALID for a deleted user or an ended session */
async function refuseEnded(sql: Sql, caller: Caller): Promise<void> {
  if (!(await queries.isCallerAlive(sql, caller))) throw refuseToken('revoked')
}
