/** The SQL of tokens for programs: a function for each statement. */
import type { Caller, Scope } from '../auth/caller'
import type { Batchable } from '../database/batch'
import type { Sql } from '../database/sql'
import type { TokenRow } from './model'

export interface NewToken {
  name: string
  scopes: readonly Scope[]
  tokenHash: Buffer
  lastFour: string
  /** Null: it does not expire. */
  expiresAt: string | null
}

/**
 * Stores a token, and the user if this is their first write. Of the user's expired ones, the newest 50 are kept.
 *
 * @param most how many tokens the user may have that have not expired
 * @returns undefined if the user was deleted, the session has ended, or another first write of the user came between
 */
export async function createToken(
  sql: Sql,
  { id: owner, issuedAt, sessionId }: Caller,
  { name, scopes, tokenHash, lastFour, expiresAt }: NewToken,
  most: number,
): Promise<TokenRow | 'too many' | undefined> {
  const [made] = await sql<(TokenRow & { is_full: boolean | null })[]>`
    -- createToken
    with created as (
      insert into users (id) values (${owner})
      on conflict (id) do nothing
      returning id
    ), known as (
      -- tokens of one user are made one after the other, so that the count is right
      select id from users where id = ${owner} for no key update
    ), owner as (
      select id from created
      union all
      select id from known where caller_lives(id, ${issuedAt}, ${sessionId}::uuid)
    ), counted as (
      select id, count_api_tokens(id) as living from owner
    ), old as (
      delete from api_tokens
      where user_id = ${owner} and id = any (array(
        select id from api_tokens
        where user_id = ${owner} and expires_at <= now()
        order by expires_at desc
        offset 50
      ))
    ), made as (
      insert into api_tokens (user_id, name, scopes, token_hash, last_four, created_at, expires_at)
      select id, ${name}, ${scopes}::text[], ${tokenHash}, ${lastFour}, clock_timestamp(), ${expiresAt}::timestamptz
      from counted
      where living < ${most}
      returning id, name, scopes, expires_at, created_at, last_used_at, last_four
    )
    select (living >= ${most})::boolean as is_full, made.*
    from counted
    left join made on true`
  if (!made) return undefined
  const { is_full, ...token } = made
  return is_full ? 'too many' : token
}

/** Reads the tokens of the caller, the newest first. There are none for a deleted user, or if the session has ended. */
export async function listTokens(sql: Sql, { id: owner, issuedAt, sessionId }: Caller): Promise<TokenRow[]> {
  const tokens = await sql<TokenRow[]>`
    -- listTokens
    select id, name, scopes, expires_at, created_at, last_used_at, last_four
    from api_tokens
    where user_id = ${owner} and (select caller_lives(${owner}, ${issuedAt}, ${sessionId}::uuid))
    order by id desc`
  // Elysia does not take the driver's own kind of array for JSON
  return [...tokens]
}

/** @returns false if the caller has no such token, was deleted, or the session has ended */
export async function deleteToken(
  sql: Sql,
  { id: owner, issuedAt, sessionId }: Caller,
  id: number,
): Promise<boolean> {
  const deleted = await sql<{ id: number }[]>`
    -- deleteToken
    delete from api_tokens
    where user_id = ${owner} and id = ${id} and (select caller_lives(${owner}, ${issuedAt}, ${sessionId}::uuid))
    returning id`
  return deleted.length > 0
}

/** Whether the caller has not been deleted, and the session goes on. */
export async function isCallerAlive(sql: Sql, { id, issuedAt, sessionId }: Caller): Promise<boolean> {
  const alive = await sql<{ is_alive: boolean }[]>`
    -- isCallerAlive
    select true as is_alive where caller_lives(${id}, ${issuedAt}, ${sessionId}::uuid)`
  return alive.length > 0
}

/** What a token stands for. */
export interface Grant {
  token_hash: Buffer
  user_id: string
  id: number
  scopes: string[]
  /** In seconds since 1970. */
  issued_at: number | null
  /** In seconds since 1970; null: it does not expire. */
  expires_at: number | null
  /** Whether its last use has to be noted. */
  is_due: boolean
}

/** Finds tokens by their hashes, in hexadecimal. */
export async function findGrants(sql: Sql, hashes: readonly string[]): Promise<readonly Grant[]> {
  return sql<Grant[]>`
    -- findGrants
    select token_hash, user_id, id, scopes,
      extract(epoch from created_at)::double precision as issued_at,
      extract(epoch from expires_at)::double precision as expires_at,
      coalesce(last_used_at < clock_timestamp() - interval '10 minutes', true) as is_due
    from api_tokens
    where token_hash = any (array(select decode(hash, 'hex') from unnest(${hashes}::text[]) as hash))`
}

/** Finds what a token stands for; gives null if there is no such token. */
export const grant: Batchable<string, Grant | null> = {
  async forMany(sql, hashes) {
    const found = new Map(
      (await findGrants(sql, hashes)).map((each) => [each.token_hash.toString('hex'), each]),
    )
    return hashes.map((hash) => found.get(hash) ?? null)
  },
  forOne: async (sql, hash) => (await grant.forMany(sql, [hash]))[0] ?? null,
}

/** Notes that a token is used, at most once in ten minutes. */
export async function noteUse(sql: Sql, { user_id, id }: Pick<Grant, 'user_id' | 'id'>): Promise<void> {
  await sql<{ id: number }[]>`
    -- noteUse
    update api_tokens set last_used_at = clock_timestamp()
    where user_id = ${user_id} and id = ${id}
      and coalesce(last_used_at < clock_timestamp() - interval '10 minutes', true)
    returning id`
}

/** @returns those of the tokens that were not deleted */
export async function findLiving(
  sql: Sql,
  userIds: readonly string[],
  ids: readonly number[],
): Promise<Set<number>> {
  const living = await sql<{ id: number }[]>`
    -- findLiving
    select api_tokens.id
    from unnest(${userIds}::text[], ${ids}::bigint[]) as asked (user_id, id)
    join api_tokens using (user_id, id)`
  return new Set(living.map(({ id }) => id))
}
