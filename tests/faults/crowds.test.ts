import { describe, expect, test } from 'bun:test'
import { AMPLE_POOL, eventually, newUser, read, setScene, write, writeAlone } from '../support/faults'
import { call, type HttpConnection, openConnection, requestText } from '../support/http-connection'

const { database, server, start } = await setScene()

/** Sends a part, and then a byte a second for as long as it is let. @returns all that came, and after how long */
async function drip(first: string, next: string): Promise<{ received: string; seconds: number }> {
  const begun = performance.now()
  const connection = await openConnection(server.port)
  connection.write(first)
  const timer = setInterval(() => connection.isOpen() && connection.write(next), 1000)
  await connection.ended
  clearInterval(timer)
  return { received: connection.received(), seconds: (performance.now() - begun) / 1000 }
}

const chunked = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }
const long = { 'content-type': 'application/json', 'content-length': '5000' }
// they take their time while the other tests run
const begun = {
  headers: drip('GET /health HTTP/1.1\r\n', 'x'),
  silence: drip('', ''),
  body: requestText('POST', '/api/v1/todos', { as: newUser(), headers: long }).then((text) =>
    drip(text, ' '),
  ),
  chunks: requestText('POST', '/api/v1/todos', { as: newUser(), headers: chunked }).then((text) =>
    drip(text, '1\r\n \r\n'),
  ),
  idle: requestText('GET', '/health').then((text) => drip(text, '')),
}

describe('a server that is full', () => {
  test('refuses at once who comes then, and serves who is there', async () => {
    const small = await start({ ...AMPLE_POOL, MAX_CONNECTIONS: '5', REQUEST_TIMEOUT_MS: '60000' })
    const release = await database.hold('writes')
    const writes = Array.from({ length: 5 }, () => writeAlone(small, newUser()))
    await eventually(database.waiting, 5)
    expect((await read(small, newUser())).body.error_code).toBe('OVERLOADED')
    const { status, headers } = await write(small, newUser())
    expect(status).toBe(503)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await call(small.port, 'GET', '/health')).status).toBe(200)
    await release()
    for (const each of await Promise.all(writes)) expect(each.status).toBe(201)
    expect((await write(small, newUser())).status).toBe(201)
    await small.end('SIGTERM')
  })

  test('counts streams too, and a stream that ends makes room', async () => {
    const small = await start({ MAX_CONNECTIONS: '5' })
    const streams: HttpConnection[] = []
    for (let n = 0; n < 5; n++) {
      const stream = await openConnection(small.port)
      stream.write(await requestText('GET', '/api/v1/todos/events', { as: newUser() }))
      await stream.until(/\r\n\r\n/)
      streams.push(stream)
    }
    expect(await read(small, newUser())).toMatchObject({ status: 503, body: { error_code: 'OVERLOADED' } })
    streams[0]?.destroy()
    await eventually(async () => (await read(small, newUser())).status, 200)
    for (const each of streams) each.destroy()
    await small.end('SIGTERM')
  })
})

/** In seconds. */
const PATIENCE = 25

describe('who is slow', () => {
  test.each([
    ['with its headers', 'headers', /^(HTTP\/1.1 408|$)/],
    ['to say anything', 'silence', /^$/],
    ['with a body', 'body', /^(HTTP\/1.1 408 .*REQUEST_TIMEOUT|$)/s],
    ['with a chunked body', 'chunks', /^(HTTP\/1.1 408 .*REQUEST_TIMEOUT|$)/s],
    ['to ask again', 'idle', /^HTTP\/1.1 200/],
  ] as const)('%s is not waited for', async (_, what, answer) => {
    const { received, seconds } = await begun[what]
    expect(received).toMatch(answer)
    expect(seconds).toBeLessThan(PATIENCE)
  })
})
