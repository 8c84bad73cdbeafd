import { afterAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { signAccessToken } from '../../src/auth/token'
import { serve } from '../../src/server'
import { createLog } from '../../src/telemetry/log'
import { testApp, toAnswer } from '../support/app'

const { app, call, settings, url, sql } = await testApp()
const TODOS = '/api/v1/todos'
const token = await signAccessToken('ann', settings)

const log = createLog({ logLevel: 'silent', production: true })
const server = await serve({ ...settings, databaseUrl: url, host: '127.0.0.1', port: 0 }, log)
afterAll(() => server.stop())
const port = Number(new URL(server.url).port)

async function exactly(rows: PromiseLike<readonly { count?: number }[]>): Promise<{ count: number }> {
  const [row] = await rows
  return { count: row?.count ?? 0 }
}

/** Sends bytes as they are and gives what comes back until the other side closes. */
function requestContext(request: string): Promise<string> {
  return new Promise((done, fail) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.setEncoding('latin1').on('data', (chunk) => {
      received += chunk
    })
    socket.on('end', () => done(received))
    socket.on('error', fail)
  })
}

const HEAD = `POST ${TODOS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n`
const JSON_HEAD = `${HEAD}Content-Type: application/json\r\n`

describe('a body', () => {
  test.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'application/merge-patch+json',
  ])('may be %s', async (type) => {
    const answer = await call('POST', TODOS, {
      as: 'ann',
      body: { title: 'x' },
      headers: { 'content-type': type },
    })
    expect(answer.status).toBe(201)
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json; charset=latin1',
    'text/json',
    '',
  ])('cannot be %p', async (type) => {
    const answer = await call('POST', TODOS, {
      as: 'ann',
      body: { title: 'x' },
      headers: { 'content-type': type },
    })
    expect(answer).toMatchObject({ status: 415, body: { error_code: 'UNSUPPORTED_MEDIA_TYPE' } })
  })

  test('cannot be compressed', async () => {
    const response = await fetch(`http://127.0.0.1:${port}${TODOS}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-encoding': 'gzip',
      },
      body: Bun.gzipSync('{"title":"x"}'),
    })
    expect(await toAnswer(response)).toMatchObject({ status: 415 })
    expect(response.headers.get('accept-encoding')).toBe('identity')
  })

  test('that is missing is 422 where one is needed', async () => {
    for (const headers of [{}, { 'content-type': 'application/json' }]) {
      const answer = await call('POST', TODOS, { as: 'ann', headers })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '' }] } })
    }
  })

  test('that is not UTF-8 is 400', async () => {
    const body = new Uint8Array([
      ...new TextEncoder().encode('{"title":"'),
      0xff,
      0xfe,
      ...new TextEncoder().encode('"}'),
    ])
    const request = new Request(`http://localhost${TODOS}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body,
    })
    expect(await toAnswer(await app.handle(request))).toMatchObject({ status: 400 })
  })

  test('may have 65,536 bytes and not one more', async () => {
    const padded = (size: number) => `{"title":"x"}${' '.repeat(size - 13)}`
    expect((await call('POST', TODOS, { as: 'ann', body: padded(65_536) })).status).toBe(201)
    expect((await call('POST', TODOS, { as: 'ann', body: padded(65_537) })).status).toBe(413)
  })

  test('with ten thousand levels is refused without harm', async () => {
    const body = `{"title":${'['.repeat(10_000)}${']'.repeat(10_000)}}`
    expect((await call('POST', TODOS, { as: 'ann', body })).status).toBe(422)
  })

  test('with thousands of unknown fields gets a bounded answer', async () => {
    const body = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`f${i}`, 1]))
    const answer = await call('POST', TODOS, { as: 'ann', body })
    expect(answer.body.errors).toHaveLength(100)
  })
})

