import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { type Change, createClient, type Task } from '../../src/client/index'
import { createTaskStorage } from '../../src/client/task-storage'
import { testApp } from '../support/app'
import { exampleTask } from '../support/example-task'
import { followSource } from '../support/follow'
import { memoryStorage } from '../support/memory-storage'
import { turns, until } from '../support/time'

const { app, sql } = await testApp()
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

type MemoryStorage = ReturnType<typeof memoryStorage>

const KEY = 'tasks of Ann'
const task = (id: number, revision = id) => exampleTask({ id, revision })
const yes = async () => true

describe('a task storage', () => {
  /** Takes a change after each of so many pauses, in milliseconds. */
  async function busy(storage: Parameters<typeof createTaskStorage>[0], pauses: number[], isCurrent = yes) {
    jest.useFakeTimers()
    const kept = createTaskStorage(storage, KEY, isCurrent)
    for (const [n, milliseconds] of pauses.entries()) {
      jest.advanceTimersByTime(milliseconds)
      await turns(2)
      kept.take(task(n + 1))
      kept.moveTo(`after ${n + 1}`, n + 1)
    }
    return kept
  }
  const stored = ({ content }: MemoryStorage) => JSON.parse(content.get(KEY) ?? 'null')

  test('writes once a second while changes come, and the rest when it is closed', async () => {
    const storage = memoryStorage()
    const written: string[] = []
    const recording = {
      ...storage,
      setItem(key: string, text: string) {
        written.push(JSON.parse(text).cursor)
        storage.setItem(key, text)
      },
    }
    const kept = await busy(recording, Array(25).fill(100))
    expect(written).toEqual(['after 10', 'after 20'])
    await kept.close()
    expect(written).toEqual(['after 10', 'after 20', 'after 25'])
    const tasks = Array.from({ length: 25 }, (_, n) => task(n + 1))
    expect(stored(storage)).toEqual({ version: 2, cursor: 'after 25', revision: 25, tasks })
    expect(jest.getTimerCount()).toBe(0)
  })

  test('keeps a task as the server has sent it, whatever the app does to it', async () => {
    const storage = memoryStorage()
    const kept = createTaskStorage(storage, KEY, yes)
    const changed = task(1)
    kept.take(changed)
    kept.take(task(2))
    kept.take({ id: 2, revision: 3, deleted: true })
    kept.moveTo('after 3', 3)
    changed.title = 'of the app'
    await kept.close()
    expect(stored(storage).tasks).toEqual([task(1)])
  })

  test('gives the room back when the storage is full, and does not try again', async () => {
    const storage = memoryStorage()
    storage.setItem(KEY, 'an older snapshot')
    let tries = 0
    const full = {
      ...storage,
      setItem() {
        tries++
        throw new Error('full')
      },
    }
    const kept = await busy(full, Array(30).fill(100))
    await kept.close()
    expect([tries, storage.content.size]).toEqual([1, 0])
  })

  test('does no harm if the storage fails in everything', async () => {
    const fail = () => {
      throw new Error('blocked')
    }
    const kept = await busy({ getItem: fail, setItem: fail, removeItem: fail }, [0, 2000, 2000])
    expect(await kept.load()).toBeUndefined()
    await kept.close()
    await kept.remove()
  })

  test('writes nothing for a user who is no longer signed in', async () => {
    const storage = memoryStorage()
    const kept = await busy(storage, [0, 2000, 2000], async () => false)
    await kept.close()
    expect(storage.content.size).toBe(0)
  })

  test('leaves nothing if it is removed while it is written', async () => {
    const storage = memoryStorage()
    const { promise: held, resolve: pass } = Promise.withResolvers<void>()
    const slow = {
      ...storage,
      async setItem(key: string, text: string) {
        await held
        storage.setItem(key, text)
      },
    }
    const kept = await busy(slow, [0, 1000])
    const removed = kept.remove()
    pass()
    await removed
    expect(storage.content.size).toBe(0)
  })

  test('fills a store, but for what the app has stored since', async () => {
    const storage = memoryStorage()
    const before = createTaskStorage(storage, KEY, yes)
    for (const each of [task(1), task(2), task(5)]) before.take(each)
    before.moveTo('after 5', 5)
    await before.close()
    const newer = { ...task(2, 6), title: 'newer' }
    const made = task(7)
    const store = new Map([task(4), newer, made].map((each) => [each.id, each]))
    const batches: Change[][] = []
    const { stop } = followSource(
      { read: () => new Promise<never>(() => {}), open: async () => undefined },
      store,
      { onChange: (changes) => batches.push(changes) },
      { kept: createTaskStorage(storage, KEY, yes) },
    )
    await until(() => batches.length > 0)
    stop()
    expect([...store.values()].sort((a, b) => a.id - b.id)).toEqual([task(1), newer, task(5), made])
    expect(batches).toEqual([[task(1), task(5), { id: 4, revision: 4, deleted: true }]])
  })
})

