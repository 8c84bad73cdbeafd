/** Runs dbmate, which migrates the schema with the files in `db/migrations`. */
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { resolveBinary } from 'dbmate'
import { type DatabaseAddress, type Host, readAddress } from './address'
import { openPool } from './pool'
import { findPrimary } from './primary'

const MIGRATIONS = fileURLToPath(new URL('../../db/migrations', import.meta.url))

/** Any number: the advisory lock of this project's migrations. */
const LOCK = 730_591_100

/**
 * The address in dbmate's form, for one host. The host is a parameter, because dbmate writes an IPv6 address without
 * brackets; the TLS mode is always given, because dbmate's default is `require`.
 */
export function dbmateUrl(address: DatabaseAddress, { name, port }: Host): string {
  const { user, password, database, tls, applicationName, options, connectTimeout } = address
  const parameters = new URLSearchParams({
    host: name,
    port: String(port),
    sslmode: name.startsWith('/') ? 'disable' : tls.mode,
    application_name: applicationName,
  })
  if (options !== undefined) parameters.set('options', options)
  if (connectTimeout !== undefined) parameters.set('connect_timeout', String(connectTimeout))
  if (tls.authorities) parameters.set('sslrootcert', tls.authorities.path)
  if (tls.client) {
    parameters.set('sslcert', tls.client.certificate.path)
    parameters.set('sslkey', tls.client.key.path)
  }
  const [login, secret, path] = [user, password, database].map(encodeURIComponent)
  return `postgres://${login}:${secret}@/${path}?${parameters}`
}

/** @returns the host to migrate */
async function hostOf(address: DatabaseAddress): Promise<Host> {
  return address.needsPrimary ? findPrimary(address) : address.hosts[0]
}

/**
 * Runs dbmate.
 *
 * @param args a command and its arguments; `new` needs no database
 * @param quiet keeps its output for the error
 * @throws Error if dbmate fails
 */
export async function dbmate(args: readonly string[], url?: string, quiet = false): Promise<void> {
  if (url === undefined) return runDbmate(args, undefined, quiet)
  const address = readAddress(url)
  return runDbmate(args, dbmateUrl(address, await hostOf(address)), quiet)
}

async function runDbmate(args: readonly string[], url: string | undefined, quiet: boolean): Promise<void> {
  // dbmate would read `.env` itself and, if it cannot parse it, print all of it
  const options = ['--env-file', devNull, '--migrations-dir', MIGRATIONS, '--no-dump-schema']
  const process = Bun.spawn([resolveBinary(), ...options, ...args], {
    // not as an argument, which every user of the machine could read
    env: url === undefined ? {} : { DATABASE_URL: url },
    stdin: 'ignore',
    stdout: quiet ? 'pipe' : 'inherit',
    stderr: quiet ? 'pipe' : 'inherit',
  })
  const output = quiet
    ? await Promise.all([process.stdout, process.stderr].map((each) => new Response(each).text()))
    : []
  if ((await process.exited) === 0) return
  const failure = `dbmate ${args[0]} failed (${process.signalCode ?? `exit code ${process.exitCode}`})`
  throw new Error([failure, ...output].join('\n'))
}

/**
 * Brings the database to the newest migration, or one back. dbmate takes no lock, so a second call waits here for the
 * first. The lock belongs to a transaction, because a session's lock would outlive us behind a pooler.
 */
export async function migrate(url: string, direction: 'up' | 'down', quiet = false): Promise<void> {
  const args = direction === 'up' ? ['up', '--strict'] : ['down']
  const address = readAddress(url)
  const host = await hostOf(address)
  const pool = openPool({ url: address, host, poolSize: 1, prepare: false })
  try {
    const sql = await pool.reserve()
    await sql`begin`
    await sql`select from pg_advisory_xact_lock(${LOCK}::bigint)`
    // each connection tells it when it is made
    const encoding = pool.parameters['server_encoding']
    if (encoding !== 'UTF8') {
      throw new Error(
        `The database has the encoding ${encoding}, and Taskwell needs UTF8: create database … encoding 'UTF8' template template0`,
      )
    }
    await runDbmate(args, dbmateUrl(address, host), quiet)
  } finally {
    // at once, because the transaction has nothing to commit
    await pool.end({ timeout: 0 })
  }
}
