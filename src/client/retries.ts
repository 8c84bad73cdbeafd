/** Sends requests again where that does no harm, until there is no time left. */
import { whole, within } from './deadline'
import { pause } from './pause'
import { uuid } from './uuid'

/** As `fetch`, but an answer that never came is a 503. */
export type Send = (url: string, init: RequestInit) => Promise<Response>

/** In milliseconds. */
const FIRST_DELAY = 300
/** In milliseconds; if the server asks for more, its answer is returned instead. */
const LONGEST_DELAY = 10_000

/** What the server makes safe to repeat, by path: tasks, whose creation has an idempotency key. */
const TASKS = /^\/api\/(?:v1\/todos|[^/]+\/tasks)(?:[/?]|$)/

/** Answers after which it is unknown whether an earlier one, that was lost, has done the same already. */
const uncertain = new WeakSet<Response>()

/** Whether the request may have been carried out before, by an attempt whose answer was lost. */
export function isUncertain(response: Response): boolean {
  return uncertain.has(response)
}

export interface RetryOptions {
  /** How many times at most a request is sent again. */
  retries: number
  /** In milliseconds: how long a call may take, with all its attempts. */
  timeoutMs: number
  /** The server's address, which may have a path that looks like one of the server's own. */
  root: string
}

/** @returns the path, and the query, of an address below the server's own */
export function pathBelow(root: string, url: string): string {
  const withoutSlash = root.replace(/\/$/, '')
  return url.slice(url.indexOf(withoutSlash) + withoutSlash.length)
}

/**
 * A request that was refused for now (429), or that may or may not have been carried out (503, which stands for a lost
 * connection as well), is sent again if a second time changes nothing. What makes a task gets a key for that.
 *
 * An attempt after which there can be another one is given half of the time.
 */
export function retrying(send: Send, { retries, timeoutMs, root }: RetryOptions): Send {
  return async (url, init) => {
    const path = pathBelow(root, url)
    const request = withKey(path, init)
    const end = performance.now() + timeoutMs
    let isLost = false
    for (let attempt = 0; ; attempt++) {
      const left = end - performance.now()
      const mayRepeat = attempt < retries && isRepeatable(path, request)
      const delayAfter = (response: Response) =>
        mayRepeat ? delayBefore(attempt, response, end - performance.now()) : undefined
      let delay: number | undefined
      const response = await within(
        mayRepeat ? Math.min(timeoutMs / 2, left) : left,
        init.signal,
        async (signal) => {
          const answer = await send(url, { ...request, signal })
          delay = delayAfter(answer)
          return delay === undefined ? whole(answer) : answer
        },
      )
      // none may have come, or not all of it
      delay ??= delayAfter(response)
      const isDone = isLost && isDeleted(request, response)
      if (!isDone && (delay === undefined || init.signal?.aborted)) {
        if (isLost) uncertain.add(response)
        return response
      }
      // one that has broken off cannot be cancelled
      await response.body?.cancel().catch(() => {})
      if (isDone) return new Response(null, { status: 204 })
      isLost ||= response.status === 503
      await pause(delay ?? 0, init.signal)
    }
  }
}

function withKey(path: string, init: RequestInit): RequestInit {
  if (init.method !== 'POST' || !TASKS.test(path)) return init
  const headers = new Headers(init.headers)
  if (!headers.has('idempotency-key')) headers.set('idempotency-key', uuid())
  return { ...init, headers }
}

/** It was there before the first time, so that one has deleted it. */
function isDeleted({ method }: RequestInit, { status }: Response): boolean {
  return method === 'DELETE' && status === 404
}

/**
 * @param left in milliseconds: after those the next attempt would come too late
 * @returns milliseconds, or undefined if the request is not to be sent again
 */
function delayBefore(attempt: number, { status, headers }: Response, left: number): number | undefined {
  if (status !== 429 && status !== 503) return undefined
  // between half of it and all of it, so that clients that failed together do not come back together
  const backoff = FIRST_DELAY * 2 ** attempt * (0.5 + Math.random() / 2)
  const asked = Number(headers.get('retry-after') ?? 0) * 1000
  const delay = Math.max(backoff, asked)
  return delay <= LONGEST_DELAY && delay < left ? delay : undefined
}

function isRepeatable(path: string, { method, body }: RequestInit): boolean {
  if (method === 'GET' || method === 'HEAD') return true
  // without a body, `complete` toggles
  return TASKS.test(path) && (method !== 'PATCH' || Boolean(body))
}
