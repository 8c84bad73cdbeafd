/** Waiting: for a while, and for an answer that may never come. */
import { noAnswer } from './errors'

/** In milliseconds. Timers cannot run longer, so any longer wait never ends by itself. */
const LONGEST_TIMER = 2 ** 31 - 1

/** @returns `over`, which resolves after the time, when the signal is aborted, or when `end` is called */
function startWait(milliseconds: number, signal: AbortSignal | null | undefined) {
  let end = () => {}
  const over = new Promise<void>((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    if (signal?.aborted) return end()
    if (milliseconds <= LONGEST_TIMER) timer = setTimeout(end, milliseconds)
    signal?.addEventListener('abort', end)
  })
  return { over, end }
}

/** Waits. @param signal ends the wait early */
export function pause(milliseconds: number, signal?: AbortSignal | null): Promise<void> {
  return startWait(milliseconds, signal).over
}

/**
 * How long to wait before trying again: twice as long after each failure. The time is random, between half of that and
 * all of it, so that clients that failed together do not come back together.
 *
 * @returns milliseconds
 */
export function backoff(failures: number, first: number, longest = Number.POSITIVE_INFINITY): number {
  return Math.min(first * 2 ** failures, longest) * (0.5 + Math.random() / 2)
}

/**
 * Gives an answer a time to arrive. An event stream that has begun goes on until `outer` is aborted.
 *
 * @param outer the caller's own signal
 * @param work sends a request with the signal that it is given
 * @returns 503 `NO_ANSWER` when the time is over or the caller has aborted the call, even if `work` goes on
 * @throws what `work` throws
 */
export async function within(
  milliseconds: number,
  outer: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<Response>,
): Promise<Response> {
  if (outer?.aborted) return noAnswer(reasonOf(outer))
  // older engines have no `AbortSignal.any` and no `AbortSignal.timeout`
  const attempt = new AbortController()
  const time = startWait(milliseconds, outer)
  const working = work(attempt.signal)
  const response = await Promise.race([working, time.over]).finally(time.end)
  if (response && !outer?.aborted) {
    if (isEventStream(response)) outer?.addEventListener('abort', () => attempt.abort(), { once: true })
    return response
  }
  attempt.abort()
  // a fetcher that ignores the signal may still answer
  working.then((late) => late.body?.cancel()).catch(() => {})
  return noAnswer(outer?.aborted ? reasonOf(outer) : `none came within ${Math.round(milliseconds)} ms`)
}

function reasonOf({ reason }: AbortSignal): unknown {
  return reason ?? 'the call was aborted'
}

/** Reads the whole body, unless it is an event stream. @returns 503 `NO_ANSWER` if the body breaks off */
export async function readWhole(response: Response): Promise<Response> {
  if (isEventStream(response)) return response
  try {
    // a clone, so that the caller can read the body again
    await response.clone().text()
    return response
  } catch (cause) {
    return noAnswer(cause)
  }
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false
}
