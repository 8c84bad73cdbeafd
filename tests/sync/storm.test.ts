import { afterAll, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import { openPool, type Pool } from '../../src/database/pool'
import { runningUrl } from '../../src/embedded/server'
import type { Change } from '../../src/sync/model'
import type { Task } from '../../src/tasks/model'
import { SECRET, testSettings, UNLIMITED } from '../support/app'
import { testDatabase } from '../support/database'
import { storedTasks } from '../support/stored-tasks'

const database = await testDatabase()
const folder = await mkdtemp(join(tmpdir(), 'taskwell-storm-'))
const MAIN = join(import.meta.dir, '../../src/main.ts')
const running = new Set<Bun.Subprocess>()
let embedded: Pool | undefined
afterAll(async () => {
  await embedded?.end()
  for (const each of running) each.kill('SIGTERM')
  await Promise.all([...running].map((each) => each.exited))
  await rm(folder, { recursive: true })
})

const authorization = `Bearer ${await signAccessToken('ann', testSettings())}`

/** Starts the program as a user would, and waits until it listens. */
async function serve(env: Record<string, string>) {
  const child = Bun.spawn([process.execPath, '--no-env-file', MAIN, 'serve'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      ...UNLIMITED,
      DATA_DIR: folder,
      PORT: '0',
      HOST: '127.0.0.1',
      BETTER_AUTH_SECRET: SECRET,
      ...env,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  const url = Promise.withResolvers<string>()
  const read = async () => {
    let text = ''
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      // read to the end, so that the program never waits for a reader
      if (text.length < 10_000) text += part
      const [, found] = /listens on (http:\/\/[\w.:]+)/.exec(text) ?? []
      if (found) url.resolve(found)
    }
    url.reject(new Error(`it ended: ${text}`))
  }
  void read()
  return { child, url: await url.promise }
}

interface Answer {
  status: number
  etag: string
  /** Whether an earlier attempt may have succeeded without an answer. */
  isRetried: boolean
  // biome-ignore lint/suspicious/noExplicitAny: each reader says what it expects
  body: any
}

interface Sent {
  headers?: Record<string, string>
  body?: object
}

/** A server that is killed and restarted each time this many writes have been acknowledged. */
function mortal(env: Record<string, string>, kills: number[]) {
  const left = [...kills]
  let server = serve(env)
  let acknowledged = 0
  let lost = 0
  return {
    /** How many requests got no answer. */
    lost: () => lost,
    /** Counts a write, and kills the server with its open requests when enough have been acknowledged. */
    async acknowledge(): Promise<void> {
      acknowledged++
      if (acknowledged < (left[0] ?? Number.POSITIVE_INFINITY)) return
      left.shift()
      const { child } = await server
      child.kill('SIGKILL')
      server = child.exited.then(() => serve(env))
      await server
    },
    /** Sends the same request until it is answered. */
    async send(method: string, path: string, { headers, body }: Sent = {}): Promise<Answer> {
      for (let isRetried = false; ; isRetried = true) {
        const { url } = await server
        try {
          const response = await fetch(`${url}/api/v1/todos${path}`, {
            method,
            headers: { authorization, 'content-type': 'application/json', ...headers },
            ...(body && { body: JSON.stringify(body) }),
          })
          const text = await response.text()
          if (response.status === 503) continue
          const etag = response.headers.get('etag') ?? ''
          return { status: response.status, etag, isRetried, body: text && JSON.parse(text) }
        } catch {
          lost++
          await Bun.sleep(1)
        }
      }
    },
  }
}
type Mortal = ReturnType<typeof mortal>

const CLIENTS = 8
const STEPS = 64
const SHARED = 2

interface Own {
  id: number
  etag: string
  title: string
  description: string | null
}

/** A writer that creates, changes and deletes its own tasks, and adds words to tasks that it shares with others. */
async function client(server: Mortal, name: string, shared: number[]) {
  const own: Own[] = []
  const words: string[] = []
  const ended: number[] = []

  async function create(title: string): Promise<void> {
    const headers = { 'idempotency-key': title }
    const { status, etag, body } = await server.send('POST', '', { headers, body: { title } })
    expect(status).toBe(201)
    own.push({ id: body.id, etag, title, description: null })
  }
  async function update(task: Own, description: string): Promise<void> {
    const headers = { 'if-match': task.etag }
    const answer = await server.send('PATCH', `/${task.id}`, { headers, body: { description } })
    // no other writer changes this task, so an earlier attempt has changed it
    const now = answer.status === 412 && answer.isRetried ? answer.body.current : answer.body
    expect(now).toMatchObject({ id: task.id, title: task.title, description })
    Object.assign(task, { description, etag: answer.etag })
  }
  async function remove(task: Own): Promise<void> {
    const headers = { 'if-match': task.etag }
    const { status, isRetried } = await server.send('DELETE', `/${task.id}`, { headers })
    expect(isRetried ? [204, 404] : [204]).toContain(status)
    own.splice(own.indexOf(task), 1)
    ended.push(task.id)
  }
  async function add(id: number, word: string): Promise<void> {
    let now = await server.send('GET', `/${id}`)
    for (let isIn = false; !isIn; ) {
      const { description } = now.body
      const headers = { 'if-match': now.etag }
      const sent = { headers, body: { description: `${description} ${word}` } }
      const { status, etag, body } = await server.send('PATCH', `/${id}`, sent)
      expect([200, 412]).toContain(status)
      now = { status, etag, isRetried: false, body: status === 412 ? body.current : body }
      isIn = now.body.description.split(' ').includes(word)
    }
    words.push(word)
  }
  for (let step = 0; step < STEPS; step++) {
    const last = own.at(-1)
    if (step % 2 === 0 || !last) await create(`${name}-${step}`)
    else if (step % 8 === 1) await add(shared[(step >> 3) % SHARED] ?? 0, `${name}-${step}`)
    else if (step % 8 === 3) await remove(last)
    else await update(last, `${name}-${step}`)
    await server.acknowledge()
  }
  return { own, words, ended }
}

/** A device that reads page after page, and keeps its cursor when the server is killed. */
function follower(server: Mortal, limit: number) {
  const tasks = new Map<number, Task>()
  let since = ''
  return {
    tasks,
    async page(): Promise<boolean> {
      const { status, body } = await server.send('GET', `/changes?limit=${limit}${since}`)
      expect(status).toBe(200)
      const { changes, cursor, has_more } = body as { changes: Change[]; cursor: string; has_more: boolean }
      for (const change of changes) {
        if ('deleted' in change) tasks.delete(change.id)
        else tasks.set(change.id, change)
      }
      since = `&since=${cursor}`
      return has_more
    },
  }
}

async function storm(env: Record<string, string>, kills: number[], open: () => Pool): Promise<void> {
  const server = mortal(env, kills)
  const shared: number[] = []
  for (let n = 0; n < SHARED; n++) {
    const headers = { 'idempotency-key': `shared-${n}` }
    const { body } = await server.send('POST', '', { headers, body: { title: 'shared', description: '' } })
    shared.push(body.id)
  }
  const device = follower(server, 7)
  let isOver = false
  const follow = async () => {
    while ((await device.page()) || !isOver);
  }
  const write = async () => {
    const names = Array.from({ length: CLIENTS }, (_, n) => `client${n}`)
    const clients = await Promise.all(names.map((name) => client(server, name, shared)))
    isOver = true
    return clients
  }
  const [clients] = await Promise.all([write(), follow()])
  while (await device.page());

  const sql = open()
  const rows = (await storedTasks(sql, 'ann')).toSorted((a, b) => a.id - b.id)
  const live = rows.filter((row) => !row.is_deleted).map(({ is_deleted, ended, ...task }) => task)
  const ids = (tasks: { id: number }[]) => tasks.map(({ id }) => id).sort((a, b) => a - b)

  expect(server.lost()).toBeGreaterThanOrEqual(kills.length)
  const own = clients.flatMap((each) => each.own)
  expect(live.filter(({ id }) => !shared.includes(id))).toMatchObject(
    own
      .map(({ etag, ...task }) => ({ ...task, revision: Number(JSON.parse(etag)) }))
      .sort((a, b) => a.id - b.id),
  )
  expect(ids(rows.filter((row) => row.is_deleted))).toEqual(
    clients.flatMap((each) => each.ended).sort((a, b) => a - b),
  )
  const titles = rows.map(({ title }) => title).filter((title) => title !== 'shared')
  expect(new Set(titles).size).toBe(titles.length)
  const words = live
    .filter(({ id }) => shared.includes(id))
    .flatMap(({ description }) => description?.trim().split(' '))
  expect(words.sort()).toEqual(clients.flatMap((each) => each.words).sort())
  const anew = follower(server, 500)
  while (await anew.page());
  for (const { tasks } of [device, anew])
    expect([...tasks.values()].sort((a, b) => a.id - b.id)).toEqual(live)
}

/** One task in each part of the storm. */
function someMoments(count: number): number[] {
  const part = (CLIENTS * STEPS * 0.8) / count
  return Array.from({ length: count }, (_, n) => Math.ceil((n + Math.random()) * part))
}

test('a server that is killed in a storm of writes loses none that it acknowledged, and does none twice', async () => {
  const kills = someMoments(4)
  await storm({ DATABASE_URL: database.url }, kills, () => database.sql)
})

test('nor does one that leaves its embedded database behind', async () => {
  const kills = someMoments(2)
  const open = () => {
    embedded = openPool({ url: runningUrl(folder) ?? '', poolSize: 1 })
    return embedded
  }
  await storm({}, kills, open)
})
