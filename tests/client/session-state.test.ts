/** What an app sees of the session, in one tab and in several. */
import { afterAll, afterEach, describe, expect, setSystemTime, test } from 'bun:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import { createGivenSession } from '../../src/client/given-token'
import {
  type Client,
  type ClientOptions,
  createClient,
  type KeyValueStorage,
  type SessionState,
} from '../../src/client/index'
import { createSession } from '../../src/client/session'
import { testApp } from '../support/app'
import { memoryStorage } from '../support/memory-storage'
import { until } from '../support/time'

const { app, settings, sql } = await testApp({
  RATE_LIMIT_PER_MINUTE: '1000000',
  AUTH_RATE_LIMIT_PER_MINUTE: '1000000',
})
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
afterEach(() => {
  setSystemTime()
})

const url = String(app.server?.url)
const PASSWORD = 'correct horse battery staple'
const LOADING = { status: 'loading', user: undefined, reason: undefined }
const signedOut = (reason?: string) => ({ status: 'signed-out', user: undefined, reason })
const newAccount = () => ({ email: `${crypto.randomUUID()}@example.com`, password: PASSWORD })

/** A page of a browser that has this storage, and what its app has been told. */
function open(storage: KeyValueStorage, options: ClientOptions = {}) {
  const client = createClient(url, { storage, ...options })
  const told: SessionState[] = []
  client.session.onChange((state) => told.push(state))
  return { client, session: client.session, told }
}

/** A page in which a user has just signed up. */
async function signedUp(options: ClientOptions = {}) {
  const storage = memoryStorage()
  const page = open(storage, options)
  const account = newAccount()
  const { data, error } = await page.client.signUp({ ...account, name: 'Ann' })
  if (error) throw error
  return { ...page, storage, account, user: data.user }
}

async function whoIs({ api }: Client): Promise<string> {
  const { data, error } = await api.v1.users.me.get()
  return data?.id ?? String(error?.value.error_code)
}

/** A storage behind promises. */
function behindPromises(storage: KeyValueStorage): KeyValueStorage {
  return {
    getItem: async (key) => storage.getItem(key),
    setItem: async (key, value) => storage.setItem(key, value),
    removeItem: async (key) => storage.removeItem(key),
  }
}

function minutesLater(minutes: number): void {
  setSystemTime(Date.now() + minutes * 60_000)
}

