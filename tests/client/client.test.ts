import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import {
  allTasks,
  type Client,
  type ClientOptions,
  createClient,
  RequestError,
  type Task,
} from '../../src/client/index'
import { testApp } from '../support/app'

const { app, settings } = await testApp({ RATE_LIMIT_PER_MINUTE: '1000000' })
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))

const url = String(app.server?.url)
const root = join(import.meta.dir, '../..')

const tokenOf = (user: string) => signAccessToken(user, settings)
const clientOf = (user: string, options: ClientOptions = {}) =>
  createClient(url, { token: () => tokenOf(user), ...options })

/** Remembers which addresses were asked for. */
function recorder() {
  const urls: string[] = []
  const fetcher = (requested: string, init: RequestInit) => {
    urls.push(requested)
    return fetch(requested, init)
  }
  return { urls, fetcher }
}

/** @returns the data of a call; throws its problem */
async function dataOf<T>(call: Promise<{ data: T; error: unknown }>): Promise<NonNullable<T>> {
  const { data, error } = await call
  if (error) throw error
  return data as NonNullable<T>
}

async function create({ api }: Client, title = 'Buy milk'): Promise<Task> {
  return dataOf(api.v1.todos.post({ title, description: 'Two bottles' }))
}

async function collect(tasks: AsyncIterable<Task>, into: Task[] = []): Promise<Task[]> {
  for await (const task of tasks) into.push(task)
  return into
}

/** The address of a server that has just stopped. */
async function deadAddress(): Promise<string> {
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() })
  await server.stop(true)
  return String(server.url)
}

describe('calls', () => {
  test('a created task arrives whole, with 201', async () => {
    const { api } = clientOf('create')
    const { data, error, status } = await api.v1.todos.post({ title: 'Buy milk', completed: true })
    expect({ error, status }).toEqual({ error: null, status: 201 })
    expect(data).toMatchObject({ title: 'Buy milk', user_id: 'create', description: null, completed: true })
  })

  test('a created task can be read', async () => {
    const client = clientOf('read')
    const task = await create(client)
    expect(await dataOf(client.api.v1.todos({ id: task.id }).get())).toEqual(task)
  })

  test('a list follows its query', async () => {
    const client = clientOf('list')
    for (const title of ['a', 'b', 'c']) await create(client, title)
    const query = { sort: 'title', order: 'desc', limit: 2, count: true } as const
    const { data, response } = await client.api.v1.todos.get({ query })
    expect(data?.map(({ title }) => title)).toEqual(['c', 'b'])
    expect(response.headers.get('x-total-count')).toBe('3')
  })

  test('null clears the description', async () => {
    const client = clientOf('clear')
    const { id } = await create(client)
    const task = await dataOf(client.api.v1.todos({ id }).patch({ description: null }))
    expect(task).toMatchObject({ title: 'Buy milk', description: null })
  })

  test('PUT changes what is sent', async () => {
    const client = clientOf('put')
    const { id } = await create(client)
    const task = await dataOf(client.api.v1.todos({ id }).put({ title: 'Buy oat milk' }))
    expect(task).toMatchObject({ title: 'Buy oat milk', description: 'Two bottles' })
  })

  test('completing without a body toggles', async () => {
    const client = clientOf('toggle')
    const { complete } = client.api.v1.todos({ id: (await create(client)).id })
    const states = [await dataOf(complete.patch()), await dataOf(complete.patch())]
    expect(states.map(({ completed }) => completed)).toEqual([true, false])
  })

  test('completing with a body sets', async () => {
    const client = clientOf('set')
    const { complete } = client.api.v1.todos({ id: (await create(client)).id })
    const set = () => dataOf(complete.patch({ completed: true }))
    expect([(await set()).completed, (await set()).completed]).toEqual([true, true])
  })

  test('deleting gives 204, no error and empty data', async () => {
    const client = clientOf('delete')
    const { id } = await create(client)
    const { data, error, status } = await client.api.v1.todos({ id }).delete()
    expect({ data: data as unknown, error, status }).toEqual({ data: '', error: null, status: 204 })
  })

  test('a deleted task is gone', async () => {
    const client = clientOf('gone')
    const task = client.api.v1.todos({ id: (await create(client)).id })
    await dataOf(task.delete())
    expect((await task.get()).error?.status).toBe(404)
  })

  test('health is asked without a token', async () => {
    expect((await dataOf(createClient(url).health.get())).status).toBe('healthy')
  })

  test.each(['2026-01-15T09:30:00.000Z', '2026-01-15', '42', '1e3', 'true', 'null', '{"a":1}', '[]'])(
    'the title %p stays the text that it is',
    async (title) => {
      const client = clientOf('titles')
      const { id } = await create(client, title)
      const [listed] = await dataOf(client.api.v1.todos.get({ query: { limit: 1 } }))
      const read = await dataOf(client.api.v1.todos({ id }).get())
      expect([read.title, listed?.title]).toEqual([title, title])
    },
  )

  test('times stay text', async () => {
    const { created_at, updated_at } = await create(clientOf('times'))
    expect([created_at, updated_at].map((each) => typeof each)).toEqual(['string', 'string'])
  })
})

