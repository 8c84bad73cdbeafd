import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { migrate } from '../../src/database/migrations'
import { startFaultProxy } from '../support/fault-proxy'
import {
  eventually,
  expectUnavailable,
  NOTICE,
  newUser,
  read,
  SLACK,
  untilReady,
  write,
} from '../support/faults'
import { call } from '../support/http-connection'
import { PASSWORD } from '../support/postgres-cluster'
import { type PostgresPair, preparePairs } from '../support/postgres-pair'
import { type Environment, endServers, type ServerProcess, startServer } from '../support/server-process'

const startPair = await preparePairs()
let cleanings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await endServers()
  for (const clean of cleanings.reverse()) await clean()
  cleanings = []
})
afterAll(endServers)

async function pairOf(): Promise<PostgresPair> {
  const pair = await startPair()
  cleanings.push(pair.remove)
  return pair
}

async function proxyTo(port: number) {
  const proxy = await startFaultProxy(() => port)
  cleanings.push(proxy.close)
  return proxy
}

const urlOf = (...ports: number[]) =>
  `postgres://postgres:${encodeURIComponent(PASSWORD)}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}/postgres`

const serve = (DATABASE_URL: string, env: Environment = {}) =>
  startServer({ DATABASE_URL, DATABASE_POOL_SIZE: '10', REQUEST_TIMEOUT_MS: '5000', ...env })

interface Writers {
  /** Titles whose creation was answered with 201, in this order. */
  acknowledged: string[]
  /** Answers that were neither 201 nor the 503 of a database that is away. */
  strange: unknown[]
  /** Waits for so many more. */
  succeed(count: number): Promise<void>
  stop(): Promise<void>
}

/** Clients that create tasks, each for a user of its own, and repeat with the same key what was not acknowledged. */
function startWriters({ port }: ServerProcess, clients = 8): Writers {
  const acknowledged: string[] = []
  const strange: unknown[] = []
  let isOver = false

  async function client(): Promise<void> {
    const as = newUser()
    for (let n = 0; !isOver; n++) {
      const title = `${as}-${n}`
      while (!(await isCreated(as, title))) await Bun.sleep(20)
      acknowledged.push(title)
    }
  }
  async function isCreated(as: string, title: string): Promise<boolean> {
    const headers = { 'idempotency-key': title }
    const reply = await call(port, 'POST', '/api/v1/todos', { as, headers, body: { title } })
    if (reply.status !== 201 && reply.body.error_code !== 'DATABASE_UNAVAILABLE') strange.push(reply)
    return reply.status === 201
  }
  const all = Array.from({ length: clients }, client)
  return {
    acknowledged,
    strange,
    async succeed(count) {
      const goal = acknowledged.length + count
      await eventually(async () => acknowledged.length >= goal, true)
    },
    async stop() {
      isOver = true
      await Promise.all(all)
    },
  }
}

async function expectNothingLostOrDoubled({ acknowledged, strange }: Writers, { standby }: PostgresPair) {
  const rows = await standby.sql()<{ title: string }[]>`select title from tasks`
  expect(rows.map(({ title }) => title).sort()).toEqual(acknowledged.toSorted())
  expect(strange).toEqual([])
}

/** In milliseconds: from a promotion to a write that went to the new primary. */
const SWITCH = NOTICE + SLACK

