/** What `createClient` takes. */
import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { createClient, RequestError, unwrap } from '../../src/client/index'
import { indexedDbStorage } from '../../src/client/indexed-db'
import { openStorage, orMemory } from '../../src/client/open-storage'
import { testApp } from '../support/app'
import { memoryStorage } from '../support/memory-storage'

const { app } = await testApp()
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
const url = String(app.server?.url)

function provide(name: 'localStorage' | 'indexedDB', property: PropertyDescriptor): void {
  Object.defineProperty(globalThis, name, { configurable: true, ...property })
}
afterEach(() => {
  Reflect.deleteProperty(globalThis, 'localStorage')
  Reflect.deleteProperty(globalThis, 'indexedDB')
})

const blocked = () => {
  throw new DOMException('The operation is insecure.', 'SecurityError')
}

describe('the address', () => {
  test.each([
    undefined,
    null,
    '',
    ' ',
    '/api',
    'tasks.example',
    'localhost:8000',
    'ftp://tasks.example',
    'https://',
  ])('that is %p throws an error that says what is wanted', (address) => {
    const create = () => createClient(address as string)
    expect(create).toThrow(TypeError)
    expect(create).toThrow(
      `createClient needs the server's address, such as 'https://tasks.example', and got ${JSON.stringify(address)}`,
    )
  })

  test.each([
    'http://localhost:8000',
    'HTTPS://tasks.example/',
    'https://example.com/below/it',
    'http://[::1]:8000',
  ])('may be %p', (address) => {
    expect(() => createClient(address)).not.toThrow()
  })
})

test('every option may be undefined', async () => {
  const client = createClient(url, {
    token: undefined,
    storage: undefined,
    fetcher: undefined,
    retries: undefined,
    timeoutMs: undefined,
  })
  expect((await unwrap(client.health.get())).status).toBe('healthy')
})

describe('a storage by its name', () => {
  test('keeps a user signed in', async () => {
    const storage = memoryStorage()
    provide('localStorage', { value: storage })
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    await createClient(url, { storage: 'localStorage' }).signUp(account)
    expect(storage.content.size).toBe(1)
    expect(createClient(url, { storage: 'localStorage' }).session.user?.email).toBe(account.email)
  })

  test.each(['localStorage', 'indexedDB'] as const)(
    '`%s` is done without where there is none',
    async (name) => {
      const { session } = createClient(url, { storage: name })
      expect(session.status).toBe('signed-out')
      expect((await session.ready).status).toBe('signed-out')
    },
  )

  test('is done without if it throws when it is touched', () => {
    provide('localStorage', { get: blocked })
    expect(createClient(url, { storage: 'localStorage' }).session.status).toBe('signed-out')
    provide('localStorage', { value: { ...memoryStorage(), getItem: blocked } })
    expect(createClient(url, { storage: 'localStorage' }).session.status).toBe('signed-out')
    provide('indexedDB', { get: blocked })
    expect(createClient(url, { storage: 'indexedDB' }).session.status).toBe('signed-out')
  })

  test('lives with the page if the database cannot be opened', async () => {
    provide('indexedDB', {
      value: {
        open() {
          const request = { error: new DOMException('refused', 'InvalidStateError'), onerror: () => {} }
          queueMicrotask(() => request.onerror())
          return request
        },
      },
    })
    await expect(Promise.resolve(indexedDbStorage().getItem(''))).rejects.toThrow('refused')
    const storage = openStorage('indexedDB')
    await storage?.setItem('key', 'text')
    expect(await storage?.getItem('key')).toBe('text')
    await storage?.removeItem('key')
    expect(await storage?.getItem('key')).toBeNull()
    const client = createClient(url, { storage: 'indexedDB' })
    expect(client.session.status).toBe('loading')
    await client.signUp({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })
    expect((await client.api.v1.users.me.get()).data?.id).toBe(String(client.session.user?.id))
  })
})

