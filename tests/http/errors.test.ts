import { describe, expect, test } from 'bun:test'
import { Unanswered } from '../../src/database/errors'
import { toProblem } from '../../src/http/errors'
import { testApp } from '../support/app'

const { call, app, logged, sql } = await testApp()
const TODOS = '/api/v1/todos'
const LARGE = JSON.stringify({ title: 'x', description: 'y'.repeat(70_000) })

describe('a problem', () => {
  test.each([
    [400, 'MALFORMED_JSON', 'POST', TODOS, { as: 'ann', body: '{"title":' }],
    [400, 'MALFORMED_JSON', 'POST', TODOS, { as: 'ann', body: '{} {}' }],
    [401, 'TOKEN_MISSING', 'GET', TODOS, {}],
    [401, 'TOKEN_INVALID', 'GET', TODOS, { headers: { authorization: 'Bearer a.b.c' } }],
    [401, 'TOKEN_NOT_JWT', 'GET', TODOS, { headers: { authorization: 'Bearer abc' } }],
    [403, 'OWNER_MISMATCH', 'GET', '/api/bob/tasks', { as: 'ann' }],
    [404, 'TASK_NOT_FOUND', 'GET', `${TODOS}/1`, { as: 'ann' }],
    [404, 'NOT_FOUND', 'GET', '/nothing', {}],
    [404, 'NOT_FOUND', 'GET', '/docs/assets/nothing.js', {}],
    [404, 'NOT_FOUND', 'GET', '/docs/assets/nothing.js?x=1', {}],
    [404, 'NOT_FOUND', 'POST', '/docs/assets/nothing.js', {}],
    [404, 'NOT_FOUND', 'OPTIONS', '/nothing', {}],
    [405, 'METHOD_NOT_ALLOWED', 'DELETE', TODOS, {}],
    [413, 'PAYLOAD_TOO_LARGE', 'POST', TODOS, { as: 'ann', body: LARGE }],
    [
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'POST',
      TODOS,
      { as: 'ann', body: 'x=1', headers: { 'content-type': 'text/plain' } },
    ],
    [422, 'VALIDATION_ERROR', 'POST', TODOS, { as: 'ann', body: {} }],
  ] as const)('%i %s has the one shape', async (status, code, method, path, options) => {
    const { status: sent, headers, body } = await call(method, path, options)
    expect(sent).toBe(status)
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status,
      detail: expect.any(String),
      error_code: code,
      status_code: status,
      request_id: headers.get('x-request-id'),
      ...(code === 'VALIDATION_ERROR' && { errors: expect.any(Array) }),
    })
  })

  test('of 401 says how to sign in', async () => {
    const missing = await call('GET', TODOS)
    expect(missing.headers.get('www-authenticate')).toBe('Bearer')
    const refused = await call('GET', TODOS, { headers: { authorization: 'Bearer a.b.c' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
  })
})

describe('an error of the database', () => {
  const secret = (code: string) => Object.assign(new Error('secret words'), { code })

  test('that may pass is a 503, without its message', () => {
    const problem = toProblem(secret('ECONNREFUSED'))
    expect(problem).toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      status: 503,
      headers: { 'retry-after': '1' },
    })
    expect(problem.message).not.toContain('secret')
  })

  test.each([
    ['a late answer', new Unanswered('DEADLINE'), 'DATABASE_UNAVAILABLE'],
    ['a client that has gone', new Unanswered('ABANDONED'), 'REQUEST_TIMEOUT'],
    ['any other', secret('42P01'), 'INTERNAL_ERROR'],
  ] as const)('%s is told as such', (_, error, code) => {
    expect(toProblem(error)).toMatchObject({ code })
  })
})

