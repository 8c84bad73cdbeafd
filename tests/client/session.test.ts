import { afterAll, afterEach, beforeEach, describe, expect, jest, setSystemTime, test } from 'bun:test'
import fc from 'fast-check'
import { decodeJwt } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { type Client, type ClientOptions, createClient, type KeyValueStorage } from '../../src/client/index'
import { testApp } from '../support/app'
import { type MemoryStorage, memoryStorage } from '../support/memory-storage'
import { hurry, hurryUntil, turns, until } from '../support/time'

const env = { RATE_LIMIT_PER_MINUTE: '1000000', AUTH_RATE_LIMIT_PER_MINUTE: '1000000' }
const { app, settings, sql } = await testApp(env)
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
afterEach(() => {
  jest.useRealTimers()
  setSystemTime()
})

const url = String(app.server?.url)
const PASSWORD = 'correct horse battery staple'
const REFRESH = '/api/v1/auth/refresh'
const LOGOUT = '/api/v1/auth/logout'
const LOGIN = '/api/v1/auth/login'
const ME = '/api/v1/users/me'

interface Sent {
  path: string
  token: string | undefined
  body: unknown
}
type Intercept = (sent: Sent, deliver: () => Promise<Response>) => Promise<Response>

/** How many requests are on the way to the server or back. */
let underWay = 0
const isUnderWay = () => underWay > 0
const hurried = <T>(call: () => Promise<T>) => hurry(call, isUnderWay)

async function deliver(url: string, init: RequestInit): Promise<Response> {
  underWay++
  try {
    const response = await fetch(url, init)
    await response.clone().arrayBuffer()
    return response
  } finally {
    underWay--
  }
}

/** Remembers what was sent; `intercept` may withhold a request from the server, or its answer from the client. */
function recorder(intercept: Intercept = (_, deliver) => deliver()) {
  const sent: Sent[] = []
  const fetcher = (requested: string, init: RequestInit) => {
    const authorization = new Headers(init.headers).get('authorization') ?? undefined
    const { pathname: path } = new URL(requested)
    const request = { path, token: authorization?.replace('Bearer ', ''), body: init.body }
    sent.push(request)
    return intercept(request, () => deliver(requested, init))
  }
  return {
    sent,
    fetcher,
    /** All requests but those for tokens. */
    calls: () => sent.filter(({ path }) => !path.startsWith('/api/v1/auth/')),
    count: (wanted: string) => sent.filter(({ path }) => path === wanted).length,
  }
}

/** A storage behind promises, as IndexedDB is. */
function slow({ getItem, setItem, removeItem }: MemoryStorage, milliseconds = 1): KeyValueStorage {
  const after =
    <Args extends unknown[], Result>(work: (...args: Args) => Result) =>
    async (...args: Args) => {
      await Bun.sleep(milliseconds)
      return work(...args)
    }
  return { getItem: after(getItem), setItem: after(setItem), removeItem: after(removeItem) }
}

const newEmail = () => `${crypto.randomUUID()}@example.com`

/** Signs a new user up in a page. */
async function signedUp({ intercept, ...options }: ClientOptions & { intercept?: Intercept } = {}) {
  const storage = memoryStorage()
  const recorded = recorder(intercept)
  const client = createClient(url, { storage, fetcher: recorded.fetcher, ...options })
  const account = { email: newEmail(), password: PASSWORD }
  const { data, error } = await client.signUp(account)
  if (error) throw error
  return { client, storage, account, user: data.user, ...recorded }
}

/** A page that is opened in a browser that has this storage. */
function open(storage: KeyValueStorage, intercept?: Intercept) {
  const recorded = recorder(intercept)
  return { client: createClient(url, { storage, fetcher: recorded.fetcher }), ...recorded }
}

/** The same, after the page has read the storage. */
async function opened(storage: KeyValueStorage, intercept?: Intercept) {
  const page = open(storage, intercept)
  expect(await whoIs(page.client)).toEqual(expect.any(String))
  return page
}

/** The id of the signed-in user, or the error code. */
async function whoIs({ api }: Client): Promise<string> {
  const { data, error } = await api.v1.users.me.get()
  return data?.id ?? String(error?.value.error_code)
}

/** Makes the access token expire before the client expects it. */
async function expire(storage: MemoryStorage): Promise<void> {
  const { user, access } = storage.tokens()
  const sessionId = String(decodeJwt(access)['sid'])
  storage.change({ access: await signAccessToken(user, { ...settings, jwtExpireMinutes: -1 }, sessionId) })
}

/** Makes the access token expire when the client expects it, as after a night. */
async function sleepOver(storage: MemoryStorage): Promise<void> {
  await expire(storage)
  storage.change({ renewAt: Date.now() - 1 })
}

/** Moves the clock of client and server, but not the database's. */
function minutesLater(minutes: number): void {
  setSystemTime(Date.now() + minutes * 60_000)
}

/** Makes used refresh tokens too old for another try. */
async function pastTheGrace(user: string): Promise<void> {
  await sql<{ id: string }[]>`
    update sessions set rotated_at = rotated_at - interval '11 seconds' where user_id = ${user} returning id`
}

async function sessionsOf(user: string): Promise<number> {
  return (await sql<{ id: string }[]>`select id from sessions where user_id = ${user}`).length
}

/** Holds answers of `refresh` back. */
function gate() {
  const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  return {
    reached,
    pass,
    async intercept({ path }: Sent, deliver: () => Promise<Response>) {
      const response = await deliver()
      if (path !== REFRESH) return response
      reach()
      await passed
      return response
    },
  }
}

describe('signing up', () => {
  test('answers as `register` does', async () => {
    const account = { email: newEmail(), password: PASSWORD, name: 'Ann' }
    const { data, error, status } = await createClient(url).signUp(account)
    expect({ error, status }).toEqual({ error: null, status: 201 })
    expect(data?.user).toMatchObject({ email: account.email, name: 'Ann', id: expect.any(String) })
  })

  test('signs in', async () => {
    const { client, user } = await signedUp()
    expect(await whoIs(client)).toBe(user.id)
  })

  test.each([
    ['an address that is taken', 409, 'EMAIL_TAKEN', (taken: string) => ({ email: taken.toUpperCase() })],
    ['no address', 422, 'VALIDATION_ERROR', () => ({ email: 'nobody' })],
    ['a password too short', 422, 'VALIDATION_ERROR', () => ({ password: 'short' })],
  ])('with %s answers %d %s, and signs nobody in', async (_, status, error_code, wrong) => {
    const { account } = await signedUp()
    const client = createClient(url)
    const { data, error } = await client.signUp({
      email: newEmail(),
      password: PASSWORD,
      ...wrong(account.email),
    })
    expect(data).toBeNull()
    expect(error?.value).toMatchObject({ status, error_code })
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
  })
})

