/** What stands between the service and PostgreSQL, and does not take everything. */
import { afterEach, describe, expect, test } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import type { Sql } from '../../src/database/sql'
import { codeOf } from '../../src/system/errors'
import { freePort } from '../../src/system/free-port'
import { answered, contextFor, failureOf, pidOf, setCloseUp, waitForLock, write } from '../support/close-up'

const { url, open, untilWaiting, writtenRows, lock } = await setCloseUp()

const cleanings: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanings.splice(0)) await clean()
})

const timeoutOf = async (sql: Sql): Promise<string | undefined> => {
  const rows = await sql<{ statement_timeout: string }[]>`
    -- timeoutOf
    show statement_timeout`
  return rows[0]?.statement_timeout
}

function urlAt(port: number): string {
  const other = new URL(url)
  other.hostname = '127.0.0.1'
  other.port = String(port)
  return other.href
}

/** As PgBouncer says it: before it asks who is there. */
const REFUSAL = ['SFATAL', 'C08P01', 'Munsupported startup parameter: statement_timeout', '', ''].join('\0')

function refuse(client: Socket): void {
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(4 + REFUSAL.length, 1)
  client.end(Buffer.concat([head, Buffer.from(REFUSAL)]))
}

/** Refuses connections that ask for a `statement_timeout`, and serves all others. @returns its address, and how many it refused */
async function startStrict() {
  let refused = 0
  const server = createServer((client) => {
    client.on('error', () => {})
    client.once('data', (startup) => {
      if (startup.includes('statement_timeout')) {
        refused++
        return refuse(client)
      }
      const upstream = connect(Number(new URL(url).port), '127.0.0.1')
      upstream.on('error', () => {}).on('close', () => client.destroy())
      upstream.write(startup)
      client.on('close', () => upstream.destroy()).pipe(upstream)
      upstream.pipe(client)
    })
  })
  const port = await freePort()
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  cleanings.push(() => server.close())
  return { url: urlAt(port), refused: () => refused }
}

describe("the server's own limit", () => {
  test('is that of a request', async () => {
    expect(await timeoutOf(open({ requestTimeout: 12_345 }).sql)).toBe('12345ms')
  })

  test('is given up no more once the database is closed', async () => {
    const strict = await startStrict()
    const database = open({ url: strict.url, requestTimeout: 1000 })
    const statement = failureOf(timeoutOf(database.sql))
    await database.end()
    // not DEADLINE: it would be run again and again until then
    expect(codeOf(await statement)).toBe('08P01')
  })

  test('is left out where a pooler refuses it, and no statement is lost or done twice', async () => {
    const strict = await startStrict()
    const database = open({ url: strict.url, poolSize: 10, requestTimeout: 20_000 })
    // far more than there are connections: none waits for as many refusals
    const numbers = Array.from({ length: 250 }, (_, n) => n)
    const { context } = contextFor(20_000, { isSafe: true })
    const reads = numbers.map(() => answered(database.sqlFor(context)))
    const writes = numbers.map((n) => write(database.sql, n))
    expect((await Promise.all(reads)).flat()).toHaveLength(250)
    expect((await Promise.all(writes)).flat()).toEqual(numbers.map((n) => ({ n })))
    expect(await writtenRows()).toEqual(numbers)
    expect(await timeoutOf(database.sql)).toBe('0')
    const before = strict.refused()
    expect(before).toBeGreaterThan(0)
    await Promise.all(reads.map(() => answered(database.sql)))
    expect(strict.refused()).toBe(before)
  })
})

const timesOf = async (sql: Sql) => {
  const rows = await sql<{ style: string; zone: string }[]>`
    -- timesOf
    select current_setting('DateStyle') as style, current_setting('TimeZone') as zone`
  return rows[0]
}

