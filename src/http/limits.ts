/** How many requests a minute each client may make: counted in memory, or for many processes together in Redis. */
import { hash } from 'node:crypto'
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible'
import type { Settings } from '../settings'
import type { Call, SharedCounts } from './shared-counts'

/** `user`: signed-in requests; `address`: all others; `auth-address` and `auth-account`: what signs in. */
export type Policy = 'user' | 'address' | 'auth-address' | 'auth-account'

export interface Budget {
  policy: Policy
  limit: number
  remaining: number
  /** Seconds until it is full again, at least 1. */
  reset: number
  /** This request is over the limit; where none was counted, the next would be. */
  isSpent: boolean
}

export interface Limits {
  /**
   * Counts one request and says what is left; never throws, whatever Redis does.
   *
   * @param points 0 only looks
   */
  take(policy: Policy, key: string, points?: number): Promise<Budget>
  close(): Promise<void>
}

type LimitSettings = Pick<Settings, 'rateLimitPerMinute' | 'authRateLimitPerMinute'>

const WINDOW_SECONDS = 60

interface Options {
  /** Where many processes count together; left out, each counts for itself. */
  shared?: SharedCounts | undefined
  /** For tests, which cannot wait for minutes. */
  windowSeconds?: number
  /** How many keys of a policy are kept in memory, at about 0.7 KB each. */
  maxKeys?: number
}

type Limiter = Pick<RateLimiterMemory, 'penalty' | 'get'>
type LimiterOptions = { points: number; duration: number; keyPrefix: string }

/**
 * Forgets the keys that were longest unused when there are too many, but none that is over its limit: an account is
 * tried from many addresses, and must not be forgotten because of them.
 */
class BoundedMemory extends RateLimiterMemory {
  // two sets instead of one in order of use: the first entry of a set that lost its first ones is slow to find
  #recent = new Set<string>()
  #older = new Set<string>()
  /** Until when keys are over their limit, in milliseconds since 1970. */
  readonly #spentUntil = new Map<string, number>()
  readonly #maxRecent: number

  constructor(options: LimiterOptions, maxKeys: number) {
    super(options)
    this.#maxRecent = maxKeys / 2
  }

  override async penalty(key: string, points: number, call?: Call): Promise<RateLimiterRes> {
    if (call) call.isShared = false
    if (this.#recent.size >= this.#maxRecent) this.#forgetOlder()
    this.#recent.add(key)
    const result = await super.penalty(key, points)
    if (result.consumedPoints > this.points) this.#spentUntil.set(key, Date.now() + result.msBeforeNext)
    return result
  }

  override get(key: string, call?: Call): Promise<RateLimiterRes | null> {
    if (call) call.isShared = false
    return super.get(key)
  }

  #forgetOlder(): void {
    const kept = new Set<string>()
    for (const key of this.#older) {
      if (this.#recent.has(key)) continue
      const isSpent = (this.#spentUntil.get(key) ?? 0) > Date.now()
      if (isSpent && kept.size < this.#maxRecent / 2) kept.add(key)
      else this.#forget(key)
    }
    this.#older = this.#recent
    this.#recent = kept
  }

  #forget(key: string): void {
    this.#spentUntil.delete(key)
    void this.delete(key)
  }
}

/** Users and e-mail addresses are not in Redis in the clear. */
function storedKey(policy: Policy, key: string): string {
  if (policy === 'address' || policy === 'auth-address') return key
  return hash('sha256', key, 'base64url').slice(0, 22)
}

/** Makes what counts requests. */
export function createLimits(
  { rateLimitPerMinute, authRateLimitPerMinute }: LimitSettings,
  { shared, windowSeconds = WINDOW_SECONDS, maxKeys = 50_000 }: Options = {},
): Limits {
  function limiterOf(policy: Policy, points: number): Limiter & { points: number } {
    const options = { points, duration: windowSeconds, keyPrefix: '' }
    const memory = new BoundedMemory(options, maxKeys)
    if (shared === undefined) return memory
    return new RateLimiterRedis({
      ...options,
      keyPrefix: `taskwell:${policy}`,
      storeClient: shared.client,
      rejectIfRedisNotReady: true,
      insuranceLimiter: memory,
    })
  }
  const limiters = {
    user: limiterOf('user', rateLimitPerMinute),
    address: limiterOf('address', rateLimitPerMinute),
    'auth-address': limiterOf('auth-address', authRateLimitPerMinute),
    'auth-account': limiterOf('auth-account', authRateLimitPerMinute),
  }

  async function count(limiter: Limiter, key: string, points: number): Promise<RateLimiterRes | null> {
    // `penalty` counts as `consume` does, but past the limit it does not reject
    const ask = (call?: Call) => (points > 0 ? limiter.penalty(key, points, call) : limiter.get(key, call))
    if (shared === undefined) return ask()
    await shared.open()
    const call = { isShared: true }
    const result = await ask(call)
    shared.note(call)
    return result
  }

  return {
    async take(policy, key, points = 1) {
      const limiter = limiters[policy]
      const result = await count(limiter, shared ? storedKey(policy, key) : key, points)
      // a window that has ended may be there for a moment still
      const used = result !== null && result.msBeforeNext > 0 ? result : null
      const consumed = used?.consumedPoints ?? 0
      return {
        policy,
        limit: limiter.points,
        remaining: Math.max(limiter.points - consumed, 0),
        reset: Math.max(Math.ceil((used?.msBeforeNext ?? 0) / 1000), 1),
        isSpent: consumed + (points === 0 ? 1 : 0) > limiter.points,
      }
    },
    async close() {
      shared?.close()
    },
  }
}

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/ */
export function limitHeaders(...budgets: Budget[]): { ratelimit: string; 'ratelimit-policy': string } {
  return {
    ratelimit: budgets
      .map(({ policy, remaining, reset }) => `"${policy}";r=${remaining};t=${reset}`)
      .join(', '),
    'ratelimit-policy': budgets
      .map(({ policy, limit }) => `"${policy}";q=${limit};w=${WINDOW_SECONDS}`)
      .join(', '),
  }
}
