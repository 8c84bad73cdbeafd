import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import type { ChangeSource } from '../../src/client/change-source'
import {
  allTasks,
  type Change,
  type Client,
  createClient,
  RequestError,
  type Task,
} from '../../src/client/index'
import { migrate } from '../../src/database/migrations'
import { openPool } from '../../src/database/pool'
import { startEmbedded } from '../../src/embedded/server'
import { freePort } from '../../src/system/free-port'
import { SECRET, testSettings, UNLIMITED } from '../support/app'
import { testDatabase } from '../support/database'
import { exampleTask } from '../support/example-task'
import { followSource } from '../support/follow'
import { memoryStorage } from '../support/memory-storage'
import { turns, until } from '../support/time'

const MAIN = join(import.meta.dir, '../../src/main.ts')
const settings = testSettings()
const { url: databaseUrl, sql } = await testDatabase()
const running = new Set<Bun.Subprocess>()
const stops = new Set<() => void>()
afterEach(() => {
  jest.useRealTimers()
  for (const stop of stops) stop()
  stops.clear()
})
afterAll(() => {
  for (const each of running) each.kill('SIGKILL')
})

/** Starts the program, and waits until it answers. */
async function serve(port: number, env: Record<string, string>) {
  const child = Bun.spawn([process.execPath, '--no-env-file', MAIN, 'serve'], {
    env: {
      ...UNLIMITED,
      BETTER_AUTH_SECRET: SECRET,
      HOST: '127.0.0.1',
      PORT: String(port),
      LOG_LEVEL: 'silent',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  const url = `http://127.0.0.1:${port}`
  await until(async () => (await fetch(`${url}/health`).catch(() => undefined))?.ok === true)
  return { url, child }
}

const { url } = await serve(await freePort(), { DATABASE_URL: databaseUrl })

async function user(address = url) {
  const id = crypto.randomUUID()
  const token = await signAccessToken(id, settings)
  return { id, token, client: createClient(address, { token }) }
}

async function create({ api }: Client, title = 'Buy milk'): Promise<Task> {
  const { data, error } = await api.v1.todos.post({ title })
  if (error) throw error
  return data
}

function follow(
  client: Client,
  options: Parameters<Client['sync']>[1] = {},
  store = new Map<number, Task>(),
) {
  const changes: Change[] = []
  const sync = client.sync(store, { onChange: (batch) => changes.push(...batch), ...options })
  stops.add(sync.stop)
  return { store, changes, sync }
}

async function listed(client: Client): Promise<Task[]> {
  const tasks: Task[] = []
  for await (const task of allTasks(client, { order: 'asc' })) tasks.push(task)
  return tasks
}

const inOrder = (store: Map<number, Task>) => [...store.values()].sort((a, b) => a.id - b.id)
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )

describe('at first', () => {
  test('a store gets all tasks, from more than one page, and loses what else was in it', async () => {
    const { id, client } = await user()
    const rubbish = await create(client)
    await client.api.v1.todos({ id: rubbish.id }).delete()
    await sql<{ id: number }[]>`
      insert into tasks (user_id, title, revision, created_at, updated_at)
      select ${id}, 'task ' || n, 2 + n, now(), now() from generate_series(1, 1203) as n returning id`
    await sql<{ id: string }[]>`update users set revision = 1205 where id = ${id} returning id`
    const { store, changes, sync } = follow(client, {}, new Map([[rubbish.id, rubbish]]))
    await sync.ready
    expect(store.size).toBe(1203)
    expect(inOrder(store)).toEqual(await listed(client))
    // `onChange` is told of what the store has lost, too
    expect(changes.at(-1)).toEqual({ id: rubbish.id, revision: rubbish.revision, deleted: true })
  })

  test('the synchronization ends with what `onChange` throws', async () => {
    const { client } = await user()
    await create(client)
    const fault = new Error('of the page')
    const onChange = () => {
      throw fault
    }
    expect(await reasonOf(follow(client, { onChange }).sync.ended)).toBe(fault)
  })

  test('the synchronization ends with a 401 if there is no token', async () => {
    const { sync } = follow(createClient(url))
    const reason = await reasonOf(sync.ended)
    expect(reason).toBeInstanceOf(RequestError)
    expect(reason).toMatchObject({ status: 401 })
    await expect(sync.ready).rejects.toThrow()
  })

  test('a synchronization with a cursor goes on from there, and the store keeps its tasks', async () => {
    const { client } = await user()
    const kept = await create(client)
    const first = follow(client)
    await first.sync.ready
    first.sync.stop()
    await first.sync.ended
    const created = await create(client, 'meanwhile')
    const { store, changes, sync } = follow(client, { cursor: first.sync.cursor ?? '' }, first.store)
    await sync.ready
    expect(inOrder(store)).toEqual([kept, created])
    expect(changes).toEqual([created])
  })

  test('a synchronization with a cursor that is too old begins anew', async () => {
    const { id, client } = await user()
    const gone = await create(client)
    const first = follow(client)
    await first.sync.ready
    first.sync.stop()
    await client.api.v1.todos({ id: gone.id }).delete()
    const kept = await create(client, 'kept')
    await sql<{ id: number }[]>`delete from tasks where id = ${gone.id} returning id`
    await sql<{ id: string }[]>`update users set purged_revision = 2 where id = ${id} returning id`
    const { store, sync } = follow(client, { cursor: first.sync.cursor ?? '' }, first.store)
    await sync.ready
    expect(inOrder(store)).toEqual([kept])
  })
})

describe('then', () => {
  test('what another device makes, changes and deletes arrives', async () => {
    const { client } = await user()
    const { store, sync } = follow(client)
    await sync.ready
    const [first, second] = [await create(client, 'first'), await create(client, 'second')]
    await until(() => store.size === 2)
    const { data } = await client.update(first, { completed: true })
    await client.api.v1.todos({ id: second.id }).delete()
    await until(() => store.size === 1 && store.get(first.id)?.completed === true)
    expect(inOrder(store)).toEqual([data as Task])
  })

  test('a newer task that the page itself has stored is not overwritten', async () => {
    const { client } = await user()
    const first = follow(client)
    await first.sync.ready
    first.sync.stop()
    await first.sync.ended
    const task = await create(client)
    const newer = { ...task, title: 'newer', revision: task.revision + 1 }
    const after = await create(client, 'after')
    const cursor = first.sync.cursor ?? ''
    const { store, changes, sync } = follow(client, { cursor }, new Map([[task.id, newer]]))
    await sync.ready
    expect(inOrder(store)).toEqual([newer, after])
    expect(changes).toEqual([after])
  })

  test('a stopped synchronization takes nothing more, and its connection is closed', async () => {
    const { client, token } = await user()
    const signals: AbortSignal[] = []
    const fetcher = (requested: string, init: RequestInit) => {
      if (init.signal) signals.push(init.signal)
      return fetch(requested, init)
    }
    const { store, sync } = follow(createClient(url, { token, fetcher }))
    await sync.ready
    await until(() => signals.length === 2)
    sync.stop()
    await sync.ended
    const other = follow(client)
    await other.sync.ready
    await create(client)
    await until(() => other.store.size === 1)
    expect({ size: store.size, requests: signals.length }).toEqual({ size: 0, requests: 2 })
    expect(signals.at(-1)?.aborted).toBe(true)
  })

  test('a token that expires is renewed, and the synchronization goes on', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    const tokens: string[] = []
    const fetcher = (requested: string, init: RequestInit) => {
      if (requested.includes('/events')) tokens.push(new Headers(init.headers).get('authorization') ?? '')
      return fetch(requested, init)
    }
    const storage = memoryStorage()
    const options = { storage, fetcher }
    await createClient(url, options).signUp({ email, password: 'correct horse battery staple' })
    const { user: id, access: first } = storage.tokens()
    const { sid } = decodeJwt<{ sid: string }>(first)
    // the server ends the stream at once and soon refuses the token; the client learns it from the refusal
    const access = await signAccessToken(id, { ...settings, jwtExpireMinutes: -3 / 60 }, sid)
    storage.change({ access })
    const client = createClient(url, options)
    const { store, sync } = follow(client)
    await sync.ready
    await until(() => tokens.some((token) => token !== `Bearer ${access}`))
    await create(client)
    await until(() => store.size === 1)
  })
})

/** A source of changes without a network. */
function source(open: ChangeSource['open'], read?: ChangeSource['read']): ChangeSource {
  return { read: read ?? (async () => ({ changes: [], cursor: 'begin', has_more: false })), open }
}
const silent = (opened: AbortSignal[]) => async (_: string, signal: AbortSignal) => {
  opened.push(signal)
  return new ReadableStream<Uint8Array>({
    start: (controller) => signal.addEventListener('abort', () => controller.error(signal.reason)),
  })
}
describe('a connection', () => {
  test('that is silent for 45 seconds is replaced by a new one', async () => {
    jest.useFakeTimers()
    const opened: AbortSignal[] = []
    const { stop, ended } = followSource(source(silent(opened)))
    await turns()
    jest.advanceTimersByTime(44_999)
    await turns()
    expect(opened.map(({ aborted }) => aborted)).toEqual([false])
    jest.advanceTimersByTime(1)
    await turns()
    jest.advanceTimersByTime(400)
    await turns()
    expect(opened.map(({ aborted }) => aborted)).toEqual([true, false])
    stop()
    await ended
    await turns()
    expect(jest.getTimerCount()).toBe(0)
  })

  test('that sends only comments is kept', async () => {
    jest.useFakeTimers()
    let opened = 0
    let beat = () => {}
    const { stop } = followSource(
      source(async (_, signal) => {
        opened++
        return new ReadableStream({
          start(controller) {
            signal.addEventListener('abort', () => controller.error(signal.reason))
            beat = () => controller.enqueue(new TextEncoder().encode(':\n\n'))
          },
        })
      }),
    )
    await turns()
    for (let n = 0; n < 10; n++) {
      jest.advanceTimersByTime(15_000)
      beat()
      await turns()
    }
    expect(opened).toBe(1)
    stop()
  })

  test('that brings reminders takes the changes around them, and goes on after the last change', async () => {
    const reminder = `event: reminder\ndata: {"task_id":1,"due_at":"2026-01-16T17:00:00.000Z","minutes":30}\n\n`
    const change = (id: number) => `id: after-${id}\ndata: ${JSON.stringify(exampleTask({ id }))}\n\n`
    // alone, and in one piece with a change
    const pieces = [reminder, reminder + change(2), change(3) + reminder]
    const asked: string[] = []
    const { promise: cameBack, resolve } = Promise.withResolvers<void>()
    const open = async (since: string) => {
      asked.push(since)
      if (asked.length > 1) resolve()
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          const piece = pieces.shift()
          if (piece === undefined) controller.close()
          else controller.enqueue(new TextEncoder().encode(piece))
        },
      })
    }
    const read: ChangeSource['read'] = async (since) => {
      const changes = since === undefined ? [exampleTask({ id: 1 })] : []
      return { changes, cursor: since ?? 'after-1', has_more: false }
    }
    const store = new Map<number, Task>()
    const { stop } = followSource(source(open, read), store)
    await cameBack
    stop()
    expect(asked.slice(0, 2)).toEqual(['after-1', 'after-3'])
    expect([...store.keys()]).toEqual([1, 2, 3])
  })

  test('whose first answer never comes is replaced as well', async () => {
    jest.useFakeTimers()
    let reads = 0
    const hang = (_: unknown, signal: AbortSignal) => {
      reads++
      return new Promise<never>((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)))
    }
    const { stop } = followSource(source(silent([]), hang))
    await turns()
    jest.advanceTimersByTime(45_000)
    await turns()
    jest.advanceTimersByTime(5000)
    await turns()
    expect(reads).toBe(2)
    stop()
  })

  test('that ends at once is made again after longer and longer pauses', async () => {
    jest.useFakeTimers()
    const at: number[] = []
    const open = async () => {
      at.push(Date.now())
      return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
    }
    const { stop } = followSource(source(open))
    for (let n = 0; n < 600; n++) {
      await turns()
      jest.advanceTimersByTime(100)
    }
    stop()
    // in a minute; in the end there are at least 2.5 s between two of them
    expect(at.length).toBeGreaterThan(10)
    expect(at.length).toBeLessThan(32)
  })
})

