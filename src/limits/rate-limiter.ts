/** Which limit a request counts under, and what is said of it in the answer. */
import { Elysia } from 'elysia'
import { clientAddress } from './client-address'
import { exchangeOf } from '../http/request-context'
import { addLimit, type Limits, type Policy } from './counter'
import type { Metrics } from '../telemetry/metrics'
import { Problem } from '../http/problems'
import type { Traffic } from '../http/server-state'

/** What of Elysia's context is needed. */
export interface Arrival {
  request: Request
  set: { headers: Record<string, string | number | undefined> }
}

export interface Throttle {
  /** Counts a request of nobody known for its address. @throws Problem RATE_LIMITED */
  stranger(arrival: Arrival): Promise<void>
  /** Counts a signed-in request. @returns what throws Problem RATE_LIMITED if it is one too many */
  user(arrival: Arrival, userId: string): Promise<() => void>
  /** Counts a try to sign in for its address. @throws Problem RATE_LIMITED */
  signIn(arrival: Arrival): Promise<void>
  /** Counts a check of a password for the account. @throws Problem RATE_LIMITED */
  password(arrival: Arrival, account: string): Promise<void>
  /** Only says what the address has left. */
  look(arrival: Arrival): Promise<void>
  /** Counts for its address what was not counted yet, and refuses nothing. @param isOurs the fault: only looks */
  rest(arrival: Arrival, isOurs: boolean): Promise<void>
}

interface Deps {
  limits: Limits
  /** How many entries of `X-Forwarded-For` are proxies' of ours. */
  trustedProxyHops: number
  metrics: Metrics | undefined
  traffic: Traffic
}

export function createThrottle({ limits, trustedProxyHops, metrics, traffic }: Deps): Throttle {
  const addressOf = ({ request }: Arrival) =>
    clientAddress(
      traffic.server?.requestIP(request)?.address,
      request.headers.get('x-forwarded-for'),
      trustedProxyHops,
    )
  async function take({ request, set }: Arrival, policy: Policy, key: string, points = 1) {
    const budget = await limits.take(policy, key, points)
    exchangeOf(request).isCounted = true
    addLimit(set.headers, budget)
    return () => {
      if (!budget.isSpent) return
      metrics?.limited(policy)
      throw new Problem('RATE_LIMITED', { headers: { 'retry-after': String(budget.reset) } })
    }
  }
  return {
    stranger: async (arrival) => (await take(arrival, 'address', addressOf(arrival)))(),
    user: (arrival, userId) => take(arrival, 'user', userId),
    signIn: async (arrival) => (await take(arrival, 'auth-address', addressOf(arrival)))(),
    password: async (arrival, account) => (await take(arrival, 'auth-account', account))(),
    async look(arrival) {
      await take(arrival, 'address', addressOf(arrival), 0)
    },
    async rest(arrival, isOurs) {
      if (!exchangeOf(arrival.request).isCounted)
        await take(arrival, 'address', addressOf(arrival), isOurs ? 0 : 1)
    },
  }
}

/** For pages that everybody may see. */
export function forStrangers(throttle: Throttle) {
  return new Elysia({ name: 'for-strangers' }).derive({ as: 'scoped' }, async ({ request, set }) => {
    await throttle.stranger({ request, set })
  })
}

/** Counts what was answered before anybody asked for whom: paths and methods that there are not. */
export function countRest(throttle: Throttle) {
  return new Elysia({ name: 'count-rest' }).onError({ as: 'global' }, async ({ error, request, set }) => {
    await throttle.rest({ request, set }, error instanceof Problem && error.status === 503)
  })
}
