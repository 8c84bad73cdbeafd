/** Deletes expired tickets. */
import { PURGE_BATCH, type Sql } from '../database/sql'

/** Deletes a batch of tickets that were not used in time. @returns whether there may be more */
export async function purgeTickets(sql: Sql): Promise<boolean> {
  const purged = await sql<{ user_id: string }[]>`
    -- purgeTickets
    delete from event_tickets
    where ticket_hash = any (array(
      -- with now() PostgreSQL can use the index
      select ticket_hash from event_tickets where expires_at < now() order by expires_at limit ${PURGE_BATCH}
      for update skip locked
    ))
    returning user_id`
  return purged.length === PURGE_BATCH
}