describe('problems', () => {
  test('a problem arrives as an object', async () => {
    const { error, data } = await clientOf('missing').api.v1.todos({ id: 1 }).get()
    expect(data).toBeNull()
    expect(error?.value).toMatchObject({
      type: 'about:blank',
      status: 404,
      status_code: 404,
      error_code: 'TASK_NOT_FOUND',
      request_id: expect.any(String),
    })
  })

  test('a problem names the fields at fault', async () => {
    const { error } = await clientOf('invalid').api.v1.todos.post({ title: ' ' })
    if (error?.status !== 422) throw new Error(`expected a 422, got ${error?.status}`)
    expect(error.value.errors?.map(({ pointer }) => pointer)).toEqual(['/title'])
  })

  test('a call without a server gives a problem too', async () => {
    const { api } = createClient(await deadAddress())
    const { data, error } = await api.v1.todos.get()
    expect({ data, status: error?.status as number }).toEqual({ data: null, status: 503 })
    expect(error?.value).toMatchObject({ status: 503, error_code: 'NO_ANSWER', request_id: '' })
  })

  test('an aborted call gives a problem too', async () => {
    const { error } = await clientOf('abort').api.v1.todos.get({ fetch: { signal: AbortSignal.abort() } })
    expect(error?.value.error_code as string).toBe('NO_ANSWER')
  })
})

describe('the token', () => {
  test('may be text', async () => {
    const { api } = createClient(url, { token: await tokenOf('text') })
    expect((await dataOf(api.v1.todos.post({ title: 'x' }))).user_id).toBe('text')
  })

  test('may come from a function', async () => {
    const token = await tokenOf('function')
    const { api } = createClient(url, { token: () => token })
    expect((await dataOf(api.v1.todos.post({ title: 'x' }))).user_id).toBe('function')
  })

  test('may come from an async function', async () => {
    const { api } = createClient(url, { token: async () => tokenOf('async') })
    expect((await dataOf(api.v1.todos.post({ title: 'x' }))).user_id).toBe('async')
  })

  test('is taken from the function before every request', async () => {
    const users = ['first', 'second', 'third']
    const { api } = createClient(url, { token: () => tokenOf(users.shift() ?? 'too often') })
    const owner = async () => (await dataOf(api.v1.todos.post({ title: 'x' }))).user_id
    expect([await owner(), await owner(), await owner()]).toEqual(['first', 'second', 'third'])
  })

  test.each([undefined, null, ''])('%p sends no header', async (token) => {
    for (const client of [createClient(url, { token }), createClient(url, { token: async () => token })]) {
      const { error } = await client.api.v1.todos.get()
      expect(error?.value).toMatchObject({ error_code: 'TOKEN_MISSING' })
    }
  })

  test('left out sends no header', async () => {
    const { error } = await createClient(url).api.v1.todos.get()
    expect(error?.value).toMatchObject({ error_code: 'TOKEN_MISSING' })
  })

  test('that the function cannot give rejects the call, and nothing is sent', async () => {
    const { urls, fetcher } = recorder()
    const token = () => Promise.reject(new Error('signed out'))
    const { api } = createClient(url, { token, fetcher })
    await expect(api.v1.todos.get()).rejects.toThrow('signed out')
    expect(urls).toEqual([])
  })
})

const USER_IDS = [
  'a/b',
  'ü',
  '50%',
  '%',
  'a%2Fb',
  'a b',
  'a+b',
  'a?b=c&d',
  'a#b',
  'a\\b',
  'a:b',
  ':user_id',
  '../v1/todos',
  '...',
  '日本',
  '👩‍🚀',
  'v1',
  'get',
  'delete',
  'auth0|5f7c8ec7',
]

