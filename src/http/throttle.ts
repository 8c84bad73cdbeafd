/** Which limit a request counts under, and what is said of it in the answer. */
import type { Server } from 'bun'
import { Elysia } from 'elysia'
import { clientAddress } from './address'
import { exchangeOf } from './exchange'
import { type Limits, limitHeaders, type Policy } from './limits'
import type { Metrics } from './metrics'
import { Problem } from './problems'

/** What of Elysia's context is needed. */
export interface Arrival {
  request: Request
  set: { headers: Record<string, string | number | undefined> }
  server: Server<unknown> | null
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
}

export function createThrottle({ limits, trustedProxyHops, metrics }: Deps): Throttle {
  const addressOf = ({ request, server }: Arrival) =>
    clientAddress(
      server?.requestIP(request)?.address,
      request.headers.get('x-forwarded-for'),
      trustedProxyHops,
    )
  async function take({ request, set }: Arrival, policy: Policy, key: string, points = 1) {
    const { budgets } = exchangeOf(request)
    const budget = await limits.take(policy, key, points)
    budgets.push(budget)
    Object.assign(set.headers, limitHeaders(...budgets))
    return () => {
      if (!budget.isSpent) return
      metrics?.limited(policy)
      throw new Problem('RATE_LIMITED', { headers: { 'retry-after': String(budget.reset) } })
    }
  }
  const isCounted = ({ request }: Arrival) => exchangeOf(request).budgets.length > 0
  return {
    stranger: async (arrival) => (await take(arrival, 'address', addressOf(arrival)))(),
    user: (arrival, userId) => take(arrival, 'user', userId),
    signIn: async (arrival) => (await take(arrival, 'auth-address', addressOf(arrival)))(),
    password: async (arrival, account) => (await take(arrival, 'auth-account', account))(),
    async look(arrival) {
      await take(arrival, 'address', addressOf(arrival), 0)
    },
    async rest(arrival, isOurs) {
      if (!isCounted(arrival)) await take(arrival, 'address', addressOf(arrival), isOurs ? 0 : 1)
    },
  }
}

/** For pages that everybody may see. */
export function forStrangers(throttle: Throttle) {
  return new Elysia({ name: 'for-strangers' }).derive({ as: 'scoped' }, async (context) => {
    await throttle.stranger(context)
  })
}

/** Counts what was answered before anybody asked for whom: paths and methods that there are not. */
export function countRest(throttle: Throttle) {
  return new Elysia({ name: 'count-rest' }).onError({ as: 'global' }, async (context) => {
    const { error } = context
    await throttle.rest(context, error instanceof Problem && error.status === 503)
  })
}
