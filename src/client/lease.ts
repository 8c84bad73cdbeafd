/**
 * Lets one tab of an origin work at a time: by Web Locks or, without them, by a lease in the storage that the tabs
 * share.
 *
 * A storage is not atomic, and a tab may see late what another tab has written. So now and then two tabs hold a lease
 * at once; work that cannot bear this asks `isAlone` first.
 */
import type { TokenStorage } from './session'
import { uuid } from './uuid'

export interface Hold {
  /** Aborted once another tab holds the lease, for example because this one has slept beyond its end. */
  lost: AbortSignal
  /**
   * Whether no other tab is at the same work. With a lease that takes a second and a half, in which other tabs can say
   * so; with Web Locks it is certain at once. Also false if `unless` has become true meanwhile.
   */
  isAlone(): Promise<boolean>
}

export interface LockOptions {
  /** Ends the wait for the lock, and not the work. */
  signal?: AbortSignal
  /** Whether the work is needless: asked while the tab waits, and once more when it has the lock. */
  unless?: () => boolean | Promise<boolean>
}

/** What work without a lock holds, if there is nobody to share with. */
export const ALONE: Hold = { lost: new AbortController().signal, isAlone: async () => true }

/** In milliseconds: how long others wait for a tab that says nothing, such as one that was closed. */
const LIFE = 4000
/** In milliseconds: how often a tab at work says so. Hidden tabs have their timers run once a second. */
const BEAT = 500
/** In milliseconds: longer than another tab takes between reading the storage and writing to it. */
const SETTLE = 50
const LOOK = 50
/** How often, and every how many milliseconds, a tab looks whether another one is at work. */
const LOOKS = 6
const LOOK_FOR_OTHERS = 250

/**
 * Does some work while no other tab does work of the same name.
 *
 * @param storage where the lease is kept, beside what has that name
 * @returns what the work gives; undefined if nothing was done, because of `signal` or `unless`
 * @throws what the work, `unless` or the storage throws
 */
export function withLock<T>(
  name: string,
  storage: TokenStorage,
  work: (hold: Hold) => Promise<T>,
  options: LockOptions = {},
): Promise<T | undefined> {
  const locks = webLocks()
  return locks ? withWebLock(locks, name, work, options) : withLease(name, storage, work, options)
}

/** https://www.w3.org/TR/web-locks/ */
interface Locks {
  request<T>(name: string, options: { signal?: AbortSignal }, work: () => Promise<T>): Promise<T>
}

function webLocks(): Locks | undefined {
  // not every runtime that this is compiled for has it
  return (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
}

async function withWebLock<T>(
  locks: Locks,
  name: string,
  work: (hold: Hold) => Promise<T>,
  { signal, unless }: LockOptions,
): Promise<T | undefined> {
  let isMyTurn = false
  const waiting = locks.request(name, signal ? { signal } : {}, async () => {
    isMyTurn = true
    // Chromium may show a tab what another one has written only after the other one's lock
    await pause(SETTLE)
    return signal?.aborted || (await unless?.()) ? undefined : work(ALONE)
  })
  return waiting.catch((error: unknown) => {
    if (signal?.aborted && !isMyTurn) return undefined
    throw error
  })
}

async function withLease<T>(
  name: string,
  storage: TokenStorage,
  work: (hold: Hold) => Promise<T>,
  { signal, unless = () => false }: LockOptions,
): Promise<T | undefined> {
  const lease = createLease(`${name} lease`, storage)
  while (!signal?.aborted) {
    if (await unless()) return undefined
    if (await lease.take()) return workWith(lease, work, signal, unless)
    await pause(LOOK)
  }
  return undefined
}

async function workWith<T>(
  lease: ReturnType<typeof createLease>,
  work: (hold: Hold) => Promise<T>,
  signal: AbortSignal | undefined,
  unless: NonNullable<LockOptions['unless']>,
): Promise<T | undefined> {
  const lost = new AbortController()
  let isOver = false
  let isAsking = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let beating: Promise<void> = Promise.resolve()
  const beat = async () => {
    if (!isAsking && !(await lease.keep())) lost.abort()
    if (!isOver) timer = setTimeout(start, BEAT)
  }
  function start() {
    // a storage that fails lets the lease end by itself
    beating = beat().catch(() => {})
  }
  async function isAlone(): Promise<boolean> {
    isAsking = true
    try {
      await lease.ask()
      for (let look = 0; look < LOOKS; look++) {
        await pause(LOOK_FOR_OTHERS)
        if ((await unless()) || !(await lease.isMine())) return false
      }
      return true
    } finally {
      isAsking = false
    }
  }
  timer = setTimeout(start, BEAT)
  try {
    return signal?.aborted || (await unless()) ? undefined : await work({ lost: lost.signal, isAlone })
  } finally {
    isOver = true
    clearTimeout(timer)
    // what it writes would outlive the end
    await beating
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
    isMine,
    /** @returns whether it is mine now */
    async take(): Promise<boolean> {
      if (await read()) return false
      await write()
      await pause(SETTLE)
      return isMine()
    },
    /** @returns false if another tab holds it */
    async keep(): Promise<boolean> {
      const lease = await read()
      // what another tab holds is taken back only to tell it, if it asks, that somebody else is at work
      if (!lease || lease.holder === me || lease.asks) await write()
      return !lease || lease.holder === me
    },
    /** Has others at work take the lease, so that it is no longer mine. */
    ask: () => write({ asks: true }),
    async end(): Promise<void> {
      if (parse(await storage.getItem(key))?.holder === me) await storage.removeItem(key)
    },
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

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds))
}