describe('the address with the owner in the path', () => {
  test.each(USER_IDS)('serves the user %p', async (user_id) => {
    const { tasks } = clientOf(user_id).api({ user_id })
    const { id } = await dataOf(tasks.post({ title: 'Buy milk' }))
    const done = await dataOf(tasks({ id }).complete.patch())
    expect(done).toMatchObject({ user_id, completed: true })
    expect(await dataOf(tasks.get())).toEqual([done])
    expect(await dataOf(tasks({ id }).patch({ description: null }))).toMatchObject({ id, description: null })
    expect((await tasks({ id }).delete()).error).toBeNull()
    expect((await tasks({ id }).get()).status).toBe(404)
  })

  test('serves `me`', async () => {
    const client = clientOf('myself')
    const task = await create(client)
    expect(await dataOf(client.api({ user_id: 'me' }).tasks.get())).toEqual([task])
  })

  test('refuses another user', async () => {
    const { error } = await clientOf('ann').api({ user_id: 'bob' }).tasks.get()
    expect(error?.value).toMatchObject({ error_code: 'OWNER_MISMATCH' })
  })

  test('encodes an id once, also if it looks encoded already', async () => {
    const { urls, fetcher } = recorder()
    await clientOf('50%', { fetcher }).api({ user_id: '50%' }).tasks({ id: 'a/b' }).get()
    expect(urls).toEqual([`${url}api/50%25/tasks/a%2Fb`])
  })

  test.each(['', '.', '..'])('throws for %p, which would change the path', (value) => {
    const { api } = clientOf('dots')
    expect(() => api({ user_id: value })).toThrow(TypeError)
    expect(() => api.v1.todos({ id: value })).toThrow(TypeError)
  })
})

interface Walk {
  client: Client
  /** The oldest first. */
  tasks: Task[]
}

/** Makes a user with tasks: every second one is completed, and their order by title is not the order of creation. */
async function userWithTasks(user: string, count: number): Promise<Walk> {
  const client = clientOf(user)
  const tasks: Task[] = []
  for (let n = 0; n < count; n++) {
    const rank = String((n * 7) % count).padStart(3, '0')
    const title = n % 3 === 0 ? `TASK ${rank}` : `task ${rank}`
    tasks.push(await dataOf(client.api.v1.todos.post({ title, completed: n % 2 === 0 })))
  }
  return { client, tasks }
}

const byTitle = (a: Task, b: Task) => (a.title.toLowerCase() < b.title.toLowerCase() ? -1 : 1)

