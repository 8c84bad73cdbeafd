import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import { allTasks, type Client, type ClientOptions, createClient, type Task } from '../../src/client/index'
import { SECRET, testSettings } from '../support/app'
import { testDatabase } from '../support/database'
import { hurry, turns } from '../support/time'

const { url: databaseUrl, sql } = await testDatabase()
const settings = testSettings()
// a process of its own, because these tests move the clock of theirs
const server = Bun.spawn(
  [process.execPath, '--no-env-file', join(import.meta.dir, '../../src/main.ts'), 'serve'],
  {
    env: { DATABASE_URL: databaseUrl, BETTER_AUTH_SECRET: SECRET, PORT: '0', HOST: '127.0.0.1' },
    stdin: 'ignore',
    stdout: 'pipe',
  },
)
afterAll(() => server.kill('SIGKILL'))
const url = await addressOf(server.stdout)

async function addressOf(output: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of output) {
    text += decoder.decode(chunk, { stream: true })
    const [, address] = /listens on (http:\/\/\S+)/.exec(text) ?? []
    if (address) return address
  }
  throw new Error(`it ended: ${text}`)
}

afterEach(() => {
  jest.useRealTimers()
})

interface Attempt {
  method: string
  path: string
  key: string | null
  token: string | null
  /** By the clock that `hurried` moves. */
  at: number
}
type Deliver = () => Promise<Response>
/** What becomes of an attempt. */
type Fate = (deliver: Deliver) => Response | Promise<Response>

const arrives: Fate = (deliver) => deliver()
const requestLost: Fate = () => {
  throw new Error('lost')
}
const answerLost: Fate = async (deliver) => {
  await (await deliver()).text()
  throw new Error('lost')
}
const answered =
  (status: number, retryAfter?: string): Fate =>
  () =>
    Response.json({ error_code: 'X' }, { status, headers: retryAfter ? { 'retry-after': retryAfter } : {} })
const abortedBeforeTheAnswer =
  (controller: AbortController): Fate =>
  () => {
    controller.abort()
    throw controller.signal.reason
  }

let underWay = 0

/** A fetcher with a fate for each attempt; further attempts arrive. */
function line(...fates: Fate[]) {
  const attempts: Attempt[] = []
  const fetcher = async (requested: string, init: RequestInit) => {
    init.signal?.throwIfAborted()
    const headers = new Headers(init.headers)
    attempts.push({
      method: String(init.method),
      path: new URL(requested).pathname,
      key: headers.get('idempotency-key'),
      token: headers.get('authorization'),
      at: Date.now(),
    })
    return (fates.shift() ?? arrives)(async () => {
      underWay++
      const answer = await fetch(requested, init)
      await answer.clone().arrayBuffer()
      underWay--
      return answer
    })
  }
  return { attempts, fetcher }
}

async function user(options: ClientOptions = {}) {
  const id = crypto.randomUUID()
  const token = await signAccessToken(id, settings)
  const connect = (more: ClientOptions) => createClient(url, { token, ...options, ...more })
  return { id, client: connect({}), connect }
}

const hurried = <T>(call: () => Promise<T>) => hurry(call, () => underWay > 0)

async function create({ api }: Client, title = 'Buy milk'): Promise<Task> {
  const { data, error } = await api.v1.todos.post({ title })
  if (error) throw error
  return data
}

const titles = async (owner: string) =>
  (await sql<{ title: string }[]>`select title from tasks where user_id = ${owner} order by id`).map(
    ({ title }) => title,
  )

const pausesOf = (attempts: Attempt[]) => attempts.slice(1).map(({ at }, n) => at - Number(attempts[n]?.at))

