/** The SQL of changes: what has a newer revision than a client knows. */
import type { UserState } from '../auth/queries'
import type { Caller } from '../auth/verify'
import type { Sql } from '../database/sql'
import type { MaybeRow, TaskRow } from '../tasks/model'
import type { Position } from './cursor'

/** The owner, and the tasks and tombstones with newer revisions, as of one moment. */
export interface ChangesRead extends Omit<UserState, 'version'> {
  changes: TaskRow[]
}

interface ChangesHead extends Omit<ChangesRead, 'revision' | 'changes'> {
  owner_revision: number
}

/** A task beside what is said of its owner, which stands alone if there is no task. */
type Beside<Head> = Head & MaybeRow

function tasksIn<Head>(rows: readonly Beside<Head>[]): TaskRow[] {
  return rows.filter((row): row is Head & TaskRow => row.id !== null)
}

/**
 * Changes in the order of their revisions, which is the order of their commits: what is not there yet has a higher one.
 *
 * @param position null begins: with what lives, and with no tombstones
 */
export async function readChanges(
  sql: Sql,
  { id }: Caller,
  position: Position | null,
  limit: number,
): Promise<ChangesRead> {
  const rows = await sql<Beside<ChangesHead>[]>`
    -- readChanges
    with owner as (
      select coalesce(max(revision), 0) as owner_revision, coalesce(max(purged_revision), 0) as purged_revision,
        max(refuse_tokens_until) as refuse_tokens_until
      from users where id = ${id}
    )
    select owner_revision, purged_revision,
      extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until, change.*
    from owner
    left join lateral (
      select * from tasks
      where user_id = ${id} and revision > ${position?.revision ?? 0}
        and (deleted_at is null or revision > coalesce(${position?.begun ?? null}, owner.owner_revision))
      order by revision
      limit ${limit}
    ) as change on true
    order by change.revision`
  const [head] = rows
  if (head === undefined) throw new Error('Changes have a head')
  const { owner_revision: revision, purged_revision, refuse_tokens_until } = head
  return { revision, purged_revision, refuse_tokens_until, changes: tasksIn(rows) }
}

export interface NewsRow {
  user_id: string
  revision: number
  /** Tokens issued up to then are refused, in seconds since 1970; null: none are. */
  refuse_tokens_until: number | null
  changes: TaskRow[]
}

/** For many users at once: who has a newer revision than is known, and the changes since. */
export async function readNews(
  sql: Sql,
  userIds: string[],
  revisions: number[],
  limit: number,
): Promise<NewsRow[]> {
  const rows = await sql<NewsOfTask[]>`
    -- readNews
    select users.id as owner, users.revision as owner_revision,
      extract(epoch from users.refuse_tokens_until)::double precision as refuse_tokens_until, change.*
    from unnest(${userIds}::text[], ${revisions}::bigint[]) as known (user_id, revision)
    join users on users.id = known.user_id and users.revision > known.revision
    left join lateral (
      select * from tasks
      where tasks.user_id = users.id and tasks.revision > known.revision
      order by tasks.revision
      -- a limit that the planner knows would have it read and sort all first
      limit (select ${limit}::bigint)
    ) as change on true`
  return [...Map.groupBy(rows, ({ owner }) => owner)].flatMap(([user_id, [head, ...others]]) => {
    if (head === undefined) return []
    const { owner_revision: revision, refuse_tokens_until } = head
    const changes = tasksIn([head, ...others]).sort((a, b) => a.revision - b.revision)
    return [{ user_id, revision, refuse_tokens_until, changes }]
  })
}

/** The head is beside each change, or alone. */
type NewsOfTask = Beside<{ owner: string; owner_revision: number; refuse_tokens_until: number | null }>

/** How many rows one statement may take: locks are held for milliseconds only. With `clock_timestamp()` instead of `now()`, the index would not be used. */
const PURGE_BATCH = 1000

/*
 * What is due is found for all users, and deleted for one user at a time: those rows are in one place, even if the
 * database is divided by user.
 */

/**
 * Deletes a batch of tombstones, and notes how far each owner's changes are no longer complete.
 *
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
      -- locked before the tasks, as every write does; a user who is writing now is left for another time
      select id from users where id = ${owner} for no key update skip locked
    ), purged as (
      delete from tasks using owner
      where user_id = ${owner} and user_id = owner.id and tasks.id = any (${ids}::bigint[])
        -- judged once more on the row as it is by now: it may have been restored
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

/** Deletes a batch of keys that no longer stand for an answer. @returns whether there may be more */
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