describe('signing in', () => {
  test('answers as `login` does', async () => {
    const { account, user } = await signedUp()
    const { data, error, status } = await createClient(url).signIn(account)
    expect({ error, status }).toEqual({ error: null, status: 200 })
    expect(data).toMatchObject({ token_type: 'bearer', user })
  })

  test('adds the token to later calls, but not to calls for tokens', async () => {
    const { account } = await signedUp()
    const { client, sent } = open(memoryStorage())
    const { data } = await client.signIn(account)
    await client.api.v1.todos.post({ title: 'Buy milk' })
    await client.api({ user_id: 'me' }).tasks.get()
    await client.signIn(account)
    const tokens = sent.map(({ token }) => token)
    expect(tokens).toEqual([undefined, data?.access_token, data?.access_token, undefined])
  })

  test.each([
    ['a wrong password', 401, 'INVALID_CREDENTIALS', { password: 'wrong' }],
    ['an address without an account', 401, 'INVALID_CREDENTIALS', { email: 'nobody@example.com' }],
    ['no address', 422, 'VALIDATION_ERROR', { email: '' }],
  ])('with %s answers %d %s, and the earlier user stays signed in', async (_, status, error_code, wrong) => {
    const { client, account, user } = await signedUp()
    const { data, error } = await client.signIn({ ...account, ...wrong })
    expect(data).toBeNull()
    expect(error?.value).toMatchObject({ status, error_code })
    expect(await whoIs(client)).toBe(user.id)
  })

  test('replaces the earlier user', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    await ann.client.signIn(bob.account)
    expect(await whoIs(ann.client)).toBe(bob.user.id)
    expect(ann.storage.tokens().user).toBe(bob.user.id)
  })

  test('without a server is a 503, and the earlier user stays signed in', async () => {
    const { client, account, user } = await signedUp({
      intercept: ({ path }, deliver) => (path === LOGIN ? Promise.reject(new Error('gone')) : deliver()),
    })
    expect((await client.signIn(account)).error?.value).toMatchObject({
      status: 503,
      error_code: 'NO_ANSWER',
    })
    expect(await whoIs(client)).toBe(user.id)
  })

  test("with a network's own page for an answer signs nobody in", async () => {
    const { account } = await signedUp()
    const { client } = open(memoryStorage(), async ({ path }, deliver) =>
      path === LOGIN ? hotel() : deliver(),
    )
    await client.signIn(account)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
  })

  test('wins over tokens that are still being read from the storage', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    const read = Promise.withResolvers<void>()
    const getItem = async (key: string) => {
      const text = ann.storage.getItem(key)
      await read.promise
      return text
    }
    const { client } = open({ ...ann.storage, getItem }, async (_, deliver) => {
      const response = await deliver()
      setTimeout(read.resolve, 50)
      return response
    })
    const [seen] = await Promise.all([whoIs(client), client.signIn(bob.account)])
    expect(seen).toBe(ann.user.id)
    expect(await whoIs(client)).toBe(bob.user.id)
    expect(ann.storage.tokens().user).toBe(bob.user.id)
  })
})

/** What a hotel's network answers until its user has signed in there. */
const hotel = () => new Response('<h1>Welcome</h1>', { headers: { 'content-type': 'text/html' } })
const notJson = () => new Response('<h1>', { headers: { 'content-type': 'application/json' } })

describe('signing out', () => {
  test('takes the token from later calls', async () => {
    const { client, calls } = await signedUp()
    await client.signOut()
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(calls().map(({ token }) => token)).toEqual([undefined])
  })

  test('ends the session on the server', async () => {
    const { client, storage, user } = await signedUp()
    const { refresh: refresh_token } = storage.tokens()
    await client.signOut()
    const { error } = await client.api.v1.auth.refresh.post({ refresh_token })
    expect(error?.value).toMatchObject({ status: 401, error_code: 'TOKEN_INVALID' })
    expect(await sessionsOf(user.id)).toBe(0)
  })

  test('empties the storage', async () => {
    const { client, storage } = await signedUp()
    await client.signOut()
    expect(storage.content.size).toBe(0)
  })

  test('ends the session also if the page has done nothing before', async () => {
    const { storage, user } = await signedUp()
    await open(storage).client.signOut()
    expect({ stored: storage.content.size, sessions: await sessionsOf(user.id) }).toEqual({
      stored: 0,
      sessions: 0,
    })
  })

  test.each([
    ['without a server', () => Promise.reject(new Error('gone'))],
    ['with a server that fails', async () => new Response('', { status: 500 })],
    ['with an answer that breaks off', async () => brokenOff()],
    ['with an answer that claims to be JSON and is not', async () => notJson()],
  ])('%s forgets the tokens all the same', async (_, answer) => {
    const { client, storage } = await signedUp({
      intercept: ({ path }, deliver) => (path === LOGOUT ? answer() : deliver()),
    })
    await client.signOut()
    expect(storage.content.size).toBe(0)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
  })

  test('when nobody is signed in does nothing', async () => {
    const { client, sent } = open(memoryStorage())
    await client.signOut()
    expect(sent).toEqual([])
  })

  test('twice asks the server once', async () => {
    const { client, count } = await signedUp()
    await Promise.all([client.signOut(), client.signOut()])
    await client.signOut()
    expect(count(LOGOUT)).toBe(1)
  })

  test('does not take away the tokens of the user who signs in meanwhile', async () => {
    const storage = memoryStorage()
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    const slow = {
      ...storage,
      async removeItem(key: string) {
        await answered
        await Bun.sleep(20)
        storage.removeItem(key)
      },
    }
    const bob = { email: newEmail(), password: PASSWORD }
    await open(memoryStorage()).client.signUp(bob)
    const { client } = open(slow, async ({ path }, deliver) => {
      const response = await deliver()
      if (path.endsWith('/login')) answer()
      return response
    })
    await client.signUp({ email: newEmail(), password: PASSWORD })
    const [, signedIn] = await Promise.all([client.signOut(), client.signIn(bob)])
    expect(storage.tokens().user).toBe(String(signedIn.data?.user.id))
  })

  test('removes tokens that are just being written', async () => {
    const storage = memoryStorage()
    const { promise: held, resolve: pass } = Promise.withResolvers<void>()
    const slow = {
      ...storage,
      async setItem(key: string, value: string) {
        await held
        storage.setItem(key, value)
      },
    }
    const { client } = open(slow)
    const signingUp = client.signUp({ email: newEmail(), password: PASSWORD })
    await until(() => client.session.status === 'signed-in')
    const signingOut = client.signOut()
    await turns()
    pass()
    await Promise.all([signingUp, signingOut])
    expect([client.session.status, storage.content.size]).toEqual(['signed-out', 0])
  })

  test('ends the session on the server also if the storage fails, and removes the tokens the next time', async () => {
    const storage = memoryStorage()
    let isStuck = false
    const failing = {
      ...storage,
      removeItem(key: string) {
        if (isStuck) throw new Error('blocked')
        storage.removeItem(key)
      },
    }
    const { client, count } = open(failing)
    await client.signUp({ email: `${crypto.randomUUID()}@example.com`, password: PASSWORD })
    isStuck = true
    await expect(client.signOut()).rejects.toThrow('blocked')
    expect([count(LOGOUT), client.session.status, storage.content.size]).toEqual([1, 'signed-out', 1])
    isStuck = false
    await client.signOut()
    expect(storage.content.size).toBe(0)
  })

  test('is no obstacle to signing in again', async () => {
    const { client, account, user } = await signedUp()
    await client.signOut()
    await client.signIn(account)
    expect(await whoIs(client)).toBe(user.id)
  })
})

