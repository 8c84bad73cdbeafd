/** The SQL of tasks: one function a statement, and the owner in each. */

import type { Caller } from '../auth/caller'
import { isRefused } from '../auth/queries'
import type { Batchable } from '../database/batch'
import { isDuplicate } from '../database/errors'
import type { Sql } from '../database/sql'
import type { IdempotencyKey } from '../http/idempotency'
import type { MaybeRow, TaskCreate, TaskRow } from './model'

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
): Promise<TaskRow | undefined> {
  const { key, fingerprint } = idempotency ?? { key: null, fingerprint: null }
  const [created] = await sql<TaskRow[]>`
    -- createTask
    with expired as (
      delete from idempotency_keys
      where user_id = ${id} and key = ${key} and expires_at <= now()
      returning key
    ), owner as (
      insert into users (id, revision) values (${id}, 1)
      on conflict (id) do update set revision = users.revision + 1
      -- read from the row as it is once it is locked, so a deletion that has just ended counts
      where not refuses_token(users.refuse_tokens_until, ${issuedAt})
      returning id, revision
    ), stamped as (
      -- the clock is read when this user's other writers are done: times, ids and revisions have one order
      select id, revision, clock_timestamp() as now from owner
    ), task as (
      insert into tasks (user_id, created_at, updated_at, revision, title, description, completed)
      select stamped.id, now, now, stamped.revision, title, description, coalesce(completed, false)
      from stamped, json_populate_record(null::tasks, ${JSON.stringify(task)}::text::json) as content
      returning *
    ), claimed as (
      -- if the key was used already, or by a request at the same time, this fails and undoes the whole statement
      insert into idempotency_keys (user_id, key, fingerprint, answer)
      select user_id, ${key}, ${fingerprint},
        -- as servers of the version before answer it, which may run beside this one
        (to_jsonb(task) - 'deleted_at' - 'ended' || jsonb_build_object(
          'created_at', rfc3339(created_at), 'updated_at', rfc3339(updated_at)
        ))::json
      from task
      where ${key}::text is not null
        -- counted, so that an expired key is gone before it is claimed again
        and (select count(*) from expired) >= 0
      returning key
    )
    select * from task`.catch(ifClaimed)
  return created
}

/** The key was used before, or by another request that was quicker: the statement has done nothing. */
function ifClaimed(error: unknown): [] {
  // of a table that is divided, the constraint's name has a number at its end
  const isUsed = isDuplicate(error) && /\bidempotency_keys_pkey(?:_\d+)?\b/.test(String(error))
  if (isUsed) return []
  throw error
}

export interface NewTask {
  caller: Caller
  task: TaskCreate
}

/**
 * Makes a task for each of several users who are there already.
 *
 * @returns those that were made; not those of users whose row another write holds, so that no user waits for another
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
    join json_populate_recordset(null::tasks, ${contents}::text::json) as content
      on content.user_id = stamped.id
    returning *`
}

/** Makes a task without a key; gives undefined for a token of a deleted user. */
export const creation: Batchable<NewTask, TaskRow | undefined> = {
  async forMany(sql, wanted) {
    const created = new Map((await createTasks(sql, wanted)).map((task) => [task.user_id, task]))
    return wanted.map(({ caller }) => created.get(caller.id))
  },
  forOne: (sql, { caller, task }) => createTask(sql, caller, task),
  // a statement raises a revision once
  keyOf: ({ caller }) => caller.id,
}

export interface FirstAnswer {
  fingerprint: Buffer
  task: TaskRow
}

/** @returns undefined for a key that has not been used, or longer ago than a day */
export async function findAnswer(sql: Sql, owner: string, key: string): Promise<FirstAnswer | undefined> {
  const [first] = await sql<(MaybeRow & { fingerprint: Buffer })[]>`
    -- findAnswer
    select fingerprint, task.*
    -- a field that is newer than the answer is null
    from idempotency_keys, json_populate_record(null::tasks, answer) as task
    where idempotency_keys.user_id = ${owner} and key = ${key} and expires_at > clock_timestamp()`
  // what createTask has stored is a whole row
  return first && { fingerprint: first.fingerprint, task: first as TaskRow }
}

export interface WantedTask {
  caller: Caller
  id: number
}

interface OwnedRow extends TaskRow {
  /** Tokens issued up to then are refused, in seconds since 1970; null: none are. */
  refuse_tokens_until: number | null
}

/** @returns those that there are and that are not in the trash, each with what its owner refuses */
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
export const reading: Batchable<WantedTask, TaskRow | null> = {
  async forMany(sql, wanted) {
    const rows = await findTasks(sql, wanted)
    const found = new Map(rows.map((row) => [`${row.id} ${row.user_id}`, row]))
    return wanted.map(({ caller, id }) => {
      const row = found.get(`${id} ${caller.id}`)
      // a user who was deleted and came back has tasks again, which are not for tokens from before
      return row && !isRefused(caller, row.refuse_tokens_until) ? row : null
    })
  },
  forOne: async (sql, wanted) => (await reading.forMany(sql, [wanted]))[0] ?? null,
}

/** Finds a task in the lists or in the trash. @returns undefined if this owner has no such task */
export async function findAnyTask(sql: Sql, owner: string, id: number): Promise<TaskRow | undefined> {
  const [row] = await sql<TaskRow[]>`
    -- findAnyTask
    select * from tasks where user_id = ${owner} and id = ${id} and not ended`
  return row
}

/** Which revisions of a task may be changed; null: any. */
export type Revisions = number[] | null

/** In the lists, in the trash, or ended for good: then only the tombstone is left, for other devices. */
type Place = 'lists' | 'trash' | 'ended'

export interface Write {
  /** Where the task has to be. */
  from: readonly Place[]
  to: Place
  /** The fields that change; `completed: null` toggles it. */
  change: Record<string, string | number | boolean | null>
  ifMatch: Revisions
}

/**
 * @returns the changed task, or undefined if there is no such task of this owner's, or none of these revisions. The
 *   task's row is judged as it is once it is locked: of two changes of one revision, one happens.
 */
export async function writeTask(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  { from, to, change, ifMatch }: Write,
): Promise<TaskRow | undefined> {
  const [task] = await sql<TaskRow[]>`
    -- writeTask
    with owner as (
      update users set revision = users.revision + 1
      -- a miss is no change; of two at once the later may see this too early and leave a gap, which harms nothing
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from tasks
          where user_id = ${owner} and id = ${id}
            and case when ended then 'ended' when deleted_at is null then 'lists' else 'trash' end = any (${from}::text[])
            and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
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
    returning tasks.*`
  return task
}
