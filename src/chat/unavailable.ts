/** Why there is no answer of a model. What a provider says of it is never read: it may repeat the key. */

export type Reason = 'unreachable' | 'refused' | 'busy' | 'timeout' | 'broken' | 'too_large' | 'waiting'

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

/** @returns what is thrown if the signal was aborted: a deadline is the model's fault, anything else is as it is */
export function abortOf({ aborted, reason }: AbortSignal): unknown {
  if (!aborted) return undefined
  const isLate = reason instanceof DOMException && reason.name === 'TimeoutError'
  return isLate ? new ModelUnavailable('timeout') : reason
}
