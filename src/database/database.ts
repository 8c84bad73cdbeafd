/** The database as the other rooms see it: every statement has a name, a deadline and an end, whatever the server does. */
import { type Batchable, type Batched, createBatch } from './batch'
import { type ConnectionOptions, createConnections } from './connections'
import { createFailover } from './failover'
import { backgroundContext, type QueryContext, type Statement } from './query-context'
import { createReadiness } from './ready'
import { createRunner } from './run'
import type { Sql } from './sql'

export interface Database {
  /** For work that belongs to no request; each statement may take as long as a request. */
  sql: Sql
  /** For one request. */
  sqlFor(context: QueryContext): Sql
  /** Sends many small statements that wait at the same time as one. */
  batch<Item, Answer>(batchable: Batchable<Item, Answer>): Batched<Item, Answer>
  /**
   * Asks whether the schema is new enough and the database takes writes.
   *
   * @throws NotReady, Unanswered after two seconds at most, or what the connection fails with
   */
  checkReady(): Promise<void>
  /** How many statements are under way. */
  running(): number
  /** Closes all connections, after five seconds also those with statements under way. */
  end(): Promise<void>
}

export interface DatabaseOptions extends ConnectionOptions {
  /** Called after every statement. */
  onStatement?: ((statement: Statement) => void) | undefined
}

/** @throws AddressError for a URL that cannot be used */
export function openDatabase({ onStatement, ...options }: DatabaseOptions): Database {
  const connections = createConnections(options)
  const failover = createFailover(connections)
  const { run, running } = createRunner(connections, failover, onStatement)
  const readiness = createReadiness(connections, failover)
  const sqlFor =
    (context: QueryContext): Sql =>
    (...statement) =>
      run(context, statement)
  return {
    sql: (...statement) => run(backgroundContext(options.requestTimeout), statement),
    sqlFor,
    batch: (batchable) => createBatch(sqlFor, batchable),
    checkReady: readiness.check,
    running,
    async end() {
      await Promise.all([connections.end(), readiness.end()])
    },
  }
}
