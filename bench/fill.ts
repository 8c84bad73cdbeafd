/** Many users with many tasks, made in bulk. */
import { openPool, type Pool } from '../src/database/connection'
import { migrate } from '../src/database/migrations'

export interface Size {
  users: number
  /** Of each user. */
  tasks: number
}

/** @param n from 1 */
export function userId(n: number): string {
  return `user-${String(n).padStart(8, '0')}`
}

/** The id of a user's nth task; both count from 1. A user's tasks lie apart, as when all users make theirs in turn. */
export function taskId({ users }: Size, user: number, n: number): number {
  return (n - 1) * users + user
}

/** How many tasks one statement makes, so that whoever wants to stop does not wait for long. */
const BATCH = 50_000

/** Makes a database beside the given one, migrated and filled. @returns its URL */
export async function createFilled(
  url: string,
  name: string,
  size: Size,
  signal: AbortSignal,
): Promise<string> {
  const own = new URL(url)
  own.pathname = `/${name}`
  await withPool(url, (sql) => sql`create database ${sql(name)}`)
  await migrate(own.href, 'up', true)
  await withPool(own.href, (sql) => fill(sql, size, signal))
  return own.href
}

async function withPool<T>(url: string, use: (sql: Pool) => Promise<T>): Promise<T> {
  const sql = openPool({ url, poolSize: 1 })
  try {
    return await use(sql)
  } finally {
    await sql.end({ timeout: 0 })
  }
}

async function fill(sql: Pool, { users, tasks }: Size, signal: AbortSignal): Promise<void> {
  // foreign keys are true as it is, and checking each costs as much as the rest
  await sql`set session_replication_role = replica`
  await sql`
    insert into users (id, revision)
    select 'user-' || lpad(n::text, 8, '0'), ${tasks}::bigint from generate_series(1, ${users}::int) as n`
  const step = Math.max(Math.floor(BATCH / users), 1)
  for (let first = 1; first <= tasks; first += step) {
    signal.throwIfAborted()
    const last = Math.min(first + step - 1, tasks)
    await sql`
      insert into tasks (id, user_id, title, description, completed, created_at, updated_at, revision)
      overriding system value
      select (n - 1) * ${users}::bigint + u, 'user-' || lpad(u::text, 8, '0'),
        'Task ' || n || ' of ' || md5(n::text), case when n % 2 = 0 then 'What there is to say of it: ' || md5(u::text) end,
        n % 3 = 0, moment, moment, n
      from generate_series(${first}::int, ${last}::int) as n, generate_series(1, ${users}::int) as u,
        lateral (select timestamptz '2026-01-01' + n * interval '1 minute' as moment) as clock
      order by n, u`
  }
  await sql`select setval(pg_get_serial_sequence('tasks', 'id'), ${users * tasks}::bigint)`
  await sql`set session_replication_role = origin`
  await sql`vacuum (analyze)`
  await sql`checkpoint`
}
