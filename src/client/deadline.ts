/** Deadlines for answers. */
import { noAnswer } from './errors'

/** In milliseconds: timers cannot wait for longer, so anything above it is for ever. */
const LONGEST_TIMER = 2 ** 31 - 1

/**
 * Gives an answer a time to come in. A stream of events, once begun, goes on until `outer` is aborted.
 *
 * @param outer the caller's own signal
 * @param work sends a request with the signal that it is given
 * @returns 503 `NO_ANSWER` when the time is over or the caller has aborted the call, even if `work` goes on
 * @throws what `work` throws
 */
export function within(
  milliseconds: number,
  outer: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<Response>,
): Promise<Response> {
  // `AbortSignal.any` and `AbortSignal.timeout` are too new for many an engine
  const attempt = new AbortController()
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    function end(): void {
      clearTimeout(timer)
      outer?.removeEventListener('abort', onAbort)
    }
    function giveUp(why: unknown): void {
      end()
      resolve(noAnswer(why))
      attempt.abort()
    }
    const onAbort = () => giveUp(outer?.reason ?? 'the call was aborted')
    if (outer?.aborted) return onAbort()
    outer?.addEventListener('abort', onAbort)
    const onTime = () => giveUp(`none came within ${Math.round(milliseconds)} ms`)
    if (milliseconds <= LONGEST_TIMER) timer = setTimeout(onTime, milliseconds)
    work(attempt.signal).then(
      (response) => {
        end()
        if (isEventStream(response)) outer?.addEventListener('abort', () => attempt.abort(), { once: true })
        // a fetcher may ignore the signal
        if (attempt.signal.aborted) response.body?.cancel().catch(() => {})
        resolve(response)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}

/** Reads the whole body, unless it is a stream of events. @returns 503 `NO_ANSWER` if it breaks off */
export async function whole(response: Response): Promise<Response> {
  if (isEventStream(response)) return response
  try {
    // React Native has no `body`, and no other way to read than to the end
    await response.clone().text()
    return response
  } catch (cause) {
    return noAnswer(cause)
  }
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false
}
