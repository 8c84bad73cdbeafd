/** Where tokens, leases and tasks are kept. */

/**
 * A storage that outlives the page: `localStorage`, or anything like it that all tabs share. Not `sessionStorage`: a
 * duplicated tab gets a copy, and once one of the two has renewed the tokens, the other's end the session of both.
 */
export interface KeyValueStorage {
  getItem(key: string): string | null | Promise<string | null>
  setItem(key: string, value: string): unknown
  removeItem(key: string): unknown
}

/** Other code may write to the storage too. @returns the members of a JSON object; none for any other text */
export function parseStored(text: string | null | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** Removes what a storage has. If that fails, it stays: a sign-out goes on. */
export async function removeQuietly(storage: KeyValueStorage, key: string): Promise<void> {
  try {
    await storage.removeItem(key)
  } catch {}
}