/** An answer that breaks off in the middle. */
function brokenOff(): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"access_token":"'))
      controller.error(new Error('connection reset'))
    },
  })
  return new Response(body, { headers: { 'content-type': 'application/json' } })
}

describe('a token of another issuer', () => {
  test("wins over the session's", async () => {
    const token = await signAccessToken('somebody else', settings)
    for (const given of [token, async () => token]) {
      const { client } = await signedUp({ token: given })
      expect(await whoIs(client)).toBe('somebody else')
    }
  })

  test.each([null, ''])('that is %p sends no token', async (token) => {
    for (const given of [token, async () => token]) {
      const { client } = await signedUp({ token: given })
      expect(await whoIs(client)).toBe('TOKEN_MISSING')
    }
  })

  test("that has expired is not replaced by the session's", async () => {
    const token = await signAccessToken('somebody else', { ...settings, jwtExpireMinutes: -1 })
    const { client, count, calls } = await signedUp({ token })
    expect(await whoIs(client)).toBe('TOKEN_EXPIRED')
    expect({ refreshes: count(REFRESH), calls: calls().length }).toEqual({ refreshes: 0, calls: 1 })
  })

  test('that has expired is not replaced even if the session had it first', async () => {
    let token: string | undefined
    const { fetcher, count } = recorder()
    const client = createClient(url, { token: () => token, fetcher })
    const { data } = await client.signUp({ email: newEmail(), password: PASSWORD })
    token = data?.access_token
    minutesLater(31)
    expect(await whoIs(client)).toBe('TOKEN_EXPIRED')
    expect(count(REFRESH)).toBe(0)
  })

  test("in a request's own header wins, and is not replaced when it has expired", async () => {
    const { client, count, calls, user } = await signedUp()
    const expired = await signAccessToken(user.id, { ...settings, jwtExpireMinutes: -1 })
    const headers = { authorization: `Bearer ${expired}` }
    const { error } = await client.api.v1.todos.get({ headers })
    expect(error?.value).toMatchObject({ error_code: 'TOKEN_EXPIRED' })
    expect({ refreshes: count(REFRESH), sent: calls().map(({ token }) => token) }).toEqual({
      refreshes: 0,
      sent: [expired],
    })
  })
})

describe('an access token near its end', () => {
  test('is renewed also if the storage cannot be written', async () => {
    const full = {
      ...memoryStorage(),
      setItem() {
        throw new Error('full')
      },
    }
    const { client, count } = open(full)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: PASSWORD }
    await expect(client.signUp(account)).rejects.toThrow('full')
    expect(client.session.status).toBe('signed-in')
    setSystemTime(Date.now() + 29 * 60_000 + 40_000)
    // the new tokens cannot be written either
    await expect(client.api.v1.todos.get()).rejects.toThrow('full')
    expect([client.session.status, count(REFRESH)]).toEqual(['signed-in', 1])
    expect(await whoIs(client)).toBe(String(client.session.user?.id))
  })

  test('is renewed before the request, 30 seconds before it ends', async () => {
    const { client, storage, calls, count, user } = await signedUp()
    minutesLater(29.4)
    expect(await whoIs(client)).toBe(user.id)
    expect(count(REFRESH)).toBe(0)
    minutesLater(0.2)
    expect(await whoIs(client)).toBe(user.id)
    expect(count(REFRESH)).toBe(1)
    expect(calls().at(-1)?.token).toBe(storage.tokens().access)
  })

  test('that lives for a minute is renewed when a tenth of it is left', async () => {
    const short = await testApp({ JWT_EXPIRE_MINUTES: '1' })
    short.app.listen({ hostname: '127.0.0.1', port: 0 })
    try {
      const { fetcher, count } = recorder()
      const client = createClient(String(short.app.server?.url), { fetcher })
      await client.signUp({ email: newEmail(), password: PASSWORD })
      setSystemTime(Date.now() + 53_000)
      await whoIs(client)
      expect(count(REFRESH)).toBe(0)
      setSystemTime(Date.now() + 2000)
      await whoIs(client)
      expect(count(REFRESH)).toBe(1)
    } finally {
      await short.app.stop(true)
    }
  })

  test('is renewed once for fifty requests', async () => {
    const { client, storage, calls, count, user } = await signedUp()
    minutesLater(31)
    const seen = await Promise.all(Array.from({ length: 50 }, () => whoIs(client)))
    expect(new Set(seen)).toEqual(new Set([user.id]))
    expect(count(REFRESH)).toBe(1)
    expect(new Set(calls().map(({ token }) => token))).toEqual(new Set([storage.tokens().access]))
  })

  test('is renewed again and again', async () => {
    const { client, count, user } = await signedUp()
    for (let round = 1; round <= 5; round++) {
      minutesLater(31)
      expect(await whoIs(client)).toBe(user.id)
      expect(count(REFRESH)).toBe(round)
      await pastTheGrace(user.id)
    }
  })

  test('is used as long as it cannot be renewed', async () => {
    const { client, user } = await signedUp({ intercept: failsRefresh() })
    minutesLater(29.75)
    expect(await whoIs(client)).toBe(user.id)
  })
})

/** A server that answers all requests but `refresh`. */
function failsRefresh(): Intercept {
  return ({ path }, deliver) => (path === REFRESH ? Promise.reject(new Error('gone')) : deliver())
}

