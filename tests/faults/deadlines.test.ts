import { afterEach, describe, expect, test } from 'bun:test'
import {
  AMPLE_POOL,
  DEADLINE,
  eventually,
  expectUnavailable,
  newUser,
  POOL_SIZE,
  read,
  SLACK,
  setScene,
  timed,
  untilAllAnswered,
  untilReady,
  write,
} from '../support/faults'
import { call, openConnection, requestText } from '../support/http-connection'

const scene = await setScene()
const { database, proxy, server } = scene

/** Each way in which the database can fail to answer, and the way back. */
const SILENCES: [string, () => Promise<() => unknown>][] = [
  [
    'refuses connections',
    async () => {
      await proxy.refuse()
      proxy.cut()
      return proxy.listen
    },
  ],
  [
    'accepts connections and closes them at once',
    async () => {
      proxy.welcome('close')
      proxy.cut()
      return () => proxy.welcome('pass')
    },
  ],
  [
    'accepts connections and says nothing',
    async () => {
      proxy.welcome('silence')
      proxy.cut()
      return () => proxy.welcome('pass')
    },
  ],
  [
    'has fallen silent in the middle',
    async () => {
      proxy.welcome('silence')
      proxy.freeze()
      return () => {
        proxy.welcome('pass')
        proxy.thaw()
      }
    },
  ],
  [
    'is paused',
    async () => {
      database.freeze()
      return database.thaw
    },
  ],
  ['waits for a lock', () => database.hold('reads')],
  [
    'is far away',
    async () => {
      proxy.delay(2 * DEADLINE)
      return () => proxy.delay(0)
    },
  ],
]

describe('a database that', () => {
  let back: () => unknown = () => {}
  afterEach(() => back())

  test.each(SILENCES)('%s is no reason to wait longer than the deadline', async (_, go) => {
    await untilReady(server, 200)
    // every connection of the pool is there
    await Promise.all(Array.from({ length: POOL_SIZE }, () => read(server, newUser())))
    back = await go()
    const asked = Array.from({ length: 3 * POOL_SIZE }, (_, n) =>
      timed(() => (n % 2 ? write(server, newUser()) : read(server, newUser()))),
    )
    for (const [reply, milliseconds] of await Promise.all(asked)) {
      expectUnavailable(reply)
      expect(milliseconds).toBeLessThan(DEADLINE + SLACK)
    }
    // this makes the server check the connection
    await call(server.port, 'GET', '/ready')
    await back()
    await untilReady(server, 200)
    await untilAllAnswered(scene)
    expect(server.faults()).toEqual([])
  })
})

test('what was not done by the deadline is given up in the database too', async () => {
  const release = await database.hold('writes')
  const as = newUser()
  expectUnavailable(await write(server, as))
  // with the lock still held
  await eventually(database.active, 0)
  await release()
  expect((await read(server, as)).body).toEqual([])
})

test('a client that goes away frees what it held', async () => {
  // no deadline comes to its help
  const patient = await scene.start({ ...AMPLE_POOL, REQUEST_TIMEOUT_MS: '600000' })
  const release = await database.hold('writes')
  const clients = await Promise.all(
    Array.from({ length: POOL_SIZE }, async () => {
      const connection = await openConnection(patient.port)
      // with a key, so that each has a statement of its own
      const headers = { 'idempotency-key': 'x' }
      const options = { as: newUser(), headers, body: { title: 'x' } }
      connection.write(await requestText('POST', '/api/v1/todos', options))
      return connection
    }),
  )
  await eventually(database.waiting, POOL_SIZE)
  for (const each of clients) each.destroy()
  await eventually(database.waiting, 0)
  await release()
  expect(await patient.end('SIGTERM')).toBe(0)
  expect(patient.faults()).toEqual([])
})
