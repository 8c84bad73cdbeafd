/** The SQL of tasks: a function for each statement, each with the owner. */
import type { Caller } from '../auth/caller'
import { isRefused } from '../auth/queries'
import type { Batchable } from '../database/batch'
import { isDuplicate } from '../database/errors'
import type { Sql } from '../database/sql'
import type { Revisions } from '../http/etag'
import type { IdempotencyKey } from '../http/idempotency'
import type { TaskCreate, TaskRow } from './model'

/**
 * Creates a task, and the user with their first task.
 *
 * @returns undefined if the idempotency key has been used, or the token is one of a deleted user
 */
export async function createTask(
  sql: Sql,
  { id, issuedAt }: Caller,
  task: TaskCreate,
  idempotency?: IdempotencyKey,
): Promise<TaskRow | undefined> {
  const { key, fingerprint } = idempotency ?? { key: null, fingerprint: null }
  const [created] = await sql<TaskRow[]>`
    -- createTask
    with owner as (
      insert into users (id, revision) values (${id}, 1)
      on conflict (id) do update set revision = users.revision + 1
      -- the condition reads the locked row, so it sees a deletion that has just been committed
      where not refuses_token(users.refuse_tokens_until, ${issuedAt})
      returning id, revision
    ), stamped as (
      -- the clock is read under the lock of the user's row, so times, ids and revisions have the same order
      select id, revision, clock_timestamp() as now from owner
    ), task as (
      insert into tasks (user_id, created_at, updated_at, revision, title, description, completed)
      select stamped.id, now, now, stamped.revision, title, description, coalesce(completed, false)
      from stamped, json_to_record(${JSON.stringify(task)}::text::json) as content (title text, description text, completed boolean)
      returning *
    ), claimed as (
      -- if the key has been used, also by a concurrent request, this fails and undoes the whole statement
      insert into idempotency_keys (user_id, key, fingerprint, answer)
      select user_id, ${key}, ${fingerprint},
        -- in the form that the previous version answers, which may run beside this one
        (to_jsonb(task) - 'deleted_at' - 'ended' - 'folded' || jsonb_build_object(
          'completed_at', rfc3339(completed_at), 'created_at', rfc3339(created_at), 'updated_at', rfc3339(updated_at)
        ))::json
      from task
      where ${key}::text is not null
      returning key
    )
    select * from task`.catch((error: unknown) => {
    if (isKeyUsed(error)) return []
    throw error
  })
  return created
}

/** Whether a statement has done nothing because the idempotency key has been used. */
export function isKeyUsed(error: unknown): boolean {
  // on a sharded table, the constraint's name ends with the number of the shard
  return isDuplicate(error) && /\bidempotency_keys_pkey(?:_\d+)?\b/.test(String(error))
}

interface NewTask {
  caller: Caller
  task: TaskCreate
}

/**
 * Creates a task for each of several users who have a row already.
 *
 * @returns the created tasks; a user whose row another write holds is skipped, so that no user waits for another
 */
export async function createTasks(sql: Sql, wanted: readonly NewTask[]): Promise<readonly TaskRow[]> {
  const owners = wanted.map(({ caller }) => caller.id)
  const issued = wanted.map(({ caller }) => caller.issuedAt)
  const contents = JSON.stringify(wanted.map(({ caller, task }) => ({ ...task, user_id: caller.id })))
  return sql<TaskRow[]>`
    -- createTasks
    with free as (
      select id from users where id = any (${owners}::text[])
      for no key update skip locked
    ), owner as (
      update users set revision = users.revision + 1
      from free
      join unnest(${owners}::text[], ${issued}::double precision[]) as token (user_id, issued_at)
        on token.user_id = free.id
      where users.id = free.id and users.id = any (${owners}::text[])
        and not refuses_token(users.refuse_tokens_until, issued_at)
      returning users.id, users.revision
    ), stamped as (
      select id, revision, clock_timestamp() as now from owner
    )
    insert into tasks (user_id, created_at, updated_at, revision, title, description, completed)
    select stamped.id, now, now, stamped.revision, title, description, coalesce(completed, false)
    from stamped
    join json_to_recordset(${contents}::text::json) as content (user_id text, title text, description text, completed boolean)
      on content.user_id = stamped.id
    returning *`
}

/** Creates a task without an idempotency key; gives undefined for a token of a deleted user. */
export const batchableCreate: Batchable<NewTask, TaskRow | undefined> = {
  async forMany(sql, wanted) {
    const created = new Map((await createTasks(sql, wanted)).map((task) => [task.user_id, task]))
    return wanted.map(({ caller }) => created.get(caller.id))
  },
  forOne: (sql, { caller, task }) => createTask(sql, caller, task),
  // a statement raises each user's revision once
  keyOf: ({ caller }) => caller.id,
}

