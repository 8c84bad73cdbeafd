import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { type Change, createClient, type Operation, RequestError, type Task } from '../../src/client/index'
import type { SyncOptions } from '../../src/client/sync-handle'
import { testApp } from '../support/app'
import { startFaultProxy } from '../support/fault-proxy'
import { memoryStorage } from '../support/memory-storage'
import { until } from '../support/time'

const { app, settings } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
const proxy = await startFaultProxy(() => Number(app.server?.port))
const url = `http://127.0.0.1:${proxy.port}`
const stops = new Set<() => void>()
afterEach(() => {
  for (const stop of stops) stop()
  stops.clear()
})
afterAll(async () => {
  await proxy.close()
  await app.stop(true)
})

type MemoryStorage = ReturnType<typeof memoryStorage>

/** A user, with another device and a browser. */
async function newUser() {
  const storage = memoryStorage()
  const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
  const { data } = await createClient(url, { storage }).signUp(account)
  const id = String(data?.user.id)
  const other = createClient(String(app.server?.url), { token: await signAccessToken(id, settings) })
  const create = async (title: string) => (await other.api.v1.todos.post({ title })).data as Task
  const listed = async () => (await other.api.v1.todos.get({ query: { order: 'asc' } })).data as Task[]
  const titles = async () => (await listed()).map(({ title }) => title)
  return { storage, account, id, other, create, listed, titles }
}

/** A page of the user whose tokens are in the storage, with a connection that can be cut. */
function openPage(storage: MemoryStorage, options: SyncOptions = {}) {
  const network = {
    isDown: false,
    /** What was sent of tasks, with the answers. */
    sent: [] as string[],
    /** Called before and after each request that writes. */
    before: async () => {},
    after: async () => {},
  }
  const client = createClient(url, {
    storage,
    async fetcher(requested, init) {
      if (network.isDown) throw new TypeError('no connection')
      const isWrite = init.method !== 'GET' && requested.includes('/todos')
      if (!isWrite) return fetch(requested, init)
      await network.before()
      const response = await fetch(requested, init)
      network.sent.push(`${init.method} ${response.status}`)
      await network.after()
      return response
    },
  })
  const store = new Map<number, Task>()
  const changes: Change[] = []
  const sync = client.sync(store, { onChange: (batch) => changes.push(...batch), ...options })
  stops.add(sync.stop)
  const shown = () => [...store.values()].map(({ title }) => title)
  return { client, network, store, changes, sync, shown }
}

const buy = (title: string): Operation => ({ op: 'create', body: { title } })
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
const queueOf = ({ content }: MemoryStorage) =>
  JSON.parse([...content].find(([key]) => / writes$/.test(key))?.[1] ?? '{"list":[]}').list as {
    operation: Operation
  }[]

describe('with a connection', () => {
  test('each operation is answered with its task, and the store is as the server has it', async () => {
    const { storage, listed } = await newUser()
    const { sync, store } = openPage(storage)
    const made = await sync.write(buy('Buy milk'))
    const id = made?.id ?? 0
    expect(made).toMatchObject({ title: 'Buy milk', completed: false })
    expect(await sync.write({ op: 'update', id, body: { title: 'Buy bread' } })).toMatchObject({
      title: 'Buy bread',
    })
    expect(await sync.write({ op: 'complete', id })).toMatchObject({ completed: true })
    expect(await sync.write({ op: 'complete', id, completed: false })).toMatchObject({ completed: false })
    expect(await sync.write({ op: 'delete', id })).toBeNull()
    expect([store.size, await listed()]).toEqual([0, []])
    expect(await sync.write({ op: 'restore', id })).toMatchObject({ id, title: 'Buy bread' })
    expect([...store.values()]).toEqual(await listed())
    const second = await sync.write(buy('Buy salt'))
    const moved = await sync.write({ op: 'move', id: second?.id ?? 0, before: id })
    const restored = store.get(id)
    expect(restored && moved && moved.position < restored.position).toBe(true)
    expect(sync.pending).toEqual([])
    await until(() => queueOf(storage).length === 0)
  })
})

