/** Deletes what has expired of accounts: sessions and refresh tokens. */
import type { Sql } from '../database/sql'

/**
 * How many rows one statement may take: locks are held for milliseconds only. Only `now()` lets it use the index, and
 * only the order makes sure that it does.
 */
const PURGE_BATCH = 1000

/** Deletes a batch of expired sessions, with their refresh tokens. @returns whether there may be more */
export async function purgeSessions(sql: Sql): Promise<boolean> {
  const purged = await sql<{ id: string }[]>`
    -- purgeSessions
    delete from sessions
    where id = any (array(
      select id from sessions where expires_at < now() order by expires_at limit ${PURGE_BATCH}
      -- another process is busy with those
      for update skip locked
    ))
    returning id`
  return purged.length === PURGE_BATCH
}

/**
 * Deletes a batch of expired refresh tokens. A statement of its own: it waits for nobody, so that nobody who waits for
 * it can be waited for.
 *
 * @returns whether there may be more
 */
export async function purgeRefreshTokens(sql: Sql): Promise<boolean> {
  const purged = await sql<{ session_id: string }[]>`
    -- purgeRefreshTokens
    delete from refresh_tokens
    where token_hash = any (array(
      select token_hash from refresh_tokens where expires_at < now() order by expires_at limit ${PURGE_BATCH}
      for update skip locked
    ))
    returning session_id`
  return purged.length === PURGE_BATCH
}