export interface StoredAnswer {
  fingerprint: Buffer
  answer: unknown
  /** It is older than a day. SafeQL takes it for nullable. */
  has_expired: boolean | null
}

/** @returns the first answer to a request with this key, as it was stored */
export async function findAnswer(sql: Sql, owner: string, key: string): Promise<StoredAnswer | undefined> {
  const [first] = await sql<StoredAnswer[]>`
    -- findAnswer
    select fingerprint, answer, expires_at <= clock_timestamp() as has_expired from idempotency_keys
    where user_id = ${owner} and key = ${key}`
  return first
}

interface WantedTask {
  caller: Caller
  id: number
}

interface OwnedRow extends TaskRow {
  /** In seconds since 1970: the owner's tokens issued up to then are refused; null: none is. */
  refuse_tokens_until: number | null
}

/** @returns the tasks that exist and are not in the trash, in any order */
export async function findTasks(sql: Sql, wanted: readonly WantedTask[]): Promise<readonly OwnedRow[]> {
  const owners = wanted.map(({ caller }) => caller.id)
  const ids = wanted.map(({ id }) => id)
  return sql<OwnedRow[]>`
    -- findTasks
    select tasks.*, extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until
    from unnest(${owners}::text[], ${ids}::bigint[]) as wanted (user_id, id)
    join tasks on tasks.user_id = wanted.user_id and tasks.id = wanted.id and deleted_at is null
    join users on users.id = tasks.user_id`
}

/** Reads a task; gives null if the caller has no such task. */
export const batchableRead: Batchable<WantedTask, TaskRow | null> = {
  async forMany(sql, wanted) {
    const rows = await findTasks(sql, wanted)
    const found = new Map(rows.map((row) => [`${row.id} ${row.user_id}`, row]))
    return wanted.map(({ caller, id }) => {
      const row = found.get(`${id} ${caller.id}`)
      // a deleted user may have come back with a newer token; the old tokens must not read the new tasks
      return row && !isRefused(caller, row.refuse_tokens_until) ? row : null
    })
  },
  forOne: async (sql, wanted) => (await batchableRead.forMany(sql, [wanted]))[0] ?? null,
}

/** An ended task is deleted for good: only its tombstone is left, which tells other devices of the deletion. */
type Place = 'lists' | 'trash' | 'ended'

/** The places between which a task is moved; within the lists it may be changed. */
export interface Write {
  /** Where the task has to be. */
  from: readonly Place[]
  to: Place
  /** The fields that change; `completed: null` toggles it. */
  change: { title?: string; description?: string | null; completed?: boolean | null }
  ifMatch: Revisions
}

/**
 * Changes or moves a task if that concerns no other task. The condition is checked again on the locked row: of two concurrent
 * changes of the same revision, one is made.
 *
 * @returns the changed task; undefined if the owner has no such task, its revision or place does not match, or it has
 *   steps or a repetition that have to be looked after
 */
export async function writeTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  { from, to, change, ifMatch }: Write,
): Promise<TaskRow | undefined> {
  const isMove = to !== 'lists' || !from.includes('lists')
  const isCompletion = change.completed !== undefined
  const [task] = await sql<TaskRow[]>`
    -- writeTask
    with owner as (
      update users set revision = users.revision + 1
      -- so that a miss raises no revision; a concurrent write may still leave a gap, which does no harm
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id}
            and case when ended then 'ended' when deleted_at is null then 'lists' else 'trash' end = any (${from}::text[])
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
            and not (${isMove} and (has_steps or parent_id is not null))
            and not (${isCompletion} and (repeat is not null or next_id is not null))
        )
      returning revision
    ), stamped as (
      select revision, clock_timestamp() as now, ${JSON.stringify(change)}::text::jsonb as change, ${to}::text as place
      from owner
    )
    update tasks set
      title = case when change ? 'title' then change ->> 'title' else title end,
      description = case when change ? 'description' then change ->> 'description' else description end,
      completed = case when change ? 'completed'
        then coalesce((change ->> 'completed')::boolean, not completed) else completed end,
      deleted_at = case when place = 'lists' then null else now end,
      ended = place = 'ended',
      updated_at = now,
      revision = stamped.revision
    from stamped
    where user_id = ${owner} and id = ${id}
      and case when ended then 'ended' when deleted_at is null then 'lists' else 'trash' end = any (${from}::text[])
      and (${ifMatch}::bigint[] is null or tasks.revision = any (${ifMatch}))
      and not (${isMove} and (has_steps or parent_id is not null))
      and not (${isCompletion} and (repeat is not null or next_id is not null))
    returning tasks.*`
  return task
}