describe('without a connection', () => {
  test('changes are shown at once, and sent in order when it is back', async () => {
    const { storage, create, titles, listed } = await newUser()
    const old = await create('old')
    const { sync, store, network, shown, changes } = openPage(storage)
    await sync.ready
    network.isDown = true
    const writes = [
      sync.write(buy('one')),
      sync.write({ op: 'update', id: old.id, body: { title: 'older' } }),
      sync.write(buy('two')),
    ]
    await until(() => sync.pending.length === 3)
    expect(shown()).toEqual(['older', 'one', 'two'])
    expect(changes.length).toBe(4)
    const temporary = [...store.keys()].find((id) => store.get(id)?.title === 'one') ?? 0
    expect(temporary).toBeLessThan(0)
    writes.push(sync.write({ op: 'update', id: old.id, body: { title: 'oldest' } }))
    writes.push(sync.write({ op: 'update', id: temporary, body: { description: 'of one' } }))
    writes.push(sync.write({ op: 'complete', id: temporary }))
    await until(() => store.get(temporary)?.completed === true)
    expect(await titles()).toEqual(['old'])
    network.isDown = false
    dispatchEvent(new Event('online'))
    await Promise.all(writes)
    // a page may still know a new task by its first id
    const again = await sync.write({ op: 'complete', id: temporary })
    expect(again).toMatchObject({ title: 'one', completed: true })
    network.sent.pop()
    expect(network.sent).toEqual(['POST 201', 'PATCH 200', 'POST 201', ...Array(3).fill('PATCH 200')])
    expect(await listed()).toMatchObject([
      { title: 'oldest' },
      { title: 'one', description: 'of one', completed: true },
      { title: 'two' },
    ])
    expect([...store.values()].sort((a, b) => a.id - b.id)).toEqual(await listed())
  })

  test('what was changed is shown by the next page, and sent by it', async () => {
    const { storage, titles } = await newUser()
    const first = openPage(storage)
    await first.sync.ready
    first.network.isDown = true
    const lost = first.sync.write(buy('Buy milk'))
    await until(() => queueOf(storage).length === 1)
    first.sync.stop()
    expect(await reasonOf(lost)).toEqual(
      new Error('The synchronization has ended before the change was sent'),
    )
    const second = openPage(storage)
    second.network.isDown = true
    await until(() => second.sync.pending.length === 1)
    expect(second.shown()).toEqual(['Buy milk'])
    second.network.isDown = false
    dispatchEvent(new Event('online'))
    await until(() => second.sync.pending.length === 0)
    expect(await titles()).toEqual(['Buy milk'])
    expect([...second.store.keys()].every((id) => id > 0)).toBe(true)
    await until(() => queueOf(storage).length === 0)
  })
})

describe('a store that is synchronized again', () => {
  test('shows what was not sent only if it still waits', async () => {
    const { storage, create, listed } = await newUser()
    const task = await create('Buy milk')
    const store = new Map<number, Task>()
    const follow = (options: SyncOptions) => {
      const { client, network } = openPage(storage, { storage: null })
      const sync = client.sync(store, options)
      stops.add(sync.stop)
      return { sync, network }
    }
    // without a storage, what waits is gone with the first synchronization
    const first = follow({ storage: null })
    await first.sync.ready
    first.network.isDown = true
    void first.sync.write({ op: 'update', id: task.id, body: { title: 'mine' } })
    void first.sync.write(buy('Buy bread'))
    await until(() => store.size === 2)
    first.sync.stop()
    await first.sync.ended
    expect(store.get(task.id)?.title).toBe('mine')
    const second = follow({ storage: null, cursor: first.sync.cursor })
    await second.sync.ready
    expect([...store.values()]).toEqual(await listed())
  })
})

describe('a server that is busy', () => {
  test('gets an operation when it has asked for it, and nothing before', async () => {
    const { storage, titles } = await newUser()
    const answers = [
      new Response('', { status: 429, headers: { 'retry-after': '1' } }),
      new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } }),
      Response.json({ status: 500, error_code: 'INTERNAL_ERROR' }, { status: 500 }),
    ]
    const at: number[] = []
    const client = createClient(url, {
      storage,
      async fetcher(requested, init) {
        if (init.method !== 'POST') return fetch(requested, init)
        at.push(performance.now())
        return answers.shift() ?? fetch(requested, init)
      },
    })
    const sync = client.sync(new Map())
    stops.add(sync.stop)
    const [one, two] = [sync.write(buy('one')), sync.write(buy('two'))]
    await Promise.all([one, two])
    expect(await titles()).toEqual(['one', 'two'])
    expect(at.length).toBe(5)
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(990)
  })
})