describe('the session', () => {
  test('without a storage is signed out at once', () => {
    const { session } = createClient(url)
    expect(session.current as object).toEqual(signedOut())
    expect([session.status, session.user, session.reason]).toEqual(['signed-out', undefined, undefined])
  })

  test('of a user who signs up is signed in, with the whole user', async () => {
    const { session, told, user } = await signedUp()
    expect(user).toMatchObject({ name: 'Ann', created_at: expect.any(String) })
    expect(session.current as object).toEqual({ status: 'signed-in', user, reason: undefined })
    expect([session.status, session.user, session.reason] as unknown[]).toEqual([
      'signed-in',
      user,
      undefined,
    ])
    expect(told).toEqual([session.current])
  })

  test('is known right after `createClient`, if the storage answers at once', async () => {
    const { storage, user } = await signedUp()
    expect(open(storage).session.current as object).toEqual({ status: 'signed-in', user, reason: undefined })
    expect(open(memoryStorage()).session.current as object).toEqual(signedOut())
  })

  test('is loading until a storage behind promises has answered', async () => {
    const { storage, user } = await signedUp()
    const { session, told } = open(behindPromises(storage))
    expect(session.current as object).toEqual(LOADING)
    expect((await session.ready) as object).toEqual({ status: 'signed-in', user, reason: undefined })
    expect(told).toEqual([session.current])
    const empty = open(behindPromises(memoryStorage())).session
    expect(empty.status).toBe('loading')
    expect((await empty.ready) as object).toEqual(signedOut())
  })

  test('is the same object until something changes, and then another one', async () => {
    const { client, session } = await signedUp()
    const before = session.current
    await whoIs(client)
    expect(session.current).toBe(before)
    await client.signOut()
    expect(session.current).not.toBe(before)
    expect(before.status).toBe('signed-in')
  })

  test('tells each listener of each change, until it is stopped', async () => {
    const { client, session, account, told } = await signedUp()
    const seen: string[] = []
    const listener = ({ status }: SessionState) => seen.push(status)
    const [stop] = [session.onChange(listener), session.onChange(listener)]
    await client.signOut()
    stop()
    await client.signIn(account)
    expect(seen).toEqual(['signed-out', 'signed-out', 'signed-in'])
    expect(told.map(({ status }) => status)).toEqual(['signed-in', 'signed-out', 'signed-in'])
  })

  test('goes from one user to the next', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    await ann.client.signIn(bob.account)
    expect(ann.told.map(({ user }) => user?.id)).toEqual([ann.user.id, bob.user.id])
  })

  test('ends with `signOut`, and the reason stays until the next user', async () => {
    const { client, session, account, told } = await signedUp()
    await client.signOut()
    await client.signOut()
    expect(session.current as object).toEqual(signedOut('signed-out'))
    expect(told).toHaveLength(2)
    await client.signIn(account)
    expect(session.reason).toBeUndefined()
  })

  test('has expired if the server refuses to renew', async () => {
    const { client, session, user } = await signedUp()
    await sql<{ id: string }[]>`delete from sessions where user_id = ${user.id} returning id`
    minutesLater(31)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(session.current as object).toEqual(signedOut('expired'))
  })

  test('has expired if the user is gone, at the next request', async () => {
    const { client, session, account } = await signedUp()
    const elsewhere = createClient(url)
    await elsewhere.signIn(account)
    await elsewhere.api.v1.users.me.delete({ password: PASSWORD })
    expect(await whoIs(client)).toBe('TOKEN_INVALID')
    expect(session.current as object).toEqual(signedOut('expired'))
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
  })

  test('goes on if the server cannot be asked', async () => {
    let isDown = false
    const fetcher = (requested: string, init: RequestInit) =>
      isDown ? Promise.reject(new Error('gone')) : fetch(requested, init)
    const { client, session } = await signedUp({ fetcher, retries: 0 })
    isDown = true
    expect(await whoIs(client)).toBe('NO_ANSWER')
    expect(session.status).toBe('signed-in')
  })

  test('follows a change of the user, also in the storage and in other tabs', async () => {
    const { client, session, storage, told, user } = await signedUp()
    const other = open(storage)
    await client.api.v1.users.me.patch({ name: 'Ann Smith' })
    const renamed = { ...user, name: 'Ann Smith' }
    expect(session.user).toEqual(renamed)
    expect(told.map((state) => state.user?.name)).toEqual(['Ann', 'Ann Smith'])
    await until(() => other.session.user?.name === 'Ann Smith')
    expect(open(storage).session.user).toEqual(renamed)
    expect(await whoIs(client)).toBe(user.id)
  })

  test("does not take another user's change for its own", async () => {
    const { client, session } = await signedUp()
    const bob = await signedUp()
    const headers = { authorization: `Bearer ${bob.storage.tokens().access}` }
    await client.api.v1.users.me.patch({ name: 'Bob' }, { headers })
    expect(session.user?.name).toBe('Ann')
    await client.api.v1.users.me.delete({ password: PASSWORD }, { headers })
    expect(session.status).toBe('signed-in')
  })

  test.each(['<h1>Welcome to the hotel</h1>', 'null', '{"id":"another"}'])(
    'does not follow %p in place of the user',
    async (text) => {
      const answer = { body: '' }
      const { client, session, user } = await signedUp({
        fetcher: async (requested, init) =>
          answer.body && requested.endsWith('/users/me')
            ? new Response(answer.body, { headers: { 'content-type': 'application/json' } })
            : fetch(requested, init),
      })
      answer.body = text
      await client.api.v1.users.me.get()
      expect([session.status, session.user?.id]).toEqual(['signed-in', user.id])
    },
  )

  test('ends when the user deletes the account', async () => {
    const { client, session, storage } = await signedUp()
    await client.api.v1.users.me.delete({ password: PASSWORD })
    expect(session.current as object).toEqual(signedOut('signed-out'))
    expect(storage.content.size).toBe(0)
  })

  test('that an older version has stored is read, and completed by `GET /users/me`', async () => {
    const { storage, user } = await signedUp()
    const { access, refresh, renewAt } = storage.tokens()
    storage.setItem(`taskwell ${url}`, JSON.stringify({ user: user.id, access, refresh, renewAt }))
    const { client, session } = open(storage)
    expect(session.user).toEqual({ id: user.id, email: null, name: null, created_at: null })
    await whoIs(client)
    expect(session.user).toEqual(user)
    await until(() => open(storage).session.user?.name === 'Ann')
  })

  test('rejects `ready` with what the storage throws, and is known the next time', async () => {
    const { storage, user } = await signedUp()
    let isFirst = true
    const getItem = (key: string) => {
      if (!isFirst) return storage.getItem(key)
      isFirst = false
      throw new Error('the disk is gone')
    }
    const { session } = open({ ...storage, getItem })
    expect(session.status).toBe('loading')
    await expect(session.ready).rejects.toThrow('the disk is gone')
    expect((await session.ready).user?.id).toBe(user.id)
  })

  test('tells what listens inside the client why it has ended, and `signOut` waits for it', async () => {
    const storage = memoryStorage()
    const session = createSession({ key: crypto.randomUUID(), refresh: async () => 'refused', storage })
    const answerOf = (id: string, expires_in = 600) => ({
      access_token: `access of ${id}`,
      refresh_token: `refresh of ${id}`,
      expires_in,
      user: { id, email: null, name: null, created_at: null },
    })
    const ends: string[] = []
    let cleared = 0
    session.onEnd((reason, userKey) => ends.push(`${reason} ${userKey}`))
    session.onEnd(async () => {
      await Bun.sleep(1)
      cleared++
    })
    await session.start(answerOf('ann'))
    expect(await session.userKey()).toBe('ann')
    await session.start(answerOf('ann'))
    expect(ends).toEqual([])
    await session.start(answerOf('bob'))
    expect({ ends, cleared }).toEqual({ ends: ['replaced ann'], cleared: 1 })
    await session.end()
    expect({ last: ends.at(-1), cleared }).toEqual({ last: 'signed-out bob', cleared: 2 })
    expect(await session.userKey()).toBeUndefined()
    await session.start(answerOf('cem', -1))
    await session.accessToken()
    expect(ends.at(-1)).toBe('expired cem')
    // a request does not wait for that
    await until(() => cleared === 3)
  })
})

