import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { connect } from 'node:net'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { SignJWT } from 'jose'
import postgres from 'postgres'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { openPool } from '../../src/database/pool'
import { serve } from '../../src/server'
import { createLive, type Listener, type Live } from '../../src/sync/live'
import type { Change } from '../../src/sync/model'
import { createLog } from '../../src/telemetry/log'
import { SECRET, testApp, testSettings } from '../support/app'

const other = await testApp()
const { sql, database, url: databaseUrl, call, settings } = other
const log = createLog({ logLevel: 'silent', production: true })
// beats come quickly, for the tests that wait for one
const made = createLive(database.sql, log, { beatInterval: 50 })
const listeners: Listener[] = []
const live: Live = {
  ...made,
  listen(listener) {
    listeners.push(listener)
    return made.listen(listener)
  },
}
const app = createApp({ settings, database, log, live })
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
const origin = String(app.server?.url.origin)

const TODOS = '/api/v1/todos'
const newUser = () => crypto.randomUUID()

interface OpenOptions {
  path?: string
  at?: string
  method?: string
  token?: string
  headers?: Record<string, string>
}

async function open(as: string, options: OpenOptions = {}): Promise<Response> {
  const { path = `${TODOS}/events`, at = origin, method = 'GET', headers } = options
  const token = options.token ?? (await signAccessToken(as, settings))
  return fetch(at + path, { method, headers: { authorization: `Bearer ${token}`, ...headers } })
}

/** Reads the events of an open stream, one by one. */
async function follow(as: string, options: OpenOptions = {}) {
  const response = await open(as, options)
  expect(response.status).toBe(200)
  const events = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream())
    .getReader()
  return {
    async take(count: number): Promise<{ id: string; data: Change }[]> {
      const taken: { id: string; data: Change }[] = []
      while (taken.length < count) {
        const { value, done } = await events.read()
        if (done) throw new Error('the stream has ended')
        taken.push({ id: String(value.id), data: JSON.parse(value.data) })
      }
      return taken
    },
    async end(): Promise<void> {
      expect(await events.read()).toEqual({ done: true, value: undefined })
    },
    leave: () => events.cancel(),
  }
}

/** Creates a task through the app that streams, which knows of it at once. */
async function create(as: string, title = 'x'): Promise<void> {
  const authorization = `Bearer ${await signAccessToken(as, settings)}`
  const answer = await fetch(origin + TODOS, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ title }),
  })
  expect(answer.status).toBe(201)
}

const titles = (events: { data: Change }[]) => events.map(({ data }) => ('title' in data ? data.title : data))

/** Creates tasks with long titles, as another process would. */
async function createMany(as: string, count: number, database = sql): Promise<void> {
  await database`
    with owner as (
      insert into users (id, revision) values (${as}, ${count})
      on conflict (id) do update set revision = users.revision + ${count}
      returning id, revision
    )
    insert into tasks (user_id, title, completed, created_at, updated_at, revision)
    select id, repeat('x', 200), false, now(), now(), revision - ${count} + nth
    from owner, generate_series(1, ${count}::int) as nth`
}

async function changesOf(as: string, since?: string) {
  const query = since === undefined ? '' : `?since=${since}`
  const { status, body } = await call('GET', `${TODOS}/changes${query}`, { as })
  expect(status).toBe(200)
  return body as { changes: Change[]; cursor: string; has_more: boolean }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(1)
}