test('an operation is in the storage before it is sent', async () => {
  const { storage } = await newUser()
  const slow = memoryStorage()
  const { promise: held, resolve: pass } = Promise.withResolvers<void>()
  const log: string[] = []
  const { sync, network } = openPage(storage, {
    storage: {
      ...slow,
      async setItem(key, text) {
        const isQueue = key.endsWith(' writes')
        if (isQueue) await held
        slow.setItem(key, text)
        if (isQueue) log.push('stored')
      },
    },
  })
  network.before = async () => void log.push('sent')
  const written = sync.write(buy('Buy milk'))
  await sync.ready
  // longer than a tab needs to begin to send
  await Bun.sleep(150)
  log.push('passed')
  pass()
  await written
  expect(log.slice(0, 3)).toEqual(['passed', 'stored', 'sent'])
})

describe('sent once', () => {
  /** Answers that are lost on the way. */
  const losing = (network: ReturnType<typeof openPage>['network'], times: number) => {
    let left = times
    network.after = async () => {
      if (left-- > 0) throw new Error('lost')
    }
  }

  test('are operations whose answers are lost', async () => {
    const { storage, listed, titles } = await newUser()
    const { sync, network, store } = openPage(storage)
    await sync.ready
    losing(network, 1)
    const made = await sync.write(buy('Buy milk'))
    expect(await titles()).toEqual(['Buy milk'])
    const id = made?.id ?? 0
    losing(network, 1)
    const updated = sync.write({ op: 'update', id, body: { title: 'Buy bread' } })
    const completed = sync.write({ op: 'complete', id })
    expect(await updated).toMatchObject({ title: 'Buy bread' })
    expect(await completed).toMatchObject({ title: 'Buy bread', completed: true })
    expect(network.sent).toEqual([
      ...['POST 201', 'POST 201'],
      ...['PATCH 200', 'PATCH 412'],
      ...['PATCH 412', 'PATCH 200'],
    ])
    losing(network, 1)
    const restored = sync.write({ op: 'complete', id, completed: false })
    const deleted = sync.write({ op: 'delete', id })
    expect([(await restored)?.completed, await deleted]).toEqual([false, null])
    losing(network, 1)
    await sync.write({ op: 'restore', id })
    losing(network, 1)
    expect(await sync.write({ op: 'delete', id })).toBeNull()
    expect([store.size, await listed()]).toEqual([0, []])
    expect(network.sent.slice(-2)).toEqual(['DELETE 204', 'DELETE 404'])
  })

  test('is a create whose connection is cut before the answer, and whose page is gone', async () => {
    const { storage, titles } = await newUser()
    const { sync, network } = openPage(storage)
    await sync.ready
    network.before = async () => proxy.loseAnswers('Buy milk', 1)
    const requests = proxy.count('POST /api/v1/todos')
    void sync.write(buy('Buy milk'))
    await until(() => requests() === 1)
    network.isDown = true
    sync.stop()
    await sync.ended
    const next = openPage(storage)
    await until(() => next.sync.status === 'live' && next.sync.pending.length === 0)
    expect(await titles()).toEqual(['Buy milk'])
    expect(next.shown()).toEqual(['Buy milk'])
  })

  test('the task of a create whose answer is lost is not shown twice', async () => {
    const { storage, create } = await newUser()
    const { sync, network, store, changes } = openPage(storage)
    await sync.ready
    network.after = async () => {
      network.after = async () => {}
      // the stream brings the task, and another one after it
      await create('Buy bread')
      await until(() => [...store.values()].some(({ title }) => title === 'Buy bread'))
      expect([...store.values()].map(({ title }) => title)).toEqual(['Buy milk', 'Buy bread'])
      throw new Error('lost')
    }
    const made = await sync.write(buy('Buy milk'))
    expect([...store.keys()].sort()).toEqual([...store.values()].map(({ id }) => id).sort())
    expect(store.get(made?.id ?? 0)).toEqual(made as Task)
    expect(store.size).toBe(2)
    expect(changes.map((change) => ('deleted' in change ? 'deleted' : change.title))).toEqual([
      'Buy milk',
      'Buy bread',
      'deleted',
      'Buy milk',
    ])
  })
})

