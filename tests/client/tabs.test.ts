import { afterAll, afterEach, describe, expect, jest, spyOn, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import type { ChangeSource } from '../../src/client/change-source'
import { subjectOf } from '../../src/client/claims'
import { type Change, createClient, type Task } from '../../src/client/index'
import type { Sync, SyncOptions } from '../../src/client/sync-handle'
import { shareBetweenTabs } from '../../src/client/tabs'
import { testApp } from '../support/app'
import { exampleTask } from '../support/example-task'
import { followSource } from '../support/follow'
import { memoryStorage } from '../support/memory-storage'
import { turns, until } from '../support/time'

const { app, settings } = await testApp()
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

const newAccount = () => ({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })

/** Signs a user up in a browser, and makes a second client of that user, which shares nothing with the browser. */
async function browserOf(account = newAccount()) {
  const storage = memoryStorage()
  const { data } = await createClient(url, { storage }).signUp(account)
  const id = String(data?.user.id)
  const elsewhere = createClient(url, { token: await signAccessToken(id, settings) })
  const create = async (title: string) => (await elsewhere.api.v1.todos.post({ title })).data as Task
  return { storage, id, elsewhere, create }
}

/** A tab that follows all tasks. */
function openTab(given: Parameters<typeof createClient>[1], options: SyncOptions = {}) {
  const streams: AbortSignal[] = []
  const client = createClient(url, {
    ...given,
    fetcher(requested, init) {
      if (requested.includes('/events') && init.signal) streams.push(init.signal)
      return (given?.fetcher ?? fetch)(requested, init)
    },
  })
  return { client, streams, ...follow((store, all) => client.sync(store, all), options) }
}
type Tab = ReturnType<typeof openTab>

function follow(start: (store: Map<number, Task>, options: SyncOptions) => Sync, options: SyncOptions = {}) {
  const store = new Map<number, Task>()
  const changes: Change[] = []
  const sync = start(store, { onChange: (batch) => changes.push(...batch), ...options })
  stops.add(sync.stop)
  return { store, changes, sync }
}

const titles = ({ store }: Pick<Tab, 'store'>) => [...store.values()].map(({ title }) => title).sort()
const isReading = ({ streams }: Tab) => streams.some(({ aborted }) => !aborted)
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )

/** Whether a store has seen the revisions of each task in order. */
function isInOrder(changes: Change[]): boolean {
  const seen = new Map<number, number>()
  return changes.every(({ id, revision }) => {
    const before = seen.get(id) ?? 0
    seen.set(id, revision)
    return revision > before
  })
}

