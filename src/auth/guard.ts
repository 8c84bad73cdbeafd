/** Makes a group of routes signed-in only, and gives it the database. */
import { Elysia } from 'elysia'
import type { Database } from '../database/database'
import type { Sql } from '../database/sql'
import { Problem } from '../http/problems'
import { contextOf } from '../http/request-context'
import type { Arrival, RateLimiter } from '../limits/rate-limiter'
import { isDeleted } from './queries'
import { refuseToken } from './refusal'
import type { Caller, Verify } from './verify'

/** What stands before every route. */
export interface Gate {
  verify: Verify
  rateLimiter: RateLimiter
  database: Database
}

/** What can go wrong before it is known who is calling. */
export const SIGNED_IN_PROBLEMS = [
  'TOKEN_MISSING',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'TOKEN_NOT_JWT',
  'RATE_LIMITED',
  'KEYS_UNAVAILABLE',
  'OVERLOADED',
] as const

/**
 * Gives every route after it `caller`, and `sql`, which has the request's deadline. A derive, because it runs before
 * the body is read and before validation: a stranger is told 401 and nothing else.
 */
export function signedIn(gate: Gate) {
  return new Elysia({ name: 'signed-in' }).derive({ as: 'scoped' }, async ({ request, set }) => {
    const caller = await identify(gate, { request, set })
    const refuseTooMany = await gate.rateLimiter.user({ request, set }, caller.id)
    refuseTooMany()
    return { caller, sql: sqlOf(gate, request) }
  })
}

/**
 * The same, for routes that may have their owner in the path: `user_id` must be the caller, or `me`. Anybody else is
 * refused before anything is looked up, with Problem OWNER_MISMATCH.
 */
export function signedInOwner(gate: Gate) {
  return new Elysia({ name: 'signed-in-owner' }).derive({ as: 'scoped' }, async (context) => {
    const { request, set } = context
    const caller = await identify(gate, { request, set })
    const refuseTooMany = await gate.rateLimiter.user({ request, set }, caller.id)
    // a path without parameters has no `params` at all, and their schema wants an object
    context.params ??= {}
    const { user_id: named = 'me' }: { user_id?: string } = context.params
    if (named !== 'me' && named !== caller.id) throw new Problem('OWNER_MISMATCH')
    refuseTooMany()
    return { caller, sql: sqlOf(gate, request) }
  })
}

/** For routes that sign in: gives `sql`. */
export function signingIn(gate: Omit<Gate, 'verify'>) {
  return new Elysia({ name: 'signing-in' }).derive({ as: 'scoped' }, async ({ request, set }) => {
    await gate.rateLimiter.signIn({ request, set })
    return { sql: sqlOf(gate, request) }
  })
}

/** Whoever is refused counts for their address, so that users behind the same one are not held up by each other. */
async function identify({ verify, rateLimiter }: Gate, arrival: Arrival): Promise<Caller> {
  try {
    const caller = await verify(arrival.request.headers.get('authorization'))
    contextOf(arrival.request).userId = caller.id
    return caller
  } catch (refusal) {
    await rateLimiter.anonymous(arrival)
    throw refusal
  }
}

function sqlOf({ database }: Pick<Gate, 'database'>, request: Request): Sql {
  return database.sqlFor(contextOf(request))
}

/** What can go wrong before an owner's routes are reached. */
export const OWNER_PROBLEMS = [...SIGNED_IN_PROBLEMS, 'OWNER_MISMATCH', 'DATABASE_UNAVAILABLE'] as const

/**
 * For a request that has found nothing of its caller's: is that because the user was deleted? A statement that finds
 * something has asked `refuses_token` itself, for a user of another issuer may have come back with a newer token.
 *
 * @throws Problem TOKEN_INVALID
 */
export async function refuseDeleted(sql: Sql, caller: Caller): Promise<void> {
  if (await isDeleted(sql, caller)) throw refuseToken('revoked')
}
