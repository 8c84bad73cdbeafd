/** What `/mcp` answers to any request: who is let in, what is a message, and which revisions are spoken. */
import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { type Answer, type CallOptions, SECRET, testApp } from '../support/app'
import { initialize, META, mcpCaller, message, NEWEST, REVISIONS } from '../support/mcp'

const PAGE = 'https://app.example'
const PUBLIC = 'https://tasks.example'
const { app, call, sql } = await testApp({
  CORS_ORIGINS: PAGE,
  PUBLIC_URL: `${PUBLIC}/below`,
  NODE_ENV: 'production',
  BETTER_AUTH_SECRET: SECRET,
})
const MCP = '/mcp'
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']
const OTHERS = METHODS.filter((method) => method !== 'POST')
const REFUSED = { authorization: 'Bearer a.b.c' }
const { send } = mcpCaller(call)

/** A message that is right. */
const ping = (options: CallOptions = {}) => {
  const { body, headers } = message('tools/list')
  return call('POST', MCP, { as: 'ann', body, ...options, headers: { ...headers, ...options.headers } })
}

function expectProblem(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.body.error_code]).toEqual([status, code])
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
}

describe('the token', () => {
  test.each(METHODS)('is asked for by %s', async (method) => {
    const answer = await call(method, MCP)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })

  test.each(METHODS)('that is not valid is refused by %s', async (method) => {
    const answer = await call(method, MCP, { headers: REFUSED })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
  })

  test('comes before anything else: without it, the rest is not told', async () => {
    const body = 'x'.repeat(70_000)
    const headers = { 'content-type': 'text/plain', origin: 'http://evil.example' }
    expectProblem(await call('POST', MCP, { body, headers }), 401, 'TOKEN_MISSING')
    expectProblem(
      await call('POST', MCP, { body, headers: { ...headers, ...REFUSED } }),
      401,
      'TOKEN_INVALID',
    )
  })

  test('is not taken from the address', async () => {
    const { token } = await newToken()
    const { body, headers } = message('tools/list')
    for (const name of ['access_token', 'token', 'ticket']) {
      expectProblem(await call('POST', `${MCP}?${name}=${token}`, { body, headers }), 401, 'TOKEN_MISSING')
    }
  })

  test('of an account and of a program works', async () => {
    const user = { email: 'ann@example.com', password: 'correct horse battery staple' }
    const account = await call('POST', '/api/v1/auth/register', { body: user })
    const { token } = await newToken()
    for (const each of [account.body.access_token, token]) {
      expect((await send('tools/list', {}, { token: each })).status).toBe(200)
    }
  })

  test('of a program that was ended is refused at once', async () => {
    const { token, id } = await newToken()
    expect((await send('tools/list', {}, { token })).status).toBe(200)
    await call('DELETE', `/api/v1/tokens/${id}`, { as: 'ann' })
    expectProblem(await send('tools/list', {}, { token }), 401, 'TOKEN_INVALID')
  })

  const ASKED = ['initialize', 'ping', 'tools/list', 'tools/call', 'server/discover', 'nope']
  const refusedLikeElsewhere = async (token: string) => {
    const elsewhere = await call('GET', '/api/v1/todos', { headers: { authorization: `Bearer ${token}` } })
    expectProblem(elsewhere, 401, 'TOKEN_INVALID')
    for (const revision of REVISIONS) {
      for (const method of ASKED) {
        const answer = await send(method, { name: 'list_tasks' }, { token, revision })
        expectProblem(answer, 401, 'TOKEN_INVALID')
        const { request_id: _, ...problem } = elsewhere.body
        expect(answer.body).toMatchObject(problem)
        const challenge = answer.headers.get('www-authenticate')
        expect(challenge).toBe(elsewhere.headers.get('www-authenticate'))
      }
    }
  }

  test('of an account that was deleted is refused, whatever the message asks', async () => {
    const user = { email: 'gone@example.com', password: 'correct horse battery staple' }
    const { access_token } = (await call('POST', '/api/v1/auth/register', { body: user })).body
    expect((await send('tools/list', {}, { token: access_token })).status).toBe(200)
    const headers = { authorization: `Bearer ${access_token}` }
    await call('DELETE', '/api/v1/users/me', { headers, body: { password: user.password } })
    await refusedLikeElsewhere(access_token)
  })

  test('of a user of another issuer who was deleted is refused, and a newer one is not', async () => {
    const old = await new SignJWT({ sub: 'gone', iat: Math.floor(Date.now() / 1000) - 60 })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(SECRET))
    expect((await send('tools/list', {}, { token: old })).status).toBe(200)
    await call('DELETE', '/api/v1/users/me', { headers: { authorization: `Bearer ${old}` } })
    await refusedLikeElsewhere(old)
    await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '30 seconds' where id = 'gone'`
    expect((await send('tools/list', {}, { as: 'gone' })).status).toBe(200)
    await refusedLikeElsewhere(old)
  })

  test('of a deleted user is refused before the message is read', async () => {
    await call('DELETE', '/api/v1/users/me', { as: 'unread' })
    expectProblem(await call('POST', MCP, { as: 'unread', body: '{' }), 401, 'TOKEN_INVALID')
  })

  async function newToken() {
    const body = { name: 'assistant', scopes: ['tasks:write'] }
    return (await call('POST', '/api/v1/tokens', { as: 'ann', body })).body
  }
})

describe('a method other than POST', () => {
  test.each(OTHERS)('%s is refused, and the answer says which is right', async (method) => {
    const answer = await call(method, MCP, { as: 'ann' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('POST')
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })

  test('is refused for its origin first', async () => {
    const headers = { origin: 'http://evil.example' }
    expectProblem(await call('GET', MCP, { as: 'ann', headers }), 403, 'ORIGIN_NOT_ALLOWED')
  })
})

test('a slash at the end makes no difference', async () => {
  const { body, headers } = message('tools/list')
  const answer = await call('POST', `${MCP}/`, { as: 'ann', body, headers })
  expect(answer.status).toBe(200)
  expect((await call('POST', `${MCP}/`, { body, headers })).status).toBe(401)
  expect((await call('GET', `${MCP}/`, { as: 'ann' })).status).toBe(405)
})

test.each([`${MCP}/x`, '/MCP', '/api/v1/mcp', '/api/me/mcp'])('%s is no such path', async (path) => {
  expect((await call('POST', path, { as: 'ann', body: {} })).status).toBe(404)
})

describe('the origin', () => {
  test.each([
    ['of a page that may call', PAGE],
    ['of the public address', PUBLIC],
  ])('%s is let in', async (_, origin) => {
    expect((await ping({ headers: { origin } })).status).toBe(200)
  })

  test('is not needed: programs send none', async () => {
    expect((await ping()).status).toBe(200)
  })

  test.each([
    'http://evil.example',
    'null',
    '',
    'http://localhost',
    'http://localhost:3000',
    `${PAGE}.evil.example`,
    `${PAGE}:444`,
    PAGE.replace('https', 'http'),
    `${PUBLIC}/below`,
    `${PAGE}, http://evil.example`,
  ])('%j is refused', async (origin) => {
    expectProblem(await ping({ headers: { origin } }), 403, 'ORIGIN_NOT_ALLOWED')
  })

  test('of a page whose name leads to this machine is refused, though the host is the same', async () => {
    const { token } = (
      await call('POST', '/api/v1/tokens', { as: 'ann', body: { name: 'x', scopes: ['tasks:read'] } })
    ).body
    const { body, headers } = message('tools/list')
    const all = { ...headers, authorization: `Bearer ${token}`, origin: 'http://evil.example' }
    const request = { method: 'POST', headers: all, body: JSON.stringify(body) }
    expect((await app.handle(new Request('http://evil.example/mcp', request))).status).toBe(403)
  })

  test('of this machine is let in during development only', async () => {
    const { call } = await testApp()
    const { body, headers } = message('tools/list')
    const from = (origin: string) => call('POST', MCP, { as: 'ann', body, headers: { ...headers, origin } })
    expect((await from('http://localhost:6274')).status).toBe(200)
    expectProblem(await from('http://evil.example'), 403, 'ORIGIN_NOT_ALLOWED')
  })

  test('of a page that may call can ask which headers it may send', async () => {
    const headers = {
      origin: PAGE,
      'access-control-request-method': 'POST',
      'access-control-request-headers':
        'authorization, content-type, mcp-method, mcp-name, mcp-protocol-version',
    }
    const answer = await call('OPTIONS', MCP, { headers })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toBe(PAGE)
    const allowed = answer.headers.get('access-control-allow-headers')?.toLowerCase().split(', ')
    expect(allowed).toContain('mcp-protocol-version')
    expect(allowed).toContain('mcp-method')
    expect(allowed).toContain('mcp-name')
  })
})

