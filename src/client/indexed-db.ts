/** IndexedDB as a storage: it takes far more than `localStorage`, and does not block the page. */
import type { KeyValueStorage } from './storage'

const DATABASE = 'taskwell'
const STORE = 'items'

/**
 * A storage in the browser's IndexedDB, which is opened when it is first used. Its functions reject if there is none, if
 * the browser refuses it, or if it is full.
 */
export function indexedDbStorage(): KeyValueStorage {
  let opening: Promise<IDBDatabase> | undefined

  function open(): Promise<IDBDatabase> {
    opening ??= openDatabase(() => {
      opening = undefined
    })
    return opening
  }
  async function run<T>(
    mode: IDBTransactionMode,
    work: (store: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T> {
    const transaction = (await open()).transaction(STORE, mode)
    const request = work(transaction.objectStore(STORE))
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error)
    })
  }

  return {
    async getItem(key) {
      const value: unknown = await run('readonly', (store) => store.get(key))
      return typeof value === 'string' ? value : null
    },
    setItem: (key, value) => run('readwrite', (store) => store.put(value, key)),
    removeItem: (key) => run('readwrite', (store) => store.delete(key)),
  }
}

/** @param onClose called when the database has to be opened again before its next use */
function openDatabase(onClose: () => void): Promise<IDBDatabase> {
  return new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE)
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const database = request.result
      database.onclose = onClose
      // otherwise this page would block another one that deletes the database
      database.onversionchange = () => {
        database.close()
        onClose()
      }
      resolve(database)
    }
  }).catch((error: unknown) => {
    onClose()
    throw error
  })
}
