import { afterEach, expect, test } from 'bun:test'
import { IDBFactory } from 'fake-indexeddb'
import { indexedDbStorage } from '../../src/client/indexed-db'

function useDatabase(indexedDB: unknown): void {
  Object.assign(globalThis, { indexedDB })
}
afterEach(() => {
  Reflect.deleteProperty(globalThis, 'indexedDB')
})

test('what is stored is there for the next page, until it is removed', async () => {
  useDatabase(new IDBFactory())
  const storage = indexedDbStorage()
  expect(await storage.getItem('a')).toBeNull()
  await storage.setItem('a', 'text')
  const next = indexedDbStorage()
  expect(await next.getItem('a')).toBe('text')
  await next.removeItem('a')
  expect(await storage.getItem('a')).toBeNull()
})

test('another page may delete the database, and this one opens it again', async () => {
  const factory = new IDBFactory()
  useDatabase(factory)
  const storage = indexedDbStorage()
  await storage.setItem('a', 'text')
  await new Promise<void>((resolve, reject) => {
    const request = factory.deleteDatabase('taskwell')
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
    request.onblocked = () => reject(new Error('blocked'))
  })
  expect(await storage.getItem('a')).toBeNull()
})

test('a browser that refuses is asked again the next time', async () => {
  const factory = new IDBFactory()
  let refusals = 0
  useDatabase({
    open(name: string, version: number) {
      if (refusals++ > 0) return factory.open(name, version)
      const request: { error: Error; onerror?: () => void } = { error: new Error('refused') }
      queueMicrotask(() => request.onerror?.())
      return request
    },
  })
  const storage = indexedDbStorage()
  await expect(Promise.resolve(storage.getItem('a'))).rejects.toThrow('refused')
  expect(await storage.getItem('a')).toBeNull()
})

test('what cannot be stored rejects', async () => {
  useDatabase(new IDBFactory())
  const storage = indexedDbStorage()
  await storage.setItem('a', 'text')
  await expect(Promise.resolve(storage.setItem('a', (() => {}) as never))).rejects.toThrow()
})