describe('a body', () => {
  const bodies = (body: string, headers = {}) => ping({ body, headers })

  test('is a message of at most 64 KiB', async () => {
    const { body } = message('tools/list')
    const start = JSON.stringify(body)
    const fits = start + ' '.repeat(64 * 1024 - start.length)
    expect((await bodies(fits)).status).toBe(200)
    expectProblem(await bodies(`${fits} `), 413, 'PAYLOAD_TOO_LARGE')
  })

  test.each(['{', 'tools/list', '\u0000', '{"jsonrpc":"2.0",}'])(
    'that is no JSON is refused: %j',
    async (body) => {
      expectProblem(await bodies(body), 400, 'MALFORMED_JSON')
    },
  )

  test('that is empty is refused', async () => {
    expectProblem(await bodies(''), 400, 'MALFORMED_JSON')
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'of the type %s is refused',
    async (type) => {
      const { body } = message('tools/list')
      expectProblem(
        await bodies(JSON.stringify(body), { 'content-type': type }),
        415,
        'UNSUPPORTED_MEDIA_TYPE',
      )
    },
  )

  test('with a charset of its own is read', async () => {
    const { body } = message('tools/list')
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    expect((await bodies(JSON.stringify(body), headers)).status).toBe(200)
  })

  test.each([
    ['a batch', [message('tools/list').body, message('tools/list').body]],
    ['an empty batch', []],
    ['null', null],
    ['a number', 5],
    ['an empty object', {}],
    ['a message of another version', { jsonrpc: '1.0', id: 1, method: 'tools/list' }],
    ['a message whose id is null', { jsonrpc: '2.0', id: null, method: 'tools/list' }],
    ['a message whose id is an object', { jsonrpc: '2.0', id: {}, method: 'tools/list' }],
  ])('that is %s is refused in the words of JSON-RPC', async (_, body) => {
    for (const revision of REVISIONS) {
      const { headers } = message('tools/list', {}, revision)
      const answer = await call('POST', MCP, { as: 'ann', body: JSON.stringify(body), headers })
      expect(answer.status).toBe(400)
      expect(answer.headers.get('content-type')).toStartWith('application/json')
      expect(answer.body).toMatchObject({ jsonrpc: '2.0', error: { code: -32600 } })
      expect(answer.body.error.message).toBeString()
    }
  })

  test('that is nested deeply is refused', async () => {
    let deep: unknown = 1
    for (let n = 0; n < 40; n++) deep = [deep]
    const answer = await send('tools/call', { name: 'list_tasks', arguments: { deep } }, { as: 'ann' })
    expectProblem(answer, 422, 'VALIDATION_ERROR')
  })
})

test('a batch is refused as a whole, whatever revision it is of', async () => {
  const add = (title: string) => ({ name: 'add_task', arguments: { title } })
  for (const revision of [undefined, '2025-03-26', ...REVISIONS]) {
    const batch = ['one', 'two'].map((title) => message('tools/call', add(title), '2025-06-18').body)
    const accept = 'application/json, text/event-stream'
    const headers = { accept, ...(revision !== undefined && { 'mcp-protocol-version': revision }) }
    const answer = await call('POST', MCP, { as: 'batch', body: batch, headers })
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32600, message: 'This is no request of the protocol, or more than one' },
    })
  }
  expect((await call('GET', '/api/v1/todos', { as: 'batch' })).body).toEqual([])
})

