/** What a statement knows of its request: how long it may take, when it is given up, and what is called when it has ended. */

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

/** A request, as its statements see it. */
export interface QueryContext {
  /** Until when it waits, on the clock of `performance.now()`, in milliseconds. */
  deadline: number
  /** Whether it only reads, so that its statements may be run again. */
  isSafe: boolean
  /** Aborted when the client has gone. */
  signal: AbortSignal
  /** Called after each of its statements. */
  onStatement(statement: Statement): void
}

/** In milliseconds. */
export function timeLeft({ deadline }: Pick<QueryContext, 'deadline'>): number {
  return Math.max(deadline - performance.now(), 0)
}

const NEVER = new AbortController().signal

/** For a statement that belongs to no request. @param ms how long it may take */
export function backgroundContext(ms: number): QueryContext {
  return { deadline: performance.now() + ms, isSafe: false, signal: NEVER, onStatement: () => {} }
}
