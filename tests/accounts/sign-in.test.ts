import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { decodeJwt, jwtVerify } from 'jose'
import pLimit from 'p-limit'
import type { Tokens } from '../../src/accounts/model'
import { type Answer, type Call, SECRET, testApp } from '../support/app'

const { app, call, sql, settings } = await testApp()
const AUTH = '/api/v1/auth'
const ACTIONS = ['register', 'login', 'refresh', 'logout']
const PASSWORD = 'correct horse battery staple'
const CURRENT_KIND = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/

let people = 0
/** Each test has its own address. */
const newEmail = () => `ann.${++people}@example.com`

function post(action: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return call('POST', `${AUTH}/${action}`, { body, headers })
}

async function signUp(fields: object = {}, headers: Record<string, string> = {}): Promise<Tokens> {
  const { status, body } = await post(
    'register',
    { email: newEmail(), password: PASSWORD, ...fields },
    headers,
  )
  expect(status).toBe(201)
  return body
}

const logIn = (email: string | null, password = PASSWORD) => post('login', { email, password })
const refresh = (refresh_token: string) => post('refresh', { refresh_token })

/** Refreshes with a valid token. @returns the next one */
async function nextOf(refreshToken: string): Promise<string> {
  const { status, body } = await refresh(refreshToken)
  expect(status).toBe(200)
  return body.refresh_token
}

/** Refreshes with each token, in this order, and checks that it is refused. */
async function expectRefused(...refreshTokens: string[]): Promise<void> {
  for (const token of refreshTokens) {
    expect(await refresh(token)).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
  }
}

/** Moves the user's last refresh this much further into the past. */
async function secondsPass(seconds: number, { user }: Tokens): Promise<void> {
  await sql`
    update sessions set rotated_at = rotated_at - ${seconds} * interval '1 second' where user_id = ${user.id}`
}

const sessionsOf = ({ user }: Tokens) =>
  sql<{ id: string; user_agent: string | null }[]>`
    select id, user_agent from sessions where user_id = ${user.id}`

/** Creates a user with a hash from another system. */
async function bringUser(passwordHash: string): Promise<string> {
  const email = newEmail()
  await sql`
    with owner as (insert into users (id) values (${crypto.randomUUID()}) returning id)
    insert into accounts (user_id, email, password_hash) select id, ${email}, ${passwordHash} from owner`
  return email
}

async function storedHash(email: string | null): Promise<string> {
  const [account] = await sql<{ password_hash: string }[]>`
    select password_hash from accounts where email = ${email}`
  return account?.password_hash ?? ''
}

const argon2id = (memoryCost: number, timeCost: number) =>
  Bun.password.hash(PASSWORD, { algorithm: 'argon2id', memoryCost, timeCost })

const bcrypt = (password = PASSWORD) => Bun.password.hash(password, { algorithm: 'bcrypt', cost: 4 })

describe('registering', () => {
  test('answers 201 with tokens and the user', async () => {
    const email = newEmail()
    const { status, headers, body } = await post('register', { email, password: PASSWORD, name: 'Ann' })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 1800,
      refresh_token: expect.stringMatching(/^[\w-]{43}$/),
      user: {
        id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/),
        email,
        name: 'Ann',
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      },
    })
  })

  test('gives an access token that names the user and the session, and no more', async () => {
    const tokens = await signUp()
    const [session] = await sessionsOf(tokens)
    const { payload, protectedHeader } = await jwtVerify(
      tokens.access_token,
      new TextEncoder().encode(SECRET),
    )
    expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT' })
    expect(payload).toEqual({
      sub: tokens.user.id,
      iss: 'taskwell',
      sid: String(session?.id),
      jti: expect.any(String),
      iat: expect.any(Number),
      exp: Number(payload.iat) + 1800,
    })
  })

  test('gives an access token that works on the other routes', async () => {
    const { access_token, user } = await signUp()
    const created = await call('POST', '/api/v1/todos', {
      body: { title: 'Milk' },
      headers: { authorization: `Bearer ${access_token}` },
    })
    expect(created).toMatchObject({ status: 201, body: { user_id: user.id } })
  })

  test('gives access tokens that last as long as the settings say', async () => {
    const other = await testApp({ JWT_EXPIRE_MINUTES: '7' })
    const { body } = await other.call('POST', `${AUTH}/register`, {
      body: { email: newEmail(), password: PASSWORD },
    })
    const { iat = 0, exp } = decodeJwt(body.access_token)
    expect(body.expires_in).toBe(420)
    expect(exp).toBe(iat + 420)
  })

  test.each([
    ['no name', {}, null],
    ['null', { name: null }, null],
    ['one character', { name: 'x' }, 'x'],
    ['100 characters', { name: 'x'.repeat(100) }, 'x'.repeat(100)],
    ['100 characters outside the basic plane', { name: '😀'.repeat(100) }, '😀'.repeat(100)],
    ['spaces around it, which it keeps', { name: ' Ann\t' }, ' Ann\t'],
  ])('accepts as a name %s', async (_, fields, name) => {
    expect((await signUp(fields)).user.name).toBe(name)
  })

  test.each([
    ['an empty one', ''],
    ['101 characters', 'x'.repeat(101)],
    ['101 characters outside the basic plane', '😀'.repeat(101)],
    ['spaces', '   '],
    ['white space that is not ASCII', '\u00a0\u2003\u3000\u0085\u2028'],
    ['NUL', 'a\0b'],
    ['a lone surrogate', 'a\ud800b'],
    ['a number', 5],
    ['a list', ['Ann']],
  ])('refuses as a name %s', async (_, name) => {
    const answer = await post('register', { email: newEmail(), password: PASSWORD, name })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '/name' }] } })
    expect(answer.body.errors).toHaveLength(1)
  })

  const CHARACTERS = 'zyxwvuts'.repeat(17)

  test.each([
    ['8 characters', CHARACTERS.slice(0, 8)],
    ['8 characters outside the basic plane', '😀'.repeat(8)],
    ['128 characters', CHARACTERS.slice(0, 128)],
    ['128 characters outside the basic plane', '😀'.repeat(128)],
    ['spaces', ' '.repeat(9)],
  ])('accepts a password of %s, which signs in', async (_, password) => {
    const { user } = await signUp({ password })
    expect(await logIn(user.email, password)).toMatchObject({ status: 200, body: { user } })
  })

  test.each([
    ['of 7 characters', CHARACTERS.slice(0, 7)],
    ['of 7 characters that are 14 UTF-16 units', '😀'.repeat(7)],
    ['of 129 characters', CHARACTERS.slice(0, 129)],
    ['of 129 characters outside the basic plane', '😀'.repeat(129)],
    ['that is empty', ''],
    ['with NUL', 'correct horse\0battery'],
    ['with a lone surrogate', 'correct horse \udfff'],
    ['that is null', null],
    ['that is a number', 1_234_567_890],
    ['that is a list', [PASSWORD]],
    ['that is tried first', 'Password1'],
  ])('refuses a password %s', async (_, password) => {
    const email = newEmail()
    const answer = await post('register', { email, password })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '/password' }] } })
    expect(answer.body.errors).toHaveLength(1)
    await signUp({ email })
  })

  test('refuses the e-mail address as password, in any case', async () => {
    const email = newEmail()
    for (const password of [email, email.toUpperCase()]) {
      const answer = await post('register', { email, password })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '/password' }] } })
      expect(JSON.stringify(answer.body).toLowerCase()).not.toContain(email)
    }
  })
})

