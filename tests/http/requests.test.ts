import { afterAll, describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { openDatabase } from '../../src/database/database'
import { createLog } from '../../src/telemetry/log'
import { type Call, type CallOptions, linesTo } from '../support/app'
import { blockWrites } from '../support/database'
import { openConnection, requestText } from '../support/http-connection'
import { limitedApp, times } from '../support/limited-app'

const TODOS = '/api/v1/todos'
const ME = '/api/v1/users/me'
const PASSWORD = 'correct horse battery'

type Line = Record<string, unknown>

/** Waits for the line that follows an answer. */
async function lineOf(lines: string[], requestId: string): Promise<Line> {
  const isIt = (line: string) => line.includes(`"${requestId}"`) && line.includes('"msg":"request"')
  while (!lines.some(isIt)) await Bun.sleep(1)
  const [line = '', ...more] = lines.filter(isIt)
  expect(more).toEqual([])
  return JSON.parse(line)
}

const { call, from, app, logged, sql, url, settings } = await limitedApp({ RATE_LIMIT_PER_MINUTE: '500' })
let asked = 0
/** @returns the answer's line */
async function told(method: string, path: string, options: CallOptions = {}): Promise<Line> {
  const id = `request-${asked++}`
  const { status } = await call(method, path, {
    ...options,
    headers: { ...options.headers, 'x-request-id': id },
  })
  const line = await lineOf(logged, id)
  expect(line['status']).toBe(status)
  return line
}

describe('a request has one line in the log', async () => {
  const { body: task } = await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })
  const spent = { 'x-forwarded-for': '192.0.2.1' }
  await times(500, () => from('192.0.2.1', 'GET', '/nothing'))
  await times(500, () => call('GET', `${TODOS}/0`, { as: 'spent' }))
  const stale = { 'if-match': '"0"' }
  const account = { email: 'ann@example.com', password: PASSWORD }
  await call('POST', '/api/v1/auth/register', { body: account })

  test.each<[number, string, string, string | undefined, string | undefined, string[], CallOptions]>([
    [200, 'GET', '/health', '/health', undefined, [], {}],
    [200, 'GET', '/docs', '/docs', undefined, [], {}],
    [200, 'GET', TODOS, TODOS, 'ann', ['findUsers', 'listTasks'], { as: 'ann' }],
    [200, 'GET', `${TODOS}/`, TODOS, 'ann', ['findUsers', 'listTasks'], { as: 'ann' }],
    [200, 'HEAD', `${TODOS}/1`, `${TODOS}/:id`, 'ann', ['findTasks'], { as: 'ann' }],
    [200, 'GET', '/api/me/tasks', '/api/:user_id/tasks', 'ann', ['findUsers', 'listTasks'], { as: 'ann' }],
    [
      201,
      'POST',
      '/api/bob/tasks',
      '/api/:user_id/tasks',
      'bob',
      ['createTask'],
      { as: 'bob', body: { title: 'x' } },
    ],
    [
      304,
      'GET',
      `${TODOS}/1`,
      `${TODOS}/:id`,
      'ann',
      ['findTasks'],
      { as: 'ann', headers: { 'if-none-match': `"${task.revision}"` } },
    ],
    [400, 'POST', TODOS, TODOS, 'ann', [], { as: 'ann', body: '{' }],
    [401, 'GET', `${TODOS}/1`, `${TODOS}/:id`, undefined, [], {}],
    [
      401,
      'POST',
      '/api/v1/auth/login',
      '/api/v1/auth/login',
      undefined,
      ['findByEmail'],
      { body: { ...account, password: 'wrong' } },
    ],
    [403, 'GET', '/api/bob/tasks', '/api/:user_id/tasks', 'ann', [], { as: 'ann' }],
    [404, 'GET', `${TODOS}/999`, `${TODOS}/:id`, 'ann', ['findTasks', 'isDeleted'], { as: 'ann' }],
    [404, 'GET', '/nothing', undefined, undefined, [], { as: 'ann' }],
    [405, 'POST', '/health', '/health', undefined, [], {}],
    [
      409,
      'POST',
      '/api/v1/auth/register',
      '/api/v1/auth/register',
      undefined,
      ['createAccount'],
      { body: account },
    ],
    [
      412,
      'DELETE',
      `${TODOS}/1`,
      `${TODOS}/:id`,
      'ann',
      ['writeTask', 'readTasks'],
      { as: 'ann', headers: stale },
    ],
    [422, 'GET', `${TODOS}/0`, `${TODOS}/:id`, 'ann', [], { as: 'ann' }],
    [429, 'GET', `${TODOS}/1`, `${TODOS}/:id`, undefined, [], { headers: spent }],
    [429, 'GET', ME, ME, 'spent', [], { as: 'spent' }],
  ])('%i: %s %s', async (status, method, path, route, user, statements, options) => {
    const line = await told(method, path, options)
    const { level, time, request_id, ms, statements: ran = [], ...rest } = line
    expect(rest).toEqual({ method, ...(route && { route }), status, ...(user && { user }), msg: 'request' })
    expect(ran).toEqual(statements.map((name) => ({ name, ms: expect.any(Number) })))
    expect(level).toBe(30)
    expect(Number(ms)).toBeGreaterThanOrEqual(Number((ran as { ms: number }[])[0]?.ms ?? 0))
    expect(Date.parse(String(time))).toBeWithin(Date.now() - 60_000, Date.now() + 1)
  })
})

