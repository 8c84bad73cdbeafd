/**
 * Lets one tab of an origin work at a time, by a lease in the storage that the tabs share.
 *
 * A storage is not atomic, and a tab may see late what another tab has written. So two tabs sometimes hold the lease at
 * once. Work that must not run twice asks `isAlone` first.
 */
import { type KeyValueStorage, parseStored } from './storage'
import { uuid } from './uuid'
import { pause } from './wait'

export interface Hold {
  /**
   * Whether no other tab does the same work. With a lease this takes 1.5 s, in which other tabs can answer; with Web
   * Locks the answer is certain and comes at once. Also false if the work has become needless meanwhile.
   */
  isAlone(): Promise<boolean>
}

/** For work that no other tab can be doing. */
export const ALONE: Hold = { isAlone: async () => true }

export type Work<T> = (hold: Hold) => Promise<T>
export type Check = () => Promise<boolean>

/** In milliseconds: how long other tabs wait for a holder that no longer renews its lease, such as a closed tab. */
const LIFE = 4000
/**
 * In milliseconds: how often the holder renews its lease. Browsers run the timers of hidden tabs once a second, and
 * after some minutes once a minute; then another tab may take the lease, and `isAlone` finds that out.
 */
const BEAT = 500
/** In milliseconds: longer than another tab takes between reading the storage and writing to it. */
export const SETTLE = 50
/** In milliseconds: how often a tab looks whether the lease is free. */
const LOOK = 50
/** How many times, and how many milliseconds apart, `isAlone` looks for other tabs. */
const LOOKS_FOR_OTHERS = 6
const LOOK_FOR_OTHERS = 250

/** Does some work while this tab holds the lease of that key; see `withLock`. */
export async function withLease<T>(
  key: string,
  storage: KeyValueStorage,
  isNeedless: Check,
  work: Work<T>,
): Promise<T | undefined> {
  const lease = createLease(key, storage)
  for (;;) {
    if (await isNeedless()) return undefined
    // a full storage cannot keep a lease: the work is done without one
    if (await lease.take().catch(() => true)) break
    await pause(LOOK)
  }
  const stop = repeatedly(lease.keep)
  try {
    if (await isNeedless()) return undefined
    return await work({ isAlone: () => lease.isAlone(isNeedless) })
  } finally {
    await stop()
    // if the storage fails, the lease ends by itself
    await lease.end().catch(() => {})
  }
}

interface Lease {
  holder: string
  /** In milliseconds since 1970, by the clock that all tabs share. */
  until: number
  /** The holder asks whether another tab does the same work. */
  asks?: boolean
}

/**
 * One tab's side of a lease. A tab that finds the lease free writes its name, waits until every tab can see that, and
 * works if its name is still there: of several tabs that wrote at once, only the last one finds its name (Fischer's
 * algorithm, in L. Lamport, "A Fast Mutual Exclusion Algorithm", 1987).
 */
function createLease(key: string, storage: KeyValueStorage) {
  const me = uuid()
  let isAsking = false

  /** @returns undefined if no tab holds it */
  async function read(): Promise<Lease | undefined> {
    const lease = parse(await storage.getItem(key))
    const left = lease ? lease.until - Date.now() : 0
    // a lease that ends later than this was written before the clock was set back
    return left > 0 && left <= LIFE ? lease : undefined
  }
  async function write(more: Partial<Lease> = {}): Promise<void> {
    await storage.setItem(key, JSON.stringify({ holder: me, until: Date.now() + LIFE, ...more }))
  }
  async function isMine(): Promise<boolean> {
    return (await read())?.holder === me
  }
  /** Also true if the lease is over. */
  async function isLastHolder(): Promise<boolean> {
    return parse(await storage.getItem(key))?.holder === me
  }

  return {
    /** @returns whether this tab has the lease now */
    async take(): Promise<boolean> {
      if (await read()) return false
      await write()
      await pause(SETTLE)
      // in a hidden tab, the pause may take longer than the lease lives
      return isLastHolder()
    },
    async keep(): Promise<void> {
      if (isAsking) return
      const lease = await read()
      // another tab's lease is left alone, unless that tab asks whether others are at work
      if (!lease || lease.holder === me || lease.asks) await write()
    },
    /** Asks other tabs: a tab that is at work answers by taking the lease. */
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
      if (await isLastHolder()) await storage.removeItem(key)
    },
  }
}

/** @returns stops the beats, and waits for one that is under way */
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

function parse(text: string | null): Lease | undefined {
  const { holder, until, asks } = parseStored(text)
  return typeof holder === 'string' && typeof until === 'number'
    ? { holder, until, asks: asks === true }
    : undefined
}
