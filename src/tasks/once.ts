/** Requests that may come again because their answer was lost. */
import type { Caller } from '../auth/caller'
import { refuseDeleted } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import type { IdempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { purgeKeysOf } from './purge'
import { findAnswer, type StoredAnswer } from './queries'

/**
 * Runs a request, or finds the first answer if it was sent before.
 *
 * @param run does the work and stores its answer with the key; undefined if the key has been used, or for a deleted user
 * @returns what `run` has given, or what was stored
 * @throws Problem IDEMPOTENCY_KEY_REUSED, or TOKEN_INVALID for a deleted user
 */
export async function onlyOnce<Answer>(
  sql: Sql,
  caller: Caller,
  key: IdempotencyKey | undefined,
  run: () => Promise<Answer | undefined>,
): Promise<{ answer: Answer; isReplay: boolean }> {
  const first = key && (await findFresh(sql, caller.id, key))
  if (!first) {
    const answer = await run().catch(async (error: unknown) => {
      // perhaps it failed because the same request, sent twice, has just done its work
      if (error instanceof Problem && key && (await findFresh(sql, caller.id, key))) return undefined
      throw error
    })
    if (answer !== undefined) return { answer, isReplay: false }
    await refuseDeleted(sql, caller)
    if (!key) throw refuseToken('revoked')
    // a concurrent request with this key has been answered
    return onlyOnce(sql, caller, key, run)
  }
  await refuseDeleted(sql, caller)
  if (!first.fingerprint.equals(key.fingerprint)) throw new Problem('IDEMPOTENCY_KEY_REUSED')
  // the fingerprint has the path, so the same route has stored it
  return { answer: first.answer as Answer, isReplay: true }
}

/** @returns the first answer; undefined if it was more than a day ago, and from then on its key can be used again */
async function findFresh(
  sql: Sql,
  owner: string,
  { key }: IdempotencyKey,
): Promise<StoredAnswer | undefined> {
  const first = await findAnswer(sql, owner, key)
  if (!first?.has_expired) return first
  await purgeKeysOf(sql, owner, [key])
  return undefined
}