describe('an e-mail address', () => {
  const LABELS = `${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`

  test.each([
    ['a@b.co'],
    ['First.Last+tag@sub.example.co.uk'],
    ["o'hara_{x}|!#$%&*/=?^`~-@example.com"],
    ['1@2.example'],
    ['ann@127.example'],
    ['ann@xn--bcher-kva.example'],
    ['zoë@bücher.example'],
    ['zoe\u0308.decomposed@example.com'],
    ['用户@例子.广告'],
    ['अजय@डाटा.भारत'],
    ['δοκιμή@παράδειγμα.δοκιμή'],
    ['ايميل@مثال.السعودية'],
    [`${'a'.repeat(64)}@example.com`],
    [`${'𠮷'.repeat(64)}@example.com`],
    [`${'a'.repeat(64)}@${LABELS}`],
    [`${'𠮷'.repeat(64)}@${LABELS.replaceAll(/\w/g, '𠮷')}`],
  ])('may be %s, and is kept as it is', async (email) => {
    expect((await signUp({ email })).user.email).toBe(email)
    expect((await logIn(email)).body.user.email).toBe(email)
  })

  test.each([
    ['empty', ''],
    ['without an at sign', 'ann.example.com'],
    ['without a local part', '@example.com'],
    ['without a domain', 'ann@'],
    ['with two at signs', 'ann@bob@example.com'],
    ['with two at signs in a row', 'ann@@example.com'],
    ['with a domain without a dot', 'ann@localhost'],
    ['with a quoted local part', '"ann"@example.com'],
    ['with a space in quotes', '"ann smith"@example.com'],
    ['with a name before it', 'Ann <ann@example.com>'],
    ['with a comment', 'ann(work)@example.com'],
    ['with a scheme', 'mailto:ann@example.com'],
    ['that is two', 'ann@example.com,bob@example.com'],
    ['with a dot at the beginning', '.ann@example.com'],
    ['with a dot before the at sign', 'ann.@example.com'],
    ['with two dots', 'an..n@example.com'],
    ['with a dot after the at sign', 'ann@.example.com'],
    ['with a dot at the end', 'ann@example.com.'],
    ['with two dots in the domain', 'ann@example..com'],
    ['with a hyphen before a label', 'ann@-example.com'],
    ['with a hyphen after a label', 'ann@example-.com'],
    ['with an underscore in the domain', 'ann@exam_ple.com'],
    ['with an address by number', 'ann@127.0.0.1'],
    ['with an address by number in brackets', 'ann@[127.0.0.1]'],
    ['with a last label that is a number', 'ann@example.123'],
    ['with a last label that is a number of another script', 'ann@example.१२३'],
    ['with a local part of 65 characters', `${'a'.repeat(65)}@example.com`],
    ['with a label of 64 characters', `ann@${'a'.repeat(64)}.com`],
    ['of 255 characters', `${'a'.repeat(64)}@${LABELS}d`],
    ['of sixty thousand characters', `${'a.'.repeat(30_000)}@example.com`],
    ['with a space before it', ' ann@example.com'],
    ['with a space after it', 'ann@example.com '],
    ['with a space in the local part', 'an n@example.com'],
    ['with a space in the domain', 'ann@exam ple.com'],
    ['with a space that is not ASCII', 'an\u00a0n@example.com'],
    ['with a line feed after it', 'ann@example.com\n'],
    ['with a header after it', 'ann@example.com\r\nBcc: bob@example.com'],
    ['with a tab', 'ann\t@example.com'],
    ['with DEL', 'ann\u007f@example.com'],
    ['with NUL', 'ann\0@example.com'],
    ['with NUL in the domain', 'ann@example\0.com'],
    ['with a lone surrogate', 'ann\ud800@example.com'],
    ['with a lone surrogate in the domain', 'ann@exam\udfffple.com'],
    ['with a zero-width space', 'ann\u200b@example.com'],
    ['with a change of direction', 'ann\u202e@example.com'],
    ['with an emoji', '😀@example.com'],
    ['that is null', null],
    ['that is a number', 5],
    ['that is a list', ['ann@example.com']],
    ['that is an object', { $ne: null }],
  ])('cannot be one %s', async (_, email) => {
    for (const action of ['register', 'login']) {
      const answer = await post(action, { email, password: PASSWORD })
      expect(answer).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_ERROR' } })
      expect(answer.body.errors).toEqual([{ in: 'body', pointer: '/email', detail: expect.any(String) }])
    }
  })

  test.each([
    ['in another case', 'Ann.Taken@Example.com', 'aNN.tAKEN@eXAMPLE.COM'],
    ['in another case beyond ASCII', 'žofie@example.com', 'ŽOFIE@EXAMPLE.COM'],
    ['with ß spelt out', 'straße@example.com', 'STRASSE@example.com'],
    ['with ß where it was spelt out', 'GRÜSSE@example.com', 'grüße@example.com'],
    ['with the capital ß', 'groß@example.com', 'GRO\u1e9e@example.com'],
    ['with the final sigma', 'ΟΔΟΣ@example.com', 'οδος@example.com'],
    ['with the other sigma', 'λογος@example.com', 'λογοσ@example.com'],
    [
      'with a letter that is more of them in upper case',
      '\u0390ta@example.com',
      '\u0399\u0308\u0301TA@example.com',
    ],
    ['with a letter that is more of them in lower case', '\u0130zmir@example.com', 'i\u0307zmir@example.com'],
    ['decomposed', 'zo\u00eb.taken@example.com', 'zoe\u0308.taken@example.com'],
    ['composed, in another case', 'ane\u0301.taken@example.com', 'AN\u00c9.TAKEN@example.com'],
  ])('is also taken %s, and signs in in that form', async (_, email, other) => {
    const { user } = await signUp({ email })
    const answer = await post('register', { email: other, password: 'another good password' })
    expect(answer).toMatchObject({ status: 409, body: { error_code: 'EMAIL_TAKEN' } })
    expect(await logIn(other)).toMatchObject({ status: 200, body: { user } })
  })

  test.each([
    ['an accent', 'rene@example.com', 'ren\u00e9@example.com'],
    ['a dot', 'annsmith@example.com', 'ann.smith@example.com'],
    ['a tag', 'tagged@example.com', 'tagged+x@example.com'],
    ['a letter of another script', 'paypal@example.com', 'p\u0430ypal@example.com'],
  ])('is a different one with %s', async (_, email, other) => {
    const [one, two] = await Promise.all([signUp({ email }), signUp({ email: other })])
    expect(one.user.id).not.toBe(two.user.id)
  })

  test('that is taken creates nothing, and leaves the account as it is', async () => {
    const { user } = await signUp({ name: 'Ann' })
    const counts = () =>
      sql`select (select count(*) from users) as users, (select count(*) from accounts) as accounts,
        (select count(*) from sessions) as sessions, (select count(*) from refresh_tokens) as tokens`
    const before = await counts()
    await post('register', { email: user.email, password: 'another good password', name: 'Mallory' })
    expect(await counts()).toEqual(before)
    expect((await logIn(user.email, 'another good password')).status).toBe(401)
    expect((await logIn(user.email)).body.user).toEqual(user)
  })
})

