import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { join } from 'node:path'
import { version } from '../../package.json'
import { createApp } from '../../src/app'
import { contextOf } from '../../src/http/request-context'
import { serve } from '../../src/server'
import { createLog } from '../../src/telemetry/log'
import { testSettings } from '../support/app'
import { blockWrites, testDatabase } from '../support/database'
import { tokenOf } from '../support/http-connection'
import { attributesOf, CLIENT, collector, SERVER, tracingTo, useless } from '../support/traces'

const TODOS = '/api/v1/todos'
const SECRETS = {
  refreshToken: 'a-refresh-token',
  cookie: 'a-secret-cookie',
  email: 'ann@example.com',
  password: 'correct horse battery staple',
  title: 'a secret title',
  cursor: 'a-secret-cursor',
  user: 'user-of-the-path',
  address: '203.0.113.7',
  agent: 'AnnsBrowser',
  error: 'a secret of the error',
  id: 'a-secret-request-id',
}
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const [UNSET, ERROR] = [0, 2]

const { database, sql, url: databaseUrl } = await testDatabase()
const settings = testSettings()
const log = createLog({ logLevel: 'silent', production: true })

/** The app as it is with these variables; `as`: whose token to send. */
async function start(...given: Parameters<typeof tracingTo>) {
  const tracing = await tracingTo(...given)
  const app = createApp({ settings, database, log, tracing })
  return {
    app,
    stop: tracing.stop,
    async call(path: string, { as, ...init }: RequestInit & { as?: string } = {}) {
      const headers = new Headers(init.headers)
      if (as) headers.set('authorization', `Bearer ${await tokenOf(as)}`)
      if (init.body) headers.set('content-type', 'application/json')
      return app.handle(new Request(`http://localhost${path}`, { ...init, headers }))
    },
  }
}

const shared = collector()
const sharedApp = await start(shared.url)
/** Once four requests have come, all of them ask in one turn: two statements are under way when the others ask. */
const met = Promise.withResolvers<void>()
let come = 0
const ask = database.batch<string, unknown>({
  forOne: (sql, item) => sql`
    -- of_one
    select ${item}::text`,
  forMany: (sql, items) => sql`
    -- of_many
    select unnest(${items}::text[])`,
})
const leaving = Promise.withResolvers<void>()
let left: Promise<unknown> | undefined
sharedApp.app
  .get('/meet', async ({ request }) => {
    come++
    if (come === 4) met.resolve()
    await met.promise
    await ask(contextOf(request), 'x')
    return ''
  })
  .get('/leave', ({ request }) => {
    const sqlOfRequest = database.sqlFor(contextOf(request))
    left = leaving.promise.then(
      () => sqlOfRequest`
        -- after_the_end
        select 1`,
    )
    return ''
  })
const post = (as: string) => ({ as, method: 'POST', body: '{"title":"x"}' })
await (await sharedApp.call(TODOS, post('ann'))).text()

function newTrace() {
  const id = crypto.randomUUID().replaceAll('-', '')
  return { id, headers: { traceparent: `00-${id}-${PARENT}-01` } }
}

/** The span of the one request of a trace, and those below it. */
async function arrived(traceId: string) {
  const spans = () => shared.spans().filter((each) => each.traceId === traceId)
  for (;;) {
    const request = spans().find(({ kind }) => kind === SERVER)
    if (request) return { request, statements: spans().filter(({ kind }) => kind !== SERVER) }
    await Bun.sleep(5)
  }
}

async function trace(path: string, init: Parameters<typeof sharedApp.call>[1] = {}) {
  const { id, headers } = newTrace()
  await (await sharedApp.call(path, { ...init, headers: { ...init.headers, ...headers } })).text()
  return arrived(id)
}

const namesOf = (spans: { name: string }[]) => spans.map(({ name }) => name)

