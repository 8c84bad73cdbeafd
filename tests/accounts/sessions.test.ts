import { describe, expect, test } from 'bun:test'
import type { Session, Tokens } from '../../src/accounts/model'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const AUTH = '/api/v1/auth'
const ME = '/api/v1/users/me'
const SESSIONS = `${ME}/sessions`
const PASSWORD = 'correct horse battery staple'
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

let users = 0
async function register(headers: Record<string, string> = {}): Promise<Tokens> {
  const body = { email: `ann.${++users}@example.com`, password: PASSWORD }
  return (await call('POST', `${AUTH}/register`, { headers, body })).body
}

async function signIn({ user }: Tokens, headers: Record<string, string> = {}): Promise<Tokens> {
  return (await call('POST', `${AUTH}/login`, { headers, body: { email: user.email, password: PASSWORD } }))
    .body
}

const refresh = ({ refresh_token }: Tokens, headers: Record<string, string> = {}) =>
  call('POST', `${AUTH}/refresh`, { headers, body: { refresh_token } })

const as = ({ access_token }: Tokens) => ({ headers: { authorization: `Bearer ${access_token}` } })

async function list(session: Tokens): Promise<Session[]> {
  return (await call('GET', SESSIONS, as(session))).body
}

async function idOf(session: Tokens): Promise<string> {
  return (await list(session)).find(({ current }) => current)?.id ?? ''
}

/** Tries both tokens of a session. @returns the status of `users/me` and of `refresh` */
async function worthOf(session: Tokens): Promise<number[]> {
  return [(await call('GET', ME, as(session))).status, (await refresh(session)).status]
}

describe('the list', () => {
  test('shows every session of the user', async () => {
    const session = await register({ 'user-agent': 'Firefox' })
    const answer = await call('GET', SESSIONS, as(session))
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual([
      { id: UUID, created_at: TIME, last_used_at: TIME, user_agent: 'Firefox', current: true },
    ])
  })

  test('has the most recently used session first', async () => {
    const first = await register({ 'user-agent': 'first' })
    await signIn(first, { 'user-agent': 'second' })
    await signIn(first, { 'user-agent': 'third' })
    const agents = async () => (await list(first)).map(({ user_agent }) => user_agent)
    await sql`
      update sessions set last_used_at = last_used_at - case user_agent
        when 'first' then interval '3 hours' when 'second' then interval '1 hour' else interval '2 hours' end
      where user_id = ${first.user.id}`
    expect(await agents()).toEqual(['second', 'third', 'first'])
    await refresh(first, { 'user-agent': 'first' })
    expect(await agents()).toEqual(['first', 'second', 'third'])
  })

  test('marks the session of the request', async () => {
    const session = await register({ 'user-agent': 'a' })
    const second = await signIn(session, { 'user-agent': 'b' })
    const currentOf = async (each: Tokens) =>
      (await list(each)).filter(({ current }) => current).map(({ user_agent }) => user_agent)
    expect(await currentOf(session)).toEqual(['a'])
    expect(await currentOf(second)).toEqual(['b'])
  })

  test('marks no session if the token names none', async () => {
    const { user } = await register()
    const { body } = await call('GET', SESSIONS, { as: user.id })
    expect(body).toMatchObject([{ current: false }])
  })

  test('shows a session with the same id after it got new tokens', async () => {
    const session = await register({ 'user-agent': 'old version' })
    const [before] = await list(session)
    const { body: refreshed } = await refresh(session, { 'user-agent': 'new version' })
    const [after, ...more] = await list(refreshed)
    expect(more).toEqual([])
    expect(after).toEqual({
      id: before?.id ?? '',
      created_at: before?.created_at ?? '',
      last_used_at: TIME,
      user_agent: 'new version',
      current: true,
    })
  })

  test('leaves out expired sessions', async () => {
    const session = await register()
    const expired = await idOf(await signIn(session))
    await sql`update sessions set expires_at = clock_timestamp() where id = ${expired}`
    expect(await list(session)).toMatchObject([{ current: true }])
  })

  test('leaves out the sessions of other users', async () => {
    const [session] = [await register(), await register()]
    expect(await list(session)).toHaveLength(1)
  })

  test.each([
    ['none', undefined, null],
    ['an empty one', '', null],
    ['one of 300 characters', 'x'.repeat(300), 'x'.repeat(255)],
    ['SQL', "'); drop table sessions; --", "'); drop table sessions; --"],
    ['letters outside ASCII', 'Bröwser', 'Bröwser'],
  ])('keeps a user agent that can be stored: %s', async (_, sent, user_agent) => {
    const session = await register(sent === undefined ? {} : { 'user-agent': sent })
    expect(await list(session)).toMatchObject([{ user_agent }])
  })

  test('takes no parameter', async () => {
    const answer = await call('GET', `${SESSIONS}?limit=1`, as(await register()))
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'limit' }] } })
  })
})

