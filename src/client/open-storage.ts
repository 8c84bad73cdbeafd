/** Finds the storages of browsers. */
import { indexedDbStorage } from './indexed-db'
import type { KeyValueStorage } from './storage'

/** A storage of browsers, which the client finds by itself. */
export type StorageName = 'localStorage' | 'indexedDB'

/** @returns undefined if there is none: where pages are prerendered, or if the browser blocks it */
export function openStorage(storage: KeyValueStorage | StorageName | undefined): KeyValueStorage | undefined {
  if (typeof storage === 'object') return storage
  try {
    if (storage === 'indexedDB')
      return typeof indexedDB === 'object' ? orMemory(indexedDbStorage()) : undefined
    if (storage !== 'localStorage') return undefined
    // a blocked storage throws when it is touched
    localStorage.getItem('')
    return localStorage
  } catch {
    return undefined
  }
}

/** Some browsers have a database and refuse to open it: then what is stored lives with the page. */
export function orMemory(storage: KeyValueStorage): KeyValueStorage {
  const memory = inMemory()
  let isOpen = false
  /** After a failure, the next call tries again: it may be the first that writes over what another user has left. */
  async function open(): Promise<KeyValueStorage> {
    try {
      if (!isOpen) await storage.getItem('')
      isOpen = true
      return storage
    } catch {
      return memory
    }
  }
  return {
    getItem: async (key) => (await open()).getItem(key),
    setItem: async (key, value) => (await open()).setItem(key, value),
    removeItem: async (key) => (await open()).removeItem(key),
  }
}

function inMemory(): KeyValueStorage {
  const items = new Map<string, string>()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  }
}
