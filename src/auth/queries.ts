/** The SQL of who is calling. */
import type { Sql } from '../database/sql'
import type { Caller } from './verify'

/** Whether the caller's token is older than the end of its user. */
export async function isDeleted(sql: Sql, { id, issuedAt }: Caller): Promise<boolean> {
  const [deleted] = await sql<{ id: string }[]>`
    -- isDeleted
    select id from users where id = ${id} and refuses_token(refuse_tokens_until, ${issuedAt})`
  return deleted !== undefined
}