describe('of two tabs', () => {
  test('the other is signed out at once, without a request', async () => {
    const { client, storage, user } = await signedUp()
    const other = open(storage)
    expect(other.session.user?.id).toBe(user.id)
    await client.signOut()
    await until(() => other.told.length > 0)
    expect(other.told as object[]).toEqual([signedOut('signed-out')])
    expect(await whoIs(other.client)).toBe('TOKEN_MISSING')
  })

  test('the other is signed out at once, also with a storage behind promises', async () => {
    const { storage, account } = await signedUp()
    const [one, other] = [open(behindPromises(storage)), open(behindPromises(storage))]
    await Promise.all([one.session.ready, other.session.ready])
    await one.client.signOut()
    await until(() => other.session.status === 'signed-out')
    await one.client.signIn(account)
    await until(() => other.session.status === 'signed-in')
    expect(one.session.status).toBe('signed-in')
  })

  test('the other learns that the session has expired', async () => {
    const { client, storage, user } = await signedUp()
    const other = open(storage)
    await sql<{ id: string }[]>`delete from sessions where user_id = ${user.id} returning id`
    storage.change({ access: 'a.b.c' })
    const woken = open(storage)
    expect(await whoIs(woken.client)).toBe('TOKEN_INVALID')
    await until(() => other.session.status === 'signed-out' && client.session.status === 'signed-out')
    expect([other.session.reason, client.session.reason]).toEqual(['expired', 'expired'])
  })

  test('the other keeps its state and takes the newer tokens when the same user signs in', async () => {
    const { storage, account } = await signedUp()
    const sent: (string | null)[] = []
    const other = open(storage, {
      fetcher: (requested, init) => {
        sent.push(new Headers(init.headers).get('authorization'))
        return fetch(requested, init)
      },
    })
    const before = other.session.current
    await open(storage).client.signIn(account)
    await until(async () => {
      await whoIs(other.client)
      return sent.at(-1) === `Bearer ${storage.tokens().access}`
    })
    expect(other.session.current).toBe(before)
  })

  test('the other gets no tokens of another user, not even later, and `signOut` ends its own session', async () => {
    const ann = await signedUp()
    const bob = await signedUp()
    const tab = open(ann.storage)
    await ann.client.signIn(bob.account)
    await until(() => tab.told.length > 0)
    expect(tab.told as object[]).toEqual([signedOut('replaced')])
    minutesLater(31)
    expect(await whoIs(ann.client)).toBe(bob.user.id)
    await until(() => tab.client.session.reason === 'replaced')
    expect(await whoIs(tab.client)).toBe('TOKEN_MISSING')
    const sessions = () => sql<{ id: string }[]>`select id from sessions where user_id = ${ann.user.id}`
    expect(await sessions()).toHaveLength(1)
    await tab.client.signOut()
    expect(await sessions()).toHaveLength(0)
    expect(await whoIs(ann.client)).toBe(bob.user.id)
    await tab.client.signIn(ann.account)
    expect(tab.session.user?.id).toBe(ann.user.id)
  })

  test('the other follows when it shows nobody, whoever signs in', async () => {
    const storage = memoryStorage()
    const [one, other] = [open(storage), open(storage)]
    const ann = newAccount()
    await one.client.signUp(ann)
    await until(() => other.session.status === 'signed-in')
    expect(await whoIs(other.client)).toBe(String(one.session.user?.id))
    await one.client.signOut()
    await until(() => other.session.status === 'signed-out')
    await one.client.signUp(newAccount())
    await until(() => other.session.status === 'signed-in')
    expect(other.session.user).toEqual(one.session.user)
  })

  test('with storages of their own, neither disturbs the other', async () => {
    const [ann, bob] = [await signedUp(), await signedUp()]
    await ann.client.signOut()
    // a message that was sent later has arrived: so have those before it
    const witness = open(ann.storage)
    await ann.client.signIn(ann.account)
    await until(() => witness.session.status === 'signed-in')
    expect(bob.told).toHaveLength(1)
  })

  test('an answer that comes after the session has ended arrives, but is not asked for again as another user', async () => {
    let answer = () => {}
    const asked = Promise.withResolvers<void>()
    const sent: string[] = []
    const fetcher = async (requested: string, init: RequestInit) => {
      if (!requested.endsWith('/todos') || init.method !== 'POST') return fetch(requested, init)
      sent.push(String(new Headers(init.headers).get('authorization')))
      asked.resolve()
      if (sent.length > 1) return fetch(requested, init)
      return new Promise<Response>((resolve) => {
        answer = () => resolve(Response.json({ error_code: 'OVERLOADED' }, { status: 503 }))
      })
    }
    const { client } = await signedUp({ fetcher })
    const bob = await signedUp()
    const call = client.api.v1.todos.post({ title: "Ann's" })
    await asked.promise
    await client.signIn(bob.account)
    answer()
    const { error } = await call
    expect(error?.value).toMatchObject({ error_code: 'TOKEN_MISSING' })
    expect(sent).toHaveLength(2)
    expect((await bob.client.api.v1.todos.get()).data).toEqual([])
  })

  test('a write of its own that is slow is not taken for a change by the other', async () => {
    const { storage, account, user } = await signedUp()
    const slow = {
      ...storage,
      setItem: async (key: string, value: string) => {
        await Bun.sleep(20)
        storage.setItem(key, value)
      },
    }
    const [one, other] = [open(slow), open(storage)]
    const signing = one.client.signIn(account)
    await until(() => one.session.status === 'signed-in')
    await other.client.api.v1.users.me.patch({ name: 'Ann Smith' })
    await signing
    expect(await whoIs(one.client)).toBe(user.id)
    expect(one.told.map(({ status }) => status)).not.toContain('signed-out')
  })
})