test('what the service asks itself to make its document has no line', async () => {
  const before = logged.length
  await told('GET', '/openapi.json')
  expect(logged.slice(before).map((line) => JSON.parse(line).route)).toEqual(['/openapi.json'])
})

test('a fault is told of with its cause, and in the line of its request', async () => {
  await sql`alter table tasks rename to gone`
  const fault = await told('GET', `${TODOS}?limit=7`, { as: 'ann' })
  await sql`alter table gone rename to tasks`
  expect(fault).toMatchObject({
    status: 500,
    user: 'ann',
    statements: [{ name: 'findUsers' }, { name: 'listTasks' }],
  })
  const causes = logged
    .map((line) => JSON.parse(line))
    .filter((line) => line.request_id === fault['request_id'])
  expect(causes).toMatchObject([{ level: 50, code: 'INTERNAL_ERROR', err: { code: '42P01' } }, { level: 30 }])
})

test('a request to a database that is gone is told as a warning', async () => {
  const lines: string[] = []
  const database = openDatabase({ url: 'postgres://u:p@127.0.0.1:1/d', poolSize: 1, requestTimeout: 10_000 })
  afterAll(() => database.end())
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
  const headers = {
    authorization: `Bearer ${await signAccessToken('ann', settings)}`,
    'x-request-id': 'to-nowhere',
  }
  await createApp({ settings, database, log }).handle(new Request(`http://localhost${TODOS}`, { headers }))
  const line = await lineOf(lines, 'to-nowhere')
  expect(line).toMatchObject({ status: 503, user: 'ann', statements: [{ name: 'findUsers' }] })
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 40, code: 'DATABASE_UNAVAILABLE' })
})

test('the statement that a request waited for until its deadline is in its line', async () => {
  const lines: string[] = []
  const database = openDatabase({ url, poolSize: 1, requestTimeout: 300 })
  afterAll(() => database.end())
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
  const headers = {
    authorization: `Bearer ${await signAccessToken('ann', settings)}`,
    'content-type': 'application/json',
    'x-request-id': 'too-late',
  }
  const writes = await blockWrites(url)
  const request = new Request(`http://localhost${TODOS}`, { method: 'POST', headers, body: '{"title":"x"}' })
  await createApp({ settings: { ...settings, requestTimeoutMs: 300 }, database, log }).handle(request)
  await writes.release()
  const line = await lineOf(lines, 'too-late')
  expect(line).toMatchObject({ status: 503, statements: [{ name: 'createTask' }] })
})

