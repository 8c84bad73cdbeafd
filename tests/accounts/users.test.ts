import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import type { Tokens } from '../../src/accounts/model'
import { SECRET, testApp } from '../support/app'

const { call, sql } = await testApp()
const AUTH = '/api/v1/auth'
const ME = '/api/v1/users/me'
const TODOS = '/api/v1/todos'
const PASSWORD = 'correct horse battery staple'
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

let users = 0
const newEmail = () => `Ann.${++users}@Example.com`
/** Creates a user of another issuer. */
const newForeigner = () => `foreigner-${++users}`

async function register(fields: Record<string, unknown> = {}): Promise<Tokens> {
  const body = { email: newEmail(), password: PASSWORD, name: 'Ann', ...fields }
  return (await call('POST', `${AUTH}/register`, { body })).body
}

const login = (email: string | null, password = PASSWORD) =>
  call('POST', `${AUTH}/login`, { body: { email, password } })

async function signIn({ user }: Tokens): Promise<Tokens> {
  return (await login(user.email)).body
}

const refresh = ({ refresh_token }: Tokens) => call('POST', `${AUTH}/refresh`, { body: { refresh_token } })

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const as = ({ access_token }: Tokens) => bearer(access_token)

/** Tries both tokens of a session. @returns the status of `users/me` and of `refresh` */
async function worthOf(session: Tokens): Promise<number[]> {
  return [(await call('GET', ME, as(session))).status, (await refresh(session)).status]
}

/** Signs a token of the other issuer; null leaves out its time of issue. */
function tokenOf(user: string, issuedAt: number | null): Promise<string> {
  const token = new SignJWT({ sub: user, ...(issuedAt !== null && { iat: issuedAt }) })
  return token
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))
}

const now = () => Math.floor(Date.now() / 1000)

/** Counts the user's rows in each table. */
async function rowsOf(user: string): Promise<unknown> {
  const [rows] = await sql`
    select
      (select count(*) from users where id = ${user}) as users,
      (select count(*) from users where id = ${user} and refuse_tokens_until is not null) as tombstones,
      (select count(*) from accounts where user_id = ${user}) as accounts,
      (select count(*) from sessions where user_id = ${user}) as sessions,
      (select count(*) from refresh_tokens join sessions on sessions.id = session_id where user_id = ${user})
        as refresh_tokens,
      (select count(*) from tasks where user_id = ${user}) as tasks`
  return { ...rows }
}
const NOTHING = { accounts: 0, sessions: 0, refresh_tokens: 0, tasks: 0 }
const TOMBSTONE = { users: 1, tombstones: 1, ...NOTHING }

describe('reading oneself', () => {
  test('gives every field of an account', async () => {
    const email = newEmail()
    const { user, ...session } = await register({ email, name: 'Ann' })
    const answer = await call('GET', ME, bearer(session.access_token))
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ id: user.id, email, name: 'Ann', created_at: TIME })
    expect(answer.body).toEqual(user)
  })

  test('gives the same with a token that names no session', async () => {
    const { user } = await register()
    expect((await call('GET', `${ME}/`, { as: user.id })).body).toEqual(user)
  })

  test('of a foreign user gives the id, and after the first write its time', async () => {
    const id = newForeigner()
    const nobody = { id, email: null, name: null, created_at: null }
    expect(await call('GET', ME, { as: id })).toMatchObject({ status: 200, body: nobody })
    expect(await rowsOf(id)).toEqual({ users: 0, tombstones: 0, ...NOTHING })
    await call('POST', TODOS, { as: id, body: { title: 'x' } })
    expect((await call('GET', ME, { as: id })).body).toEqual({ ...nobody, created_at: TIME })
  })
})

