/** Where a server can be, and how it can be spoken to: each in the service's way and in that of the migrations. */
import { afterAll, describe, expect, test } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../src/database/database'
import { isUnavailable } from '../../src/database/errors'
import { dbmate, migrate } from '../../src/database/migrations'
import { openPool } from '../../src/database/pool'
import { codeOf } from '../../src/system/errors'
import { createLog } from '../../src/telemetry/log'
import { linesTo } from '../support/app'
import { failureOf } from '../support/close-up'
import { type Cluster, createCluster, PASSWORD } from '../support/postgres-cluster'

const password = encodeURIComponent(PASSWORD)
const clusters: Cluster[] = []
afterAll(async () => {
  for (const cluster of clusters) await cluster.remove()
})

async function startCluster(encoding?: string, settings?: Record<string, string>): Promise<Cluster> {
  const cluster = await createCluster(encoding)
  clusters.push(cluster)
  await cluster.start(settings)
  return cluster
}

/** Migrates, and says who it was for and over what. */
async function use(url: string) {
  await migrate(url, 'up', true)
  await dbmate(['status'], url, true)
  const sql = openPool({ url, poolSize: 1 })
  try {
    const [row] = await sql<{ user: string; database: string; tls: boolean; name: string; path: string }[]>`
      select session_user as user, current_database() as database, ssl as tls,
        current_setting('application_name') as name, current_setting('search_path') as path
      from pg_stat_ssl where pid = pg_backend_pid()`
    return row
  } finally {
    await sql.end()
  }
}