describe('over the wire', () => {
  test('a chunked body is read', async () => {
    const answer = await requestContext(
      `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n7\r\n{"title\r\n6\r\n":"x"}\r\n0\r\n\r\n`,
    )
    expect(answer).toStartWith('HTTP/1.1 201')
  })

  test('a chunked body that is too large is 413 with the whole problem', async () => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const answer = await requestContext(
      `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}0\r\n\r\n`,
    )
    expect(answer).toStartWith('HTTP/1.1 413')
    expect(answer).toContain('PAYLOAD_TOO_LARGE')
  })

  test('a length over every limit of the runtime is our 413, with CORS, before a byte is read', async () => {
    const answer = await requestContext(
      `${JSON_HEAD}Origin: http://localhost:3000\r\nContent-Length: 999999999999\r\n\r\n{`,
    )
    expect(answer).toStartWith('HTTP/1.1 413')
    expect(answer).toContain('PAYLOAD_TOO_LARGE')
    expect(answer.toLowerCase()).toContain('access-control-allow-origin: http://localhost:3000')
  })

  test.each(['Host:', 'Host: a b', 'Host: [', 'Host: x:99999'])(
    'a task is made once whatever stands in "%s"',
    async (host) => {
      const { count: before } = await exactly(sql`select count(*)::int as count from tasks`)
      const head = JSON_HEAD.replace('Host: localhost', host)
      const answer = await requestContext(`${head}Content-Length: 13\r\n\r\n{"title":"x"}`)
      const { count: after } = await exactly(sql`select count(*)::int as count from tasks`)
      // the runtime refuses some of these by itself, and then nothing may be written
      expect(answer.startsWith('HTTP/1.1 201') ? 1 : 0).toBe(after - before)
      expect(answer).not.toStartWith('HTTP/1.1 500')
    },
  )

  test('a list goes on whatever stands in Host', async () => {
    for (let i = 0; i < 2; i++) await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })
    const head = `Connection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`
    const answer = await requestContext(`GET ${TODOS}?limit=1 HTTP/1.1\r\nHost:\r\n${head}`)
    expect(answer).toStartWith('HTTP/1.1 200')
    expect(answer).toMatch(/^link: <\/api\/v1\/todos\/?\?limit=1&cursor=/im)
  })

  test.each(['a', 'ab', 'api', 'api:80', 'localhost'])('the host may be %s', async (host) => {
    const get = (method: string, path: string) =>
      requestContext(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    expect(await get('PUT', TODOS)).toStartWith('HTTP/1.1 405')
    expect(await get('DELETE', '/health')).toStartWith('HTTP/1.1 405')
    expect(await get('GET', `${TODOS}/`)).toStartWith('HTTP/1.1 401')
    expect(await get('GET', `${TODOS}/1`)).toStartWith('HTTP/1.1 401')
    expect(await get('GET', '/health/')).toStartWith('HTTP/1.1 200')
    expect(await get('GET', '/')).toStartWith('HTTP/1.1 302')
  })

  test('two headers Authorization are refused', async () => {
    const answer = await requestContext(
      `${JSON_HEAD}Authorization: Bearer ${token}\r\nContent-Length: 13\r\n\r\n{"title":"x"}`,
    )
    expect(answer).toStartWith('HTTP/1.1 401')
  })

  test('a stranger is refused before the body', async () => {
    const answer = await requestContext(
      `POST ${TODOS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 999999\r\n\r\n`,
    )
    expect(answer).toStartWith('HTTP/1.1 401')
  })

  test.each([
    ['/api/v1/todos/%zz', 422],
    ['/api/v1/todos/%00', 422],
    ['/api/%00/tasks', 403],
    ['/api/%zz/tasks', 403],
    ['/api/%2e%2e/tasks', 403],
    ['/api//tasks', 404],
    ['//api/v1/todos', 404],
    ['/api/v1/todos//', 404],
    ['/api/v1/todos/1//complete', 404],
    ['/api/v1/todos?limit=%zz', 422],
    ['/api/v1/todos?%zz', 422],
    ['/api/v1/todos?limit=%ff', 422],
  ])('the path %s answers %i', async (path, status) => {
    const answer = await requestContext(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    )
    expect(answer).toStartWith(`HTTP/1.1 ${status}`)
    expect(answer).toContain('application/problem+json')
  })
})
