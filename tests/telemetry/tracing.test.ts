import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { version } from '../../package.json'
import { attributesOf, CLIENT, collector, SERVER, start, useless } from '../support/traces'

const SECRETS = {
  token: 'eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0',
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
  answer: 'a secret answer',
  event: 'a secret event',
}
const HEADERS = {
  authorization: `Bearer ${SECRETS.token}`,
  cookie: `session=${SECRETS.cookie}`,
  'x-forwarded-for': SECRETS.address,
  'user-agent': SECRETS.agent,
  referer: `https://app.example/${SECRETS.email}`,
}
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const [UNSET, ERROR] = [0, 2]

const shared = collector()
const sharedApp = await start(shared.url)

function newTrace() {
  const id = crypto.randomUUID().replaceAll('-', '')
  return { id, headers: { traceparent: `00-${id}-${PARENT}-01` } }
}

/** What the one request of a trace is told as: its own span, and those below it. */
async function arrived(traceId: string) {
  const spans = () => shared.spans().filter((each) => each.traceId === traceId)
  for (;;) {
    const request = spans().find(({ kind }) => kind === SERVER)
    if (request) return { request, statements: spans().filter(({ kind }) => kind !== SERVER) }
    await Bun.sleep(5)
  }
}

async function trace(path: string, init: RequestInit = {}) {
  const { id, headers } = newTrace()
  await (await sharedApp.call(path, { ...init, headers: { ...init.headers, ...headers } })).text()
  return arrived(id)
}

describe('a request', () => {
  test('is one span, above those of its statements', async () => {
    const { request, statements } = await trace('/me/tasks')
    expect(request).toMatchObject({ name: 'GET /:user_id/tasks', kind: SERVER, status: { code: UNSET } })
    expect(attributesOf(request)).toEqual({
      'http.request.method': 'GET',
      'http.route': '/:user_id/tasks',
      'http.response.status_code': 200,
      'url.scheme': 'http',
    })
    const { traceId, spanId: parentSpanId } = request
    const below = { traceId, parentSpanId, kind: CLIENT, status: { code: UNSET } }
    expect(statements.map(({ name }) => name).toSorted()).toEqual([
      'count_tasks',
      'find_session',
      'list_tasks',
    ])
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
    const { request, statements } = await trace('/me/tasks')
    const [first, ...both] = ['find_session', 'list_tasks', 'count_tasks'].map((name) => {
      const { startTimeUnixNano, endTimeUnixNano } = statements.find((each) => each.name === name) ?? request
      return { start: BigInt(startTimeUnixNano), end: BigInt(endTimeUnixNano) }
    })
    const [start, end] = [BigInt(request.startTimeUnixNano), BigInt(request.endTimeUnixNano)]
    expect(start).toBeGreaterThan(from)
    expect(end).toBeLessThanOrEqual(BigInt(Date.now() + 1) * 1_000_000n)
    for (const each of both) {
      expect(first?.start).toBeGreaterThanOrEqual(start)
      expect(first?.end).toBeLessThanOrEqual(each.start)
      expect(Number(each.end - each.start) / 1e6).toBeCloseTo(1.5, 2)
      expect(each.end).toBeLessThanOrEqual(end)
    }
  })

  test('of a stranger cannot choose its trace, nor that it is not sampled', async () => {
    const own = collector()
    const app = await start(own.url, { STRANGERS: 'yes' })
    await app.call('/me/tasks', { headers: { traceparent: `00-${TRACE}-${PARENT}-00` } })
    await own.until(1)
    expect(own.requests().map(({ traceId, parentSpanId }) => [traceId === TRACE, parentSpanId])).toEqual([
      [false, undefined],
    ])
  })

  test('goes on with the trace of whoever sent it', async () => {
    const { request } = await trace('/me/tasks')
    expect(request.parentSpanId).toBe(PARENT)
  })

  test('for a stream lasts to its end', async () => {
    const { request, statements } = await trace('/stream')
    expect(request).toMatchObject({ name: 'GET /stream', status: { code: UNSET } })
    expect(statements.map(({ name }) => name)).toEqual(['read_1', 'read_2'])
  })

  test.each([
    ['a refusal is no fault', '/me/tasks/missing', 404, UNSET, UNSET, 'TASK_NOT_FOUND'],
    ['a fault is one', '/me/tasks/broken', 500, ERROR, ERROR, 'TypeError'],
  ])('%s, and of what was thrown only the kind is told', async (_, path, status, code, ofStatement, type) => {
    const { request, statements } = await trace(path)
    expect(request.status).toEqual({ code })
    expect(request.events).toEqual([])
    expect(attributesOf(request)).toMatchObject({ 'http.response.status_code': status, 'error.type': type })
    expect(statements.find(({ name }) => name === 'find_task')?.status).toEqual({ code: ofStatement })
  })

  test.each([
    ['to no route', `/of/${SECRETS.email}`, 'GET', 'GET', 'GET'],
    ['with a method that nobody knows', '/me/tasks', 'PURGE', 'HTTP', '_OTHER'],
  ])('%s is named by nothing that was sent', async (_, path, method, name, told) => {
    const { request } = await trace(path, { method })
    expect(request.name).toBe(name)
    expect(attributesOf(request)).toEqual({
      'http.request.method': told,
      'http.response.status_code': 404,
      'url.scheme': 'http',
    })
  })

  test('that its client abandons is no fault', async () => {
    const { id, headers } = newTrace()
    const client = new AbortController()
    const call = sharedApp.call('/wait', { headers, signal: client.signal })
    await sharedApp.call('/begun')
    client.abort()
    await expect(call).rejects.toThrow()
    const { request } = await arrived(id)
    expect(request).toMatchObject({ name: 'GET /wait', status: { code: UNSET } })
    // its statement ended after it
    while ((await arrived(id)).statements.length === 0) await Bun.sleep(5)
    expect((await arrived(id)).statements).toMatchObject([{ name: 'wait', parentSpanId: request.spanId }])
  })

  test('does not get the statements of what it began and left', async () => {
    await trace('/leave')
    await sharedApp.call('/release')
    // spans arrive in the order in which they ended
    await trace('/me/tasks')
    expect(shared.spans().map(({ name }) => name)).not.toContain('after_the_end')
  })

  test('of many that overlap has its own statements', async () => {
    const all = Array.from({ length: 20 }, (_, n) => n)
    const traces = await Promise.all(all.map((n) => trace(`/meet/${n}`)))
    for (const [n, { request, statements }] of traces.entries()) {
      expect(statements.map(({ name }) => name)).toEqual([`first_${n}`, `second_${n}`])
      expect(statements.map(({ parentSpanId }) => parentSpanId)).toEqual([request.spanId, request.spanId])
    }
  })
})