describe('the next page', () => {
  /** A page of the user whose tokens are in the storage. */
  function openPage(storage: MemoryStorage, given: Parameters<typeof createClient>[1] = {}) {
    const client = createClient(url, { storage, ...given })
    const store = new Map<number, Task>()
    const changes: Change[] = []
    const sync = client.sync(store, { onChange: (batch) => changes.push(...batch) })
    stops.add(sync.stop)
    return { client, store, changes, sync }
  }
  /** Opens a page until it has all tasks. */
  async function visit(storage: MemoryStorage) {
    const page = openPage(storage)
    await page.sync.ready
    page.sync.stop()
    await page.sync.ended
    return page
  }
  async function signedUp() {
    const storage = memoryStorage()
    const client = createClient(url, { storage })
    const email = `${crypto.randomUUID()}@example.com`
    const { data } = await client.signUp({ email, password: 'correct horse battery' })
    const create = async (title: string) => (await client.api.v1.todos.post({ title })).data as Task
    return { storage, client, create, id: String(data?.user.id) }
  }
  const keyOf = ({ content }: MemoryStorage) =>
    [...content.keys()].find((key) => key.includes(' tasks ')) ?? ''
  const snapshotOf = (storage: MemoryStorage) => storage.getItem(keyOf(storage)) ?? ''

  test('goes on from an older snapshot, which another tab has written last', async () => {
    const { storage, client, create } = await signedUp()
    const [kept, gone] = [await create('kept'), await create('gone')]
    await visit(storage)
    const older = snapshotOf(storage)
    await client.api.v1.todos({ id: gone.id }).delete()
    const later = await create('later')
    await visit(storage)
    storage.setItem(keyOf(storage), older)
    expect([...(await visit(storage)).store.values()]).toEqual([kept, later])
  })

  test('begins anew after a long absence, and drops what is gone', async () => {
    const { storage, client, create, id } = await signedUp()
    const gone = await create('gone')
    await visit(storage)
    await client.api.v1.todos({ id: gone.id }).delete()
    const kept = await create('kept')
    await sql<{ id: number }[]>`delete from tasks where user_id = ${id} and id = ${gone.id} returning id`
    await sql<{ id: string }[]>`update users set purged_revision = 2 where id = ${id} returning id`
    const { store, changes } = await visit(storage)
    expect([...store.values()]).toEqual([kept])
    expect(changes).toEqual([gone, kept, { id: gone.id, revision: gone.revision, deleted: true }])
    expect(JSON.parse(snapshotOf(storage)).tasks).toEqual([kept])
  })

  test('begins anew if the server refuses the cursor that was kept', async () => {
    const { storage, create } = await signedUp()
    const made = await create('Buy milk')
    await visit(storage)
    const kept = JSON.parse(snapshotOf(storage))
    storage.setItem(keyOf(storage), JSON.stringify({ ...kept, cursor: 'of another time' }))
    expect([...(await visit(storage)).store.values()]).toEqual([made])
  })

  test('is emptied when the user signs out in another tab, and nothing stays', async () => {
    const { storage, client, create } = await signedUp()
    await create('Buy milk')
    const { sync, store, changes } = openPage(storage)
    await sync.ready
    expect(store.size).toBe(1)
    await client.signOut()
    await sync.ended
    expect([store.size, sync.status, sync.error]).toEqual([0, 'ended', undefined])
    expect(changes.at(-1)).toMatchObject({ deleted: true })
    expect(storage.content.size).toBe(0)
  })

  test('leaves nothing if the user signs out while the tasks are written', async () => {
    const { storage, client, create } = await signedUp()
    await create('Buy milk')
    const { promise: held, resolve: pass } = Promise.withResolvers<void>()
    const tasks = memoryStorage()
    let writes = 0
    const slow = {
      ...tasks,
      async setItem(key: string, text: string) {
        writes++
        await held
        tasks.setItem(key, text)
      },
    }
    const sync = client.sync(new Map(), { storage: slow })
    await sync.ready
    sync.stop()
    await until(() => writes === 1)
    const signedOut = client.signOut()
    await until(() => storage.content.size === 0)
    pass()
    await signedOut
    expect([sync.status, sync.error, tasks.content.size]).toEqual(['ended', undefined, 0])
  })

  test('signs out also if what is kept cannot be removed', async () => {
    const { client } = await signedUp()
    const stuck = {
      ...memoryStorage(),
      removeItem() {
        throw new Error('blocked')
      },
    }
    const { ready } = client.sync(new Map(), { storage: stuck })
    await ready
    await client.signOut()
    expect(client.session.status).toBe('signed-out')
  })

  test('signs out also if `fetch` ignores the signal that aborts a stream, and the server cannot be told', async () => {
    const { storage, create } = await signedUp()
    await create('Buy milk')
    const { sync, store, client } = openPage(storage, {
      async fetcher(requested, { signal: _, ...init }) {
        return requested.endsWith('/logout') ? new Response(null, { status: 500 }) : fetch(requested, init)
      },
    })
    await until(() => sync.status === 'live')
    await client.signOut()
    await sync.ended
    expect([store.size, storage.content.size]).toEqual([0, 0])
  })

  test.each(['expired', 'replaced'])(
    'removes what stayed after %s when the user signs out there',
    async (reason) => {
      const { storage, create } = await signedUp()
      await create('Buy milk')
      let isOver = false
      const refusal = (code: string) =>
        Response.json({ error_code: code, status: 401, detail: code }, { status: 401 })
      const { sync, client } = openPage(storage, {
        async fetcher(requested, init) {
          if (!isOver) return fetch(requested, init)
          return refusal(requested.endsWith('/refresh') ? 'TOKEN_INVALID' : 'TOKEN_EXPIRED')
        },
      })
      await until(() => keyOf(storage) !== '')
      const tasks = keyOf(storage)
      if (reason === 'expired') isOver = true
      else {
        const other = createClient(url, { storage })
        await other.signUp({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })
      }
      await client.api.v1.todos.get()
      await expect(sync.ended).rejects.toThrow()
      expect(client.session.reason).toBe(reason as 'expired')
      storage.setItem(tasks, 'kept')
      await client.signOut()
      expect(storage.getItem(tasks)).toBeNull()
    },
  )

  test('keeps its tasks when the session has expired', async () => {
    const { storage, create } = await signedUp()
    const made = await create('Buy milk')
    const refusal = (code: string) =>
      Response.json({ error_code: code, status: 401, detail: code }, { status: 401 })
    let isOver = false
    const { sync, store } = openPage(storage, {
      async fetcher(requested, init) {
        if (!isOver) return fetch(requested, init)
        return refusal(requested.endsWith('/refresh') ? 'TOKEN_INVALID' : 'TOKEN_EXPIRED')
      },
    })
    await sync.ready
    await until(() => keyOf(storage) !== '')
    isOver = true
    // makes the connection anew
    dispatchEvent(new Event('offline'))
    await expect(sync.ended).rejects.toThrow('The session has expired')
    expect([...store.values()]).toEqual([made])
    expect([sync.status, JSON.parse(snapshotOf(storage)).tasks]).toEqual(['ended', [made]])
  })
})