describe('changing oneself', () => {
  test.each([
    ['a name', { name: 'Ann Smith' }],
    ['a name to none', { name: null }],
    ['a name, confirmed without need', { name: 'x'.repeat(100), current_password: PASSWORD }],
  ])('changes %s, and ends no session', async (_, body) => {
    const session = await register()
    const other = await signIn(session)
    const answer = await call('PATCH', ME, { ...as(session), body })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ ...session.user, name: body.name })
    expect((await call('GET', ME, as(other))).body).toEqual(answer.body)
    expect(await worthOf(other)).toEqual([200, 200])
  })

  test('changes the e-mail address with the current password, and leaves the name', async () => {
    const session = await register()
    const email = newEmail()
    const answer = await call('PATCH', ME, { ...as(session), body: { email, current_password: PASSWORD } })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ ...session.user, email })
    expect((await login(email)).status).toBe(200)
    expect((await login(session.user.email)).status).toBe(401)
  })

  test('changes both at once', async () => {
    const session = await register()
    const change = { email: newEmail(), name: 'Ann Smith' }
    const answer = await call('PATCH', ME, {
      ...as(session),
      body: { ...change, current_password: PASSWORD },
    })
    expect(answer.body).toEqual({ ...session.user, ...change })
  })

  test('accepts one’s own e-mail address in another case', async () => {
    const session = await register()
    const email = session.user.email?.toUpperCase()
    const answer = await call('PATCH', ME, { ...as(session), body: { email, current_password: PASSWORD } })
    expect(answer).toMatchObject({ status: 200, body: { email } })
  })

  test('with another e-mail address ends every other session and keeps this one', async () => {
    const session = await register()
    const others = [await signIn(session), await signIn(session)]
    await call('PATCH', ME, { ...as(session), body: { email: newEmail(), current_password: PASSWORD } })
    for (const other of others) expect(await worthOf(other)).toEqual([401, 401])
    expect(await worthOf(session)).toEqual([200, 200])
  })

  test('with a token that names no session ends every session', async () => {
    const session = await register()
    const body = { email: newEmail(), current_password: PASSWORD }
    expect((await call('PATCH', ME, { as: session.user.id, body })).status).toBe(200)
    expect(await worthOf(session)).toEqual([401, 401])
  })

  test.each([
    ['nothing', {}, ''],
    ['only the current password', { current_password: PASSWORD }, ''],
    [
      'another e-mail address without the current password',
      { email: 'new@example.com' },
      '/current_password',
    ],
    ['what is no e-mail address', { email: 'new', current_password: PASSWORD }, '/email'],
    ['null for the e-mail address', { email: null, current_password: PASSWORD }, '/email'],
    ['null for the current password', { name: 'x', current_password: null }, '/current_password'],
    ['an empty name', { name: '' }, '/name'],
    ['a name of white space', { name: '\u2003 ' }, '/name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, '/name'],
    ['an id', { name: 'x', id: 'somebody-else' }, '/id'],
    ['a password', { name: 'x', password: 'hunter2hunter2' }, '/password'],
    ['a list', [], ''],
  ])('refuses %s', async (_, body, pointer) => {
    const session = await register()
    const answer = await call('PATCH', ME, { ...as(session), body })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer }] } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
  })

  test('refuses the password as the new e-mail address, in any case', async () => {
    const session = await register({ password: 'Secret@example.com' })
    const body = { email: 'sECRET@example.com', current_password: 'Secret@example.com' }
    const answer = await call('PATCH', ME, { ...as(session), body })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '/email' }] } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
  })

  test.each([
    ['another e-mail address', { email: 'never-taken@example.com', name: 'New' }],
    ['a name', { name: 'New' }],
  ])('refuses %s with a wrong password, and changes and ends nothing', async (_, change) => {
    const session = await register()
    const other = await signIn(session)
    const body = { ...change, current_password: 'wrong password' }
    const answer = await call('PATCH', ME, { ...as(session), body })
    expect(answer).toMatchObject({ status: 403, body: { error_code: 'WRONG_PASSWORD' } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
    expect(await worthOf(other)).toEqual([200, 200])
  })

  test.each([
    ['as it is', (email: string) => email],
    ['in another case', (email: string) => email.toUpperCase()],
  ])('refuses an e-mail address that is taken, %s, and changes and ends nothing', async (_, write) => {
    const [taken, session] = [await register(), await register()]
    const other = await signIn(session)
    const body = { email: write(taken.user.email ?? ''), name: 'New', current_password: PASSWORD }
    const answer = await call('PATCH', ME, { ...as(session), body })
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
    expect(await worthOf(other)).toEqual([200, 200])
  })
})

