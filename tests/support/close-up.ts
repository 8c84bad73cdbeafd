/** What the close-up tests of the database's layer have in common. */
import { afterAll, afterEach } from 'bun:test'
import { type Database, type DatabaseOptions, openDatabase } from '../../src/database/database'
import type { QueryContext, Statement } from '../../src/database/query-context'
import type { Sql } from '../../src/database/sql'
import { testDatabase } from './database'
import { startFaultProxy } from './fault-proxy'

/** In milliseconds: what a busy machine may take longer than was promised. */
export const SLACK = 1500
/** In milliseconds: longer than any test waits. */
export const LONG = 20_000

export const answered = (sql: Sql) => sql<{ pid: number }[]>`
  -- answered
  select pg_backend_pid() as pid`

export const waitForLock = (sql: Sql, n = 1) => sql<{ n: number }[]>`
  -- waitForLock
  select ${n}::int as n from (select pg_advisory_xact_lock(1) offset 0) as held`

export const waitAndWrite = (sql: Sql, n: number) => sql<{ n: number }[]>`
  -- waitAndWrite
  with held as materialized (select pg_advisory_xact_lock(1))
  insert into written select ${n}::int from held returning n`

export const write = (sql: Sql, n: number) => sql<{ n: number }[]>`
  -- write
  insert into written values (${n}) returning n`

/** A request that waits for so many milliseconds, and what it was told. */
export function contextFor(milliseconds = LONG, more: Partial<QueryContext> = {}) {
  const seen: Statement[] = []
  const context: QueryContext = {
    deadline: performance.now() + milliseconds,
    isSafe: false,
    signal: new AbortController().signal,
    onStatement: (statement) => seen.push(statement),
    ...more,
  }
  return { context, seen }
}

/** What it was rejected with. */
export const failureOf = (statement: Promise<unknown>): Promise<unknown> =>
  statement.then(
    () => 'nothing',
    (error: unknown) => error,
  )

/** Which connection, of a pool of one. */
export async function pidOf({ sql }: Database): Promise<number | undefined> {
  return (await answered(sql))[0]?.pid
}

export async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await run()
  return performance.now() - begun
}

/** A database with a table that is written to, and a proxy before it. All is as new after each of the file's tests. */
export async function setCloseUp() {
  const { url, sql: admin } = await testDatabase()
  const proxy = await startFaultProxy(() => Number(new URL(url).port))
  await admin`create table written (n int not null)`
  const opened: Database[] = []
  const releases = new Set<() => Promise<void>>()

  afterEach(async () => {
    for (const release of releases) await release()
    proxy.welcome('pass')
    proxy.cut()
    await Promise.all(opened.splice(0).map((database) => database.end()))
    await admin`truncate written`
  })
  afterAll(proxy.close)

  function open(options: Partial<DatabaseOptions> = {}): Database {
    const database = openDatabase({ url, poolSize: 1, requestTimeout: LONG, ...options })
    opened.push(database)
    return database
  }
  /** Makes `waitForLock` and `waitAndWrite` wait. @returns what lets them go on; the test's end does, too */
  async function lock(): Promise<() => Promise<void>> {
    const holder = await admin.reserve()
    await holder`select pg_advisory_lock(1)`
    const release = async () => {
      if (!releases.delete(release)) return
      await holder`select pg_advisory_unlock(1)`
      holder.release()
    }
    releases.add(release)
    return release
  }
  /** Waits until so many statements of this name wait in the database. @returns the pids of their backends */
  async function untilWaiting(name: string, count: number): Promise<number[]> {
    for (;;) {
      const rows = await admin<{ pid: number }[]>`
        select pid from pg_stat_activity where datname = current_database() and state = 'active'
          and query ~ ${`^\\s*-- ${name}\n`} and wait_event_type in ('Lock', 'Timeout')`
      if (rows.length === count) return rows.map(({ pid }) => pid)
    }
  }
  async function writtenRows(): Promise<number[]> {
    return (await admin<{ n: number }[]>`select n from written order by n`).map(({ n }) => n)
  }
  return { url, admin, proxy, open, lock, untilWaiting, writtenRows }
}
