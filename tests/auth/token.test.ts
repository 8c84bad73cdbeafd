import { afterEach, beforeEach, expect, setSystemTime, test } from 'bun:test'
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { SECRET, testSettings } from '../support/app'
import { verifyJwts } from '../support/verify'

const NOW = Date.UTC(2030, 0, 1) / 1000

beforeEach(() => {
  setSystemTime(NOW * 1000)
})

afterEach(() => {
  setSystemTime()
})

test('an access token is signed with HS256 and the shared secret', async () => {
  const token = await signAccessToken('ann', testSettings())
  expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256', typ: 'JWT' })
  const { payload } = await jwtVerify(token, new TextEncoder().encode(SECRET))
  expect(payload.sub).toBe('ann')
})

test('an access token says who it is for, who made it and when, and nothing else', async () => {
  const token = await signAccessToken('ann', testSettings())
  expect(decodeJwt(token)).toEqual({ sub: 'ann', iss: 'taskwell', iat: NOW, exp: NOW + 30 * 60 })
})

test('an access token lasts as many minutes as the settings say', async () => {
  const token = await signAccessToken('ann', testSettings({ JWT_EXPIRE_MINUTES: '5' }))
  expect(decodeJwt(token).exp).toBe(NOW + 5 * 60)
})

test('an access token names the first issuer and audience that are accepted, and so is accepted', async () => {
  const settings = testSettings({
    AUTH_ISSUER: 'https://a.example,https://b.example',
    AUTH_AUDIENCE: 'tasks,x',
  })
  const token = await signAccessToken('ann', settings)
  expect(decodeJwt(token)).toMatchObject({ iss: 'https://a.example', aud: 'tasks' })
  expect(await verifyJwts(settings)(`Bearer ${token}`)).toMatchObject({ id: 'ann' })
})

test('an access token is accepted where nothing is said of issuer and audience', async () => {
  const settings = testSettings()
  expect(await verifyJwts(settings)(`Bearer ${await signAccessToken('ann', settings)}`)).toEqual({
    id: 'ann',
    issuedAt: NOW,
    expiresAt: NOW + 30 * 60 + 5,
    sessionId: null,
    tokenId: null,
    scopes: null,
  })
})

test('an access token of a session names it, and no two are the same', async () => {
  const settings = testSettings()
  const session = '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f'
  const [one, two] = await Promise.all([1, 2].map(() => signAccessToken('ann', settings, session)))
  expect(decodeJwt(one ?? '')['sid']).toBe(session)
  expect(one).not.toBe(two)
  expect(await verifyJwts(settings)(`Bearer ${one}`)).toMatchObject({
    id: 'ann',
    sessionId: session,
    tokenId: null,
    scopes: null,
  })
})

test('nothing can be signed without a shared secret, and the error names its variable', () => {
  const settings = testSettings({ BETTER_AUTH_URL: 'https://app.example' })
  expect(() => signAccessToken('ann', settings)).toThrow('BETTER_AUTH_SECRET')
})