describe('a task is made exactly once', () => {
  test.each([
    ['an answer that is lost', [answerLost]],
    ['three answers that are lost', [answerLost, answerLost, answerLost]],
    ['a request that is lost', [requestLost]],
    ['a 503', [answered(503, '1')]],
    ['a 429', [answered(429, '10')]],
    ['a loss of each kind', [requestLost, answerLost, answered(503)]],
  ])('through %s', async (_, fates) => {
    const { id, connect } = await user()
    const { attempts, fetcher } = line(...fates)
    const { status } = await hurried(() => connect({ fetcher }).api.v1.todos.post({ title: 'once' }))
    expect({ status, made: await titles(id) }).toEqual({ status: 201, made: ['once'] })
    expect(attempts).toHaveLength(fates.length + 1)
    expect(new Set(attempts.map(({ key }) => key)).size).toBe(1)
  })

  test('also at the other address', async () => {
    const { id, connect } = await user()
    const { tasks } = connect({ fetcher: line(answerLost).fetcher }).api({ user_id: id })
    expect((await hurried(() => tasks.post({ title: 'once' }))).status).toBe(201)
    expect(await titles(id)).toEqual(['once'])
  })

  test('and two calls make two tasks, each with a key of its own', async () => {
    const { id, connect } = await user()
    const { attempts, fetcher } = line()
    for (let n = 0; n < 2; n++) await create(connect({ fetcher }))
    expect(await titles(id)).toHaveLength(2)
    expect(new Set(attempts.map(({ key }) => key)).size).toBe(2)
    for (const { key } of attempts) expect(key).toMatch(/^[\x21-\x7e]{1,255}$/)
  })

  test("with the caller's own key", async () => {
    const { id, client, connect } = await user()
    const headers = { 'idempotency-key': 'mine' }
    const { attempts, fetcher } = line(answerLost)
    const post = () => connect({ fetcher }).api.v1.todos.post({ title: 'once' }, { headers })
    await hurried(post)
    expect(attempts.map(({ key }) => key)).toEqual(['mine', 'mine'])
    await client.api.v1.todos.post({ title: 'once' }, { headers })
    expect(await titles(id)).toEqual(['once'])
  })

  test('also if the token expires between two attempts', async () => {
    const { fetcher, attempts } = line()
    const client = createClient(url, { fetcher: (...args) => next(...args) })
    let next = fetcher
    const { data } = await client.signUp({
      email: `${crypto.randomUUID()}@example.com`,
      password: 'a b c d e f',
    })
    const refused: Fate = () =>
      Response.json({ error_code: 'TOKEN_EXPIRED' }, { status: 401, headers: { 'x-made': 'by the test' } })
    const lossy = line(answerLost, refused)
    next = lossy.fetcher
    const { status } = await hurried(() => client.api.v1.todos.post({ title: 'once' }))
    expect({ status, made: await titles(String(data?.user.id)) }).toEqual({ status: 201, made: ['once'] })
    const posts = lossy.attempts.filter(({ path }) => path === '/api/v1/todos')
    expect(new Set(posts.map(({ key }) => key)).size).toBe(1)
    expect(posts.map(({ token }) => token === posts[0]?.token)).toEqual([true, true, false])
    expect(attempts).toHaveLength(1)
  })
})

describe('a request is sent', () => {
  test.each([0, 1, 5])('%p times more with so many retries', async (retries) => {
    const { attempts, fetcher } = line(...Array<Fate>(9).fill(requestLost))
    const { connect } = await user({ retries })
    const { error } = await hurried(() => connect({ fetcher }).api.v1.todos.post({ title: 'x' }))
    expect(error?.value.error_code as string).toBe('NO_ANSWER')
    expect(attempts).toHaveLength(retries + 1)
  })

  test('three times more by default', async () => {
    const { attempts, fetcher } = line(...Array<Fate>(9).fill(requestLost))
    await hurried(() => createClient(url, { fetcher }).api.v1.todos.get())
    expect(attempts).toHaveLength(4)
  })

  test.each([
    ['a success', 200],
    ['a problem that stays', 422],
    ['a fault of the server', 500],
    ['an answer of a gateway', 502],
  ])('once for %s', async (_, status) => {
    const { attempts, fetcher } = line(answered(status))
    expect((await createClient(url, { fetcher }).api.v1.todos.get()).status as number).toBe(status)
    expect(attempts).toHaveLength(1)
  })
})

