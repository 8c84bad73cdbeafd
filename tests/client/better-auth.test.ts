/** The client with a real Better Auth: its server, and its client with and without the plugin. */
import { afterAll, afterEach, describe, expect, setSystemTime, test } from 'bun:test'
import { createAuthClient } from 'better-auth/client'
import { jwtClient } from 'better-auth/client/plugins'
import { betterAuthToken, type Client, createClient, type SessionState } from '../../src/client/index'
import { testApp } from '../support/app'
import { startIssuer } from '../support/issuer'
import { until } from '../support/time'

const issuer = startIssuer()
const { app } = await testApp({ BETTER_AUTH_URL: issuer.url })
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
afterEach(() => {
  setSystemTime()
})
const url = String(app.server?.url)

/** In place of the cookie that a browser keeps. */
function browser() {
  const jar: { session: string | undefined; isOffline: boolean; answer: Response | undefined } = {
    session: undefined,
    isOffline: false,
    answer: undefined,
  }
  const customFetchImpl = async (input: string | URL | Request, init?: RequestInit) => {
    if (jar.isOffline) throw new TypeError('Failed to fetch')
    return jar.answer?.clone() ?? fetch(input, init)
  }
  const fetchOptions = {
    auth: { type: 'Bearer' as const, token: () => jar.session },
    headers: { origin: issuer.url },
    customFetchImpl,
  }
  return { jar, options: { baseURL: issuer.url, fetchOptions } }
}

const CLIENTS = [
  ['with the plugin', (options: object) => createAuthClient({ ...options, plugins: [jwtClient()] })],
  ['without the plugin', (options: object) => createAuthClient(options)],
  [
    'with the option `throw`',
    ({ fetchOptions, ...options }: { fetchOptions?: object }) =>
      createAuthClient({ ...options, fetchOptions: { ...fetchOptions, throw: true } }),
  ],
] as const

/** The types fit as they are. */
betterAuthToken(createAuthClient({ baseURL: issuer.url, plugins: [jwtClient()] }))

/** A page in which a user of Better Auth is signed in. */
async function signedIn(create: (options: object) => ReturnType<typeof createAuthClient> = CLIENTS[0][1]) {
  const { jar, options } = browser()
  const { session, userId } = await issuer.signUp()
  jar.session = session
  const authClient = create(options)
  const token = betterAuthToken(authClient)
  const client = createClient(url, { token, retries: 0 })
  const before = issuer.requested.length
  const asked = () => issuer.requested.slice(before).filter((path) => path === '/api/auth/token').length
  return { jar, authClient, token, client, userId, asked }
}

async function whoIs({ api }: Client): Promise<string> {
  const { data, error } = await api.v1.users.me.get()
  return data?.id ?? String(error?.value.error_code)
}

function minutesLater(minutes: number): void {
  setSystemTime(Date.now() + minutes * 60_000)
}

describe.each(CLIENTS)('a client of Better Auth %s', (_, create) => {
  test('gives one token for fifty calls', async () => {
    const { client, userId, asked } = await signedIn(create)
    const seen = await Promise.all(Array.from({ length: 25 }, () => whoIs(client)))
    for (let n = 0; n < 25; n++) seen.push(await whoIs(client))
    expect(new Set(seen)).toEqual(new Set([userId]))
    expect(asked()).toBe(1)
  })

  test('gives none to a user who is signed out there', async () => {
    const { jar, client, token } = await signedIn(create)
    jar.session = undefined
    expect(await token()).toBeUndefined()
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(client.session.current as object).toEqual({
      status: 'signed-out',
      user: undefined,
      reason: undefined,
    })
  })

  test('that cannot reach its server makes the call NO_ANSWER, and the user stays signed in', async () => {
    const { jar, client, userId } = await signedIn(create)
    await whoIs(client)
    minutesLater(16)
    jar.isOffline = true
    expect(await whoIs(client)).toBe('NO_ANSWER')
    expect(client.session.user?.id).toBe(userId)
    jar.isOffline = false
    expect(await whoIs(client)).toBe(userId)
  })

  test.each([500, 429])('whose server answers %d makes the call NO_ANSWER', async (status) => {
    const { jar, client } = await signedIn(create)
    jar.answer = Response.json({ message: 'Not now' }, { status })
    expect(await whoIs(client)).toBe('NO_ANSWER')
  })

  test('whose server has no plugin rejects the call, and says so', async () => {
    const { jar, client } = await signedIn(create)
    jar.answer = new Response('Not found', { status: 404 })
    await expect(whoIs(client)).rejects.toThrow(
      'Better Auth answered 404 to /token: its server needs the plugin jwt()',
    )
  })
})