describe('the order of refusal', () => {
  test.each([
    ['no token', 401, '{', {}],
    ['a body that is not JSON', 400, '{', { own: true }],
    ['a field, though the password is wrong', 422, { email: 'x', current_password: 'wrong' }, { own: true }],
    ['a missing password, though the address is taken', 422, { email: 'taken@example.com' }, { own: true }],
    [
      'a wrong password, though the address is taken',
      403,
      { email: 'taken@example.com', current_password: 'wrong' },
      { own: true },
    ],
    [
      'an address that is taken',
      409,
      { email: 'taken@example.com', current_password: PASSWORD },
      { own: true },
    ],
  ])('%s is %i', async (_, status, body, { own }: { own?: boolean }) => {
    await register({ email: 'taken@example.com' })
    const session = await register()
    expect((await call('PATCH', ME, { ...(own && as(session)), body })).status).toBe(status)
  })
})

describe('a new password', () => {
  const change = (session: Tokens, current_password: string, new_password: string) =>
    call('POST', `${ME}/password`, { ...as(session), body: { current_password, new_password } })
  const NEXT = 'another horse, another staple'

  test('replaces the old one', async () => {
    const session = await register()
    expect(await change(session, PASSWORD, NEXT)).toMatchObject({ status: 204, body: '' })
    expect((await login(session.user.email)).status).toBe(401)
    expect((await login(session.user.email, NEXT)).status).toBe(200)
    expect((await change(session, PASSWORD, NEXT)).status).toBe(403)
  })

  test('ends every other session and keeps this one', async () => {
    const session = await register()
    const others = [await signIn(session), await signIn(session)]
    await change(session, PASSWORD, NEXT)
    for (const other of others) expect(await worthOf(other)).toEqual([401, 401])
    expect(await worthOf(session)).toEqual([200, 200])
  })

  test('needs the current one', async () => {
    const session = await register()
    const other = await signIn(session)
    const answer = await change(session, `${PASSWORD}!`, NEXT)
    expect(answer).toMatchObject({ status: 403, body: { error_code: 'WRONG_PASSWORD' } })
    expect((await login(session.user.email)).status).toBe(200)
    expect((await login(session.user.email, NEXT)).status).toBe(401)
    expect(await worthOf(other)).toEqual([200, 200])
  })

  test.each([
    ['of 7 characters', '1234abc'],
    ['of 129 characters', 'x'.repeat(129)],
    ['of 7 characters outside the basic plane', '😀'.repeat(7)],
    ['that is tried first', 'Password1'],
    ['with NUL', 'correct\0horse'],
    ['that is a number', 12345678],
    ['that is null', null],
  ])('cannot be one %s', async (_, new_password) => {
    const session = await register()
    const body = { current_password: PASSWORD, new_password }
    const answer = await call('POST', `${ME}/password`, { ...as(session), body })
    expect(answer).toMatchObject({
      status: 422,
      body: { errors: [{ in: 'body', pointer: '/new_password' }] },
    })
    expect((await login(session.user.email)).status).toBe(200)
  })

  test('cannot be the e-mail address, in any case', async () => {
    const session = await register()
    const answer = await change(session, PASSWORD, session.user.email?.toUpperCase() ?? '')
    expect(answer).toMatchObject({
      status: 422,
      body: { errors: [{ in: 'body', pointer: '/new_password' }] },
    })
  })

  test('is refused as guessable only if the current one is right', async () => {
    expect((await change(await register(), 'wrong password', 'password1')).status).toBe(403)
  })

  test('needs both fields, and no other is accepted', async () => {
    const answer = await call('POST', `${ME}/password`, { ...as(await register()), body: { password: 'x' } })
    const pointers = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
    expect(pointers.toSorted()).toEqual(['/current_password', '/new_password', '/password'])
  })
})

