/** https://www.w3.org/TR/web-locks/ */
interface Locks {
  request<T>(name: string, work: () => Promise<T>): Promise<T>
  request<T>(name: string, options: { signal: AbortSignal }, work: () => Promise<T>): Promise<T>
}

/** @returns undefined over plain http, and in runtimes that have no Web Locks */
export function webLocks(): Locks | undefined {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } }
  return navigator?.locks
}
