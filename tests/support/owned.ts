/** What users own, in whatever table it is: a new table counts as soon as it has a `user_id`. */
import type { Pool } from '../../src/database/pool'

/** The tables of what users own, beside their accounts and sessions. */
export async function ownedTables(sql: Pool): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'user_id' and table_name not in ('accounts', 'sessions')
    order by 1`
  return tables.map(({ name }) => name)
}

/** @returns a function that deletes all that a user owns, but not the user */
export async function forgetter(sql: Pool): Promise<(userId: string) => Promise<void>> {
  const tables = await ownedTables(sql)
  const deletions = (userId: string) =>
    tables.map((table) => `delete from ${table} where user_id = '${userId}'`)
  // tests do this thousands of times, so it is one round trip
  return async (userId) => void (await sql.unsafe(deletions(userId).join(';')).simple())
}

/** Lets the numbers of new rows begin there, in every table that numbers its rows. */
export async function numberFrom(sql: Pool, start: number): Promise<void> {
  await sql`
    select setval(pg_get_serial_sequence(table_name, column_name), ${start}::bigint, false)
    from information_schema.columns where table_schema = 'public' and is_identity = 'YES'`
}
