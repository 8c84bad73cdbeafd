import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { changeSource } from '../../src/client/change-source'
import { createClient, RequestError, type SyncStatus, type Task } from '../../src/client/index'
import { createSync } from '../../src/client/sync-handle'
import { testApp } from '../support/app'
import { exampleTask } from '../support/example-task'
import { followSource } from '../support/follow'
import { memoryStorage } from '../support/memory-storage'
import { turns, until } from '../support/time'

const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
const url = `http://127.0.0.1:${app.server?.port}`
const stops = new Set<() => void>()
afterEach(() => {
  jest.useRealTimers()
  for (const stop of stops) stop()
  stops.clear()
})
afterAll(async () => {
  await app.stop(true)
})

const PASSWORD = 'correct horse battery'
const newAccount = () => ({ email: `${crypto.randomUUID()}@example.com`, password: PASSWORD })

/** A client whose connection can be cut. */
function clientOf(given: Parameters<typeof createClient>[1] = {}) {
  const network = { isDown: false, reason: 'no connection', requests: [] as string[] }
  const client = createClient(url, {
    ...given,
    async fetcher(requested, init) {
      network.requests.push(requested.replace(url, ''))
      if (network.isDown) throw new TypeError(network.reason)
      return fetch(requested, init)
    },
  })
  return { client, network }
}

function follow(client: ReturnType<typeof createClient>, options: Parameters<typeof client.sync>[1] = {}) {
  const store = new Map<number, Task>()
  const statuses: [SyncStatus, string | undefined][] = []
  const batches: number[] = []
  const sync = client.sync(store, {
    onStatus: (status, error) => statuses.push([status, error?.message]),
    onChange: (changes) => batches.push(changes.length),
    ...options,
  })
  stops.add(sync.stop)
  return { store, statuses, batches, sync }
}

async function signedUp(given: Parameters<typeof createClient>[1] = {}) {
  const account = newAccount()
  const { client, network } = clientOf(given)
  await client.signUp(account)
  return { account, client, network }
}

/** The tasks that are kept in a storage. */
const kept = (storage: ReturnType<typeof memoryStorage>) =>
  [...storage.content].find(([key]) => key.includes(' tasks '))?.[1]

describe('the status', () => {
  test('is connecting, live, and ended after `stop`', async () => {
    const { client } = await signedUp()
    const { sync, statuses } = follow(client)
    expect(sync.status).toBe('connecting')
    await sync.ready
    expect(sync.status).toBe('live')
    sync.stop()
    await sync.ended
    expect(statuses).toEqual([
      ['live', undefined],
      ['ended', undefined],
    ])
  })

  test('is offline after an attempt that has failed, says why, and is live again afterwards', async () => {
    const { client, network } = await signedUp()
    network.isDown = true
    const { sync, statuses } = follow(client)
    await until(() => sync.status === 'offline')
    expect(statuses).toEqual([['offline', expect.stringContaining('no connection')]])
    network.isDown = false
    await sync.ready
    expect(sync.status).toBe('live')
    expect(sync.error).toBeUndefined()
  })

  test('is ended with the answer that trying again cannot mend', async () => {
    const { sync, statuses } = follow(createClient(url))
    await expect(sync.ended).rejects.toBeInstanceOf(RequestError)
    expect(sync.status).toBe('ended')
    expect(sync.error).toMatchObject({ status: 401 })
    expect(statuses.map(([status]) => status)).toEqual(['ended'])
  })

  test('is offline for as long as the server asks to wait', async () => {
    const fetcher = async () => new Response('', { status: 429, headers: { 'retry-after': '20' } })
    const { todos } = createClient(url, { token: 'a.b.c', retries: 0, fetcher }).api.v1
    const refusing = changeSource(url, todos)
    const { signal } = new AbortController()
    const refusal: unknown = await refusing.read(undefined, signal).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ kind: 'later', retryAfter: 20_000, error: { status: 429 } })

    jest.useFakeTimers()
    let reads = 0
    const { stop } = followSource({
      ...refusing,
      async read() {
        reads++
        throw refusal
      },
    })
    await turns()
    jest.advanceTimersByTime(19_999)
    await turns()
    expect(reads).toBe(1)
    jest.advanceTimersByTime(1)
    await turns()
    expect(reads).toBe(2)
    stop()
  })

  test('is told again when the reason of being offline has changed', async () => {
    const { client, network } = await signedUp()
    network.isDown = true
    const { sync, statuses } = follow(client)
    await until(() => sync.status === 'offline')
    network.reason = 'another reason'
    await until(() => statuses.length === 2)
    expect(statuses[1]).toEqual(['offline', expect.stringContaining('another reason')])
  })

  test.each(['with a storage', 'without one'])(
    '%s, a sign-out while the code is loaded ends it and fills nothing',
    async (how) => {
      const { client } = await signedUp(how === 'with a storage' ? { storage: memoryStorage() } : {})
      await client.api.v1.todos.post({ title: 'Buy milk' })
      const { sync, store } = follow(client)
      await client.signOut()
      await client.signUp(newAccount())
      await sync.ended
      expect([sync.status, sync.error, store.size]).toEqual(['ended', undefined, 0])
    },
  )

  test('of a store that throws is ended', async () => {
    const { client } = await signedUp()
    await client.api.v1.todos.post({ title: 'Buy milk' })
    const store = new Map<number, Task>()
    const full = new Error('full')
    store.set = () => {
      throw full
    }
    expect(await client.sync(store).ended.catch((error: unknown) => error)).toBe(full)
  })

  test('is ended if the code cannot be loaded', async () => {
    const sync = createSync(async () => {
      throw new Error('404')
    }, {})
    await expect(sync.ended).rejects.toThrow('The code of sync could not be loaded: 404')
    await expect(sync.ready).rejects.toThrow('could not be loaded')
  })

  test('is ended if it is stopped before the code is loaded', async () => {
    let begun = 0
    const sync = createSync(async () => async () => void begun++, {})
    sync.stop()
    await sync.ended
    expect([sync.status, begun]).toEqual(['ended', 0])
  })

  test('is ended with what `onStatus` throws', async () => {
    const { client } = await signedUp()
    const onStatus = () => {
      throw new Error('of the page')
    }
    await expect(follow(client, { onStatus }).sync.ended).rejects.toThrow('of the page')
  })
})

