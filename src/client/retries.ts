/** Sends requests again where that does no harm. */

/** As `fetch`, but an answer that never came is a 503. */
export type Send = (url: string, init: RequestInit) => Promise<Response>

/** In milliseconds. */
const FIRST_DELAY = 300
/** In milliseconds; who is asked to wait longer is told so instead. */
const LONGEST_DELAY = 10_000

/** What the server makes safe to repeat, by path: tasks, whose creation has an idempotency key. */
const TASKS = /^\/api\/(?:v1\/todos|[^/]+\/tasks)(?:[/?]|$)/

/** Answers after which it is unknown whether an earlier one, that was lost, has done the same already. */
const uncertain = new WeakSet<Response>()

/** Whether the request may have been carried out before, by an attempt whose answer was lost. */
export function isUncertain(response: Response): boolean {
  return uncertain.has(response)
}

/**
 * A request that was refused for now (429), or that may or may not have been carried out (503, which stands for a lost
 * connection as well), is sent again if a second time changes nothing. What makes a task gets a key for that.
 *
 * @param retries how many times at most
 * @param root the server's address, which may have a path that looks like one of the server's own
 */
export function retrying(send: Send, retries: number, root: string): Send {
  const withoutSlash = root.replace(/\/$/, '')
  return async (url, init) => {
    const path = url.slice(url.indexOf(withoutSlash) + withoutSlash.length)
    const request = withKey(path, init)
    let isLost = false
    for (let attempt = 0; ; attempt++) {
      const response = await send(url, request)
      const isDone = isLost && isDeleted(request, response)
      const delay = attempt < retries ? delayBefore(attempt, path, request, response) : undefined
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

/** Ends early if the call is aborted: what is sent then fails at once. */
function pause(milliseconds: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
  })
}

function withKey(path: string, init: RequestInit): RequestInit {
  if (init.method !== 'POST' || !TASKS.test(path)) return init
  const headers = new Headers(init.headers)
  if (!headers.has('idempotency-key')) headers.set('idempotency-key', crypto.randomUUID())
  return { ...init, headers }
}

/** It was there before the first time, so that one has deleted it. */
function isDeleted({ method }: RequestInit, { status }: Response): boolean {
  return method === 'DELETE' && status === 404
}

/** @returns milliseconds, or undefined if the request is not to be sent again */
function delayBefore(
  attempt: number,
  path: string,
  request: RequestInit,
  response: Response,
): number | undefined {
  const { status, headers } = response
  if ((status !== 429 && status !== 503) || !isRepeatable(path, request)) return undefined
  // between half of it and all of it, so that clients that failed together do not come back together
  const backoff = FIRST_DELAY * 2 ** attempt * (0.5 + Math.random() / 2)
  const asked = Number(headers.get('retry-after') ?? 0) * 1000
  const delay = Math.max(backoff, asked)
  return delay <= LONGEST_DELAY ? delay : undefined
}

function isRepeatable(path: string, { method, body }: RequestInit): boolean {
  if (method === 'GET' || method === 'HEAD') return true
  // without a body, `complete` toggles
  return TASKS.test(path) && (method !== 'PATCH' || Boolean(body))
}
