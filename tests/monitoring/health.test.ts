import { afterAll, describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createApp } from '../../src/app'
import { openDatabase } from '../../src/database/database'
import { SCHEMA_VERSION } from '../../src/database/ready'
import { createLog } from '../../src/telemetry/log'
import { testApp, testSettings, toAnswer } from '../support/app'

/** The app in front of a database that is not there. */
function appAt(url: string) {
  const database = openDatabase({ url, poolSize: 1, requestTimeout: 10_000 })
  afterAll(() => database.end())
  const app = createApp({
    settings: testSettings(),
    database,
    log: createLog({ logLevel: 'silent', production: true }),
  })
  return async (path: string) => toAnswer(await app.handle(new Request(`http://localhost${path}`)))
}

describe('with a database', () => {
  test('both answer 200', async () => {
    const { call } = await testApp()
    const healthy = {
      status: 'healthy',
      service: 'taskwell',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    }
    expect(await call('GET', '/health')).toMatchObject({ status: 200, body: healthy })
    expect(await call('GET', '/ready')).toMatchObject({ status: 200, body: { status: 'ready' } })
  })
})

describe('a database', () => {
  test('without the schema is not ready', async () => {
    const { call, sql, logged } = await testApp()
    await sql`alter table schema_migrations rename to gone`
    expect(await call('GET', '/ready')).toMatchObject({ status: 503 })
    expect(logged.map((line) => JSON.parse(line).err?.code)).toContain('SCHEMA_OUTDATED')
    await sql`alter table gone rename to schema_migrations`
    expect((await call('GET', '/ready')).status).toBe(200)
  })

  test('that misses a migration is not ready, and the log says why', async () => {
    const { call, sql, logged } = await testApp()
    await sql`delete from schema_migrations where version = ${SCHEMA_VERSION}`
    expect(await call('GET', '/ready')).toMatchObject({ status: 503 })
    expect(logged.map((line) => JSON.parse(line).err?.code)).toContain('SCHEMA_OUTDATED')
    await sql`insert into schema_migrations values (${SCHEMA_VERSION})`
    expect((await call('GET', '/ready')).status).toBe(200)
  })

  test('that can only be read is not ready, and the log says why', async () => {
    const { call, sql, url, logged } = await testApp()
    const name = new URL(url).pathname.slice(1)
    await sql`alter database ${sql(name)} set default_transaction_read_only = on`
    expect(await call('GET', '/ready')).toMatchObject({ status: 503 })
    expect(logged.map((line) => JSON.parse(line).err?.code)).toContain('READ_ONLY')
  })

  test('is ready with the newest migration, and with those of a later version', async () => {
    const files = await readdir(join(import.meta.dir, '../../db/migrations'))
    expect(files.sort().at(-1)).toStartWith(`${SCHEMA_VERSION}_`)
    const { call, sql } = await testApp()
    await sql`insert into schema_migrations values ('99990101000000')`
    expect((await call('GET', '/ready')).status).toBe(200)
  })
})

describe.each([
  ['refuses', (socket: { destroy(): void }) => socket.destroy()],
  ['accepts and says nothing', () => {}],
])('with a database that %s', async (_, onConnection) => {
  const server = createServer(onConnection).listen(0, '127.0.0.1')
  afterAll(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const call = appAt(`postgres://u:p@127.0.0.1:${port}/d`)

  test('/health is still 200', async () => {
    expect((await call('/health')).status).toBe(200)
  })

  test('/ready is a 503 that says when to ask again', async () => {
    const answer = await call('/ready')
    expect(answer).toMatchObject({ status: 503, body: { error_code: 'DATABASE_UNAVAILABLE' } })
    expect(answer.headers.get('retry-after')).toBe('1')
  })
})

test('a request to a database that is not there is a 503', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  await new Promise((done) => server.close(done))
  const { signAccessToken } = await import('../../src/auth/token')
  const settings = testSettings()
  const url = `postgres://u:p@127.0.0.1:${port}/d`
  const database = openDatabase({ url, poolSize: 1, requestTimeout: 10_000 })
  const app = createApp({ settings, database, log: createLog({ logLevel: 'silent', production: true }) })
  const authorization = `Bearer ${await signAccessToken('ann', settings)}`
  const request = new Request('http://localhost/api/v1/todos', { headers: { authorization } })
  const answer = await toAnswer(await app.handle(request))
  expect(answer).toMatchObject({ status: 503, body: { error_code: 'DATABASE_UNAVAILABLE' } })
  expect(answer.headers.get('retry-after')).toBe('1')
  await database.end()
})

test('a token is answered in time, also where its issuer says nothing', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  afterAll(() => void silent.close())
  const address = silent.address()
  const port = typeof address === 'object' ? address?.port : 0
  const { call } = await testApp({ BETTER_AUTH_URL: `http://127.0.0.1:${port}`, REQUEST_TIMEOUT_MS: '400' })
  const header = Buffer.from('{"alg":"EdDSA","kid":"unknown"}').toString('base64url')
  const asked = performance.now()
  const answer = await call('GET', '/api/v1/todos', { headers: { authorization: `Bearer ${header}.e30.AA` } })
  expect(answer).toMatchObject({ status: 503, body: { error_code: 'KEYS_UNAVAILABLE' } })
  // the default would be three seconds
  expect(performance.now() - asked).toBeLessThan(2500)
})