describe('an access token that the server calls expired', () => {
  test('is renewed, and the request sent again with its body', async () => {
    const { storage, user } = await signedUp()
    await expire(storage)
    const { access: expired } = storage.tokens()
    const { client, calls, count } = open(storage)
    const { data } = await client.api.v1.todos.post({ title: 'Buy milk' })
    expect(data).toMatchObject({ title: 'Buy milk', user_id: user.id })
    expect(calls().map(({ token, body }) => [token, body])).toEqual([
      [expired, '{"title":"Buy milk"}'],
      [storage.tokens().access, '{"title":"Buy milk"}'],
    ])
    expect(count(REFRESH)).toBe(1)
  })

  test('is renewed once for fifty requests, each of which arrives once', async () => {
    const { storage } = await signedUp()
    await expire(storage)
    const { client, count } = open(storage)
    const titles = Array.from({ length: 50 }, (_, n) => `task ${n}`)
    const made = await Promise.all(titles.map((title) => client.api.v1.todos.post({ title })))
    expect(made.map(({ data }) => data?.title)).toEqual(titles)
    expect(count(REFRESH)).toBe(1)
    expect((await client.api.v1.todos.get({ query: { limit: 200 } })).data).toHaveLength(50)
  })

  test('is not renewed again for a request that is refused after the renewal', async () => {
    const { storage, user } = await signedUp()
    await expire(storage)
    const late = Promise.withResolvers<void>()
    const { client, calls, count } = open(storage, async (_, deliver) => {
      const response = await deliver()
      if (calls().length === 1) await late.promise
      return response
    })
    const first = whoIs(client)
    await until(() => calls().length > 0)
    expect(await whoIs(client)).toBe(user.id)
    late.resolve()
    expect(await first).toBe(user.id)
    expect(count(REFRESH)).toBe(1)
  })

  test('again after the renewal is the answer', async () => {
    const { storage } = await signedUp()
    const expired = () => Response.json({ error_code: 'TOKEN_EXPIRED' }, { status: 401 })
    const { client, calls, count } = open(storage, async ({ path }, deliver) =>
      path === REFRESH ? deliver() : expired(),
    )
    expect(await whoIs(client)).toBe('TOKEN_EXPIRED')
    expect({ refreshes: count(REFRESH), calls: calls().length }).toEqual({ refreshes: 1, calls: 2 })
  })

  test('is renewed, and so is one that it calls invalid', async () => {
    const { storage, user } = await signedUp()
    storage.change({ access: 'a.b.c' })
    const { client, count, calls } = open(storage)
    expect(await whoIs(client)).toBe(user.id)
    expect(count(REFRESH)).toBe(1)
    expect(calls().map(({ token }) => token)).toEqual(['a.b.c', storage.tokens().access])
  })

  test('is renewed, but not after any other 401', async () => {
    const { storage } = await signedUp()
    const missing = () => Response.json({ error_code: 'TOKEN_MISSING' }, { status: 401 })
    const { client, count } = open(storage, async () => missing())
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(count(REFRESH)).toBe(0)
  })

  test.each(['TOKEN_EXPIRED', 'TOKEN_INVALID'])(
    'is not renewed again for a minute, if the server answers %s to the new one too',
    async (error_code) => {
      const { storage } = await signedUp()
      const refused = () => Response.json({ error_code }, { status: 401 })
      const { client, count } = open(storage, async ({ path }, deliver) =>
        path === REFRESH ? deliver() : refused(),
      )
      for (let n = 0; n < 20; n++) expect(await whoIs(client)).toBe(error_code)
      expect(count(REFRESH)).toBe(1)
      minutesLater(1)
      expect(await whoIs(client)).toBe(error_code)
      expect(count(REFRESH)).toBe(2)
    },
  )

  test("is renewed, but not after a proxy's own 401", async () => {
    const { storage } = await signedUp()
    const { client, count } = open(storage, async () => new Response('Sign in first', { status: 401 }))
    expect((await client.api.v1.users.me.get()).status).toBe(401)
    expect(count(REFRESH)).toBe(0)
  })

  test.each([
    ['', async () => ''],
    [' and been renewed', whoIs],
  ])("after its user has signed out%s is not replaced by the next user's", async (_, meanwhile) => {
    const ann = await signedUp()
    const bob = await signedUp()
    await expire(ann.storage)
    const late = Promise.withResolvers<void>()
    const page = open(ann.storage, async ({ path }, deliver) => {
      const response = await deliver()
      if (path === '/api/v1/todos') await late.promise
      return response
    })
    const post = page.client.api.v1.todos.post({ title: "Ann's" })
    await until(() => page.calls().length > 0)
    await meanwhile(page.client)
    await page.client.signIn(bob.account)
    late.resolve()
    expect((await post).error?.value).toMatchObject({ error_code: 'TOKEN_EXPIRED' })
    expect((await bob.client.api.v1.todos.get()).data).toEqual([])
  })
})

const NO_REFRESH_ANSWERS: [string, () => Promise<Response>][] = [
  ['no answer', () => Promise.reject(new Error('gone'))],
  ['an answer that breaks off', async () => brokenOff()],
  ["a proxy's 502", async () => new Response('<h1>Bad Gateway</h1>', { status: 502 })],
  ['a 503', async () => Response.json({ error_code: 'DATABASE_UNAVAILABLE' }, { status: 503 })],
  ['a 429', async () => Response.json({ error_code: 'RATE_LIMITED' }, { status: 429 })],
  ["a proxy's own 401", async () => new Response('Sign in first', { status: 401 })],
  ['null', async () => Response.json(null, { status: 500 })],
  ["a network's own page, with 200", async () => hotel()],
  ["a network's own JSON, with 200", async () => Response.json({ ok: true })],
  ['an answer that claims to be JSON and is not', async () => notJson()],
]

describe('a refresh', () => {
  test.each(NO_REFRESH_ANSWERS)(
    'with %s makes the call a 503, and the user stays signed in',
    async (_, answer) => {
      const { storage, user } = await signedUp()
      await sleepOver(storage)
      const before = storage.tokens()
      let isDown = true
      const { client, count } = open(storage, ({ path }, deliver) =>
        isDown && path === REFRESH ? answer() : deliver(),
      )
      const { data, error } = await hurried(() => client.api.v1.todos.get())
      expect(data).toBeNull()
      expect(error?.value).toMatchObject({ status: 503, error_code: 'NO_ANSWER' })
      expect(count(REFRESH)).toBeGreaterThan(1)
      expect(storage.tokens()).toEqual(before)
      isDown = false
      expect(await hurried(() => whoIs(client))).toBe(user.id)
    },
  )

  test('while the whole server is down does the same', async () => {
    const { storage, user } = await signedUp()
    await sleepOver(storage)
    let isDown = true
    const { client } = open(storage, (_, deliver) => (isDown ? Promise.reject(new Error('gone')) : deliver()))
    expect(await hurried(() => whoIs(client))).toBe('NO_ANSWER')
    isDown = false
    expect(await hurried(() => whoIs(client))).toBe(user.id)
  })

  test.each([
    ['lost', () => Promise.reject(new Error('gone'))],
    ['broken off', async () => brokenOff()],
  ])('whose answer is %s is tried again, and the session goes on', async (_, lose) => {
    const { storage, user } = await signedUp()
    await sleepOver(storage)
    let lost = 0
    const { client, sent } = open(storage, async ({ path }, deliver) => {
      const response = await deliver()
      return path === REFRESH && lost++ === 0 ? lose() : response
    })
    expect(await hurried(() => whoIs(client))).toBe(user.id)
    expect(sent.map(({ path }) => path)).toEqual([REFRESH, REFRESH, ME])
    await pastTheGrace(user.id)
    await sleepOver(storage)
    expect(await hurried(() => whoIs(open(storage).client))).toBe(user.id)
  })

  test('that never gets an answer is given up, and tried again', async () => {
    const { storage, user } = await signedUp()
    await sleepOver(storage)
    const recorded = recorder()
    let isFirst = true
    const fetcher = (requested: string, init: RequestInit) => {
      if (!requested.endsWith(REFRESH) || !isFirst) return recorded.fetcher(requested, init)
      isFirst = false
      return new Promise<Response>((_, reject) =>
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason)),
      )
    }
    const client = createClient(url, { storage, fetcher })
    expect(await hurried(() => whoIs(client))).toBe(user.id)
    expect(recorded.count(REFRESH)).toBe(1)
  })

  test('may take longer at the second try', async () => {
    const { storage, user } = await signedUp()
    await sleepOver(storage)
    const recorded = recorder()
    const fetcher = async (requested: string, init: RequestInit) => {
      const response = await recorded.fetcher(requested, init)
      if (!requested.endsWith(REFRESH)) return response
      // longer than the first try may take
      await new Promise((done) => setTimeout(done, 4500))
      init.signal?.throwIfAborted()
      return response
    }
    const client = createClient(url, { storage, fetcher })
    expect(await hurried(() => whoIs(client))).toBe(user.id)
    expect(recorded.count(REFRESH)).toBe(2)
  })
})