test('times are written in ISO 8601 and UTC, whatever is set for the database, and a pooler refuses', async () => {
  const name = new URL(url).pathname.slice(1)
  const admin = postgres(url, { max: 1 })
  cleanings.push(async () => {
    await admin`alter database ${admin(name)} reset all`
    await admin.end()
  })
  await admin`alter database ${admin(name)} set datestyle = 'German, DMY'`
  await admin`alter database ${admin(name)} set timezone = 'Europe/Berlin'`
  const strict = await startStrict()
  for (const where of [url, strict.url]) {
    expect(await timesOf(open({ url: where }).sql)).toEqual({ style: 'ISO, MDY', zone: 'UTC' })
  }
  expect(strict.refused()).toBeGreaterThan(0)
})

const pgbouncer = Bun.which('pgbouncer', { PATH: `${process.env['PATH']}:/usr/sbin` })
if (!pgbouncer && process.env['REQUIRE_PGBOUNCER']) throw new Error('There is no pgbouncer')

/** In transaction mode; in a folder of its own, and as nobody, since it refuses to run as root. */
async function startPgBouncer(command: string, settings: string): Promise<string> {
  const { hostname, port: target, username, password } = new URL(url)
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-pgbouncer-'))
  await chmod(folder, 0o755)
  const port = await freePort()
  const file = join(folder, 'pgbouncer.ini')
  await Bun.write(
    file,
    `[databases]
* = host=${hostname} port=${target} user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
${settings}
`,
  )
  const isRoot = process.getuid?.() === 0
  const pooler = Bun.spawn(
    isRoot ? ['setpriv', '--reuid=65534', '--clear-groups', command, file] : [command, file],
    {
      stdio: ['ignore', 'ignore', 'ignore'],
    },
  )
  cleanings.push(async () => {
    pooler.kill('SIGKILL')
    await pooler.exited
    await rm(folder, { recursive: true })
  })
  const isUp = () =>
    new Promise((done) => {
      const socket = connect(port, '127.0.0.1', () => done(socket.destroy()))
      socket.on('error', () => done(undefined))
    })
  while (!(await isUp())) await Bun.sleep(10)
  return urlAt(port)
}

/** Since 1.21 it can keep prepared statements in transaction mode; before, we find that it does not. */
function keepsStatements(command: string): boolean {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(Bun.spawnSync([command, '--version']).stdout.toString()) ?? []
  return Number(major) > 1 || Number(minor) >= 21
}

function testWithPgBouncer(command: string, prepare: boolean): void {
  const settings = prepare && keepsStatements(command) ? 'max_prepared_statements = 100' : ''

  test(`serves many at once, prepared: ${prepare}`, async () => {
    const pooled = await startPgBouncer(command, settings)
    const database = open({ url: pooled, poolSize: 10, prepare, requestTimeout: 20_000 })
    for (let round = 0; round < 3; round++) {
      const numbers = Array.from({ length: 50 }, (_, n) => 50 * round + n)
      const rows = await Promise.all(numbers.map((n) => write(database.sql, n)))
      expect(rows.flat()).toEqual(numbers.map((n) => ({ n })))
    }
    expect(await writtenRows()).toHaveLength(150)
    await database.checkReady()
  })

  test(`hands on the cancellation at a deadline, prepared: ${prepare}`, async () => {
    const database = open({ url: await startPgBouncer(command, settings), prepare })
    await pidOf(database)
    const release = await lock()
    const failure = failureOf(waitForLock(database.sqlFor(contextFor(1000).context)))
    await untilWaiting('waitForLock', 1)
    expect(codeOf(await failure)).toBe('DEADLINE')
    await untilWaiting('waitForLock', 0)
    await release()
    expect(await pidOf(database)).toBeNumber()
  })
}

describe('PgBouncer in transaction mode', () => {
  if (!pgbouncer) return test.skip('there is no pgbouncer here; install it', () => {})
  testWithPgBouncer(pgbouncer, false)
  testWithPgBouncer(pgbouncer, true)
})