describe('tabs of one user', () => {
  test('share one stream; when the reader stops, another tab reads on, and nothing is lost', async () => {
    const { storage, create } = await browserOf()
    const tabs = Array.from({ length: 4 }, () => openTab({ storage }))
    await Promise.all(tabs.map(({ sync }) => sync.ready))
    await create('first')
    await until(() => tabs.every(({ store }) => store.size === 1))
    await until(() => tabs.filter(isReading).length === 1)

    const reader = tabs.find(isReading)
    const others = tabs.filter((tab) => tab !== reader)
    reader?.sync.stop()
    await create('second')
    await until(() => others.every(({ store }) => store.size === 2))
    await until(() => others.filter(isReading).length === 1)
    expect(reader?.store.size).toBe(1)
    expect(tabs.every(({ changes }) => isInOrder(changes))).toBe(true)
  })

  test('that join later get all tasks, and later changes', async () => {
    const { storage, create } = await browserOf()
    const first = openTab({ storage })
    await first.sync.ready
    await create('first')
    await until(() => isReading(first) && first.store.size === 1)
    const later = openTab({ storage })
    await later.sync.ready
    expect(titles(later)).toEqual(['first'])
    await create('second')
    await until(() => later.store.size === 2)
    await until(() => [first, later].filter(isReading).length === 1)
    // a tab can go on from the cursor of another
    const cursor = later.sync.cursor
    await create('third')
    await until(() => later.store.size === 3)
    const again = openTab({ storage }, { ...(cursor !== undefined && { cursor }) })
    await again.sync.ready
    expect(titles(again)).toEqual(['third'])
  })

  test('have each a token of their own: a refused one ends only the sync of its own tab', async () => {
    const { id, create } = await browserOf()
    const storage = memoryStorage()
    const good = await signAccessToken(id, settings)
    const given = { token: good }
    const reader = openTab({ storage, token: () => given.token })
    await reader.sync.ready
    await create('first')
    await until(() => isReading(reader) && reader.store.size === 1)
    const other = openTab({ storage, token: good })
    await other.sync.ready
    given.token = await signAccessToken(id, { ...settings, jwtExpireMinutes: -1 })
    // the same user, but the server refuses this tab's token
    const refused = openTab({ storage, token: given.token })
    expect(await reasonOf(refused.sync.ended)).toMatchObject({ status: 401 })
    expect(refused.store.size).toBe(0)
    reader.sync.stop()
    await create('second')
    await until(() => other.store.size === 2)
  })

  test('that join, leave and write have stores that equal the table, and none goes back', async () => {
    const { storage, elsewhere, create } = await browserOf()
    const tabs: Tab[] = []
    const stopped = new Set<Tab>()
    const stop = (tab: Tab | undefined) => {
      tab?.sync.stop()
      if (tab) stopped.add(tab)
    }
    let isOver = false
    const write = async () => {
      for (let n = 0; !isOver; n++) {
        const task = await create(`task ${n}`)
        if (n % 3 === 0) await elsewhere.api.v1.todos({ id: task.id }).delete()
        else await elsewhere.update(task, { completed: true })
      }
    }
    const writing = Promise.all([write(), write()])
    for (let n = 0; n < 12; n++) {
      const tab = openTab({ storage })
      tabs.push(tab)
      await tab.sync.ready
      const size = tab.store.size
      await until(() => tab.store.size > size)
      if (n % 3 === 2) stop(tabs.find(isReading))
    }
    isOver = true
    await writing
    const { data } = await elsewhere.api.v1.todos.get({ query: { limit: 200, order: 'asc' } })
    const running = tabs.filter((tab) => !stopped.has(tab))
    expect(running.length).toBeGreaterThan(7)
    const inOrder = ({ store }: Tab) => [...store.values()].sort((a, b) => a.id - b.id)
    await until(() => running.every((tab) => Bun.deepEquals(inOrder(tab).slice(0, 200), data)))
    expect(tabs.every(({ changes }) => isInOrder(changes))).toBe(true)
  })
})

test('a tab that was still catching up when it became the reader leaves no gap for the others', async () => {
  using _ = withLocks()
  const { storage, create } = await browserOf()
  const first = openTab({ storage })
  await until(() => isReading(first))
  const held = Promise.withResolvers<void>()
  let waiting = 0
  let isSlow = false
  const second = openTab({
    storage,
    async fetcher(requested, init) {
      if (isSlow && requested.includes('/changes')) {
        waiting++
        await held.promise
      }
      return fetch(requested, init)
    },
  })
  await second.sync.ready
  isSlow = true
  let reads = 0
  const third = openTab({
    storage,
    async fetcher(requested, init) {
      const answer = await fetch(requested, init)
      if (requested.includes('/changes')) reads++
      return answer
    },
  })
  await create('one')
  await until(() => titles(third).includes('one') && waiting > 0)
  const before = reads
  first.sync.stop()
  await until(() => reads > before)
  await create('two')
  held.resolve()
  await until(() => isReading(second))
  await create('three')
  await until(() => titles(third).includes('three'))
  expect(titles(third)).toEqual(['one', 'three', 'two'])
  expect(titles(second)).toEqual(['one', 'three', 'two'])
})

/** The storage of a tab that does not see what another one stores. */
function copyOf({ content }: ReturnType<typeof memoryStorage>) {
  const storage = memoryStorage()
  for (const [key, text] of content) storage.content.set(key, text)
  return { storage }
}