describe('the order of refusal', () => {
  const bad = { body: '{', headers: { 'content-type': 'text/plain' } }

  test.each([
    ['no such path', 404, 'POST', '/api/v1/nothing', bad],
    ['the wrong method', 405, 'POST', `${TODOS}/x?y=1`, bad],
    ['no token', 401, 'POST', `${TODOS}?y=1`, bad],
    ['another owner', 403, 'POST', '/api/bob/tasks?y=1', { as: 'ann', ...bad }],
    ['a body too large', 413, 'POST', `${TODOS}?y=1`, { as: 'ann', ...bad, body: LARGE }],
    ['a media type', 415, 'POST', `${TODOS}?y=1`, { as: 'ann', ...bad }],
    ['a body that is not JSON', 400, 'POST', `${TODOS}?y=1`, { as: 'ann', body: '{' }],
    ['a parameter', 422, 'PATCH', `${TODOS}/99?y=1`, { as: 'ann', body: { title: 'x' } }],
    ['no such task', 404, 'PATCH', `${TODOS}/99`, { as: 'ann', body: { title: 'x' } }],
  ] as const)('%s is %i', async (_, status, method, path, options) => {
    expect((await call(method, path, options)).status).toBe(status)
  })
})

describe('the method', () => {
  test.each([
    ['DELETE', TODOS, 'GET, HEAD, POST'],
    ['PUT', '/api/ann/tasks', 'GET, HEAD, POST'],
    ['POST', `${TODOS}/1`, 'GET, HEAD, PUT, PATCH, DELETE'],
    ['GET', `${TODOS}/1/complete`, 'PATCH'],
    ['HEAD', `${TODOS}/1/complete/`, 'PATCH'],
    ['POST', '/health', 'GET, HEAD'],
    ['POST', '/', 'GET, HEAD'],
    ['POST', '/docs/assets/redoc.js', 'GET, HEAD'],
    ['OPTIONS', TODOS, 'GET, HEAD, POST'],
    ['DELETE', '/docs', 'GET, HEAD'],
    ['PURGE', TODOS, 'GET, HEAD, POST'],
    ...['/api/v1/todos', '/api/ann/tasks'].flatMap((tasks) =>
      ['trash', 'changes', 'events', 'trash/'].flatMap((name) =>
        ['PUT', 'PATCH', 'DELETE', 'POST'].map((method) => [method, `${tasks}/${name}`, 'GET, HEAD']),
      ),
    ),
  ])('%s on %s is 405 with what is allowed', async (method, path, allow) => {
    const answer = await call(method, path)
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe(allow)
  })

  test.each([TODOS, `${TODOS}/`, '/health', '/docs', '/openapi.json', '/api/ann/tasks'])(
    'HEAD %s answers as GET without the body',
    async (path) => {
      const [head, get] = await Promise.all(
        ['HEAD', 'GET'].map((method) => call(method, path, { as: 'ann' })),
      )
      expect(head?.status).toBe(200)
      expect(head?.body).toBe('')
      expect(head?.headers.get('content-type')).toBe(get?.headers.get('content-type') ?? '')
    },
  )
})

test('faults in every part of a request are named together', async () => {
  const body = { title: '', nope: 1 }
  const { body: problem } = await call('PATCH', `${TODOS}/abc?x=1&y=2`, { as: 'ann', body })
  const named = problem.errors.map((error: { in: string; pointer: string }) => `${error.in} ${error.pointer}`)
  expect(named.toSorted()).toEqual(['body /nope', 'body /title', 'path id', 'query x', 'query y'])
  const query = await call('POST', `${TODOS}?x=1`, { as: 'ann', body: {} })
  expect(query.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['x', '/title'])
})

describe('an unknown parameter', () => {
  // without those that only refuse a method
  const routes = app.routes.filter(({ hooks }) => hooks.query)

  test.each(routes.map(({ method, path }) => [method, path] as const))(
    'is 422 at %s %s',
    async (method, path) => {
      const concrete = path.replace(':user_id', 'me').replaceAll(/:\w+/g, '1')
      const answer = await call(method, `${concrete}?nope=1`, { as: 'ann' })
      expect(answer.status).toBe(422)
      // where a body is needed, its absence is named too
      expect(answer.body.errors).toContainEqual({
        in: 'query',
        pointer: 'nope',
        detail: 'is not a known parameter',
      })
    },
  )
})