describe('a change of another device', () => {
  test('of other fields is kept, and no conflict', async () => {
    const { storage, create, other, listed } = await newUser()
    const task = await create('Buy milk')
    const { sync, network } = openPage(storage)
    await sync.ready
    network.isDown = true
    const written = sync.write({ op: 'update', id: task.id, body: { title: 'Buy bread' } })
    await until(() => sync.pending.length === 1)
    await other.api.v1.todos({ id: task.id }).patch({ description: 'theirs' })
    network.isDown = false
    dispatchEvent(new Event('online'))
    expect(await written).toMatchObject({ title: 'Buy bread', description: 'theirs' })
    expect(network.sent).toEqual(['PATCH 412', 'PATCH 200'])
    expect(await listed()).toMatchObject([{ title: 'Buy bread', description: 'theirs' }])
  })

  test.each<[string, (id: number, revision: number) => Operation]>([
    ['of the same field', (id) => ({ op: 'update', id, body: { title: 'mine' } })],
    ['before a delete', (id) => ({ op: 'delete', id })],
    ['since `if_match`', (id, if_match) => ({ op: 'complete', id, if_match })],
  ])('%s is a conflict, and the store shows what the server has', async (_, operation) => {
    const { storage, create, other, listed } = await newUser()
    const task = await create('Buy milk')
    const conflicts: unknown[] = []
    const { sync, network, store } = openPage(storage, {
      onConflict: (refused, error, current) => void conflicts.push([refused, error.code, current?.title]),
    })
    await sync.ready
    network.isDown = true
    const given = operation(task.id, task.revision)
    const written = sync.write(given)
    await until(() => sync.pending.length === 1)
    await other.api.v1.todos({ id: task.id }).patch({ title: 'theirs' })
    network.isDown = false
    dispatchEvent(new Event('online'))
    const reason = await reasonOf(written)
    expect(reason).toBeInstanceOf(RequestError)
    expect(reason).toMatchObject({ status: 412, code: 'PRECONDITION_FAILED' })
    expect(conflicts).toEqual([[given, 'PRECONDITION_FAILED', 'theirs']])
    expect([...store.values()]).toEqual(await listed())
    expect(store.get(task.id)?.title).toBe('theirs')
    expect(sync.pending).toEqual([])
  })

  test('is overwritten if `onConflict` says so, and what waits behind it follows', async () => {
    const { storage, create, other, listed } = await newUser()
    const task = await create('Buy milk')
    const { sync, network } = openPage(storage, {
      onConflict: async (refused, _, current) =>
        refused.op === 'update' ? { ...refused, body: { title: `${current?.title}, mine` } } : undefined,
    })
    await sync.ready
    network.isDown = true
    const written = sync.write({ op: 'update', id: task.id, body: { title: 'mine' } })
    const completed = sync.write({ op: 'complete', id: task.id })
    await until(() => sync.pending.length === 2)
    await other.api.v1.todos({ id: task.id }).patch({ title: 'theirs' })
    network.isDown = false
    dispatchEvent(new Event('online'))
    expect(await written).toMatchObject({ title: 'theirs, mine' })
    expect(await completed).toMatchObject({ title: 'theirs, mine', completed: true })
    expect(await listed()).toMatchObject([{ title: 'theirs, mine', completed: true }])
  })

  test('that deletes the task is told, and a delete of it is no conflict', async () => {
    const { storage, create, other } = await newUser()
    const [one, two] = [await create('one'), await create('two')]
    const conflicts: unknown[] = []
    const { sync, network, store } = openPage(storage, {
      onConflict: (refused, error) => void conflicts.push([refused.op, error.status]),
    })
    await sync.ready
    network.isDown = true
    const updated = reasonOf(sync.write({ op: 'update', id: one.id, body: { title: 'mine' } }))
    const deleted = sync.write({ op: 'delete', id: two.id })
    await until(() => sync.pending.length === 2)
    for (const { id } of [one, two]) await other.api.v1.todos({ id }).delete()
    network.isDown = false
    dispatchEvent(new Event('online'))
    expect([await updated, await deleted]).toMatchObject([{ status: 404 }, null])
    expect(conflicts).toEqual([['update', 404]])
    await until(() => store.size === 0)
  })

  test('that arrives before the answer to an earlier one stays', async () => {
    const { storage, create, other } = await newUser()
    const [task, gone] = [await create('Buy milk'), await create('gone')]
    const { sync, network, store } = openPage(storage)
    await sync.ready
    network.after = async () => {
      network.after = async () => {}
      await other.api.v1.todos({ id: task.id }).patch({ title: 'theirs' })
      await other.api.v1.todos({ id: gone.id }).delete()
      const last = await create('last')
      await until(() => store.has(last.id))
    }
    const updated = sync.write({ op: 'update', id: task.id, body: { description: 'mine' } })
    expect(await updated).toMatchObject({ title: 'Buy milk', description: 'mine' })
    expect([store.get(task.id)?.title, store.size]).toEqual(['theirs', 2])
    network.after = async () => {
      network.after = async () => {}
      await other.api.v1.todos({ id: task.id }).delete()
      await until(() => !store.has(task.id))
    }
    await sync.write({ op: 'complete', id: task.id })
    expect(store.size).toBe(1)
  })

  test('does not make what waits flicker', async () => {
    const { storage, create, other } = await newUser()
    const [task, gone] = [await create('Buy milk'), await create('gone')]
    const { sync, network, store, changes } = openPage(storage)
    await sync.ready
    const held = Promise.withResolvers<void>()
    network.before = () => held.promise
    const update = sync.write({ op: 'update', id: task.id, body: { title: 'mine' } })
    const deletion = sync.write({ op: 'delete', id: gone.id })
    await until(() => sync.pending.length === 2)
    await other.api.v1.todos({ id: task.id }).patch({ completed: true })
    await until(() => store.get(task.id)?.completed === true)
    expect(store.get(task.id)).toMatchObject({ title: 'mine', completed: true })
    held.resolve()
    await Promise.all([update, deletion])
    const after = await create('after')
    await until(() => store.has(after.id))
    const shown = changes.filter(({ id }) => id === task.id).slice(1)
    expect(shown.every((change) => !('deleted' in change) && change.title === 'mine')).toBe(true)
    expect(changes.filter(({ id }) => id === gone.id).map((change) => 'deleted' in change)).toEqual([
      false,
      true,
      true,
    ])
    expect(store.has(gone.id)).toBe(false)
  })
})