describe('nothing is shared', () => {
  test('with another user', async () => {
    const [ann, bob] = [await browserOf(), await browserOf()]
    const tabs = [openTab(ann), openTab(bob)] as const
    await Promise.all(tabs.map(({ sync }) => sync.ready))
    await until(() => tabs.every(isReading))
    await ann.create('of Ann')
    await bob.create('of Bob')
    await until(() => tabs.every(({ store }) => store.size > 0))
    expect(tabs.map(titles)).toEqual([['of Ann'], ['of Bob']])
  })

  test('with a tab in which another user has signed in, or the user has signed out', async () => {
    const bob = newAccount()
    const { storage, create } = await browserOf()
    await browserOf(bob)
    const tabs = [openTab(copyOf(storage)), openTab(copyOf(storage)), openTab(copyOf(storage))] as const
    await Promise.all(tabs.map(({ sync }) => sync.ready))
    await create('first')
    await until(() => tabs.every(({ store }) => store.size === 1) && tabs.filter(isReading).length === 1)
    const reader = tabs.find(isReading)
    const [left, out] = tabs.filter((tab) => tab !== reader)
    await left?.client.signIn(bob)
    await out?.client.signOut()
    await create('second')
    await until(() => reader?.store.size === 2)
    const [other, none] = await Promise.all(
      [left, out].map((tab) => reasonOf(tab?.sync.ended ?? (tab as never))),
    )
    expect(other).toEqual(new Error('Another user has signed in'))
    expect(none).toBeUndefined()
    // a user who signs out leaves nothing behind
    expect([left?.store.size, out?.store.size]).toEqual([1, 0])
  })

  test('by a reader in which another user has signed in', async () => {
    const bob = newAccount()
    const { storage, create } = await browserOf()
    await browserOf(bob)
    const reader = openTab(copyOf(storage))
    await until(() => isReading(reader))
    const other = openTab(copyOf(storage))
    await create('first')
    await until(() => reader.store.size === 1 && other.store.size === 1)
    await reader.client.signIn(bob)
    await create('second')
    await until(() => other.store.size === 2)
    expect(await reasonOf(reader.sync.ended)).toEqual(new Error('Another user has signed in'))
    expect(titles(reader)).toEqual(['first'])
  })

  test('without a storage, outside a browser', async () => {
    const { id } = await browserOf()
    const token = await signAccessToken(id, settings)
    const tabs = [openTab({ token }), openTab({ token })]
    await until(() => tabs.every(isReading))
  })

  test('if the token does not name its user', () => {
    const encoded = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`
    const users = [{ sub: 'Zoë?>' }, { userId: 'Zoë?>' }].map(encoded).map(subjectOf)
    expect(users).toEqual(['Zoë?>', 'Zoë?>'])
    const unknown = [{}, { sub: '' }, { sub: 7 }].map(encoded)
    expect([...unknown, 'opaque', 'a.b.c', '', null, undefined].map(subjectOf)).toEqual(
      Array(8).fill(undefined),
    )
  })
})

/** Web Locks for one name, as browsers have them in secure contexts: https://www.w3.org/TR/web-locks/ */
function withLocks() {
  let held: Promise<void> = Promise.resolve()
  const waiting = new Set<AbortSignal>()
  async function request(_: string, { signal }: { signal: AbortSignal }, work: () => Promise<void>) {
    waiting.add(signal)
    const turn = held.then(() => (waiting.delete(signal) ? work() : undefined))
    held = turn
    await new Promise<void>((resolve, reject) => {
      void turn.then(resolve)
      signal.addEventListener('abort', () => waiting.delete(signal) && reject(signal.reason))
    })
  }
  Object.defineProperty(navigator, 'locks', { value: { request }, configurable: true })
  return {
    waiting: () => waiting.size,
    [Symbol.dispose]: () => void Reflect.deleteProperty(navigator, 'locks'),
  }
}

describe('on the channel', () => {
  /** Waits until messages, and the answers to them, have arrived. */
  async function settled(): Promise<void> {
    for (let n = 0; n < 3; n++) {
      await turns(20)
      await delivery()
    }
  }
  /** Waits until a message has arrived, and with it all that were sent before. */
  async function delivery(): Promise<void> {
    const name = crypto.randomUUID()
    const [from, to] = [new BroadcastChannel(name), new BroadcastChannel(name)]
    await new Promise((arrived) => {
      to.onmessage = arrived
      from.postMessage('')
    })
    from.close()
    to.close()
  }
  const task = (id: number, revision: number) => exampleTask({ id, revision })
  const event = (...changes: Change[]) => ({ changes, cursor: `after ${changes.at(-1)?.revision}` })
  const hang = (signal: AbortSignal) =>
    new Promise<never>((_, fail) => signal.addEventListener('abort', () => fail(new Error('aborted'))))

  /** A tab whose server answers what `read` gives, and the channel of another tab, for which the test speaks. */
  function meet(read: ChangeSource['read'], options: SyncOptions = {}, name: string = crypto.randomUUID()) {
    jest.useFakeTimers()
    const heard: string[] = []
    const other = new BroadcastChannel(name)
    other.onmessage = ({ data }) => heard.push(data.kind)
    stops.add(() => other.close())
    const streams: AbortSignal[] = []
    const source: ChangeSource = {
      read,
      async open(_, signal) {
        streams.push(signal)
        return hang(signal)
      },
    }
    const share = shareBetweenTabs(async () => name)
    const tab = follow((store, all) => followSource(source, store, all, { share }), options)
    const pass = async (milliseconds: number) => {
      await settled()
      jest.advanceTimersByTime(milliseconds)
      await settled()
    }
    const say = async (message: object) => {
      other.postMessage(message)
      await settled()
    }
    return { ...tab, name, heard, streams, pass, say }
  }

  const nothing: ChangeSource['read'] = async () => ({ changes: [], cursor: 'begin', has_more: false })

  test('a silent reader is replaced within some seconds', async () => {
    // the silence that the tab bears is random: here 2,250 ms
    using _ = spyOn(Math, 'random').mockReturnValue(0.5)
    const { heard, streams, say, pass } = meet(nothing)
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    await pass(1499)
    expect(heard).toEqual(['claim'])
    await pass(1501)
    expect([heard, streams.length]).toEqual([['claim', 'claim'], 0])
    await pass(1500)
    expect([heard, streams.length]).toEqual([['claim', 'claim', 'beat', 'event'], 1])
  })

  test('a tab is live while the reader is heard, and offline if it cannot read what it may have missed', async () => {
    let isDown = false
    const statuses: string[] = []
    const { sync, say, pass } = meet(
      async () => {
        if (isDown) throw new Error('no connection')
        return { changes: [], cursor: 'begin', has_more: false }
      },
      { onStatus: (status) => statuses.push(status) },
    )
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    expect(statuses).toEqual(['live'])
    isDown = true
    await say({ kind: 'bye', from: '0' })
    await say({ kind: 'beat', from: '1', count: 0 })
    expect([sync.status, sync.error?.message]).toEqual(['offline', 'no connection'])
    isDown = false
    await pass(400)
    await say({ kind: 'beat', from: '1', count: 0 })
    expect(statuses).toEqual(['live', 'offline', 'live'])
  })

  test('what came together for the reader comes together for the other tabs', async () => {
    const batches: number[][] = []
    const answers = [[task(1, 1)]]
    const { say } = meet(
      async () => ({ changes: answers.shift() ?? [], cursor: 'after 1', has_more: false }),
      {
        onChange: (changes) => batches.push(changes.map(({ id }) => id)),
      },
    )
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    await say({ kind: 'event', from: '0', count: 1, event: event(task(1, 1), task(2, 2), task(3, 3)) })
    expect(batches).toEqual([[1], [2, 3]])
  })

  test('a reminder reaches every tab', async () => {
    const reminder = { task_id: 1, due_at: '2030-01-01T10:00:00Z', minutes: 10 }
    const reminders: unknown[] = []
    const { say, sync } = meet(nothing, { onReminder: (each) => reminders.push(each) })
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    const event = { changes: [], cursor: '', reminders: [reminder] }
    await say({ kind: 'event', from: '0', count: 1, event })
    expect([reminders, sync.cursor]).toEqual([[reminder], 'begin'])
  })

  test('a reader that answers stays the reader, however long it has no events', async () => {
    const { heard, streams, say, pass } = meet(nothing)
    await settled()
    for (let n = 0; n < 30; n++) {
      await say({ kind: 'beat', from: '0', count: 0 })
      // the tab claims after 1,500 ms at the earliest, and waits as long for the answer
      await pass(2999)
    }
    expect(heard.length).toBeGreaterThan(20)
    expect(streams.length).toBe(0)
  })

  test('of two readers, the one with the lower id stays', async () => {
    const { heard, streams, say, pass } = meet(nothing)
    await pass(1500)
    await say({ kind: 'beat', from: '~', count: 7 })
    expect(streams.map(({ aborted }) => aborted)).toEqual([false])
    expect(heard).toEqual(['claim', 'beat', 'event', 'beat'])
    await say({ kind: 'beat', from: '', count: 7 })
    expect(streams.map(({ aborted }) => aborted)).toEqual([true])
    await say({ kind: 'claim', from: '~' })
    expect(heard).toEqual(['claim', 'beat', 'event', 'beat'])
  })

  test('a missing number makes the tab read the changes itself', async () => {
    const answers = [[task(1, 1)], [], [task(2, 2), task(3, 3)]]
    const { store, changes, say, sync } = meet(async (since) => {
      const found = answers.shift() ?? []
      const last = found.at(-1)
      return { changes: found, cursor: last ? `after ${last.revision}` : String(since), has_more: false }
    })
    await settled()
    await say({ kind: 'beat', from: '0', count: 4 })
    await say({ kind: 'event', from: '0', count: 6, event: event(task(3, 3)) })
    expect([...store.keys()]).toEqual([1, 2, 3])
    await say({ kind: 'event', from: '0', count: 7, event: event({ id: 1, revision: 4, deleted: true }) })
    expect([...store.keys()]).toEqual([2, 3])
    expect(sync.cursor).toBe('after 4')
    expect(answers).toEqual([])
    expect(isInOrder(changes)).toBe(true)
  })

  test('an event that arrives while the tab reads changes is not lost, and not taken if it is older', async () => {
    const { promise: held, resolve: answer } = Promise.withResolvers<void>()
    let reads = 0
    const { store, changes, say, sync } = meet(async () => {
      reads++
      if (reads === 1) return { changes: [task(5, 5)], cursor: 'after 5', has_more: false }
      await held
      return { changes: [{ id: 5, revision: 7, deleted: true }], cursor: 'after 7', has_more: false }
    })
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    await say({ kind: 'event', from: '0', count: 1, event: event(task(5, 6)) })
    await say({ kind: 'event', from: '0', count: 2, event: event({ id: 5, revision: 7, deleted: true }) })
    await say({ kind: 'event', from: '0', count: 3, event: event(task(8, 8)) })
    expect(changes).toEqual([task(5, 5)])
    answer()
    await settled()
    expect([...store.values()]).toEqual([task(8, 8)])
    expect(changes.map(({ revision }) => revision)).toEqual([5, 7, 8])
    expect([reads, sync.cursor]).toEqual([2, 'after 8'])
  })

  test('a tab that goes on from a cursor asks the server until it knows a revision', async () => {
    const answers: Change[][] = [[], [], [], [task(8, 8)]]
    const { changes, say, sync } = meet(
      async (since) => {
        const found = answers.shift() ?? []
        return { changes: found, cursor: found[0] ? 'after 8' : String(since), has_more: false }
      },
      { cursor: 'after 7' },
    )
    await settled()
    await say({ kind: 'beat', from: '0', count: 0 })
    // the reader lags behind: this task has been deleted since
    await say({ kind: 'event', from: '0', count: 1, event: event(task(6, 6)) })
    expect([changes, sync.cursor]).toEqual([[], 'after 7'])
    await say({ kind: 'event', from: '0', count: 2, event: event(task(8, 8)) })
    await say({ kind: 'event', from: '0', count: 3, event: event(task(9, 9)) })
    expect(changes).toEqual([task(8, 8), task(9, 9)])
    expect([answers, sync.cursor]).toEqual([[], 'after 9'])
  })

  test('the tab that gets the Web Lock reads at once, and keeps the lock until it stops', async () => {
    using locks = withLocks()
    const first = meet(nothing)
    const second = meet(nothing, {}, first.name)
    await settled()
    expect([first.streams.length, second.streams.length, locks.waiting()]).toEqual([1, 0, 1])
    first.sync.stop()
    await settled()
    expect([first.streams[0]?.aborted, second.streams.length, locks.waiting()]).toEqual([true, 1, 0])
    const third = meet(nothing, {}, first.name)
    await settled()
    third.sync.stop()
    await third.sync.ended
    expect([third.streams.length, locks.waiting()]).toEqual([0, 0])
  })

  test('stopped, a tab leaves nothing behind', async () => {
    const { heard, streams, sync, pass, say } = meet(nothing)
    await pass(1500)
    sync.stop()
    await sync.ended
    await settled()
    expect(heard).toEqual(['claim', 'beat', 'event', 'bye'])
    expect(streams.map(({ aborted }) => aborted)).toEqual([true])
    await say({ kind: 'claim', from: '~' })
    await pass(60_000)
    expect(heard).toEqual(['claim', 'beat', 'event', 'bye'])
  })
})
