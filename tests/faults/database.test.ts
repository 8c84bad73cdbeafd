import { afterEach, describe, expect, test } from 'bun:test'
import {
  DEADLINE,
  eventually,
  expectUnavailable,
  NOTICE,
  newUser,
  POOL_SIZE,
  read,
  SLACK,
  setScene,
  timed,
  untilAllAnswered,
  untilReady,
  untilWholePool,
  write,
} from '../support/faults'
import { call } from '../support/http-connection'

const scene = await setScene()
const { database, proxy, server } = scene

type Go = () => unknown

/** Each way in which the database goes, and comes back. */
const WAYS: [string, Go, Go][] = [
  [
    'refuses connections',
    async () => {
      await proxy.refuse()
      proxy.cut()
    },
    proxy.listen,
  ],
  [
    'closes connections at once',
    () => {
      proxy.welcome('close')
      proxy.cut()
    },
    () => proxy.welcome('pass'),
  ],
  [
    'falls silent, and never speaks again on a connection that it had',
    () => {
      proxy.welcome('silence')
      proxy.freeze()
    },
    () => proxy.welcome('pass'),
  ],
  ['is paused', database.freeze, database.thaw],
  ['is stopped', database.stop, database.start],
  ['is killed', database.kill, database.start],
]

describe('a database that', () => {
  let comeBack: Go = () => {}
  afterEach(() => comeBack())

  test.each(WAYS)('%s is missed and welcomed within two seconds', async (_, go, back) => {
    const as = newUser()
    await Promise.all(Array.from({ length: POOL_SIZE }, () => write(server, as)))
    comeBack = back
    const going = go()
    expect(await untilReady(server, 503)).toBeLessThan(NOTICE + SLACK)
    await going
    expect((await call(server.port, 'GET', '/health')).status).toBe(200)
    const asked = Array.from({ length: 2 * POOL_SIZE }, (_, n) => (n % 2 ? read : write)(server, as))
    for (const reply of await Promise.all(asked)) expectUnavailable(reply)
    await back()
    comeBack = () => {}
    expect(await untilReady(server, 200)).toBeLessThan(NOTICE + SLACK)
    const [, milliseconds] = await timed(() => untilAllAnswered(scene))
    expect(milliseconds).toBeLessThan(NOTICE + SLACK)
    expect((await read(server, as)).body).toHaveLength(POOL_SIZE)
    await untilWholePool(scene)
    expect(server.faults()).toEqual([])
  })
})

describe('a lost connection', () => {
  const titles = async (as: string) => {
    const rows = await database.sql()<{ title: string }[]>`select title from tasks where user_id = ${as}`
    return rows.map(({ title }) => title)
  }

  test('is no loss for a read: it is tried once more', async () => {
    const as = newUser()
    await write(server, as, 'kept')
    const tries = proxy.count(as)
    proxy.loseAnswers(as, 1)
    expect(await read(server, as)).toMatchObject({ status: 200, body: [{ title: 'kept' }] })
    // the state of the user, once more, and the list
    expect(tries()).toBe(3)
  })

  test('is one for a read that loses the second too', async () => {
    const as = newUser()
    const tries = proxy.count(as)
    proxy.loseAnswers(as, 2)
    expectUnavailable(await read(server, as))
    expect(tries()).toBe(2)
  })

  test('is one for a write: it is done once at most, and never tried again', async () => {
    const as = newUser()
    const tries = proxy.count(as)
    proxy.loseAnswers(as, 1)
    expectUnavailable(await write(server, as, 'once'))
    expect(tries()).toBe(1)
    // PostgreSQL has done what nobody heard the answer to
    await eventually(async () => (await titles(as)).join(), 'once')
  })

  test('of a write that had an Idempotency-Key is made good by its sender', async () => {
    const as = newUser()
    const headers = { 'idempotency-key': as }
    const send = () => call(server.port, 'POST', '/api/v1/todos', { as, headers, body: { title: 'once' } })
    proxy.loseAnswers(as, 1)
    expectUnavailable(await send())
    expect((await send()).status).toBe(201)
    expect(await titles(as)).toEqual(['once'])
  })

  test.each([
    ['read', 'reads', 200],
    ['write', 'writes', 503],
  ] as const)('in the middle of a %s, by an administrator, is the same', async (kind, held, status) => {
    const as = newUser()
    await write(server, as, 'before')
    const release = await database.hold(held)
    const reply = kind === 'read' ? read(server, as) : write(server, as, 'after')
    await eventually(database.waiting, 1)
    // the second try could otherwise meet another connection that is ending
    expect(await database.terminate('waiting')).toBe(1)
    await release()
    expect((await reply).status).toBe(status)
    expect(await titles(as)).toEqual(['before'])
  })
})

describe('a database that is there and', () => {
  test('takes no writes, after a failover, refuses those and gives what it has', async () => {
    const as = newUser()
    await write(server, as, 'kept')
    await database.setReadOnly(true)
    await eventually(async () => (await write(server, newUser())).status, 503)
    expectUnavailable(await write(server, as))
    expect(await read(server, as)).toMatchObject({ status: 200, body: [{ title: 'kept' }] })
    expect((await call(server.port, 'GET', '/ready')).status).toBe(503)
    await database.setReadOnly(false)
    expect(await untilReady(server, 200)).toBeLessThan(NOTICE + SLACK)
    await eventually(async () => (await write(server, as)).status, 201)
    await untilWholePool(scene)
  })

  test('has no connection left is as good as gone', async () => {
    await proxy.refuse()
    proxy.cut()
    await eventually(database.connections, 0)
    const release = await database.exhaust()
    await proxy.listen()
    for (const ask of [read, write]) expectUnavailable(await ask(server, newUser()))
    expect((await call(server.port, 'GET', '/ready')).status).toBe(503)
    await release()
    expect(await untilReady(server, 200)).toBeLessThan(NOTICE + SLACK)
    await untilWholePool(scene)
  })

  test('ends all connections is served by new ones', async () => {
    await untilWholePool(scene)
    expect(await database.terminate()).toBeGreaterThanOrEqual(POOL_SIZE)
    await eventually(async () => (await write(server, newUser())).status, 201)
    await untilWholePool(scene)
  })

  test('loses a process to a crash is back once it has recovered', async () => {
    const as = newUser()
    await write(server, as, 'kept')
    await database.crash()
    expect(await untilReady(server, 200)).toBeLessThan(NOTICE + SLACK)
    await untilWholePool(scene)
    expect((await read(server, as)).body).toMatchObject([{ title: 'kept' }])
  })

  test('no longer answers on its old connections, but on new ones, is found again', async () => {
    await untilWholePool(scene)
    proxy.freeze()
    // each dead connection may cost those who were given it their deadline, and no more
    const [, milliseconds] = await timed(() => untilAllAnswered(scene))
    expect(milliseconds).toBeLessThan(3 * DEADLINE + SLACK)
    await untilWholePool(scene)
    expect(server.faults()).toEqual([])
  })
})

test('none of it was a fault of the service', () => {
  expect(server.faults()).toEqual([])
  expect(server.child.exitCode).toBeNull()
})