describe('the events of the page', () => {
  test('a browser that loses its connection is offline at once, and tries again at once when it is back', async () => {
    const { client, network } = await signedUp()
    const { sync } = follow(client)
    await sync.ready
    await until(() => network.requests.some((path) => path.includes('/events')))
    network.isDown = true
    dispatchEvent(new Event('offline'))
    await until(() => sync.status === 'offline')
    expect(sync.error?.message).toBe('The browser has lost its connection')
    network.isDown = false
    dispatchEvent(new Event('online'))
    await until(() => sync.status === 'live')
  })

  test('a page that is hidden or left keeps its tasks at once', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    const { sync, store } = follow(client)
    await sync.ready
    await client.api.v1.todos.post({ title: 'Buy milk' })
    await until(() => store.size === 1)
    dispatchEvent(new Event('pagehide'))
    await until(() => kept(storage)?.includes('Buy milk') === true)
    Object.assign(globalThis, { document: { visibilityState: 'hidden' } })
    await client.api.v1.todos.post({ title: 'Buy tea' })
    await until(() => store.size === 2)
    dispatchEvent(new Event('visibilitychange'))
    Reflect.deleteProperty(globalThis, 'document')
    await until(() => kept(storage)?.includes('Buy tea') === true)
  })
})

describe('a wrong address', () => {
  const answers: [string, () => Response][] = [
    ['a page', () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })],
    ['other JSON', () => Response.json({ ok: true })],
    [
      'a page under the name of JSON',
      () => new Response('<!doctype html>', { headers: { 'content-type': 'application/json' } }),
    ],
    ['another 404', () => new Response('Cannot GET', { status: 404 })],
  ]
  test.each(answers)('that answers with %s ends the synchronization', async (_, answer) => {
    const client = createClient(url, { token: 'a.b.c', fetcher: async () => answer() })
    const { sync } = follow(client)
    await expect(sync.ended).rejects.toThrow(`${url} does not answer as Taskwell does`)
    await expect(sync.ready).rejects.toThrow('does not answer as Taskwell does')
  })

  test('after good answers counts as offline: it is a page of the network between', async () => {
    let isCaptive = false
    const captive = createClient(url, {
      token: async () => 'a.b.c',
      fetcher: async () =>
        isCaptive
          ? new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })
          : Response.json({ changes: [], cursor: 'x', has_more: false }),
    })
    const { sync } = follow(captive)
    await sync.ready
    isCaptive = true
    await until(() => sync.status === 'offline')
    expect(sync.error?.message).toContain('does not answer as Taskwell does')
  })
})

describe('changes', () => {
  test('are told once for each page, and once for what a chunk of the stream brings', async () => {
    jest.useFakeTimers()
    const task = (id: number) => exampleTask({ id })
    const ids = Array.from({ length: 1200 }, (_, n) => n + 1)
    let chunk = (_: string) => {}
    const batches: number[] = []
    const store = new Map<number, Task>()
    const { stop } = followSource(
      {
        async read(since) {
          const from = Number(since ?? 0)
          const page = ids.slice(from, from + 500)
          return {
            changes: page.map(task),
            cursor: String(from + page.length),
            has_more: from + page.length < ids.length,
          }
        },
        open: async (_, signal) =>
          new ReadableStream<Uint8Array>({
            start(controller) {
              chunk = (text) => controller.enqueue(new TextEncoder().encode(text))
              signal.addEventListener('abort', () => controller.error(signal.reason))
            },
          }),
      },
      store,
      { onChange: (changes) => batches.push(changes.length) },
    )
    await turns()
    expect(batches).toEqual([500, 500, 200])
    chunk([1201, 1202, 1203].map((id) => `id: ${id}\ndata: ${JSON.stringify(task(id))}\n\n`).join(''))
    await turns()
    expect(batches).toEqual([500, 500, 200, 3])
    expect(store.size).toBe(1203)
    stop()
  })
})