describe('a token of Better Auth', () => {
  test('says who is signed in', async () => {
    const { client, userId } = await signedIn()
    const states: SessionState[] = []
    client.session.onChange((state) => states.push(state))
    const { user } = await client.session.ready
    expect(user).toEqual({
      id: userId,
      email: expect.stringContaining('@example.com'),
      name: 'Ann',
      created_at: null,
    })
    expect(states).toEqual([client.session.current])
  })

  test('is kept until 30 seconds before its end', async () => {
    const { token, asked } = await signedIn()
    const first = await token()
    minutesLater(14.4)
    expect(await token()).toBe(String(first))
    expect(asked()).toBe(1)
    minutesLater(0.2)
    await token()
    expect(asked()).toBe(2)
  })

  test('is dropped when the server has refused it', async () => {
    const { client, token, userId, asked } = await signedIn()
    const before = await token()
    await issuer.rotateKeys('withdrawn')
    // the server learns of the new keys
    const other = await signedIn()
    await whoIs(other.client)
    const count = asked()
    expect(await whoIs(client)).toBe(userId)
    expect(asked()).toBe(count + 1)
    expect(await token()).not.toBe(String(before))
  })

  test('is dropped when the user signs out, and the next user gets another', async () => {
    const { jar, authClient, client, token, userId } = await signedIn()
    expect(await whoIs(client)).toBe(userId)
    await authClient.signOut()
    await until(async () => (await token()) === undefined)
    expect(await whoIs(client)).toBe('TOKEN_MISSING')
    expect(client.session.reason).toBe('signed-out')
    const bob = await issuer.signUp()
    jar.session = bob.session
    expect(await whoIs(client)).toBe(bob.userId)
  })

  test('is asked for again when the user signs in or out, so that the session follows without a call', async () => {
    const { jar, options } = browser()
    const authClient = createAuthClient({ ...options, plugins: [jwtClient()] })
    const client = createClient(url, { token: betterAuthToken(authClient) })
    const told: SessionState[] = []
    client.session.onChange((state) => told.push(state))
    await client.session.ready
    expect(client.session.status).toBe('signed-out')
    const sync = client.sync(new Map())
    const signUp = async () => {
      const email = `${crypto.randomUUID()}@example.com`
      const { data } = await authClient.signUp.email({
        email,
        password: 'correct horse battery',
        name: 'Ann',
      })
      jar.session = String(data?.token)
      return String(data?.user.id)
    }
    const ann = await signUp()
    await until(() => client.session.user?.id === ann)
    await expect(sync.ended).rejects.toThrow()
    await authClient.signOut()
    jar.session = undefined
    await until(() => client.session.status === 'signed-out')
    const bob = await signUp()
    await until(() => client.session.user?.id === bob)
    expect(told.map(({ user }) => user?.id)).toEqual([undefined, ann, undefined, bob])
  })

  test('that was kept is not sent after `signOut` of the client', async () => {
    const { jar, options } = browser()
    const [ann, bob] = [await issuer.signUp(), await issuer.signUp()]
    jar.session = ann.session
    const { $fetch } = createAuthClient({ ...options, plugins: [jwtClient()] })
    // it cannot tell of another user
    const client = createClient(url, { token: betterAuthToken({ $fetch }) })
    expect(await whoIs(client)).toBe(ann.userId)
    jar.session = bob.session
    await client.signOut()
    expect(await whoIs(client)).toBe(bob.userId)
  })

  test('is dropped when the session that the app has asked for becomes another one', async () => {
    const { jar, authClient, token, userId } = await signedIn()
    const first = await token()
    const stop = authClient.useSession.subscribe(() => {})
    await authClient.useSession.get().refetch()
    expect(authClient.useSession.get().data?.user.id).toBe(userId)
    expect(await token()).toBe(String(first))
    // another tab has signed another user in
    const bob = await issuer.signUp()
    jar.session = bob.session
    await authClient.useSession.get().refetch()
    expect(await token()).not.toBe(String(first))
    // and signed out
    await issuer.signOut(bob.session)
    await authClient.useSession.get().refetch()
    expect(await token()).toBeUndefined()
    stop()
  })

  test('that comes after the session has changed is not kept', async () => {
    const answers: ((token: string) => void)[] = []
    let change = () => {}
    const token = betterAuthToken({
      $fetch: () => new Promise((resolve) => answers.push((token) => resolve({ data: { token } }))),
      $store: {
        listen(_, listener) {
          change = listener
        },
      },
    })
    const early = token()
    change()
    const late = token()
    answers[1]?.("the next user's")
    answers[0]?.("the earlier user's")
    expect(await Promise.all([early, late])).toEqual(["the next user's", "the next user's"])
    const lone = token()
    change()
    answers[2]?.("the earlier user's")
    await until(() => answers.length === 4)
    answers[3]?.("the next user's")
    expect(await lone).toBe("the next user's")
  })

  test('comes from any client that can fetch', async () => {
    let asked = 0
    const $fetch = async () => {
      asked++
      return { data: { token: 'opaque' } }
    }
    const token = betterAuthToken({ $fetch })
    // it does not say how long it is good
    expect([await token(), await token(), asked]).toEqual(['opaque', 'opaque', 2])
  })
})