describe('deleting oneself', () => {
  test.each([
    ['without a body', undefined, 422, 'VALIDATION_ERROR'],
    ['with an empty body', {}, 422, 'VALIDATION_ERROR'],
    ['with null', { password: null }, 422, 'VALIDATION_ERROR'],
    ['with a wrong password', { password: 'wrong password' }, 403, 'WRONG_PASSWORD'],
  ])('%s deletes nothing', async (_, body, status, error_code) => {
    const session = await register()
    const answer = await call('DELETE', ME, { ...as(session), body })
    expect(answer).toMatchObject({ status, body: { error_code } })
    if (status === 422) expect(answer.body.errors).toMatchObject([{ in: 'body', pointer: '/password' }])
    expect(await rowsOf(session.user.id)).toMatchObject({ accounts: 1, sessions: 1, tombstones: 0 })
    expect(await worthOf(session)).toEqual([200, 200])
  })

  test('with the password leaves only a tombstone, and changes no other user', async () => {
    const [session, neighbour] = [await register(), await register()]
    for (const { user } of [session, neighbour]) {
      const { body: task } = await call('POST', TODOS, { as: user.id, body: { title: 'x' } })
      await call('POST', TODOS, { as: user.id, body: { title: 'y' } })
      await call('DELETE', `${TODOS}/${task.id}`, { as: user.id })
    }
    await signIn(session)
    await refresh(await signIn(session))
    const before = { users: 1, tombstones: 0, accounts: 1, sessions: 3, refresh_tokens: 4, tasks: 2 }
    expect(await rowsOf(session.user.id)).toEqual(before)
    const answer = await call('DELETE', ME, { ...as(session), body: { password: PASSWORD } })
    expect(answer).toMatchObject({ status: 204, body: '' })
    expect(await rowsOf(session.user.id)).toEqual(TOMBSTONE)
    expect(await rowsOf(neighbour.user.id)).toEqual({ ...before, sessions: 1, refresh_tokens: 1 })
  })

  test('ends every token, and no new one can be got', async () => {
    const session = await register()
    const other = await signIn(session)
    await call('DELETE', ME, { ...as(session), body: { password: PASSWORD } })
    for (const each of [session, other]) expect(await worthOf(each)).toEqual([401, 401])
    expect(await login(session.user.email)).toMatchObject({
      status: 401,
      body: { error_code: 'INVALID_CREDENTIALS' },
    })
    expect((await call('DELETE', ME, { ...as(session), body: { password: PASSWORD } })).status).toBe(401)
  })

  test('frees the e-mail address for a new user with another id', async () => {
    const session = await register()
    await call('DELETE', ME, { ...as(session), body: { password: PASSWORD } })
    const again = await register({ email: session.user.email })
    expect(again.user.email).toBe(session.user.email)
    expect(again.user.id).not.toBe(session.user.id)
    expect(await worthOf(again)).toEqual([200, 200])
  })

  test('is for good: no token brings an account back, however late it was issued', async () => {
    const { user, access_token } = await register()
    await call('DELETE', ME, { ...bearer(access_token), body: { password: PASSWORD } })
    for (const issuedAt of [null, now(), now() + 365 * 24 * 3600, 253_402_300_799]) {
      const token = await tokenOf(user.id, issuedAt)
      expect((await call('POST', TODOS, { ...bearer(token), body: { title: 'x' } })).status).toBe(401)
      expect((await call('GET', ME, bearer(token))).status).toBe(401)
      expect((await call('DELETE', ME, bearer(token))).status).toBe(401)
    }
    expect(await rowsOf(user.id)).toEqual(TOMBSTONE)
  })
})