describe('signing in', () => {
  test('answers 200 with tokens of a new session', async () => {
    const registered = await signUp({ name: 'Ann' })
    const { status, headers, body } = await logIn(registered.user.email)
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 1800,
      refresh_token: expect.stringMatching(/^[\w-]{43}$/),
      user: registered.user,
    })
    expect(decodeJwt(body.access_token)['sid']).not.toBe(decodeJwt(registered.access_token)['sid'])
    expect(await sessionsOf(registered)).toHaveLength(2)
  })

  /** The answer as it is sent over the wire. */
  async function exactly(email: string | null, password: string) {
    const response = await app.handle(
      new Request(`http://localhost${AUTH}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': 'one-and-the-same' },
        body: JSON.stringify({ email, password }),
      }),
    )
    // these headers depend on the number of tries
    const headers = [...response.headers].filter(([name]) => name !== 'ratelimit')
    return { status: response.status, headers, text: await response.text() }
  }

  test('with a wrong password and with an unknown address gives the same answer, byte for byte', async () => {
    const { user } = await signUp()
    const wrong = await exactly(user.email, 'not the right one')
    const unknown = await exactly(newEmail(), PASSWORD)
    const brought = await exactly(await bringUser(await bcrypt()), 'not the right one')
    expect(wrong.status).toBe(401)
    expect(wrong.headers).toContainEqual(['www-authenticate', 'Bearer'])
    expect(JSON.parse(wrong.text)).toMatchObject({ error_code: 'INVALID_CREDENTIALS' })
    expect(unknown).toEqual(wrong)
    expect(brought).toEqual(wrong)
  })

  test('with a wrong password creates no session', async () => {
    const registered = await signUp()
    await logIn(registered.user.email, 'not the right one')
    expect(await sessionsOf(registered)).toHaveLength(1)
  })

  test('accepts a password in composed and in decomposed characters', async () => {
    const { user } = await signUp({ password: 'p\u00e4ssw\u00f6rter' })
    expect((await logIn(user.email, 'pa\u0308sswo\u0308rter')).status).toBe(200)
    expect((await logIn(user.email, 'passworter')).status).toBe(401)
  })

  test.each([
    ['shorter than a new one may be', 'x', 401],
    ['longer than a new one may be', 'x'.repeat(1000), 401],
    ['longer than any', 'x'.repeat(1001), 422],
    ['that is empty', '', 422],
    ['with NUL', `${PASSWORD}\0`, 422],
    ['with a lone surrogate', `${PASSWORD}\ud800`, 422],
    ['that is null', null, 422],
    ['that is an object', { $ne: null }, 422],
  ])('with a password %s is refused', async (_, password, status) => {
    const { user } = await signUp()
    const answer = await post('login', { email: user.email, password })
    expect(answer.status).toBe(status)
    if (status === 422) expect(answer.body.errors).toMatchObject([{ in: 'body', pointer: '/password' }])
  })

  test('ignores the Authorization header', async () => {
    const { user } = await signUp()
    for (const authorization of ['Bearer x.y.z', 'Basic YTpi', 'nonsense']) {
      const answer = await post('login', { email: user.email, password: PASSWORD }, { authorization })
      expect(answer.status).toBe(200)
    }
  })

  test('a thousand times with a wrong password leaves the right password valid', async () => {
    // a hash that is cheap to verify, because it is verified a thousand times
    const email = await bringUser(await argon2id(64, 1))
    let tried = 0
    for (let left = 1000; left > 0; ) {
      const answers = await Promise.all(Array.from({ length: left }, () => logIn(email, `wrong ${++tried}`)))
      const busy = answers.filter(({ status }) => status === 503)
      for (const { body, headers } of busy) {
        expect(body.error_code).toBe('OVERLOADED')
        expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
      }
      const refused = answers.filter(({ body }) => body.error_code === 'INVALID_CREDENTIALS')
      expect(refused.length).toBeGreaterThan(0)
      expect(refused.length + busy.length).toBe(left)
      left = busy.length
    }
    expect(await logIn(email)).toMatchObject({ status: 200, body: { user: { email } } })
  })
})

describe('a user from another system', () => {
  test.each([
    ['bcrypt $2a$', async () => (await bcrypt()).replace('$2b$', '$2a$')],
    ['bcrypt $2b$', async () => bcrypt()],
    ['bcrypt $2y$', async () => (await bcrypt()).replace('$2b$', '$2y$')],
    [
      'argon2i',
      async () => Bun.password.hash(PASSWORD, { algorithm: 'argon2i', memoryCost: 64, timeCost: 1 }),
    ],
    [
      'argon2d',
      async () => Bun.password.hash(PASSWORD, { algorithm: 'argon2d', memoryCost: 64, timeCost: 1 }),
    ],
    ['argon2id of less memory', async () => argon2id(64, 2)],
    ['argon2id of one pass', async () => argon2id(19_456, 1)],
  ])('with a hash of %s signs in, gets a new hash, and signs in again', async (_, hash) => {
    const old = await hash()
    const email = await bringUser(old)
    expect((await logIn(email, 'not the right one')).status).toBe(401)
    expect(await storedHash(email)).toBe(old)
    expect(await logIn(email)).toMatchObject({ status: 200, body: { user: { email, name: null } } })
    const next = await storedHash(email)
    expect(next).toMatch(CURRENT_KIND)
    expect((await logIn(email)).status).toBe(200)
    expect(await storedHash(email)).toBe(next)
    expect((await logIn(email, 'not the right one')).status).toBe(401)
  })

  test('signs in with a password that is too short for a new account', async () => {
    const email = await bringUser(await bcrypt('pa55'))
    expect((await logIn(email, 'pa55')).status).toBe(200)
    expect((await logIn(email, 'pa55')).status).toBe(200)
  })

  test('keeps a hash that has the present parameters', async () => {
    const hash = await argon2id(19_456, 2)
    const email = await bringUser(hash)
    expect((await logIn(email)).status).toBe(200)
    expect(await storedHash(email)).toBe(hash)
  })

  test.each([
    PASSWORD,
    '',
    '5f4dcc3b5aa765d61d8327deb882cf99',
    '$1$abcdefgh$irWbblnpmw.5z7wgBnprh0',
    '$6$abcdefgh$0123456789abcdef',
    '$2x$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS',
    '$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA',
    '{SSHA}abcdefgh',
    ' $2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS',
    '\n$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA',
  ])('cannot have as hash %j', async (hash) => {
    expect(await bringUser(hash).catch((error) => error)).toMatchObject({
      constraint_name: 'accounts_password_hash_kind',
    })
  })
})

describe('a refresh token', () => {
  test('gives new tokens of the same session and user', async () => {
    const first = await signUp({ name: 'Ann' })
    const { status, headers, body } = await refresh(first.refresh_token)
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 1800,
      refresh_token: expect.stringMatching(/^[\w-]{43}$/),
      user: first.user,
    })
    expect(body.refresh_token).not.toBe(first.refresh_token)
    expect(body.access_token).not.toBe(first.access_token)
    expect(decodeJwt(body.access_token)).toMatchObject({
      sub: first.user.id,
      sid: String(decodeJwt(first.access_token)['sid']),
    })
    expect(await sessionsOf(first)).toHaveLength(1)
  })

  test('gives an access token that works', async () => {
    const { body } = await refresh((await signUp()).refresh_token)
    const headers = { authorization: `Bearer ${body.access_token}` }
    expect((await call('GET', '/api/v1/todos', { headers })).status).toBe(200)
  })

  test('can be replaced again and again if each is used once, soon or late', async () => {
    const signedUp = await signUp()
    let token = signedUp.refresh_token
    const seen = new Set([token])
    for (let i = 0; i < 10; i++) {
      if (i % 2 === 1) await secondsPass(11, signedUp)
      token = await nextOf(token)
      seen.add(token)
    }
    expect(seen.size).toBe(11)
  })

  test('is stored as SHA-256 and in no other form', async () => {
    const signedUp = await signUp()
    const tokens = [signedUp.refresh_token, await nextOf(signedUp.refresh_token)]
    const stored = await sql<{ hash: string; all: string }[]>`
      select encode(token_hash, 'hex') as hash, concat(refresh_tokens, sessions, accounts) as all
      from refresh_tokens
      join sessions on sessions.id = session_id
      join accounts using (user_id)
      where user_id = ${signedUp.user.id}
      order by refresh_tokens.generation`
    expect(stored.map(({ hash }) => hash)).toEqual(
      tokens.map((token) => createHash('sha256').update(token).digest('hex')),
    )
    for (const { all } of stored) {
      for (const token of tokens) expect(all).not.toContain(token)
      expect(all).toContain(signedUp.user.id)
    }
  })

  test('is valid for thirty days after it was given, and so is its session', async () => {
    const { user, refresh_token } = await signUp()
    await sql`update sessions set expires_at = expires_at - interval '20 days' where user_id = ${user.id}`
    await sql`
      update refresh_tokens set expires_at = refresh_tokens.expires_at - interval '20 days'
      from sessions where sessions.id = session_id and user_id = ${user.id}`
    const remaining = () => sql`
      select round(extract(epoch from refresh_tokens.expires_at - clock_timestamp()) / 86400)::integer as token,
        round(extract(epoch from sessions.expires_at - clock_timestamp()) / 86400)::integer as session
      from refresh_tokens join sessions on sessions.id = session_id
      where user_id = ${user.id} order by refresh_tokens.generation`
    expect(await remaining()).toEqual([{ token: 10, session: 10 }] as never)
    await nextOf(refresh_token)
    expect(await remaining()).toEqual([
      { token: 10, session: 30 },
      { token: 30, session: 30 },
    ] as never)
  })

  test('that has expired is 401, used or not', async () => {
    const { user, refresh_token } = await signUp()
    const next = await nextOf(refresh_token)
    await sql`
      update refresh_tokens set expires_at = clock_timestamp() - interval '1 second'
      from sessions where sessions.id = session_id and user_id = ${user.id}`
    await expectRefused(next, refresh_token)
  })

  test('used again within ten seconds gives one more pair', async () => {
    const signedUp = await signUp()
    const first = await nextOf(signedUp.refresh_token)
    await secondsPass(5, signedUp)
    const { status, body } = await refresh(signedUp.refresh_token)
    expect(status).toBe(200)
    expect(body.user).toEqual(signedUp.user)
    expect(body.refresh_token).not.toBe(first)
  })

  test.each([0, 1])(
    'that was used twice leaves two, and it does not matter which is used: %d',
    async (index) => {
      const signedUp = await signUp()
      const both = [await nextOf(signedUp.refresh_token), await nextOf(signedUp.refresh_token)]
      await secondsPass(11, signedUp)
      await nextOf(await nextOf(both[index] ?? ''))
    },
  )

  test('used a third time within ten seconds is 401, and ends no session', async () => {
    const signedUp = await signUp()
    const first = await nextOf(signedUp.refresh_token)
    const second = await nextOf(signedUp.refresh_token)
    await expectRefused(signedUp.refresh_token, signedUp.refresh_token)
    expect(await sessionsOf(signedUp)).toHaveLength(1)
    await nextOf(second)
    // within ten seconds, its sibling counts as a lost answer
    await nextOf(first)
  })

  test('that comes back late ends its session for both clients that have tokens of it', async () => {
    const signedUp = await signUp()
    const next = await nextOf(signedUp.refresh_token)
    await secondsPass(11, signedUp)
    await expectRefused(signedUp.refresh_token, next)
    expect(await sessionsOf(signedUp)).toHaveLength(0)
  })

  test('that comes back late ends its session also after a retry', async () => {
    const signedUp = await signUp()
    const first = await nextOf(signedUp.refresh_token)
    const second = await nextOf(signedUp.refresh_token)
    await secondsPass(11, signedUp)
    await expectRefused(signedUp.refresh_token, first, second)
    expect(await sessionsOf(signedUp)).toHaveLength(0)
  })

  test('of an older generation ends its session, however soon it comes back', async () => {
    const signedUp = await signUp()
    const third = await nextOf(await nextOf(signedUp.refresh_token))
    await expectRefused(signedUp.refresh_token, third)
    expect(await sessionsOf(signedUp)).toHaveLength(0)
  })

  test('makes its sibling an old one when it is used', async () => {
    const signedUp = await signUp()
    const first = await nextOf(signedUp.refresh_token)
    const second = await nextOf(signedUp.refresh_token)
    const third = await nextOf(second)
    await secondsPass(11, signedUp)
    await expectRefused(first, third)
    expect(await sessionsOf(signedUp)).toHaveLength(0)
  })

  test('does not get more than ten seconds through a retry', async () => {
    const signedUp = await signUp()
    await nextOf(signedUp.refresh_token)
    const rotatedAt = () => sql`select rotated_at::text from sessions where user_id = ${signedUp.user.id}`
    const before = await rotatedAt()
    await nextOf(signedUp.refresh_token)
    expect(await rotatedAt()).toEqual(before)
  })

  test('that comes back late ends no other session, of the same user or another', async () => {
    const signedUp = await signUp()
    const { body: elsewhere } = await logIn(signedUp.user.email)
    const somebodyElse = await signUp()
    await nextOf(signedUp.refresh_token)
    await secondsPass(11, signedUp)
    await expectRefused(signedUp.refresh_token)
    await nextOf(elsewhere.refresh_token)
    await nextOf(somebodyElse.refresh_token)
  })

  test.each([
    ['an unknown one', Buffer.alloc(32).toString('base64url')],
    ['nothing', ''],
    ['words', 'not a token'],
    ['an access token', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln'],
    ['NUL', '\0'.repeat(43)],
    ['a lone surrogate', '\ud800'],
    ['sixty thousand characters', 'x'.repeat(60_000)],
  ])('cannot be %s', async (_, token) => {
    const answer = await refresh(token)
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    expect((await post('logout', { refresh_token: token })).status).toBe(204)
  })

  test('is refused with any change of its text', async () => {
    const { refresh_token } = await signUp()
    const changed = [`${refresh_token}=`, ` ${refresh_token}`, `${refresh_token}\n`, refresh_token.slice(1)]
    await expectRefused(...changed)
    await nextOf(refresh_token)
  })

  test.each([[5], [null], [true], [['x']], [{ x: 1 }]])(
    'cannot be %j, which is no text',
    async (refresh_token) => {
      for (const action of ['refresh', 'logout']) {
        const answer = await post(action, { refresh_token })
        expect(answer).toMatchObject({
          status: 422,
          body: { errors: [{ in: 'body', pointer: '/refresh_token', detail: 'must be a string' }] },
        })
      }
    },
  )
})

describe('signing out', () => {
  test('answers 204 without a body, again and again', async () => {
    const { refresh_token } = await signUp()
    for (let i = 0; i < 3; i++) {
      expect(await post('logout', { refresh_token })).toMatchObject({ status: 204, body: '' })
    }
  })

  test('ends only that session', async () => {
    const signedUp = await signUp()
    const { body: elsewhere } = await logIn(signedUp.user.email)
    await post('logout', { refresh_token: signedUp.refresh_token })
    await expectRefused(signedUp.refresh_token)
    expect(await sessionsOf(signedUp)).toHaveLength(1)
    await nextOf(elsewhere.refresh_token)
  })

  test('with a used token also ends the session', async () => {
    const { refresh_token } = await signUp()
    const next = await nextOf(refresh_token)
    expect((await post('logout', { refresh_token })).status).toBe(204)
    await expectRefused(next)
  })
})

describe('a session', () => {
  /** Gives the user a hundred sessions: the first new one was used an hour ago, each other one later. */
  async function fillUp({ user }: Tokens): Promise<void> {
    await sql`
      insert into sessions (id, user_id, user_agent, last_used_at)
      select gen_random_uuid(), ${user.id}, 'filler ' || i, clock_timestamp() - interval '1 hour' + i * interval '1 s'
      from generate_series(1, 99) as i`
  }

  test('that is the least recently used is replaced by the hundred and first', async () => {
    const signedUp = await signUp()
    await fillUp(signedUp)
    await sql`
      update sessions set last_used_at = last_used_at - interval '1 day'
      where user_id = ${signedUp.user.id} and user_agent is null`
    const { body } = await logIn(signedUp.user.email)
    expect(await sessionsOf(signedUp)).toHaveLength(100)
    await expectRefused(signedUp.refresh_token)
    await nextOf(body.refresh_token)
  })

  test('that is old but in use is kept', async () => {
    const signedUp = await signUp()
    await fillUp(signedUp)
    await sql`
      update sessions set created_at = created_at - interval '1 day', last_used_at = last_used_at - interval '1 day'
      where user_id = ${signedUp.user.id} and user_agent is null`
    const token = await nextOf(signedUp.refresh_token)
    for (let i = 0; i < 3; i++) await logIn(signedUp.user.email)
    const names = (await sessionsOf(signedUp)).map(({ user_agent }) => user_agent)
    expect(names).toHaveLength(100)
    expect(names).toContain('filler 4')
    for (const gone of ['filler 1', 'filler 2', 'filler 3']) expect(names).not.toContain(gone)
    await nextOf(token)
  })

  test('is replaced only by one of the same user', async () => {
    const [one, other] = [await signUp(), await signUp()]
    await fillUp(one)
    await logIn(other.user.email)
    expect(await sessionsOf(one)).toHaveLength(100)
    expect(await sessionsOf(other)).toHaveLength(2)
  })

  test.each([
    ['as it is', 'Taskwell/1.0 (Linux; x86_64)', 'Taskwell/1.0 (Linux; x86_64)'],
    ['with 255 characters', 'x'.repeat(255), 'x'.repeat(255)],
    ['cut after 255 characters', `${'x'.repeat(255)}y`, 'x'.repeat(255)],
    ['beyond ASCII', 'Zoë', 'Zoë'],
    ['with SQL in it', "'); drop table sessions; --", "'); drop table sessions; --"],
    ['as null where it is empty', '', null],
  ])('keeps the user agent %s', async (_, sent, kept) => {
    const headers = { 'user-agent': sent }
    const registered = await signUp({}, headers)
    expect(await sessionsOf(registered)).toMatchObject([{ user_agent: kept }])
    await sql`delete from sessions where user_id = ${registered.user.id}`
    await post('login', { email: registered.user.email, password: PASSWORD }, headers)
    expect(await sessionsOf(registered)).toMatchObject([{ user_agent: kept }])
  })

  test('keeps the last user agent, or null if there is none', async () => {
    const registered = await signUp()
    expect(await sessionsOf(registered)).toMatchObject([{ user_agent: null }])
    const { refresh_token } = registered
    const { body } = await post('refresh', { refresh_token }, { 'user-agent': 'one' })
    expect(await sessionsOf(registered)).toMatchObject([{ user_agent: 'one' }])
    await refresh(body.refresh_token)
    expect(await sessionsOf(registered)).toMatchObject([{ user_agent: null }])
  })
})

describe('a request', () => {
  const GOOD = {
    register: { email: 'good@example.com', password: PASSWORD },
    login: { email: 'good@example.com', password: PASSWORD },
    refresh: { refresh_token: 'x' },
    logout: { refresh_token: 'x' },
  }
  const pointersOf = ({ body }: Answer): string[] =>
    body.errors.map((error: { in: string; pointer: string }) => `${error.in} ${error.pointer}`).toSorted()

  test.each(Object.entries(GOOD))('to %s has no unknown field', async (action, good) => {
    for (const body of [{ ...good, role: 'admin' }, `${JSON.stringify(good).slice(0, -1)},"__proto__":{}}`]) {
      const answer = await post(action, body)
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ detail: 'is not a known field' }] } })
    }
  })

  test.each(Object.entries(GOOD))('to %s has every required field', async (action, good) => {
    const answer = await post(action, {})
    expect(answer.status).toBe(422)
    expect(pointersOf(answer)).toEqual(
      Object.keys(good)
        .map((field) => `body /${field}`)
        .toSorted(),
    )
  })

  test('with many faults gets all of them in the answer, without a value that was sent', async () => {
    const body = { email: 'hunter2', password: 'hunter2', name: ' ', role: 'hunter2', id: 'hunter2' }
    const answer = await call('POST', `${AUTH}/register?hunter=hunter2`, { body })
    expect(answer.status).toBe(422)
    expect(pointersOf(answer)).toEqual([
      'body /email',
      'body /id',
      'body /name',
      'body /password',
      'body /role',
      'query hunter',
    ])
    expect(JSON.stringify(answer.body)).not.toContain('hunter2')
  })

  describe.each(ACTIONS)('to %s', (action) => {
    test.each([
      ['no body', undefined, {}, 422, 'VALIDATION_ERROR'],
      ['a list', '[]', {}, 422, 'VALIDATION_ERROR'],
      ['null', 'null', {}, 422, 'VALIDATION_ERROR'],
      ['text', '"x"', {}, 422, 'VALIDATION_ERROR'],
      ['half a body', '{"email":', {}, 400, 'MALFORMED_JSON'],
      [
        'a form',
        'email=x',
        { 'content-type': 'application/x-www-form-urlencoded' },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
      ],
      ['plain text', '{}', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['65,537 bytes', `{}${' '.repeat(65_535)}`, {}, 413, 'PAYLOAD_TOO_LARGE'],
    ])('with %s is refused', async (_, body, headers, status, error_code) => {
      expect(await post(action, body, headers)).toMatchObject({ status, body: { error_code } })
    })

    test('with another method is 405', async () => {
      const answer = await call('GET', `${AUTH}/${action}`)
      expect(answer).toMatchObject({ status: 405, body: { error_code: 'METHOD_NOT_ALLOWED' } })
      expect(answer.headers.get('allow')).toBe('POST')
    })

    test('may have a slash at the end', async () => {
      expect((await post(`${action}/`, '{')).status).toBe(400)
    })
  })
})

describe('any text', () => {
  const INJECTIONS = [
    "'; drop table accounts; --",
    "' or '1'='1",
    '" or ""="',
    "\\'; select pg_sleep(10); --",
    "admin'--",
    '$1 $2 %s %n {0}',
    "$$'; delete from users; $$",
    'E\\x27 U&"\\0027"',
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '{{7*7}} #{7*7} <%= 7*7 %>',
    '$\u007bjndi:ldap://x.example/a}',
    '../../../../etc/passwd',
    '%00%0d%0a%27',
    '\r\nSet-Cookie: x=1\r\n\r\n',
    '`id` $(id) | id; id & id',
    '*)(uid=*))(|(uid=*',
    '{"$gt":""}',
    '=cmd|"/c calc"!A1',
    '__proto__',
    'constructor',
    'null',
    'undefined',
    'NaN',
    '\\ud800',
  ]
  const UNICODE = [
    '日本語の名前',
    'مرحبا بالعالم',
    'שלום',
    'Ω≈ç√∫˜µ≤≥÷',
    '👩‍👩‍👧‍👦🏳️‍🌈',
    '\u202eevil\u202c',
    '\u2066x\u2069',
    'a\u200bb\u200cc\u200dd\ufeffe',
    '\ufeffBOM',
    'e\u0301 \u00e9 \u212b \u00c5',
    `Z\u0300${'\u0301'.repeat(60)}`,
    'ﬁ ﷺ ㎏ Ⅷ',
    'İıſKßẞΣσς',
    '\u0001\u0002\u001b[31m\u007f',
    '\u0085\u2028\u2029x',
    '\ufffe\uffff\ufffd',
    '\u{10ffff}\u{e0001}',
    '𝕿𝖊𝖝𝖙 𠮷𠮷',
    '１２３',
    'ด้้้้้็็็็็้้้้้็็็็็',
  ]
  const TEXTS = [...INJECTIONS, ...UNICODE]
  /** Passwords take long to check, and a request has a deadline. */
  const few = pLimit(8)
  const UNSTORABLE = ['a\0b', '\0', 'a\ud800', '\udc00a', '\udc00\ud800']

  test('as a name comes back as it is', async () => {
    await few.map(TEXTS, async (name) => {
      const { user } = await signUp({ name })
      expect(user.name).toBe(name)
      expect((await logIn(user.email)).body.user.name).toBe(name)
    })
  })

  test('as an e-mail address comes back as it is, or is refused', async () => {
    const emails = [...TEXTS, ...UNSTORABLE].flatMap((text) => [
      `${text}@example.com`,
      `x@${text}.example`,
      `ann@example.com${text}`,
    ])
    const outcomes = await few.map(emails, async (email) => {
      const { status, body } = await post('register', { email, password: PASSWORD })
      if (status === 201) expect(body.user.email).toBe(email)
      else expect(body).toMatchObject({ status: 422, errors: [{ pointer: '/email' }] })
      expect(await logIn(email)).toMatchObject(
        status === 201 ? { status: 200, body: { user: body.user } } : { status: 422 },
      )
      return status
    })
    expect(new Set(outcomes)).toEqual(new Set([201, 422]))
  })

  test('as a password signs in, and no other text does', async () => {
    await few.map(TEXTS, async (text) => {
      const password = `${text} and more`
      const { user } = await signUp({ password })
      expect((await logIn(user.email, password)).status, password).toBe(200)
      expect((await logIn(user.email, `${text} and less`)).status, password).toBe(401)
    })
  })

  test('as the password of another user is only wrong', async () => {
    const { user } = await signUp()
    const answers = await few.map(TEXTS, (text) => logIn(user.email, text))
    expect(answers.map(({ body }) => body.error_code)).toEqual(TEXTS.map(() => 'INVALID_CREDENTIALS'))
  })

  test('as a refresh token gets 401, and 204 when signing out', async () => {
    for (const text of [...TEXTS, ...UNSTORABLE]) {
      await expectRefused(text)
      expect((await post('logout', { refresh_token: text })).status).toBe(204)
    }
  })

  test('as the name of a field is refused', async () => {
    for (const text of [...TEXTS, ...UNSTORABLE]) {
      for (const action of ACTIONS) {
        const body = `{${JSON.stringify(text)}:1}`
        expect((await post(action, body)).status, text).toBe(422)
      }
    }
  })

  test('that cannot be stored is refused', async () => {
    for (const text of UNSTORABLE) {
      for (const fields of [
        { name: text },
        { password: PASSWORD + text },
        { email: `${text}@example.com` },
      ]) {
        const body = { email: newEmail(), password: PASSWORD, ...fields }
        expect((await post('register', body)).status).toBe(422)
      }
      expect((await logIn(newEmail(), text)).status).toBe(422)
    }
  })
})

describe('an answer', () => {
  const MARK = 'marker-5e1f'
  const EMAIL = `${MARK}@example.com`
  const OTHER_PASSWORD = `${MARK} other password`

  test('to a refused request holds no e-mail address, password or token', async () => {
    const { refresh_token } = await signUp({ email: EMAIL, password: MARK })
    await nextOf(refresh_token)
    await post('logout', { refresh_token })
    const refused: [string, unknown, Record<string, string>?][] = [
      ['register', { email: EMAIL, password: OTHER_PASSWORD, name: MARK }],
      ['register', { email: `x.${EMAIL}`, password: `x.${EMAIL}` }],
      ['register', { email: MARK, password: MARK.slice(0, 5), name: MARK.repeat(20) }],
      ['register', { email: EMAIL, password: MARK.repeat(20) }],
      ['register', `{"email":"${EMAIL}","password":"${MARK}`],
      ['register', `email=${EMAIL}&password=${MARK}`, { 'content-type': 'text/plain' }],
      ['register', { email: EMAIL, password: MARK, name: MARK.repeat(7000) }],
      ['login', { email: EMAIL, password: OTHER_PASSWORD }],
      ['login', { email: `y.${EMAIL}`, password: MARK }],
      ['login', { email: MARK, password: `${MARK}\0` }],
      ['refresh', { refresh_token: MARK }],
      ['refresh', { refresh_token }],
      ['refresh', { refresh_token: [refresh_token, MARK] }],
      ['logout', { refresh_token: [refresh_token, MARK] }],
    ]
    for (const [action, body, headers] of refused) {
      const answer = await post(action, body, headers)
      const text = JSON.stringify([answer.body, [...answer.headers]])
      expect(answer.status, text).toBeGreaterThanOrEqual(400)
      expect(text).not.toContain(MARK.slice(0, 5))
      expect(text).not.toContain(refresh_token)
    }
  })

  test('to an accepted request holds no password, no hash and no token that was sent', async () => {
    const [email, password] = [newEmail(), `${MARK} accepted`]
    const registered = await post('register', { email, password })
    const signedIn = await post('login', { email, password })
    const { refresh_token } = signedIn.body
    const refreshed = await post('refresh', { refresh_token })
    const signedOut = await post('logout', { refresh_token: refreshed.body.refresh_token })
    for (const { status, headers, body } of [registered, signedIn, refreshed, signedOut]) {
      const claims = body === '' ? {} : decodeJwt(body.access_token)
      const text = JSON.stringify([body, claims, [...headers]])
      expect(status, text).toBeLessThan(300)
      expect(text).not.toContain(MARK)
      expect(text).not.toContain('argon2')
    }
    expect(JSON.stringify(refreshed.body)).not.toContain(refresh_token)
    expect(JSON.stringify([...signedIn.headers, ...refreshed.headers])).not.toContain(refresh_token)
  })
})

