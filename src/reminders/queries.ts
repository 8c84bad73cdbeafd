/** The SQL of reminders. */
import { exactlyOne, type Sql } from '../database/sql'
import type { FullRow } from '../tasks/model'

/** A task of which at least one reminder has fallen due. */
export interface RemindedTask
  extends Pick<
    FullRow,
    | 'user_id'
    | 'id'
    | 'revision'
    | 'due_date'
    | 'due_time'
    | 'time_zone'
    | 'due_at'
    | 'reminders'
    | 'remind_at'
  > {
  /** The database's clock, RFC 3339. */
  now: string
}

export async function findRemindedTasks(sql: Sql, limit: number): Promise<RemindedTask[]> {
  // a constraint says that there are reminders, which SafeQL does not know
  return sql<RemindedTask[]>`
    -- findRemindedTasks
    select user_id, id, revision, due_date, due_time, time_zone, due_at, coalesce(reminders, '{}') as reminders, remind_at,
      now()::timestamptz(3) as now
    from tasks
    where remind_at <= now()
    order by remind_at
    limit ${limit}`
}

/** What is told of a task that was read before. */
export interface Telling extends Pick<FullRow, 'user_id' | 'id' | 'revision' | 'remind_at'> {
  /** When the next reminder falls due. */
  next_at: string | null
  due_at: string
  /** The reminders to be told, by their minutes. */
  minutes: number[]
}

/**
 * Tells reminders, unless their task is completed, was deleted, or has changed since it was read. A task that is being written
 * now is left out, and so are all if another process is telling.
 *
 * @returns how many tasks were done with
 */
export async function tellReminders(sql: Sql, tellings: readonly Telling[]): Promise<number> {
  const moved = await sql<{ id: number }[]>`
    -- tellReminders
    with turn as materialized (
      -- held until the rows are visible, so their ids have the order in which others see them
      select pg_try_advisory_xact_lock('told_reminders'::regclass::oid::bigint) as is_mine
    ), claimed as materialized (
      select given.*, tasks.completed or tasks.deleted_at is not null as is_over
      from turn
      cross join json_to_recordset(${JSON.stringify(tellings)}::text::json) as given (
        user_id text, id bigint, revision bigint, remind_at timestamptz, next_at timestamptz, due_at timestamptz,
        minutes integer[]
      )
      join tasks on tasks.user_id = given.user_id and tasks.id = given.id
        -- not with =, or PostgreSQL might go through all tasks of that moment, and at nine there are many
        and tasks.revision = given.revision and tasks.remind_at is not distinct from given.remind_at
      where turn.is_mine
      for no key update of tasks skip locked
    ), told as (
      insert into told_reminders (user_id, task_id, due_at, minutes)
      select claimed.user_id, claimed.id, claimed.due_at, fallen.minutes
      from claimed, unnest(claimed.minutes) as fallen (minutes)
      where not claimed.is_over
      on conflict do nothing
      returning id
    )
    update tasks set remind_at = claimed.next_at
    from claimed
    where tasks.user_id = claimed.user_id and tasks.id = claimed.id
    returning tasks.id`
  return moved.length
}

/** A reminder that has fallen due. */
export interface ToldReminder {
  user_id: string
  /** A later one has a higher id, and nobody sees it before. */
  id: number
  task_id: number
  due_at: string
  minutes: number
}

/** @returns the id of the last reminder of all users; the known one if none came after it */
export async function findLastTold(sql: Sql, known: number): Promise<number> {
  const { id } = exactlyOne(
    await sql<{ id: number | null }[]>`
      -- findLastTold
      select max(id) as id from told_reminders where id > ${known}`,
  )
  return id ?? known
}

/**
 * Reads the reminders of many users, those of each in the order of their ids.
 *
 * @param ids for each user, the id of the last reminder that is known
 * @param limit how many are read of each user
 */
export async function readTold(
  sql: Sql,
  userIds: readonly string[],
  ids: readonly number[],
  limit: number,
): Promise<ToldReminder[]> {
  return sql<ToldReminder[]>`
    -- readTold
    select told.user_id, told.id, told.task_id, told.due_at, told.minutes
    from unnest(${userIds}::text[], ${ids}::bigint[]) as known (user_id, id)
    cross join lateral (
      select * from told_reminders
      where told_reminders.user_id = known.user_id and told_reminders.id > known.id
      order by told_reminders.id
      -- with a limit that it knows, the planner would choose to read and sort all of them first
      limit (select ${limit}::bigint)
    ) as told
    order by told.id`
}
