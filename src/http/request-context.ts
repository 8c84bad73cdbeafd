/** A request and its answer, and what is known of them while they are under way. */
import { type QueryContext, type Statement, timeLeft } from '../database/query-context'
import { Problem } from './problems'

/** A class for the sake of its getter: in a literal, one is made anew for each request. */
export class RequestContext implements QueryContext {
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

const contexts = new WeakMap<Request, RequestContext>()

/** Gives it an id. @param timeout how long it may take, in milliseconds */
export function beginContext(request: Request, timeout: number): RequestContext {
  const requestContext = new RequestContext(request, timeout)
  contexts.set(request, requestContext)
  return requestContext
}

/** The exchange that the request began. */
export function contextOf(request: Request): RequestContext {
  const requestContext = contexts.get(request)
  if (!requestContext) throw new Error('The request has not begun')
  return requestContext
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
  const timer = setTimeout(() => reject(new Problem(late)), timeLeft(contextOf(request)))
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}
