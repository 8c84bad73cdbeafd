/** A request and its answer, and what is known of them while they are under way. */
import { type Statement, timeLeft, type Waiter } from '../database/database'
import type { Budget } from './limits'
import { Problem } from './problems'

export interface Exchange extends Waiter {
  /** The header `X-Request-Id`. */
  id: string
  /** On the clock of `performance.now()`, in milliseconds. */
  startedAt: number
  /** Once it is known who is calling. */
  userId: string | undefined
  statements: Statement[]
  /** The limits that it has been counted under. */
  budgets: Budget[]
}

const exchanges = new WeakMap<Request, Exchange>()

/** RFC 9110 section 9.2.1. */
const SAFE = new Set(['GET', 'HEAD'])

/** @param timeout how long it may take, in milliseconds */
export function beginExchange(request: Request, id: string, timeout: number): Exchange {
  const startedAt = performance.now()
  const statements: Statement[] = []
  const exchange: Exchange = {
    id,
    startedAt,
    deadline: startedAt + timeout,
    isSafe: SAFE.has(request.method),
    // made when it is asked for, which few requests live long enough to do
    get signal() {
      return request.signal
    },
    onStatement: (statement) => statements.push(statement),
    userId: undefined,
    statements,
    budgets: [],
  }
  exchanges.set(request, exchange)
  return exchange
}

/** The exchange that the request began. */
export function exchangeOf(request: Request): Exchange {
  const exchange = exchanges.get(request)
  if (!exchange) throw new Error('The request has not begun')
  return exchange
}

/**
 * Waits as long as the request may, and no longer.
 *
 * @throws Problem of the code `late` where that is not long enough
 */
export async function inTime<T>(
  request: Request,
  promise: Promise<T>,
  late: 'REQUEST_TIMEOUT' | 'OVERLOADED',
): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Problem(late)), timeLeft(exchangeOf(request)))
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}
