/** How many requests a minute each client may make: counted in memory, or for many processes together in Redis. */
import type { Settings } from '../settings'
import { type Policy, type Used, WINDOW_SECONDS } from './policy'
import type { RedisCounter } from './redis'

export interface Budget {
  policy: Policy
  limit: number
  remaining: number
  /** Seconds until it is full again, at least 1. */
  reset: number
  /** This request is over the limit; where none was counted, the next would be. */
  isSpent: boolean
}

export interface Counter {
  /**
   * Counts one request and says what is left; never throws, whatever Redis does.
   *
   * @param points 0 only looks
   */
  take(policy: Policy, key: string, points?: number): Budget | Promise<Budget>
  close(): Promise<void>
}

type LimitSettings = Pick<Settings, 'rateLimitPerMinute' | 'authRateLimitPerMinute'>

interface Options {
  /** Where many processes count together; left out, each counts for itself. */
  shared?: RedisCounter | undefined
  /** For tests, which cannot wait for minutes. */
  windowSeconds?: number
  /** How many keys of a policy are kept in memory. */
  maxKeys?: number
}

/** From the first request of a key on. */
interface Window {
  consumed: number
  /** In milliseconds since 1970. */
  endsAt: number
}

/**
 * Counts in memory, for each request at once and without a promise. Forgets the keys that were longest unused when there
 * are too many, but none that has reached its limit: an account is tried from many addresses, and must not be forgotten
 * because of them.
 */
class Windows {
  // two maps instead of one in order of use: the first entry of a map that lost its first ones is slow to find
  #recent = new Map<string, Window>()
  #older = new Map<string, Window>()
  readonly #limit: number
  readonly #duration: number
  readonly #maxRecent: number

  /** @param duration in milliseconds */
  constructor(limit: number, duration: number, maxKeys: number) {
    this.#limit = limit
    this.#duration = duration
    this.#maxRecent = maxKeys / 2
  }

  /** @param points 0 only looks */
  count(key: string, points: number): Used {
    const now = Date.now()
    const known = this.#recent.get(key) ?? this.#older.get(key)
    const window = known && known.endsAt > now ? known : { consumed: 0, endsAt: now + this.#duration }
    if (points > 0) {
      window.consumed += points
      this.#keep(key, window, now)
    }
    return { consumed: window.consumed, endsIn: window.consumed > 0 ? window.endsAt - now : 0 }
  }

  #keep(key: string, window: Window, now: number): void {
    if (this.#recent.size >= this.#maxRecent) this.#forgetOlder(now)
    this.#recent.set(key, window)
  }

  #forgetOlder(now: number): void {
    const kept = new Map<string, Window>()
    for (const [key, window] of this.#older) {
      const isSpent = window.consumed >= this.#limit && window.endsAt > now
      if (isSpent && !this.#recent.has(key) && kept.size < this.#maxRecent / 2) kept.set(key, window)
    }
    this.#older = this.#recent
    this.#recent = kept
  }
}

/** Makes what counts requests. */
export function createCounter(
  { rateLimitPerMinute, authRateLimitPerMinute }: LimitSettings,
  { shared, windowSeconds = WINDOW_SECONDS, maxKeys = 50_000 }: Options = {},
): Counter {
  const limitOf = {
    user: rateLimitPerMinute,
    address: rateLimitPerMinute,
    'auth-address': authRateLimitPerMinute,
    'auth-account': authRateLimitPerMinute,
  }
  const windowsOf = (policy: Policy) => new Windows(limitOf[policy], windowSeconds * 1000, maxKeys)
  const memory = {
    user: windowsOf('user'),
    address: windowsOf('address'),
    'auth-address': windowsOf('auth-address'),
    'auth-account': windowsOf('auth-account'),
  }

  function budget(policy: Policy, { consumed, endsIn }: Used, points: number): Budget {
    const limit = limitOf[policy]
    return {
      policy,
      limit,
      remaining: Math.max(limit - consumed, 0),
      reset: Math.max(Math.ceil(endsIn / 1000), 1),
      isSpent: consumed + (points === 0 ? 1 : 0) > limit,
    }
  }
  async function takeShared(counts: RedisCounter, policy: Policy, key: string, points: number) {
    const used = await counts.count(policy, key, points)
    return budget(policy, used ?? memory[policy].count(key, points), points)
  }

  return {
    take(policy, key, points = 1) {
      if (shared) return takeShared(shared, policy, key, points)
      return budget(policy, memory[policy].count(key, points), points)
    },
    async close() {
      shared?.close()
    },
  }
}

/**
 * Adds a budget to an answer's headers.
 *
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/
 */
export function addLimit(
  headers: Record<string, string | number | undefined>,
  { policy, limit, remaining, reset }: Budget,
): void {
  // of several, the first is there already
  const { ratelimit, 'ratelimit-policy': policies } = headers
  const left = `"${policy}";r=${remaining};t=${reset}`
  const rule = `"${policy}";q=${limit};w=${WINDOW_SECONDS}`
  headers['ratelimit'] = ratelimit === undefined ? left : `${ratelimit}, ${left}`
  headers['ratelimit-policy'] = policies === undefined ? rule : `${policies}, ${rule}`
}
