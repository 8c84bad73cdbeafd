import { describe, expect, test } from 'bun:test'
import { fold } from '../../src/accounts/passwords'
import { left, limitedApp } from '../support/limited-app'

const ME = '/api/v1/users/me'
const LOGIN = '/api/v1/auth/login'
const REGISTER = '/api/v1/auth/register'
const PASSWORD = 'correct horse battery'
const LARGE = { password: 'x'.repeat(70_000) }

describe('signing in', async () => {
  const { from } = await limitedApp({ AUTH_RATE_LIMIT_PER_MINUTE: '4', RATE_LIMIT_PER_MINUTE: '100' })

  test('counts for the client’s address, on every route and before the body is read', async () => {
    const asked = [
      await from('192.0.2.1', 'POST', '/api/v1/auth/register', { body: '{' }),
      await from('192.0.2.1', 'POST', LOGIN, { body: LARGE }),
      await from('192.0.2.1', 'POST', '/api/v1/auth/refresh', { body: {} }),
      await from('192.0.2.1', 'POST', '/api/v1/auth/logout', { body: { refresh_token: 'x' } }),
    ]
    expect(asked.map(({ status }) => status)).toEqual([400, 413, 422, 204])
    expect(asked.map((answer) => left(answer)['auth-address'])).toEqual([3, 2, 1, 0])
    for (const route of ['register', 'login', 'refresh', 'logout']) {
      expect((await from('192.0.2.1', 'POST', `/api/v1/auth/${route}`, { body: '{' })).status).toBe(429)
    }
    expect((await from('192.0.2.1', 'GET', '/docs')).status).toBe(200)
  })

  test('at an unknown path or with a wrong method counts like any other request', async () => {
    expect(left(await from('192.0.2.8', 'GET', LOGIN))).toEqual({ address: 99 })
    expect(left(await from('192.0.2.8', 'POST', '/api/v1/auth/nothing'))).toEqual({ address: 98 })
  })

  test('counts for the account, from any number of addresses', async () => {
    const body = { email: 'crowd@example.com', password: PASSWORD }
    for (const n of [0, 1, 2, 3]) {
      const answer = await from(`198.51.100.${n}`, 'POST', LOGIN, { body })
      expect(left(answer)).toEqual({ 'auth-address': 3, 'auth-account': 3 - n })
    }
    const refused = await from('198.51.100.9', 'POST', LOGIN, { body })
    expect(refused).toMatchObject({ status: 429, body: { error_code: 'RATE_LIMITED' } })
    expect(left(refused)).toEqual({ 'auth-address': 3, 'auth-account': 0 })
    expect(refused.headers.get('ratelimit')).toContain(
      `"auth-account";r=0;t=${refused.headers.get('retry-after')}`,
    )
    const other = { email: 'other@example.com', password: PASSWORD }
    expect((await from('198.51.100.9', 'POST', LOGIN, { body: other })).status).toBe(401)
  })
})

