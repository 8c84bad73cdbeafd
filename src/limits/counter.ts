/** Counts how many requests a client makes in a minute: in memory, or in Redis for many processes together. */
import { appendHeader } from '../http/headers'
import type { Answer } from '../http/request-context'
import type { Settings } from '../settings'
import { type Policy, type Used, WINDOW_SECONDS } from './policy'
import type { RedisCounter } from './redis'

export interface Budget {
  policy: Policy
  limit: number
  remaining: number
  /** Seconds until it is full again, at least 1. */
  reset: number
  /** This request is over the limit; if none was counted, the next one would be. */
  isSpent: boolean
}

export interface Counter {
  /**
   * Counts one request and says what is left; never throws, whatever Redis does.
   *
   * @param points 0: counts nothing, and says what is left
   */
  take(policy: Policy, key: string, points?: number): Budget | Promise<Budget>
  close(): Promise<void>
}

type LimitSettings = Pick<Settings, 'rateLimitPerMinute' | 'authRateLimitPerMinute'>

interface Options {
  /** In which many processes count together; left out, each counts for itself. */
  shared?: RedisCounter | undefined
  /** For tests, which cannot wait for minutes. */
  windowSeconds?: number
  /** How many keys of a policy are kept in memory. */
  maxKeys?: number
}

/** Begins with the first request of a key. */
interface Window {
  consumed: number
  /** In milliseconds since 1970. */
  endsAt: number
}

/**
 * Counts in memory, without a promise. If there are too many keys, it forgets those that were unused for the longest time,
 * but none that has reached its limit: an attack on one account from many addresses must not make it forget the account.
 */
class Windows {
  // not one map in order of use: after many deletions at its start, the first entry of a map is slow to find
  #recent = new Map<string, Window>()
  #older = new Map<string, Window>()
  readonly limit: number
  readonly #duration: number
  readonly #maxRecent: number

  /** @param duration in milliseconds */
  constructor(limit: number, duration: number, maxKeys: number) {
    this.limit = limit
    this.#duration = duration
    this.#maxRecent = maxKeys / 2
  }

  /** @param points 0: counts nothing */
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
      const isSpent = window.consumed >= this.limit && window.endsAt > now
      if (isSpent && !this.#recent.has(key) && kept.size < this.#maxRecent / 2) kept.set(key, window)
    }
    this.#older = this.#recent
    this.#recent = kept
  }
}

/** Makes the counter of one process. */
export function createCounter(
  { rateLimitPerMinute, authRateLimitPerMinute }: LimitSettings,
  { shared, windowSeconds = WINDOW_SECONDS, maxKeys = 50_000 }: Options = {},
): Counter {
  const windowsOf = (limit: number) => new Windows(limit, windowSeconds * 1000, maxKeys)
  const memory: Record<Policy, Windows> = {
    user: windowsOf(rateLimitPerMinute),
    address: windowsOf(rateLimitPerMinute),
    'auth-address': windowsOf(authRateLimitPerMinute),
    'auth-account': windowsOf(authRateLimitPerMinute),
  }

  function budget(policy: Policy, { consumed, endsIn }: Used, points: number): Budget {
    const { limit } = memory[policy]
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
export function addLimit(headers: Answer['headers'], { policy, limit, remaining, reset }: Budget): void {
  appendHeader(headers, 'ratelimit', `"${policy}";r=${remaining};t=${reset}`)
  appendHeader(headers, 'ratelimit-policy', `"${policy}";q=${limit};w=${WINDOW_SECONDS}`)
}