describe('a stream', () => {
  test('has no idle limit on its connection, also if pages were read on it before', async () => {
    for (const path of ['/openapi.json', '/docs', '/redoc']) await (await fetch(origin + path)).text()
    const { server } = app
    if (server === null) throw new Error('the app does not listen')
    const limits = spyOn(server, 'timeout')
    const { leave } = await follow(newUser())
    expect(limits.mock.calls.map(([, seconds]) => seconds)).toEqual([0])
    limits.mockRestore()
    await leave()
  })

  test('answers at once, with bytes to read', async () => {
    const response = await open(newUser())
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const reader = response.body?.getReader()
    // at once, and again without a change; two may come in one piece
    let text = ''
    while (text.length < 2 * ':\n\n'.length) text += new TextDecoder().decode((await reader?.read())?.value)
    expect(text).toMatch(/^(?::\n\n){2,}$/)
    await reader?.cancel()
  })

  test.each(['/api/v1/todos/events', '/api/me/tasks/events'])('at %s begins now', async (path) => {
    const ann = newUser()
    await create(ann, 'before')
    const stream = await follow(ann, { path })
    await create(ann, 'after')
    expect(titles(await stream.take(1))).toEqual(['after'])
    await stream.leave()
  })

  test('begins after `since`, and after `Last-Event-ID` if both are sent', async () => {
    const ann = newUser()
    await create(ann, 'one')
    const { cursor: first } = await changesOf(ann)
    await create(ann, 'two')
    const { cursor: second } = await changesOf(ann)
    await create(ann, 'three')
    const path = `${TODOS}/events?since=${first}`
    const stream = await follow(ann, { path })
    expect(titles(await stream.take(2))).toEqual(['two', 'three'])
    const later = await follow(ann, { path, headers: { 'last-event-id': second } })
    expect(titles(await later.take(1))).toEqual(['three'])
    await Promise.all([stream.leave(), later.leave()])
  })

  test('has the same changes as the pages, and each id is a cursor of both', async () => {
    const ann = newUser()
    const { cursor } = await changesOf(ann)
    for (const title of ['one', 'two', 'three']) await create(ann, title)
    const {
      changes: [one],
    } = await changesOf(ann)
    await call('DELETE', `${TODOS}/${one?.id}`, { as: ann })
    const { changes } = await changesOf(ann, cursor)
    const stream = await follow(ann, { path: `${TODOS}/events?since=${cursor}` })
    const events = await stream.take(3)
    expect(events.map(({ data }) => data)).toEqual(changes)
    const id = String(events[0]?.id)
    expect((await changesOf(ann, id)).changes).toEqual(changes.slice(1))
    const resumed = await follow(ann, { headers: { 'last-event-id': id } })
    expect((await resumed.take(2)).map(({ data }) => data)).toEqual(changes.slice(1))
    await Promise.all([stream.leave(), resumed.leave()])
  })

  test('leaves out deletions of tasks that its client never had', async () => {
    const ann = newUser()
    for (const title of ['one', 'two', 'three']) await create(ann, title)
    const { changes } = await changesOf(ann)
    await call('DELETE', `${TODOS}/${changes[1]?.id}`, { as: ann })
    // a first page, after which there are more
    const { cursor } = (await call('GET', `${TODOS}/changes?limit=1`, { as: ann })).body
    const stream = await follow(ann, { path: `${TODOS}/events?since=${cursor}` })
    await create(ann, 'four')
    expect(titles(await stream.take(2))).toEqual(['three', 'four'])
    await stream.leave()
  })

  test('sends a long list of past changes, in order', async () => {
    const ann = newUser()
    const { cursor } = await changesOf(ann)
    await createMany(ann, 1700)
    const stream = await follow(ann, { path: `${TODOS}/events?since=${cursor}` })
    const revisions = (await stream.take(1700)).map(({ data }) => data.revision)
    expect(revisions).toEqual(Array.from({ length: 1700 }, (_, index) => index + 1))
    await stream.leave()
  })

  test('sends changes made by another process, and none of other users', async () => {
    const [ann, bob] = [newUser(), newUser()]
    const [ofAnn, ofBob] = [await follow(ann), await follow(bob)]
    await call('POST', TODOS, { as: bob, body: { title: "Bob's" } })
    await call('POST', TODOS, { as: ann, body: { title: "Ann's" } })
    expect(titles(await ofBob.take(1))).toEqual(["Bob's"])
    expect(titles(await ofAnn.take(1))).toEqual(["Ann's"])
    await Promise.all([ofAnn.leave(), ofBob.leave()])
  })

  test('survives an outage of the database, and then sends the changes made meanwhile', async () => {
    const ann = newUser()
    const stream = await follow(ann)
    await create(ann, 'before')
    await stream.take(1)
    const name = new URL(databaseUrl).pathname.slice(1)
    const adminUrl = new URL(databaseUrl)
    adminUrl.pathname = '/template1'
    const admin = postgres(adminUrl.href, { max: 1, onnotice: () => {} })
    const writer = openPool({ url: databaseUrl, poolSize: 1 })
    const [{ pid }] = await writer<[{ pid: number }]>`select pg_backend_pid() as pid`
    await admin`alter database ${admin(name)} allow_connections false`
    await admin`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = ${name} and pid <> ${pid}`
    await until(async () => (await call('GET', TODOS, { as: ann })).status === 503)
    await createMany(ann, 1, writer)
    await admin`alter database ${admin(name)} allow_connections true`
    await Promise.all([admin.end(), writer.end()])
    expect(titles(await stream.take(1))).toEqual(['x'.repeat(200)])
    await stream.leave()
  })
})

test('a change made by this process is sent before the next poll', async () => {
  const idle = createLive(database.sql, log, { pollInterval: 1e9 })
  const quick = createApp({ settings, database, log, live: idle })
  quick.listen({ hostname: '127.0.0.1', port: 0 })
  const ann = newUser()
  const stream = await follow(ann, { at: String(quick.server?.url.origin) })
  const authorization = `Bearer ${await signAccessToken(ann, settings)}`
  const headers = { authorization, 'content-type': 'application/json' }
  const request = new Request(`http://localhost${TODOS}`, { method: 'POST', headers, body: '{"title":"x"}' })
  expect((await quick.handle(request)).status).toBe(201)
  expect(titles(await stream.take(1))).toEqual(['x'])
  await stream.leave()
  await quick.stop(true)
})