describe('a refused create', () => {
  test('takes what waits behind it along, and all of it is told', async () => {
    const { storage, titles } = await newUser()
    const conflicts: [string, number][] = []
    const { sync, network, store } = openPage(storage, {
      onConflict: (refused, error) => void conflicts.push([refused.op, error.status]),
    })
    await sync.ready
    network.isDown = true
    const created = sync.write(buy(' '))
    await until(() => store.size === 1)
    const [id = 0] = store.keys()
    const updated = sync.write({ op: 'update', id, body: { description: 'x' } })
    const next = sync.write(buy('next'))
    await until(() => sync.pending.length === 3)
    network.isDown = false
    dispatchEvent(new Event('online'))
    const reasons = await Promise.all([reasonOf(created), reasonOf(updated)])
    expect(reasons).toMatchObject([{ status: 422 }, { status: 422 }])
    expect(await next).toMatchObject({ title: 'next' })
    expect(conflicts).toEqual([
      ['create', 422],
      ['update', 422],
    ])
    expect([network.sent, await titles()]).toEqual([['POST 422', 'POST 201'], ['next']])
    expect(await reasonOf(sync.write({ op: 'complete', id }))).toMatchObject({ status: 404 })
  })

  test('can be mended, and what waits behind it follows', async () => {
    const { storage, listed } = await newUser()
    const { sync, store } = openPage(storage, { onConflict: () => buy('untitled') })
    const created = sync.write(buy(' '))
    await until(() => store.size === 1)
    const [id = 0] = store.keys()
    const updated = sync.write({ op: 'update', id, body: { description: 'x' } })
    expect(await created).toMatchObject({ title: 'untitled' })
    expect(await updated).toMatchObject({ title: 'untitled', description: 'x' })
    expect(await listed()).toMatchObject([{ title: 'untitled', description: 'x' }])
  })

  test('is given up after ten refusals of what `onConflict` gives', async () => {
    const { storage } = await newUser()
    let asked = 0
    const { sync, network } = openPage(storage, {
      onConflict(refused) {
        asked++
        return refused
      },
    })
    expect(await reasonOf(sync.write(buy(' ')))).toMatchObject({ status: 422 })
    expect([asked, network.sent.length]).toEqual([11, 11])
  })
})

