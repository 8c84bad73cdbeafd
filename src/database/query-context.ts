/** Who waits for statements, and what they are told. */

/** A statement that has ended. */
export interface Statement {
  name: string
  /** On the clock of `performance.now()`, in milliseconds. */
  startedAt: number
  ms: number
  failed: boolean
  /** Of one that was not answered with rows: the SQLSTATE, or the word of the driver for what happened. */
  errorCode?: string | undefined
}

/** Who waits for statements: a request. */
export interface QueryContext {
  /** Until when, on the clock of `performance.now()`, in milliseconds. */
  deadline: number
  /** Whether it only reads, so that its statements may be run again. */
  isSafe: boolean
  /** Aborted when nobody waits any more. */
  signal: AbortSignal
  /** Told of each of its statements. */
  onStatement(statement: Statement): void
}

/** In milliseconds. */
export function timeLeft({ deadline }: Pick<QueryContext, 'deadline'>): number {
  return Math.max(deadline - performance.now(), 0)
}

/** For those who wait whatever happens. */
export const NEVER = new AbortController().signal
