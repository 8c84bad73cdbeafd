/**
 * Runs a command beside a PostgreSQL of its own: `bun tests/support/with-database.ts <command> [argument…]`.
 * `DATABASE_URL` names its database `postgres`, migrated, which tests use as a template. Nothing is left behind.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrations'
import { startEmbedded } from '../../src/embedded/server'

const folder = await mkdtemp(join(tmpdir(), 'taskwell-test-'))
const database = await startEmbedded(folder)
try {
  await migrate(database.url, 'up', true)
  await forgetInACrash(database.url)
  const command = Bun.spawn(process.argv.slice(2), {
    env: { ...process.env, DATABASE_URL: database.url },
    stdio: ['inherit', 'inherit', 'inherit'],
  })
  // Ctrl-C reaches the command by itself; we only have to outlive it
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => command.kill('SIGTERM'))
  process.exitCode = await command.exited
} finally {
  await database.stop()
  await rm(folder, { recursive: true })
}

/** Does not wait for the disk: nothing has to outlive the command. */
async function forgetInACrash(url: string): Promise<void> {
  const sql = postgres(url, { max: 1 })
  await sql`alter system set fsync = off`
  await sql`select pg_reload_conf()`
  await sql.end()
}