describe('over the network', () => {
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const connect = () => openConnection(Number(app.server?.port))

  test('a stream has its line once it has begun, and no other', async () => {
    const connection = await connect()
    const options = { as: 'kim', headers: { 'x-request-id': 'the-stream' } }
    connection.write(await requestText('GET', `${TODOS}/events`, options))
    await connection.until(/\r\n\r\n/)
    expect(await lineOf(logged, 'the-stream')).toMatchObject({
      route: `${TODOS}/events`,
      status: 200,
      user: 'kim',
      statements: [{ name: 'findLastTold' }, { name: 'readChanges' }],
    })
    connection.destroy()
    await told('GET', '/health')
    await lineOf(logged, 'the-stream')
  })

  test('a request whose client has gone has its line as well', async () => {
    const writes = await blockWrites(url)
    const connection = await connect()
    const options = { as: 'kim', body: { title: 'x' }, headers: { 'x-request-id': 'the-lost-one' } }
    connection.write(await requestText('POST', TODOS, options))
    await writes.reached()
    connection.destroy()
    const line = await lineOf(logged, 'the-lost-one')
    await writes.release()
    expect(line).toMatchObject({ method: 'POST', route: TODOS, status: 408, user: 'kim' })
    expect(line['statements']).toMatchObject([{ name: 'createTask' }])
  })
})

describe('a line is one line, whatever is sent', async () => {
  const names = ['a\nb', 'a\r\n{"level":60}', '\u001b[2J\u0007', '\u2028\u2029\u0085', '"},{"', '\u007f']
  const pretty: string[] = []

  test.each(names)('as %j in production', async (as) => {
    const before = logged.length
    expect(await told('GET', `${TODOS}/0`, { as })).toMatchObject({ user: as })
    const lines = logged.slice(before).filter((line) => line.includes('"user"'))
    expect(lines).toHaveLength(1)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
    expect(lines[0]).toMatch(/^[^\u0000-\u001f]*\n$/)
  })

  test.each(names)('as %j in development', async (as) => {
    const log = createLog({ logLevel: 'info', production: false }, linesTo(pretty))
    pretty.length = 0
    log.info({ user: as, request_id: 'x' }, 'request')
    while (pretty.length === 0) await Bun.sleep(1)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
    expect(pretty.join('')).toMatch(/^[^\u0000-\u001f]*\n$/)
  })
})

