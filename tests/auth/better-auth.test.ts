/** The whole app, called with what a real Better Auth server gives out. */
import { afterEach, describe, expect, setSystemTime, test } from 'bun:test'
import { decodeJwt, decodeProtectedHeader, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import pino from 'pino'
import { createApp } from '../../src/app'
import { type Answer, testSettings, toAnswer } from '../support/app'
import { testDatabase } from '../support/database'
import { type Issuer, startIssuer } from '../support/issuer'

const MINUTE = 60_000
const TODOS = '/api/v1/todos'

const { database } = await testDatabase()

interface Client {
  get(token: string, path?: string): Promise<Answer>
  /** Creates a task. */
  create(token: string, path?: string): Promise<Answer>
}

/** The app as this environment makes it; all of them share one database, which saves seconds. */
function appWith(env: Record<string, string>): Client {
  const app = createApp({ settings: testSettings(env), database, log: pino({ level: 'silent' }) })
  const send = async (token: string, path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    return toAnswer(await app.handle(new Request(`http://localhost${path}`, { ...init, headers })))
  }
  const body = JSON.stringify({ title: 'Buy milk' })
  return {
    get: (token, path = TODOS) => send(token, path),
    create: (token, path = TODOS) => send(token, path, { method: 'POST', body }),
  }
}

afterEach(() => {
  setSystemTime()
})

/** Sets the clock of the app and the issuer alike. */
function later(milliseconds: number): void {
  setSystemTime(Date.now() + milliseconds)
}

/** A new user's id, session and token. */
async function newcomer(issuer: Issuer) {
  const { userId, session } = await issuer.signUp()
  return { userId, session, token: await issuer.token(session) }
}

function expectRefusal({ status, headers, body }: Answer, code: string): void {
  expect({ status, code: body.error_code, challenge: headers.get('www-authenticate') }).toEqual({
    status: 401,
    code,
    challenge: 'Bearer error="invalid_token"',
  })
}

const keyRequests = ({ requested }: Issuer) => requested.filter((path) => path === '/api/auth/jwks').length

describe.each(['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256'] as const)('with %s', (algorithm) => {
  const issuer = startIssuer({ algorithm })
  const app = appWith({ BETTER_AUTH_URL: issuer.url })

  test('a user who never signed up here creates a task and reads it', async () => {
    const { token, userId } = await newcomer(issuer)
    expect(decodeProtectedHeader(token).alg).toBe(algorithm)
    const created = await app.create(token)
    expect(created.status).toBe(201)
    expect(created.body.user_id).toBe(userId)
    const read = await app.get(token, created.headers.get('location') ?? '')
    expect(read.body).toEqual(created.body)
  })
})

describe('with Better Auth as it ships', () => {
  const issuer = startIssuer()
  const app = appWith({ BETTER_AUTH_URL: issuer.url })

  test('its tokens are signed with EdDSA, and its origin is their issuer and audience', async () => {
    const { token, userId } = await newcomer(issuer)
    expect(decodeProtectedHeader(token).alg).toBe('EdDSA')
    expect(decodeJwt(token)).toMatchObject({ sub: userId, iss: issuer.url, aud: issuer.url })
    expect((await app.get(token)).status).toBe(200)
  })

  test("the address with the owner in its path works with the subject's id", async () => {
    const { token, userId } = await newcomer(issuer)
    expect((await app.create(token, `/api/${userId}/tasks`)).status).toBe(201)
    const read = await app.get(token, `/api/${userId}/tasks`)
    expect(read.body).toMatchObject([{ title: 'Buy milk', user_id: userId }])
  })

  test('the address with the owner in its path works with `me`', async () => {
    const { token, userId } = await newcomer(issuer)
    expect((await app.create(token, '/api/me/tasks')).body.user_id).toBe(userId)
  })

  test("the address with another user's id in its path answers 403", async () => {
    const [ann, bob] = [await newcomer(issuer), await newcomer(issuer)]
    const { status, body } = await app.create(ann.token, `/api/${bob.userId}/tasks`)
    expect([status, body.error_code]).toEqual([403, 'OWNER_MISMATCH'])
  })

  test("the issuer's users do not see one another's tasks", async () => {
    const [ann, bob] = [await newcomer(issuer), await newcomer(issuer)]
    await app.create(ann.token)
    expect((await app.get(bob.token)).body).toEqual([])
  })

  test("a token whose issuer is the API's own address, as its OAuth provider names it, is accepted", async () => {
    const token = await issuer.sign({ sub: 'ann', iss: `${issuer.url}/api/auth` })
    expect((await app.create(token)).body.user_id).toBe('ann')
  })

  test('the session token in place of a JWT is refused with a hint at where to get one', async () => {
    const { session } = await issuer.signUp()
    const answer = await app.get(session)
    expectRefusal(answer, 'TOKEN_NOT_JWT')
    expect(answer.body.detail).toContain('/api/auth/token')
  })

  test('a token outlives its session until it expires, and no new one can be had', async () => {
    const { session, token } = await newcomer(issuer)
    await issuer.signOut(session)
    expect((await app.get(token)).status).toBe(200)
    await expect(issuer.token(session)).rejects.toThrow('answered 401')
    later(16 * MINUTE)
    expectRefusal(await app.get(token), 'TOKEN_EXPIRED')
  })

  test('a shared-secret token is refused where only the keys are trusted', async () => {
    const token = await new SignJWT({ sub: 'ann', iss: issuer.url, aud: issuer.url })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(issuer.secret))
    expectRefusal(await app.get(token), 'TOKEN_INVALID')
  })
})

