/** Deletes expired sessions and refresh tokens. */
import { PURGE_BATCH, type Sql } from '../database/sql'

// `now()` lets PostgreSQL use the index of `expires_at`, and the order makes sure that it does

/** Deletes a batch of expired sessions, with their refresh tokens. @returns whether there may be more */
export async function purgeSessions(sql: Sql): Promise<boolean> {
  const purged = await sql<{ id: string }[]>`
    -- purgeSessions
    delete from sessions
    where id = any (array(
      select id from sessions where expires_at < now() order by expires_at limit ${PURGE_BATCH}
      -- rows that another process has locked are left to it
      for update skip locked
    ))
    returning id`
  return purged.length === PURGE_BATCH
}

/**
 * Deletes a batch of expired refresh tokens. It has its own statement, which never waits for a lock, so no deadlock is
 * possible.
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