describe('a server', async () => {
  const sockets = await mkdtemp(join(tmpdir(), 'taskwell-sockets-'))
  await chmod(sockets, 0o777)
  afterAll(() => rm(sockets, { recursive: true }))
  const hasIpv6 = Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === '::1')
  const listen_addresses = hasIpv6 ? '127.0.0.1,::1' : '127.0.0.1'
  const cluster = await startCluster('UTF8', { listen_addresses, unix_socket_directories: sockets })
  const { port } = cluster
  const sql = cluster.sql()
  await sql.unsafe(`create role "Ann B" superuser login password 'p@:/%?&é #'`)
  await sql.unsafe(`create database "my db"`)

  test.skipIf(!hasIpv6)('at an IPv6 address (where there is none, this is skipped)', async () => {
    expect(await use(`postgres://postgres:${password}@[::1]:${port}/postgres`)).toMatchObject({
      database: 'postgres',
      name: 'taskwell',
    })
    expect(await use(`postgres://postgres:${password}@/postgres?host=::1&port=${port}`)).toBeDefined()
  })

  test('at a Unix socket, whatever is said of TLS', async () => {
    const folder = encodeURIComponent(sockets)
    for (const url of [
      `postgres://postgres:${password}@/postgres?host=${folder}&port=${port}`,
      `postgres://postgres:${password}@${folder}:${port}/postgres?sslmode=verify-full`,
      `host=${sockets} port=${port} user=postgres password='${PASSWORD}' dbname=postgres`,
    ]) {
      expect(await use(url)).toMatchObject({ database: 'postgres', tls: false })
    }
  })

  test('with names and a password that have to be escaped', async () => {
    const who = `Ann%20B:${encodeURIComponent('p@:/%?&é #')}`
    expect(await use(`postgres://${who}@127.0.0.1:${port}/my%20db`)).toMatchObject({
      user: 'Ann B',
      database: 'my db',
    })
    expect(
      await use(`host=127.0.0.1 port=${port} user='Ann B' password='p@:/%?&é #' dbname=my\\ db`),
    ).toMatchObject({ user: 'Ann B', database: 'my db' })
  })

  test('that is told a name and options for each connection', async () => {
    const more = `application_name=of%20mine&options=-c%20search_path%3Dpublic`
    expect(await use(`postgres://postgres:${password}@127.0.0.1:${port}/postgres?${more}`)).toMatchObject({
      name: 'of mine',
      path: 'public',
    })
  })

  test.each(['allow', 'prefer'])('that has no TLS serves sslmode=%s, and others not', async (sslmode) => {
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres?sslmode=`
    expect(await use(url + sslmode)).toMatchObject({ tls: false })
    const required = openPool({ url: `${url}require`, poolSize: 1 })
    expect(await failureOf(required`select 1`)).toBeInstanceOf(Error)
    await required.end({ timeout: 0 })
  })
})

describe('a database that is not UTF-8', async () => {
  const encodings = ['SQL_ASCII', 'LATIN1']
  const cluster = await startCluster()
  for (const encoding of encodings) {
    await cluster
      .sql()
      .unsafe(`create database ${encoding} encoding '${encoding}' locale 'C' template template0`)
  }
  const urlOf = (encoding: string) => cluster.url(encoding.toLowerCase())

  test.each(encodings)('but %s is not migrated', async (encoding) => {
    await expect(migrate(urlOf(encoding), 'up', true)).rejects.toThrow(
      `The database has the encoding ${encoding}, and Taskwell needs UTF8`,
    )
    const sql = openPool({ url: urlOf(encoding), poolSize: 1 })
    expect(await sql`select from pg_tables where schemaname = 'public'`).toHaveLength(0)
    await sql.end()
  })

  test.each(encodings)(
    'but %s is written to by nobody, not ready, and told of in the log once',
    async (encoding) => {
      const admin = openPool({ url: urlOf(encoding), poolSize: 1 })
      await admin`create table written (text text)`
      const lines: string[] = []
      const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
      const database = openDatabase({ url: urlOf(encoding), poolSize: 4, requestTimeout: 5000, log })
      const write = () => database.sql`
      -- write
      insert into written values ('x')`
      const failures = await Promise.all(Array.from({ length: 20 }, () => failureOf(write())))
      expect(new Set(failures.map(codeOf))).toEqual(new Set(['NOT_UTF8']))
      expect(codeOf(await failureOf(write()))).toBe('NOT_UTF8')
      expect(codeOf(await failureOf(database.checkReady()))).toBe('NOT_UTF8')
      expect(await admin`select from written`).toHaveLength(0)
      expect(lines.map((line) => JSON.parse(line))).toEqual([
        expect.objectContaining({ level: 50, encoding, msg: expect.stringContaining('UTF8') }),
      ])
      await Promise.all([database.end(), admin.end()])
    },
  )

  test('is served once it is made anew with UTF-8, and refused when it is changed back', async () => {
    const name = 'changing'
    const make = async (encoding: string) => {
      await cluster.sql().unsafe(`drop database if exists ${name} with (force)`)
      await cluster
        .sql()
        .unsafe(`create database ${name} encoding '${encoding}' locale 'C' template template0`)
    }
    await make('LATIN1')
    const database = openDatabase({ url: cluster.url(name), poolSize: 2, requestTimeout: 5000 })
    const ask = () => database.sql`
      -- ask
      select 1`
    expect(codeOf(await failureOf(ask()))).toBe('NOT_UTF8')
    await make('UTF8')
    while ((await failureOf(ask())) !== 'nothing');
    await make('LATIN1')
    while (codeOf(await failureOf(ask())) !== 'NOT_UTF8');
    await database.end()
  })
})

const openssl = Bun.which('openssl')
// where the whole project is checked, a missing program is a fault and no reason to skip
if (!openssl && process.env['REQUIRE_OPENSSL']) throw new Error('There is no openssl')

describe('TLS', async () => {
  if (!openssl) return test.skip('there is no openssl here to make certificates with; install it', () => {})
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-tls-'))
  afterAll(() => rm(folder, { recursive: true }))
  const file = (name: string) => join(folder, name)
  const run = async (...args: string[]) => {
    const child = Bun.spawn([openssl, ...args], { cwd: folder, stdout: 'ignore', stderr: 'pipe' })
    if ((await child.exited) !== 0) throw new Error(await new Response(child.stderr).text())
  }
  const authority = (name: string) =>
    run(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-days', '30'],
      ...['-keyout', `${name}.key`, '-out', `${name}.crt`],
    )
  const certificate = async (name: string, subject: string, names: string) => {
    await Bun.write(file(`${name}.ext`), names)
    await run(
      ...['req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${subject}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
    )
    await run(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ours.crt', '-CAkey', 'ours.key', '-CAcreateserial'],
      ...['-days', '30', '-extfile', `${name}.ext`, '-out', `${name}.crt`],
    )
    await chmod(file(`${name}.key`), 0o600)
  }
  await authority('ours')
  await authority('theirs')
  await certificate('server', 'localhost', 'subjectAltName=DNS:localhost')
  await certificate('client', 'certified', 'extendedKeyUsage=clientAuth')

  const cluster = await createCluster()
  clusters.push(cluster)
  const read = (name: string) => Bun.file(file(name)).text()
  const settings = {
    ssl: 'on',
    ssl_cert_file: await cluster.write('server.crt', await read('server.crt')),
    ssl_key_file: await cluster.write('server.key', await read('server.key')),
    ssl_ca_file: await cluster.write('ours.crt', await read('ours.crt')),
    listen_addresses: 'localhost',
  }
  await cluster.write(
    'pg_hba.conf',
    'hostssl all certified all cert\nhostssl all all all scram-sha-256\nhost all plain all scram-sha-256\n',
  )
  await cluster.start(settings)
  const tls = '?sslmode=require'
  const admin = openPool({ url: cluster.url() + tls, poolSize: 1 })
  for (const role of ['certified', 'plain']) {
    await admin.unsafe(`create role ${role} superuser login password 'p'`)
  }
  await admin.end()
  const at = (host: string, parameters: string, who = `postgres:${password}`) =>
    `postgres://${who}@${host}:${cluster.port}/postgres?${parameters}`
  const trusting = (name: string) => `sslrootcert=${file(`${name}.crt`)}`

  test.each([
    ['localhost', 'sslmode=allow'],
    ['localhost', 'sslmode=prefer'],
    ['localhost', 'sslmode=require'],
    ['localhost', `sslmode=require&${trusting('ours')}`],
    ['localhost', `sslmode=verify-ca&${trusting('ours')}`],
    ['127.0.0.1', `sslmode=verify-ca&${trusting('ours')}`],
    ['localhost', `sslmode=verify-full&${trusting('ours')}`],
  ])('at %s with %s works', async (host, parameters) => {
    expect(await use(at(host, parameters))).toMatchObject({ tls: true })
  })

  test.each([
    ['localhost', 'sslmode=disable'],
    ['localhost', 'sslmode=verify-ca'],
    ['localhost', 'sslmode=verify-full'],
    ['localhost', `sslmode=require&${trusting('theirs')}`],
    ['localhost', `sslmode=verify-ca&${trusting('theirs')}`],
    ['localhost', `sslmode=verify-full&${trusting('theirs')}`],
    ['127.0.0.1', `sslmode=verify-full&${trusting('ours')}`],
    ['localhost', 'sslrootcert=system'],
  ])('at %s with %s does not', async (host, parameters) => {
    const sql = openPool({ url: at(host, parameters), poolSize: 1 })
    // whatever the reason, it is no fault of ours
    expect(isUnavailable(await failureOf(sql`select 1`))).toBeTrue()
    await sql.end({ timeout: 0 })
    await expect(dbmate(['status'], at(host, parameters), true)).rejects.toThrow('dbmate status failed')
  })

  test('with certificate files that are removed after the start goes on', async () => {
    await Bun.write(file('removed.crt'), await read('ours.crt'))
    const parameters = `sslmode=verify-full&${trusting('removed')}&target_session_attrs=primary`
    const database = openDatabase({ url: at('localhost', parameters), poolSize: 1, requestTimeout: 10_000 })
    await rm(file('removed.crt'))
    const ask = () => database.sql<{ one: number }[]>`
      -- ask
      select 1 as one`
    expect(await ask()).toEqual([{ one: 1 }] as never)
    await database.end()
  })

  test('with a certificate of our own instead of a password works', async () => {
    const ours = `sslcert=${file('client.crt')}&sslkey=${file('client.key')}`
    const parameters = `sslmode=verify-full&${trusting('ours')}&${ours}`
    expect(await use(at('localhost', parameters, 'certified'))).toMatchObject({
      user: 'certified',
      tls: true,
    })
  })
})