describe('a walk through all tasks', () => {
  let tasks: Task[]
  beforeAll(async () => {
    tasks = (await userWithTasks('walker', 250)).tasks
  })

  test('gives the newest first', async () => {
    expect(await collect(allTasks(clientOf('walker')))).toEqual(tasks.toReversed())
  })

  test.each([
    ['created', 'desc', () => tasks.toReversed()],
    ['created', 'asc', () => tasks],
    ['title', 'asc', () => tasks.toSorted(byTitle)],
    ['title', 'desc', () => tasks.toSorted(byTitle).toReversed()],
  ] as const)('by %s, %s, gives every task once in three pages', async (sort, order, expected) => {
    const { urls, fetcher } = recorder()
    const walked = await collect(allTasks(clientOf('walker', { fetcher }), { sort, order, limit: 100 }))
    expect(walked).toEqual(expected())
    expect(urls).toHaveLength(3)
  })

  test('keeps its filter on every page', async () => {
    const walked = await collect(
      allTasks(clientOf('walker'), { status: 'pending', sort: 'created', limit: 50 }),
    )
    expect(walked).toEqual(tasks.filter(({ completed }) => !completed).toReversed())
  })

  test('ends without another request if the last task is the last of its page', async () => {
    const { urls, fetcher } = recorder()
    expect(await collect(allTasks(clientOf('walker', { fetcher }), { limit: 125 }))).toHaveLength(250)
    expect(urls).toHaveLength(2)
  })

  test('through no tasks gives none', async () => {
    expect(await collect(allTasks(clientOf('nobody')))).toEqual([])
  })

  test('sends nothing before the first task is asked for', async () => {
    const { urls, fetcher } = recorder()
    const walk = allTasks(clientOf('walker', { fetcher }))
    expect(urls).toHaveLength(0)
    await walk.next()
    expect(urls).toHaveLength(1)
  })

  test('that is broken off fetches no further page', async () => {
    const { urls, fetcher } = recorder()
    let seen = 0
    for await (const _ of allTasks(clientOf('walker', { fetcher }), { limit: 100 })) if (++seen === 100) break
    expect({ seen, requests: urls.length }).toEqual({ seen: 100, requests: 1 })
  })

  test.each(['created', 'title'] as const)(
    'by %s shows each earlier task once, whatever is created meanwhile',
    async (sort) => {
      const { client, tasks: before } = await userWithTasks(`busy-${sort}`, 25)
      const walked: Task[] = []
      for await (const task of allTasks(client, { sort, limit: 10 })) {
        walked.push(task)
        // one task that comes before the cursor in both orders, and one that comes after it by title
        if (walked.length === 5) for (const title of ['aaa', 'zzz']) await create(client, title)
      }
      const ids = walked.map(({ id }) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(ids).toEqual(expect.arrayContaining(before.map(({ id }) => id)))
    },
  )

  test('renews its token between pages', async () => {
    let asked = 0
    const token = () => {
      asked++
      return tokenOf('walker')
    }
    await collect(allTasks(createClient(url, { token }), { limit: 100 }))
    expect(asked).toBe(3)
  })

  test('that meets a 401 throws the problem, after the tasks of the pages before', async () => {
    const tokens = [await tokenOf('walker'), 'a.b.c']
    const client = createClient(url, { token: () => tokens.shift() })
    const walked: Task[] = []
    const error = await collect(allTasks(client, { limit: 100 }), walked).catch((thrown: unknown) => thrown)
    expect(walked).toEqual(tasks.toReversed().slice(0, 100))
    if (!(error instanceof RequestError)) throw new Error('expected a RequestError', { cause: error })
    expect(error).toMatchObject({ status: 401, problem: { error_code: 'TOKEN_INVALID' } })
    expect(error.message).toBe(error.problem?.detail ?? '')
  })

  test('without a server throws a 503 that says so', async () => {
    const error = await collect(allTasks(createClient(await deadAddress()))).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(RequestError)
    expect(error).toMatchObject({ status: 503, problem: { error_code: 'NO_ANSWER' } })
  })

  test("with a proxy's own answer throws the answer's status, and says that it is not Taskwell's", async () => {
    const type = { 'content-type': 'text/html' }
    const fetch = () => new Response('<h1>Bad Gateway</h1>', { status: 502, headers: type })
    await using proxy = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch })
    const error = await collect(allTasks(createClient(String(proxy.url)))).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RequestError)
    expect(error).toMatchObject({
      status: 502,
      code: 'NO_ANSWER',
      message: expect.stringContaining('not an answer of Taskwell'),
    })
  })

  test('works if the server is below a path', async () => {
    await using proxy = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch: (request) => fetch(request.url.replace(/.*\/below\//, url), request),
    })
    const client = createClient(`${proxy.url}below/`, { token: () => tokenOf('walker') })
    expect(await collect(allTasks(client, { limit: 100 }))).toEqual(tasks.toReversed())
  })
})

describe('what a frontend gets', () => {
  const files = [...new Bun.Glob('*.ts').scanSync(join(root, 'src/client'))]

  test.each(files)('%s imports nothing of the server but types', async (file) => {
    const source = await Bun.file(join(root, 'src/client', file)).text()
    // the transpiler leaves out imports of types
    const imports = new Bun.Transpiler({ loader: 'ts' }).scanImports(source)
    const foreign = imports.map(({ path }) => path).filter((path) => !/^\.\/[\w-]+$/.test(path))
    expect(['eventsource-parser', 'react']).toEqual(expect.arrayContaining(foreign))
  })

  test.each(['ts5', 'ts7'])('right calls compile with %s, and wrong ones do not', async (typescript) => {
    const command = [process.execPath, `node_modules/${typescript}/bin/tsc`, '-p', 'tests/client-project']
    const compiler = Bun.spawn(command, { cwd: root, stdout: 'pipe', stderr: 'inherit' })
    const output = await new Response(compiler.stdout).text()
    expect({ output, exitCode: await compiler.exited }).toEqual({ output: '', exitCode: 0 })
  })
})