test('a database that opens at the second try is used then', async () => {
  const opened = new Map<string, string>()
  let tries = 0
  const storage = orMemory({
    getItem(key) {
      if (++tries === 1) throw new Error('refused')
      return opened.get(key) ?? null
    },
    setItem: (key, value) => opened.set(key, value),
    removeItem: (key) => opened.delete(key),
  })
  opened.set('key', 'of an earlier user')
  expect(await storage.getItem('key')).toBeNull()
  await storage.setItem('key', 'of the next one')
  expect(opened.get('key')).toBe('of the next one')
})

describe('`unwrap`', () => {
  const signedUp = async () => {
    const client = createClient(url)
    await client.signUp({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })
    return client
  }

  test('gives the data of a call', async () => {
    const { api } = await signedUp()
    const task = await unwrap(api.v1.todos.post({ title: 'Buy milk' }))
    expect(task.title).toBe('Buy milk')
    expect(await unwrap(api.v1.todos.get())).toEqual([task])
    expect((await unwrap(api.v1.todos({ id: task.id }).delete())) as unknown).toBe('')
  })

  test('throws the problem of a call, with its code', async () => {
    const { api } = await signedUp()
    const error = await unwrap(api.v1.todos({ id: 1 }).get()).catch((thrown: unknown) => thrown)
    if (!(error instanceof RequestError)) throw new Error('expected a RequestError', { cause: error })
    expect({ status: error.status, code: error.code }).toEqual({ status: 404, code: 'TASK_NOT_FOUND' })
    expect(error.message).toBe(error.problem?.detail ?? '')
  })

  test('throws NO_ANSWER for a call without an answer, and for the answer of a proxy', async () => {
    const codeOf = async (fetcher: () => Promise<Response>) => {
      const client = createClient(url, { fetcher, retries: 0 })
      const error = await unwrap(client.api.v1.todos.get()).catch((thrown: unknown) => thrown)
      return error instanceof RequestError && [error.status, error.code]
    }
    expect(await codeOf(() => Promise.reject(new Error('gone')))).toEqual([503, 'NO_ANSWER'])
    expect(await codeOf(async () => new Response('<h1>', { status: 502 }))).toEqual([502, 'NO_ANSWER'])
  })
})

describe('`page`', () => {
  const signedUp = async (count: number) => {
    const client = createClient(url)
    await client.signUp({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })
    for (let n = 1; n <= count; n++) await client.api.v1.todos.post({ title: `${n}`, completed: n === 1 })
    return client
  }

  test('gives page after page, each with the number of all', async () => {
    const client = await signedUp(5)
    const seen: object[] = []
    for (let page = await client.page({ limit: 2 }), next = true; next; ) {
      const { tasks, total, hasNext } = page
      seen.push({ titles: tasks.map(({ title }) => title), total, hasNext })
      const following = await page.next()
      next = following !== undefined
      page = following ?? page
    }
    expect(seen).toEqual([
      { titles: ['5', '4'], total: 5, hasNext: true },
      { titles: ['3', '2'], total: 5, hasNext: true },
      { titles: ['1'], total: 5, hasNext: false },
    ])
  })

  test('keeps its query, and counts what fits it', async () => {
    const { page } = await signedUp(4)
    const first = await page({ status: 'pending', sort: 'title', limit: 2 })
    expect({ titles: first.tasks.map(({ title }) => title), total: first.total }).toEqual({
      titles: ['2', '3'],
      total: 3,
    })
    const second = await first.next()
    expect(second?.tasks.map(({ title }) => title)).toEqual(['4'])
    // a page can be turned more than once
    expect(await first.next()).toMatchObject({ tasks: second?.tasks ?? [] })
  })

  test('of no tasks is empty, and the last', async () => {
    const { page } = await signedUp(0)
    const only = await page()
    expect([only.tasks, only.total, only.hasNext, await only.next()]).toEqual([[], 0, false, undefined])
  })

  test('throws a RequestError', async () => {
    const error = await createClient(url)
      .page()
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RequestError)
    expect(error).toMatchObject({ status: 401, code: 'TOKEN_MISSING' })
  })
})