describe('a request', () => {
  test('is one span, above those of its statements', async () => {
    const { request, statements } = await trace(TODOS, { as: 'ann' })
    expect(request).toMatchObject({ name: `GET ${TODOS}`, kind: SERVER, status: { code: UNSET } })
    expect(attributesOf(request)).toEqual({
      'http.request.method': 'GET',
      'http.route': TODOS,
      'http.response.status_code': 200,
      'url.scheme': 'http',
    })
    const { traceId, spanId: parentSpanId } = request
    const below = { traceId, parentSpanId, kind: CLIENT, status: { code: UNSET } }
    expect(namesOf(statements)).toEqual(['findUsers', 'listTasks'])
    for (const each of statements) {
      expect(each).toMatchObject(below)
      expect(attributesOf(each)).toEqual({
        'db.system.name': 'postgresql',
        'db.operation.name': each.name,
      })
    }
  })

  test('lasts as long as its statements, which have their true times', async () => {
    const from = BigInt(Date.now() - 1) * 1_000_000n
    const { request, statements } = await trace(`${TODOS}/999`, { as: 'ann' })
    const timesOf = ({ startTimeUnixNano, endTimeUnixNano }: typeof request) =>
      [BigInt(startTimeUnixNano), BigInt(endTimeUnixNano)] as const
    expect(namesOf(statements)).toEqual(['findTasks', 'isDeleted'])
    const inOrder = [from, ...statements.flatMap(timesOf), BigInt(Date.now() + 1) * 1_000_000n]
    const [start, end] = timesOf(request)
    inOrder.splice(1, 0, start)
    inOrder.splice(-1, 0, end)
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => Number(a - b)))
    for (const [begun, ended] of statements.map(timesOf)) expect(ended).toBeGreaterThan(begun)
  })

  test('without a trusted proxy cannot choose its trace, nor that it is not sampled', async () => {
    const own = collector()
    const app = await start(own.url, { continueTraces: false })
    await app.call('/health', { headers: { traceparent: `00-${TRACE}-${PARENT}-00` } })
    await own.until(1)
    expect(own.requests().map(({ traceId, parentSpanId }) => [traceId === TRACE, parentSpanId])).toEqual([
      [false, undefined],
    ])
  })

  test('continues the trace of its sender', async () => {
    const { request } = await trace('/health')
    expect(request.parentSpanId).toBe(PARENT)
  })

  test('for a stream ends when the answer begins', async () => {
    const { id, headers } = newTrace()
    const answer = await sharedApp.call(`${TODOS}/events`, { as: 'ann', headers })
    const { request, statements } = await arrived(id)
    expect(request).toMatchObject({ name: `GET ${TODOS}/events`, status: { code: UNSET } })
    expect(namesOf(statements)).toEqual(['findLastTold', 'readChanges'])
    await answer.body?.cancel()
  })

  test('that is refused is no fault, and its code is told', async () => {
    const { request, statements } = await trace(`${TODOS}/999`, { as: 'ann' })
    expect(request).toMatchObject({ status: { code: UNSET }, events: [] })
    expect(attributesOf(request)).toMatchObject({
      'http.response.status_code': 404,
      'error.type': 'TASK_NOT_FOUND',
    })
    expect(statements.map(({ status }) => status.code)).toEqual([UNSET, UNSET])
  })

  test('that fails is a fault, of which only codes are told', async () => {
    await sql`alter table tasks rename to gone`
    const { request, statements } = await trace(`${TODOS}?limit=7`, { as: 'ann' })
    await sql`alter table gone rename to tasks`
    expect(request).toMatchObject({ status: { code: ERROR }, events: [] })
    expect(attributesOf(request)).toMatchObject({
      'http.response.status_code': 500,
      'error.type': 'INTERNAL_ERROR',
    })
    const failed = statements.find(({ name }) => name === 'listTasks') ?? expect.unreachable()
    expect(failed).toMatchObject({ status: { code: ERROR }, events: [] })
    expect(attributesOf(failed)).toMatchObject({ 'error.type': '42P01' })
  })

  test.each([
    ['to no route', `/of/${SECRETS.email}`, 'GET', 'GET', 'GET', 404, 'NOT_FOUND', undefined],
    ['with an unknown method', TODOS, 'PURGE', `HTTP ${TODOS}`, '_OTHER', 405, 'METHOD_NOT_ALLOWED', TODOS],
  ])('%s is named by nothing that was sent', async (_, path, method, name, told, status, error, route) => {
    const { request } = await trace(path, { method })
    expect(request.name).toBe(name)
    expect(attributesOf(request)).toEqual({
      'http.request.method': told,
      'http.response.status_code': status,
      'url.scheme': 'http',
      'error.type': error,
      ...(route && { 'http.route': route }),
    })
  })

  test('that its client abandons is no fault, and neither is its statement', async () => {
    const { app } = sharedApp
    app.listen({ port: 0, hostname: '127.0.0.1' })
    afterAll(() => app.stop(true))
    const writes = await blockWrites(databaseUrl)
    const { id, headers } = newTrace()
    const client = new AbortController()
    const call = fetch(`http://127.0.0.1:${app.server?.port}${TODOS}`, {
      method: 'POST',
      headers: {
        ...headers,
        authorization: `Bearer ${await tokenOf('ann')}`,
        'content-type': 'application/json',
      },
      body: '{"title":"x"}',
      signal: client.signal,
    })
    await writes.reached()
    client.abort()
    await expect(call).rejects.toThrow()
    const { request, statements } = await arrived(id)
    await writes.release()
    expect(request).toMatchObject({ name: `POST ${TODOS}`, status: { code: UNSET } })
    expect(statements).toMatchObject([{ name: 'createTask', status: { code: UNSET } }])
  })

  test('has its own statements, however many requests there are at once', async () => {
    const users = Array.from({ length: 20 }, () => crypto.randomUUID())
    await Promise.all(users.map((as) => sharedApp.call(TODOS, post(as))))
    const traces = await Promise.all(
      users.map((as, n) => trace(n % 2 === 0 ? TODOS : `${TODOS}/999`, { as })),
    )
    for (const [n, { request, statements }] of traces.entries()) {
      expect(namesOf(statements)).toEqual(
        n % 2 === 0 ? ['findUsers', 'listTasks'] : ['findTasks', 'isDeleted'],
      )
      expect(statements.map(({ parentSpanId }) => parentSpanId)).toEqual([request.spanId, request.spanId])
    }
  })
})