describe('a request is sent again', () => {
  test.each([
    ['503', '2', 2000],
    ['429', '10', 10_000],
  ])('after a %s with Retry-After: %s in %p ms', async (status, retryAfter, expected) => {
    const { attempts, fetcher } = line(answered(Number(status), retryAfter))
    const { connect } = await user()
    await hurried(() => connect({ fetcher }).api.v1.todos.get())
    expect(pausesOf(attempts)).toEqual([expected])
  })

  test.each([429, 503])('not after a %p that asks for more than ten seconds', async (status) => {
    const { attempts, fetcher } = line(answered(status, '11'))
    const { error } = await createClient(url, { fetcher }).api.v1.todos.get()
    expect({ status: error?.status as number, attempts: attempts.length }).toEqual({ status, attempts: 1 })
  })

  test('after a lost answer, later each time, and at a random moment', async () => {
    const pauses: number[][] = []
    for (let n = 0; n < 10; n++) {
      const { attempts, fetcher } = line(requestLost, requestLost, requestLost)
      const { connect } = await user()
      await hurried(() => connect({ fetcher }).api.v1.todos.get())
      pauses.push(pausesOf(attempts))
    }
    for (const [index, longest] of [300, 600, 1200].entries()) {
      const each = pauses.map((all) => Number(all[index]))
      expect(Math.min(...each)).toBeGreaterThanOrEqual(longest / 2 - 1)
      expect(Math.max(...each)).toBeLessThanOrEqual(longest)
      expect(new Set(each).size).toBeGreaterThan(1)
    }
  })
})

describe('what is never sent twice', () => {
  const passwords = { current_password: 'a b c d e f', new_password: 'g h i j k l' }
  const account = { email: 'ann@example.com', password: 'a b c d e f' }
  const CALLS: [string, (client: Client) => Promise<unknown>][] = [
    ['completing without a body', ({ api }) => api.v1.todos({ id: 1 }).complete.patch()],
    ['signing up', (client) => client.signUp(account)],
    ['signing in', (client) => client.signIn(account)],
    ['refreshing', ({ api }) => api.v1.auth.refresh.post({ refresh_token: 'x' })],
    ['signing out', ({ api }) => api.v1.auth.logout.post({ refresh_token: 'x' })],
    ['a new password', ({ api }) => api.v1.users.me.password.post(passwords)],
    ['a new name', ({ api }) => api.v1.users.me.patch({ name: 'Ann' })],
    ['the end of an account', ({ api }) => api.v1.users.me.delete({ password: 'a b c d e f' })],
    ['the end of a session', ({ api }) => api.v1.users.me.sessions({ id: 'x' }).delete()],
  ]
  const FATES: [string, Fate][] = [
    ['no answer', requestLost],
    ['a 503', answered(503)],
    ['a 429', answered(429, '0')],
  ]
  const cases = CALLS.flatMap(([call, act]) => FATES.map(([what, fate]) => [call, what, act, fate] as const))

  test.each(cases)('%s, after %s', async (_, __, act, fate) => {
    const { attempts, fetcher } = line(fate, answered(500))
    await act(createClient(url, { fetcher, token: 'a.b.c' }))
    expect(attempts).toHaveLength(1)
  })

  test.each(['/tasks', '/api/me/tasks', '/api/v1/todos/'])(
    'signing in, also with the server below the path %s, unlike making a task',
    async (path) => {
      const signIn = line(requestLost, answered(500))
      await createClient(url + path, { fetcher: signIn.fetcher }).signIn(account)
      expect(signIn.attempts).toMatchObject([{ key: null }])
      const create = line(answered(503), answered(500))
      await createClient(url + path, { fetcher: create.fetcher }).api.v1.todos.post({ title: 'twice' })
      expect(create.attempts).toMatchObject([{ key: expect.any(String) }, { key: expect.any(String) }])
    },
  )

  test('a toggle: the task stays toggled if the answer is lost', async () => {
    const { client, connect } = await user()
    const { id } = await create(client)
    const { error } = await connect({ fetcher: line(answerLost).fetcher })
      .api.v1.todos({ id })
      .complete.patch()
    expect(error?.value.error_code as string).toBe('NO_ANSWER')
    expect((await client.api.v1.todos({ id }).get()).data?.completed).toBe(true)
  })
})

