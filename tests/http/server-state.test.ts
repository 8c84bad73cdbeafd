import { afterAll, describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { createServerState } from '../../src/http/server-state'
import { serve } from '../../src/server'
import { createLog } from '../../src/telemetry/log'
import { createMetrics } from '../../src/telemetry/metrics'
import { linesTo, testSettings } from '../support/app'
import { blockWrites, testDatabase } from '../support/database'
import { call, type HttpConnection, openConnection, requestText } from '../support/http-connection'
import { policiesOf } from '../support/limited-app'

const TODOS = '/api/v1/todos'
const ORIGIN = { origin: 'http://localhost:3000' }
const MAX = 3

const { url, database } = await testDatabase()

/** Listens, with `MAX` places. */
function small(env: Record<string, string> = {}) {
  const settings = testSettings({ MAX_CONNECTIONS: String(MAX), TRUSTED_PROXY_HOPS: '1', ...env })
  const lines: string[] = []
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
  const metrics = settings.metrics ? createMetrics() : undefined
  const app = createApp({ settings, database, log, metrics })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  return { port: Number(app.server?.port), lines, app }
}

/** A stream that has begun. */
async function stream(port: number): Promise<HttpConnection> {
  const connection = await openConnection(port)
  connection.write(await requestText('GET', `${TODOS}/events`, { as: 'ann' }))
  await connection.until(/^HTTP\/1.1 200.*\r\n\r\n/s)
  return connection
}

const streams = (port: number, count: number) =>
  Promise.all(Array.from({ length: count }, () => stream(port)))

/** Asks for what needs no database, until it is answered so. */
async function until(port: number, status: number): Promise<void> {
  while ((await call(port, 'GET', '/docs')).status !== status);
}

describe('a server whose places are all taken', async () => {
  const { port, lines } = small({ METRICS: 'on' })
  const held = await streams(port, MAX)
  afterAll(() => {
    for (const each of held) each.destroy()
  })

  test.each([
    ['GET', TODOS, 'ann'],
    ['POST', TODOS, 'ann'],
    ['GET', `${TODOS}/events`, 'ann'],
    ['GET', TODOS, undefined],
    ['POST', '/api/v1/auth/login', undefined],
    ['GET', '/docs', undefined],
    ['GET', '/?/health', undefined],
    ['HEAD', '/openapi.json', undefined],
    ['DELETE', '/docs', undefined],
    ['OPTIONS', TODOS, undefined],
  ])('refuses %s %s at once, and says when to come again', async (method, path, as) => {
    const reply = await call(port, method, path, { ...(as && { as }), body: { title: 'x' }, headers: ORIGIN })
    expect(reply.status).toBe(503)
    if (method !== 'HEAD') expect(reply.body).toMatchObject({ error_code: 'OVERLOADED', status: 503 })
    expect(reply.headers.get('content-type')).toBe('application/problem+json')
    expect(reply.headers.get('retry-after')).toBe('1')
    expect(reply.headers.get('access-control-allow-origin')).toBe(ORIGIN.origin)
    expect(policiesOf(reply)).toEqual(['address'])
  })

  test('lets pages of other origins read why', async () => {
    const { headers } = await call(port, 'GET', TODOS, { as: 'ann', headers: ORIGIN })
    expect(headers.get('access-control-allow-origin')).toBe(ORIGIN.origin)
    expect(headers.get('access-control-allow-credentials')).toBe('true')
    expect(headers.get('access-control-expose-headers')).toContain('Retry-After')
    expect(headers.get('vary')).toContain('Origin')
  })

  test('says what every answer says to browsers and caches', async () => {
    const { headers } = await call(port, 'GET', TODOS, { headers: { 'x-forwarded-proto': 'https' } })
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000')
  })

  test('answers a preflight, without which no page could read the refusal', async () => {
    const headers = { ...ORIGIN, 'access-control-request-method': 'GET' }
    const reply = await call(port, 'OPTIONS', TODOS, { headers })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe(ORIGIN.origin)
  })

  test.each(['/health', '/health/', '/ready', '/metrics'])('answers at %s', async (path) => {
    expect((await call(port, 'GET', path)).status).toBe(200)
    expect((await call(port, 'HEAD', path)).status).toBe(200)
  })

  test('has a line in its log for each refusal, and one that warns', async () => {
    const { headers } = await call(port, 'GET', TODOS, { as: 'ann' })
    const id = String(headers.get('x-request-id'))
    const own = () => lines.filter((line) => line.includes(id)).map((line) => JSON.parse(line))
    while (own().length < 2) await Bun.sleep(1)
    expect(own()).toMatchObject([
      { level: 40, code: 'OVERLOADED' },
      { level: 30, method: 'GET', status: 503, msg: 'request' },
    ])
  })

  test('has a place again when a stream ends, and only that one', async () => {
    held.shift()?.destroy()
    await until(port, 200)
    held.push(await stream(port))
    expect((await call(port, 'GET', TODOS, { as: 'ann' })).status).toBe(503)
  })
})

describe('places', () => {
  test('are taken by requests as by streams, and are free again when those are answered', async () => {
    const { port } = small()
    const held = await streams(port, MAX - 1)
    const writes = await blockWrites(url)
    const write = call(port, 'POST', TODOS, { as: 'ann', body: { title: 'x' } })
    await writes.reached()
    expect((await call(port, 'GET', TODOS, { as: 'ann' })).status).toBe(503)
    await writes.release()
    expect((await write).status).toBe(201)
    await until(port, 200)
    for (const each of held) each.destroy()
  })

  test('are free again when clients vanish in the middle of a write', async () => {
    const { port } = small()
    const writes = await blockWrites(url)
    const text = await requestText('POST', TODOS, { as: 'ann', body: { title: 'x' } })
    const clients = await Promise.all(Array.from({ length: MAX }, () => openConnection(port)))
    for (const client of clients) client.write(text)
    await until(port, 503)
    for (const client of clients) client.destroy()
    // the writes could not go on meanwhile
    await until(port, 200)
    await writes.release()
  })

  test('are free again when clients vanish in the middle of a body', async () => {
    const { port } = small()
    const headers = { 'content-type': 'application/json', 'content-length': '100' }
    const text = await requestText('POST', TODOS, { as: 'ann', headers })
    const clients = await Promise.all(Array.from({ length: MAX }, () => openConnection(port)))
    for (const client of clients) client.write(`${text}{`)
    await until(port, 503)
    for (const client of clients) client.destroy()
    await until(port, 200)
  })

  test('are not taken by connections that ask for nothing', async () => {
    const { port } = small()
    const idle = await Promise.all(Array.from({ length: MAX * 3 }, () => openConnection(port)))
    expect((await call(port, 'GET', TODOS, { as: 'ann' })).status).toBe(200)
    for (const each of idle) each.destroy()
  })
})

test('a stop waits for what must be stored, and hurries what has not ended', async () => {
  const serverState = createServerState(MAX)
  const hurried: string[] = []
  const [done, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  serverState.awaitAtStop(done.promise, () => hurried.push('done'))
  serverState.awaitAtStop(slow.promise, () => {
    hurried.push('slow')
    slow.resolve()
  })
  done.resolve()
  await done.promise
  // it is forgotten a moment later
  await Bun.sleep(0)
  serverState.hurry()
  await serverState.settled()
  expect(hurried).toEqual(['slow'])
})

describe('GET /metrics', () => {
  test('is not there unless it is asked for', async () => {
    expect((await call(small().port, 'GET', '/metrics')).status).toBe(404)
  })

  test('is read by anybody without a token set, and is in no document', async () => {
    const { port } = small({ METRICS: 'on' })
    const { status, headers } = await call(port, 'GET', '/metrics')
    expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    expect(JSON.stringify((await call(port, 'GET', '/openapi.json')).body)).not.toContain('metrics')
  })

  test('is read with the token and no other, where one is set', async () => {
    const { port, lines } = small({ METRICS: 'on', METRICS_TOKEN: 'for-prometheus' })
    const ask = (authorization: string) => call(port, 'GET', '/metrics', { headers: { authorization } })
    expect((await ask('Bearer for-prometheus')).status).toBe(200)
    const refused = await call(port, 'GET', '/metrics')
    expect(refused).toMatchObject({ status: 401, body: { error_code: 'TOKEN_MISSING' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
    expect(await ask('Bearer other')).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await call(port, 'GET', '/metrics', { as: 'ann' })).toMatchObject({ status: 401 })
    expect(lines.join('')).not.toContain('for-prometheus')
  })

  test('refuses who guesses too often, and nobody who knows', async () => {
    const { port } = small({ METRICS: 'on', METRICS_TOKEN: 'for-prometheus', RATE_LIMIT_PER_MINUTE: '3' })
    const ask = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` }
      return (await call(port, 'GET', '/metrics', { headers })).status
    }
    const guesses = [await ask('a'), await ask('b'), await ask('c'), await ask('d')]
    expect(guesses).toEqual([401, 401, 401, 429])
    expect(await ask('for-prometheus')).toBe(200)
  })

  test('of a running server tells of requests, statements, refusals, streams and the pool', async () => {
    const env = {
      DATABASE_URL: url,
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS: 'on',
      METRICS_TOKEN: 'for-prometheus',
      DATABASE_POOL_SIZE: '7',
    }
    const headers = { authorization: 'Bearer for-prometheus' }
    const log = createLog({ logLevel: 'silent', production: true })
    const server = await serve(testSettings({ ...env, RATE_LIMIT_PER_MINUTE: '3' }), log)
    const port = Number(new URL(server.url).port)
    const held = await stream(port)
    for (let n = 0; n < 4; n++) await call(port, 'GET', `${TODOS}/999`, { as: 'bob' })
    for (let n = 0; n < 4; n++) await call(port, 'GET', TODOS)
    const read = async () => String((await call(port, 'GET', '/metrics', { headers })).body)
    // a request is counted once its answer has been sent
    while (!(await read()).includes(`{method="GET",route="${TODOS}",status="429"} 1\n`)) await Bun.sleep(1)
    const lines = (await read()).split('\n')
    const of = (name: string, labels = '') =>
      lines
        .find((line) => line.startsWith(`${name}${labels} `))
        ?.split(' ')
        .at(-1)
    const requests = (path: string, status: number) =>
      of('taskwell_http_requests_total', `{method="GET",route="${path}",status="${status}"}`)
    expect([requests(`${TODOS}/:id`, 404), requests(`${TODOS}/:id`, 429)]).toEqual(['3', '1'])
    expect([requests(TODOS, 401), requests(TODOS, 429)]).toEqual(['3', '1'])
    expect(of('taskwell_rate_limited_total', '{policy="user"}')).toBe('1')
    expect(of('taskwell_rate_limited_total', '{policy="address"}')).toBe('1')
    expect(of('taskwell_statement_duration_seconds_count', '{name="findTasks",outcome="ok"}')).toBe('3')
    expect(of('taskwell_streams_open')).toBe('1')
    // the stream, and the request that reads this
    expect(of('taskwell_http_requests_in_progress')).toBe('2')
    expect(of('taskwell_database_pool_size')).toBe('7')
    held.destroy()
    await server.stop()
  })
})