/** An address that stays the same while the database restarts at another one. */
async function proxyTo(database: string) {
  const backend = { port: Number(new URL(database).port) }
  const server = createServer((from) => {
    const to = connect(backend.port, '127.0.0.1')
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.pipe(other)
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }
  })
  const url = new URL(database)
  url.port = String(await freePort())
  await new Promise<void>((done) => server.listen(Number(url.port), '127.0.0.1', done))
  return { server, backend, url: url.href }
}

test('through stops of the server and of the database, two stores equal the table', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-sync-'))
  let database = await startEmbedded(folder)
  await migrate(database.url, 'up', true)
  const proxy = await proxyTo(database.url)
  const port = await freePort()
  const start = () => serve(port, { DATABASE_URL: proxy.url })
  let server = await start()
  const { token } = await user()
  const clients = [createClient(server.url, { token }), createClient(server.url, { token })] as const
  const followers = clients.map((client) => follow(client))
  await Promise.all(followers.map(({ sync }) => sync.ready))

  let isOver = false
  let writes = 0
  const made: number[] = []
  const write = async (client: Client, writer: number) => {
    for (let n = 0; !isOver; n++) {
      const { data } = await client.api.v1.todos.post({ title: `${writer}: task ${n}` })
      if (!data) continue
      made.push(data.id)
      const some = made[(n * 7) % made.length] ?? data.id
      const task = client.api.v1.todos({ id: some })
      if (n % 3 === 0) await task.delete()
      else if (n % 3 === 1) await task.restore.post()
      else await client.update(data, ({ title }) => ({ title: `${title}!` }))
      writes++
    }
  }
  const more = async () => {
    const wanted = writes + 30
    await until(() => writes >= wanted)
  }
  const writers = clients.map(write)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await more()
    server.child.kill(signal)
    await server.child.exited
    server = await start()
  }
  await more()
  await database.stop()
  database = await startEmbedded(folder)
  proxy.backend.port = Number(new URL(database.url).port)
  await more()
  isOver = true
  await Promise.all(writers)

  const [client] = clients
  const table = await listed(client)
  await until(() => followers.every(({ store }) => Bun.deepEquals(inOrder(store), table)))
  expect(table.length).toBeGreaterThan(40)
  const inTable = openPool({ url: database.url, poolSize: 1 })
  const rows = await inTable<{ id: number; title: string }[]>`select id, title from tasks order by id`
  const titles = rows.map(({ title }) => title.replaceAll('!', ''))
  expect(new Set(titles).size).toBe(titles.length)
  expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(made))
  expect(table.map(({ id }) => id)).toEqual(
    (await inTable<{ id: number }[]>`select id from tasks where deleted_at is null order by id`).map(
      ({ id }) => id,
    ),
  )
  await inTable.end()
  for (const { sync } of followers) sync.stop()
  server.child.kill('SIGTERM')
  await server.child.exited
  proxy.server.close()
  await database.stop()
  await rm(folder, { recursive: true })
})
