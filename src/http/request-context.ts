/** What is known of a request while it is under way. */
import { type QueryContext, type Statement, timeLeft } from '../database/query-context'
import { within } from '../system/timer'
import { type ErrorCode, Problem } from './problems'

/** A class, because in a literal the getter would be made anew for each request. */
export class RequestContext implements QueryContext {
  /** The header `X-Request-Id`. */
  id: string = crypto.randomUUID()
  /** On the clock of `performance.now()`, in milliseconds. */
  readonly startedAt = performance.now()
  readonly deadline: number
  isSafe: boolean
  /** The pattern of the route, once it is found. */
  route: string | undefined
  /** Set once the caller is known. */
  userId: string | undefined
  readonly statements: Statement[] = []
  /** The code of the problem, if it is answered with one. */
  errorCode: ErrorCode | undefined
  /** Whether a rate limit has counted it. */
  isCounted = false
  readonly #request: Request

  constructor(request: Request, timeout: number) {
    this.#request = request
    this.deadline = this.startedAt + timeout
    this.isSafe = SAFE.has(request.method)
  }

  /** Read only by slow requests, because Bun makes it when it is first read. */
  get signal(): AbortSignal {
    return this.#request.signal
  }

  onStatement(statement: Statement): void {
    this.statements.push(statement)
  }
}

/** RFC 9110 section 9.2.1. */
const SAFE = new Set(['GET', 'HEAD'])

/** Takes the status and the headers of an answer: a part of Elysia's context. */
export interface Answer {
  status?: number | string
  headers: Record<string, string | number | undefined>
}

/** A request and its answer: what hooks need of Elysia's context. */
export interface Arrival {
  request: Request
  set: Answer
}

const contexts = new WeakMap<Request, RequestContext>()

/** Begins the context of a request. @param timeout how long the request may take, in milliseconds */
export function beginContext(request: Request, timeout: number): RequestContext {
  const requestContext = new RequestContext(request, timeout)
  contexts.set(request, requestContext)
  return requestContext
}

/** @throws Error if `beginContext` was not called */
export function contextOf(request: Request): RequestContext {
  const requestContext = contexts.get(request)
  if (!requestContext) throw new Error('The request has not begun')
  return requestContext
}

/**
 * Waits for a promise until the request's deadline.
 *
 * @param late the code of the problem if the deadline comes first
 * @throws Problem
 */
export function inTime<T>(
  request: Request,
  promise: Promise<T>,
  late: 'REQUEST_TIMEOUT' | 'OVERLOADED',
): Promise<T> {
  return within(timeLeft(contextOf(request)), promise, () => {
    throw new Problem(late)
  })
}
