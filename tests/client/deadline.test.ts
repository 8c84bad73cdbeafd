import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { connect, createServer, type Socket } from 'node:net'
import { signAccessToken } from '../../src/auth/token'
import { type Client, type ClientOptions, createClient } from '../../src/client/index'
import { freePort } from '../../src/system/free-port'
import { testApp } from '../support/app'
import { memoryStorage } from '../support/memory-storage'
import { hurry, hurryUntil, turns, until } from '../support/time'

const { app, settings, sql } = await testApp()
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
afterEach(() => {
  jest.useRealTimers()
})
const server = { port: Number(app.server?.port), url: `http://127.0.0.1:${app.server?.port}` }

/** What becomes of an attempt. */
interface Fate {
  meet: (socket: Socket) => void
  /** From then on the client only waits for the time to pass. */
  waitsAfter: 'request' | 'headers' | 'answer'
}

const HALF = [
  'HTTP/1.1 200 OK',
  'content-type: application/json',
  'content-length: 100',
  '',
  '[{"title":"Buy m',
].join('\r\n')
const silent: Fate = { meet: () => {}, waitsAfter: 'request' }
const stalls: Fate = {
  meet: (socket) => socket.once('data', () => socket.write(HALF)),
  waitsAfter: 'headers',
}
const breaksOff: Fate = {
  meet: (socket) => socket.once('data', () => socket.end(HALF)),
  waitsAfter: 'answer',
}
const arrives: Fate = {
  meet(socket) {
    const upstream = connect(server.port, '127.0.0.1').on('error', () => {})
    socket.on('close', () => upstream.destroy())
    socket.pipe(upstream).pipe(socket)
  },
  waitsAfter: 'answer',
}

