import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveWithWorkers, shareOf, type Workers } from '../../src/cli/supervisor'
import { runningUrl } from '../../src/embedded/server'
import { freePort } from '../../src/system/free-port'
import { createLog } from '../../src/telemetry/log'
import { linesTo, SECRET, testSettings } from '../support/app'
import { testDatabase } from '../support/database'
import { eventually, newUser, read } from '../support/faults'
import { call, type HttpConnection, openConnection, requestText } from '../support/http-connection'
import { type Environment, endServers, type ServerProcess, startServer } from '../support/server-process'
import { connectionToEach, isAlive, variableOf, workerAt, workersOf } from '../support/workers'

const MAIN = join(import.meta.dir, '../../src/main.ts')
const STAND_IN = join(import.meta.dir, '../support/stand-in-worker.ts')

const { url, sql } = await testDatabase()
const folder = await mkdtemp(join(tmpdir(), 'taskwell-workers-'))

const running: Workers[] = []
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop()
})
afterAll(async () => {
  await endServers()
  await rm(folder, { recursive: true })
})

type Options = Parameters<typeof serveWithWorkers>[3]

const never = new Promise<unknown>(() => {})

/** The supervisor in this process, with two workers. */
async function supervise(env: Environment, options: Options, log = createSilentLog(), stopRequested = never) {
  const all = { HOST: '127.0.0.1', PORT: '0', WORKERS: '2', DATA_DIR: folder, LOG_LEVEL: 'silent', ...env }
  const workers = await serveWithWorkers(testSettings(all), log, stopRequested, {
    ...options,
    env: { PATH: process.env['PATH'], BETTER_AUTH_SECRET: SECRET, ...all, ...options?.env },
  })
  running.push(workers)
  return workers
}

const createSilentLog = () => createLog({ logLevel: 'silent', production: true })

interface StandInOptions {
  intervals?: NonNullable<Options>['intervals']
  program?: string
  stopRequested?: Promise<unknown>
}

/** With two processes that only stand in for workers. */
async function standIns(
  behaviour: string,
  { intervals = {}, program = process.execPath, stopRequested = never }: StandInOptions = {},
) {
  const file = join(await mkdtemp(join(folder, 'starts-')), 'worker')
  const lines: string[] = []
  const options = {
    program: [program, '--no-env-file', STAND_IN, behaviour],
    env: { STARTS: file },
    intervals,
  }
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
  return {
    workers: supervise({ DATABASE_URL: url }, options, log, stopRequested),
    logged: () => lines.map((line) => JSON.parse(line)),
    /** When the first one was started. */
    async starts() {
      const text = await readFile(`${file}-1`, 'utf8').catch(() => '')
      return text.split('\n').filter(Boolean).map(Number)
    },
  }
}
type StandIns = Awaited<ReturnType<typeof standIns>>

async function untilStarted({ starts }: StandIns, times: number): Promise<number[]> {
  while ((await starts()).length < times) await Bun.sleep(5)
  return starts()
}

describe('a start', () => {
  test('is over when every worker has said so', async () => {
    const { workers, starts, logged } = await standIns('ready')
    await (await workers).stop()
    expect(await starts()).toHaveLength(1)
    expect(logged()).toEqual([])
  })

  test('fails with what a worker says when it fails', async () => {
    const { workers } = await standIns('fails if it is the second')
    await expect(workers).rejects.toThrow(/^HOST is wrong$/)
  })

  test('fails with how a worker ends that says nothing', async () => {
    const { workers } = await standIns('ends before it is ready')
    await expect(workers).rejects.toThrow(/^Worker [12] ended before it was ready \(exit code 3\)$/)
  })

  test('fails if the port is taken, and starts nothing', async () => {
    const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    const PORT = String(taken.port)
    await expect(supervise({ DATABASE_URL: '', PORT }, {})).rejects.toThrow(
      `HOST and PORT: cannot listen on 127.0.0.1, port ${taken.port}`,
    )
    expect(runningUrl(folder)).toBeUndefined()
    await taken.stop(true)
  })

  test('waits no longer once a stop is asked for', async () => {
    const { promise: stopRequested, resolve } = Promise.withResolvers<unknown>()
    const silent = await standIns('says nothing', { stopRequested })
    await untilStarted(silent, 1)
    resolve('SIGTERM')
    await (await silent.workers).stop()
    expect(silent.logged()).toEqual([])
  })

  test('does not fail if the signal that ended a worker reaches the supervisor a moment later', async () => {
    // long enough for the worker to have ended; if it has not, the stop ends the waiting
    const stopRequested = Bun.sleep(500)
    const intervals = { sameMoment: 60_000 }
    const { workers } = await standIns('ends before it is ready', { stopRequested, intervals })
    await (await workers).stop()
  })
})