test('where no trace comes in, each request begins one, and what no request waits for is in none', async () => {
  const to = collector()
  const app = await start(to.url)
  await app.call('/me/tasks')
  await app.call('/me/tasks')
  await to.until(2)
  await app.stop()
  const requests = to.requests()
  expect(new Set(requests.map(({ traceId }) => traceId)).size).toBe(2)
  expect(requests.map(({ parentSpanId }) => parentSpanId)).toEqual([undefined, undefined])
  expect(to.spans().map(({ name }) => name)).not.toContain('before_any_request')
  expect(to.spans()).toHaveLength(8)
})

test('nothing that was sent, answered or thrown arrives', async () => {
  const to = collector()
  const app = await start(to.url)
  const { user, cursor, email, password, title, refreshToken } = SECRETS
  const body = JSON.stringify({ email, password, title, refresh_token: refreshToken })
  const posted = { method: 'POST', headers: { ...HEADERS, 'content-type': 'application/json' }, body }
  const answers = await Promise.all([
    app.call(`/${user}/tasks?cursor=${cursor}`, { headers: HEADERS }),
    app.call(`/${user}/tasks`, posted),
    app.call(`/${user}/tasks`, { ...posted, body: body.slice(0, -1) }),
    app.call(`/${user}/tasks/missing?email=${email}`, { headers: HEADERS }),
    app.call(`/${user}/tasks/broken`, { headers: HEADERS }),
    app.call(`/of/${email}`, { headers: HEADERS }),
    app.call('/stream', { headers: HEADERS }),
  ])
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 500, 404, 500, 404, 200])
  const sent = (await Promise.all(answers.map((each) => each.text()))).join()
  await to.until(answers.length)
  await app.stop()
  const raw = to.received.map(({ text }) => text).join()
  for (const [name, secret] of Object.entries(SECRETS)) expect(raw, name).not.toContain(secret)
  expect(raw).not.toContain('127.0.0.1')
  expect(sent).toContain(title)
  expect(sent).toContain(SECRETS.event)
})