const SESSION_PATH = '/api/v1/users/me/sessions/0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f'
const ACCOUNT_ROUTES = [
  ...ACTIONS.map((action) => ['POST', `${AUTH}/${action}`] as const),
  ['PATCH', '/api/v1/users/me'],
  ['POST', '/api/v1/users/me/password'],
  ['GET', '/api/v1/users/me/sessions'],
  ['DELETE', '/api/v1/users/me/sessions'],
  ['DELETE', SESSION_PATH],
] as const

/** All routes of the OpenAPI document. */
async function documented(ask: Call): Promise<string[]> {
  const { body } = await ask('GET', '/openapi.json')
  return Object.entries<object>(body.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
}

describe.each([
  ['ACCOUNTS=off', { ACCOUNTS: 'off' }],
  ['BETTER_AUTH_URL', { BETTER_AUTH_URL: 'https://app.example', BETTER_AUTH_SECRET: SECRET }],
  [
    'AUTH_JWKS_URL',
    {
      AUTH_JWKS_URL: 'https://app.example/keys',
      AUTH_ISSUER: 'https://app.example',
      AUTH_AUDIENCE: 'taskwell',
      BETTER_AUTH_SECRET: SECRET,
    },
  ],
])('with %s', async (_, env: Record<string, string>) => {
  const off = await testApp(env)

  test.each(ACCOUNT_ROUTES)('%s %s is 404, with a token and without', async (method, path) => {
    const body = method === 'DELETE' || method === 'GET' ? undefined : {}
    for (const as of [undefined, 'ann']) {
      for (const address of [path, `${path}/`]) {
        const answer = await off.call(method, address, { as, body })
        expect(answer).toMatchObject({ status: 404, body: { error_code: 'NOT_FOUND' } })
      }
    }
  })

  test('a user can still be read and deleted, with a token', async () => {
    for (const method of ['GET', 'DELETE']) {
      expect((await off.call(method, '/api/v1/users/me')).status).toBe(401)
    }
    const read = await off.call('GET', '/api/v1/users/me', { as: 'bob' })
    expect(read).toMatchObject({ status: 200, body: { id: 'bob', email: null, name: null } })
    expect((await off.call('DELETE', '/api/v1/users/me', { as: 'bob' })).status).toBe(204)
  })

  test('the OpenAPI document has only the remaining routes', async () => {
    const methods = await documented(off.call)
    expect(methods.filter((each) => /\/auth\/|\/users\//.test(each)).toSorted()).toEqual([
      'DELETE /api/v1/users/me',
      'GET /api/v1/users/me',
    ])
  })

  test('a 405 names only the remaining methods', async () => {
    const answer = await off.call('PUT', '/api/v1/users/me', { as: 'ann', body: {} })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')?.split(', ').toSorted()).toEqual(['DELETE', 'GET', 'HEAD'])
  })
})

test('accounts are on by default, and in the OpenAPI document', async () => {
  const methods = await documented(call)
  expect(settings.accounts).toBe(true)
  const shown = ACCOUNT_ROUTES.map(
    ([method, path]) => `${method} ${path.replace(SESSION_PATH, '/api/v1/users/me/sessions/{id}')}`,
  )
  expect(methods).toEqual(expect.arrayContaining(shown))
})

test('accounts can be on beside another issuer with its own keys', async () => {
  const on = await testApp({
    BETTER_AUTH_URL: 'https://app.example',
    BETTER_AUTH_SECRET: SECRET,
    ACCOUNTS: 'on',
  })
  const email = newEmail()
  const { status, body } = await on.call('POST', `${AUTH}/register`, { body: { email, password: PASSWORD } })
  expect(status).toBe(201)
  const headers = { authorization: `Bearer ${body.access_token}` }
  expect((await on.call('GET', '/api/v1/todos', { headers })).status).toBe(200)
  expect((await on.call('POST', `${AUTH}/login`, { body: { email, password: PASSWORD } })).status).toBe(200)
})