describe('a session that was ended elsewhere', () => {
  test.each<[string, (client: Client) => Promise<{ error: unknown }>]>([
    ['by signing out everywhere else', ({ api }) => api.v1.users.me.sessions.delete()],
    [
      'by a new password',
      ({ api }) =>
        api.v1.users.me.password.post({ current_password: PASSWORD, new_password: `${PASSWORD}!` }),
    ],
    ['with its account', ({ api }) => api.v1.users.me.delete({ password: PASSWORD })],
  ])('%s is signed out at the next renewal', async (_, end) => {
    const { client, storage, account, calls, count } = await signedUp()
    const elsewhere = createClient(url)
    await elsewhere.signIn(account)
    expect((await end(elsewhere)).error).toBeNull()
    minutesLater(31)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(calls().map(({ token }) => token)).toEqual([undefined, undefined])
    expect({ stored: storage.content.size, refreshes: count(REFRESH) }).toEqual({ stored: 0, refreshes: 1 })
  })

  test('on its own is signed out too, and the others go on', async () => {
    const { client, account, user } = await signedUp()
    const elsewhere = await signedUp()
    await elsewhere.client.signIn(account)
    const { data = [] } = await elsewhere.client.api.v1.users.me.sessions.get()
    const other = data?.find(({ current }) => !current)
    await elsewhere.client.api.v1.users.me.sessions({ id: String(other?.id) }).delete()
    minutesLater(31)
    expect([await whoIs(client), await whoIs(elsewhere.client)]).toEqual(['TOKEN_MISSING', user.id])
  })

  test('answers with the 401 if the server calls its token expired', async () => {
    const { storage, account } = await signedUp()
    await expire(storage)
    const elsewhere = createClient(url)
    await elsewhere.signIn(account)
    await elsewhere.api.v1.users.me.sessions.delete()
    const { client } = open(storage)
    expect([await whoIs(client), await whoIs(client)]).toEqual(['TOKEN_EXPIRED', 'TOKEN_MISSING'])
    expect(storage.content.size).toBe(0)
  })

  test('is no obstacle to signing in again', async () => {
    const { client, account, user } = await signedUp()
    await sql<{ id: string }[]>`delete from sessions where user_id = ${user.id} returning id`
    minutesLater(31)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    await client.signIn(account)
    expect(await whoIs(client)).toBe(user.id)
  })
})

describe('the storage', () => {
  test.each([
    ['like `localStorage`', (storage: MemoryStorage) => storage],
    ['behind promises', (storage: MemoryStorage) => slow(storage)],
  ])('%s keeps a user signed in, through renewals, until they sign out', async (_, kind) => {
    const { storage, account, user } = await signedUp()
    const page = () => open(kind(storage)).client
    await page().signOut()
    await page().signIn(account)
    expect(await whoIs(page())).toBe(user.id)
    minutesLater(31)
    expect(await whoIs(page())).toBe(user.id)
    await pastTheGrace(user.id)
    minutesLater(31)
    expect(await whoIs(page())).toBe(user.id)
    await page().signOut()
    expect(await whoIs(page())).toBe('TOKEN_MISSING')
  })

  test('behind promises serves fifty requests at once', async () => {
    const { storage, user } = await signedUp()
    await expire(storage)
    const { client, count } = open(slow(storage, 20))
    const seen = await Promise.all(Array.from({ length: 50 }, () => whoIs(client)))
    expect(new Set(seen)).toEqual(new Set([user.id]))
    expect(count(REFRESH)).toBe(1)
  })

  test('that is slow to store new tokens does not make a request fail with 401', async () => {
    const { storage, user } = await signedUp()
    await expire(storage)
    const kept = Promise.withResolvers<void>()
    const keeping = Promise.withResolvers<void>()
    const setItem = async (key: string, value: string) => {
      if (key === `taskwell ${url}`) {
        keeping.resolve()
        await kept.promise
      }
      storage.setItem(key, value)
    }
    let calls = 0
    const { client } = open({ ...storage, setItem }, async ({ path }, deliver) => {
      const isLate = path !== REFRESH && ++calls === 2
      const response = await deliver()
      if (isLate) await keeping.promise
      return response
    })
    const [first, late] = [whoIs(client), whoIs(client)]
    expect(await late).toBe(user.id)
    kept.resolve()
    expect(await first).toBe(user.id)
  })

  test.each([
    '',
    'rubbish',
    'null',
    '[]',
    '42',
    '{}',
    '{"user":"ann","access":"a.b.c","refresh":"x"}',
    '{"user":null,"access":"a.b.c","refresh":"x","renewAt":1}',
    '{"user":"ann","access":"a.b.c","refresh":"x","renewAt":"soon"}',
  ])('with %p in it counts as empty', async (rubbish) => {
    const { storage, account, user } = await signedUp()
    for (const key of storage.content.keys()) storage.content.set(key, rubbish)
    const { client, sent } = open(storage)
    await client.signOut()
    expect(sent).toEqual([])
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    await client.signIn(account)
    expect(await whoIs(client)).toBe(user.id)
    expect(storage.tokens().user).toBe(user.id)
  })

  test('holds the tokens of two servers apart', async () => {
    const { storage, user } = await signedUp()
    const other = createClient(url.replace('127.0.0.1', 'localhost'), { storage })
    expect(await whoIs(other)).toBe('TOKEN_MISSING')
    await other.signUp({ email: newEmail(), password: PASSWORD })
    await other.signOut()
    expect(await whoIs(open(storage).client)).toBe(user.id)
  })

  test('holds one key, with the tokens and nothing else', async () => {
    const { client, storage, account, user } = await signedUp()
    storage.content.set('theme', 'dark')
    await client.signIn(account)
    minutesLater(31)
    await whoIs(client)
    expect([...storage.content.keys()]).toEqual([`taskwell ${url}`, 'theme'])
    expect(storage.tokens() as object).toEqual({
      user: user.id,
      email: account.email,
      name: null,
      created_at: user.created_at,
      access: expect.any(String),
      refresh: expect.any(String),
      renewAt: expect.any(Number),
    })
    expect([...storage.content.values()].join()).not.toContain(PASSWORD)
    await client.signOut()
    expect([...storage.content]).toEqual([['theme', 'dark']])
  })

  test('left out keeps a user signed in as long as the page lives', async () => {
    const client = createClient(url)
    const { data } = await client.signUp({ email: newEmail(), password: PASSWORD })
    for (let round = 0; round < 3; round++) {
      expect(await whoIs(client)).toBe(String(data?.user.id))
      minutesLater(31)
      await pastTheGrace(String(data?.user.id))
    }
    expect(await whoIs(createClient(url))).toBe('TOKEN_MISSING')
  })

  test('that fails rejects the call, but not later ones', async () => {
    const { storage, user } = await signedUp()
    let isFirst = true
    const getItem = async (key: string) => {
      if (!isFirst) return storage.getItem(key)
      isFirst = false
      throw new Error('the disk is gone')
    }
    const { client, sent } = open({ ...storage, getItem })
    await expect(whoIs(client)).rejects.toThrow('the disk is gone')
    expect(sent).toEqual([])
    expect(await whoIs(client)).toBe(user.id)
  })
})

