/** Tasks with reminders, and time that passes without a wait. */
import type { Pool } from '../../src/database/pool'
import type { Call } from './app'

/** What a task needs to be due at a whole minute, in so many minutes or up to one more. */
export function dueIn(minutes: number) {
  const due = new Date(Math.ceil(Date.now() / 60_000 + minutes) * 60_000).toISOString()
  return { due_date: due.slice(0, 10), due_time: due.slice(11, 16), time_zone: 'UTC' }
}

/** Creates a task. @returns its id */
export async function createTask(call: Call, as: string, fields: object): Promise<number> {
  const { status, body } = await call('POST', '/api/v1/todos', { as, body: { title: 'x', ...fields } })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body.id
}

/** For a task with a time it is then as if so many minutes had passed. */
export async function pass(sql: Pool, id: number, minutes: number): Promise<void> {
  await sql`
    update tasks set due_at = due_at - passed, overdue_at = overdue_at - passed, remind_at = remind_at - passed
    from make_interval(mins => ${minutes}) as passed
    where id = ${id}`
}

/** Creates a task with one reminder that has just fallen due. @returns its id */
export async function createDue(call: Call, sql: Pool, as: string, fields: object = {}): Promise<number> {
  const id = await createTask(call, as, { ...dueIn(60), reminders: [30], ...fields })
  await pass(sql, id, 31)
  return id
}