describe('a foreign user', () => {
  test('is deleted without a password', async () => {
    const id = newForeigner()
    await call('POST', TODOS, { as: id, body: { title: 'x' } })
    expect(await call('DELETE', ME, { as: id })).toMatchObject({ status: 204, body: '' })
    expect(await rowsOf(id)).toEqual(TOMBSTONE)
    expect((await call('GET', ME, { as: id })).status).toBe(401)
    expect((await call('DELETE', ME, { as: id })).status).toBe(401)
  })

  test('who sends a password nevertheless is also deleted', async () => {
    expect((await call('DELETE', ME, { as: newForeigner(), body: { password: 'x' } })).status).toBe(204)
  })

  test('who never wrote is also deleted, and cannot write with an older token', async () => {
    const id = newForeigner()
    expect((await call('DELETE', ME, { as: id })).status).toBe(204)
    expect(await rowsOf(id)).toEqual(TOMBSTONE)
    const token = await tokenOf(id, now() - 1)
    expect((await call('POST', TODOS, { ...bearer(token), body: { title: 'x' } })).status).toBe(401)
    expect(await rowsOf(id)).toEqual(TOMBSTONE)
  })

  test('comes back with a token issued later, and with no other', async () => {
    const id = newForeigner()
    await call('POST', TODOS, { as: id, body: { title: 'before' } })
    await call('DELETE', ME, { as: id })
    await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '1 hour' where id = ${id}`
    const create = async (issuedAt: number | null) =>
      (await call('POST', TODOS, { ...bearer(await tokenOf(id, issuedAt)), body: { title: 'after' } })).status
    const older = now() - 3700
    expect([await create(older), await create(null)]).toEqual([401, 401])
    expect(await rowsOf(id)).toEqual(TOMBSTONE)
    expect(await create(now() - 3500)).toBe(201)
    const read = await call('GET', TODOS, bearer(await tokenOf(id, now())))
    expect(read).toMatchObject({ status: 200, body: [{ title: 'after' }] })
    expect([await create(older), await create(null)]).toEqual([401, 401])
    expect((await call('DELETE', ME, bearer(await tokenOf(id, older)))).status).toBe(401)
    expect((await call('DELETE', ME, bearer(await tokenOf(id, now())))).status).toBe(204)
    expect(await rowsOf(id)).toEqual(TOMBSTONE)
    expect(await create(now() - 3500)).toBe(401)
  })

  test.each([0.5, -1, 1e12, 1e15, 1e300, -1e300])('may have a token issued at %d', async (issuedAt) => {
    const token = bearer(await tokenOf(newForeigner(), issuedAt))
    const statuses = []
    for (const [method, path, body] of [
      ['POST', TODOS, { title: 'x' }],
      ['GET', ME, undefined],
      ['DELETE', ME, undefined],
    ] as const) {
      statuses.push((await call(method, path, { ...token, body })).status)
    }
    expect(statuses).toEqual([201, 200, 204])
    expect((await call('GET', ME, token)).status).toBeLessThan(500)
  })

  test.each([
    ['PATCH', '', { name: 'x' }],
    ['PATCH', '', { email: 'new@example.com', current_password: PASSWORD }],
    ['POST', '/password', { current_password: PASSWORD, new_password: 'another horse' }],
    ['GET', '/sessions', undefined],
    ['DELETE', '/sessions', undefined],
    ['DELETE', '/sessions/0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f', undefined],
  ])('has no account: %s %s is 404', async (method, suffix, body) => {
    const [stranger, known] = [newForeigner(), newForeigner()]
    await call('POST', TODOS, { as: known, body: { title: 'x' } })
    for (const id of [stranger, known]) {
      const answer = await call(method, `${ME}${suffix}`, { as: id, body })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'ACCOUNT_NOT_FOUND' } })
    }
  })
})

describe('a session that has ended', () => {
  test.each([
    ['GET', '', undefined],
    ['PATCH', '', { name: 'x' }],
    ['PATCH', '', { email: 'ended@example.com', current_password: PASSWORD }],
    ['DELETE', '', { password: PASSWORD }],
    ['POST', '/password', { current_password: PASSWORD, new_password: 'another horse' }],
    ['GET', '/sessions', undefined],
    ['DELETE', '/sessions', undefined],
    ['DELETE', '/sessions/', undefined],
  ])('is 401 at %s %s', async (method, suffix, body) => {
    const session = await register()
    const other = await signIn(session)
    const { refresh_token } = session
    await call('POST', `${AUTH}/logout`, { body: { refresh_token } })
    const sessions = await call('GET', `${ME}/sessions`, as(other))
    // the other session, in the routes that name one
    const path = suffix === '/sessions/' ? `${ME}${suffix}${sessions.body[0].id}` : `${ME}${suffix}`
    const answer = await call(method, path, { ...as(session), body })
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect((await call('GET', ME, as(other))).body).toEqual(session.user)
    expect(await worthOf(other)).toEqual([200, 200])
    expect((await login(session.user.email)).status).toBe(200)
  })
})

describe('text of any kind', () => {
  test.each([
    ['SQL', "Robert'); drop table accounts; --"],
    ['placeholders', '$1 $' + '{name} %s %00 {{7*7}} \\ " `'],
    ['two directions', '👩‍👩‍👧 ünïcode \u202eright to left'],
    ['characters composed and not', 'Zo\u00eb, Zoe\u0308'],
    ['100 characters outside the basic plane', '😀'.repeat(100)],
    ['markup and white space', '  <script>alert(1)</script>\n\t'],
    ['the name of a prototype', '__proto__'],
  ])('is kept as a name: %s', async (_, name) => {
    const session = await register({ name: 'before' })
    const answer = await call('PATCH', ME, { ...as(session), body: { name } })
    expect(answer).toMatchObject({ status: 200, body: { name } })
    expect((await call('GET', ME, as(session))).body.name).toBe(name)
  })

  test.each([
    "o'brien'--@example.com",
    "'or'1'='1@example.com",
    '$1{7*7}%s%00`@example.com',
    'ÜNÏCODE@exämple.com',
    '用户@例子.测试',
    `${'x'.repeat(64)}@${'y'.repeat(63)}.${'z'.repeat(63)}.${'w'.repeat(57)}.com`,
  ])('is kept as an e-mail address: %s', async (email) => {
    const session = await register()
    const answer = await call('PATCH', ME, { ...as(session), body: { email, current_password: PASSWORD } })
    expect(answer).toMatchObject({ status: 200, body: { email } })
    expect((await call('GET', ME, as(session))).body.email).toBe(email)
    expect((await login(email)).status).toBe(200)
  })

  test.each([
    ['SQL', "'; drop table accounts; --@example.com"],
    ['NUL', 'ann@example.com\0'],
    ['a line break', 'ann@example.com\n'],
    ['a lone surrogate', '\ud800@example.com'],
    ['a change of direction', '\u202eann@example.com'],
    ['60,000 characters', 'x'.repeat(60_000)],
  ])('that is no e-mail address is refused without an error: %s', async (_, email) => {
    const session = await register()
    const answer = await call('PATCH', ME, { ...as(session), body: { email, current_password: PASSWORD } })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/email' }] } })
  })

  test.each([
    ['SQL', "'; drop table accounts; --"],
    ['what looks like a hash', '$2b$10$ $argon2id$v=19$'],
    ['two directions', '👩‍👩‍👧 pässwörd \u202e'],
    ['128 characters outside the basic plane', '😀'.repeat(128)],
    ['spaces', '        '],
    ['control characters', 'tab\tnewline\n\u0001\u007f'],
  ])('can be a password: %s', async (_, password) => {
    const session = await register()
    const body = { current_password: PASSWORD, new_password: password }
    expect((await call('POST', `${ME}/password`, { ...as(session), body })).status).toBe(204)
    expect((await login(session.user.email, password)).status).toBe(200)
    expect((await login(session.user.email, `${password}x`)).status).toBe(401)
    expect((await call('DELETE', ME, { ...as(session), body: { password } })).status).toBe(204)
  })

  test.each([
    ['NUL', '"a\\u0000b"'],
    ['a lone surrogate', '"a\\ud800b"'],
    ['far too long', JSON.stringify('x'.repeat(60_000))],
    ['empty', '""'],
  ])('that cannot be a password is refused as the current one without an error: %s', async (_, password) => {
    const session = await register()
    for (const [method, suffix, body] of [
      ['PATCH', '', `{"name":"x","current_password":${password}}`],
      ['POST', '/password', `{"new_password":"another horse","current_password":${password}}`],
      ['DELETE', '', `{"password":${password}}`],
    ] as const) {
      expect((await call(method, `${ME}${suffix}`, { ...as(session), body })).status).toBe(422)
    }
  })

  test('can be the id of a foreign user, who can be read and deleted', async () => {
    for (const id of ["'; drop table users; --", 'ü 50% 👩‍👩‍👧', '\u202e', 'x'.repeat(255)]) {
      expect((await call('GET', ME, { as: id })).body.id).toBe(id)
      expect((await call('DELETE', ME, { as: id })).status).toBe(204)
      expect((await call('GET', ME, { as: id })).status).toBe(401)
    }
  })
})
