import { describe, expect, test } from 'bun:test'
import { eventually, newUser, SLACK, setScene, timed, untilReady, write } from '../support/faults'
import { call, openConnection, requestText } from '../support/http-connection'
import { startLoad } from '../support/load'
import type { ServerProcess } from '../support/server-process'

const scene = await setScene()
const { database } = scene
/** How long a request may take is not the subject here. */
const start = () => scene.start({ REQUEST_TIMEOUT_MS: '60000', KEEP_ALIVE_SECONDS: '120' })

/** In milliseconds: for how long requests under way are waited for. */
const DRAIN = 10_000

/** A server with a write under way, which lasts until it is let go, and a connection that waits for its next request. */
async function busyServer() {
  const server = await start()
  const kept = await openConnection(server.port)
  expect((await kept.request('GET', '/ready')).status).toBe(200)
  const release = await database.hold('writes')
  const writing = write(server, newUser())
  writing.catch(() => {})
  await eventually(database.waiting, 1)
  return { server, kept, writing, release }
}

/** Asks it to stop, and waits until it has begun to. */
async function askToStop(server: ServerProcess): Promise<void> {
  server.child.kill('SIGTERM')
  await server.logged(/stopping/)
}

/** Which of these titles are in the database. */
async function stored(titles: string[]): Promise<string[]> {
  const rows = await database.sql()<{ title: string }[]>`select title from tasks where title = any(${titles})`
  return rows.map(({ title }) => title)
}

const isRefused = (port: number) =>
  openConnection(port).then(
    (connection) => {
      connection.destroy()
      return false
    },
    () => true,
  )

/** A server that is stopped while somebody is still sending. @returns how it ended, and after how long */
async function stopWithoutEnd() {
  const server = await start()
  const slow = await openConnection(server.port)
  const headers = { 'content-type': 'application/json', 'content-length': '5000' }
  slow.write(await requestText('POST', '/api/v1/todos', { as: newUser(), headers }))
  slow.write('{')
  // taken by then: this one was sent later
  await call(server.port, 'GET', '/ready')
  return timed(() => server.end('SIGTERM'))
}
const withoutEnd = stopWithoutEnd()

describe('SIGTERM', () => {
  test('makes it not ready at once, and finishes what is under way', async () => {
    const { server, kept, writing, release } = await busyServer()
    await askToStop(server)
    const ready = await kept.request('GET', '/ready')
    expect(ready).toMatchObject({ status: 503, body: { error_code: 'SHUTTING_DOWN' } })
    expect(ready.headers.get('connection')?.toLowerCase()).toBe('close')
    await release()
    expect((await writing).status).toBe(201)
    expect(await server.child.exited).toBe(0)
    expect(server.faults()).toEqual([])
  })

  test('tells streams to come back, and ends them', async () => {
    const server = await start()
    const stream = await openConnection(server.port)
    stream.write(await requestText('GET', '/api/v1/todos/events', { as: newUser() }))
    await stream.until(/\r\n\r\n/)
    const ended = server.end('SIGTERM')
    expect(await stream.until(/retry: *\d+\n/)).toBeTruthy()
    // the last chunk: it was not cut
    expect(await stream.until(/\r\n0\r\n\r\n$/)).toBeTruthy()
    expect(await ended).toBe(0)
  })

  test('costs nobody an answer who goes elsewhere when told to', async () => {
    for (let n = 0; n < 2; n++) {
      const server = await start()
      const kept = startLoad(server.port, { clients: 8, heeds: true })
      const resting = startLoad(server.port, { clients: 4, heeds: true, pause: 5 })
      const balanced = startLoad(server.port, { clients: 8, reconnect: true })
      const loads = [kept, resting, balanced]
      for (const load of loads) await load.succeed(50)
      const ended = server.end('SIGTERM')
      // as a balancer does, which makes connections for its clients
      await untilReady(server, 503)
      await balanced.stop()
      expect(await ended).toBe(0)
      for (const load of loads) {
        await load.stop()
        expect([...load.outcomes.keys()].sort()).toEqual(['200', '201'])
      }
      expect(server.faults()).toEqual([])
    }
  })

  test('costs nobody an answer on a connection that was served, and does nothing without an answer', async () => {
    for (let n = 0; n < 2; n++) {
      const server = await start()
      const loads = [
        startLoad(server.port, { clients: 8 }),
        startLoad(server.port, { clients: 4, pause: 5 }),
        startLoad(server.port, { clients: 8, reconnect: true }),
      ]
      for (const load of loads) await load.succeed(50)
      expect(await server.end('SIGTERM')).toBe(0)
      for (const load of loads) {
        await load.stop()
        const { lost, ...outcomes } = Object.fromEntries(load.outcomes)
        expect(lost).toBeUndefined()
        // the system takes connections for a moment that the server does not; what they carried was not read
        const asExpected = ['200', '201', 'refused', 'idle', 'unheard']
        expect(Object.keys(outcomes).filter((outcome) => !asExpected.includes(outcome))).toEqual([])
        expect(await stored([...load.unanswered])).toEqual([])
        expect((await stored([...load.acknowledged])).sort()).toEqual([...load.acknowledged].sort())
      }
      expect(server.faults()).toEqual([])
    }
  })

  test('closes a connection with the answer to what was under way', async () => {
    const server = await start()
    const release = await database.hold('writes')
    const connection = await openConnection(server.port)
    const writing = connection.request('POST', '/api/v1/todos', { as: newUser(), body: { title: 'x' } })
    await eventually(database.waiting, 1)
    await askToStop(server)
    // it listens no more
    await eventually(() => isRefused(server.port), true)
    await release()
    const { status, headers } = await writing
    expect({ status, connection: headers.get('connection')?.toLowerCase() }).toEqual({
      status: 201,
      connection: 'close',
    })
    expect(await server.child.exited).toBe(0)
  })

  test('waits for ten seconds and no longer', async () => {
    const [code, milliseconds] = await withoutEnd
    expect(code).toBe(0)
    expect(milliseconds).toBeLessThan(DRAIN + 3 * SLACK)
  })

  test('leaves no connection to the database', async () => {
    // the others have ended by now
    await scene.server.end('SIGTERM')
    const server = await start()
    await write(server, newUser())
    expect(await database.connections()).toBeGreaterThan(0)
    expect(await server.end('SIGTERM')).toBe(0)
    await eventually(database.connections, 0)
  })
})

test('a second signal ends it at once', async () => {
  const { server, release } = await busyServer()
  await askToStop(server)
  const [, milliseconds] = await timed(async () => {
    // one that follows at once may be the same one, passed on by a launcher
    while (server.child.exitCode === null) {
      server.child.kill('SIGTERM')
      await Bun.sleep(50)
    }
  })
  expect(server.child.exitCode).toBe(1)
  expect(milliseconds).toBeLessThan(DRAIN / 2)
  await release()
})