describe('what a token names', () => {
  const another = 'https://another.example'
  const [foreignAudience, foreignIssuer] = [
    startIssuer({ audience: another }),
    startIssuer({ issuer: another }),
  ]

  test('a token for another audience is refused', async () => {
    const app = appWith({ BETTER_AUTH_URL: foreignAudience.url })
    const { token } = await newcomer(foreignAudience)
    expectRefusal(await app.get(token), 'TOKEN_INVALID')
  })

  test('a token of another issuer is refused, though its key is known', async () => {
    const app = appWith({ BETTER_AUTH_URL: foreignIssuer.url })
    const { token } = await newcomer(foreignIssuer)
    expect(decodeJwt(token).aud).toBe(foreignIssuer.url)
    expectRefusal(await app.get(token), 'TOKEN_INVALID')
  })

  test('both are accepted where the settings name them', async () => {
    const byAudience = appWith({ BETTER_AUTH_URL: foreignAudience.url, AUTH_AUDIENCE: another })
    expect((await byAudience.get((await newcomer(foreignAudience)).token)).status).toBe(200)
    const byIssuer = appWith({ BETTER_AUTH_URL: foreignIssuer.url, AUTH_ISSUER: another })
    expect((await byIssuer.get((await newcomer(foreignIssuer)).token)).status).toBe(200)
  })
})

describe('when the issuer rotates its keys', () => {
  const issuer = startIssuer({ expirationTime: '1h' })
  const app = appWith({ BETTER_AUTH_URL: issuer.url })

  test('tokens of the new key work at once, and tokens of the old one until they expire', async () => {
    const before = await newcomer(issuer)
    expect((await app.get(before.token)).status).toBe(200)
    await issuer.rotateKeys()
    const after = await newcomer(issuer)
    expect(decodeProtectedHeader(after.token).kid).not.toBe(decodeProtectedHeader(before.token).kid)
    expect((await app.get(after.token)).status).toBe(200)
    expect((await app.get(before.token)).status).toBe(200)
    later(50 * MINUTE)
    expect((await app.get(before.token)).status).toBe(200)
    later(20 * MINUTE)
    expectRefusal(await app.get(before.token), 'TOKEN_EXPIRED')
  })
})

describe('when the issuer withdraws a key', () => {
  const issuer = startIssuer()
  const app = appWith({ BETTER_AUTH_URL: issuer.url })

  test('its tokens are refused as soon as the new keys are known', async () => {
    const before = await newcomer(issuer)
    expect((await app.get(before.token)).status).toBe(200)
    await issuer.rotateKeys('withdrawn')
    const after = await newcomer(issuer)
    expect((await app.get(after.token)).status).toBe(200)
    expectRefusal(await app.get(before.token), 'TOKEN_INVALID')
  })
})

describe('with the secret shared and a signer of its own', () => {
  const issuer = startIssuer({ algorithm: 'HS256', sessionCopy: 'by secret' })
  const secret = new TextEncoder().encode(issuer.secret)
  const app = appWith({ BETTER_AUTH_SECRET: issuer.secret })

  test('a user who never signed up here creates a task', async () => {
    const { token, userId } = await newcomer(issuer)
    expect(decodeProtectedHeader(token).alg).toBe('HS256')
    expect((await app.create(token)).body.user_id).toBe(userId)
  })

  test('the token in the link of its e-mails is refused', async () => {
    const { emailToken } = await issuer.signUp()
    const { payload } = await jwtVerify(emailToken, secret, { algorithms: ['HS256'] })
    expect(payload['email']).toBeString()
    expectRefusal(await app.get(emailToken), 'TOKEN_INVALID')
  })

  test('the session copy in its cookie is refused', async () => {
    const { sessionCopy = '', userId } = await issuer.signUp()
    const { payload } = await jwtVerify(sessionCopy, secret, { algorithms: ['HS256'] })
    expect(payload['user']).toMatchObject({ id: userId })
    expectRefusal(await app.get(sessionCopy), 'TOKEN_INVALID')
  })
})

describe('with session copies signed by the keys that also sign tokens', () => {
  const issuer = startIssuer({ sessionCopy: 'by keys' })
  // so that nothing but the type speaks against them
  const audience = `${issuer.url},better-auth:session-cache`
  const app = appWith({ BETTER_AUTH_URL: issuer.url, AUTH_AUDIENCE: audience })

  test('the session copy in its cookie is refused, and a token of the same user is not', async () => {
    const { sessionCopy = '', session, userId } = await issuer.signUp()
    expect(decodeProtectedHeader(sessionCopy).typ).toBe('better-auth.session-cache+jwt')
    expect(decodeJwt(sessionCopy).sub).toBe(userId)
    expectRefusal(await app.get(sessionCopy), 'TOKEN_INVALID')
    expect((await app.get(await issuer.token(session))).status).toBe(200)
  })
})