describe('tabs', () => {
  const inTabs = (count: number, storage: MemoryStorage) =>
    Array.from({ length: count }, () => openPage(storage))

  test('show what waits in any of them, and send it once', async () => {
    const { storage, titles } = await newUser()
    const tabs = inTabs(3, storage)
    await Promise.all(tabs.map(({ sync }) => sync.ready))
    for (const { network } of tabs) network.isDown = true
    const writes = tabs.flatMap(({ sync }, n) => [sync.write(buy(`a${n}`)), sync.write(buy(`b${n}`))])
    await until(() => tabs.every(({ store }) => store.size === 6))
    const [first, second] = tabs
    // a new task of another tab
    const id = [...(first?.store ?? [])].find(([, { title }]) => title === 'a1')?.[0] ?? 0
    const completed = first?.sync.write({ op: 'complete', id })
    await until(() => tabs.every(({ store }) => store.get(id)?.completed === true))
    for (const { network } of tabs) network.isDown = false
    dispatchEvent(new Event('online'))
    await Promise.all(writes)
    expect(await completed).toMatchObject({ title: 'a1', completed: true })
    await until(() => tabs.every(({ sync }) => sync.pending.length === 0))
    const sent = tabs.flatMap(({ network }) => network.sent)
    expect(sent.filter((each) => each === 'POST 201').length).toBe(6)
    expect(sent.length).toBe(7)
    const all = await titles()
    expect(all.toSorted()).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2'])
    // what one tab has written is in order
    for (const n of [0, 1, 2]) expect(all.indexOf(`a${n}`)).toBeLessThan(all.indexOf(`b${n}`))
    for (const { store } of tabs)
      expect([...store.values()].map(({ title }) => title).sort()).toEqual(all.sort())
    expect(second?.store.has(id)).toBe(false)
  })

  test('learn of a refusal in another tab', async () => {
    const { storage, create, other } = await newUser()
    const task = await create('Buy milk')
    const [here, there] = inTabs(2, storage)
    if (!here || !there) throw new Error('no tabs')
    await Promise.all([here.sync.ready, there.sync.ready])
    await other.api.v1.todos({ id: task.id }).delete()
    here.network.isDown = true
    there.network.isDown = true
    const refused = reasonOf(here.sync.write({ op: 'complete', id: task.id }))
    await until(() => there.sync.pending.length === 1)
    here.sync.stop()
    expect(await refused).toEqual(new Error('The synchronization has ended before the change was sent'))
    const again = reasonOf(there.sync.write({ op: 'complete', id: task.id }))
    there.network.isDown = false
    dispatchEvent(new Event('online'))
    expect(await again).toMatchObject({ status: 404, code: 'TASK_NOT_FOUND' })
    expect(there.network.sent).toEqual(['PATCH 404', 'PATCH 404'])
  })

  test('send what a tab has left that was closed', async () => {
    const { storage, titles } = await newUser()
    const [first, second] = inTabs(2, storage)
    await Promise.all([first?.sync.ready, second?.sync.ready])
    if (first) first.network.isDown = true
    void first?.sync.write(buy('Buy milk'))
    await until(() => second?.sync.pending.length === 1)
    first?.sync.stop()
    await until(() => second?.sync.pending.length === 0)
    expect(await titles()).toEqual(['Buy milk'])
  })
})

/** Web Locks, as browsers have them in secure contexts: https://www.w3.org/TR/web-locks/ */
function withLocks() {
  const held = new Map<string, Promise<unknown>>()
  function request(name: string, ...given: [unknown, () => Promise<unknown>] | [() => Promise<unknown>]) {
    const work = given.at(-1) as () => Promise<unknown>
    const done = (held.get(name) ?? Promise.resolve()).then(work)
    held.set(
      name,
      done.catch(() => {}),
    )
    return done
  }
  Object.defineProperty(navigator, 'locks', { value: { request }, configurable: true })
  return { [Symbol.dispose]: () => void Reflect.deleteProperty(navigator, 'locks') }
}

