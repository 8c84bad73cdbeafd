import { afterAll, describe, expect, setSystemTime, spyOn, test } from 'bun:test'
import { uuid } from '../../src/client/uuid'
import { testApp } from '../support/app'
import { runInSmallEngine } from '../support/small-engine'

const { app } = await testApp()
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('the client works in an engine that has little more than `fetch`', async () => {
  const program = `
    const storage = memoryStorage()
    const [url, email] = args
    const keys = []
    const recording = (requested, init) => {
      const key = new Headers(init.headers).get('idempotency-key')
      if (key) keys.push(key)
      return fetcher(requested, init)
    }
    const open = () => createClient(url, { storage, fetcher: recording })
    const client = open()
    const { todos } = client.api.v1
    const did = {}
    did.signUp = (await client.signUp({ email, password: 'correct horse battery' })).status
    const made = []
    for (const title of ['a', 'b', 'c']) made.push(await todos.post({ title }))
    did.make = made.map(({ status }) => status)

    const before = storage.tokens()
    storage.change({ renewAt: 0 })
    const later = open()
    did.list = []
    for await (const { title } of allTasks(later, { limit: 1 })) did.list.push(title)
    did.hasRenewed = storage.tokens().refresh !== before.refresh

    did.update = (await later.update(made[0].data, { title: 'A' })).data.title
    did.delete = (await later.api.v1.todos({ id: made[1].data.id }).delete()).status
    did.refused = (await later.api.v1.todos({ id: made[1].data.id }).get()).error.value.error_code
    const gone = createClient(url, { fetcher: async () => { throw new Error('gone') }, retries: 0 })
    did.outage = (await gone.api.v1.todos.get()).error.value.error_code

    const tasks = new Map()
    const { ready, stop, ended } = later.sync(tasks)
    await ready
    stop()
    await ended
    did.sync = [...tasks.values()].map(({ title }) => title).sort()
    await later.signOut()
    did.left = storage.content.size
    console.log(JSON.stringify({ did, keys }))
  `
  const email = `${crypto.randomUUID()}@example.com`
  const { did, keys } = JSON.parse(await runInSmallEngine(program, String(app.server?.url), email))
  expect(did).toEqual({
    signUp: 201,
    make: [201, 201, 201],
    list: ['c', 'b', 'a'],
    hasRenewed: true,
    update: 'A',
    delete: 204,
    refused: 'TASK_NOT_FOUND',
    outage: 'NO_ANSWER',
    sync: ['A', 'c'],
    left: 0,
  })
  expect(keys).toEqual([
    expect.stringMatching(UUID),
    expect.stringMatching(UUID),
    expect.stringMatching(UUID),
  ])
  expect(new Set(keys).size).toBe(3)
})

describe('an id', () => {
  const secure = crypto
  const provide = (value: unknown) =>
    Object.defineProperty(globalThis, 'crypto', { value, configurable: true })
  const getRandomValues = <T extends ArrayBufferView>(bytes: T) => secure.getRandomValues(bytes)

  test.each([
    ['with `randomUUID`', secure, '4'],
    ['with `getRandomValues` alone, as in a page of plain http', { getRandomValues }, '4'],
    ['without `crypto`', undefined, '7'],
  ])('%s is a UUID, and no two are alike', (_, given, version) => {
    provide(given)
    try {
      const ids = Array.from({ length: 10_000 }, uuid)
      for (const id of ids) expect(id).toMatch(UUID)
      expect(new Set(ids.map((id) => id.charAt(14)))).toEqual(new Set([version]))
      expect(new Set(ids.map((id) => id.charAt(19)))).toEqual(new Set('89ab'))
      expect(new Set(ids).size).toBe(ids.length)
    } finally {
      provide(secure)
    }
  })

  test('without `crypto` begins with the time, so that a poor random generator repeats no id', () => {
    provide(undefined)
    using _ = spyOn(Math, 'random').mockReturnValue(0)
    try {
      setSystemTime(new Date('2026-01-02T03:04:05.678Z'))
      expect(uuid()).toBe('019b7ca9-8f2e-7000-8000-000000000000')
      setSystemTime(new Date('2026-01-02T03:04:05.679Z'))
      expect(uuid()).toBe('019b7ca9-8f2f-7000-8000-000000000000')
    } finally {
      setSystemTime()
      provide(secure)
    }
  })
})