test.each([
  ['without Web Locks', () => ({ [Symbol.dispose]: () => {} })],
  ['with Web Locks', () => provideLocks()],
])('%s, a full storage rejects the call that renews, but not later ones', async (_, provide) => {
  using _locks = provide()
  const { storage, user } = await signedUp()
  await sleepOver(storage)
  const setItem = async () => {
    throw new Error('the storage is full')
  }
  const { client, count } = open({ ...storage, setItem })
  await expect(whoIs(client)).rejects.toThrow('the storage is full')
  expect(await whoIs(client)).toBe(user.id)
  expect(count(REFRESH)).toBe(1)
})

test('without Web Locks, a storage that cannot remove the lease does not reject the call', async () => {
  const { storage, user } = await signedUp()
  await sleepOver(storage)
  const removeItem = async () => {
    throw new Error('the disk is gone')
  }
  const { client, count } = open({ ...storage, removeItem })
  expect(await whoIs(client)).toBe(user.id)
  expect(count(REFRESH)).toBe(1)
})

/** An engine without `BroadcastChannel`, or tabs that have not heard each other yet. */
function withoutChannels(): Disposable {
  const channels = globalThis.BroadcastChannel
  Reflect.deleteProperty(globalThis, 'BroadcastChannel')
  return {
    [Symbol.dispose]: () => {
      globalThis.BroadcastChannel = channels
    },
  }
}

const WAYS = [
  ['that hear each other', () => ({ [Symbol.dispose]: () => {} })],
  ['that do not hear each other', withoutChannels],
] as const

describe.each(WAYS)('with two tabs %s', (_, provide) => {
  let provided: Disposable
  beforeEach(() => {
    provided = provide()
  })
  afterEach(() => provided[Symbol.dispose]())

  test('one takes the tokens that the other has renewed', async () => {
    const { storage, user } = await signedUp()
    const [one, other] = [await opened(storage), await opened(storage)]
    minutesLater(31)
    expect(await whoIs(one.client)).toBe(user.id)
    await pastTheGrace(user.id)
    expect(await whoIs(other.client)).toBe(user.id)
    expect([one.count(REFRESH), other.count(REFRESH)]).toEqual([1, 0])
    expect(other.calls().at(-1)?.token).toBe(storage.tokens().access)
  })

  test('one that has slept for long renews the tokens that the other has left', async () => {
    const { storage, user } = await signedUp()
    const [one, sleeper] = [await opened(storage), await opened(storage)]
    minutesLater(31)
    await whoIs(one.client)
    await pastTheGrace(user.id)
    minutesLater(24 * 60)
    expect(await whoIs(sleeper.client)).toBe(user.id)
    expect({ refreshes: sleeper.count(REFRESH), calls: sleeper.calls().length }).toEqual({
      refreshes: 1,
      calls: 2,
    })
    expect(sleeper.calls().at(-1)?.token).toBe(storage.tokens().access)
    await pastTheGrace(user.id)
    expect(await whoIs(one.client)).toBe(user.id)
    expect(one.count(REFRESH)).toBe(1)
  })

  test('one waits while the other renews', async () => {
    const { storage, user } = await signedUp()
    const { reached, pass, intercept } = gate()
    const [one, other] = [await opened(storage, intercept), await opened(storage)]
    minutesLater(31)
    const first = whoIs(one.client)
    await reached
    const second = whoIs(other.client)
    pass()
    expect(await Promise.all([first, second])).toEqual([user.id, user.id])
    expect([one.count(REFRESH), other.count(REFRESH)]).toEqual([1, 0])
    expect([...storage.content.keys()]).toEqual([`taskwell ${url}`])
  })

  test('one goes on soon after the other was closed while it renewed', async () => {
    const { storage, user } = await signedUp()
    const { reached, intercept } = gate()
    const dying = mortal(storage)
    // not `minutesLater`: this test needs a clock that goes on
    await sleepOver(storage)
    const [closed, other] = [open(dying, intercept), open(storage)]
    whoIs(closed.client).catch(() => {})
    await reached
    dying.close()
    // within the ten seconds in which the server accepts the token once more
    expect(await whoIs(other.client)).toBe(user.id)
    expect(other.count(REFRESH)).toBe(1)
  })

  test('with Web Locks, one of three renews for all', async () => {
    using _ = provideLocks()
    const { storage, user } = await signedUp()
    const { reached, pass, intercept } = gate()
    const tabs = [await opened(storage, intercept), await opened(storage, intercept)]
    tabs.push(await opened(storage, intercept))
    minutesLater(31)
    const seen = Promise.all(tabs.map(({ client }) => whoIs(client)))
    await reached
    pass()
    expect(await seen).toEqual([user.id, user.id, user.id])
    expect(tabs.reduce((sum, { count }) => sum + count(REFRESH), 0)).toBe(1)
    expect(tabs.map(({ calls }) => calls().at(-1)?.token)).toEqual(tabs.map(() => storage.tokens().access))
  })

  test('with Web Locks, one sees what the other has written, even if that appears after the lock is passed on', async () => {
    using _ = provideLocks()
    const { storage, user } = await signedUp()
    const setItem = (key: string, value: string) => void setTimeout(storage.setItem, 5, key, value)
    const tabs = [await opened({ ...storage, setItem }), await opened(storage)]
    minutesLater(31)
    expect(await Promise.all(tabs.map(({ client }) => whoIs(client)))).toEqual([user.id, user.id])
    expect(tabs.map(({ count }) => count(REFRESH))).toEqual([1, 0])
  })

  test('of two servers, neither waits for the other', async () => {
    using _ = provideLocks()
    const { storage } = await signedUp()
    const { reached, pass, intercept } = gate()
    const held = await opened(storage, intercept)
    const free = createClient(url.replace('127.0.0.1', 'localhost'), { storage })
    const { data } = await free.signUp({ email: newEmail(), password: PASSWORD })
    minutesLater(31)
    const waiting = whoIs(held.client)
    await reached
    expect(await whoIs(free)).toBe(String(data?.user.id))
    pass()
    await waiting
  })

  test('one does not take the tokens of another user who signs in in the other', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    const tab = await opened(ann.storage)
    await open(ann.storage).client.signIn(bob.account)
    minutesLater(31)
    expect([await whoIs(tab.client), await whoIs(tab.client)]).toEqual(['TOKEN_MISSING', 'TOKEN_MISSING'])
    expect(tab.count(REFRESH)).toBe(0)
    expect(ann.storage.tokens().user).toBe(bob.user.id)
  })

  test('signing out in one does not sign out another user in the other', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    const [tab, other] = [await opened(ann.storage), await opened(ann.storage)]
    await other.client.signIn(bob.account)
    await tab.client.signOut()
    expect({ ann: await sessionsOf(ann.user.id), bob: await sessionsOf(bob.user.id) }).toEqual({
      ann: 0,
      bob: 2,
    })
    minutesLater(31)
    expect(await whoIs(other.client)).toBe(bob.user.id)
  })
})

