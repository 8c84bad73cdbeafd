/** Deletes reminders that were told. */
import { PURGE_BATCH, type Sql } from '../database/sql'

/**
 * Deletes a batch of those that were told more than a day ago: they are too late to be told again.
 *
 * @returns whether there may be more
 */
export async function purgeTold(sql: Sql): Promise<boolean> {
  const purged = await sql<{ id: number }[]>`
    -- purgeTold
    delete from told_reminders
    -- rows never change, so each stays where it is
    where ctid = any (array(
      -- with now() PostgreSQL can use the index
      select ctid from told_reminders where told_at < now() - interval '1 day' order by told_at limit ${PURGE_BATCH}
      for update skip locked
    ))
    returning id`
  return purged.length === PURGE_BATCH
}