test('headers without number hide nothing that is told', async () => {
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`x-${n}`, 'x']))
  const { request } = await trace('/me/tasks', { headers: many })
  expect(attributesOf(request)).toMatchObject({ 'http.response.status_code': 200 })
})

describe("OpenTelemetry's own variables", () => {
  test('name the service and the headers for the collector', async () => {
    const to = collector()
    const app = await start(`${to.url}/otlp/`, {
      OTEL_SERVICE_NAME: 'tasks of the north',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=north',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=abc,x-team=north',
    })
    await app.call('/me/tasks')
    await to.until(1)
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
    await trace('/me/tasks')
    const resource = shared.told()[0]?.resourceSpans[0]?.resource ?? { attributes: [] }
    expect(attributesOf(resource)).toMatchObject({ 'service.name': 'taskwell' })
    expect(Object.keys(attributesOf(resource)).filter((name) => /^(process|host)/.test(name))).toEqual([])
  })

  test('choose the sample', async () => {
    const to = collector()
    const app = await start(to.url, { OTEL_TRACES_SAMPLER: 'parentbased_always_off' })
    await app.call('/me/tasks')
    await app.call('/stream', { headers: { traceparent: `00-${TRACE}-${PARENT}-01` } })
    await to.until(1)
    await app.stop()
    expect(to.spans().map(({ name }) => name)).toEqual(['read_1', 'read_2', 'GET /stream'])
  })
})

describe('does no harm and says nothing:', () => {
  test('a collector that is not there', async () => {
    const { url, server } = useless(() => new Response())
    await server.stop(true)
    const app = await start(url)
    for (let n = 0; n < 50; n++) expect((await app.call('/me/tasks')).status).toBe(200)
    expect(await app.stop()).toEqual({ code: 0, output: '' })
  })

  test.each<[string, () => Response | Promise<Response>]>([
    ['is overloaded', () => new Response('a long story', { status: 503 })],
    ['refuses all', () => new Response('a long story', { status: 401 })],
    ['never answers', () => new Promise(() => {})],
  ])('a collector that %s', async (_, answer) => {
    const to = useless(answer)
    const app = await start(to.url)
    while (to.tries() === 0) expect((await app.call('/me/tasks')).status).toBe(200)
    expect((await app.call('/me/tasks')).status).toBe(200)
    const stopping = performance.now()
    expect(await app.stop()).toEqual({ code: 0, output: '' })
    // the exporter itself would wait for ten seconds
    expect(performance.now() - stopping).toBeLessThan(8000)
  })
})

test('what is not yet sent is sent at the end', async () => {
  const to = collector()
  const app = await start(to.url, { OTEL_BSP_SCHEDULE_DELAY: '600000' })
  await app.call('/me/tasks')
  // the first one's span has ended by the time that a second one is answered
  await app.call('/me/tasks')
  expect(to.received).toEqual([])
  await app.stop()
  expect(to.requests().length).toBeGreaterThanOrEqual(1)
})

test('whoever sends no traces does not load what makes them', async () => {
  const script = `await import(${JSON.stringify(join(import.meta.dir, '../../src/telemetry/tracing.ts'))})
    process.stdout.write(JSON.stringify(Object.keys(require.cache)))`
  const child = Bun.spawn([process.execPath, '--no-env-file', '-e', script], { stdout: 'pipe' })
  const loaded: string[] = JSON.parse(await new Response(child.stdout).text())
  expect(loaded.some((path) => path.endsWith('src/telemetry/tracing.ts'))).toBe(true)
  expect(loaded.filter((path) => path.includes('opentelemetry'))).toEqual([])
})
