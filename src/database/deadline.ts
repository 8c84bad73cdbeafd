/** How long the server may take for an answer that others wait for. */
import { Unanswered } from './errors'

/** In milliseconds. */
export const READY_DEADLINE = 1000

interface Options {
  /** In milliseconds; a second where it is left out. */
  ms?: number
  onSilence?: () => void
}

/** @throws Unanswered when there is no answer in time, after it has called `onSilence` */
export async function withDeadline<T>(
  query: Promise<T>,
  { ms = READY_DEADLINE, onSilence }: Options = {},
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    onSilence?.()
    reject(new Unanswered('DEADLINE'))
  }, ms)
  return Promise.race([query, promise]).finally(() => clearTimeout(timer))
}
