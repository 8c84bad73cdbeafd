/** The SQL of lists: one function an order. */
import type { Caller } from '../auth/verify'
import { exactlyOne, type Sql } from '../database/sql'
import type { Position } from './cursor'
import type { Task, TrashedTask } from './model'

export interface ListOptions {
  /** null: both. */
  completed: boolean | null
  /** The last task of the page before; undefined begins. */
  after: Position | undefined
  limit: number
  skip: number
  /** Whether to count all that the filter lets through. */
  count: boolean
  /** The owner's revision that the client has a list of; null: none. */
  known: number | null
}

/** A page of tasks, and the owner's revision that it is of. */
export interface ListResult<Item> {
  revision: number
  /** The token is older than the end of its user. */
  is_refused: boolean
  /** null unless it was asked for, and for a list that is known. */
  total: number | null
  /** null for a list that is known. */
  tasks: Item[] | null
}

export type List<Item> = (sql: Sql, caller: Caller, options: ListOptions) => Promise<ListResult<Item>>

/*
 * One statement for each order, because only then can the index be walked from the cursor. Each begins at a bound that
 * is always there: `id < $1 or $1 is null` would read the index from its start for every page. The page is one JSON
 * value: revision and count belong beside it even when it is empty, and a subquery keeps the order of its rows for
 * json_agg. `page.*`, because SafeQL cannot see into `page`. In JSON too, times are text and a bigint is a number.
 *
 * Page and count are subqueries in a `case`, so that neither runs for a list that is known: then the owner's row is all
 * that is read. Without a row, `max` gives one all the same.
 */

const AFTER_EVERY_NUMBER = Number.MAX_SAFE_INTEGER
/** U+FFFF sorts after every character in the root collation (UTS 35, part 5), and no title has 201 of them. */
const AFTER_EVERY_TITLE = '\uffff'.repeat(201)

export const listNewestFirst: List<Task> = async (
  sql,
  { id, issuedAt },
  { completed, after, limit, skip, count, known },
) =>
  exactlyOne(
    await sql<ListResult<Task>[]>`
      -- listNewestFirst
      select owner.revision, owner.is_refused,
        case when owner.revision is distinct from ${known}::bigint and ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${id} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        case when owner.revision is distinct from ${known}::bigint then (
          select coalesce(json_agg(page.*), '[]') from (
            select id, user_id, title, description, completed,
              rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
            from tasks
            where user_id = ${id} and deleted_at is null
              and (${completed}::boolean is null or completed = ${completed})
              and id < ${after?.number ?? AFTER_EVERY_NUMBER}
            order by id desc
            limit ${limit} offset ${skip}
          ) as page
        ) end as tasks
      from (
        select coalesce(max(revision), 0) as revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )

export const listOldestFirst: List<Task> = async (
  sql,
  { id, issuedAt },
  { completed, after, limit, skip, count, known },
) =>
  exactlyOne(
    await sql<ListResult<Task>[]>`
      -- listOldestFirst
      select owner.revision, owner.is_refused,
        case when owner.revision is distinct from ${known}::bigint and ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${id} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        case when owner.revision is distinct from ${known}::bigint then (
          select coalesce(json_agg(page.*), '[]') from (
            select id, user_id, title, description, completed,
              rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
            from tasks
            where user_id = ${id} and deleted_at is null
              and (${completed}::boolean is null or completed = ${completed})
              and id > ${after?.number ?? 0}
            order by id
            limit ${limit} offset ${skip}
          ) as page
        ) end as tasks
      from (
        select coalesce(max(revision), 0) as revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )

export const listTitlesUp: List<Task> = async (
  sql,
  { id, issuedAt },
  { completed, after, limit, skip, count, known },
) =>
  exactlyOne(
    await sql<ListResult<Task>[]>`
      -- listTitlesUp
      select owner.revision, owner.is_refused,
        case when owner.revision is distinct from ${known}::bigint and ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${id} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        case when owner.revision is distinct from ${known}::bigint then (
          select coalesce(json_agg(page.*), '[]') from (
            select id, user_id, title, description, completed,
              rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
            from tasks
            where user_id = ${id} and deleted_at is null
              and (${completed}::boolean is null or completed = ${completed})
              and (lower(title), id) > (lower(${after?.title ?? ''}::text collate "und-x-icu"), ${after?.number ?? 0})
            order by lower(title), id
            limit ${limit} offset ${skip}
          ) as page
        ) end as tasks
      from (
        select coalesce(max(revision), 0) as revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )

export const listTitlesDown: List<Task> = async (
  sql,
  { id, issuedAt },
  { completed, after, limit, skip, count, known },
) =>
  exactlyOne(
    await sql<ListResult<Task>[]>`
      -- listTitlesDown
      select owner.revision, owner.is_refused,
        case when owner.revision is distinct from ${known}::bigint and ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${id} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        case when owner.revision is distinct from ${known}::bigint then (
          select coalesce(json_agg(page.*), '[]') from (
            select id, user_id, title, description, completed,
              rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
            from tasks
            where user_id = ${id} and deleted_at is null
              and (${completed}::boolean is null or completed = ${completed})
              and (lower(title), id) <
                (lower(${after?.title ?? AFTER_EVERY_TITLE}::text collate "und-x-icu"), ${after?.number ?? AFTER_EVERY_NUMBER})
            order by lower(title) desc, id desc
            limit ${limit} offset ${skip}
          ) as page
        ) end as tasks
      from (
        select coalesce(max(revision), 0) as revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )

/** The trash, newest deletion first. A purge changes it too, without a revision: the sum tells both apart from before. */
export const listTrash: List<TrashedTask> = async (
  sql,
  { id, issuedAt },
  { after, limit, skip, count, known },
) =>
  exactlyOne(
    await sql<ListResult<TrashedTask>[]>`
      -- listTrash
      select owner.revision, owner.is_refused,
        case when owner.revision is distinct from ${known}::bigint and ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${id} and deleted_at is not null and not ended
        ) end as total,
        case when owner.revision is distinct from ${known}::bigint then (
          select coalesce(json_agg(page.*), '[]') from (
            select id, user_id, title, description, completed,
              rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision,
              rfc3339(deleted_at)::text as deleted_at
            from tasks
            where user_id = ${id} and deleted_at is not null and not ended
              and revision < ${after?.number ?? AFTER_EVERY_NUMBER}
            order by revision desc
            limit ${limit} offset ${skip}
          ) as page
        ) end as tasks
      from (
        select coalesce(max(revision + purged_revision), 0) as revision,
          coalesce(bool_or(refuses_token(refuse_tokens_until, ${issuedAt})), false)::boolean as is_refused
        from users where id = ${id}
      ) as owner`,
  )