describe('when the issuer is down', () => {
  const [late, issuer] = [startIssuer(), startIssuer()]

  test('before its keys were ever had, requests answer 503 with Retry-After until it is up', async () => {
    const app = appWith({ BETTER_AUTH_URL: late.url })
    const { token } = await newcomer(late)
    await late.stop()
    const { status, headers, body } = await app.get(token)
    expect([status, body.error_code]).toEqual([503, 'KEYS_UNAVAILABLE'])
    expect(headers.get('www-authenticate')).toBeNull()
    late.restart()
    later(Number(headers.get('retry-after')) * 1000)
    expect((await app.get(token)).status).toBe(200)
  })

  test('after its keys were had, they go on serving, for tokens never seen before too', async () => {
    const app = appWith({ BETTER_AUTH_URL: issuer.url })
    const [known, unseen] = [await newcomer(issuer), await newcomer(issuer)]
    expect((await app.get(known.token)).status).toBe(200)
    await issuer.stop()
    later(14 * MINUTE)
    expect((await app.get(known.token)).status).toBe(200)
    expect((await app.get(unseen.token)).status).toBe(200)
  })
})

describe('key ids that the issuer does not have', () => {
  const issuer = startIssuer()
  const app = appWith({ BETTER_AUTH_URL: issuer.url })

  test('are refused, and fifty of them cost the issuer one request', async () => {
    const { token } = await newcomer(issuer)
    await app.get(token)
    expect(keyRequests(issuer)).toBe(1)
    const { privateKey } = await generateKeyPair('EdDSA')
    const forge = (_: unknown, index: number) =>
      new SignJWT({ sub: 'ann', iss: issuer.url, aud: issuer.url })
        .setProtectedHeader({ alg: 'EdDSA', kid: `forged-${index}` })
        .setExpirationTime('5m')
        .sign(privateKey)
    const forged = await Promise.all(Array.from({ length: 50 }, forge))
    for (const each of forged) expectRefusal(await app.get(each), 'TOKEN_INVALID')
    expect(keyRequests(issuer)).toBe(2)
  })
})

describe('with the keys at an inner address and tokens that name the public one', () => {
  const publicUrl = 'https://app.example'
  const issuer = startIssuer({ publicUrl })
  const AUTH_JWKS_URL = `${issuer.url}/api/auth/jwks`

  test.each([
    ['all three settings', { AUTH_JWKS_URL, AUTH_ISSUER: publicUrl, AUTH_AUDIENCE: publicUrl }],
    ["the public address and the keys'", { AUTH_JWKS_URL, BETTER_AUTH_URL: publicUrl }],
  ])('%s let its users in', async (_, env) => {
    const { token, userId } = await newcomer(issuer)
    expect(decodeJwt(token)).toMatchObject({ iss: publicUrl, aud: publicUrl })
    expect((await appWith(env).create(token)).body.user_id).toBe(userId)
  })

  test('the inner address alone does not', async () => {
    const { token } = await newcomer(issuer)
    expectRefusal(await appWith({ BETTER_AUTH_URL: issuer.url }).get(token), 'TOKEN_INVALID')
  })
})

describe('with two issuers', () => {
  const [first, second] = [startIssuer(), startIssuer()]
  const stranger = startIssuer({ issuer: first.url, audience: first.url })
  const urls = `${first.url},${second.url}`
  const app = appWith({
    AUTH_JWKS_URL: `${first.url}/api/auth/jwks, ${second.url}/api/auth/jwks`,
    AUTH_ISSUER: urls,
    AUTH_AUDIENCE: urls,
  })

  test('users of both are served', async () => {
    for (const issuer of [first, second]) {
      const { token, userId } = await newcomer(issuer)
      expect((await app.create(token)).body.user_id).toBe(userId)
    }
  })

  test('users of a third are refused, whatever its tokens claim', async () => {
    const { token } = await newcomer(stranger)
    expectRefusal(await app.get(token), 'TOKEN_INVALID')
  })
})

describe('with two issuers, one of them down from the start', () => {
  const [down, up] = [startIssuer(), startIssuer()]
  const urls = `${down.url},${up.url}`
  const app = appWith({
    AUTH_JWKS_URL: `${down.url}/api/auth/jwks,${up.url}/api/auth/jwks`,
    AUTH_ISSUER: urls,
    AUTH_AUDIENCE: urls,
  })

  test("the other's users are served, and the missing one's answer 503", async () => {
    const waiting = await newcomer(down)
    await down.stop()
    const { token } = await newcomer(up)
    expect((await app.get(token)).status).toBe(200)
    const { status, body } = await app.get(waiting.token)
    expect([status, body.error_code]).toEqual([503, 'KEYS_UNAVAILABLE'])
  })
})