describe('nothing that was sent is in the log', async () => {
  // the mark is no hexadecimal, so that no random id has it
  const SECRETS = {
    password: 'pass-phrase-zq7x',
    email: 'private-zq7x@example.com',
    title: 'plan-zq7x',
    cursor: 'cursor-zq7x',
    value: 'value-zq7x',
    thrown: 'thrown-zq7x',
    token: 'eyJhbGciOiJIUzI1NiJ9.token-zq7x.x',
  }
  const { password, email, title, cursor, value, thrown } = SECRETS
  const own = await limitedApp({ CORS_ORIGINS: 'http://localhost:3000' })
  const post = (path: string, body: unknown, options: CallOptions = {}) =>
    own.call('POST', path, { body, ...options })
  own.app.get('/error', () => {
    throw Object.assign(new TypeError(`${thrown}\n    at ${thrown}`, { cause: new Error(thrown) }), {
      detail: thrown,
      parameters: [thrown],
      query: thrown,
    })
  })
  own.app.get('/no-error', () => Promise.reject({ password: thrown, toString: () => thrown }))
  own.app.get('/text', () => Promise.reject(thrown))
  own.app.get('/reworded', () => Promise.reject(Object.assign(new Error(thrown), { message: 'other words' })))
  own.app.get('/errors', () => Promise.reject(new AggregateError([new Error(thrown)], thrown)))

  const { body: signedIn } = await post('/api/v1/auth/register', { email, password, name: value })
  const token: string = signedIn.access_token
  const asUser = { headers: { authorization: `Bearer ${token}` } }
  const withHeader = (name: string) => ({ as: 'ann', headers: { [name]: value } })
  const { headers } = await post(TODOS, { title, description: value }, { as: 'ann' })
  await lineOf(own.logged, String(headers.get('x-request-id')))

  /** Of the database: what it says of a row has the row's values in it. */
  async function withConstraint(statement: () => PromiseLike<unknown>, undo: () => PromiseLike<unknown>) {
    await statement()
    const answer = await post(TODOS, { title, description: value }, { as: 'ann' })
    await undo()
    return answer
  }

  const PROVOCATIONS: [what: string, status: number, provoke: () => ReturnType<Call>, told?: string][] = [
    ['a task', 201, () => post(TODOS, { title }, { as: 'ann' })],
    ['a sign-in', 200, () => post('/api/v1/auth/login', { email, password })],
    ['a refresh', 200, () => post('/api/v1/auth/refresh', { refresh_token: signedIn.refresh_token })],
    ['a wrong password', 401, () => post('/api/v1/auth/login', { email, password: value })],
    ['a taken address', 409, () => post('/api/v1/auth/register', { email, password })],
    [
      'a new password',
      403,
      () => post(`${ME}/password`, { current_password: value, new_password: password }, asUser),
    ],
    ['broken JSON', 400, () => post(TODOS, `{"title":"${title}`, { as: 'ann' })],
    ['an invalid field', 422, () => post(TODOS, { title, [value]: value }, { as: 'ann' })],
    ['a broken cursor', 422, () => own.call('GET', `${TODOS}?cursor=${cursor}`, { as: 'ann' })],
    ['a cursor of changes', 422, () => own.call('GET', `${TODOS}/changes?since=${cursor}`, { as: 'ann' })],
    ['an unknown parameter', 422, () => own.call('GET', `${TODOS}?${value}=${value}`, { as: 'ann' })],
    ['an invalid id', 422, () => own.call('GET', `${TODOS}/${value}`, { as: 'ann' })],
    ['a path with nothing there', 404, () => own.call('GET', `/${value}?x=${value}`)],
    ['another owner', 403, () => own.call('GET', `/api/${value}/tasks`, { as: 'ann' })],
    [
      'a forged token',
      401,
      () => own.call('GET', TODOS, { headers: { authorization: `Bearer ${SECRETS.token}` } }),
      'token refused',
    ],
    [
      'a token of another kind',
      401,
      () => own.call('GET', TODOS, { headers: { authorization: `Basic ${value}` } }),
      'token refused',
    ],
    [
      'a broken key',
      422,
      () => post(TODOS, { title }, { as: 'ann', headers: { 'idempotency-key': `${value} `.repeat(30) } }),
    ],
    ['a key', 201, () => post(TODOS, { title }, withHeader('idempotency-key'))],
    ['a tag', 412, () => own.call('DELETE', `${TODOS}/1`, withHeader('if-match'))],
    ['an address', 200, () => own.from(value, 'GET', '/docs')],
    ['a request id', 200, () => own.call('GET', '/health', { headers: { 'x-request-id': `${value}.` } })],
    [
      'a row that breaks a constraint',
      500,
      () =>
        withConstraint(
          () => own.sql`alter table tasks add constraint calm check (title not like 'plan%') not valid`,
          () => own.sql`alter table tasks drop constraint calm`,
        ),
    ],
    [
      'a row that is there twice',
      500,
      () =>
        withConstraint(
          () => own.sql`create unique index twice on tasks (description)`,
          () => own.sql`drop index twice`,
        ),
    ],
    [
      'words of the database',
      500,
      () =>
        withConstraint(
          () =>
            own.sql`
            create function shout() returns trigger language plpgsql as $$ begin
              raise exception 'no %', new.title using detail = new.title, hint = new.description, column = new.title;
            end $$`.then(
              () =>
                own.sql`create trigger shouting before insert on tasks for each row execute function shout()`,
            ),
          () => own.sql`drop function shout cascade`,
        ),
    ],
    ['an error nobody knows', 500, () => own.call('GET', '/error')],
    ['what is no error', 500, () => own.call('GET', '/no-error')],
    ['a thrown text', 500, () => own.call('GET', '/text')],
    ['an error that was reworded', 500, () => own.call('GET', '/reworded')],
    ['many errors', 500, () => own.call('GET', '/errors')],
  ]

  test.each(PROVOCATIONS)('by %s (%i)', async (_, status, provoke, told = '') => {
    own.logged.length = 0
    const answer = await provoke()
    expect(answer.status).toBe(status)
    const line = await lineOf(own.logged, String(answer.headers.get('x-request-id')))
    expect(line['status']).toBe(status)
    const log = own.logged.join('')
    for (const secret of [...Object.values(SECRETS), 'zq7x', token, 'eyJ']) expect(log).not.toContain(secret)
    const beside = own.logged.map((each) => JSON.parse(each).msg).filter((msg) => msg !== 'request')
    expect(beside).toEqual(status === 500 ? ['request failed'] : told ? [told] : [])
  })
})
