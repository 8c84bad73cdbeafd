/** From tasks with a moment to remind of to reminders that are told. */
import type { Sql } from '../database/sql'
import { dueMoment, nextReminder } from '../tasks/due'
import { findRemindedTasks, type RemindedTask, type Telling, tellReminders } from './queries'

/** How many tasks a statement locks at most, so that it holds them for milliseconds only. */
const BATCH = 500

/** In milliseconds: a reminder that is later than a day is dropped. */
const LATEST = 24 * 3_600_000

/**
 * Tells a batch of the reminders that have fallen due: each once, also if several processes do so.
 *
 * @returns whether there may be more
 */
export async function tellDueReminders(sql: Sql): Promise<boolean> {
  const tasks = await findRemindedTasks(sql, BATCH)
  if (tasks.length === 0) return false
  const done = await tellReminders(
    sql,
    tasks.flatMap((task) => tellingOf(task) ?? []),
  )
  return tasks.length === BATCH && done > 0
}

/** The zone's rules are applied here, as when the task was written: PostgreSQL may have others. */
function tellingOf(task: RemindedTask): Telling | undefined {
  const { user_id, id, revision, due_date, due_time, time_zone, due_at, reminders, remind_at, now } = task
  // the schema of the database does not allow that
  if (due_date === null || remind_at === null) return undefined
  const due =
    due_at === null ? dueMoment(due_date, due_time, time_zone).epochMilliseconds : Date.parse(due_at)
  // earlier ones were told, or were past already when they were set
  const from = Math.max(Date.parse(remind_at), Date.parse(now) - LATEST)
  const minutes = reminders
    .filter((each) => due - each * 60_000 >= from && due - each * 60_000 <= Date.parse(now))
    .sort((one, other) => other - one)
  const next_at = nextReminder(due, reminders, now)
  return { user_id, id, revision, remind_at, next_at, due_at: new Date(due).toISOString(), minutes }
}
