/** The SQL of drafts. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { IdempotencyKey } from '../http/idempotency'
import type { MaybeRow, TaskRow } from './model'
import { isKeyUsed } from './queries'

export interface OwnerState {
  /** 0 for a user who has never written. */
  owner_revision: number
  /** The database's clock, RFC 3339; SafeQL takes it for nullable. */
  now: string | null
  /** In seconds since 1970: the owner's tokens issued up to then are refused; null: none is. */
  refuse_tokens_until: number | null
}

/**
 * Reads tasks and their steps, but not those that were deleted for good.
 *
 * @returns rows that all have the owner's state; one without a task if there is none
 */
export async function readTasks(
  sql: Sql,
  owner: string,
  ids: readonly number[],
): Promise<readonly (MaybeRow & OwnerState)[]> {
  return sql<(MaybeRow & OwnerState)[]>`
    -- readTasks
    with owner as (
      select coalesce(max(revision), 0) as owner_revision, max(refuse_tokens_until) as refuse_tokens_until,
        clock_timestamp()::timestamptz(3) as now
      from users where id = ${owner}
    )
    select wanted.*, owner_revision, now,
      extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until
    from owner
    left join tasks as wanted on wanted.user_id = ${owner} and not wanted.ended
      and (wanted.id = any (${ids}::bigint[]) or wanted.parent_id is not null and wanted.parent_id = any (${ids}::bigint[]))`
}

/** @returns ids for new tasks, ascending */
export async function reserveIds(sql: Sql, count: number): Promise<number[]> {
  // SafeQL takes what a function gives for nullable
  const rows = await sql<{ id: number | null }[]>`
    -- reserveIds
    select nextval(pg_get_serial_sequence('tasks', 'id')::regclass)::bigint as id from generate_series(1, ${count}::integer)`
  return rows.flatMap(({ id }) => id ?? [])
}

export async function hasList(sql: Sql, owner: string, id: number): Promise<boolean> {
  const found = await sql<{ id: number }[]>`
    -- hasList
    select id from lists where user_id = ${owner} and id = ${id}`
  return found.length > 0
}

/**
 * @param except tasks that do not count
 * @returns the names of those tags that the owner has, as they are spelled
 */
