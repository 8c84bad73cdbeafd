/** What the tests of faults have in common: the service behind a proxy before a database of its own. */
import { afterAll, expect } from 'bun:test'
import { type FaultProxy, startFaultProxy } from './fault-proxy'
import { call, type Reply } from './http-connection'
import { type OwnPostgres, startOwnPostgres } from './own-postgres'
import { type Environment, endServers, type ServerProcess, startServer } from './server-process'

/** In milliseconds: what a machine that is busy with other things may take longer than was promised. */
export const SLACK = 1500

/** In milliseconds: within which the service knows that the database has gone, or has come back. */
export const NOTICE = 2000

/** In milliseconds: how long a request may take. */
export const DEADLINE = 1000

export const POOL_SIZE = 4

/** For a server that has just begun: its purge may hold a connection, and must not take the place of a request. */
export const AMPLE_POOL = { DATABASE_POOL_SIZE: '10' }

export interface Scene {
  database: OwnPostgres
  proxy: FaultProxy
  /** Behind the proxy, with a small pool and a short deadline. */
  server: ServerProcess
  /** Another one. */
  start(env?: Environment): Promise<ServerProcess>
}

/** Sets it up, and takes all of it away after the file's tests. */
export async function setScene(): Promise<Scene> {
  const database = await startOwnPostgres()
  const proxy = await startFaultProxy(database.port)
  const start = (env: Environment = {}) =>
    startServer({
      DATABASE_URL: proxy.url(database.url()),
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      REQUEST_TIMEOUT_MS: String(DEADLINE),
      ...env,
    })
  afterAll(async () => {
    await endServers()
    await proxy.close()
    await database.remove()
  })
  return { database, proxy, server: await start(), start }
}

/** A user that nobody else is. */
export const newUser = () => crypto.randomUUID()

export const read = ({ port }: ServerProcess, as: string) => call(port, 'GET', '/api/v1/todos', { as })

export const write = ({ port }: ServerProcess, as: string, title: string = crypto.randomUUID()) =>
  call(port, 'POST', '/api/v1/todos', { as, body: { title } })

/** A write that shares no statement with others. */
export const writeAlone = ({ port }: ServerProcess, as: string) => {
  const headers = { 'idempotency-key': crypto.randomUUID() }
  return call(port, 'POST', '/api/v1/todos', { as, headers, body: { title: headers['idempotency-key'] } })
}

/** @returns what came, and after how many milliseconds */
export async function timed<T>(run: () => Promise<T>): Promise<[T, number]> {
  const begun = performance.now()
  return [await run(), performance.now() - begun]
}

export function expectUnavailable({ status, headers, body }: Reply): void {
  expect({ status, code: body.error_code }).toEqual({ status: 503, code: 'DATABASE_UNAVAILABLE' })
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
}

/** Asks `/ready` until it says this. @returns after how many milliseconds it did */
export async function untilReady({ port }: ServerProcess, status: 200 | 503): Promise<number> {
  const ask = async () => (await call(port, 'GET', '/ready')).status
  const [, milliseconds] = await timed(() => eventually(ask, status))
  return milliseconds
}

/** Waits until every connection of the pool can be used: so many statements are under way at once. */
export async function untilWholePool({ database, server }: Scene): Promise<void> {
  for (let waiting = 0; waiting < POOL_SIZE; ) {
    const release = await database.hold('writes')
    let answered = 0
    const writes = Array.from({ length: POOL_SIZE }, async () => {
      const reply = await writeAlone(server, newUser())
      answered++
      return reply
    })
    while (waiting + answered < POOL_SIZE) waiting = await database.waiting()
    await release()
    for (const reply of await Promise.all(writes)) if (reply.status !== 201) expectUnavailable(reply)
  }
}

/** Asks more at a time than the pool has connections until all are answered; nobody is told anything but 503. */
export async function untilAllAnswered({ server }: Scene): Promise<void> {
  const ask = async () => {
    const all = await Promise.all(Array.from({ length: 2 * POOL_SIZE }, () => read(server, newUser())))
    for (const reply of all) if (reply.status !== 200) expectUnavailable(reply)
    return all.every(({ status }) => status === 200)
  }
  await eventually(ask, true)
}

/** In milliseconds: after which nothing is waited for any more; no promise, but an end to a test that fails. */
const LIMIT = 30_000

/** @throws Error if it is still not so when nobody would believe in it any more */
export async function eventually<T>(ask: () => Promise<T>, wanted: T): Promise<void> {
  const end = performance.now() + LIMIT
  for (let got = await ask(); got !== wanted; got = await ask()) {
    if (performance.now() > end) throw new Error(`it is still ${got}, and not ${wanted}`)
    await Bun.sleep(10)
  }
}