describe('with two tabs of which one has not heard what the other did', () => {
  let provided: Disposable
  beforeEach(() => {
    provided = withoutChannels()
  })
  afterEach(() => provided[Symbol.dispose]())

  test('one takes them also after the server has called its own token expired', async () => {
    const { storage, user } = await signedUp()
    await expire(storage)
    const { access: expired } = storage.tokens()
    const tab = open(storage)
    await tab.client.api.v1.todos.get({ headers: { authorization: '' } })
    const renewed = open(storage)
    expect(await whoIs(renewed.client)).toBe(user.id)
    await pastTheGrace(user.id)
    expect(await whoIs(tab.client)).toBe(user.id)
    expect(tab.count(REFRESH)).toBe(0)
    expect(tab.calls().map(({ token }) => token)).toEqual(['', expired, storage.tokens().access])
  })

  test('signing out where nobody is signed in does not sign out the user in the other', async () => {
    const storage = memoryStorage()
    const empty = open(storage)
    expect(await whoIs(empty.client)).toBe('TOKEN_MISSING')
    const { account, user } = await signedUp()
    await open(storage).client.signIn(account)
    await empty.client.signOut()
    expect(await whoIs(open(storage).client)).toBe(user.id)
  })

  test('signing out in one signs out the other at its next renewal', async () => {
    const { storage } = await signedUp()
    const [one, other] = [await opened(storage), await opened(storage)]
    await one.client.signOut()
    minutesLater(31)
    expect(await whoIs(other.client)).toBe('TOKEN_MISSING')
    expect(other.count(REFRESH)).toBe(0)
  })
})

/** The storage of a tab that can be closed: after that it neither reads nor writes. */
function mortal(storage: MemoryStorage) {
  let isOpen = true
  const guard =
    <Args extends unknown[], Result>(work: (...args: Args) => Result) =>
    (...args: Args) =>
      isOpen ? work(...args) : new Promise<never>(() => {})
  return {
    getItem: guard(storage.getItem),
    setItem: guard(storage.setItem),
    removeItem: guard(storage.removeItem),
    close() {
      isOpen = false
    },
  }
}

/** In milliseconds: longer than a tab waits until other tabs can see its lease. */
const LAG = 200

/**
 * Storages of tabs that see only after a while what another tab has written, as Chromium's processes do. So two tabs
 * that begin at once both get the lease.
 */
function farApart({ content }: MemoryStorage, count: number): KeyValueStorage[] {
  const views = Array.from({ length: count }, () => new Map(content))
  const show = (view: Map<string, string>, key: string) => {
    const text = content.get(key)
    if (text === undefined) view.delete(key)
    else view.set(key, text)
  }
  return views.map((own) => {
    const changed = (key: string) => {
      for (const view of views) view === own ? show(view, key) : setTimeout(show, LAG, view, key)
    }
    return {
      getItem: (key) => own.get(key) ?? null,
      setItem(key, value) {
        content.set(key, value)
        changed(key)
      },
      removeItem(key) {
        content.delete(key)
        changed(key)
      },
    }
  })
}

interface HeldAnswer {
  status: number
  pass: () => void
}

/** Tabs that wake at once and all send the same refresh token, before any of them sees that another one does. */
async function wakingAtOnce(count: number, before = async (_: string) => {}) {
  const { storage, user } = await signedUp()
  const held: HeldAnswer[] = []
  const intercept: Intercept = async ({ path }, deliver) => {
    const response = await deliver()
    if (path === REFRESH) {
      await new Promise<void>((pass) => held.push({ status: response.status, pass }))
    }
    return response
  }
  await sleepOver(storage)
  const tabs = farApart(storage, count).map((each) => open(each, intercept))
  await before(user.id)
  jest.useFakeTimers()
  const seen = Promise.all(tabs.map(({ client }) => whoIs(client)))
  await hurryUntil(() => held.length === count, isUnderWay)
  const withStatus = (status: number) => held.filter((answer) => answer.status === status)
  return { storage, user, tabs, seen, held, granted: withStatus(200), refused: withStatus(401) }
}

/** Lets so many milliseconds pass at once. */
async function pass(milliseconds: number): Promise<void> {
  let isOver = false
  setTimeout(() => {
    isOver = true
  }, milliseconds)
  await hurryUntil(() => isOver, isUnderWay)
}

const leaseIn = ({ content }: MemoryStorage) => JSON.parse(content.get(`taskwell ${url} lease`) ?? '{}')

/** All are signed in, have one storage, and stay so. */
async function expectAllSignedIn({ storage, user, tabs, seen }: Awaited<ReturnType<typeof wakingAtOnce>>) {
  expect(await hurried(() => seen)).toEqual(tabs.map(() => user.id))
  // one after the other: the user must be signed in after each of them
  for (const { client } of [...tabs, ...tabs]) {
    expect(storage.tokens().user).toBe(user.id)
    expect(await hurried(() => whoIs(client))).toBe(user.id)
  }
}