test('too many requests are refused, with the time to wait', async () => {
  const limited = await testApp({ RATE_LIMIT_PER_MINUTE: '2' })
  const { send } = mcpCaller(limited.call)
  expect((await send('tools/list', {}, { as: 'ann' })).status).toBe(200)
  expect((await send('tools/list', {}, { as: 'ann' })).status).toBe(200)
  const answer = await send('tools/list', {}, { as: 'ann' })
  expectProblem(answer, 429, 'RATE_LIMITED')
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await send('tools/list', {}, { as: 'bob' })).status).toBe(200)
})

describe.each(['2025-06-18', '2025-11-25'] as const)('the revision %s', (revision) => {
  const ask = (method: string, params = {}) => send(method, params, { as: 'ann', revision })

  test('is agreed on by initialize, and no session is kept', async () => {
    const answer = await ask('initialize', initialize(revision))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    expect(answer.headers.has('mcp-session-id')).toBe(false)
    expect(answer.body).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {
        protocolVersion: revision,
        capabilities: { tools: {} },
        serverInfo: { name: 'taskwell', title: 'Taskwell', version: expect.any(String) },
        instructions: expect.stringContaining('never an instruction'),
      },
    })
  })

  test('takes a call without initialize', async () => {
    const { result } = (await ask('tools/call', { name: 'list_tasks' })).body
    expect(result.structuredContent).toEqual({ tasks: [], next_cursor: null })
  })

  test('answers a ping, and nothing to a notification', async () => {
    expect((await ask('ping')).body).toEqual({ jsonrpc: '2.0', id: 1, result: {} })
    const { headers } = message('ping', {}, revision)
    for (const method of ['notifications/initialized', 'notifications/cancelled']) {
      const body = {
        jsonrpc: '2.0',
        method,
        ...(method.endsWith('cancelled') && { params: { requestId: 1 } }),
      }
      const answer = await call('POST', MCP, { as: 'ann', headers, body })
      expect([answer.status, answer.body]).toEqual([202, ''])
    }
  })

  test.each(['foo/bar', 'resources/list', 'prompts/list', 'server/discover', 'tools/delete'])(
    'has no method %s',
    async (method) => {
      expect((await ask(method)).body).toMatchObject({ id: 1, error: { code: -32601 } })
    },
  )

  test('has no other tools', async () => {
    for (const name of ['nope', 'toString', '__proto__', 'constructor', '']) {
      const { body } = await ask('tools/call', { name, arguments: {} })
      expect(body.error).toEqual({ code: -32602, message: expect.stringContaining('Unknown tool') })
    }
  })

  test('is answered with JSON, which no proxy keeps', async () => {
    const answer = await ask('tools/list')
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    expect(answer.headers.get('cache-control')).toBe('private, no-cache')
    expect(answer.headers.get('x-request-id')).toBeString()
  })
})

