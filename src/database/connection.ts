/** The one place where postgres.js is opened. */
import postgres from 'postgres'

/** Ids and revisions count up from 1 and stay far below 2^53, the largest integer that JavaScript has. */
const bigintAsNumber = {
  to: 20,
  from: [20],
  serialize: (value: number) => String(value),
  parse: (text: string) => Number(text),
}

export interface DatabaseOptions {
  url: string
  poolSize: number
  prepare?: boolean
}

/**
 * Opens a pool; connections are made when the first statements need them.
 *
 * @param options.poolSize how many connections at most
 * @param options.prepare false for a pooler in transaction mode that cannot keep prepared statements
 */
export function openDatabase({ url, poolSize, prepare = true }: DatabaseOptions) {
  return postgres(cleanUrl(url), {
    max: poolSize,
    prepare,
    connect_timeout: 5,
    // the default waits up to 20 s after an outage
    backoff: () => 0.25,
    types: { bigint: bigintAsNumber },
    connection: { application_name: 'taskwell' },
    onnotice: () => {},
  })
}

export type Sql = ReturnType<typeof openDatabase>

/**
 * Keeps what is said of TLS and drops every other query parameter: they are for other drivers (Neon's
 * `channel_binding`, Prisma's `schema` and `pgbouncer`), and postgres.js would send them to the server, which refuses
 * them.
 */
export function cleanUrl(text: string): string {
  const url = new URL(text)
  const sslmode =
    url.searchParams.get('sslmode') ?? (url.searchParams.get('ssl') === 'true' ? 'require' : null)
  url.search = sslmode === null ? '' : `?sslmode=${sslmode}`
  return url.href
}

/** For a statement that always gives one row. */
export function exactlyOne<Row>(rows: readonly Row[]): Row {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`Expected one row, got ${rows.length}`)
  return row
}

/** In milliseconds. */
const READY_DEADLINE = 2000

/**
 * Asks the database for what every request needs, the schema; false if it is not there, or if there is no answer within
 * two seconds, whatever the database is doing.
 */
export async function isReachable(sql: Sql): Promise<boolean> {
  const query = sql`select from users limit 1`
  const deadline = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => deadline.resolve(false), READY_DEADLINE)
  const answer = query.then(
    () => true,
    () => false,
  )
  const reachable = await Promise.race([answer, deadline.promise])
  clearTimeout(timer)
  if (!reachable) query.cancel()
  return reachable
}