export async function findSpellings(
  sql: Sql,
  owner: string,
  names: readonly string[],
  except: readonly number[],
): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    -- findSpellings
    select stored.name from unnest(${names}::text[]) as given,
      lateral (
        select name from task_tags
        where user_id = ${owner} and key = tag_key(given) and not task_id = any (${except}::bigint[])
        -- so that the planner takes the index even if it expects many
        order by user_id, key, task_id limit 1
      ) as stored`
  return rows.map(({ name }) => name)
}

/** What is next to a place in the user's order. Those that were moved have a position; the others go by their ids. */
export interface Neighbours {
  previous_position: string | null
  previous_id: number | null
  next_position: string | null
  next_id: number | null
  /** The user's highest id. */
  newest: number | null
}

/**
 * @param place a position
 * @param idUpTo the highest id whose own position is not after the place
 * @param isTaken whether a task of this id has the place itself
 * @param except tasks that do not count
 */
export async function findNeighbours(
  sql: Sql,
  owner: string,
  { place, idUpTo, isTaken }: { place: string; idUpTo: number; isTaken: boolean },
  except: readonly number[],
): Promise<Neighbours> {
  return exactlyOne(
    await sql<Neighbours[]>`
      -- findNeighbours
      with moved as not materialized (
        select position from tasks
        where user_id = ${owner} and position is not null and not id = any (${except}::bigint[])
      ), unmoved as not materialized (
        select id from tasks
        where user_id = ${owner} and position is null and not ended and not id = any (${except}::bigint[])
      )
      select
        (select position from moved where position < ${place} order by position desc limit 1) as previous_position,
        (select id from unmoved where id <= ${idUpTo}::bigint - ${isTaken}::boolean::integer order by id desc limit 1) as previous_id,
        (select position from moved where position > ${place} order by position limit 1) as next_position,
        (select id from unmoved where id > ${idUpTo} order by id limit 1) as next_id,
        (select id from tasks where user_id = ${owner} order by id desc limit 1) as newest`,
  )
}

/** What a draft stores. */
export interface Writing {
  /** The owner's revision when the draft began. */
  expected: number
  /** The owner's new revision. */
  revision: number
  rows: readonly TaskRow[]
  idempotency: IdempotencyKey | undefined
  /** The JSON to be answered again to the same key. */
  answer: string | null
}

/**
 * Stores the rows if the owner has not changed anything since the draft began; then all that the draft has read is still true.
 *
 * @returns `stale` if the owner has, or the token is one of a deleted user
 */
export async function writeDraft(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  { expected, revision, rows, idempotency, answer }: Writing,
): Promise<'written' | 'stale' | 'key used'> {
  const { key, fingerprint } = idempotency ?? { key: null, fingerprint: null }
  const ids = rows.map(({ id }) => id)
  const written = await sql<{ id: string }[]>`
    -- writeDraft
    with owner as (
      insert into users (id, revision) values (${owner}, ${revision})
      on conflict (id) do update set revision = ${revision}
      where users.revision = ${expected} and not refuses_token(users.refuse_tokens_until, ${issuedAt})
      returning id
    ), content as materialized (
      select given.* from owner, json_populate_recordset(null::tasks, ${JSON.stringify(rows)}::text::json) as given
    ), changed as (
      update tasks set (
        title, description, completed, completed_at, priority, due_date, due_time, time_zone, due_at, overdue_at,
        reminders, remind_at, repeat, repeat_from, next_id, tags, list_id, parent_id, has_steps, position,
        deleted_at, deleted_with_parent, ended, updated_at, revision
      ) = (
        content.title, content.description, content.completed, content.completed_at, content.priority, content.due_date,
        content.due_time, content.time_zone, content.due_at, content.overdue_at, content.reminders, content.remind_at,
        content.repeat, content.repeat_from, content.next_id, content.tags, content.list_id, content.parent_id,
        content.has_steps, content.position, content.deleted_at, content.deleted_with_parent, content.ended,
        content.updated_at, content.revision
      )
      from content
      -- the ids once more, or the planner may go through all tasks of the user
      where tasks.user_id = ${owner} and tasks.id = content.id and tasks.id = any (${ids}::bigint[])
      returning tasks.id
    ), created as (
      insert into tasks (
        user_id, id, title, description, completed, completed_at, priority, due_date, due_time, time_zone, due_at,
        overdue_at, reminders, remind_at, repeat, repeat_from, next_id, tags, list_id, parent_id, has_steps, position,
        deleted_at, deleted_with_parent, ended, created_at, updated_at, revision
      ) overriding system value
      select
        ${owner}, id, title, description, completed, completed_at, priority, due_date, due_time, time_zone, due_at,
        overdue_at, reminders, remind_at, repeat, repeat_from, next_id, tags, list_id, parent_id, has_steps, position,
        deleted_at, deleted_with_parent, ended, created_at, updated_at, revision
      from content
      where not exists (
        select from tasks
        where tasks.user_id = ${owner} and tasks.id = content.id and tasks.id = any (${ids}::bigint[])
      )
      returning id
    ), claimed as (
      -- if the key has been used, also by a concurrent request, this fails and undoes the whole statement
      insert into idempotency_keys (user_id, key, fingerprint, answer)
      select id, ${key}, ${fingerprint}, ${answer}::text::json
      from owner
      where ${key}::text is not null
      returning key
    )
    select id from owner`.catch((error: unknown) => {
    if (isKeyUsed(error)) return undefined
    throw error
  })
  if (written === undefined) return 'key used'
  return written.length > 0 ? 'written' : 'stale'
}
