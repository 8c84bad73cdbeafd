/** The one place where postgres.js is opened. */
import postgres from 'postgres'
import { type DatabaseAddress, type Host, readAddress, type Tls } from './address'
import { toRfc3339 } from './timestamp'

/** Ids and revisions count up from 1 and stay far below 2^53, the largest integer that JavaScript has. */
const bigintAsNumber = {
  to: 20,
  from: [20],
  serialize: (value: number) => String(value),
  parse: (text: string) => Number(text),
}

/** Not the driver's `Date`, which JSON would have to be made of again. */
const timeAsText = {
  to: 1184,
  from: [1184],
  serialize: (value: string) => value,
  parse: toRfc3339,
}

export interface PoolOptions {
  /** `DATABASE_URL`, or what was read of it: certificate files are read only once then. */
  url: string | DatabaseAddress
  /** Which of the URL's hosts; left out: the first. */
  host?: Host
  /** How many connections at most. */
  poolSize: number
  /** False for a pooler in transaction mode that cannot keep prepared statements. */
  prepare?: boolean
  /** What is set on each connection; a pooler may refuse all of it. */
  serverSettings?: Record<string, string | number>
  /** How long connecting may take at most, in seconds; left out: what the URL says, or else 5. */
  connectTimeout?: number
  /** After how many idle seconds a connection is closed; left out: never. */
  idleTimeout?: number
  /** False where no statement has an array among its parameters: saves a question for each connection. */
  fetchTypes?: boolean
  /** Told when a connection has ended, or could not be made. */
  onClose?: () => void
}

/** In seconds. */
const CONNECT_TIMEOUT = 5

/**
 * Opens a pool; connections are made when the first statements need them.
 *
 * @throws AddressError for a URL that cannot be used
 */
export function openPool({
  url,
  host,
  poolSize,
  prepare = true,
  serverSettings = {},
  connectTimeout = Number.POSITIVE_INFINITY,
  idleTimeout,
  fetchTypes = true,
  onClose,
}: PoolOptions) {
  const address = typeof url === 'string' ? readAddress(url) : url
  const { applicationName, options } = address
  return postgres({
    ...placeOf(address, host ?? address.hosts[0]),
    max: poolSize,
    prepare,
    fetch_types: fetchTypes,
    connect_timeout: Math.min(address.connectTimeout ?? CONNECT_TIMEOUT, connectTimeout),
    ...(idleTimeout !== undefined && { idle_timeout: idleTimeout }),
    // the default waits up to 20 s after an outage
    backoff: () => 0.25,
    types: { bigint: bigintAsNumber, date: timeAsText },
    connection: {
      application_name: applicationName,
      ...(options !== undefined && { options }),
      ...serverSettings,
    },
    onnotice: () => {},
    ...(onClose && { onclose: onClose }),
  })
}

export type Pool = ReturnType<typeof openPool>

/** postgres.js chooses among several hosts in its own way, so it is only ever given one. */
function placeOf({ user, password, database, tls }: DatabaseAddress, { name, port }: Host) {
  const who = { user, password, database }
  if (name.startsWith('/')) return { ...who, path: `${name}/.s.PGSQL.${port}`, ssl: false }
  // as lists, which its types do not know: an IPv6 address as text would be split at its colons
  const place = { host: [name], port: [port] } as unknown as { host: string; port: number }
  return { ...who, ...place, ssl: tlsOptions(tls) }
}

/** What `tls.connect` is to be told; false for no TLS, `prefer` for TLS where the server has it. */
function tlsOptions({ mode, authorities, client }: Tls) {
  if (mode === 'disable') return false
  if (mode === 'prefer') return mode
  return {
    rejectUnauthorized: mode !== 'require',
    // any certificate of that authority is accepted, whatever its host name
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(authorities && { ca: authorities.text }),
    ...(client && { cert: client.certificate.text, key: client.key.text }),
  }
}