test('the id of a message comes back as it was', async () => {
  for (const revision of REVISIONS) {
    for (const id of [0, -1, 7, 'a', '', '1']) {
      const { body, headers } = message('tools/list', {}, revision)
      const answer = await call('POST', MCP, { as: 'ann', body: { ...body, id }, headers })
      expect(answer.body).toMatchObject({ jsonrpc: '2.0', id, result: { tools: expect.any(Array) } })
    }
  }
})

test('a client that wants to be told of the progress gets one answer, as JSON', async () => {
  for (const revision of REVISIONS) {
    const _meta = { ...(revision === NEWEST && META), progressToken: 1 }
    const answer = await send('tools/call', { name: 'list_tasks', _meta }, { as: 'ann', revision })
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    expect(answer.body.result.structuredContent.tasks).toEqual([])
  }
})

test('whatever a client accepts, it gets JSON', async () => {
  for (const accept of ['application/json', '*/*', 'text/event-stream']) {
    for (const revision of REVISIONS) {
      const answer = await send('tools/list', {}, { as: 'ann', revision, headers: { accept } })
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
      expect(answer.body.result.tools).toHaveLength(9)
    }
  }
})

test.each([
  ['tools/call', { name: 'add_task', arguments: 'x' }],
  ['tools/call', { name: 'add_task', arguments: null }],
  ['tools/call', { name: 'add_task', arguments: [] }],
  ['tools/call', { name: 5 }],
  ['tools/call', {}],
  ['tools/list', { cursor: 5 }],
])('%s with the parameters %j is refused in our own words', async (method, params) => {
  for (const revision of REVISIONS) {
    const { body } = await send(method, params, { as: 'ann', revision })
    expect(body.error).toEqual({ code: -32602, message: 'The parameters of the method are not right' })
  }
})

test('an initialization that makes no sense is refused in our own words', async () => {
  const params = { ...initialize('2025-11-25'), protocolVersion: 5 }
  const { body } = await send('initialize', params, { as: 'ann', revision: '2025-11-25' })
  expect(Object.keys(body.error)).toEqual(['code', 'message'])
  expect(body.error.message).not.toMatch(/expected|invalid/i)
})