test('events with a name change neither the map nor the cursor, and reminders are told', async () => {
  const events = [
    'event: reminder\ndata: {"task_id":7,"due_at":"2030-01-01T10:00:00Z","minutes":10}',
    'id: after 2\ndata: {"id":1,"revision":2,"deleted":true}',
    'event: of a later version\ndata: {"id":1}',
  ]
  const told: unknown[] = []
  const sync = followSource(
    {
      read: async () => ({
        changes: [{ id: 1, revision: 1, deleted: true }],
        cursor: 'begin',
        has_more: false,
      }),
      open: async (_, signal) =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            for (const event of events) controller.enqueue(new TextEncoder().encode(`${event}\n\n`))
            signal.addEventListener('abort', () => controller.error(signal.reason))
          },
        }),
    },
    new Map(),
    { onChange: (changes) => told.push(...changes), onReminder: (reminder) => told.push(reminder) },
  )
  stops.add(sync.stop)
  await until(() => sync.cursor === 'after 2')
  expect(told).toEqual([
    { id: 1, revision: 1, deleted: true },
    { task_id: 7, due_at: '2030-01-01T10:00:00Z', minutes: 10 },
    { id: 1, revision: 2, deleted: true },
  ])
  expect(sync.status).toBe('live')
})

describe('with a storage', () => {
  test('the tasks are there at once on the next page, without a connection, and only changes are read', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    const task = (await client.api.v1.todos.post({ title: 'Buy milk' })).data
    const first = follow(client)
    await first.sync.ready
    first.sync.stop()
    await first.sync.ended
    expect(kept(storage)).toContain('Buy milk')

    const { client: later, network } = clientOf({ storage })
    network.isDown = true
    const second = follow(later)
    await until(() => second.sync.status === 'offline')
    expect([...second.store.values()]).toEqual([task as Task])
    expect(second.batches).toEqual([1])
    network.isDown = false
    await second.sync.ready
    expect(network.requests.find((path) => path.includes('/changes'))).toContain('since=')
    expect(second.batches).toEqual([1])
  })

  test('signing out stops it, empties the store and removes what is kept', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    await client.api.v1.todos.post({ title: 'Buy milk' })
    const { sync, store, batches } = follow(client)
    await sync.ready
    await client.signOut()
    await sync.ended
    expect([sync.status, sync.error, store.size, batches]).toEqual(['ended', undefined, 0, [1, 1]])
    expect(storage.content.size).toBe(0)
  })

  test('signing out also removes what an earlier page has kept', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    const { sync } = follow(client)
    await sync.ready
    sync.stop()
    await sync.ended
    expect(kept(storage)).toBeString()
    await createClient(url, { storage }).signOut()
    expect(storage.content.size).toBe(0)
  })

  test('another user sees nothing of it', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    await client.api.v1.todos.post({ title: 'Buy milk' })
    const first = follow(client)
    await first.sync.ready
    const bob = newAccount()
    await client.signUp(bob)
    await expect(first.sync.ended).rejects.toThrow('Another user has signed in')
    const { sync, store } = follow(client)
    await sync.ready
    expect(store.size).toBe(0)
  })

  test('that is full or broken does no harm', async () => {
    const storage = { getItem: () => null, setItem: () => Promise.reject(new Error('full')), removeItem() {} }
    const { client } = await signedUp()
    await client.api.v1.todos.post({ title: 'Buy milk' })
    const { sync, store } = follow(client, { storage })
    await sync.ready
    sync.stop()
    await sync.ended
    expect(store.size).toBe(1)
  })

  test.each(['no JSON', '{"version":0}', '{"version":1,"cursor":"x","revision":1,"tasks":[{}]}'])(
    'what cannot be read is not used: %s',
    async (text) => {
      const { client } = await signedUp()
      await client.api.v1.todos.post({ title: 'Buy milk' })
      const storage = { getItem: () => text, setItem() {}, removeItem() {} }
      const { sync, store, batches } = follow(client, { storage })
      await sync.ready
      expect([store.size, batches]).toEqual([1, [1]])
    },
  )

  test('nothing is kept if it is null, or beside a cursor', async () => {
    const storage = memoryStorage()
    const { client } = await signedUp({ storage })
    const first = follow(client, { storage: null })
    await first.sync.ready
    first.sync.stop()
    await first.sync.ended
    const second = follow(client, { cursor: first.sync.cursor })
    await second.sync.ready
    second.sync.stop()
    await second.sync.ended
    expect(kept(storage)).toBeUndefined()
  })
})
