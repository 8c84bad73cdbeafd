/** Many users with many tasks, made in bulk. */

import { migrate } from '../src/database/migrations'
import { openPool, type Pool } from '../src/database/pool'

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

/** A database of many users with many tasks. */
export interface Filled {
  url: string
  /** Takes away what was made since, and the work that PostgreSQL would do later because of it. */
  tidy(): Promise<void>
}

/** How many tasks one statement makes, so that an interruption does not wait for long. */
const BATCH = 50_000

/** In milliseconds: writes may still be under way when a loader has ended. */
const SETTLED = 500

/** Makes Taskwell's database beside the given one. */
export function createFilled(url: string, name: string, size: Size, signal: AbortSignal): Promise<Filled> {
  return create(url, name, size, signal, async (sql, own) => {
    await migrate(own, 'up', true)
    // foreign keys are true as it is, and checking each costs as much as the rest
    await sql`set session_replication_role = replica`
    await sql`
      insert into users (id, revision)
      select 'user-' || lpad(n::text, 8, '0'), ${size.tasks}::bigint from generate_series(1, ${size.users}::int) as n`
  })
}

/** Makes the peers' database: one plain table with the same rows, and an index for the newest of a user's. */
export function createPlain(url: string, name: string, size: Size, signal: AbortSignal): Promise<Filled> {
  return create(url, name, size, signal, async (sql) => {
    await sql`
      create table tasks (
        id integer generated always as identity primary key,
        user_id text not null,
        title varchar(200) not null,
        description varchar(1000),
        completed boolean not null default false,
        created_at timestamptz(3) not null default now(),
        updated_at timestamptz(3) not null default now(),
        revision integer not null default 1
      )`
    await sql`create index tasks_newest on tasks (user_id, id desc)`
  })
}

async function create(
  url: string,
  name: string,
  size: Size,
  signal: AbortSignal,
  prepare: (sql: Pool, own: string) => Promise<void>,
): Promise<Filled> {
  const own = new URL(url)
  own.pathname = `/${name}`
  await withPool(url, (sql) => sql`create database ${sql(name)}`)
  await withPool(own.href, async (sql) => {
    await prepare(sql, own.href)
    await fill(sql, size, signal)
  })
  const tidy = async () => {
    await Bun.sleep(SETTLED)
    await withPool(own.href, async (sql) => {
      await sql`delete from tasks where id > ${size.users * size.tasks}`
      await sql`vacuum`
      await sql`checkpoint`
    })
  }
  return { url: own.href, tidy }
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
  await sql`vacuum (analyze)`
  await sql`checkpoint`
}

/** Settings of a server for nothing but this: memory for two databases, and no work that starts in the middle of a run. */
export async function setUp(url: string): Promise<void> {
  await withPool(url, async (sql) => {
    await sql`alter system set shared_buffers = '1GB'`
    await sql`alter system set max_wal_size = '8GB'`
    await sql`alter system set checkpoint_timeout = '1h'`
    await sql`alter system set autovacuum = off`
  })
}