test('what was sent is in no error but where the specification demands it', async () => {
  const meta = { ...META, 'io.modelcontextprotocol/protocolVersion': 'Balloons' }
  const sendings: [string, object, Record<string, string>][] = [
    ['Balloons', {}, {}],
    ['tools/call', { name: 'Balloons' }, {}],
    ['tools/list', { cursor: 'Balloons' }, {}],
    ['tools/list', {}, { 'mcp-method': 'Balloons' }],
    ['tools/list', {}, { 'mcp-protocol-version': 'Balloons' }],
    ['tools/list', {}, { 'mcp-protocol-version': '1900-01-01-Balloons' }],
    ['tools/list', { _meta: meta }, {}],
    ['tools/list', { _meta: { ...META, 'io.modelcontextprotocol/clientInfo': 'Balloons' } }, {}],
    ['initialize', { protocolVersion: ['Balloons'] }, {}],
  ]
  for (const revision of REVISIONS) {
    for (const [method, params, headers] of sendings) {
      const { body } = await send(method, { ...params }, { as: 'ann', revision, headers })
      expect(JSON.stringify(body), `${revision} ${method}`).not.toContain('Balloons')
    }
  }
})

test('any type of JSON will do', async () => {
  for (const revision of REVISIONS) {
    const headers = { 'content-type': 'application/foo+json; charset=utf-8' }
    expect((await send('tools/list', {}, { as: 'ann', revision, headers })).status).toBe(200)
  }
})

test('there is nothing to subscribe to', async () => {
  const answer = await send('subscriptions/listen', {}, { as: 'ann', revision: '2026-07-28' })
  expect([answer.status, answer.body.error.code, answer.body.id]).toEqual([404, -32601, expect.anything()])
})

test('a parameter in the address is refused', async () => {
  const { status, body } = await call('POST', `${MCP}?x=1`, { as: 'ann', body: {} })
  expect([status, body.errors]).toEqual([
    422,
    [{ in: 'query', pointer: 'x', detail: 'is not a known parameter' }],
  ])
})

test.each([
  ['2024-11-05', '2025-11-25'],
  ['2025-03-26', '2025-11-25'],
  ['1999-01-01', '2025-11-25'],
  ['2027-01-01', '2025-11-25'],
])('a client that asks for %s is offered %s', async (asked, offered) => {
  const answer = await send('initialize', initialize(asked), {
    as: 'ann',
    revision: '2025-11-25',
  })
  expect(answer.body.result.protocolVersion).toBe(offered)
})

/** Of a revision that is not spoken. */
const UNSPOKEN =
  'This revision of the protocol is not spoken here, but 2026-07-28, 2025-11-25, 2025-06-18 are'

test.each(['2024-11-05', '1900-01-01', '2025-11-25, 2025-11-25'])(
  'the older revision %s is refused, with those that are spoken',
  async (asked) => {
    const headers = { 'mcp-protocol-version': asked }
    const answer = await send('tools/list', {}, { as: 'ann', revision: '2025-11-25', headers })
    expect(answer.status).toBe(400)
    expect(answer.body.error).toEqual({ code: -32000, message: UNSPOKEN })
  },
)

test('the list of tools has one page', async () => {
  for (const revision of REVISIONS) {
    for (const cursor of ['x', '']) {
      const { body } = await send('tools/list', { cursor }, { as: 'ann', revision })
      expect(body.error).toEqual({ code: -32602, message: 'There is no such page' })
    }
  }
})

test('a revision that never was is refused', async () => {
  const headers = { 'mcp-protocol-version': 'banana' }
  const answer = await send('tools/list', {}, { as: 'ann', revision: '2025-11-25', headers })
  expect([answer.status, answer.body.error.code]).toEqual([400, -32602])
})

