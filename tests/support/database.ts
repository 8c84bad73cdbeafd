/** A database for each test file, copied from the migrated one. */
import { afterAll } from 'bun:test'
import postgres from 'postgres'
import { type Database, openDatabase } from '../../src/database/database'
import { openPool, type Pool } from '../../src/database/pool'

const SERVER_URL = process.env['DATABASE_URL']
if (!SERVER_URL) throw new Error('DATABASE_URL is not set: run the tests with `bun run test [file…]`')

export interface TestDatabase {
  url: string
  /** For a test's own statements. */
  sql: Pool
  /** For an app. */
  database: Database
}

/** Makes a database and drops it when the file's tests have ended. */
export async function testDatabase(poolSize = 10): Promise<TestDatabase> {
  const name = `test_${crypto.randomUUID().replaceAll('-', '')}`
  const admin = postgres(urlOf('template1'), { max: 1, onnotice: () => {} })
  await admin`create database ${admin(name)} template postgres strategy file_copy`
  const url = urlOf(name)
  const sql = openPool({ url, poolSize })
  const database = openDatabase({ url, poolSize, requestTimeout: 10_000 })
  afterAll(async () => {
    await Promise.all([sql.end({ timeout: 1 }), database.end()])
    await admin`drop database ${admin(name)} with (force)`
    await admin.end()
  })
  return { url, sql, database }
}

/** Makes every write wait, to keep requests under way for as long as a test needs them to be. */
export async function blockWrites(url: string) {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  const holder = await sql.reserve()
  await holder`begin`
  await holder`lock table users`
  return {
    /** Waits until a write waits. */
    async reached(): Promise<void> {
      while (
        (
          await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
        ).length === 0
      );
    },
    async release(): Promise<void> {
      await holder`commit`
      holder.release()
      await sql.end()
    },
    /** For a server that is gone by then. */
    async forget(): Promise<void> {
      await sql.end({ timeout: 0 })
    },
  }
}

function urlOf(database: string): string {
  const url = new URL(SERVER_URL ?? '')
  url.pathname = `/${database}`
  return url.href
}
