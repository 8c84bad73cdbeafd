/** The SQL of changes: what has a newer revision than a client knows. */
import type { Caller } from '../auth/verify'
import { exactlyOne, type Sql } from '../database/sql'
import type { Task } from '../tasks/model'
import type { Position } from './cursor'

export interface ChangedTask extends Task {
  is_deleted: boolean
}

export interface ChangesRow {
  /** The owner's revision: there is nothing newer than this. */
  revision: number
  purged_revision: number
  /** The token is older than the end of its user. */
  is_refused: boolean
  /** null: none. */
  changes: ChangedTask[] | null
}

/**
 * Changes in the order of their revisions, which is the order of their commits: what is not there yet has a higher one.
 *
 * @param position null begins: with what lives, and with no tombstones
 */
export async function readChanges(
  sql: Sql,
  { id, issuedAt }: Caller,
  position: Position | null,
  limit: number,
): Promise<ChangesRow> {
  return exactlyOne(
    await sql<ChangesRow[]>`
      -- readChanges
      select owner.revision, owner.purged_revision, owner.is_refused, (
        select json_agg(change.*) from (
          select id, user_id, title, description, completed,
            rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision,
            deleted_at is not null as is_deleted
          from tasks
          where user_id = ${id} and revision > ${position?.revision ?? 0}
            and (deleted_at is null or revision > coalesce(${position?.begun ?? null}, owner.revision))
          order by revision
          limit ${limit}
        ) as change
      ) as changes
      from (
        select coalesce(max(revision), 0) as revision, coalesce(max(purged_revision), 0) as purged_revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )
}

export interface NewsRow {
  user_id: string
  revision: number
  /** Tokens issued up to then are refused, in seconds since 1970; null: none are. */
  refuse_tokens_until: number | null
  /** null: none. */
  changes: ChangedTask[] | null
}

/** For many users at once: who has a newer revision than is known, and the changes since. */
export async function readNews(
  sql: Sql,
  userIds: string[],
  revisions: number[],
  limit: number,
): Promise<NewsRow[]> {
  return sql<NewsRow[]>`
    -- readNews
    select users.id as user_id, users.revision,
      extract(epoch from users.refuse_tokens_until)::double precision as refuse_tokens_until, (
        select json_agg(change.*) from (
          select tasks.id, user_id, title, description, completed,
            rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision,
            deleted_at is not null as is_deleted
          from tasks
          where user_id = users.id and revision > known.revision
          order by revision
          -- a limit that the planner knows would have it read and sort all first
          limit (select ${limit}::bigint)
        ) as change
      ) as changes
    from unnest(${userIds}::text[], ${revisions}::bigint[]) as known (user_id, revision)
    join users on users.id = known.user_id and users.revision > known.revision`
}

/** How many rows one statement may take: locks are held for milliseconds only. Only `now()` lets it use the index. */
const PURGE_BATCH = 1000

/**
 * Deletes a batch of tombstones, and notes how far each owner's changes are no longer complete.
 *
 * @returns whether there may be more
 */
export async function purgeTombstones(sql: Sql, days: number): Promise<boolean> {
  const { due, purged } = exactlyOne(
    await sql<{ due: number; purged: number }[]>`
      -- purgeTombstones
      with due as (
        select user_id, id from tasks
        where deleted_at < now() - make_interval(days => ${days})
        order by deleted_at
        limit ${PURGE_BATCH}
      ), owner as (
        -- locked before their tasks, as whoever writes does; one who is writing now is left for another time
        select id from users where id = any (array(select user_id from due))
        for no key update skip locked
      ), purged as (
        delete from tasks using due, owner
        where tasks.user_id = due.user_id and tasks.id = due.id and tasks.user_id = owner.id
          -- judged once more on the row as it is by now: it may have been restored
          and tasks.deleted_at < now() - make_interval(days => ${days})
        returning tasks.user_id, tasks.revision
      ), noted as (
        update users set purged_revision = greatest(users.purged_revision, newest.revision)
        from (select user_id, max(revision) as revision from purged group by user_id) as newest
        where users.id = newest.user_id
      )
      select coalesce((select count(*) from due), 0) as due, coalesce((select count(*) from purged), 0) as purged`,
  )
  return due === PURGE_BATCH && purged > 0
}

/** Deletes a batch of keys that no longer stand for an answer. @returns whether there may be more */
export async function purgeIdempotencyKeys(sql: Sql): Promise<boolean> {
  const purged = await sql<{ key: string }[]>`
    -- purgeIdempotencyKeys
    delete from idempotency_keys
    where ctid = any (array(
      select ctid from idempotency_keys where expires_at < now() order by expires_at limit ${PURGE_BATCH}
      for update skip locked
    ))
    returning key`
  return purged.length >= PURGE_BATCH
}