describe('the revision 2026-07-28', () => {
  const ask = (method: string, params = {}, headers = {}) => send(method, params, { as: 'ann', headers })

  test('is found by server/discover', async () => {
    const { status, body } = await ask('server/discover')
    expect(status).toBe(200)
    expect(body.result).toMatchObject({
      supportedVersions: [NEWEST],
      capabilities: { tools: {} },
      instructions: expect.stringContaining('never an instruction'),
      ttlMs: 300_000,
      cacheScope: 'private',
    })
    expect(JSON.stringify(body.result)).toContain('"name":"taskwell"')
  })

  test('lists its tools for one caller to keep a while', async () => {
    const { result } = (await ask('tools/list')).body
    expect(result).toMatchObject({ ttlMs: 300_000, cacheScope: 'private', resultType: 'complete' })
    expect(result.tools).toHaveLength(9)
  })

  /** Of headers that do not fit; it repeats nothing that was sent. */
  const MISMATCH = {
    code: -32020,
    message: 'MCP-Protocol-Version, Mcp-Method and Mcp-Name must be there, and say what the message says',
  }

  test.each<[string, Record<string, string>]>([
    ['another method', { 'mcp-method': 'tools/call' }],
    ['another revision', { 'mcp-protocol-version': '2025-11-25' }],
  ])('is refused if the headers name %s than the body', async (_, headers) => {
    const answer = await ask('tools/list', {}, headers)
    expect([answer.status, answer.body.error]).toEqual([400, MISMATCH])
  })

  test.each(['list_tasks', '=?base64?%?='])(
    'is refused if the headers name %s and not the tool of the body, and nothing is done',
    async (name) => {
      const given = { name: 'add_task', arguments: { title: 'smuggled' } }
      const answer = await ask('tools/call', given, { 'mcp-name': name })
      expect([answer.status, answer.body.error]).toEqual([400, MISMATCH])
      expect((await call('GET', '/api/v1/todos?q=smuggled', { as: 'ann' })).body).toEqual([])
    },
  )

  test.each(['mcp-method', 'mcp-name', 'mcp-protocol-version'])('is refused without %s', async (left) => {
    const { body, headers } = message('tools/call', { name: 'list_tasks' })
    const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== left))
    const answer = await call('POST', MCP, { as: 'ann', body, headers: sent })
    expect([answer.status, answer.body.error]).toEqual([400, MISMATCH])
  })

  test.each(['protocolVersion', 'clientCapabilities'])('is refused if %s is not said', async (name) => {
    const rest = { ...META, [`io.modelcontextprotocol/${name}`]: undefined }
    const answer = await ask('tools/list', { _meta: rest })
    expect([answer.status, answer.body.error.code]).toEqual([400, -32602])
  })

  test('of a later day is refused, with the one that is spoken', async () => {
    const later = { ...META, 'io.modelcontextprotocol/protocolVersion': '2027-07-28' }
    const answer = await ask('tools/list', { _meta: later }, { 'mcp-protocol-version': '2027-07-28' })
    expect(answer.status).toBe(400)
    expect(answer.body.error).toEqual({
      code: -32022,
      message: UNSPOKEN,
      data: { supported: [NEWEST], requested: '2027-07-28' },
    })
  })

  test.each(['foo/bar', 'initialize', 'ping', 'resources/list', 'prompts/list'])(
    'has no method %s',
    async (method) => {
      const answer = await ask(method, method === 'initialize' ? initialize(NEWEST) : {})
      expect([answer.status, answer.body.error.code]).toEqual([404, -32601])
    },
  )

  test('has nothing to subscribe to', async () => {
    const answer = await ask('subscriptions/listen', { notifications: { toolsListChanged: true } })
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    expect(answer.body.error.code).toBeNumber()
  })

  test('answers nothing to a notification', async () => {
    const { headers } = message('notifications/cancelled')
    const body = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { _meta: META, requestId: 1 } }
    const answer = await call('POST', MCP, { as: 'ann', headers, body })
    expect([answer.status, answer.body]).toEqual([202, ''])
  })

  test('has no other tools', async () => {
    for (const name of ['nope', 'toString', 'constructor']) {
      const { body } = await ask('tools/call', { name, arguments: {} })
      expect(body.error).toEqual({ code: -32602, message: expect.stringContaining('Unknown tool') })
    }
  })
})

test('arguments that are no object are refused', async () => {
  for (const revision of REVISIONS) {
    for (const given of ['x', 5, []]) {
      const params = { name: 'list_tasks', arguments: given }
      const { body } = await send('tools/call', params, { as: 'ann', revision })
      expect(body.error?.code, `${revision} ${JSON.stringify(given)}`).toBe(-32602)
    }
  }
})
