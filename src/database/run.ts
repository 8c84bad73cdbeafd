/** Runs statements, repeats those that may be repeated, and tells of each when it has ended. */
import { codeOf } from '../system/errors'
import type { Connections, HostPool } from './connections'
import { cancelAtDeadline, withDeadline } from './deadline'
import { isCancelled, isElsewhere, isLost, Unanswered, wasNeverSent } from './errors'
import type { Failover } from './failover'
import { isUtf8 } from './pool'
import { type QueryContext, type Statement, timeLeft } from './query-context'
import { nameOf, type Sql } from './sql'

/** One try to run a statement. */
interface Attempt {
  pool: HostPool
  isSent: boolean
}

export function createRunner(
  connections: Connections,
  failover: Failover,
  onStatement: ((statement: Statement) => void) | undefined,
) {
  const { address, current } = connections
  let running = 0

  async function run<Rows extends readonly object[]>(
    context: QueryContext,
    statement: Parameters<Sql>,
  ): Promise<Rows> {
    const name = nameOf(statement[0])
    const startedAt = performance.now()
    let errorCode: string | undefined
    running++
    try {
      return (await runWithRetries(context, statement)) as Rows
    } catch (error) {
      errorCode = codeOf(error)
      throw error
    } finally {
      running--
      // a client that goes away is no failure of the statement
      const failed = errorCode !== undefined && errorCode !== 'ABANDONED'
      const seen = { name, startedAt, ms: performance.now() - startedAt, failed, errorCode }
      context.onStatement(seen)
      onStatement?.(seen)
    }
  }
  async function runWithRetries(
    context: QueryContext,
    statement: Parameters<Sql>,
  ): Promise<readonly object[]> {
    for (let isSecondTry = false; ; ) {
      const attempt = { pool: current(), isSent: false }
      try {
        return await runOnce(attempt, context, statement)
      } catch (error) {
        const retries = retriesAfter(error, attempt, context)
        if (retries === 'never' || (retries === 'once' && isSecondTry)) throw error
        isSecondTry ||= retries === 'once'
      }
    }
  }
  async function runOnce(attempt: Attempt, context: QueryContext, statement: Parameters<Sql>) {
    if (timeLeft(context) === 0) throw new Unanswered('DEADLINE')
    if (!attempt.pool.isPrimary) await withDeadline(failover.choosePrimary(), timeLeft(context))
    const pool = current()
    attempt.pool = pool
    // a later connection may lead to another database in the same place
    if (!pool.isVerified || !isUtf8(pool.sql)) {
      await failover.watch(withDeadline(connections.verify(pool), timeLeft(context)))
    }
    attempt.isSent = true
    const query = pool.sql(...statement)
    const rows = await failover.watch(cancelAtDeadline(query, context, () => connections.replace(pool)))
    pool.answeredAt = performance.now()
    return rows
  }
  /** @returns how often a statement that failed with this error may be run again */
  function retriesAfter(
    error: unknown,
    { pool, isSent }: Attempt,
    { isSafe }: QueryContext,
  ): 'any number' | 'once' | 'never' {
    if (error instanceof Unanswered) return 'never'
    const hasGivenUp = connections.giveUpFeature(pool, error)
    const wasNotRun = hasGivenUp || pool.wasRefused || wasNeverSent(error)
    if (wasNotRun && pool !== current()) return 'any number'
    if (address.needsPrimary && isElsewhere(error)) {
      connections.distrust(pool)
      return 'once'
    }
    // a cancelled statement has done nothing; most likely the request to cancel another one came late and met this one
    return isCancelled(error) || ((isSafe || !isSent) && isLost(error)) ? 'once' : 'never'
  }
  return { run, running: () => running }
}
