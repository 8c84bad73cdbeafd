import { afterAll, beforeAll, expect, test } from 'bun:test'
import { testDatabase } from '../support/database'
import { eventually, newUser } from '../support/faults'
import { call, type HttpConnection, openConnection, requestText } from '../support/http-connection'
import { endServers, type ServerProcess, startServer } from '../support/server-process'
import { connectionToEach, workersOf } from '../support/workers'

const LIMIT = 50

const { url } = await testDatabase()
let server: ServerProcess
let one: HttpConnection
let other: HttpConnection
afterAll(endServers)

/** One connection to each of the two workers. */
async function connect(): Promise<void> {
  const [first, second] = [...(await connectionToEach(server, 2)).values()]
  if (!first || !second) throw new Error('there are two')
  one = first
  other = second
}

beforeAll(async () => {
  server = await startServer({
    DATABASE_URL: url,
    WORKERS: '2',
    RATE_LIMIT_PER_MINUTE: String(LIMIT),
    METRICS: 'on',
    METRICS_TOKEN: 'metrics',
    KEEP_ALIVE_SECONDS: '255',
  })
  await server.logged(/^ready in/)
  await connect()
})

const list = (connection: HttpConnection, as: string) => connection.request('GET', '/api/v1/todos', { as })

/** How many requests the user still has, and of whether this one was refused. */
async function left(connection: HttpConnection, as: string): Promise<[status: number, left: number]> {
  const { status, headers } = await list(connection, as)
  return [status, Number(/"user";r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1])]
}

/** Opens a stream at the worker of this connection, which it takes. */
async function stream(connection: HttpConnection, as: string): Promise<void> {
  connection.write(await requestText('GET', '/api/v1/todos/events', { as }))
  await connection.until(/text\/event-stream[\s\S]*:\n\n/)
}

test('a user has as many requests at all workers together as at one', async () => {
  const user = newUser()
  for (let n = 1; n <= LIMIT; n++) {
    expect(await left(n % 3 === 0 ? one : other, user)).toEqual([200, LIMIT - n])
  }
  expect(await left(one, user)).toEqual([429, 0])
  expect(await left(other, user)).toEqual([429, 0])
})

test('not one more, however many come at once to both', async () => {
  const user = newUser()
  const connections = await Promise.all(Array.from({ length: 40 }, () => openConnection(server.port)))
  const statuses: number[] = []
  const ask = async (connection: HttpConnection) => {
    for (let n = 0; n < 2; n++) statuses.push((await list(connection, user)).status)
    connection.destroy()
  }
  await Promise.all(connections.map(ask))
  expect(statuses.filter((status) => status === 200)).toHaveLength(LIMIT)
  expect(statuses.filter((status) => status === 429)).toHaveLength(80 - LIMIT)
  const served = () => new Set(server.log.filter((line) => line['user'] === user).map(({ worker }) => worker))
  await eventually(async () => served().size, 2)
})

test('changes made at one worker are told by a stream of another', async () => {
  const user = newUser()
  await stream(one, user)
  for (let n = 0; n < 5; n++) {
    const { body } = await other.request('POST', '/api/v1/todos', { as: user, body: { title: 'told' } })
    await one.until(new RegExp(`data: .*"id":${body.id}\\b`))
  }
  one.destroy()
  other.destroy()
  await connect()
})

test('a user has as many streams at all workers together as at one, and has them back', async () => {
  const user = newUser()
  const streams: HttpConnection[] = []
  const refused: HttpConnection[] = []
  while (refused.length < 10) {
    const connection = await openConnection(server.port)
    connection.write(await requestText('GET', '/api/v1/todos/events', { as: user }))
    const status = await connection.until(/^HTTP\/1.1 \d+/)
    if (status.endsWith('200')) streams.push(connection)
    else refused.push(connection)
  }
  expect(streams).toHaveLength(20)
  const again = async () => (await call(server.port, 'HEAD', '/api/v1/todos/events', { as: user })).status
  expect(await again()).toBe(429)
  streams[0]?.destroy()
  await eventually(again, 200)
  for (const each of [...streams, ...refused]) each.destroy()
})

/** The value of a series. */
async function measured(connection: HttpConnection, pattern: RegExp): Promise<number> {
  const { body } = await connection.request('GET', '/metrics', {
    headers: { authorization: 'Bearer metrics' },
  })
  return Number(pattern.exec(body)?.[1])
}
const LISTS = /^taskwell_http_requests_total\{method="GET",route="\/api\/v1\/todos",status="200"\} (\d+)$/m

test('metrics are those of all workers, and lose nothing with one that is killed', async () => {
  const user = newUser()
  const before = await measured(one, LISTS)
  for (let n = 0; n < 5; n++) for (const connection of [one, other]) await list(connection, user)
  for (const connection of [one, other]) {
    await eventually(() => measured(connection, LISTS), before + 10)
    expect(await measured(connection, /^taskwell_database_pool_size (\d+)$/m)).toBe(10)
    expect(await measured(connection, /^taskwell_workers (\d+)$/m)).toBe(2)
  }
  const [[, killed] = []] = [...workersOf(server)]
  process.kill(Number(killed), 'SIGKILL')
  await server.logged(/^a worker has ended/)
  for (const connection of [one, other]) connection.destroy()
  await connect()
  expect(await measured(one, LISTS)).toBe(before + 10)
  expect(await measured(other, /^taskwell_workers (\d+)$/m)).toBe(2)
})

test('a supervisor that is frozen keeps nobody waiting, and the workers count for themselves', async () => {
  const user = newUser()
  await list(one, user)
  server.child.kill('SIGSTOP')
  try {
    for (let n = 0; n < LIMIT; n++)
      for (const each of [one, other]) expect((await list(each, user)).status).toBe(200)
    for (const each of [one, other]) expect((await list(each, user)).status).toBe(429)
    expect((await call(server.port, 'GET', '/health')).status).toBe(200)
  } finally {
    server.child.kill('SIGCONT')
  }
  const another = newUser()
  const isShared = async () =>
    (await left(one, another))[1] < LIMIT - 1 || (await left(other, another))[1] < LIMIT - 1
  await eventually(isShared, true)
  expect(await server.end('SIGTERM')).toBe(0)
  expect(server.faults()).toEqual([])
})
