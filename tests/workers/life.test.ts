import { afterAll, describe, expect, test } from 'bun:test'
import { testDatabase } from '../support/database'
import { eventually, newUser, read } from '../support/faults'
import type { HttpConnection } from '../support/http-connection'
import { type Environment, endServers, type ServerProcess, startServer } from '../support/server-process'
import { connectionToEach, isAlive, variableOf, workersOf } from '../support/workers'

const { url, sql } = await testDatabase()
const env = { DATABASE_URL: url, DATABASE_POOL_SIZE: '21', KEEP_ALIVE_SECONDS: '120' }
afterAll(endServers)

/** Starts it, and waits until all are there. */
async function start(more: Environment = {}, port?: number) {
  const server = await startServer({ ...env, WORKERS: '2', ...more }, port)
  await server.logged(/^ready in/)
  return server
}

const pidOf = (server: ServerProcess, n: number) => workersOf(server).get(n) ?? 0
const pidsOf = (server: ServerProcess) => [...workersOf(server).values()]

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

describe('workers', async () => {
  const server = await start({ WORKERS: '3', DATABASE_POOL_SIZE: '10', MAX_CONNECTIONS: '100' })
  const ofAll: number[] = pidsOf(server)

  test('share out the connections to the database, and those of clients, to the last one', () => {
    const shares = (name: string) => [1, 2, 3].map((n) => variableOf(pidOf(server, n), name))
    expect(shares('DATABASE_POOL_SIZE')).toEqual(['4', '3', '3'])
    expect(shares('MAX_CONNECTIONS')).toEqual(['34', '33', '33'])
  })

  test('answer on one port, each with its number in the log', async () => {
    expect([...(await connectionToEach(server, 3)).keys()].sort()).toEqual([1, 2, 3])
  })

  test('are ready when all of them are, which is said once', () => {
    const ready = server.log.filter(({ msg }) => msg.startsWith('ready in'))
    expect(ready).toEqual([expect.not.objectContaining({ worker: expect.anything() })])
  })

  test('that are killed are replaced, again and again, and the others go on answering', async () => {
    const connections = await connectionToEach(server, 3)
    for (let n = 0; n < 3; n++) {
      const killed = pidOf(server, 1)
      process.kill(killed, 'SIGKILL')
      for (const other of [2, 3]) {
        const reply = await connections.get(other)?.request('GET', '/api/v1/todos', { as: newUser() })
        expect(reply?.status).toBe(200)
      }
      await eventually(async () => [0, killed].includes(pidOf(server, 1)), false)
      ofAll.push(pidOf(server, 1))
    }
    expect(server.log.filter(({ msg }) => msg.startsWith('a worker has ended'))).toEqual(
      Array(3).fill(expect.objectContaining({ level: 40, ended_worker: 1, how: 'SIGKILL' })),
    )
    await connectionToEach(server, 3)
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