const node = Bun.which('node')

test.each(['bun', ...(node ? ['node'] : [])])(
  'a channel does not keep a process of %s alive',
  async (runtime) => {
    const command = runtime === 'node' && node ? node : process.execPath
    const built = await Bun.build({
      entrypoints: [join(import.meta.dir, '../../src/client/index.ts')],
      target: 'browser',
    })
    const program = `${await built.outputs[0]?.text()}
    const items = new Map()
    const storage = { getItem: (k) => items.get(k) ?? null, setItem: (k, v) => items.set(k, v), removeItem: (k) => items.delete(k) }
    console.log(createClient('${url}', { storage }).session.status)`
    const file = join(tmpdir(), `taskwell-${crypto.randomUUID()}.mjs`)
    await Bun.write(file, program)
    const child = Bun.spawn([command, file], { stdout: 'pipe', stderr: 'inherit' })
    expect((await new Response(child.stdout).text()).trim()).toBe('signed-out')
    expect(await child.exited).toBe(0)
    await Bun.file(file).delete()
  },
)
if (!node) test.skip('a channel does not keep a process of node alive: there is no Node here', () => {})

describe('the session with a token of another issuer', () => {
  const tokenOf = (user: string, claims: object = {}) => {
    const payload = Buffer.from(JSON.stringify({ sub: user, ...claims })).toString('base64url')
    return `e30.${payload}.x`
  }

  test('is what the token says, and known at once if it is text', () => {
    const token = tokenOf('zoë', { email: 'zoe@example.com', name: 'Zoë 👩‍🚀' })
    expect(createClient(url, { token }).session.current as object).toEqual({
      status: 'signed-in',
      user: { id: 'zoë', email: 'zoe@example.com', name: 'Zoë 👩‍🚀', created_at: null },
      reason: undefined,
    })
    const { session } = createClient(url, { token: tokenOf('', { userId: 'bob', email: 7 }) })
    expect(session.user).toEqual({ id: 'bob', email: null, name: null, created_at: null })
    for (const none of [null, '', 'opaque', 'a.b.c', tokenOf('')]) {
      expect(createClient(url, { token: none }).session.current as object).toEqual(signedOut())
    }
  })

  test('asks a function only when somebody wants to know, or a request needs the token', async () => {
    let asked = 0
    const token = async () => {
      asked++
      return signAccessToken('ann', settings)
    }
    const idle = createClient(url, { token })
    expect([idle.session.status, asked]).toEqual(['loading', 0])
    expect((await idle.session.ready).user?.id).toBe('ann')
    expect(asked).toBe(1)
    const listening = createClient(url, { token })
    const told: SessionState[] = []
    listening.session.onChange((state) => told.push(state))
    await until(() => told.length > 0)
    expect([told[0]?.user?.id, asked]).toEqual(['ann', 2])
    const asking = createClient(url, { token })
    await asking.api.v1.todos.get()
    expect([asking.session.user?.id, asked]).toEqual(['ann', 3])
  })

  test('follows the token', async () => {
    const given: { token: string | undefined } = { token: undefined }
    const session = createGivenSession(() => given.token)
    const ends: string[] = []
    session.onEnd((reason, userKey) => ends.push(`${reason} ${userKey}`))
    expect((await session.view.ready) as object).toEqual(signedOut())
    given.token = tokenOf('ann')
    expect(await session.userKey()).toBe('ann')
    given.token = tokenOf('bob')
    await session.accessToken()
    expect(session.view.user?.id).toBe('bob')
    given.token = undefined
    await session.accessToken()
    expect(session.view.current as object).toEqual(signedOut('signed-out'))
    expect(ends).toEqual(['replaced ann', 'signed-out bob'])
  })

  test('keeps the last known user while the function fails', async () => {
    const given: { token?: string } = { token: tokenOf('ann') }
    const session = createGivenSession(async () => given.token ?? Promise.reject(new Error('offline')))
    session.view.onChange(() => {})
    expect(await session.userKey()).toBe('ann')
    delete given.token
    expect(await session.userKey()).toBe('ann')
    await expect(session.accessToken()).rejects.toThrow('offline')
    expect(session.view.status).toBe('signed-in')
    const unknown = createGivenSession(() => Promise.reject(new Error('offline')))
    unknown.view.onChange(() => {})
    expect(await unknown.userKey()).toBeUndefined()
    await expect(unknown.view.ready).rejects.toThrow('offline')
    expect(unknown.view.status).toBe('loading')
  })

  test('is not begun again by an answer to a question from before `signOut`', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const answers: (string | Promise<string>)[] = [tokenOf('ann'), promise]
    const session = createGivenSession(() => answers.shift())
    await session.accessToken()
    const late = session.accessToken()
    await session.end()
    resolve(tokenOf('ann'))
    await late
    expect(session.view.current as object).toEqual(signedOut('signed-out'))
  })

  test('given as text is not sent after `signOut`', async () => {
    const client = createClient(url, { token: await signAccessToken('ann', settings) })
    expect((await client.api.v1.todos.get()).status).toBe(200)
    await client.signOut()
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(client.session.status).toBe('signed-out')
  })

  test('ends with `signOut`, and begins with the next token', async () => {
    const client = createClient(url, { token: () => signAccessToken('ann', settings) })
    await client.session.ready
    await client.signOut()
    expect(client.session.current as object).toEqual(signedOut('signed-out'))
    await client.api.v1.todos.get()
    expect(client.session.user?.id).toBe('ann')
  })
})

