/** Deletes expired tombstones, and answers that were kept for an `Idempotency-Key`. */
import { PURGE_BATCH, type Sql } from '../database/sql'

/*
 * Expired rows are found for all users and deleted for one user at a time: those rows are on one shard, if the database is
 * sharded by user. The statements use `now()`, because with `clock_timestamp()` PostgreSQL would not use the index.
 */

/**
 * Deletes a batch of tombstones. Up to their newest revision, the owner's changes are then incomplete; it is stored as
 * `users.purged_revision`.
 *
 * @param days how long a tombstone is kept
 * @returns whether there may be more
 */
export async function purgeTombstones(sql: Sql, days: number): Promise<boolean> {
  const due = await findDueTombstones(sql, days)
  let purged = 0
  for (const [owner, tombstones] of Map.groupBy(due, ({ user_id }) => user_id)) {
    const ids = tombstones.map(({ id }) => id)
    purged += await purgeTombstonesOf(sql, owner, ids, days)
  }
  return due.length === PURGE_BATCH && purged > 0
}

export async function findDueTombstones(sql: Sql, days: number): Promise<{ user_id: string; id: number }[]> {
  return sql<{ user_id: string; id: number }[]>`
    -- findDueTombstones
    select user_id, id from tasks
    where deleted_at < now() - make_interval(days => ${days})
    order by deleted_at
    limit ${PURGE_BATCH}`
}

/** @returns how many were deleted */
export async function purgeTombstonesOf(
  sql: Sql,
  owner: string,
  ids: readonly number[],
  days: number,
): Promise<number> {
  const purged = await sql<{ revision: number }[]>`
    -- purgeTombstonesOf
    with owner as (
      -- locked before the tasks, as in every write; a user who is writing now is skipped this time
      select id from users where id = ${owner} for no key update skip locked
    ), purged as (
      delete from tasks using owner
      where user_id = ${owner} and user_id = owner.id and tasks.id = any (${ids}::bigint[])
        -- checked again on the locked row: the task may have been restored
        and deleted_at < now() - make_interval(days => ${days})
      returning revision
    ), noted as (
      update users set purged_revision = greatest(users.purged_revision, newest.revision)
      from (select max(revision) as revision from purged) as newest
      where users.id = ${owner} and newest.revision is not null
      returning id
    )
    select revision from purged`
  return purged.length
}

/** Deletes a batch of expired keys with their answers. @returns whether there may be more */
export async function purgeIdempotencyKeys(sql: Sql): Promise<boolean> {
  const due = await findDueKeys(sql)
  for (const [owner, keys] of Map.groupBy(due, ({ user_id }) => user_id)) {
    await purgeKeysOf(
      sql,
      owner,
      keys.map(({ key }) => key),
    )
  }
  return due.length === PURGE_BATCH
}

export async function findDueKeys(sql: Sql): Promise<{ user_id: string; key: string }[]> {
  return sql<{ user_id: string; key: string }[]>`
    -- findDueKeys
    select user_id, key from idempotency_keys where expires_at < now() order by expires_at limit ${PURGE_BATCH}`
}

export async function purgeKeysOf(sql: Sql, owner: string, keys: readonly string[]): Promise<void> {
  await sql<{ key: string }[]>`
    -- purgeKeysOf
    delete from idempotency_keys
    where user_id = ${owner} and key = any (array(
      select key from idempotency_keys
      where user_id = ${owner} and key = any (${keys}::text[]) and expires_at < now()
      for update skip locked
    ))
    returning key`
}