describe('ending one', () => {
  const end = (session: Tokens, id: string) => call('DELETE', `${SESSIONS}/${id}`, as(session))

  test('answers 204 and ends only that session', async () => {
    const session = await register()
    const [ended, other] = [await signIn(session), await signIn(session)]
    expect(await end(session, await idOf(ended))).toMatchObject({ status: 204, body: '' })
    expect(await worthOf(ended)).toEqual([401, 401])
    expect(await worthOf(other)).toEqual([200, 200])
    expect(await worthOf(session)).toEqual([200, 200])
    expect(await list(session)).toHaveLength(2)
  })

  test('answers 404 the second time', async () => {
    const session = await register()
    const id = await idOf(await signIn(session))
    await end(session, id)
    const answer = await end(session, id)
    expect(answer).toMatchObject({ status: 404, body: { error_code: 'SESSION_NOT_FOUND' } })
  })

  test("answers for another user's session as for an unknown one, and leaves it", async () => {
    const [session, somebody] = [await register(), await register()]
    const answers = await Promise.all([end(session, await idOf(somebody)), end(session, crypto.randomUUID())])
    const [theirs, none] = answers.map(({ status, body }) => ({ ...body, request_id: '', status }))
    expect(theirs).toEqual(none)
    expect(theirs).toMatchObject({ status: 404, error_code: 'SESSION_NOT_FOUND' })
    expect(await worthOf(somebody)).toEqual([200, 200])
  })

  test('signs out if it is the session of the request', async () => {
    const session = await register()
    const other = await signIn(session)
    expect((await end(session, await idOf(session))).status).toBe(204)
    expect(await worthOf(session)).toEqual([401, 401])
    expect(await worthOf(other)).toEqual([200, 200])
  })

  test('takes an id in capital letters', async () => {
    const session = await register()
    const id = await idOf(await signIn(session))
    expect((await end(session, id.toUpperCase())).status).toBe(204)
    expect(await list(session)).toHaveLength(1)
  })

  test('works with a token that names no session', async () => {
    const session = await register()
    const path = `${SESSIONS}/${await idOf(session)}`
    expect((await call('DELETE', path, { as: session.user.id })).status).toBe(204)
    expect(await worthOf(session)).toEqual([401, 401])
  })

  test.each([
    ['1'],
    ['me'],
    ['%20'],
    ["'%20or%20true--"],
    ['0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3'],
    ['0198c1d27a5e7c3b9f102b1d6c5a4e3f'],
    ['%7B0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f%7D'],
    ['g198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f'],
    ['0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f%00'],
  ])('refuses %s, which is not an id', async (id) => {
    const session = await register()
    const answer = await end(session, id)
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'path', pointer: 'id' }] } })
    expect(await worthOf(session)).toEqual([200, 200])
  })

  test('leaves its access token valid for tasks until it expires, but not for the account', async () => {
    const session = await register()
    const ended = await signIn(session)
    await end(session, await idOf(ended))
    expect((await call('GET', '/api/v1/todos', as(ended))).status).toBe(200)
    expect((await call('GET', SESSIONS, as(ended))).status).toBe(401)
  })
})

describe('ending all others', () => {
  const endOthers = (session: Tokens) => call('DELETE', SESSIONS, as(session))

  test('ends them, and keeps this one and those of other users', async () => {
    const [session, somebody] = [await register(), await register()]
    const others = [await signIn(session), (await refresh(await signIn(session))).body as Tokens]
    expect(await endOthers(session)).toMatchObject({ status: 204, body: '' })
    for (const other of others) expect(await worthOf(other)).toEqual([401, 401])
    expect(await list(session)).toMatchObject([{ current: true }])
    expect(await worthOf(session)).toEqual([200, 200])
    expect(await worthOf(somebody)).toEqual([200, 200])
  })

  test('is no error if there are none', async () => {
    const session = await register()
    for (const _ of [1, 2]) expect((await endOthers(session)).status).toBe(204)
    expect(await worthOf(session)).toEqual([200, 200])
  })

  test('ends all sessions if the token names none', async () => {
    const session = await register()
    const other = await signIn(session)
    expect((await call('DELETE', SESSIONS, { as: session.user.id })).status).toBe(204)
    for (const each of [session, other]) expect(await worthOf(each)).toEqual([401, 401])
    const { body } = await call('GET', SESSIONS, { as: session.user.id })
    expect(body).toEqual([])
  })
})
