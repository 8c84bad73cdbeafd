/** Tokens that users make for their programs. */
import { describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { isWellFormed, newApiToken } from '../../src/auth/api-token'
import { backgroundContext } from '../../src/database/query-context'
import { createLog } from '../../src/telemetry/log'
import { createTokenFinder } from '../../src/tokens/finder'
import { purgeTokens } from '../../src/tokens/purge'
import { type Answer, testApp } from '../support/app'
import { eventually } from '../support/faults'
import { pathOf, readOpenApi } from '../support/openapi'

const { app, call, sql, database, settings, logged } = await testApp()
const TOKENS = '/api/v1/tokens'
const TODOS = '/api/v1/todos'
const DAY = 86_400_000

let users = 0
const newUser = () => `user-${++users}`

async function make(user: string, body: object = {}): Promise<Answer['body']> {
  const made = await call('POST', TOKENS, {
    as: user,
    body: { name: 'script', scopes: ['tasks:write'], ...body },
  })
  expect(made.status).toBe(201)
  return made.body
}

const by = (token: string, headers = {}) => ({ headers: { authorization: `Bearer ${token}`, ...headers } })

/** The status, and the code of a problem. */
const outcome = ({ status, body }: Answer) => [status, body?.error_code]

/** Why the log says that a token was refused. */
async function reasonFor(token: string): Promise<unknown> {
  logged.length = 0
  expect(outcome(await call('GET', TODOS, by(token)))).toEqual([401, 'TOKEN_INVALID'])
  const lines = logged.map((line) => JSON.parse(line))
  return lines.find(({ msg }) => msg === 'token refused')?.reason
}

describe('the form', () => {
  test('is twp_, 27 and 6 characters, and no two are alike', () => {
    const made = Array.from({ length: 1000 }, newApiToken)
    expect(new Set(made).size).toBe(1000)
    for (const token of made) expect(token).toMatch(/^twp_[0-9A-Za-z]{33}$/)
    expect(made.every(isWellFormed)).toBe(true)
  })

  test('a token with any other character is refused without asking the database', async () => {
    const { token } = await make(newUser())
    for (let at = 4; at < token.length; at++) {
      const other = token.slice(0, at) + (token[at] === 'a' ? 'b' : 'a') + token.slice(at + 1)
      expect(isWellFormed(other)).toBe(false)
      logged.length = 0
      expect(outcome(await call('GET', TODOS, by(other)))).toEqual([401, 'TOKEN_INVALID'])
      expect(logged.some((line) => line.includes('findGrants'))).toBe(false)
    }
  })

  test.each([
    ['unknown', newApiToken()],
    ['cut', newApiToken().slice(0, -1)],
    ['longer', `${newApiToken()}0`],
    ['empty', 'twp_'],
  ])('one that is %s is not valid', async (_, token) => {
    const answer = await call('GET', TODOS, by(token))
    expect(outcome(answer)).toEqual([401, 'TOKEN_INVALID'])
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
  })
})

describe('a new token', () => {
  test('is answered once, and stored as a hash', async () => {
    const user = newUser()
    const { token, ...rest } = await make(user, { name: ' Backup ' })
    expect(rest).toEqual({
      id: expect.any(Number),
      name: ' Backup ',
      scopes: ['tasks:write'],
      expires_at: expect.any(String),
      created_at: expect.any(String),
      last_used_at: null,
      last_four: token.slice(-4),
    })
    const listed = await call('GET', TOKENS, { as: user })
    expect(listed.body).toEqual([rest])
    const [row] = await sql<
      { text: string }[]
    >`select api_tokens::text as text from api_tokens where user_id = ${user}`
    expect(row?.text).not.toContain(token.slice(4, -4))
    expect(logged.join('')).not.toContain(token)
  })

  test('is not kept by a browser or proxy', async () => {
    const made = await call('POST', TOKENS, { as: newUser(), body: { name: 'x', scopes: ['tasks:read'] } })
    expect(made.headers.get('cache-control')).toBe('no-store')
  })

  test('lives 90 days, as long as it says, or for ever', async () => {
    const user = newUser()
    const usual = await make(user)
    expect(Math.round((Date.parse(usual.expires_at) - Date.now()) / DAY)).toBe(90)
    const soon = new Date(Date.now() + DAY).toISOString()
    expect((await make(user, { expires_at: soon })).expires_at).toBe(soon)
    const inAYear = new Date()
    inAYear.setUTCFullYear(inAYear.getUTCFullYear() + 1)
    expect((await make(user, { expires_at: inAYear.toISOString() })).expires_at).toBe(inAYear.toISOString())
    expect((await make(user, { expires_at: null })).expires_at).toBeNull()
  })

  test('may give its end in any offset', async () => {
    const { expires_at } = await make(newUser(), { expires_at: `${inDays(30).slice(0, 19)}+23:59` })
    expect(Date.parse(expires_at)).toBeCloseTo(Date.now() + 29 * DAY, -6)
  })

  const inDays = (days: number) => new Date(Date.now() + days * DAY).toISOString()
  test.each([
    [{ scopes: ['tasks:read'] }, '/name'],
    [{ name: '', scopes: ['tasks:read'] }, '/name'],
    [{ name: ' \u3000', scopes: ['tasks:read'] }, '/name'],
    [{ name: 'x'.repeat(101), scopes: ['tasks:read'] }, '/name'],
    [{ name: 'x' }, '/scopes'],
    [{ name: 'x', scopes: [] }, '/scopes'],
    [{ name: 'x', scopes: 'tasks:read' }, '/scopes'],
    [{ name: 'x', scopes: ['tasks:admin'] }, '/scopes/0'],
    [{ name: 'x', scopes: ['tasks:read', 'tasks:read'] }, '/scopes'],
    [{ name: 'x', scopes: ['tasks:read'], expires_at: inDays(-1) }, '/expires_at'],
    [{ name: 'x', scopes: ['tasks:read'], expires_at: inDays(367) }, '/expires_at'],
    [{ name: 'x', scopes: ['tasks:read'], expires_at: 'tomorrow' }, '/expires_at'],
    [{ name: 'x', scopes: ['tasks:read'], expires_at: 5 }, '/expires_at'],
    [{ name: 'x', scopes: ['tasks:read'], token: newApiToken() }, '/token'],
  ])('is refused: %j', async (body, pointer) => {
    const answer = await call('POST', TOKENS, { as: newUser(), body })
    expect(answer.status).toBe(422)
    expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toEqual([pointer])
  })

  test('a user has at most 50 that have not expired, however many are asked for at once', async () => {
    const user = newUser()
    const answers = await Promise.all(
      Array.from({ length: 60 }, () =>
        call('POST', TOKENS, { as: user, body: { name: 'x', scopes: ['tasks:read'] } }),
      ),
    )
    expect(answers.map(outcome).filter(([status]) => status === 201)).toHaveLength(50)
    expect(answers.map(outcome).filter(([, code]) => code === 'TOO_MANY')).toHaveLength(10)
    await sql`update api_tokens set expires_at = now() where user_id = ${user}`
    await make(user)
    expect((await call('GET', TOKENS, { as: user })).body).toHaveLength(51)
  })

  test('of those that have expired, the newest 50 are kept', async () => {
    const user = newUser()
    await make(user)
    await sql`
      insert into api_tokens (user_id, name, scopes, token_hash, last_four, created_at, expires_at)
      select ${user}, 'old', '{tasks:read}', sha256((${user} || n)::bytea), 'abcd', now(), now() - n * interval '1 hour'
      from generate_series(1, 60) as n`
    await make(user)
    expect((await call('GET', TOKENS, { as: user })).body).toHaveLength(52)
  })
})

const openApi = await readOpenApi(call)
const walker = newUser()
const tokens = {
  'tasks:read': (await make(walker, { scopes: ['tasks:read'] })).token,
  'tasks:write': (await make(walker, { scopes: ['tasks:write'] })).token,
  both: (await make(walker, { scopes: ['tasks:write', 'tasks:read'] })).token,
}

describe('the scopes', () => {
  const FOR_PROGRAMS = /^\/api\/(?:v1\/(?:todos|lists|tags)|\{user_id\}\/(?:tasks|lists|tags))(?:\/|$)/
  const READS = /\/events\/ticket$/

  /** What a token of this scope gets: nothing in its way, or a 403. */
  function expected(scope: keyof typeof tokens, method: string, path: string): boolean {
    if (!FOR_PROGRAMS.test(path)) return false
    return scope !== 'tasks:read' || method === 'GET' || READS.test(path)
  }

  const signedIn = openApi.operations.filter(({ needsToken }) => needsToken)
  const rows = Object.keys(tokens).flatMap((scope) =>
    signedIn.map((operation) => ({ scope: scope as keyof typeof tokens, operation })),
  )
  test('there are routes for each', () => {
    expect(signedIn.length).toBeGreaterThan(50)
  })
  test.each(rows)('$scope: $operation.method $operation.path', async ({ scope, operation }) => {
    const { method, path } = operation
    const body = openApi.bodyOf(operation)
    const answer = await call(method, pathOf(operation, { user_id: 'me' }), { ...by(tokens[scope]), body })
    const isLetIn = answer.body?.error_code !== 'INSUFFICIENT_SCOPE'
    expect(isLetIn).toBe(expected(scope, method, path))
    if (isLetIn) return
    expect(answer.status).toBe(403)
    const needed = FOR_PROGRAMS.test(path) ? ', scope="tasks:write"' : ''
    expect(answer.headers.get('www-authenticate')).toBe(`Bearer error="insufficient_scope"${needed}`)
  })

  test('HEAD reads', async () => {
    expect((await call('HEAD', TODOS, by(tokens['tasks:read']))).status).toBe(200)
  })

  test('come in their usual order', async () => {
    const made = await make(newUser(), { scopes: ['tasks:write', 'tasks:read'] })
    expect(made.scopes).toEqual(['tasks:read', 'tasks:write'])
  })

  test('a refused write has done nothing, and a body is not looked at', async () => {
    const answer = await call('POST', TODOS, { ...by(tokens['tasks:read']), body: '{' })
    expect(outcome(answer)).toEqual([403, 'INSUFFICIENT_SCOPE'])
  })

  test('another user in the path is refused as with any token', async () => {
    const answer = await call('GET', '/api/somebody/tasks', by(tokens['tasks:write']))
    expect(outcome(answer)).toEqual([403, 'OWNER_MISMATCH'])
  })
})

describe('a token is used', () => {
  test('by its user, also one of another issuer', async () => {
    const user = newUser()
    const { token } = await make(user)
    const task = await call('POST', TODOS, { ...by(token), body: { title: 'by a program' } })
    expect(task.body).toMatchObject({ title: 'by a program', user_id: user })
    expect((await call('GET', `/api/${user}/tasks`, by(token))).body).toHaveLength(1)
    expect((await call('GET', TODOS, { as: newUser() })).body).toEqual([])
  })

  test('the time is noted at most once in ten minutes', async () => {
    const user = newUser()
    const { token, id } = await make(user)
    const lastUse = async () => (await call('GET', TOKENS, { as: user })).body[0].last_used_at
    await call('GET', TODOS, by(token))
    const first = await lastUse()
    expect(Math.abs(Date.parse(first) - Date.now())).toBeLessThan(60_000)
    const usedAfter = async (minutes: number) => {
      const before = new Date(Date.parse(first) - minutes * 60_000)
      await sql`update api_tokens set last_used_at = ${before.toISOString()} where id = ${id}`
      // another process remembers nothing
      const { find } = createTokenFinder(database)
      await find(token, backgroundContext(1000))
      return [before.toISOString(), await lastUse()]
    }
    const [before, after] = await usedAfter(9)
    expect(after).toBe(before)
    const [longBefore, now] = await usedAfter(11)
    expect(now).not.toBe(longBefore)
  })

  test('by many requests at once: the database is asked a few times', async () => {
    const { token } = await make(newUser())
    await call('GET', TODOS, by(token))
    logged.length = 0
    await Promise.all(Array.from({ length: 50 }, () => call('GET', TODOS, by(token))))
    expect(logged.filter((line) => line.includes('findGrants')).length).toBeLessThan(50)
  })

  test('until it expires', async () => {
    const user = newUser()
    const { token, id } = await make(user)
    await sql`update api_tokens set expires_at = now() - interval '1 second' where id = ${id}`
    expect(outcome(await call('GET', TODOS, by(token)))).toEqual([401, 'TOKEN_EXPIRED'])
  })
})

describe('a token ends', () => {
  const anotherProcess = () =>
    createApp({ settings, database, log: createLog({ logLevel: 'silent', production: true }) })
  const statusAt = async (at: Pick<typeof app, 'handle'>, token: string) =>
    (await at.handle(new Request(`http://localhost${TODOS}`, by(token)))).status

  test('at once, and a second time it is not there', async () => {
    const user = newUser()
    const { token, id } = await make(user)
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    expect((await call('DELETE', `${TOKENS}/${id}`, { as: user })).status).toBe(204)
    expect(outcome(await call('GET', TODOS, by(token)))).toEqual([401, 'TOKEN_INVALID'])
    expect(outcome(await call('DELETE', `${TOKENS}/${id}`, { as: user }))).toEqual([404, 'TOKEN_NOT_FOUND'])
  })

  test('in every process within a second', async () => {
    const user = newUser()
    const { token, id } = await make(user)
    const other = anotherProcess()
    expect(await statusAt(other, token)).toBe(200)
    await call('DELETE', `${TOKENS}/${id}`, { as: user })
    await eventually(() => statusAt(other, token), 401)
  })

  test('even if it was being looked up', async () => {
    const user = newUser()
    const { token, id } = await make(user)
    const finder = createTokenFinder(database)
    const lookup = finder.find(token, backgroundContext(1000))
    finder.forget()
    await sql`delete from api_tokens where id = ${id}`
    await lookup.catch(() => {})
    await expect(finder.find(token, backgroundContext(1000))).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
  })

  test("another user's is not found, and goes on", async () => {
    const { token, id } = await make(newUser())
    expect(outcome(await call('DELETE', `${TOKENS}/${id}`, { as: newUser() }))).toEqual([
      404,
      'TOKEN_NOT_FOUND',
    ])
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
  })

  test('with its stream of events, and with a stream that a ticket of it opened', async () => {
    const user = newUser()
    const { token, id } = await make(user, { scopes: ['tasks:read'] })
    const { body } = await call('POST', `${TODOS}/events/ticket`, by(token))
    const open = async (path: string, init = {}) => {
      const { status, body } = await app.handle(new Request(`http://localhost${path}`, init))
      expect(status).toBe(200)
      return body?.getReader() ?? expect.unreachable()
    }
    const streams = [
      await open(`${TODOS}/events`, by(token)),
      await open(`${TODOS}/events?ticket=${body.ticket}`),
    ]
    const unused = await call('POST', `${TODOS}/events/ticket`, by(token))
    await call('DELETE', `${TOKENS}/${id}`, { as: user })
    for (const stream of streams) {
      let chunk = await stream.read()
      while (!chunk.done) chunk = await stream.read()
      expect(chunk.done).toBe(true)
    }
    const late = await call('GET', `${TODOS}/events?ticket=${unused.body.ticket}`)
    expect(outcome(late)).toEqual([401, 'TICKET_INVALID'])
  })

  test('with its user', async () => {
    const user = newUser()
    const { token } = await make(user)
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    await call('DELETE', '/api/v1/users/me', { as: user })
    expect(outcome(await call('POST', TODOS, { ...by(token), body: { title: 'x' } }))).toEqual([
      401,
      'TOKEN_INVALID',
    ])
    expect((await anotherProcess().handle(new Request(`http://localhost${TODOS}`, by(token)))).status).toBe(
      401,
    )
  })

  test('with its user, and is not remembered', async () => {
    const user = newUser()
    const { token } = await make(user)
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    await call('DELETE', '/api/v1/users/me', { as: user })
    expect(await reasonFor(token)).toBe('unknown_token')
  })

  test('and is purged 30 days after it has expired', async () => {
    const user = newUser()
    for (const days of [29, 31]) {
      const { id } = await make(user)
      await sql`update api_tokens set expires_at = now() - ${days} * interval '1 day' where id = ${id}`
    }
    expect(await purgeTokens(database.sql)).toBe(false)
    expect((await call('GET', TOKENS, { as: user })).body).toHaveLength(1)
  })
})

describe('an account', () => {
  async function signUp() {
    const email = `${newUser()}@example.com`
    const account = { email, password: 'correct horse battery' }
    const { body } = await call('POST', '/api/v1/auth/register', { body: account })
    const session = { headers: { authorization: `Bearer ${body.access_token}` } }
    const made = await call('POST', TOKENS, { ...session, body: { name: 'x', scopes: ['tasks:read'] } })
    return { ...account, session, refresh_token: body.refresh_token, token: made.body.token }
  }

  test.each([
    [undefined, 200],
    [false, 200],
    [true, 401],
  ])('that changes its password with end_tokens %p: %p', async (end_tokens, status) => {
    const { session, password, token } = await signUp()
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    const changed = await call('POST', '/api/v1/users/me/password', {
      ...session,
      body: { current_password: password, new_password: 'another horse battery', end_tokens },
    })
    expect(changed.status).toBe(204)
    expect((await call('GET', TODOS, by(token))).status).toBe(status)
  })

  test('that is deleted takes its tokens along, and none is remembered', async () => {
    const { session, password, token } = await signUp()
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    await call('DELETE', '/api/v1/users/me', { ...session, body: { password } })
    expect(await reasonFor(token)).toBe('unknown_token')
  })

  test('whose session has ended makes, lists and ends no tokens', async () => {
    const { session, refresh_token, token } = await signUp()
    await call('POST', '/api/v1/auth/logout', { body: { refresh_token } })
    const calls = [
      await call('POST', TOKENS, { ...session, body: { name: 'x', scopes: ['tasks:read'] } }),
      await call('GET', TOKENS, session),
      await call('DELETE', `${TOKENS}/1`, session),
    ]
    expect(calls.map(outcome)).toEqual(Array(3).fill([401, 'TOKEN_INVALID']))
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
  })
})
