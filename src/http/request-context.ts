/** A request and its answer, and what is known of them while they are under way. */
import { type Statement, timeLeft, type Waiter } from '../database/query-context'
import { Problem } from './problems'

/** A class for the sake of its getter: in a literal, one is made anew for each request. */
export class Exchange implements Waiter {
  /** The header `X-Request-Id`. */
  id: string = crypto.randomUUID()
  /** On the clock of `performance.now()`, in milliseconds. */
  readonly startedAt = performance.now()
  readonly deadline: number
  readonly isSafe: boolean
  /** The route's pattern, once it is found. */
  route: string | undefined
  /** Once it is known who is calling. */
  userId: string | undefined
  readonly statements: Statement[] = []
  /** Whether it has been counted under a limit. */
  isCounted = false
  readonly #request: Request

  constructor(request: Request, timeout: number) {
    this.#request = request
    this.deadline = this.startedAt + timeout
    this.isSafe = SAFE.has(request.method)
  }

  /** Made when it is asked for, which few requests live long enough to do. */
  get signal(): AbortSignal {
    return this.#request.signal
  }

  onStatement(statement: Statement): void {
    this.statements.push(statement)
  }
}

/** RFC 9110 section 9.2.1. */
const SAFE = new Set(['GET', 'HEAD'])

const exchanges = new WeakMap<Request, Exchange>()

/** Gives it an id. @param timeout how long it may take, in milliseconds */
export function beginExchange(request: Request, timeout: number): Exchange {
  const exchange = new Exchange(request, timeout)
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