describe('what fails inside', () => {
  test('is 500 without a word of it, and told in the log without a value', async () => {
    await sql`alter table tasks rename to gone`
    logged.length = 0
    const answer = await call('POST', TODOS, { as: 'ann', body: { title: 'my secret plan' } })
    await sql`alter table gone rename to tasks`
    expect(answer).toMatchObject({
      status: 500,
      body: { error_code: 'INTERNAL_ERROR', detail: 'Internal server error' },
    })
    expect(answer.body.errors).toBeUndefined()
    const log = logged.join('')
    expect(log).toContain('42P01')
    expect(log).toContain(answer.body.request_id)
    expect(log).not.toContain('my secret plan')
  })

  test('of our own making, an answer that does not fit its schema, is 500 too', async () => {
    await sql`alter table tasks alter column completed drop not null`
    await sql`insert into users (id) values ('broken')`
    const [task] = await sql`insert into tasks (user_id, title, completed, created_at, updated_at, revision)
      values ('broken', 'my secret plan', null, now(), now(), 1) returning id`
    const answer = await call('GET', `${TODOS}/${task?.['id']}`, { as: 'broken' })
    expect(answer).toMatchObject({ status: 500, body: { error_code: 'INTERNAL_ERROR' } })
    expect(JSON.stringify(answer.body) + logged.join('')).not.toContain('my secret plan')
    const page = { accept: 'application/vnd.taskwell.page+json' }
    await sql`update tasks set completed = false where user_id = 'broken'`
    await sql`alter table tasks drop constraint tasks_title_length`
    await sql`alter table tasks alter column title drop not null`
    await sql`update tasks set title = null where user_id = 'broken'`
    expect((await call('GET', TODOS, { as: 'broken' })).status).toBe(500)
    expect((await call('GET', TODOS, { as: 'broken', headers: page })).status).toBe(500)
  })
})

test('a redirect is logged as one', async () => {
  await call('GET', '/', { headers: { 'x-request-id': 'to-the-docs' } })
  while (!logged.some((line) => line.includes('to-the-docs'))) await new Promise((done) => setImmediate(done))
  const lines = logged.filter((line) => line.includes('to-the-docs')).map((line) => JSON.parse(line))
  expect(lines).toMatchObject([{ route: '/', status: 302 }])
})

describe('a request id', () => {
  test.each(['abc', 'A-Z_09', 'x'.repeat(128)])('that is well formed is kept: %s', async (id) => {
    expect(
      (await call('GET', '/health', { headers: { 'x-request-id': id } })).headers.get('x-request-id'),
    ).toBe(id)
  })

  test.each(['', 'a b', 'ü', 'x'.repeat(129), '<script>', 'a,b'])(
    'that is not is replaced: %s',
    async (id) => {
      const { headers } = await call('GET', '/health', { headers: { 'x-request-id': id } })
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    },
  )

  test('is on every answer', async () => {
    for (const path of [
      '/',
      '/docs',
      '/redoc',
      '/openapi.json',
      '/ready',
      '/docs/assets/swagger-ui.css',
      TODOS,
      '/no',
    ]) {
      expect((await call('GET', path)).headers.get('x-request-id'), path).toBeTruthy()
    }
    expect((await call('OPTIONS', TODOS)).headers.get('x-request-id')).toBeTruthy()
  })
})

test('the log has a line for each request, with its route and without its values', async () => {
  await call('GET', `${TODOS}/7?x=hunter2`, { as: 'ann', headers: { 'x-request-id': 'the-id' } })
  // the line is written after the answer
  while (!logged.some((line) => line.includes('the-id'))) await new Promise((done) => setImmediate(done))
  const lines = logged.filter((line) => line.includes('the-id')).map((line) => JSON.parse(line))
  expect(lines).toMatchObject([
    { request_id: 'the-id', method: 'GET', route: `${TODOS}/:id`, status: 422, msg: 'request' },
  ])
  expect(logged.join('')).not.toMatch(/hunter2|eyJ/)
})
