/** The SQL that the guard and the features need of a user's row. */
import type { Batchable } from '../database/batch'
import type { Sql } from '../database/sql'
import type { Caller } from './caller'

/** Whether the caller has been deleted since the token was issued. */
export async function isDeleted(sql: Sql, { id, issuedAt }: Caller): Promise<boolean> {
  const [deleted] = await sql<{ id: string }[]>`
    -- isDeleted
    select id from users where id = ${id} and refuses_token(refuse_tokens_until, ${issuedAt})`
  return deleted !== undefined
}

/**
 * The same for a row that has been read.
 *
 * @param refuseTokensUntil in seconds since 1970; null: no token is refused
 */
export function isRefused({ issuedAt }: Pick<Caller, 'issuedAt'>, refuseTokensUntil: number | null): boolean {
  return refuseTokensUntil !== null && (issuedAt === null || issuedAt <= refuseTokensUntil)
}

export interface UserState {
  /** How many changes the user has made. */
  revision: number
  /** The newest revision among the tombstones that have been purged. */
  purged_revision: number
  /** PostgreSQL's version of the row. After a restore from a backup a revision may stand for other tasks than before. */
  version: string | null
  refuse_tokens_until: number | null
}

/** @returns the users that exist */
export async function findUsers(
  sql: Sql,
  ids: readonly string[],
): Promise<readonly (UserState & { id: string })[]> {
  return sql<(UserState & { id: string })[]>`
    -- findUsers
    select id, revision, purged_revision, xmin::text as version,
      extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until
    from users where id = any (${ids}::text[])`
}

/** Reads a user's row; gives null if the user has never written. */
export const userState: Batchable<string, UserState | null> = {
  async forMany(sql, ids) {
    const found = new Map((await findUsers(sql, ids)).map((user) => [user.id, user]))
    return ids.map((id) => found.get(id) ?? null)
  },
  forOne: async (sql, id) => (await userState.forMany(sql, [id]))[0] ?? null,
}