describe('what is sent again', () => {
  const CALLS: [string, number, (client: Client, id: number) => Promise<{ status: number }>][] = [
    ['reading a task', 200, ({ api }, id) => api.v1.todos({ id }).get()],
    ['reading a list', 200, ({ api }) => api.v1.todos.get()],
    ['reading the trash', 200, ({ api }) => api.v1.todos.trash.get()],
    ['reading changes', 200, ({ api }) => api.v1.todos.changes.get()],
    ['reading oneself', 200, ({ api }) => api.v1.users.me.get()],
    ['changing', 200, ({ api }, id) => api.v1.todos({ id }).patch({ title: 'x' })],
    ['putting', 200, ({ api }, id) => api.v1.todos({ id }).put({ title: 'x' })],
    [
      'completing with a body',
      200,
      ({ api }, id) => api.v1.todos({ id }).complete.patch({ completed: true }),
    ],
    ['restoring', 200, ({ api }, id) => api.v1.todos({ id }).restore.post()],
    ['deleting', 204, ({ api }, id) => api.v1.todos({ id }).delete()],
    ['ending', 204, ({ api }, id) => api.v1.todos({ id }).delete(undefined, { query: { permanent: true } })],
  ]

  test.each(CALLS)('%s: the answer is as if nothing had been lost', async (_, expected, act) => {
    const { client, connect } = await user()
    const { id } = await create(client)
    const { attempts, fetcher } = line(answerLost)
    const answer = await hurried(() => act(connect({ fetcher }), id))
    expect({ status: answer.status, attempts: attempts.length }).toEqual({ status: expected, attempts: 2 })
  })

  test('deleting: the data is empty, as after any deletion', async () => {
    const { client, connect } = await user()
    const { id } = await create(client)
    const task = connect({ fetcher: line(answerLost).fetcher }).api.v1.todos({ id })
    const { data, error } = await hurried(() => task.delete())
    expect({ data: data as unknown, error }).toEqual({ data: '', error: null })
  })

  test.each([
    ['that was only refused', answered(429, '0')],
    ['that arrives', arrives],
  ])('but deleting a task that does not exist, by a request %s, gives 404', async (_, fate) => {
    const { connect } = await user()
    const client = connect({ fetcher: line(fate).fetcher })
    expect((await hurried(() => client.api.v1.todos({ id: 1 }).delete())).status).toBe(404)
  })

  test('a page of a walk', async () => {
    const { client, connect } = await user()
    for (const title of ['a', 'b', 'c']) await create(client, title)
    const { attempts, fetcher } = line(arrives, answerLost)
    const walk = async () => {
      const walked: string[] = []
      for await (const { title } of allTasks(connect({ fetcher }), { limit: 2 })) walked.push(title)
      return walked
    }
    expect(await hurried(walk)).toEqual(['c', 'b', 'a'])
    expect(attempts).toHaveLength(3)
  })
})

describe('between two attempts', () => {
  test.each(['while it waits', 'while it is under way'])(
    'a call that is aborted %s ends at once',
    async (when) => {
      const controller = new AbortController()
      const fate = when === 'while it waits' ? answered(503, '10') : abortedBeforeTheAnswer(controller)
      const { attempts, fetcher } = line(fate)
      jest.useFakeTimers()
      const call = createClient(url, { fetcher }).api.v1.todos.get({ fetch: { signal: controller.signal } })
      while (attempts.length === 0) await turns(1)
      await turns(20)
      controller.abort()
      expect((await call).error?.value.error_code as string).toBe('NO_ANSWER')
      expect({ attempts: attempts.length, timers: jest.getTimerCount() }).toEqual({ attempts: 1, timers: 0 })
    },
  )

  test('the body of the answer is cancelled', async () => {
    let cancelled = 0
    const refused = () =>
      new Response(new ReadableStream({ cancel: () => void cancelled++ }), { status: 503 })
    const { connect } = await user()
    await hurried(() => connect({ fetcher: line(refused, refused).fetcher }).api.v1.todos.get())
    expect(cancelled).toBe(2)
  })
})
