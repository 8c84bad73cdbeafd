/** Counts how many requests a client makes in a minute: in memory, or in Redis for many processes together. */
import type { Settings } from '../settings'
import { type Policy, type Used, WINDOW_SECONDS } from './policy'
import type { RedisCounter } from './redis'
import { Windows } from './windows'

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
   * Counts one request. Does not throw, even if Redis fails.
   *
   * @param points 0: counts nothing, and says what is left
   */
  take(policy: Policy, key: string, points?: number): Budget | Promise<Budget>
  close(): void
}

type LimitSettings = Pick<
  Settings,
  'rateLimitPerMinute' | 'authRateLimitPerMinute' | 'chatRateLimitPerMinute'
>

interface Options {
  /** In which many processes count together; left out, each counts for itself. */
  shared?: RedisCounter | undefined
  /** For tests, which cannot wait for minutes. */
  windowSeconds?: number
  /** How many keys of a policy are kept in memory. */
  maxKeys?: number
}

/** Makes the counter of one process. */
export function createCounter(
  { rateLimitPerMinute, authRateLimitPerMinute, chatRateLimitPerMinute }: LimitSettings,
  { shared, windowSeconds = WINDOW_SECONDS, maxKeys = 50_000 }: Options = {},
): Counter {
  const windowsOf = (limit: number) => new Windows(limit, windowSeconds * 1000, maxKeys)
  const memory: Record<Policy, Windows> = {
    user: windowsOf(rateLimitPerMinute),
    address: windowsOf(rateLimitPerMinute),
    'auth-address': windowsOf(authRateLimitPerMinute),
    'auth-account': windowsOf(authRateLimitPerMinute),
    chat: windowsOf(chatRateLimitPerMinute),
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
    close: () => shared?.close(),
  }
}