describe('a stream ends', () => {
  test('when its token expires', async () => {
    const ann = newUser()
    const token = await new SignJWT({ sub: ann })
      .setProtectedHeader({ alg: 'HS256' })
      // expired, but within the tolerance
      .setExpirationTime(Math.floor(Date.now() / 1000) - 3)
      .sign(new TextEncoder().encode(SECRET))
    const stream = await follow(ann, { token })
    await stream.end()
    expect(live.count(ann)).toBe(0)
  })

  test('when its user is deleted', async () => {
    const ann = newUser()
    const stream = await follow(ann)
    expect((await call('DELETE', '/api/v1/users/me', { as: ann })).status).toBe(204)
    await stream.end()
  })

  test('when the server stops, without a wait for it', async () => {
    const env = { HOST: '127.0.0.1', PORT: '0', DATABASE_URL: databaseUrl }
    const server = await serve(testSettings(env), log)
    const stream = await follow(newUser(), { at: server.url })
    const ended = stream.end().then(() => 'the stream')
    const stopped = server.stop().then(() => 'the server')
    expect(await Promise.race([ended, stopped])).toBe('the stream')
    await stopped
  })

  test('when its client goes away', async () => {
    const ann = newUser()
    const stream = await follow(ann)
    expect(live.count(ann)).toBe(1)
    await stream.leave()
    await until(() => live.count(ann) === 0)
  })

  test('when its client stops reading, and little is read for it', async () => {
    const ann = newUser()
    const token = await signAccessToken(ann, settings)
    const request = `GET ${TODOS}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`
    const socket = connect(Number(app.server?.port), '127.0.0.1', () => socket.write(request))
    socket.pause()
    await until(() => live.count(ann) === 1)
    await createMany(ann, 40_000)
    live.changed(ann)
    await until(() => live.count(ann) === 0)
    const [listener] = listeners.filter(({ userId }) => userId === ann)
    // as much as fits into the buffers between the two, which is much on one machine
    expect(listener?.revision).toBeWithin(500, 40_000)
    socket.destroy()
  })
})

describe('a user', () => {
  test('may have 20 streams, also if more are opened at the same time', async () => {
    const ann = newUser()
    const answers = await Promise.all(Array.from({ length: 40 }, () => open(ann)))
    const [refused, streams] = [429, 200].map((status) => answers.filter((each) => each.status === status))
    expect([streams?.length, refused?.length, live.count(ann)]).toEqual([20, 20, 20])
    expect(refused?.[0]?.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(await refused?.[0]?.json()).toMatchObject({ error_code: 'RATE_LIMITED' })
    expect((await open(newUser(), { method: 'HEAD' })).status).toBe(200)
    await streams?.[0]?.body?.cancel()
    await until(() => live.count(ann) === 19)
    const next = await open(ann)
    expect(next.status).toBe(200)
    await Promise.all([next, ...(streams?.slice(1) ?? [])].map((each) => each.body?.cancel()))
  })

  test('opens no stream with HEAD', async () => {
    const ann = newUser()
    const answer = await open(ann, { method: 'HEAD' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    expect(listeners.map(({ userId }) => userId)).not.toContain(ann)
  })
})

describe('no stream begins', () => {
  const PATH = `${TODOS}/events`
  const inQuery = { errors: [{ in: 'query', pointer: 'since' }] }
  const inHeader = { errors: [{ in: 'header', pointer: 'Last-Event-ID' }] }

  test.each<[string, string, Record<string, string>, number, object]>([
    ['of another user', '/api/somebody/tasks/events', {}, 403, { error_code: 'OWNER_MISMATCH' }],
    ['since what is no cursor', `${PATH}?since=x`, {}, 422, inQuery],
    ['after an id that is no cursor', PATH, { 'last-event-id': 'x' }, 422, inHeader],
    ['with a parameter that there is not', `${PATH}?a=1`, {}, 422, { errors: [{ pointer: 'a' }] }],
    ['with a token that is none', PATH, { authorization: 'Bearer x' }, 401, {}],
  ])('%s', async (_, path, headers, status, body) => {
    const ann = newUser()
    const answer = await open(ann, { path, headers })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.json()).toMatchObject(body)
    expect(live.count(ann)).toBe(0)
  })

  test('after a cursor of another user', async () => {
    const { cursor } = await changesOf(newUser())
    expect((await open(newUser(), { path: `${PATH}?since=${cursor}` })).status).toBe(422)
  })

  test('after a cursor from before a purged deletion', async () => {
    const ann = newUser()
    const { cursor } = await changesOf(ann)
    await create(ann)
    await sql`update users set purged_revision = revision where id = ${ann}`
    const answer = await open(ann, { path: `${PATH}?since=${cursor}` })
    expect(answer.status).toBe(410)
    expect(await answer.json()).toMatchObject({ error_code: 'CURSOR_EXPIRED' })
  })
})
