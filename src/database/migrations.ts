/** dbmate, from its npm package: the schema's changes in `db/migrations`, forward and back. */
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { resolveBinary } from 'dbmate'
import { cleanUrl, openPool } from './connection'

const MIGRATIONS = fileURLToPath(new URL('../../db/migrations', import.meta.url))

/** Any constant: names this project's migrations among a database's advisory locks. */
const LOCK = 730_591_100

/** dbmate's default is `require`; postgres.js uses TLS only where the URL asks for it, and both must agree. */
function dbmateUrl(url: string): string {
  const cleaned = new URL(cleanUrl(url))
  if (!cleaned.searchParams.has('sslmode')) cleaned.searchParams.set('sslmode', 'disable')
  return cleaned.href
}

/**
 * Runs dbmate.
 *
 * @param args a command and its arguments; `new` needs no database
 * @param quiet true keeps its output for the error
 * @throws Error if it does not end with 0
 */
export async function dbmate(args: readonly string[], url?: string, quiet = false): Promise<void> {
  // by itself it reads `.env`, and prints all of a file that it cannot parse
  const options = ['--env-file', devNull, '--migrations-dir', MIGRATIONS, '--no-dump-schema']
  const process = Bun.spawn([resolveBinary(), ...options, ...args], {
    // not as an argument, which every user of the machine could read
    env: url === undefined ? {} : { DATABASE_URL: dbmateUrl(url) },
    stdin: 'ignore',
    stdout: quiet ? 'pipe' : 'inherit',
    stderr: quiet ? 'pipe' : 'inherit',
  })
  const output = quiet
    ? await Promise.all([process.stdout, process.stderr].map((each) => new Response(each).text()))
    : []
  if ((await process.exited) === 0) return
  throw new Error(
    [`dbmate ${args[0]} failed (${process.signalCode ?? `exit code ${process.exitCode}`})`, ...output].join(
      '\n',
    ),
  )
}

/**
 * Brings the database to the newest migration, or one back. dbmate takes no lock, so two at once wait here. The lock is
 * a transaction's: through a pooler, a session's would outlive us.
 */
export async function migrate(url: string, direction: 'up' | 'down', quiet = false): Promise<void> {
  const args = direction === 'up' ? ['up', '--strict'] : ['down']
  const pool = openPool({ url, poolSize: 1, prepare: false })
  try {
    const sql = await pool.reserve()
    await sql`begin`
    await sql`select from pg_advisory_xact_lock(${LOCK}::bigint)`
    await dbmate(args, url, quiet)
  } finally {
    // at once: the transaction has nothing to keep, and ends with its connection
    await pool.end({ timeout: 0 })
  }
}
