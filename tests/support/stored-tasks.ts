import type { Pool } from '../../src/database/pool'
import { type Task, type TaskRow, toTask } from '../../src/tasks/model'

/** What the database has of a task. */
export interface StoredTask extends Task {
  is_deleted: boolean
  ended: boolean
}

/** @returns all tasks of a user as the service answers them, tombstones too, in the order of their changes */
export async function storedTasks(sql: Pool, owner: string): Promise<StoredTask[]> {
  const rows = await sql<TaskRow[]>`select * from tasks where user_id = ${owner} order by revision`
  return rows.map((row) => ({ ...toTask(row), is_deleted: row.deleted_at !== null, ended: row.ended }))
}
