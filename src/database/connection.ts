/** The one place where postgres.js is opened. */
import postgres from 'postgres'

/** Ids and revisions count up from 1 and stay far below 2^53, the largest integer that JavaScript has. */
const bigintAsNumber = {
  to: 20,
  from: [20],
  serialize: (value: number) => String(value),
  parse: (text: string) => Number(text),
}

export interface PoolOptions {
  url: string
  /** How many connections at most. */
  poolSize: number
  /** False for a pooler in transaction mode that cannot keep prepared statements. */
  prepare?: boolean
  /** What is set on each connection; a pooler may refuse all of it. */
  serverSettings?: Record<string, string | number>
  /** How long connecting may take, in seconds. */
  connectTimeout?: number
  /** After how many idle seconds a connection is closed; left out: never. */
  idleTimeout?: number
  /** False where no statement has an array among its parameters: saves a question for each connection. */
  fetchTypes?: boolean
}

/** Opens a pool; connections are made when the first statements need them. */
export function openPool({
  url,
  poolSize,
  prepare = true,
  serverSettings = {},
  connectTimeout = 5,
  idleTimeout,
  fetchTypes = true,
}: PoolOptions) {
  return postgres(cleanUrl(url), {
    max: poolSize,
    prepare,
    fetch_types: fetchTypes,
    connect_timeout: connectTimeout,
    ...(idleTimeout !== undefined && { idle_timeout: idleTimeout }),
    // the default waits up to 20 s after an outage
    backoff: () => 0.25,
    types: { bigint: bigintAsNumber },
    connection: { application_name: 'taskwell', ...serverSettings },
    onnotice: () => {},
  })
}

export type Pool = ReturnType<typeof openPool>

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
