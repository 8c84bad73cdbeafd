/** Locks between the tabs of an origin: Web Locks or, without them, a lease. */
import { ALONE, type Check, SETTLE, type Work, withLease } from './lease'
import type { KeyValueStorage } from './storage'
import { pause } from './wait'

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

/**
 * Does some work while no other tab does work of the same name.
 *
 * @param storage where the lease is kept if there are no Web Locks
 * @param isNeedless asked while the tab waits, and once more when it has the lock
 * @returns what the work gives; undefined if it was needless, and not done
 * @throws what the work, `isNeedless` or the storage throws
 */
export function withLock<T>(
  name: string,
  storage: KeyValueStorage,
  isNeedless: Check,
  work: Work<T>,
): Promise<T | undefined> {
  const lease = () => withLease(`${name} lease`, storage, isNeedless, work)
  const locks = webLocks()
  if (!locks) return lease()
  let hasBegun = false
  const locked = async () => {
    hasBegun = true
    // Chromium may show a tab what another tab has written only after that tab has released its lock
    await pause(SETTLE)
    return (await isNeedless()) ? undefined : work(ALONE)
  }
  return locks.request(name, locked).catch((error: unknown) => {
    // some frames have locks but may not use them
    if (!hasBegun) return lease()
    throw error
  })
}