test('with Web Locks, tabs send one after the other, and leave no lease behind', async () => {
  using _ = withLocks()
  const { storage, titles } = await newUser()
  const tabs = [openPage(storage), openPage(storage)]
  await Promise.all(tabs.flatMap(({ sync }, n) => ['a', 'b', 'c'].map((each) => sync.write(buy(each + n)))))
  expect((await titles()).toSorted()).toEqual(['a0', 'a1', 'b0', 'b1', 'c0', 'c1'])
  expect(tabs.flatMap(({ network }) => network.sent)).toEqual(Array(6).fill('POST 201'))
  await until(() => [...storage.content.keys()].every((key) => !key.includes(' writes')))
})

describe('the session', () => {
  test('that ends with a sign-out leaves nothing that waits, also in other tabs', async () => {
    const { storage, account, titles } = await newUser()
    const [page, other] = [openPage(storage), openPage(storage)]
    await Promise.all([page.sync.ready, other.sync.ready])
    for (const { network } of [page, other]) network.isDown = true
    const written = reasonOf(page.sync.write(buy('Buy milk')))
    await until(() => other.sync.pending.length === 1 && queueOf(storage).length === 1)
    await page.client.signOut()
    expect(await written).toBeInstanceOf(Error)
    await other.sync.ended
    expect([page.store.size, page.sync.pending, other.store.size, other.sync.pending]).toEqual([0, [], 0, []])
    // who was about to send gives the lease back a moment later
    await until(() => ![...storage.content.keys()].some((key) => key.includes(' writes')))
    const next = openPage(storage)
    await next.client.signIn(account)
    await until(() => next.sync.status === 'ended')
    const later = openPage(storage)
    await later.sync.ready
    expect([later.store.size, await titles()]).toEqual([0, []])
  })

  test('that ends with a sign-out while nothing runs leaves nothing that waits', async () => {
    const { storage } = await newUser()
    const { sync, network, client } = openPage(storage)
    await sync.ready
    network.isDown = true
    void sync.write(buy('Buy milk'))
    await until(() => queueOf(storage).length === 1)
    sync.stop()
    await sync.ended
    await createClient(url, { storage }).signOut()
    await until(() => client.session.status === 'signed-out')
    await until(() => storage.content.size === 0)
  })

  test('that has expired keeps what waits for the next sign-in of the same user', async () => {
    const { storage, account, titles } = await newUser()
    const refusal = (code: string) =>
      Response.json({ error_code: code, status: 401, detail: code }, { status: 401 })
    const isOver = { value: false }
    const client = createClient(url, {
      storage,
      async fetcher(requested, init) {
        if (!isOver.value) return fetch(requested, init)
        return refusal(requested.endsWith('/refresh') ? 'TOKEN_INVALID' : 'TOKEN_EXPIRED')
      },
    })
    const sync = client.sync(new Map())
    await sync.ready
    isOver.value = true
    const written = reasonOf(sync.write(buy('Buy milk')))
    expect(await reasonOf(sync.ended)).toEqual(new Error('The session has expired'))
    expect(await written).toEqual(new Error('The synchronization has ended before the change was sent'))
    expect(queueOf(storage).length).toBe(1)
    isOver.value = false
    // another user does not send it
    await client.signUp({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })
    const strange = openPage(storage)
    await strange.sync.ready
    expect(strange.sync.pending).toEqual([])
    strange.sync.stop()
    await client.signIn(account)
    const next = openPage(storage)
    await until(() => next.sync.status === 'live' && next.sync.pending.length === 0)
    expect(await titles()).toEqual(['Buy milk'])
  })

  test.each([1, 2, 3, 4, 5])(
    'of a token function that gives the token of another user at its call %d sends that user nothing',
    async (calls) => {
      const [ann, bob] = [await newUser(), await newUser()]
      const [hers, his] = await Promise.all([ann, bob].map(({ id }) => signAccessToken(id, settings)))
      let left = Number.POSITIVE_INFINITY
      const sentAsBob: string[] = []
      const client = createClient(url, {
        token: () => (left-- > 1 ? hers : his),
        fetcher(requested, init) {
          const isBobs = new Headers(init.headers).get('authorization') === `Bearer ${his}`
          if (isBobs && init.method === 'POST') sentAsBob.push(requested)
          return fetch(requested, init)
        },
      })
      const sync = client.sync(new Map())
      await until(() => sync.status === 'live')
      left = calls
      const written = reasonOf(sync.write(buy('of Ann')))
      await sync.ended.catch(() => {})
      await written
      expect([sentAsBob, await bob.titles()]).toEqual([[], []])
    },
  )

  test('of a token that the server refuses ends the synchronization', async () => {
    const sync = createClient(url, { token: 'a.b.c' }).sync(new Map())
    const ended = new Error('The synchronization has ended before the change was sent')
    expect(await reasonOf(sync.write(buy('Buy milk')))).toEqual(ended)
    expect(await reasonOf(sync.ended)).toMatchObject({ status: 401 })
    expect(await reasonOf(sync.write(buy('Buy milk')))).toEqual(ended)
  })
})