describe('a statement', () => {
  test('of several requests is in the trace of each', async () => {
    const traces = await Promise.all([1, 2, 3, 4].map(() => trace('/meet')))
    const statements = traces.flatMap((each) => each.statements)
    expect(namesOf(statements).toSorted()).toEqual(['of_many', 'of_many', 'of_one', 'of_one'])
    expect(statements.map(({ parentSpanId }) => parentSpanId)).toEqual(
      traces.map(({ request }) => request.spanId),
    )
    const durations = statements
      .filter(({ name }) => name === 'of_many')
      .map((each) => Number(each.endTimeUnixNano) - Number(each.startTimeUnixNano))
    // of times since 1970, a number holds a quarter of a microsecond
    expect(Math.abs((durations[0] ?? 0) - (durations[1] ?? 0))).toBeLessThan(1000)
  })

  test('that a request begins and does not wait for is in no trace', async () => {
    const { request, statements } = await trace('/leave')
    expect([request.name, statements]).toEqual(['GET /leave', []])
    leaving.resolve()
    await left
    // spans arrive in the order in which they ended
    await trace(TODOS, { as: 'ann' })
    expect(namesOf(shared.spans())).not.toContain('after_the_end')
  })

  test('that fails without a code has the type that says so', async () => {
    const to = collector()
    const tracing = await tracingTo(to.url)
    tracing.request({
      request: new Request('https://localhost/'),
      route: '/',
      status: 503,
      startedAt: performance.now(),
      statements: [{ name: 'x', startedAt: performance.now(), ms: 1, failed: true, errorCode: '' }],
      errorCode: 'DATABASE_UNAVAILABLE',
    })
    await tracing.stop()
    const [statement, request] = to.spans()
    expect(attributesOf(statement ?? expect.unreachable())).toMatchObject({ 'error.type': '_OTHER' })
    expect(attributesOf(request ?? expect.unreachable())).toMatchObject({ 'url.scheme': 'https' })
  })
})