describe('of two hosts', () => {
  test.each(['1', '2'])(
    'the primary is killed under load: the standby takes over with all that was acknowledged, WORKERS=%s',
    async (WORKERS) => {
      const pair = await pairOf()
      const server = await serve(urlOf(pair.primary.port, pair.standby.port), { WORKERS })
      const writers = startWriters(server)
      await writers.succeed(200)
      await pair.primary.kill()
      expect(await untilReady(server, 503)).toBeLessThan(SWITCH)
      expectUnavailable(await write(server, newUser()))
      await pair.promote()
      const promoted = performance.now()
      await writers.succeed(1)
      expect(performance.now() - promoted).toBeLessThan(SWITCH)
      expect(await untilReady(server, 200)).toBeLessThan(SWITCH)
      await writers.succeed(200)
      await writers.stop()
      await expectNothingLostOrDoubled(writers, pair)
      expect(server.faults()).toEqual([])
    },
  )

  test.each([
    ['somebody asks for readiness', (server: ServerProcess) => untilReady(server, 503)],
    ['nobody does', async () => {}],
  ])('the primary falls silent, and %s: nothing waits for it once the standby takes over', async (_, ask) => {
    const pair = await pairOf()
    const proxy = await proxyTo(pair.primary.port)
    const server = await serve(urlOf(proxy.port, pair.standby.port), { REQUEST_TIMEOUT_MS: '60000' })
    const writers = startWriters(server)
    await writers.succeed(100)
    proxy.welcome('silence')
    proxy.freeze()
    const waiting = read(server, newUser())
    await ask(server)
    await pair.promote()
    const promoted = performance.now()
    // a request that came before goes on at the new primary, though its deadline is far
    expect((await waiting).status).toBe(200)
    await writers.succeed(1)
    expect(performance.now() - promoted).toBeLessThan(SWITCH)
    await writers.succeed(100)
    await writers.stop()
    await expectNothingLostOrDoubled(writers, pair)
    expect(await untilReady(server, 200)).toBeLessThan(SWITCH)
  })

  test('the primary is made read-only, and left once the other takes writes', async () => {
    const pair = await pairOf()
    const server = await serve(urlOf(pair.primary.port, pair.standby.port))
    const writers = startWriters(server)
    await writers.succeed(50)
    await pair.primary.sql()`alter system set default_transaction_read_only = on`
    await pair.primary.sql()`select pg_reload_conf()`
    await eventually(async () => (await write(server, newUser())).status, 503)
    await pair.promote()
    const promoted = performance.now()
    await writers.succeed(50)
    expect(performance.now() - promoted).toBeLessThan(SWITCH)
    await writers.stop()
    for (let n = 0; n < 40; n++) expect((await write(server, newUser())).status).toBe(201)
    expect(await untilReady(server, 200)).toBeLessThan(SWITCH)
  })

  test('the standby is the first: all writes go to the other one from the beginning', async () => {
    const pair = await pairOf()
    const server = await serve(urlOf(pair.standby.port, pair.primary.port))
    const statuses = await Promise.all(Array.from({ length: 40 }, () => write(server, newUser())))
    expect(statuses.map(({ status }) => status)).toEqual(Array(40).fill(201))
    expect((await call(server.port, 'GET', '/ready')).status).toBe(200)
  })

  test('the first takes connections and never answers: all writes go to the other one', async () => {
    const pair = await pairOf()
    const silent = await proxyTo(pair.standby.port)
    silent.welcome('silence')
    const server = await serve(urlOf(silent.port, pair.primary.port))
    const begun = performance.now()
    for (let n = 0; n < 40; n++) expect((await write(server, newUser())).status).toBe(201)
    expect(performance.now() - begun).toBeLessThan(SWITCH)
    expect((await call(server.port, 'GET', '/ready')).status).toBe(200)
  })

  test('both are gone for a while: requests are refused at once, and served again', async () => {
    const pair = await pairOf()
    const server = await serve(urlOf(pair.primary.port, pair.standby.port))
    const writers = startWriters(server)
    await writers.succeed(50)
    await Promise.all([pair.primary.kill(), pair.standby.kill()])
    await untilReady(server, 503)
    const begun = performance.now()
    for (let n = 0; n < 10; n++) expectUnavailable(await write(server, newUser()))
    expect(performance.now() - begun).toBeLessThan(SWITCH)
    await Promise.all([pair.startPrimary(), pair.startStandby()])
    expect(await untilReady(server, 200)).toBeLessThan(SWITCH)
    await writers.succeed(50)
    await writers.stop()
    await eventually(async () => {
      const [row] = await pair.standby.sql()<{ n: number }[]>`select count(*)::int as n from tasks`
      return row?.n
    }, writers.acknowledged.length)
    await expectNothingLostOrDoubled(writers, pair)
    expect(server.faults()).toEqual([])
  })

  test('the old primary comes back as one: the new one stays the one that is written to', async () => {
    const pair = await pairOf()
    const proxy = await proxyTo(pair.standby.port)
    // so that the old one is the quicker to answer
    proxy.delay(10)
    const server = await serve(urlOf(pair.primary.port, proxy.port))
    const writers = startWriters(server)
    await writers.succeed(50)
    await pair.primary.kill()
    await pair.promote()
    await writers.succeed(50)
    await pair.primary.start()
    for (let n = 0; n < 3; n++) {
      // each time, it has to look anew
      await pair.standby.sql()`
        select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'taskwell'`
      await writers.succeed(50)
    }
    await writers.stop()
    await expectNothingLostOrDoubled(writers, pair)
  })

  test('the two change their parts while nobody asks: the first read does not come from the standby', async () => {
    const pair = await pairOf()
    const { primary, standby } = pair
    const server = await serve(urlOf(primary.port, standby.port))
    const as = newUser()
    expect((await write(server, as, 'before')).status).toBe(201)
    await primary.stop()
    await pair.promote()
    await pair.startAsStandby(primary, standby)
    await primary.sql()`select pg_wal_replay_pause()`
    await standby.sql()`update tasks set title = 'after'`
    expect((await read(server, as)).body).toMatchObject([{ title: 'after' }])
  })

  test('the two change their parts, and change back, and no read comes from a standby', async () => {
    const pair = await pairOf()
    const server = await serve(urlOf(pair.primary.port, pair.standby.port))
    const writers = startWriters(server)
    await writers.succeed(50)
    for (const [from, to] of [
      [pair.primary, pair.standby],
      [pair.standby, pair.primary],
    ] as const) {
      await from.stop()
      await to.sql()`select pg_promote()`
      await pair.startAsStandby(from, to)
      const as = newUser()
      await eventually(async () => (await write(server, as)).status, 201)
      // what has been written is read at once, which a standby whose replay is paused could not
      await from.sql()`select pg_wal_replay_pause()`
      expect((await write(server, as)).status).toBe(201)
      expect((await read(server, as)).body).toHaveLength(2)
      await from.sql()`select pg_wal_replay_resume()`
      await writers.succeed(50)
    }
    await writers.stop()
    expect(writers.strange).toEqual([])
    expect(server.faults()).toEqual([])
  })

  test('migrations go to the one that takes writes', async () => {
    const pair = await pairOf()
    const url = urlOf(pair.standby.port, pair.primary.port)
    const count = async () => (await pair.primary.sql()`select from schema_migrations`).length
    const all = await count()
    await migrate(url, 'down', true)
    expect(await count()).toBe(all - 1)
    await migrate(url, 'up', true)
    expect(await count()).toBe(all)
    await pair.primary.stop()
    await expect(migrate(url, 'up', true)).rejects.toThrow('The database takes no writes')
  })
})

test('a single host that has to be the primary, and is a standby, is not used', async () => {
  const pair = await pairOf()
  const server = await serve(`${urlOf(pair.standby.port)}?target_session_attrs=primary`)
  expectUnavailable(await read(server, newUser()))
  expect((await call(server.port, 'GET', '/ready')).status).toBe(503)
  await pair.promote()
  expect(await untilReady(server, 200)).toBeLessThan(SWITCH)
  expect((await write(server, newUser())).status).toBe(201)
})