describe('a `token` function', () => {
  const expiredOf = (user: string) => signAccessToken(user, { ...settings, jwtExpireMinutes: -1 })

  test('is asked again with the token that has expired, and the request sent once more', async () => {
    const [expired, good] = [await expiredOf('ann'), await signAccessToken('ann', settings)]
    const asked: object[] = []
    const client = createClient(url, {
      token(options) {
        asked.push(options)
        return options.expired === undefined ? expired : good
      },
    })
    const { data } = await client.api.v1.todos.post({ title: 'Buy milk' })
    expect(data?.user_id).toBe('ann')
    expect(asked).toEqual([{}, { expired }])
  })

  test('that gives the same token again gets the 401', async () => {
    const expired = await expiredOf('ann')
    let asked = 0
    const client = createClient(url, {
      token() {
        asked++
        return expired
      },
    })
    expect(await whoIs(client)).toBe('TOKEN_EXPIRED')
    expect(asked).toBe(2)
  })

  test("that gives another user's token then does not make the request that user's", async () => {
    const [expired, bob] = [await expiredOf('ann'), await signAccessToken('bob', settings)]
    const client = createClient(url, { token: (options) => (options.expired ? bob : expired) })
    const { error } = await client.api.v1.todos.post({ title: "Ann's" })
    expect(error?.value).toMatchObject({ error_code: 'TOKEN_EXPIRED' })
  })

  test('is not asked for a request that has a token of its own', async () => {
    const client = createClient(url, {
      token: () => {
        throw new Error('not needed')
      },
    })
    const headers = { authorization: `Bearer ${await signAccessToken('ann', settings)}` }
    expect((await client.api.v1.users.me.get({ headers })).data?.id).toBe('ann')
  })
})
