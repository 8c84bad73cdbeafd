/** Decides which limit a request counts under, and tells the client how much of it is left. */
import { Elysia } from 'elysia'
import { appendHeader } from '../http/headers'
import { Problem } from '../http/problems'
import { type Answer, type Arrival, contextOf } from '../http/request-context'
import type { ServerState } from '../http/server-state'
import type { Metrics } from '../telemetry/metrics'
import { clientAddress } from './client-address'
import type { Budget, Counter } from './counter'
import { type Policy, WINDOW_SECONDS } from './policy'

export interface RateLimiter {
  /** Counts a request without a known user, for its address. @throws Problem RATE_LIMITED */
  anonymous(arrival: Arrival): Promise<void>
  /** Counts a signed-in request. @returns a function that throws Problem RATE_LIMITED if it is one too many */
  user(arrival: Arrival, userId: string): Promise<() => void>
  /** Counts more for a request that was counted once. @throws Problem RATE_LIMITED */
  more(arrival: Arrival, userId: string, points: number): Promise<void>
  /** Counts an attempt to sign in for its address. @throws Problem RATE_LIMITED */
  signIn(arrival: Arrival): Promise<void>
  /** Counts a check of a password for the account. @throws Problem RATE_LIMITED */
  password(arrival: Arrival, account: string): Promise<void>
  /** Counts a message to the assistant. @throws Problem RATE_LIMITED */
  chat(arrival: Arrival, userId: string): Promise<void>
  /** Tells what the address has left, without counting. */
  peek(arrival: Arrival): Promise<void>
  /** Counts a request that was not counted yet, for its address. @param isOurs we are at fault: it does not count */
  unrouted(arrival: Arrival, isOurs: boolean): Promise<void>
}

interface Deps {
  counter: Counter
  /** How many of the last entries of `X-Forwarded-For` were written by proxies of ours. */
  trustedProxyHops: number
  metrics: Metrics | undefined
  serverState: ServerState
}

export function createRateLimiter({ counter, trustedProxyHops, metrics, serverState }: Deps): RateLimiter {
  const addressOf = ({ request }: Arrival) =>
    clientAddress(
      serverState.server?.requestIP(request)?.address,
      request.headers.get('x-forwarded-for'),
      trustedProxyHops,
    )
  async function take({ request, set }: Arrival, policy: Policy, key: string, points = 1) {
    const budget = await counter.take(policy, key, points)
    contextOf(request).isCounted = true
    addLimit(set.headers, budget)
    return () => {
      if (!budget.isSpent) return
      metrics?.limited(policy)
      throw new Problem('RATE_LIMITED', { headers: { 'retry-after': String(budget.reset) } })
    }
  }
  return {
    anonymous: async (arrival) => (await take(arrival, 'address', addressOf(arrival)))(),
    user: (arrival, userId) => take(arrival, 'user', userId),
    async more(arrival, userId, points) {
      if (points === 0) return
      for (const name of ['ratelimit', 'ratelimit-policy']) delete arrival.set.headers[name]
      const refuseTooMany = await take(arrival, 'user', userId, points)
      refuseTooMany()
    },
    signIn: async (arrival) => (await take(arrival, 'auth-address', addressOf(arrival)))(),
    password: async (arrival, account) => (await take(arrival, 'auth-account', account))(),
    chat: async (arrival, userId) => (await take(arrival, 'chat', userId))(),
    async peek(arrival) {
      await take(arrival, 'address', addressOf(arrival), 0)
    },
    async unrouted(arrival, isOurs) {
      if (contextOf(arrival.request).isCounted) return
      await take(arrival, 'address', addressOf(arrival), isOurs ? 0 : 1)
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

/** For pages that need no token. */
export function limitAnonymous(rateLimiter: RateLimiter) {
  return new Elysia({ name: 'limit-anonymous' }).derive({ as: 'scoped' }, async ({ request, set }) => {
    await rateLimiter.anonymous({ request, set })
  })
}

/** Counts what no route has counted, such as 404 and 405. */
export function countUnrouted(rateLimiter: RateLimiter) {
  return new Elysia({ name: 'count-unrouted' }).onError({ as: 'global' }, async ({ error, request, set }) => {
    await rateLimiter.unrouted({ request, set }, error instanceof Problem && error.status === 503)
  })
}