describe('with many tabs that send the same token at once, without Web Locks', () => {
  const ORDERS: [string, (granted: HeldAnswer[], refused: HeldAnswer[]) => HeldAnswer[][]][] = [
    ['first', (granted, refused) => [refused, granted]],
    ['last', (granted, refused) => [granted, refused]],
    ['in between', (granted, refused) => [granted.slice(0, 1), refused, granted.slice(1)]],
  ]
  const cases = [3, 4, 6, 12].flatMap((count) => ORDERS.map(([name, order]) => [count, name, order] as const))

  test.each(cases)('all %d stay signed in, with the refused ones answered %s', async (count, _, order) => {
    const woken = await wakingAtOnce(count)
    expect({ granted: woken.granted.length, refused: woken.refused.length }).toEqual({
      granted: 2,
      refused: count - 2,
    })
    for (const answers of order(woken.granted, woken.refused)) {
      for (const { pass } of answers) pass()
      // until all tabs have seen what these have written
      await pass(LAG + 50)
    }
    await expectAllSignedIn(woken)
  })

  test('one that was refused waits as long as another one is renewing', async () => {
    const woken = await wakingAtOnce(3)
    for (const { pass } of woken.refused) pass()
    await hurryUntil(() => leaseIn(woken.storage).asks, isUnderWay)
    // longer than `isAlone` takes, and not as long as the others wait for their answer
    await pass(1700)
    expect(woken.storage.tokens().user).toBe(woken.user.id)
    for (const { pass } of woken.granted) pass()
    await expectAllSignedIn(woken)
  })

  test('all are signed out, with an empty storage, if their session has ended', async () => {
    const { storage, tabs, seen, held } = await wakingAtOnce(4, async (user) => {
      await sql<{ id: string }[]>`delete from sessions where user_id = ${user} returning id`
    })
    expect(held.map(({ status }) => status)).toEqual([401, 401, 401, 401])
    for (const { pass } of held) pass()
    expect(await hurried(() => seen)).toEqual(tabs.map(() => 'TOKEN_MISSING'))
    expect(storage.content.size).toBe(0)
    expect(tabs.map(({ count }) => count(REFRESH))).toEqual([1, 1, 1, 1])
  })

  test('all stay signed in, in whatever order and however late they are answered', async () => {
    const answers = fc.integer({ min: 3, max: 12 }).chain((count) =>
      fc.record({
        delays: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: count, maxLength: count }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(answers, async ({ delays }) => {
        const woken = await wakingAtOnce(delays.length)
        for (const [n, { pass }] of woken.held.entries()) setTimeout(pass, delays[n])
        await expectAllSignedIn(woken)
      }),
      { numRuns: 10 },
    )
  })
})

describe('with many tabs that see each other at once, without Web Locks', () => {
  test.each([3, 12])('one of %d renews for all', async (count) => {
    const { storage, user } = await signedUp()
    const tabs = await Promise.all(Array.from({ length: count }, () => opened(storage)))
    minutesLater(31)
    const seen = await Promise.all(tabs.map(({ client }) => whoIs(client)))
    expect(seen).toEqual(tabs.map(() => user.id))
    expect(tabs.reduce((sum, tab) => sum + tab.count(REFRESH), 0)).toBe(1)
    const { access } = storage.tokens()
    expect(tabs.map(({ calls }) => calls().at(-1)?.token)).toEqual(tabs.map(() => access))
  })

  test('one of three asks the server whether their session has ended, and all are signed out', async () => {
    const { storage, user } = await signedUp()
    const tabs = await Promise.all(Array.from({ length: 3 }, () => opened(storage)))
    await sql<{ id: string }[]>`delete from sessions where user_id = ${user.id} returning id`
    minutesLater(31)
    const seen = await Promise.all(tabs.map(({ client }) => whoIs(client)))
    expect(seen).toEqual(tabs.map(() => 'TOKEN_MISSING'))
    expect(tabs.reduce((sum, tab) => sum + tab.count(REFRESH), 0)).toBe(1)
    expect(storage.content.size).toBe(0)
  })

  test('all stay signed in also if the storage is behind promises', async () => {
    const { storage, user } = await signedUp()
    const tabs = await Promise.all(Array.from({ length: 6 }, (_, n) => opened(slow(storage, n * 20))))
    minutesLater(31)
    const seen = await Promise.all(tabs.map(({ client }) => whoIs(client)))
    expect(seen).toEqual(tabs.map(() => user.id))
    expect(storage.tokens().user).toBe(user.id)
  })
})

test('a frame that has Web Locks but may not use them renews with a lease', async () => {
  using _ = provideLocks(() => Promise.reject(new DOMException('not in this frame', 'SecurityError')))
  const { storage, user } = await signedUp()
  const [one, other] = [await opened(storage), await opened(storage)]
  minutesLater(31)
  expect(await Promise.all([whoIs(one.client), whoIs(other.client)])).toEqual([user.id, user.id])
  expect(one.count(REFRESH) + other.count(REFRESH)).toBe(1)
})

type LockRequest = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** Web Locks as far as these tests need them: all requests for one name get it, one after the other. */
function inTurn(): LockRequest {
  const turns = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const turn = (turns.get(name) ?? Promise.resolve()).then(work, work)
    turns.set(name, turn)
    return turn
  }
}

function provideLocks(request = inTurn()): Disposable {
  Object.defineProperty(navigator, 'locks', { value: { request }, configurable: true })
  return { [Symbol.dispose]: () => void Reflect.deleteProperty(navigator, 'locks') }
}

const PLACES = ['here', 'in another tab'].flatMap((where) =>
  WAYS.map(([way, provide]) => [where, way, provide] as const),
)
describe.each(PLACES)('during a renewal, %s, with tabs %s', (where, _, provide) => {
  let provided: Disposable
  beforeEach(() => {
    provided = provide()
  })
  afterEach(() => provided[Symbol.dispose]())

  /** A page that waits for new tokens, and the page in which something happens meanwhile. */
  async function renewing() {
    const { storage, user } = await signedUp()
    const { reached, pass, intercept } = gate()
    const page = await opened(storage, intercept)
    const tab = where === 'here' ? page : await opened(storage)
    minutesLater(31)
    const seen = whoIs(page.client)
    await reached
    return { storage, user, page, tab, seen, pass }
  }

  test('signing out wins', async () => {
    const { storage, user, page, tab, seen, pass } = await renewing()
    await tab.client.signOut()
    pass()
    expect(await seen).toBe('TOKEN_MISSING')
    expect(await whoIs(page.client)).toBe('TOKEN_MISSING')
    expect({ stored: storage.content.size, sessions: await sessionsOf(user.id) }).toEqual({
      stored: 0,
      sessions: 0,
    })
  })

  test('signing in wins', async () => {
    const bob = await signedUp()
    const { storage, page, tab, seen, pass } = await renewing()
    await tab.client.signIn(bob.account)
    pass()
    const expected = where === 'here' ? bob.user.id : 'TOKEN_MISSING'
    expect([await seen, await whoIs(page.client)]).toEqual([expected, expected])
    expect(await whoIs(tab.client)).toBe(bob.user.id)
    expect(storage.tokens().user).toBe(bob.user.id)
  })
})