test('if no trace comes in, each request begins one; preflights and statements of no request are in none', async () => {
  const to = collector()
  const app = await start(to.url)
  const headers = { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' }
  expect((await app.call(TODOS, { method: 'OPTIONS', headers })).status).toBe(204)
  await app.call(TODOS, { as: 'ann' })
  await database.sql`
    -- of_no_request
    select 1`
  await app.call(TODOS, { as: 'ann' })
  await app.stop()
  const requests = to.requests()
  expect(new Set(requests.map(({ traceId }) => traceId)).size).toBe(2)
  expect(requests.map(({ parentSpanId }) => parentSpanId)).toEqual([undefined, undefined])
  const names = new Set(namesOf(to.spans()))
  expect([...names].toSorted()).toEqual([`GET ${TODOS}`, 'findUsers', 'listTasks'])
})

test('nothing that was sent, answered or thrown arrives', async () => {
  const to = collector()
  const { app, call, stop } = await start(to.url)
  app.get('/thrown', () => {
    throw new TypeError(SECRETS.error)
  })
  const { user, cursor, email, password, title, refreshToken } = SECRETS
  const headers = {
    cookie: `session=${SECRETS.cookie}`,
    'x-forwarded-for': SECRETS.address,
    'x-request-id': SECRETS.id,
    'user-agent': SECRETS.agent,
    referer: `https://app.example/${email}`,
  }
  const posted = (body: object) => ({ headers, method: 'POST', body: JSON.stringify(body) })
  const answers = await Promise.all([
    call(`/api/${user}/tasks`, { as: user, headers }),
    call(`/api/${user}/tasks`, { as: user, ...posted({ title }) }),
    call(`/api/${user}/tasks`, { as: user, ...posted({}), body: `{"title":"${title}` }),
    call(`/api/${user}/tasks?cursor=${cursor}`, { as: user, headers }),
    call(`/api/${user}/tasks/999`, { as: user, headers }),
    call('/api/v1/auth/register', posted({ email, password })),
    call('/api/v1/auth/refresh', posted({ refresh_token: refreshToken })),
    call('/thrown', { headers }),
    call(`/of/${email}`, { headers }),
  ])
  expect(answers.map(({ status }) => status)).toEqual([200, 201, 400, 422, 404, 201, 401, 500, 404])
  const sent = (await Promise.all(answers.map((each) => each.text()))).join()
  await stop()
  expect(to.requests()).toHaveLength(answers.length)
  const raw = to.received.map(({ text }) => text).join()
  for (const [name, secret] of Object.entries(SECRETS)) expect(raw, name).not.toContain(secret)
  expect(raw).not.toContain(await tokenOf(user))
  expect(raw).not.toContain('localhost')
  expect(sent).toContain(title)
})

describe("OpenTelemetry's own variables", () => {
  test('name the service and the headers for the collector', async () => {
    const to = collector()
    const app = await start(`${to.url}/otlp/`, {
      OTEL_SERVICE_NAME: 'tasks of the north',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=north',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=abc,x-team=north',
    })
    await app.call('/health')
    await app.stop()
    const [first] = to.received
    expect(first?.path).toBe('/otlp/v1/traces')
    expect(first?.headers.toJSON()).toMatchObject({ 'x-api-key': 'abc', 'x-team': 'north' })
    const resource = to.told()[0]?.resourceSpans[0]?.resource ?? { attributes: [] }
    expect(attributesOf(resource)).toMatchObject({
      'service.name': 'tasks of the north',
      'service.version': version,
      'deployment.environment.name': 'north',
    })
  })

  test('left out, the service is called taskwell', async () => {
    await trace('/health')
    const resource = shared.told()[0]?.resourceSpans[0]?.resource ?? { attributes: [] }
    expect(attributesOf(resource)).toMatchObject({ 'service.name': 'taskwell' })
    expect(Object.keys(attributesOf(resource)).filter((name) => /^(process|host)/.test(name))).toEqual([])
  })

  test('choose the sample', async () => {
    const to = collector()
    const app = await start(to.url, { OTEL_TRACES_SAMPLER: 'parentbased_always_off' })
    await app.call(TODOS, { as: 'ann' })
    await app.call(`${TODOS}/999`, { as: 'ann', headers: { traceparent: `00-${TRACE}-${PARENT}-01` } })
    await app.stop()
    expect(namesOf(to.spans())).toEqual(['findTasks', 'isDeleted', `GET ${TODOS}/:id`])
  })
})

describe('does no harm and says nothing:', () => {
  const written = [
    ...(['debug', 'error', 'info', 'log', 'warn'] as const).map((name) => spyOn(console, name)),
    ...[process.stdout, process.stderr].map((each) => spyOn(each, 'write')),
  ]
  afterAll(() => {
    for (const each of written) each.mockRestore()
  })
  function expectSilence() {
    for (const each of written) expect(each).not.toHaveBeenCalled()
  }

  test('a collector that is not there', async () => {
    const { url, server } = useless(() => new Response())
    await server.stop(true)
    const app = await start(url)
    for (let n = 0; n < 50; n++) expect((await app.call('/health')).status).toBe(200)
    await app.stop()
    expectSilence()
  })

  test.each<[string, () => Response | Promise<Response>]>([
    ['is overloaded', () => new Response('a long story', { status: 503 })],
    ['refuses all', () => new Response('a long story', { status: 401 })],
    ['never answers', () => new Promise(() => {})],
  ])('a collector that %s', async (_, answer) => {
    const to = useless(answer)
    const app = await start(to.url)
    while (to.tries() === 0) {
      expect((await app.call('/health')).status).toBe(200)
      // lets the exporter have a turn
      await Bun.sleep(1)
    }
    expect((await app.call('/health')).status).toBe(200)
    const stopping = performance.now()
    await app.stop()
    // the exporter itself would wait for ten seconds
    expect(performance.now() - stopping).toBeLessThan(8000)
    expectSilence()
  })
})

test('what is not yet sent is sent at the end', async () => {
  const to = collector()
  const app = await start(to.url, { OTEL_BSP_SCHEDULE_DELAY: '600000' })
  await app.call('/health')
  expect(to.received).toEqual([])
  await app.stop()
  expect(namesOf(to.spans())).toEqual(['GET /health'])
})

test.each([
  ['0', false],
  ['1', true],
])('a server behind %s trusted proxies continues traces: %p', async (hops, isContinued) => {
  const to = collector()
  const env = { HOST: '127.0.0.1', PORT: '0', DATABASE_URL: databaseUrl, TRUSTED_PROXY_HOPS: hops }
  const server = await serve(testSettings({ ...env, OTEL_EXPORTER_OTLP_ENDPOINT: to.url }), log)
  const { id, headers } = newTrace()
  await fetch(`${server.url}/health`, { headers })
  await server.stop()
  expect(to.requests().map(({ name, traceId }) => [name, traceId === id])).toEqual([
    ['GET /health', isContinued],
  ])
})

test('without a collector, nothing of OpenTelemetry is loaded', async () => {
  const script = `await import(${JSON.stringify(join(import.meta.dir, '../../src/telemetry/tracing.ts'))})
    process.stdout.write(JSON.stringify(Object.keys(require.cache)))`
  const child = Bun.spawn([process.execPath, '--no-env-file', '-e', script], { stdout: 'pipe' })
  const loaded: string[] = JSON.parse(await new Response(child.stdout).text())
  expect(loaded.some((path) => path.endsWith('src/telemetry/tracing.ts'))).toBe(true)
  expect(loaded.filter((path) => path.includes('opentelemetry'))).toEqual([])
})