/** A server with a fate for each connection (the last fate is for all further ones), and a fetcher that sends to it. */
async function line(...fates: Fate[]) {
  const sockets: Socket[] = []
  let sent = 0
  let underWay = 0
  const fateOf = (n: number) => fates[Math.min(n, fates.length) - 1] ?? silent
  const listener = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
    const fate = fateOf(sockets.length)
    if (fate.waitsAfter === 'request') socket.once('data', () => underWay--)
    fate.meet(socket)
  })
  const port = await freePort()
  await new Promise<void>((done) => listener.listen(port, '127.0.0.1', done))
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return {
    url: `http://127.0.0.1:${port}`,
    attempts: () => sent,
    connections: () => sockets.length,
    async fetcher(requested: string, init: RequestInit) {
      const { waitsAfter } = fateOf(++sent)
      underWay++
      const response = await fetch(requested, init)
      if (waitsAfter === 'answer')
        await response
          .clone()
          .text()
          .catch(() => {})
      underWay--
      return response
    },
    isUnderWay: () => underWay > 0,
    isWaiting: () => sent > 0 && underWay === 0,
    /** Ends the connections: otherwise the next request would use one of them. */
    cut() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function clientOf(url: string, options: ClientOptions) {
  const id = crypto.randomUUID()
  const token = await signAccessToken(id, settings)
  return { id, client: createClient(url, { token, ...options }), elsewhere: createClient(url, { token }) }
}

const reading: [string, (client: Client) => Promise<{ error: unknown }>] = [
  'reading',
  ({ api }) => api.v1.todos.get(),
]
const toggling: typeof reading = ['toggling', ({ api }) => api.v1.todos({ id: 1 }).complete.patch()]
const making: typeof reading = ['making', ({ api }) => api.v1.todos.post({ title: 'Buy milk' })]

describe('on a connection that', () => {
  const FATES: [string, Fate][] = [
    ['never answers', silent],
    ['stalls in the middle of an answer', stalls],
  ]
  const cases = FATES.flatMap(([name, fate]) =>
    [reading, making, toggling].map(([what, act]) => [name, what, fate, act] as const),
  )

  test.each(cases)('%s, %s ends with NO_ANSWER', async (_, what, fate, act) => {
    const { url, connections, fetcher, isUnderWay } = await line(fate)
    const { client } = await clientOf(url, { fetcher })
    expect((await hurry(() => act(client), isUnderWay)).error).toMatchObject({
      status: 503,
      value: { status: 503, error_code: 'NO_ANSWER', detail: expect.stringContaining('within') },
    })
    // the first attempt got half of the time
    expect(connections()).toBe(what === 'toggling' ? 1 : 2)
  })

  test('never answers, a call without a second attempt may take all of the time', async () => {
    const { url, connections, fetcher, isUnderWay } = await line(silent)
    const { client } = await clientOf(url, { fetcher, timeoutMs: 5000, retries: 0 })
    const { error } = await hurry(() => client.api.v1.todos.get(), isUnderWay)
    expect(error?.value.detail).toContain('within 5000 ms')
    expect(connections()).toBe(1)
  })

  test.each([
    ['never answers', silent],
    ['stalls in the middle of an answer', stalls],
    ['breaks off in the middle of an answer', breaksOff],
  ])('%s, a task is made at the second attempt, once', async (_, fate) => {
    const { url, attempts, connections, fetcher, isUnderWay } = await line(fate, arrives)
    const { id, client } = await clientOf(url, { fetcher })
    jest.useFakeTimers()
    const call = client.api.v1.todos.post({ title: 'Buy milk' })
    await hurryUntil(() => attempts() === 2, isUnderWay)
    // from here on the server needs its own timers
    jest.useRealTimers()
    const { status } = await call
    const made = await sql<{ title: string }[]>`select title from tasks where user_id = ${id}`
    expect({ status, made: made.length, connections: connections() }).toEqual({
      status: 201,
      made: 1,
      connections: 2,
    })
  })

  test('breaks off in the middle of an answer, a call that cannot be repeated ends with NO_ANSWER', async () => {
    const { url } = await line(breaksOff)
    const { client } = await clientOf(url, {})
    const { error } = await client.api.v1.todos({ id: 1 }).complete.patch()
    expect(error?.value.error_code).toBe('NO_ANSWER')
  })

  test('never answers, a call waits for new tokens until its deadline, and the user stays signed in', async () => {
    const storage = memoryStorage()
    const { url, cut } = await line(arrives, silent)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    const first = createClient(url, { storage })
    await first.signUp(account)
    cut()
    storage.change({ renewAt: 0 })
    const before = storage.tokens()
    const { error } = await createClient(url, { storage, timeoutMs: 300 }).api.v1.users.me.get()
    expect(error?.value.error_code as string).toBe('NO_ANSWER')
    expect(storage.tokens()).toEqual(before)
  })

  test.each([
    ['never answers', silent],
    ['stalls in the middle of an answer', stalls],
  ])('%s, the signal of the caller ends a call at once', async (_, fate) => {
    const aborting = new AbortController()
    const { url, connections, fetcher, isWaiting } = await line(fate)
    const { client } = await clientOf(url, { fetcher, timeoutMs: 3_600_000 })
    const call = client.api.v1.todos.get({ fetch: { signal: aborting.signal } })
    await until(isWaiting)
    aborting.abort()
    const { error } = await call
    expect(error?.value).toMatchObject({ error_code: 'NO_ANSWER', detail: expect.stringMatching(/abort/i) })
    expect(connections()).toBe(1)
  })
})

describe('without an answer', () => {
  const never = () => new Promise<Response>(() => {})

  /** After how many seconds a call without an answer ends. */
  async function endOf(
    options: ClientOptions,
    ask: (client: Client) => Promise<{ error: { value: { error_code: string } } | null }> = ({ api }) =>
      api.v1.todos.get(),
  ): Promise<number> {
    jest.useFakeTimers()
    const begun = Date.now()
    let isOver = false
    const client = createClient(server.url, { token: 'a.b.c', fetcher: never, retries: 0, ...options })
    const call = ask(client).finally(() => {
      isOver = true
    })
    for (let second = 0; second < 700 && !isOver; second++) {
      await turns(20)
      if (!isOver) jest.advanceTimersByTime(1000)
    }
    expect(isOver).toBe(true)
    expect((await call).error?.value.error_code as string).toBe('NO_ANSWER')
    return (Date.now() - begun) / 1000
  }

  test('a call ends after thirty seconds, also if its fetcher ignores the signal', async () => {
    expect(await endOf({})).toBe(30)
  })

  test('a call ends after `timeoutMs`', async () => {
    expect(await endOf({ timeoutMs: 5000 })).toBe(5)
  })

  test('a call whose token never comes ends as well', async () => {
    expect(await endOf({ token: () => new Promise<string>(() => {}) })).toBe(30)
  })

  test('a call with an infinite `timeoutMs` waits for ever', async () => {
    jest.useFakeTimers()
    const answer = Promise.withResolvers<Response>()
    const asked = Promise.withResolvers<void>()
    const { api } = createClient(server.url, {
      token: 'a.b.c',
      fetcher() {
        asked.resolve()
        return answer.promise
      },
      timeoutMs: Number.POSITIVE_INFINITY,
    })
    const call = api.v1.todos.get()
    await asked.promise
    jest.advanceTimersByTime(2 ** 31)
    answer.resolve(Response.json([]))
    expect((await call).data).toEqual([])
  })

  test('a call of the assistant has ten minutes, because the server ends it', async () => {
    expect(await endOf({}, ({ api }) => api.v1.chat.post({ message: 'hello' }))).toBe(610)
  })

  test('the body of an answer that comes too late is cancelled', async () => {
    const late = Promise.withResolvers<Response>()
    const cancelled = Promise.withResolvers<void>()
    const { api } = createClient(server.url, { fetcher: () => late.promise, timeoutMs: 20, retries: 0 })
    expect((await api.v1.todos.get()).error?.value.error_code as string).toBe('NO_ANSWER')
    const body = new ReadableStream({ cancel: () => cancelled.resolve() })
    late.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
    await cancelled.promise
  })
})

describe('an event stream', () => {
  async function opened(options: ClientOptions, signal?: AbortSignal) {
    const { client, elsewhere } = await clientOf(server.url, options)
    const { response } = await client.api.v1.todos.events.get(signal ? { fetch: { signal } } : {})
    const reader = response.body?.pipeThrough(new TextDecoderStream() as never).getReader()
    return { elsewhere, reader: reader as ReadableStreamDefaultReader<string> }
  }

  test('goes on beyond the deadline', async () => {
    jest.useFakeTimers()
    const { reader, elsewhere } = await opened({ timeoutMs: 3000 })
    jest.advanceTimersByTime(3001)
    await turns()
    jest.useRealTimers()
    expect((await elsewhere.api.v1.todos.post({ title: 'Buy milk' })).status).toBe(201)
    let text = ''
    while (!text.includes('Buy milk')) {
      const { value, done } = await reader.read()
      if (done) break
      text += value
    }
    expect(text).toContain('Buy milk')
    await reader.cancel()
  })

  test('ends when its caller aborts it', async () => {
    const aborting = new AbortController()
    const { reader } = await opened({}, aborting.signal)
    aborting.abort()
    const drain = async () => {
      while (!(await reader.read()).done);
    }
    await expect(drain()).rejects.toThrow(/abort/i)
  })

  test('that never begins is a call without an answer', async () => {
    const { url } = await line(silent)
    const { client } = await clientOf(url, { timeoutMs: 200 })
    expect((await client.api.v1.todos.events.get()).error?.value.error_code as string).toBe('NO_ANSWER')
  })
})

describe('a fault in making a request rejects the call:', () => {
  const bad = { headers: { 'x-note': 'two\nlines' } } as object

  test.each<[string, (client: Client) => Promise<unknown>]>([
    ['reading', ({ api }) => api.v1.todos.get(bad)],
    ['making', ({ api }) => api.v1.todos.post({ title: 'Buy milk' }, bad)],
    ['signing in', (client) => client.signIn({ email: 'ann@example.com', password: 'x' }, bad)],
  ])('%s with a header that cannot be sent', async (_, act) => {
    let sent = 0
    const fetcher = async () => {
      sent++
      return Response.json([])
    }
    const client = createClient(server.url, { token: 'a.b.c', fetcher })
    await expect(act(client)).rejects.toThrow(TypeError)
    expect(sent).toBe(0)
  })

  test('a `fetcher` that throws before it sends', async () => {
    const fault = new ReferenceError('XMLHttpRequest is not defined')
    const fetcher = () => {
      throw fault
    }
    await expect(createClient(server.url, { fetcher }).api.v1.todos.get()).rejects.toBe(fault)
  })
})
