import { afterAll, describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { openDatabase } from '../../src/database/database'
import { createLog } from '../../src/telemetry/log'
import { type CallOptions, testApp, toAnswer } from '../support/app'
import { openConnection, tokenOf } from '../support/http-connection'
import { left, limitedApp, policiesOf, times } from '../support/limited-app'

const TODOS = '/api/v1/todos'
const ME = '/api/v1/users/me'
const LARGE = { title: 'x'.repeat(70_000) }

describe('a request with many faults is refused for the first of them', async () => {
  const { from, call } = await limitedApp({ RATE_LIMIT_PER_MINUTE: '5' })
  await times(5, () => from('192.0.2.1', 'GET', '/docs'))
  await times(5, () => call('GET', TODOS, { as: 'spent' }))
  const { id } = (await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })).body
  const refused = { authorization: 'Bearer a.b.c' }
  const stale = { 'if-match': '"0"' }
  const typed = (type: string) => ({ 'content-type': type, ...stale })

  test.each<[number, string, string, string, string, CallOptions]>([
    [404, 'NOT_FOUND', '192.0.2.1', 'GET', '/nothing', { headers: refused }],
    [405, 'METHOD_NOT_ALLOWED', '192.0.2.1', 'DELETE', TODOS, { headers: refused }],
    [429, 'RATE_LIMITED', '192.0.2.1', 'GET', '/api/bob/tasks', { headers: refused }],
    [401, 'TOKEN_INVALID', '192.0.2.2', 'POST', '/api/bob/tasks', { headers: refused, body: LARGE }],
    [403, 'OWNER_MISMATCH', '192.0.2.2', 'POST', '/api/bob/tasks', { as: 'spent', body: LARGE }],
    [429, 'RATE_LIMITED', '192.0.2.2', 'POST', TODOS, { as: 'spent', body: LARGE }],
    [
      413,
      'PAYLOAD_TOO_LARGE',
      '192.0.2.2',
      'PUT',
      `${TODOS}/0`,
      { as: 'a', body: LARGE, headers: typed('x/y') },
    ],
    [
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      '192.0.2.2',
      'PUT',
      `${TODOS}/0`,
      { as: 'b', body: '{', headers: typed('x/y') },
    ],
    [400, 'MALFORMED_JSON', '192.0.2.2', 'PUT', `${TODOS}/0`, { as: 'c', body: '{', headers: stale }],
    [422, 'VALIDATION_ERROR', '192.0.2.2', 'PUT', `${TODOS}/9`, { as: 'd', body: {}, headers: stale }],
    [
      404,
      'TASK_NOT_FOUND',
      '192.0.2.2',
      'PUT',
      `${TODOS}/9`,
      { as: 'e', body: { title: 'y' }, headers: stale },
    ],
    [
      412,
      'PRECONDITION_FAILED',
      '192.0.2.1',
      'PUT',
      `${TODOS}/${id}`,
      { as: 'ann', body: { title: 'y' }, headers: stale },
    ],
  ])('%i %s', async (status, code, address, method, path, options) => {
    expect(await from(address, method, path, options)).toMatchObject({ status, body: { error_code: code } })
  })
})

describe('a signed-in request', async () => {
  const { from } = await limitedApp({ RATE_LIMIT_PER_MINUTE: '3' })

  test('counts for its user, wherever it comes from', async () => {
    for (const [n, path] of [TODOS, '/api/ann/tasks', ME].entries()) {
      expect(left(await from(`192.0.2.${n}`, 'GET', path, { as: 'ann' }))).toEqual({ user: 2 - n })
    }
    expect((await from('192.0.2.9', 'GET', TODOS, { as: 'ann' })).status).toBe(429)
  })

  test('is not held up by what others at its address do', async () => {
    await times(4, () => from('198.51.100.1', 'GET', TODOS, { as: 'bob' }))
    await times(4, () => from('198.51.100.1', 'GET', TODOS))
    expect((await from('198.51.100.1', 'GET', TODOS)).status).toBe(429)
    const answer = await from('198.51.100.1', 'GET', TODOS, { as: 'kim' })
    expect(answer.status).toBe(200)
    expect(left(answer)).toEqual({ user: 2 })
  })

  test('counts whatever becomes of it', async () => {
    const asked = [
      await from('192.0.2.1', 'GET', '/api/bob/tasks', { as: 'eve' }),
      await from('192.0.2.1', 'POST', TODOS, { as: 'eve', body: '{' }),
      await from('192.0.2.1', 'GET', `${TODOS}/9`, { as: 'eve' }),
    ]
    expect(asked.map(({ status }) => status)).toEqual([403, 400, 404])
    expect(asked.map(left)).toEqual([{ user: 2 }, { user: 1 }, { user: 0 }])
  })
})

