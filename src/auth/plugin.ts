/** Makes a group of routes signed-in only. */
import { Elysia } from 'elysia'
import type { Sql } from '../database/connection'
import { Problem } from '../http/problems'
import { isDeleted } from './queries'
import type { Caller, Verify } from './verify'

/** What can go wrong before it is known who is calling. */
export const SIGNED_IN_PROBLEMS = [
  'TOKEN_MISSING',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'TOKEN_NOT_JWT',
  'KEYS_UNAVAILABLE',
] as const

/**
 * Gives every route after it `caller`. A derive, because it runs before the body is read and before validation: a
 * stranger is told 401 and nothing else.
 */
export function signedIn(verify: Verify) {
  return new Elysia({ name: 'signed-in' }).derive({ as: 'scoped' }, async ({ request }) => ({
    caller: await verify(request.headers.get('authorization')),
  }))
}

/**
 * The same, for routes that may have their owner in the path: `user_id` must be the caller, or `me`. Anybody else is
 * refused before anything is looked up, with Problem OWNER_MISMATCH.
 */
export function signedInOwner(verify: Verify) {
  return new Elysia({ name: 'signed-in-owner' }).derive({ as: 'scoped' }, async (context) => {
    const caller = await verify(context.request.headers.get('authorization'))
    // a path without parameters has no `params` at all, and their schema wants an object
    context.params ??= {}
    const { user_id: named = 'me' }: { user_id?: string } = context.params
    if (named !== 'me' && named !== caller.id) throw new Problem('OWNER_MISMATCH')
    return { caller }
  })
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
  if (await isDeleted(sql, caller)) throw new Problem('TOKEN_INVALID')
}