describe('a worker that has ended', () => {
  test('is started again: at once, and then after pauses that grow up to a limit', async () => {
    const ending = await standIns('is ready once', { intervals: { firstPause: 50, longestPause: 200 } })
    const at = await untilStarted(ending, 6)
    const pauses = at.slice(1).map((time, i) => time - (at[i] ?? 0))
    // each has the life of a process in it, so there is only a least that they must be
    for (const [i, least] of [0, 50, 100, 200, 200].entries()) expect(pauses[i]).toBeGreaterThanOrEqual(least)
    expect(ending.logged()[0]).toMatchObject({ level: 40, how: 'exit code 4' })
    expect(ending.logged().at(-1)).toMatchObject({ how: 'exit code 4', failure: 'the port is gone' })
  })

  test('is started again at once if it has lived for a while', async () => {
    const intervals = { firstPause: 1e9, longestPause: 1e9, wellAfter: 0 }
    await untilStarted(await standIns('is ready once', { intervals }), 4)
  })

  test('and cannot be started again is tried again, and the stop is as ever', async () => {
    const program = join(folder, 'program')
    await symlink(process.execPath, program)
    const { workers, logged } = await standIns('is ready once', { intervals: { firstPause: 1 }, program })
    const { stop } = await workers
    await rm(program)
    const failed = () => logged().filter(({ how }) => how.startsWith('cannot be started: '))
    while (failed().length < 4) await Bun.sleep(5)
    await stop()
  })

  test('is not started again once all are to stop', async () => {
    const ending = await standIns('is ready once', { intervals: { firstPause: 1e9, longestPause: 1e9 } })
    // the first pause is none, and after the second end comes one without end
    while (ending.logged().length < 4) await Bun.sleep(5)
    await (await ending.workers).stop()
    expect(await ending.starts()).toHaveLength(2)
  })
})

test('a worker that does not end when it is asked to is killed', async () => {
  const { workers, logged } = await standIns('ready, and does not end', { intervals: { killAfter: 50 } })
  await (await workers).stop()
  expect(logged()).toEqual([])
})

describe('a share', () => {
  const sharesOf = (env: Environment, name: string) => {
    const settings = testSettings(env)
    return Array.from({ length: settings.workers }, (_, i) => shareOf(settings, i + 1)[name])
  }

  test.each([
    ['DATABASE_POOL_SIZE', '10', '4', ['3', '3', '2', '2']],
    ['DATABASE_POOL_SIZE', '11', '2', ['6', '5']],
    ['MAX_CONNECTIONS', '100', '4', ['25', '25', '25', '25']],
    ['MAX_CONNECTIONS', '7', '4', ['2', '2', '2', '1']],
    ['MAX_CONNECTIONS', '1', '2', ['1', '1']],
    ['RATE_LIMIT_PER_MINUTE', '600', '4', ['150', '150', '150', '150']],
    ['RATE_LIMIT_PER_MINUTE', '10', '4', ['3', '3', '3', '3']],
    ['AUTH_RATE_LIMIT_PER_MINUTE', '1', '2', ['1', '1']],
    ['METRICS_PORT', '9464', '3', ['9464', '9465', '9466']],
    ['METRICS_PORT', '', '2', [undefined, undefined]],
  ])('of %s=%s over %s workers', (name, whole, WORKERS, shares) => {
    expect(sharesOf({ [name]: whole, WORKERS }, name)).toEqual(shares)
  })

  test.each(['RATE_LIMIT_PER_MINUTE', 'AUTH_RATE_LIMIT_PER_MINUTE'])(
    'of %s is the whole if Redis counts',
    (name) => {
      const env = { [name]: '9', WORKERS: '2', REDIS_URL: 'redis://localhost' }
      expect(sharesOf(env, name)).toEqual(['9', '9'])
    },
  )
})

describe('an embedded database', () => {
  const real = { program: [process.execPath, '--no-env-file', MAIN] }

  test('is one for all, and ends at last', async () => {
    const { url: at, stop } = await supervise({ DATABASE_URL: '' }, real)
    for (let n = 0; n < 4; n++) {
      expect((await fetch(`${at}/ready`, { headers: { connection: 'close' } })).status).toBe(200)
    }
    expect(runningUrl(folder)).toBeString()
    await stop()
    await expect(fetch(`${at}/ready`)).rejects.toThrow()
    expect(runningUrl(folder)).toBeUndefined()
  })

  test('ends if a worker does not start, and the worker says why', async () => {
    const first = await freePort(2)
    const taken = Bun.serve({ port: first + 1, hostname: '127.0.0.1', fetch: () => new Response() })
    const env = { DATABASE_URL: '', METRICS: 'on', METRICS_PORT: String(first) }
    await expect(supervise(env, real)).rejects.toThrow(
      `METRICS_PORT: cannot listen on 127.0.0.1, port ${first + 1}`,
    )
    expect(runningUrl(folder)).toBeUndefined()
    await taken.stop(true)
  })
})

