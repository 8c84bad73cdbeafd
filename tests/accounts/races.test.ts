import { afterAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { decodeJwt, SignJWT } from 'jose'
import type { Tokens } from '../../src/accounts/model'
import * as queries from '../../src/accounts/queries'
import { openPool, type Pool } from '../../src/database/pool'
import { createTask } from '../../src/tasks/queries'
import { type Answer, SECRET, testApp } from '../support/app'

const { call, sql, url } = await testApp()
const AUTH = '/api/v1/auth'
const ME = '/api/v1/users/me'
const TODOS = '/api/v1/todos'
const PASSWORD = 'correct horse battery staple'
const NEXT_PASSWORD = 'another horse, another staple'

/** Connections beside the app's, so that the app can use all of its own. */
const others = openPool({ url, poolSize: 2 })
afterAll(() => others.end())

type Action<T> = () => Promise<T>

/**
 * Runs something in a transaction that stays open. Starts each action once the one before it waits, and then lets them
 * all continue: PostgreSQL gives a row's lock to the waiting statements in order.
 */
async function inOrder<T>(first: (holder: Pool) => Promise<unknown>, ...actions: Action<T>[]): Promise<T[]> {
  const holder = await others.reserve()
  const started: Promise<T>[] = []
  let ended = 0
  await holder`begin`
  try {
    await first(holder)
    for (const action of actions) {
      started.push(action().finally(() => ended++))
      while ((await waiting()) < started.length && ended === 0);
    }
    expect(ended, 'none may end before the first').toBe(0)
  } finally {
    await holder`commit`
    holder.release()
  }
  return Promise.all(started)
}

async function waiting(): Promise<number> {
  const rows = await others`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return rows.length
}

const atOnce = <T>(count: number, action: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => action(index)))

/** Repeats a request until it is refused. @returns all answers; the refusal is the last */
async function untilRefused(action: () => Promise<Answer>): Promise<Answer[]> {
  const answers = [await action()]
  while ((answers.at(-1)?.status ?? 0) < 400) answers.push(await action())
  return answers
}

const statusesOf = (answers: Answer[]) => answers.map(({ status }) => status).toSorted()

let users = 0
const newEmail = () => `ann.${++users}@example.com`
const newForeigner = () => `foreigner-${++users}`

const tryToRegister = (email: string) =>
  call('POST', `${AUTH}/register`, { body: { email, password: PASSWORD } })

async function register(): Promise<Tokens> {
  return (await tryToRegister(newEmail())).body
}

const login = ({ user }: Tokens) =>
  call('POST', `${AUTH}/login`, { body: { email: user.email, password: PASSWORD } })

async function signIn(session: Tokens): Promise<Tokens> {
  return (await login(session)).body
}

const refresh = ({ refresh_token }: Pick<Tokens, 'refresh_token'>) =>
  call('POST', `${AUTH}/refresh`, { body: { refresh_token } })

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const as = ({ access_token }: Tokens) => bearer(access_token)

const sessionIdOf = ({ access_token }: Tokens) => String(decodeJwt(access_token)['sid'])

const changeEmail = (session: Tokens, email: string | null = newEmail()) =>
  call('PATCH', ME, { ...as(session), body: { email, current_password: PASSWORD } })

const changePassword = (session: Tokens) =>
  call('POST', `${ME}/password`, {
    ...as(session),
    body: { current_password: PASSWORD, new_password: NEXT_PASSWORD },
  })

const endOthers = (session: Tokens) => call('DELETE', `${ME}/sessions`, as(session))

const deleteAccount = (session: Tokens) =>
  call('DELETE', ME, { ...as(session), body: { password: PASSWORD } })

/** A well-formed hash that no password has. */
const NOBODYS_HASH = `$2b$04$${'x'.repeat(53)}`

/** A new account, for a transaction of these tests. */
const accountOf = (email: string): queries.NewAccount => ({
  userId: crypto.randomUUID(),
  email,
  name: null,
  passwordHash: NOBODYS_HASH,
  sessionId: crypto.randomUUID(),
  tokenHash: randomBytes(32),
  userAgent: null,
})

/** When these tests issue tokens: before the user can be deleted. */
const A_MINUTE_AGO = Math.floor(Date.now() / 1000) - 60

const callerOf = (id: string) => ({
  id,
  issuedAt: A_MINUTE_AGO,
  expiresAt: Date.now() / 1000 + 3600,
  sessionId: null,
  tokenId: null,
  scopes: null,
})

function tokenOf(id: string): Promise<string> {
  return new SignJWT({ sub: id, iat: A_MINUTE_AGO })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))
}

const lockAccount = (session: Tokens) => (holder: Pool) =>
  holder`select from accounts where user_id = ${session.user.id} for update`

const lockUser = (id: string) => (holder: Pool) => holder`select from users where id = ${id} for update`

async function sessionsOf({ user }: Tokens): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from sessions where user_id = ${user.id}`
  return rows.map(({ id }) => id)
}

/** Checks that only the tombstone of a deleted user is left, and that no token brings back more. */
async function expectGone(id: string): Promise<void> {
  const token = bearer(await tokenOf(id))
  expect((await call('GET', ME, token)).status).toBe(401)
  expect((await call('POST', TODOS, { ...token, body: { title: 'later' } })).status).toBe(401)
  const rows = await sql`
    select
      (select count(*) from users where id = ${id}) as users,
      (select count(*) from users where id = ${id} and refuse_tokens_until is not null) as tombstones,
      (select count(*) from accounts where user_id = ${id}) as accounts,
      (select count(*) from sessions where user_id = ${id}) as sessions,
      (select count(*) from tasks where user_id = ${id}) as tasks`
  expect([...rows]).toEqual([{ users: 1, tombstones: 1, accounts: 0, sessions: 0, tasks: 0 }])
}

describe('registering', () => {
  test.each([2, 50])('%i times concurrently with one e-mail address creates one account', async (count) => {
    const email = newEmail()
    const answers = await atOnce(count, (index) => tryToRegister(index % 2 ? email : email.toUpperCase()))
    expect(statusesOf(answers)).toEqual([201, ...Array(count - 1).fill(409)])
    const rows = await sql`
      select accounts.user_id from accounts join users on users.id = user_id join sessions using (user_id)
      where email_key(email) = email_key(${email})`
    expect(rows.map(({ user_id }) => user_id)).toEqual(
      answers.filter(({ status }) => status === 201).map(({ body }) => body.user.id),
    )
  })

  test('waits for another user who is taking the address', async () => {
    const email = newEmail()
    const take = (holder: Pool) => queries.createAccount(holder, accountOf(email))
    const [answer] = await inOrder(take, () => tryToRegister(email.toUpperCase()))
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
  })

  test('gets the address of an account that is being deleted', async () => {
    const session = await register()
    const { email, id } = session.user
    const leave = async (holder: Pool) => {
      const { password_hash = '' } = (await queries.findByEmail(holder, email ?? '')) ?? {}
      await queries.deleteAccount(holder, callerOf(id), password_hash)
    }
    const [answer] = await inOrder(leave, () => tryToRegister(email ?? ''))
    expect(answer).toMatchObject({ status: 201, body: { user: { email } } })
    await expectGone(id)
  })
})

describe('one refresh token', () => {
  const lockSession = (session: Tokens) => (holder: Pool) =>
    holder`select from sessions where id = ${sessionIdOf(session)} for update`

  /** Checks that the refresh token of a session and the next one are accepted. */
  async function expectAlive(session: Tokens): Promise<void> {
    const next = await refresh(session)
    expect(next.status).toBe(200)
    expect((await call('GET', ME, as(next.body))).status).toBe(200)
    expect((await refresh(next.body)).status).toBe(200)
  }

  test('used twice concurrently gives two pairs of one session', async () => {
    const session = await register()
    const use = () => refresh(session)
    const [first, second] = await inOrder(lockSession(session), use, use)
    expect([first?.status, second?.status]).toEqual([200, 200])
    expect(first?.body.refresh_token).not.toBe(second?.body.refresh_token)
    expect(await sessionsOf(session)).toEqual([sessionIdOf(first?.body)])
    await expectAlive(first?.body)
  })

  test('used three times concurrently is refused the third time, and the session lives', async () => {
    const session = await register()
    const use = () => refresh(session)
    // of two that wait behind the first, PostgreSQL may let either go on first
    const [, ...later] = await inOrder(lockSession(session), use, use, use)
    const [second, third] = later.sort((one, other) => one.status - other.status)
    expect(second?.status).toBe(200)
    expect(third).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    await expectAlive(second?.body)
  })

  test('used fifty times concurrently gives two pairs, and the session lives', async () => {
    const session = await register()
    const answers = await atOnce(50, () => refresh(session))
    expect(statusesOf(answers)).toEqual([200, 200, ...Array(48).fill(401)])
    expect(await sessionsOf(session)).toHaveLength(1)
    await expectAlive(answers.find(({ status }) => status === 200)?.body)
  })

  const ENDS: [string, (session: Tokens, other: Tokens) => Promise<Answer>][] = [
    ['signing out', ({ refresh_token }) => call('POST', `${AUTH}/logout`, { body: { refresh_token } })],
    ['ending it', (session, other) => call('DELETE', `${ME}/sessions/${sessionIdOf(session)}`, as(other))],
    ['ending all others', (_, other) => endOthers(other)],
    ['another password', (_, other) => changePassword(other)],
    ['another e-mail address', (_, other) => changeEmail(other)],
    ['the end of the account', (_, other) => deleteAccount(other)],
  ]

  /** Checks that no token of the session works, and that no row of it is left. */
  async function expectEnded(...pairs: Tokens[]): Promise<void> {
    for (const each of pairs) {
      expect((await refresh(each)).status).toBe(401)
      expect((await call('GET', ME, as(each))).status).toBe(401)
    }
    const ids = pairs.map(sessionIdOf)
    const left = await sql`
      select id from sessions where id = any(${ids}::uuid[])
      union all select session_id from refresh_tokens where session_id = any(${ids}::uuid[])`
    expect([...left]).toEqual([])
  }

  test.each(ENDS)('used just before %s does not work afterwards', async (_, end) => {
    const session = await register()
    const other = await signIn(session)
    const [used, ended] = await inOrder(
      lockSession(session),
      () => refresh(session),
      () => end(session, other),
    )
    expect(used?.status).toBe(200)
    expect([200, 204]).toContain(ended?.status ?? 0)
    await expectEnded(session, used?.body)
  })

  test.each(ENDS)('used just after %s is refused', async (_, end) => {
    const session = await register()
    const other = await signIn(session)
    const [ended, used] = await inOrder(
      lockSession(session),
      () => end(session, other),
      () => refresh(session),
    )
    expect([200, 204]).toContain(ended?.status ?? 0)
    expect(used?.status).toBe(401)
    await expectEnded(session)
  })

  test.each(ENDS)('used again and again during %s does not work afterwards', async (_, end) => {
    const session = await register()
    const other = await signIn(session)
    const pairs = [session]
    const use = async () => {
      const answer = await refresh(pairs.at(-1) ?? session)
      if (answer.status === 200) pairs.push(answer.body)
      return answer
    }
    const [ended, used] = await Promise.all([end(session, other), untilRefused(use)])
    expect([200, 204]).toContain(ended.status)
    expect(used.at(-1)?.status).toBe(401)
    await expectEnded(...pairs)
  })

  test('used during all of these at once does not work afterwards, and no request fails', async () => {
    const session = await register()
    const other = await signIn(session)
    const answers = await Promise.all([
      ...Array.from({ length: 25 }, () => refresh(session)),
      ...ENDS.map(([, end]) => end(session, other)),
      ...Array.from({ length: 25 }, () => refresh(session)),
    ])
    expect(statusesOf(answers).at(-1)).toBeLessThan(500)
    await expectEnded(session, ...answers.map(({ body }) => body).filter((body) => body.access_token))
  })
})

describe('signing in', () => {
  const WAYS_TO_END: [string, (session: Tokens) => Promise<Answer>][] = [
    ['another password', changePassword],
    ['another e-mail address', (session) => changeEmail(session)],
    ['ending all others', endOthers],
  ]

  test.each(WAYS_TO_END)('just before %s leaves no session', async (_, end) => {
    const session = await register()
    const [signedIn, ended] = await inOrder(
      lockAccount(session),
      () => login(session),
      () => end(session),
    )
    expect([200, 204]).toContain(ended?.status ?? 0)
    expect(signedIn?.status).toBe(200)
    expect(await sessionsOf(session)).toEqual([sessionIdOf(session)])
    expect((await refresh(signedIn?.body)).status).toBe(401)
  })

  test('out everywhere else, from two sessions concurrently, leaves one of them', async () => {
    const one = await register()
    const two = await signIn(one)
    const answers = await inOrder(
      lockAccount(one),
      () => endOthers(one),
      () => endOthers(two),
    )
    expect(answers.map(({ status }) => status)).toEqual([204, 401])
    expect(await sessionsOf(one)).toEqual([sessionIdOf(one)])
  })

  test.each([
    ['the password', changePassword],
    ['the e-mail address', (session: Tokens) => changeEmail(session)],
    ['the name', (session: Tokens) => call('PATCH', ME, { ...as(session), body: { name: 'x' } })],
    ['the account to none', deleteAccount],
  ])('out somewhere just before that session changes %s refuses it', async (_, change) => {
    const session = await register()
    const thief = await signIn(session)
    const [ended, changed] = await inOrder(
      lockAccount(session),
      () => endOthers(session),
      () => change(thief),
    )
    expect(ended?.status).toBe(204)
    expect(changed).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect((await login(session)).status).toBe(200)
  })

  test('with the old password just after it has changed is refused', async () => {
    const session = await register()
    const [changed, signedIn] = await inOrder(
      lockAccount(session),
      () => changePassword(session),
      () => login(session),
    )
    expect(changed?.status).toBe(204)
    expect(signedIn).toMatchObject({ status: 401, body: { error_code: 'INVALID_CREDENTIALS' } })
    expect(await sessionsOf(session)).toEqual([sessionIdOf(session)])
  })

  test('just before the account is deleted gives tokens that do not work', async () => {
    const session = await register()
    const [signedIn, ended] = await inOrder(
      lockAccount(session),
      () => login(session),
      () => deleteAccount(session),
    )
    expect([signedIn?.status, ended?.status]).toEqual([200, 204])
    expect((await refresh(signedIn?.body)).status).toBe(401)
    await expectGone(session.user.id)
  })

  test('just after the account was deleted is refused', async () => {
    const session = await register()
    const [ended, signedIn] = await inOrder(
      lockAccount(session),
      () => deleteAccount(session),
      () => login(session),
    )
    expect([ended?.status, signedIn?.status]).toEqual([204, 401])
    await expectGone(session.user.id)
  })

  test('again and again while the password changes leaves only sessions of the new one', async () => {
    const session = await register()
    const [changed, ...signedIn] = await Promise.all([
      changePassword(session),
      ...Array.from({ length: 4 }, () => untilRefused(() => login(session))),
    ])
    expect(changed.status).toBe(204)
    expect(signedIn.map((answers) => answers.at(-1)?.status)).toEqual(Array(4).fill(401))
    expect(await sessionsOf(session)).toEqual([sessionIdOf(session)])
  })
})

describe('two concurrent changes of one account:', () => {
  test('of two new passwords from two sessions, the first signs out the second', async () => {
    const session = await register()
    const other = await signIn(session)
    const answers = await inOrder(
      lockAccount(session),
      () => changePassword(session),
      () => changePassword(other),
    )
    expect(answers.map(({ status }) => status)).toEqual([204, 401])
    expect(await sessionsOf(session)).toEqual([sessionIdOf(session)])
  })

  test('of two new passwords from one session, the second has the wrong current one', async () => {
    const session = await register()
    const change = () => changePassword(session)
    const answers = await inOrder(lockAccount(session), change, change)
    expect(answers.map(({ status }) => status)).toEqual([204, 403])
  })

  test('a deletion with the old password just after it has changed is refused', async () => {
    const session = await register()
    const [changed, left] = await inOrder(
      lockAccount(session),
      () => changePassword(session),
      () => deleteAccount(session),
    )
    expect(changed?.status).toBe(204)
    expect(left).toMatchObject({ status: 403, body: { error_code: 'WRONG_PASSWORD' } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
  })

  test('a new e-mail address with the old password just after it has changed is refused', async () => {
    const session = await register()
    const [changed, refused] = await inOrder(
      lockAccount(session),
      () => changePassword(session),
      () => changeEmail(session),
    )
    expect(changed?.status).toBe(204)
    expect(refused).toMatchObject({ status: 403, body: { error_code: 'WRONG_PASSWORD' } })
    expect((await call('GET', ME, as(session))).body).toEqual(session.user)
  })
})

describe('one e-mail address for two users', () => {
  test('who change to it concurrently goes to one', async () => {
    const sessions = await atOnce(10, register)
    const email = newEmail()
    const answers = await Promise.all(sessions.map((session) => changeEmail(session, email)))
    expect(statusesOf(answers)).toEqual([200, ...Array(9).fill(409)])
    expect(await sql`select email from accounts where email_key(email) = email_key(${email})`).toHaveLength(1)
  })

  test('is refused to the user who changes to it just after the other', async () => {
    const [first, second] = [await register(), await register()]
    const email = newEmail()
    const take = (holder: Pool) =>
      queries.updateAccount(holder, callerOf(first.user.id), { name: undefined, email, passwordHash: null })
    const [answer] = await inOrder(take, () => changeEmail(second, email.toUpperCase()))
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
    expect((await call('GET', ME, as(second))).body).toEqual(second.user)
  })

  test('is refused to a new user who registers just after another has changed to it', async () => {
    const { user } = await register()
    const email = newEmail()
    const take = (holder: Pool) =>
      queries.updateAccount(holder, callerOf(user.id), { name: undefined, email, passwordHash: null })
    const [answer] = await inOrder(take, () => tryToRegister(email))
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
  })

  test('is refused to a user who changes to it just after another has registered', async () => {
    const session = await register()
    const email = newEmail()
    const take = (holder: Pool) => queries.createAccount(holder, accountOf(email))
    const [answer] = await inOrder(take, () => changeEmail(session, email))
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
  })

  test('who want to swap addresses is refused to both, and does not fail', async () => {
    const [a, b] = [await register(), await register()]
    // an index that is written before the one of addresses, and waits: each has changed its row before either checks it
    const [index] = await sql<{ definition: string }[]>`
      select pg_get_indexdef('accounts_email_key'::regclass) as definition`
    await sql`create function wait(text) returns text language plpgsql immutable
      as 'begin perform pg_advisory_xact_lock_shared(1); return null; end'`
    await sql`drop index accounts_email_key`
    await sql`create index accounts_wait on accounts (wait(email))`
    await sql.unsafe(index?.definition ?? '')
    const answers = await inOrder(
      (holder) => holder`select pg_advisory_xact_lock(1)`,
      () => changeEmail(a, b.user.email),
      () => changeEmail(b, a.user.email),
    )
    await sql`drop index accounts_wait`
    expect(statusesOf(answers)).toEqual([409, 409])
  })
})

describe('deleting oneself', () => {
  const title = { title: 'x' }

  /** Both kinds of users: how they are created, and the body of their deletion. */
  const USERS: [string, () => Promise<{ id: string; body: unknown }>][] = [
    ['an account', async () => ({ id: (await register()).user.id, body: { password: PASSWORD } })],
    ['a foreign user', async () => ({ id: newForeigner(), body: undefined })],
  ]

  const WRITES: [string, number, (id: string, task: number) => Promise<Answer>][] = [
    ['a new task', 201, async (id) => call('POST', TODOS, { ...bearer(await tokenOf(id)), body: title })],
    [
      'a changed task',
      200,
      async (id, task) => call('PUT', `${TODOS}/${task}`, { ...bearer(await tokenOf(id)), body: title }),
    ],
    [
      'a completed task',
      200,
      async (id, task) => call('PATCH', `${TODOS}/${task}/complete`, bearer(await tokenOf(id))),
    ],
    [
      'a deleted task',
      204,
      async (id, task) => call('DELETE', `${TODOS}/${task}`, bearer(await tokenOf(id))),
    ],
    ['a ticket', 200, async (id) => call('POST', `${TODOS}/events/ticket`, bearer(await tokenOf(id)))],
  ]

  const CASES = USERS.flatMap(([kind, make]) =>
    WRITES.map(([what, status, write]) => [kind, what, status, make, write] as const),
  )

  async function prepare(make: (typeof USERS)[number][1]) {
    const { id, body } = await make()
    const token = bearer(await tokenOf(id))
    const { body: task } = await call('POST', TODOS, { ...token, body: title })
    return { id, task: task.id as number, leave: () => call('DELETE', ME, { ...token, body }) }
  }

  test.each(CASES)(
    'of %s just after %s deletes what was written',
    async (_kind, _what, status, make, write) => {
      const { id, task, leave } = await prepare(make)
      const answers = await inOrder(lockUser(id), () => write(id, task), leave)
      expect(answers.map((each) => each.status)).toEqual([status, 204])
      await expectGone(id)
    },
  )

  test.each(CASES)('of %s just before %s refuses it', async (_kind, _what, _status, make, write) => {
    const { id, task, leave } = await prepare(make)
    const answers = await inOrder(lockUser(id), leave, () => write(id, task))
    expect(answers.map((each) => each.status)).toEqual([204, 401])
    await expectGone(id)
  })

  test.each(USERS)('of %s during writes of all kinds leaves nothing', async (_, make) => {
    const { id, task, leave } = await prepare(make)
    const [left, ...written] = await Promise.all([
      leave(),
      ...WRITES.map(([, , write]) => untilRefused(() => write(id, task))),
      ...WRITES.map(([, , write]) => untilRefused(() => write(id, task))),
    ])
    expect(left.status).toBe(204)
    // the one task may have been deleted before its owner was
    for (const answers of written) expect([401, 404]).toContain(answers.at(-1)?.status ?? 0)
    await expectGone(id)
  })

  test.each(USERS)('of %s twice concurrently succeeds once', async (_, make) => {
    const { id, leave } = await prepare(make)
    const answers = await inOrder(lockUser(id), leave, leave)
    expect(answers.map(({ status }) => status)).toEqual([204, 401])
    await expectGone(id)
  })

  test.each(USERS)('of %s fifty times concurrently succeeds once', async (_, make) => {
    const { id, leave } = await prepare(make)
    expect(statusesOf(await atOnce(50, leave))).toEqual([204, ...Array(49).fill(401)])
    await expectGone(id)
  })

  test('of a foreign user who never wrote, fifty times concurrently, succeeds once', async () => {
    const token = bearer(await tokenOf('never-wrote'))
    expect(statusesOf(await atOnce(50, () => call('DELETE', ME, token)))).toEqual([
      204,
      ...Array(49).fill(401),
    ])
    await expectGone('never-wrote')
  })

  test('of a foreign user just after their first write deletes what was written', async () => {
    const id = newForeigner()
    const token = bearer(await tokenOf(id))
    const write = (holder: Pool) => createTask(holder, callerOf(id), title)
    const [left] = await inOrder(write, () => call('DELETE', ME, token))
    expect(left?.status).toBe(204)
    await expectGone(id)
  })

  test('of a foreign user just before their first write refuses it', async () => {
    const id = newForeigner()
    const token = bearer(await tokenOf(id))
    const leave = (holder: Pool) => queries.deleteUser(holder, callerOf(id))
    const [written] = await inOrder(leave, () => call('POST', TODOS, { ...token, body: title }))
    expect(written?.status).toBe(401)
    await expectGone(id)
  })

  test('of a foreign user during their first writes leaves nothing', async () => {
    const id = newForeigner()
    const token = bearer(await tokenOf(id))
    const write = () => call('POST', TODOS, { ...token, body: title })
    const [before, left, after] = await Promise.all([
      atOnce(4, () => untilRefused(write)),
      call('DELETE', ME, token),
      atOnce(4, () => untilRefused(write)),
    ])
    expect(left.status).toBe(204)
    for (const answers of [...before, ...after]) expect(answers.at(-1)?.status).toBe(401)
    await expectGone(id)
  })
})
