/** The SQL of tasks: one function a statement, and the owner in each. */
import type { Caller } from '../auth/verify'
import type { Sql } from '../database/sql'
import type { IdempotencyKey } from '../http/idempotency'
import type { Task, TaskCreate, TaskUpdate } from './model'

/**
 * Makes a task, and the user with the first of them.
 *
 * @returns undefined for a key that has been used, and for a token of a deleted user
 */
export async function createTask(
  sql: Sql,
  { id, issuedAt }: Caller,
  task: TaskCreate,
  idempotency?: IdempotencyKey,
): Promise<Task | undefined> {
  const { key, fingerprint } = idempotency ?? { key: null, fingerprint: null }
  const [created] = await sql<Task[]>`
    -- createTask
    with expired as (
      delete from idempotency_keys
      where user_id = ${id} and key = ${key} and expires_at <= clock_timestamp()
      returning key
    ), owner as (
      insert into users (id, revision) values (${id}, 1)
      on conflict (id) do update set revision = users.revision + 1
      -- read from the row as it is once it is locked, so a deletion that has just ended counts
      where not refuses_token(users.refuse_tokens_until, ${issuedAt})
        and not exists (
          select from idempotency_keys
          where user_id = ${id} and key = ${key} and expires_at > clock_timestamp()
        )
      -- the clock is read when this user's other writers are done: times, ids and revisions have one order
      returning id, revision, clock_timestamp() as now
    ), task as (
      insert into tasks (user_id, title, description, completed, created_at, updated_at, revision)
      select id, ${task.title}, ${task.description ?? null}, ${task.completed ?? false}, now, now, revision
      from owner
      returning id, user_id, title, description, completed,
        rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
    ), claimed as (
      -- of several at once all but the first fail here, and with it the whole statement
      insert into idempotency_keys (user_id, key, fingerprint, answer)
      select user_id, ${key}, ${fingerprint}, to_json(task) from task
      where ${key}::text is not null
        -- counted, so that an expired key is gone before it is claimed again
        and (select count(*) from expired) >= 0
    )
    select id, user_id, title, description, completed, created_at, updated_at, revision from task`.catch(
    ifClaimed,
  )
  return created
}

/** Another request with this key was quicker: the statement has done nothing. */
function ifClaimed(error: unknown): [] {
  if (
    error instanceof Error &&
    'constraint_name' in error &&
    error.constraint_name === 'idempotency_keys_pkey'
  ) {
    return []
  }
  throw error
}

export interface StoredAnswer {
  fingerprint: Buffer
  /** The task as it was answered. */
  answer: unknown
}

/** @returns undefined for a key that has not been used, or longer ago than a day */
export async function findAnswer(sql: Sql, owner: string, key: string): Promise<StoredAnswer | undefined> {
  const [stored] = await sql<StoredAnswer[]>`
    -- findAnswer
    select fingerprint, answer from idempotency_keys
    where user_id = ${owner} and key = ${key} and expires_at > clock_timestamp()`
  return stored
}
/** @returns undefined if there is no such task of this owner's */
export async function findTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
): Promise<Task | undefined> {
  const [task] = await sql<Task[]>`
    -- findTask
    select id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision
    from tasks
    where user_id = ${owner} and id = ${id} and deleted_at is null
      -- one who was deleted and came back has tasks again, which are not for tokens from before
      and not exists (
        select from users where users.id = ${owner} and refuses_token(refuse_tokens_until, ${issuedAt})
      )`
  return task
}

export interface FoundTask extends Task {
  is_deleted: boolean
}

/** Looks in the trash as well. @returns undefined if there is no such task of this owner's */
export async function findAnyTask(sql: Sql, owner: string, id: number): Promise<FoundTask | undefined> {
  const [task] = await sql<FoundTask[]>`
    -- findAnyTask
    select id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, revision,
      deleted_at is not null as is_deleted
    from tasks
    where user_id = ${owner} and id = ${id} and not ended`
  return task
}

/** Which revisions of a task may be changed; null: any. */
export type Revisions = number[] | null

/**
 * @returns the changed task, or undefined if there is no such task of this owner's, or none of these revisions. The
 *   task's row is judged as it is once it is locked: of two changes of one revision, one happens.
 */
export async function updateTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  change: TaskUpdate,
  ifMatch: Revisions,
): Promise<Task | undefined> {
  const { title = null, description = null, completed = null } = change
  const [task] = await sql<Task[]>`
    -- updateTask
    with owner as (
      update users set revision = users.revision + 1
      -- a miss is no change; of two at once the later may see this too early and leave a gap, which harms nothing
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id} and deleted_at is null
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
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
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, tasks.revision`
  return task
}

/**
 * @param completed undefined toggles
 * @returns the changed task, or undefined as above
 */
export async function completeTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  completed: boolean | undefined,
  ifMatch: Revisions,
): Promise<Task | undefined> {
  const [task] = await sql<Task[]>`
    -- completeTask
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id} and deleted_at is null
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
      returning revision, clock_timestamp() as now
    )
    update tasks set
      completed = coalesce(${completed ?? null}, not completed),
      updated_at = owner.now,
      revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is null
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, tasks.revision`
  return task
}

/** Moves a task to the trash. @returns its id, or undefined as above */
export async function deleteTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  ifMatch: Revisions,
): Promise<number | undefined> {
  const [deleted] = await sql<{ id: number }[]>`
    -- deleteTask
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id} and deleted_at is null
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
      returning revision, clock_timestamp() as now
    )
    update tasks set deleted_at = owner.now, updated_at = owner.now, revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is null
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
    returning id`
  return deleted?.id
}

/** Ends a task for good, in the trash or not: what is left tells other devices. @returns its id, or undefined as above */
export async function endTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  ifMatch: Revisions,
): Promise<number | undefined> {
  const [ended] = await sql<{ id: number }[]>`
    -- endTask
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id} and not ended
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
      returning revision, clock_timestamp() as now
    )
    update tasks set
      title = '', description = null, ended = true,
      deleted_at = owner.now, updated_at = owner.now, revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and not ended
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
    returning id`
  return ended?.id
}

/** Brings a task back from the trash. @returns the task, or undefined if it is not there, or as above */
export async function restoreTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  ifMatch: Revisions,
): Promise<Task | undefined> {
  const [task] = await sql<Task[]>`
    -- restoreTask
    with owner as (
      update users set revision = users.revision + 1
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id} and deleted_at is not null and not ended
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
      returning revision, clock_timestamp() as now
    )
    update tasks set deleted_at = null, updated_at = owner.now, revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id} and deleted_at is not null and not ended
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
    returning id, user_id, title, description, completed,
      rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at, tasks.revision`
  return task
}