describe('a storage', () => {
  test('that is full is told, and what waits is sent nevertheless', async () => {
    const { storage, titles } = await newUser()
    const told: [number, string | undefined][] = []
    const isFull = { value: true }
    const tasks = memoryStorage()
    const small = {
      ...tasks,
      setItem(key: string, text: string) {
        if (isFull.value) throw new Error('full')
        tasks.setItem(key, text)
      },
    }
    const { sync, network, shown } = openPage(storage, {
      storage: small,
      onPending: (pending, error) => told.push([pending.length, error?.message]),
    })
    await sync.ready
    network.isDown = true
    const first = sync.write(buy('one'))
    await until(() => told.length === 2)
    expect(told).toEqual([
      [1, undefined],
      [1, 'full'],
    ])
    isFull.value = false
    const second = sync.write(buy('two'))
    await until(() => told.length === 4)
    expect(told.slice(2)).toEqual([
      [2, 'full'],
      [2, undefined],
    ])
    expect(queueOf(tasks).length).toBe(2)
    expect(shown()).toEqual(['one', 'two'])
    network.isDown = false
    dispatchEvent(new Event('online'))
    await Promise.all([first, second])
    expect(await titles()).toEqual(['one', 'two'])
  })

  test('that fails in everything does no harm', async () => {
    const { storage, titles } = await newUser()
    const fail = () => {
      throw new Error('blocked')
    }
    const blocked = { getItem: fail, setItem: fail, removeItem: fail }
    const errors: (string | undefined)[] = []
    const { sync } = openPage(storage, {
      storage: blocked,
      onPending: (_, error) => errors.push(error?.message),
    })
    await sync.write(buy('Buy milk'))
    expect([await titles(), errors.at(-1)]).toEqual([['Buy milk'], 'blocked'])
  })

  test('that is null, or none, keeps what waits in memory', async () => {
    const { storage, id, titles } = await newUser()
    const { sync } = openPage(storage, { storage: null })
    await sync.write(buy('one'))
    const token = await signAccessToken(id, settings)
    await createClient(url, { token }).sync(new Map()).write(buy('two'))
    expect(await titles()).toEqual(['one', 'two'])
    expect([...storage.content.keys()].filter((key) => key.includes(' writes'))).toEqual([])
  })

  test.each([
    'no JSON',
    '{"version":0}',
    '{"version":1,"number":1,"list":[{},{"key":"x","id":1,"operation":{"op":"no"}}]}',
  ])('with what cannot be read has nothing that waits: %s', async (text) => {
    const { storage, id } = await newUser()
    storage.setItem(`taskwell ${url} tasks ${id} writes`, text)
    const { sync } = openPage(storage)
    await sync.ready
    expect(sync.pending).toEqual([])
  })
})

test.each<[string, SyncOptions, Operation]>([
  ['onConflict', { onConflict: () => fault() }, buy(' ')],
  ['onPending', { onPending: () => fault() }, buy('Buy milk')],
  ['onChange', { onChange: () => fault() }, buy('Buy milk')],
])('what `%s` throws ends the synchronization', async (_, options, operation) => {
  const { storage } = await newUser()
  const { sync } = openPage(storage, options)
  const written = reasonOf(sync.write(operation))
  expect(await reasonOf(sync.ended)).toEqual(new Error('of the page'))
  expect(await written).toBeInstanceOf(Error)
})

function fault(): never {
  throw new Error('of the page')
}
