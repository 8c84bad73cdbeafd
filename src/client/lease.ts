/**
 * Lets one tab of an origin work at a time: by Web Locks or, without them, by a lease in the storage that the tabs
 * share.
 *
 * A storage is not atomic, and a tab may see late what another tab has written. So two tabs sometimes hold a lease at
 * once. Work that must not run twice asks `isAlone` first.
 */
import { webLocks } from './locks'
import { pause } from './pause'
import type { TokenStorage } from './session'
import { uuid } from './uuid'

export interface Hold {
  /**
   * Whether no other tab is at the same work. With a lease this takes 1.5 s, in which other tabs can answer; with Web
   * Locks it is certain at once. Also false if the work has become needless meanwhile.
   */
  isAlone(): Promise<boolean>
}

/** For work that needs no lock, because no other tab shares its storage. */
export const ALONE: Hold = { isAlone: async () => true }

/** In milliseconds: how long others wait for a tab that says nothing, such as one that was closed. */
const LIFE = 4000
/**
 * In milliseconds: how often a tab at work says so. Browsers run the timers of hidden tabs once a second, after some
 * minutes once a minute; then another tab may take the lease, and `isAlone` finds that out.
 */
const BEAT = 500
/** In milliseconds: longer than another tab takes between reading the storage and writing to it. */
const SETTLE = 50
/** In milliseconds: how often a tab looks whether the lease is free. */
const LOOK = 50
/** How many times, and how many milliseconds apart, a tab looks for others at work. */
const LOOKS_FOR_OTHERS = 6
const LOOK_FOR_OTHERS = 250

type Work<T> = (hold: Hold) => Promise<T>
type Check = () => Promise<boolean>

/**
 * Does some work while no other tab does work of the same name.
 *
 * @param storage where the lease is kept
 * @param isNeedless asked while the tab waits, and once more when it has the lock
 * @returns what the work gives; undefined if it was needless, and not done
 * @throws what the work, `isNeedless` or the storage throws
 */
export function withLock<T>(
  name: string,
  storage: TokenStorage,
  isNeedless: Check,
  work: Work<T>,
): Promise<T | undefined> {
  const takeLease = () => withLease(createLease(`${name} lease`, storage), isNeedless, work)
  const locks = webLocks()
  if (!locks) return takeLease()
  let hasBegun = false
  const locked = async () => {
    hasBegun = true
    // Chromium may show a tab what another one has written only after the other one's lock
    await pause(SETTLE)
    return (await isNeedless()) ? undefined : work(ALONE)
  }
  return locks.request(name, locked).catch((error: unknown) => {
    // some frames have locks and may not use them
    if (!hasBegun) return takeLease()
    throw error
  })
}

async function withLease<T>(
  lease: ReturnType<typeof createLease>,
  isNeedless: Check,
  work: Work<T>,
): Promise<T | undefined> {
  for (;;) {
    if (await isNeedless()) return undefined
    // a storage that is full keeps no lease, and must not keep the work from being done
    if (await lease.take().catch(() => true)) break
    await pause(LOOK)
  }
  const stop = repeatedly(lease.keep)
  try {
    if (await isNeedless()) return undefined
    return await work({ isAlone: () => lease.isAlone(isNeedless) })
  } finally {
    await stop()
    // a storage that fails lets the lease end by itself
    await lease.end().catch(() => {})
  }
}

interface Lease {
  holder: string
  /** In milliseconds since 1970, by the clock that all tabs share. */
  until: number
  /** The holder asks whether another tab is at work. */
  asks?: boolean
}

/**
 * One tab's side of a lease. A tab that finds the lease free writes its name, waits until every tab can see that, and
 * works if its name is still there: of several tabs that wrote at once, only the last finds it (Fischer's algorithm,
 * in L. Lamport, "A Fast Mutual Exclusion Algorithm", 1987).
 */
function createLease(key: string, storage: TokenStorage) {
  const me = uuid()
  let isAsking = false

  /** @returns undefined if nobody holds it */
  async function read(): Promise<Lease | undefined> {
    const lease = parse(await storage.getItem(key))
    const left = lease ? lease.until - Date.now() : 0
    // a clock that was set back would keep it for ever
    return left > 0 && left <= LIFE ? lease : undefined
  }
  async function write(more: Partial<Lease> = {}): Promise<void> {
    await storage.setItem(key, JSON.stringify({ holder: me, until: Date.now() + LIFE, ...more }))
  }
  async function isMine(): Promise<boolean> {
    return (await read())?.holder === me
  }

  return {
    /** @returns whether this tab has the lease now */
    async take(): Promise<boolean> {
      if (await read()) return false
      await write()
      await pause(SETTLE)
      // also if a hidden tab's pause took longer than the lease lives
      return parse(await storage.getItem(key))?.holder === me
    },
    async keep(): Promise<void> {
      if (isAsking) return
      const lease = await read()
      // leave another tab's lease alone, unless that tab asks whether others are at work
      if (!lease || lease.holder === me || lease.asks) await write()
    },
    /** Asks other tabs: one that is at work answers by taking the lease. */
    async isAlone(isNeedless: Check): Promise<boolean> {
      isAsking = true
      try {
        await write({ asks: true })
        for (let look = 0; look < LOOKS_FOR_OTHERS; look++) {
          await pause(LOOK_FOR_OTHERS)
          if ((await isNeedless()) || !(await isMine())) return false
        }
        return true
      } finally {
        isAsking = false
      }
    },
    async end(): Promise<void> {
      if (parse(await storage.getItem(key))?.holder === me) await storage.removeItem(key)
    },
  }
}

/** @returns stops it, and waits for what is under way */
function repeatedly(beat: () => Promise<void>): () => Promise<void> {
  let isOver = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let beating: Promise<void> = Promise.resolve()
  function next(): void {
    if (isOver) return
    timer = setTimeout(() => {
      beating = beat().then(next, next)
    }, BEAT)
  }
  next()
  return async () => {
    isOver = true
    clearTimeout(timer)
    await beating
  }
}

/** A storage holds whatever was put there. */
function parse(text: string | null): Lease | undefined {
  try {
    const { holder, until, asks } = JSON.parse(text ?? '')
    return typeof holder === 'string' && typeof until === 'number' ? { holder, until, asks } : undefined
  } catch {
    return undefined
  }
}
