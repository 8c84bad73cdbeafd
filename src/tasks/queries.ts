/** The SQL of tasks: one function a statement, and the owner in each. */
import type { Caller } from '../auth/verify'
import { exactlyOne, type Sql } from '../database/connection'
import type { Task, TaskCreate, TaskUpdate } from './model'

/** Makes a task, and the user with the first of them. @returns undefined for a token of a deleted user */
export async function createTask(
  sql: Sql,
  { id, issuedAt }: Caller,
  task: TaskCreate,
): Promise<Task | undefined> {
  const [created] = await sql<Task[]>`
    with owner as (
      insert into users (id, revision) values (${id}, 1)
      on conflict (id) do update set revision = users.revision + 1
      -- read from the row as it is once it is locked, so a deletion that has just ended counts
      where not refuses_token(users.refuse_tokens_until, ${issuedAt})
      -- the clock is read when this user's other writers are done: times, ids and revisions have one order
      returning id, revision, clock_timestamp() as now
    )
    insert into tasks (user_id, title, description, completed, created_at, updated_at, revision)
    select id, ${task.title}, ${task.description ?? null}, ${task.completed ?? false}, now, now, revision
    from owner
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision`
  return created
}

/** @returns undefined if there is no such task of this owner's */
export async function findTask(sql: Sql, owner: string, id: number): Promise<Task | undefined> {
  const [task] = await sql<Task[]>`
    select id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
    from tasks
    where user_id = ${owner} and id = ${id} and deleted_at is null`
  return task
}

/** @returns the changed task, or undefined if there is no such task of this owner's */
export async function updateTask(
  sql: Sql,
  owner: string,
  id: number,
  change: TaskUpdate,
): Promise<Task | undefined> {
  const { title = null, description = null, completed = null } = change
  const [task] = await sql<Task[]>`
    with owner as (
      update users set revision = users.revision + 1
      -- a miss is no change; of two at once the later may see this too early and leave a gap, which harms nothing
      where id = ${owner}
        and exists (select from tasks where user_id = ${owner} and id = ${id} and deleted_at is null)
      returning revision, clock_timestamp() as now
    )
    update tasks set
      title = coalesce(${title}, title),
      -- null is a value here, so it cannot also mean "leave it"
      description = case when ${'description' in change}::boolean then ${description} else description end,
      completed = coalesce(${completed}, completed),
      updated_at = owner.now,
      revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is null
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, tasks.revision`
  return task
}

/**
 * @param completed undefined toggles
 * @returns the changed task, or undefined if there is no such task of this owner's
 */
export async function completeTask(
  sql: Sql,
  owner: string,
  id: number,
  completed: boolean | undefined,
): Promise<Task | undefined> {
  const [task] = await sql<Task[]>`
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner}
        and exists (select from tasks where user_id = ${owner} and id = ${id} and deleted_at is null)
      returning revision, clock_timestamp() as now
    )
    update tasks set
      completed = coalesce(${completed ?? null}, not completed),
      updated_at = owner.now,
      revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is null
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, tasks.revision`
  return task
}

/** Leaves a tombstone. @returns its id, or undefined if there is no such task of this owner's */
export async function deleteTask(sql: Sql, owner: string, id: number): Promise<number | undefined> {
  const [deleted] = await sql<{ id: number }[]>`
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner}
        and exists (select from tasks where user_id = ${owner} and id = ${id} and deleted_at is null)
      returning revision, clock_timestamp() as now
    )
    update tasks set deleted_at = owner.now, updated_at = owner.now, revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is null
    returning id`
  return deleted?.id
}

export interface ListOptions {
  /** null: both. */
  completed: boolean | null
  /** The last task of the page before; undefined begins. */
  after: { id: number; title: string } | undefined
  limit: number
  skip: number
  /** Whether to count all that the filter lets through. */
  count: boolean
}

/** A page; `total` is null unless it was asked for. */
export interface ListResult {
  total: number | null
  tasks: Task[]
}

export type ListTasks = (sql: Sql, owner: string, options: ListOptions) => Promise<ListResult>

/*
 * One statement for each order, because only then can the index be walked from the cursor. Each begins at a bound that
 * is always there: `id < $1 or $1 is null` would read the index from its start for every page. The page is one JSON
 * value: a count belongs beside it even when it is empty, and a subquery keeps the order of its rows for json_agg.
 * `page.*`, because SafeQL cannot see into `page`. In JSON too, times are text and a bigint is a number.
 */

const AFTER_EVERY_ID = Number.MAX_SAFE_INTEGER
/** U+FFFF sorts after every character in the root collation (UTS 35, part 5), and no title has 201 of them. */
const AFTER_EVERY_TITLE = '\uffff'.repeat(201)

export const listNewestFirst: ListTasks = async (sql, owner, { completed, after, limit, skip, count }) =>
  exactlyOne(
    await sql<ListResult[]>`
      select
        case when ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${owner} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        coalesce(json_agg(page.*), '[]') as tasks
      from (
        select id, user_id, title, description, completed,
          rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
        from tasks
        where user_id = ${owner} and deleted_at is null
          and (${completed}::boolean is null or completed = ${completed})
          and id < ${after?.id ?? AFTER_EVERY_ID}
        order by id desc
        limit ${limit} offset ${skip}
      ) as page`,
  )

export const listOldestFirst: ListTasks = async (sql, owner, { completed, after, limit, skip, count }) =>
  exactlyOne(
    await sql<ListResult[]>`
      select
        case when ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${owner} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        coalesce(json_agg(page.*), '[]') as tasks
      from (
        select id, user_id, title, description, completed,
          rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
        from tasks
        where user_id = ${owner} and deleted_at is null
          and (${completed}::boolean is null or completed = ${completed})
          and id > ${after?.id ?? 0}
        order by id
        limit ${limit} offset ${skip}
      ) as page`,
  )

export const listTitlesUp: ListTasks = async (sql, owner, { completed, after, limit, skip, count }) =>
  exactlyOne(
    await sql<ListResult[]>`
      select
        case when ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${owner} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        coalesce(json_agg(page.*), '[]') as tasks
      from (
        select id, user_id, title, description, completed,
          rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
        from tasks
        where user_id = ${owner} and deleted_at is null
          and (${completed}::boolean is null or completed = ${completed})
          and (lower(title), id) > (lower(${after?.title ?? ''}::text collate "und-x-icu"), ${after?.id ?? 0})
        order by lower(title), id
        limit ${limit} offset ${skip}
      ) as page`,
  )

export const listTitlesDown: ListTasks = async (sql, owner, { completed, after, limit, skip, count }) =>
  exactlyOne(
    await sql<ListResult[]>`
      select
        case when ${count}::boolean then (
          select count(*) from tasks
          where user_id = ${owner} and deleted_at is null
            and (${completed}::boolean is null or completed = ${completed})
        ) end as total,
        coalesce(json_agg(page.*), '[]') as tasks
      from (
        select id, user_id, title, description, completed,
          rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
        from tasks
        where user_id = ${owner} and deleted_at is null
          and (${completed}::boolean is null or completed = ${completed})
          and (lower(title), id) <
            (lower(${after?.title ?? AFTER_EVERY_TITLE}::text collate "und-x-icu"), ${after?.id ?? AFTER_EVERY_ID})
        order by lower(title) desc, id desc
        limit ${limit} offset ${skip}
      ) as page`,
  )