describe('a request of nobody known', async () => {
  const { from, call } = await limitedApp({ RATE_LIMIT_PER_MINUTE: '3' })

  test('counts for its address: without a token, with one that is refused, for a page', async () => {
    const asked = [
      await from('192.0.2.1', 'GET', TODOS),
      await from('192.0.2.1', 'GET', ME, { headers: { authorization: 'Bearer a.b.c' } }),
      await from('192.0.2.1', 'GET', '/docs'),
    ]
    expect(asked.map(left)).toEqual([{ address: 2 }, { address: 1 }, { address: 0 }])
    for (const path of [TODOS, ME, '/docs', '/', '/openapi.json', '/docs/assets/redoc.css']) {
      expect((await from('192.0.2.1', 'GET', path)).status).toBe(429)
    }
    expect((await from('192.0.2.2', 'GET', TODOS)).status).toBe(401)
  })

  test('counts at a path or with a method that there is not, and is never refused there', async () => {
    const asked = [
      await from('192.0.2.3', 'GET', '/nothing'),
      await from('192.0.2.3', 'DELETE', TODOS),
      await from('192.0.2.3', 'POST', '/docs'),
    ]
    expect(asked.map(left)).toEqual([{ address: 2 }, { address: 1 }, { address: 0 }])
    expect((await from('192.0.2.3', 'GET', '/nothing')).status).toBe(404)
    expect((await from('192.0.2.3', 'DELETE', TODOS)).status).toBe(405)
    expect((await from('192.0.2.3', 'GET', TODOS)).status).toBe(429)
  })

  test.each(['/health', '/ready', '/health?x=1'])('never counts and is never refused at %s', async (path) => {
    const address = `203.0.113.${path.length}`
    const first = await from(address, 'GET', path)
    await times(4, () => from(address, 'GET', path))
    expect(left(await from(address, 'GET', path))).toEqual({ address: 3 })
    await times(4, () => from(address, 'GET', '/nothing'))
    const last = await from(address, 'GET', path)
    expect(last.status).toBe(first.status)
    expect(left(last)).toEqual({ address: 0 })
  })

  test('does not count as a preflight, and is answered without a limit', async () => {
    const headers = { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' }
    await times(3, () => from('192.0.2.4', 'OPTIONS', TODOS, { headers }))
    const answer = await from('192.0.2.4', 'OPTIONS', TODOS, { headers })
    expect(answer.status).toBe(204)
    expect(answer.headers.has('ratelimit')).toBe(false)
    expect(left(await from('192.0.2.4', 'GET', '/health'))).toEqual({ address: 3 })
  })

  test('counts together with all others whose address is not known', async () => {
    expect(left(await call('GET', '/docs'))).toEqual({ address: 2 })
    expect(left(await from('nonsense', 'GET', '/docs'))).toEqual({ address: 1 })
  })
})

test.each<[string, string, CallOptions]>([
  ['user', TODOS, { as: 'ann' }],
  ['address', TODOS, {}],
])(
  'a refusal by %s is a problem that says when to come again, for pages of other origins too',
  async (policy, path, who) => {
    const { from, call } = await limitedApp({ RATE_LIMIT_PER_MINUTE: '1' })
    const headers = { origin: 'http://localhost:3000' }
    await from('192.0.2.1', 'GET', path, who)
    const answer = await from('192.0.2.1', 'GET', path, { ...who, headers })
    expect(answer).toMatchObject({ status: 429, body: { error_code: 'RATE_LIMITED', status: 429 } })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    const wait = answer.headers.get('retry-after')
    expect(Number(wait)).toBeWithin(1, 61)
    expect(answer.headers.get('ratelimit')).toBe(`"${policy}";r=0;t=${wait}`)
    expect(answer.headers.get('ratelimit-policy')).toBe(`"${policy}";q=1;w=60`)
    expect(answer.headers.get('access-control-allow-origin')).toBe('http://localhost:3000')
    expect(answer.headers.get('access-control-expose-headers')).toContain('Retry-After')
    expect((await call('GET', '/health')).status).toBe(200)
  },
)

describe('over the network', async () => {
  /** Its address is the same for all; what it says of others is theirs to choose. */
  async function listening(hops: number) {
    const { app } = await testApp({ TRUSTED_PROXY_HOPS: String(hops), RATE_LIMIT_PER_MINUTE: '100' })
    app.listen({ port: 0, hostname: '127.0.0.1' })
    afterAll(() => app.stop(true))
    return app
  }
  const [direct, proxied] = await Promise.all([listening(0), listening(1)])

  /** @returns what is left for the address that the request is taken to come from */
  async function ask({ server }: typeof direct, ...forwardedFor: string[]): Promise<number | undefined> {
    const connection = await openConnection(Number(server?.port))
    const lines = forwardedFor.map((value) => `X-Forwarded-For: ${value}\r\n`).join('')
    connection.write(`GET /nothing HTTP/1.1\r\nHost: localhost\r\n${lines}Connection: close\r\n\r\n`)
    const [, sent = ''] = /\r\nratelimit: (.*)\r\n/i.exec(await connection.until(/^.*\r\n\r\n/s)) ?? []
    connection.destroy()
    return left({ headers: new Headers({ ratelimit: sent }) })['address']
  }

  test('without a trusted proxy the other end of the connection counts, whatever it says', async () => {
    expect(await ask(direct)).toBe(99)
    expect(await ask(direct, '192.0.2.1')).toBe(98)
    expect(await ask(direct, '192.0.2.2')).toBe(97)
    expect(await ask(direct, '192.0.2.3, 192.0.2.4')).toBe(96)
    // what comes over no connection is somebody else
    expect(left(await toAnswer(await direct.handle(new Request('http://localhost/nothing'))))).toEqual({
      address: 99,
    })
  })

  test('with one, who the proxy says it is counts, and nobody else', async () => {
    expect(await ask(proxied, '192.0.2.1')).toBe(99)
    expect(await ask(proxied, '192.0.2.2')).toBe(99)
    expect(await ask(proxied, '192.0.2.2, 192.0.2.1')).toBe(98)
    expect(await ask(proxied, '203.0.113.7,192.0.2.1')).toBe(97)
    expect(await ask(proxied, '203.0.113.8', '192.0.2.1')).toBe(96)
    expect(await ask(proxied, '2001:db8::1')).toBe(99)
    expect(await ask(proxied, '2001:db8::2:3:4:5')).toBe(98)
    // past the proxy
    expect(await ask(proxied)).toBe(99)
    expect(await ask(proxied, 'rubbish')).toBe(98)
  })
})

describe('what is left is said in every answer', async () => {
  const { app, call, sql, settings } = await testApp()
  const document = (await call('GET', '/openapi.json')).body
  const operations = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  )
  const policyAt = (path: string) => (path.startsWith('/api/v1/auth/') ? ['auth-address'] : ['address'])
  const isForAll = (path: string) => policyAt(path)[0] === 'auth-address' || /^\/(health|ready)$/.test(path)

  test.each(operations)('to %s %s, with or without a token', async (method, path) => {
    const concrete = path.replace('{user_id}', 'me').replaceAll(/\{\w+\}/g, '1')
    const asked = await call(method, concrete, { as: 'walker' })
    expect(policiesOf(asked)).toEqual(isForAll(path) ? policyAt(path) : ['user'])
    expect(policiesOf(await call(method, concrete))).toEqual(policyAt(path))
    expect(policiesOf(await call(method, `${concrete}/nothing/there`))).toEqual(['address'])
    expect(policiesOf(await call('BREW', concrete))).toEqual(['address'])
  })

  test('to more operations than thirty', () => {
    expect(operations.length).toBeGreaterThan(30)
  })

  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const task = (await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })).body
  const empty = String((await call('GET', TODOS, { as: 'kim' })).headers.get('etag'))
  const account = { email: 'ann@example.com', password: 'correct horse battery' }
  const { access_token: token } = (await call('POST', '/api/v1/auth/register', { body: account })).body
  const own = { authorization: `Bearer ${token}` }
  const AUTH = ['auth-address']
  const BOTH = ['auth-address', 'auth-account']
  const json = { 'content-type': 'application/json' }

  test.each<[number, string[], string, string, CallOptions]>([
    [200, ['user'], 'HEAD', TODOS, { as: 'ann' }],
    [200, ['user'], 'GET', `${TODOS}/events`, { as: 'ann' }],
    [200, ['user'], 'HEAD', `${TODOS}/events`, { as: 'ann' }],
    [200, ['address'], 'HEAD', '/health', {}],
    [200, ['address'], 'GET', '/docs', {}],
    [200, ['address'], 'GET', '/redoc', {}],
    [200, ['address'], 'GET', '/openapi.json', {}],
    [200, ['address'], 'GET', '/docs/assets/swagger-ui.css', {}],
    [200, ['address'], 'GET', '/docs/assets/favicon.png', {}],
    [200, BOTH, 'POST', '/api/v1/auth/login', { body: account }],
    [
      200,
      ['user', 'auth-account'],
      'PATCH',
      ME,
      { headers: own, body: { name: 'A', current_password: account.password } },
    ],
    [201, ['user'], 'POST', TODOS, { as: 'ann', body: { title: 'x' } }],
    [204, ['user'], 'DELETE', `${TODOS}/2`, { as: 'ann' }],
    [302, ['address'], 'GET', '/', {}],
    [304, ['user'], 'GET', `${TODOS}/1`, { as: 'ann', headers: { 'if-none-match': `"${task.revision}"` } }],
    [304, ['user'], 'GET', '/api/kim/tasks', { as: 'kim', headers: { 'if-none-match': empty } }],
    [400, ['user'], 'POST', TODOS, { as: 'ann', body: '{' }],
    [401, ['address'], 'GET', TODOS, {}],
    [401, BOTH, 'POST', '/api/v1/auth/login', { body: { ...account, password: 'wrong' } }],
    [401, AUTH, 'POST', '/api/v1/auth/refresh', { body: { refresh_token: 'x' } }],
    [403, ['user'], 'GET', '/api/bob/tasks', { as: 'ann' }],
    [403, ['user', 'auth-account'], 'DELETE', ME, { headers: own, body: { password: 'wrong' } }],
    [404, ['address'], 'GET', '/nothing', { as: 'ann' }],
    [404, ['user'], 'GET', `${TODOS}/9`, { as: 'ann' }],
    [405, ['address'], 'POST', '/health', {}],
    [409, BOTH, 'POST', '/api/v1/auth/register', { body: account }],
    [412, ['user'], 'DELETE', `${TODOS}/1`, { as: 'ann', headers: { 'if-match': '"0"' } }],
    [413, ['user'], 'POST', TODOS, { as: 'ann', body: LARGE }],
    [415, ['user'], 'POST', TODOS, { as: 'ann', body: '{}', headers: { 'content-type': 'text/plain' } }],
    [422, ['user'], 'POST', TODOS, { as: 'ann', body: {}, headers: json }],
    [422, ['address'], 'GET', '/docs?x=1', {}],
  ])('of %i %p: %s %s', async (status, policies, method, path, { as, body, headers }) => {
    const answer = await fetch(`http://127.0.0.1:${app.server?.port}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(as && { authorization: `Bearer ${await tokenOf(as)}` }),
        ...(body !== undefined && json),
        ...headers,
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    })
    await answer.body?.cancel()
    expect(answer.status).toBe(status)
    expect(policiesOf(answer)).toEqual(policies)
  })

  test('of a fault', async () => {
    await sql`alter table tasks rename to gone`
    const fault = await call('GET', TODOS, { as: 'ann' })
    await sql`alter table gone rename to tasks`
    expect([fault.status, policiesOf(fault)]).toEqual([500, ['user']])
  })

  test.each([
    [TODOS, 'user'],
    ['/ready', 'address'],
  ])('of a database that is gone, at %s', async (path, policy) => {
    const database = openDatabase({
      url: 'postgres://u:p@127.0.0.1:1/d',
      poolSize: 1,
      requestTimeout: 10_000,
    })
    const log = createLog({ logLevel: 'silent', production: true })
    const headers = { authorization: `Bearer ${await tokenOf('ann')}` }
    const request = new Request(`http://localhost${path}`, { headers })
    const answer = await createApp({ settings, database, log }).handle(request)
    await database.end()
    expect([answer.status, policiesOf(answer)]).toEqual([503, [policy]])
  })
})
