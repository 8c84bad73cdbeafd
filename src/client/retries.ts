/** Sends requests again if that does no harm and there is time left. */
import { REPEATABLE, type Repeatable, SLOW } from './repeatable'
import { pathBelow, type Send } from './send'
import { uuid } from './uuid'
import { backoff, pause, readWhole, within } from './wait'

/** In milliseconds. */
const FIRST_DELAY = 300
/** In milliseconds; if the server asks for more, its answer is returned instead. */
const LONGEST_DELAY = 10_000
/** In milliseconds: a slow route has its own limit, which is shorter. */
const SLOW_TIMEOUT = 610_000

/** Answers to requests that an earlier attempt, whose answer was lost, may have carried out already. */
const uncertain = new WeakSet<Response>()

/** Whether the request may have been carried out already, by an attempt whose answer was lost. */
export function isUncertain(response: Response): boolean {
  return uncertain.has(response)
}

export interface RetryOptions {
  /** How many times at most a request is sent again. */
  retries: number
  /** In milliseconds: how long a call may take, with all its attempts. */
  timeoutMs: number
  /** The server's address, which may have a path. */
  root: string
}

/**
 * Sends a request again after a 429, which refuses it for now, and after a 503, which also stands for a lost connection,
 * if the route is repeatable. A request that makes something gets an `Idempotency-Key` first.
 *
 * An attempt that another one can follow gets half of the time.
 */
export function withRetries(send: Send, { retries, timeoutMs, root }: RetryOptions): Send {
  return async (url, init) => {
    const method = String(init.method)
    const path = pathBelow(root, url)
    const repeatable = repeatableOf(method, path)
    const request = repeatable === 'with-key' ? withKey(init) : init
    const isRepeatable = repeatable === 'with-body' ? Boolean(init.body) : repeatable !== undefined
    const allowed = isSlow(method, path) ? Math.max(timeoutMs, SLOW_TIMEOUT) : timeoutMs
    const end = performance.now() + allowed
    let isLost = false
    for (let attempt = 0; ; attempt++) {
      const left = end - performance.now()
      const mayRepeat = attempt < retries && isRepeatable
      const delayAfter = (response: Response) =>
        mayRepeat ? delayBefore(attempt, response, end - performance.now()) : undefined
      let delay: number | undefined
      const response = await within(
        mayRepeat ? Math.min(allowed / 2, left) : left,
        init.signal,
        async (signal) => {
          const answer = await send(url, { ...request, signal })
          delay = delayAfter(answer)
          return delay === undefined ? readWhole(answer) : answer
        },
      )
      // the time may have ended before the answer was there, or the answer may have broken off
      delay ??= delayAfter(response)
      const isDone = isLost && isDeleted(request, response)
      if (!isDone && (delay === undefined || init.signal?.aborted)) {
        if (isLost) uncertain.add(response)
        return response
      }
      // a body that has broken off cannot be cancelled
      await response.body?.cancel().catch(() => {})
      if (isDone) return new Response(null, { status: 204 })
      isLost ||= response.status === 503
      await pause(delay ?? 0, init.signal)
    }
  }
}

/** @returns undefined for a route that is never repeated */
function repeatableOf(method: string, path: string): Repeatable | undefined {
  if (method === 'GET' || method === 'HEAD') return 'always'
  const [, , repeatable] =
    REPEATABLE.find(([each, pattern]) => each === method && matches(pattern, path)) ?? []
  return repeatable
}

function isSlow(method: string, path: string): boolean {
  return SLOW.some(([each, pattern]) => each === method && matches(pattern, path))
}

/** Segment by segment: `:name` stands for any one segment. */
function matches(pattern: string, path: string): boolean {
  const [withoutQuery = ''] = path.split('?')
  const segments = withoutQuery.replace(/\/$/, '').split('/')
  const wanted = pattern.split('/')
  return (
    segments.length === wanted.length &&
    wanted.every((segment, n) => segment.startsWith(':') || segment === segments[n])
  )
}

function withKey(init: RequestInit): RequestInit {
  const headers = new Headers(init.headers)
  if (!headers.has('idempotency-key')) headers.set('idempotency-key', uuid())
  return { ...init, headers }
}

/** After a lost answer: the task was there before the first attempt, so the first attempt has deleted it. */
function isDeleted({ method }: RequestInit, { status }: Response): boolean {
  return method === 'DELETE' && status === 404
}

/**
 * @param left in milliseconds: after those the next attempt would come too late
 * @returns milliseconds, or undefined if the request is not to be sent again
 */
function delayBefore(attempt: number, { status, headers }: Response, left: number): number | undefined {
  if (status !== 429 && status !== 503) return undefined
  const asked = Number(headers.get('retry-after') ?? 0) * 1000
  const delay = Math.max(backoff(attempt, FIRST_DELAY), asked)
  return delay <= LONGEST_DELAY && delay < left ? delay : undefined
}
