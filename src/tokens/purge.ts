/** Deletes tokens that expired long ago. */
import { PURGE_BATCH, type Sql } from '../database/sql'

/** Deletes a batch of tokens that expired more than 30 days ago. @returns whether there may be more */
export async function purgeTokens(sql: Sql): Promise<boolean> {
  const purged = await sql<{ id: number }[]>`
    -- purgeTokens
    delete from api_tokens
    where token_hash = any (array(
      -- with now() PostgreSQL can use the index
      select token_hash from api_tokens where expires_at < now() - interval '30 days' order by expires_at limit ${PURGE_BATCH}
      for update skip locked
    ))
    returning id`
  return purged.length === PURGE_BATCH
}
