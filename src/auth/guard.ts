/** Makes a group of routes signed-in only. */
import { Elysia } from 'elysia'
import type { Database } from '../database/database'
import type { Sql } from '../database/sql'
import { Problem } from '../http/problems'
import { type Answer, type Arrival, contextOf } from '../http/request-context'
import type { ServerState } from '../http/server-state'
import type { RateLimiter } from '../limits/rate-limiter'
import type { Metrics } from '../telemetry/metrics'
import type { Caller } from './caller'
import { isDeleted } from './queries'
import { refuseToken } from './refusal'
import { byMethod, type NeededScope, notForPrograms, requireScope } from './scopes'
import type { Verify } from './verify'

/** What the app gives to every feature. */
export interface Services {
  database: Database
  verify: Verify
  /** Called when tokens for programs have ended: what is remembered of them is no longer right. */
  forgetApiTokens(): void
  rateLimiter: RateLimiter
  serverState: ServerState
  metrics: Metrics | undefined
}

/** What a handler behind the guard is given, beside its input. */
export interface SignedIn {
  caller: Caller
  /** Runs statements within the request's deadline. */
  sql: Sql
  path: string
  request: Request
  set: Answer
}

/** The problems of a request until its caller is known, and let in. */
export const SIGNED_IN_PROBLEMS = [
  'TOKEN_MISSING',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'TOKEN_NOT_JWT',
  'INSUFFICIENT_SCOPE',
  'RATE_LIMITED',
  'KEYS_UNAVAILABLE',
  'OVERLOADED',
] as const

/** The same for routes that may have their owner in the path. */
export const OWNER_PROBLEMS = [...SIGNED_IN_PROBLEMS, 'OWNER_MISMATCH', 'DATABASE_UNAVAILABLE'] as const

/** Finds the sender of a request. @throws Problem if it has no good token, or what stands for one */
export type FindCaller = (request: Request) => Caller | Promise<Caller>

const byToken =
  ({ verify }: Services): FindCaller =>
  (request) =>
    verify(request.headers.get('authorization'), contextOf(request))

/**
 * Gives the routes after it `caller` and `sql`. A derive (Elysia traps 3 and 4, docs/elysia.md) runs before the body is
 * read and before validation, so a request without a good token gets 401 and learns nothing else. If the path has a `user_id`,
 * it must be the caller, or `me`. Any other is refused before anything is looked up, with Problem OWNER_MISMATCH.
 *
 * @param options.findCaller left out, only a token tells who is calling
 * @param options.needed what a token for programs has to be good for; left out, the method tells
 */
export function signedInOwner(
  services: Services,
  {
    findCaller = byToken(services),
    needed = byMethod,
  }: { findCaller?: FindCaller; needed?: NeededScope } = {},
) {
  return new Elysia({ name: 'signed-in-owner' }).derive({ as: 'scoped' }, async (context) => {
    const { request, set } = context
    const caller = await identify(services, findCaller, { request, set })
    const refuseTooMany = await services.rateLimiter.user({ request, set }, caller.id)
    // Elysia trap 16
    context.params ??= {}
    const { user_id: named = 'me' }: { user_id?: string } = context.params
    if (named !== 'me' && named !== caller.id) throw new Problem('OWNER_MISMATCH')
    requireScope(caller, needed(request))
    refuseTooMany()
    return { caller, sql: sqlOf(services, request) }
  })
}

/** The same for routes that are not for programs. */
export function signedIn(services: Services) {
  return signedInOwner(services, { needed: notForPrograms })
}

/** For routes that sign in: gives `sql`. */
export function signingIn(services: Services) {
  return new Elysia({ name: 'signing-in' }).derive({ as: 'scoped' }, async ({ request, set }) => {
    await services.rateLimiter.signIn({ request, set })
    return { sql: sqlOf(services, request) }
  })
}

/** A refused token counts for the client's address, so that users behind one address do not hold up each other. */
async function identify(
  { rateLimiter }: Services,
  findCaller: FindCaller,
  arrival: Arrival,
): Promise<Caller> {
  try {
    const caller = await findCaller(arrival.request)
    contextOf(arrival.request).userId = caller.id
    return caller
  } catch (refusal) {
    await rateLimiter.anonymous(arrival)
    throw refusal
  }
}

function sqlOf({ database }: Services, request: Request): Sql {
  return database.sqlFor(contextOf(request))
}

/**
 * Refuses a deleted caller. Handlers call it after a statement has found nothing, because the task may be missing or the
 * user deleted. Statements that find something check `refuses_token` themselves: a deleted user of another issuer may have
 * come back with a newer token, and then has rows again.
 *
 * @throws Problem TOKEN_INVALID
 */
export async function refuseDeleted(sql: Sql, caller: Caller): Promise<void> {
  if (await isDeleted(sql, caller)) throw refuseToken('revoked')
}
