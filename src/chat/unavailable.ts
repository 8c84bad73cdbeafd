/** Why there is no answer of a model. What a provider says of it is never read: it may repeat the key. */

export type Reason =
  | 'unreachable'
  | 'refused'
  | 'busy'
  | 'timeout'
  | 'broken'
  | 'too_large'
  | 'waiting'
  | 'stopping'

export class ModelUnavailable extends Error {
  /**
   * @param status the provider's, for the log
   * @param retryAfter in seconds, if the provider has said so
   */
  constructor(
    readonly reason: Reason,
    readonly status?: number,
    readonly retryAfter?: number,
  ) {
    super(`The model is not available: ${reason}`)
  }
}

/**
 * @param late what a deadline that has passed means
 * @returns what is thrown if the signal was aborted; undefined: it was not
 */
export function abortOf({ aborted, reason }: AbortSignal, late: Reason = 'timeout'): unknown {
  if (!aborted) return undefined
  const isLate = reason instanceof DOMException && reason.name === 'TimeoutError'
  return isLate ? new ModelUnavailable(late) : reason
}

/** @throws as `abortOf` says, if the signal was aborted */
export function throwIfAborted(signal: AbortSignal, late?: Reason): void {
  const abort = abortOf(signal, late)
  if (abort) throw abort
}

/**
 * Waits for a turn, or until the signal is aborted: then the turn passes when it comes.
 *
 * @param turn gives what ends it
 */
export async function inTime(turn: Promise<() => void>, signal: AbortSignal): Promise<() => void> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(abortOf(signal, 'waiting'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    throwIfAborted(signal, 'waiting')
    return await Promise.race([turn, aborted.promise])
  } catch (error) {
    void turn.then((leave) => leave())
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