/** The program with several workers; waits until all are there. */
async function start(more: Environment = {}, port?: number) {
  const env = { DATABASE_URL: url, DATABASE_POOL_SIZE: '21', KEEP_ALIVE_SECONDS: '120', WORKERS: '2' }
  const server = await startServer({ ...env, ...more }, port)
  await server.logged(/^ready in/)
  return server
}

const pidOf = (server: ServerProcess, n: number) => workersOf(server).get(n) ?? 0
const pidsOf = (server: ServerProcess) => [...workersOf(server).values()]

const list = (connection: HttpConnection | undefined, as: string) =>
  connection?.request('GET', '/api/v1/todos', { as })

describe('workers', () => {
  const NUMBERS = [1, 2, 3]
  let server: ServerProcess
  let metricsPort: number
  let ofAll: number[]

  beforeAll(async () => {
    metricsPort = await freePort(NUMBERS.length)
    server = await start({
      WORKERS: '3',
      DATABASE_POOL_SIZE: '10',
      MAX_CONNECTIONS: '200',
      RATE_LIMIT_PER_MINUTE: '25',
      METRICS: 'on',
      METRICS_PORT: String(metricsPort),
    })
    ofAll = pidsOf(server)
  })

  test('share out the connections to the database, and those of clients, to the last one', () => {
    const shares = (name: string) => NUMBERS.map((n) => variableOf(pidOf(server, n), name))
    expect(shares('DATABASE_POOL_SIZE')).toEqual(['4', '3', '3'])
    expect(shares('MAX_CONNECTIONS')).toEqual(['67', '67', '66'])
  })

  test('answer on one port, each with its number in the log', async () => {
    expect([...(await connectionToEach(server, 3)).keys()].sort()).toEqual(NUMBERS)
  })

  test('are ready when all of them are, which is said once', () => {
    const ready = server.log.filter(({ msg }) => msg.startsWith('ready in'))
    expect(ready).toEqual([expect.not.objectContaining({ worker: expect.anything() })])
  })

  test('give a user a share of the requests each, rounded up, and name it', async () => {
    const user = newUser()
    for (const connection of (await connectionToEach(server, 3)).values()) {
      for (let n = 1; n <= 9; n++) expect((await list(connection, user))?.status).toBe(200)
      const refused = await list(connection, user)
      expect(refused?.status).toBe(429)
      expect(refused?.headers.get('ratelimit-policy')).toBe('"user";q=9;w=60')
    }
  })

  test('give a user a share of the streams each, rounded up', async () => {
    const user = newUser()
    const streams = new Map(NUMBERS.map((n) => [n, 0]))
    const full = new Set<number>()
    const opened: HttpConnection[] = []
    while (full.size < NUMBERS.length) {
      const connection = await openConnection(server.port)
      opened.push(connection)
      const worker = await workerAt(server, connection)
      // more would be refused for too many requests
      if (full.has(worker)) continue
      connection.write(await requestText('GET', '/api/v1/todos/events', { as: user }))
      if ((await connection.until(/HTTP\/1.1 (?:200 OK\r\n[\s\S]*event-stream|429)/)).endsWith('429'))
        full.add(worker)
      else streams.set(worker, (streams.get(worker) ?? 0) + 1)
    }
    expect([...streams.values()]).toEqual([7, 7, 7])
    for (const each of opened) each.destroy()
  })

  test('tell the changes of one another', async () => {
    const user = newUser()
    const [one, other] = [...(await connectionToEach(server, 2)).values()]
    one?.write(await requestText('GET', '/api/v1/todos/events', { as: user }))
    await one?.until(/text\/event-stream[\s\S]*:\n\n/)
    const made = await other?.request('POST', '/api/v1/todos', { as: user, body: { title: 'told' } })
    await one?.until(new RegExp(`data: .*"id":${made?.body.id}\\b`))
    one?.destroy()
    other?.destroy()
  })

  const LISTS = /^taskwell_http_requests_total\{method="GET",route="\/api\/v1\/todos",status="200"\} (\d+)$/m

  /** How many lists each worker has answered, by its own port. */
  async function listsOf(n: number): Promise<number> {
    const { body } = await call(metricsPort + n - 1, 'GET', '/metrics')
    return Number(LISTS.exec(body)?.[1] ?? 0)
  }

  test('have metrics of their own, each on a port of its own and not on the common one', async () => {
    const connections = await connectionToEach(server, 3)
    const before = await Promise.all(NUMBERS.map(listsOf))
    for (const n of NUMBERS) {
      for (let i = 0; i < n; i++) await list(connections.get(n), newUser())
    }
    expect(await Promise.all(NUMBERS.map(listsOf))).toEqual(NUMBERS.map((n, i) => n + (before[i] ?? 0)))
    expect((await call(server.port, 'GET', '/metrics')).status).toBe(404)
  })

  test('that are killed are replaced, again and again, and the others go on answering', async () => {
    const connections = await connectionToEach(server, 3)
    for (let n = 0; n < 3; n++) {
      const killed = pidOf(server, 1)
      process.kill(killed, 'SIGKILL')
      for (const other of [2, 3]) expect((await list(connections.get(other), newUser()))?.status).toBe(200)
      await eventually(async () => [0, killed].includes(pidOf(server, 1)), false)
      ofAll.push(pidOf(server, 1))
    }
    expect(server.log.filter(({ msg }) => msg.startsWith('a worker has ended'))).toEqual(
      Array(3).fill(expect.objectContaining({ level: 40, ended_worker: 1, how: 'SIGKILL' })),
    )
    await connectionToEach(server, 3)
    // with new counts at the same port
    expect(await listsOf(1)).toBe(0)
  })

  test.each(['1', '2'])(
    'have their port alone: another server with WORKERS=%s is refused',
    async (workers) => {
      const other = start({ WORKERS: workers }, server.port)
      await expect(other).rejects.toThrow('HOST and PORT: cannot listen on 127.0.0.1')
      expect(await read(server, newUser())).toMatchObject({ status: 200 })
    },
  )

  test('end with their supervisor, which ends with 0', async () => {
    expect(await server.end('SIGTERM')).toBe(0)
    expect(ofAll.filter(isAlive)).toEqual([])
    expect(server.log.at(-1)).toMatchObject({ msg: 'stopped' })
    expect(server.faults()).toEqual([])
  })

  test('cannot be started beside a server that is alone', async () => {
    const alone = await start({ WORKERS: '1' })
    await expect(start({}, alone.port)).rejects.toThrow('HOST and PORT: cannot listen on 127.0.0.1')
    expect(await alone.end('SIGTERM')).toBe(0)
  })
})

