/** Waits for statements as long as their requests do, and cancels them after that. */
import type { PendingQuery } from 'postgres'
import { within } from '../system/timer'
import { Unanswered } from './errors'
import { type QueryContext, timeLeft } from './query-context'

/** How long a server may take to say whether it is ready, in milliseconds. */
export const READY_DEADLINE = 1000
/** The abort signal is watched from then on, in milliseconds: most statements have ended by then. */
const WATCH_AFTER = 100
/** How long a cancelled statement may take to end, in milliseconds. */
const CANCEL_DEADLINE = 1000

/** @throws Unanswered if there is no answer after so many milliseconds; calls `onSilence` before */
export function withDeadline<T>(query: Promise<T>, ms: number, onSilence?: () => void): Promise<T> {
  return within(ms, query, () => {
    onSilence?.()
    throw new Unanswered('DEADLINE')
  })
}

/**
 * Waits for the rows of a statement. Cancels it at its deadline, or when its client has gone.
 *
 * @param onSilence called if the cancelled statement does not end either: its connection is dead
 * @throws Unanswered, or what the statement throws
 */
export function cancelAtDeadline<Row extends readonly object[]>(
  query: PendingQuery<Row & object[]>,
  context: QueryContext,
  onSilence: () => void,
): Promise<Row> {
  return new Promise((resolve, reject) => {
    let unwatch: (() => void) | undefined
    const timer = setTimeout(
      () => {
        unwatch = watch(query, context, onSilence, reject)
      },
      Math.min(WATCH_AFTER, timeLeft(context)),
    )
    const stop = () => {
      clearTimeout(timer)
      unwatch?.()
    }
    query.then(resolve, reject)
    query.then(stop, stop)
  })
}

/** Cancels a statement at its deadline, or when its client has gone. @returns a function that ends the watch */
function watch(
  query: Promise<unknown> & { cancel(): void },
  context: QueryContext,
  onSilence: () => void,
  reject: (reason: Unanswered) => void,
): () => void {
  const giveUp = (code: Unanswered['code']) => {
    unwatch()
    reject(new Unanswered(code))
    query.cancel()
    watchEnd(query, onSilence)
  }
  const onAbort = () => giveUp('ABANDONED')
  const timer = setTimeout(() => giveUp('DEADLINE'), timeLeft(context))
  const unwatch = () => {
    clearTimeout(timer)
    context.signal.removeEventListener('abort', onAbort)
  }
  if (context.signal.aborted) onAbort()
  else context.signal.addEventListener('abort', onAbort)
  return unwatch
}

/** A cancelled statement that waits behind another one on the same connection ends after that one. */
function watchEnd(query: Promise<unknown>, onSilence: () => void): void {
  // true while the connection works on this statement; the driver's types leave it out
  const isActive = () => 'active' in query && query.active === true
  let wasActive = isActive()
  const timer = setInterval(() => {
    if (wasActive && isActive()) {
      clearInterval(timer)
      onSilence()
    }
    wasActive = isActive()
  }, CANCEL_DEADLINE)
  const stop = () => clearInterval(timer)
  query.then(stop, stop)
}