describe('an account', async () => {
  const { from, call, sql } = await limitedApp({ AUTH_RATE_LIMIT_PER_MINUTE: '4' })
  let addresses = 0
  /** Sends each request from another address. */
  const post = (path: string, body: unknown) => from(`192.0.2.${addresses++ % 250}`, 'POST', path, { body })

  /** Signs up, which takes one of the four tries. */
  async function signUp(email: string): Promise<Record<string, string>> {
    const { body } = await post(REGISTER, { email, password: PASSWORD })
    return { authorization: `Bearer ${body.access_token}` }
  }

  test.each([
    ['case', 'ann@example.com', 'ANN@Example.COM'],
    ['Unicode composition', 'zo\u00e9@example.com', 'zoe\u0301@example.com'],
    ['composition and case', 'ren\u00e9e@example.com', 'RENE\u0301E@EXAMPLE.COM'],
    ['a letter that is two in capitals', 'stra\u00dfe@example.com', 'STRASSE@example.com'],
    ['the two small sigmas', 'odos\u03c2@example.com', 'odos\u03c3@example.com'],
    ['the sign for kelvin', 'kim@example.com', '\u212aim@example.com'],
    ['the long s', 'sam@example.com', '\u017fam@example.com'],
  ])('gets no more tries through other spellings of its e-mail address: %s', async (_, email, other) => {
    await signUp(email)
    expect(left(await post(LOGIN, { email: other, password: 'wrong' }))['auth-account']).toBe(2)
    expect(left(await post(LOGIN, { email, password: 'wrong' }))['auth-account']).toBe(1)
    expect(left(await post(REGISTER, { email: other, password: PASSWORD }))['auth-account']).toBe(0)
    for (const spelling of [email, other]) {
      expect((await post(LOGIN, { email: spelling, password: PASSWORD })).status).toBe(429)
    }
  })

  test('is the same account for the limit and for the database, with every letter', async () => {
    const letters = Array.from({ length: 0x110000 }, (_, code) => code)
      .filter((code) => code < 0xd800 || code > 0xdfff)
      .map((code) => String.fromCodePoint(code))
      .filter((letter) => /[\p{L}\p{M}\p{N}]/u.test(letter))
    const emails = letters.flatMap((letter) => [`a${letter}@example.com`, `a${letter}b@example.com`])
    const rows = await sql<{ email: string; key: string }[]>`
      select email, email_key(email) as key from unnest(${emails}::text[]) email`
    expect(rows.length).toBeGreaterThan(200_000)
    const seenAs = new Map<string, string>()
    const told = rows.filter(({ email, key }) => {
      const before = seenAs.get(key) ?? fold(email)
      seenAs.set(key, before)
      return before !== fold(email)
    })
    expect(told).toEqual([])
    expect(rows.length - seenAs.size).toBeGreaterThan(1000)
  })

  test('gets no more tries through concurrent requests', async () => {
    const body = { email: 'hurried@example.com', password: PASSWORD }
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(LOGIN, body)))
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(4).fill(401), ...Array(8).fill(429)])
  })

  type Confirm = [
    what: string,
    wrong: number,
    method: string,
    path: string,
    body: (password: string) => unknown,
  ]
  const CONFIRMED: Confirm[] = [
    [
      'a new password',
      403,
      'POST',
      `${ME}/password`,
      (p) => ({ current_password: p, new_password: 'another good one' }),
    ],
    ['another e-mail address', 403, 'PATCH', ME, (p) => ({ current_password: p, email: 'new@example.com' })],
    ['another name, with a password', 403, 'PATCH', ME, (p) => ({ current_password: p, name: 'A' })],
    ['its deletion', 403, 'DELETE', ME, (p) => ({ password: p })],
  ]

  test.each(CONFIRMED)(
    'has as many tries for %s as for all else together',
    async (_, status, method, path, body) => {
      const email = `${crypto.randomUUID()}@example.com`
      const headers = await signUp(email)
      const confirm = (password: string) => call(method, path, { headers, body: body(password) })
      const wrong = await confirm('wrong')
      expect(wrong).toMatchObject({ status, body: { error_code: 'WRONG_PASSWORD' } })
      expect(left(wrong)).toEqual({ user: 999_999, 'auth-account': 2 })
      expect(left(await post(LOGIN, { email, password: 'wrong' }))['auth-account']).toBe(1)
      expect(left(await confirm('wrong'))['auth-account']).toBe(0)
      const refused = await confirm(PASSWORD)
      expect(refused).toMatchObject({ status: 429, body: { error_code: 'RATE_LIMITED' } })
      expect(refused.headers.get('ratelimit')).toEndWith(
        `"auth-account";r=0;t=${refused.headers.get('retry-after')}`,
      )
      expect((await post(LOGIN, { email, password: PASSWORD })).status).toBe(429)
      // a request without a password is not limited
      expect((await call('GET', ME, { headers })).body.email).toBe(email)
      expect((await call('PATCH', ME, { headers, body: { name: 'Ann' } })).status).toBe(200)
    },
  )

  test('is not limited by other users, nor by requests that are refused before the password is checked', async () => {
    const headers = await signUp('calm@example.com')
    const spent = { email: 'victim@example.com', password: 'wrong' }
    for (let n = 0; n < 5; n++) await post(LOGIN, spent)
    for (let n = 0; n < 5; n++) await call('DELETE', ME, { headers, body: {} })
    expect(left(await post(LOGIN, { email: 'calm@example.com', password: PASSWORD }))['auth-account']).toBe(2)
  })
})