/** Makes every write wait. @returns what lets them go on */
async function holdWrites(): Promise<() => Promise<void>> {
  const holder = await sql.reserve()
  await holder`begin`
  await holder`lock table tasks in share mode`
  return async () => {
    await holder`commit`
    holder.release()
  }
}

/** Begins a write on each, and waits until all wait in the database. */
async function writeOn(connections: Iterable<HttpConnection>, as: string) {
  const writing = [...connections].map((each) =>
    each.request('POST', '/api/v1/todos', { as, body: { title: 'x' } }),
  )
  for (const each of writing) each.catch(() => {})
  const waiting = async () => {
    const rows = await sql`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%createTask%'`
    return rows.length
  }
  await eventually(waiting, writing.length)
  return writing
}

test('a stop that reaches every process, as Ctrl-C does, answers what was accepted, and keeps it', async () => {
  const server = await start()
  const [owner, workers] = [newUser(), pidsOf(server)]
  const connections = await connectionToEach(server, 2)
  const release = await holdWrites()
  const writing = await writeOn(connections.values(), owner)
  for (const pid of workers) process.kill(pid, 'SIGINT')
  const ended = server.end('SIGINT')
  await server.logged(/^SIGINT: stopping/)
  await release()
  expect((await Promise.all(writing)).map(({ status }) => status)).toEqual([201, 201])
  expect(await ended).toBe(0)
  expect(await sql`select from tasks where user_id = ${owner}`).toHaveLength(2)
  expect(workers.filter(isAlive)).toEqual([])
  expect(server.log.filter(({ msg }) => msg.startsWith('a worker has ended'))).toEqual([])
})

test('a second signal ends all of them at once', async () => {
  const server = await start({ REQUEST_TIMEOUT_MS: '600000' })
  const workers = pidsOf(server)
  const release = await holdWrites()
  await writeOn((await connectionToEach(server, 2)).values(), newUser())
  server.child.kill('SIGHUP')
  await server.logged(/^SIGHUP: stopping/)
  // one that follows at once may be the same one, passed on by a launcher
  while (server.child.exitCode === null) {
    server.child.kill('SIGHUP')
    await Bun.sleep(50)
  }
  expect(server.child.exitCode).toBe(1)
  await eventually(async () => workers.some(isAlive), false)
  await release()
})

test('workers whose supervisor was killed answer what they have accepted, and end', async () => {
  const server = await start()
  const workers = pidsOf(server)
  const release = await holdWrites()
  const writing = await writeOn((await connectionToEach(server, 2)).values(), newUser())
  server.child.kill('SIGKILL')
  await server.child.exited
  await release()
  expect((await Promise.all(writing)).map(({ status }) => status)).toEqual([201, 201])
  await eventually(async () => workers.some(isAlive), false)
  expect(server.faults()).toEqual([])
})
