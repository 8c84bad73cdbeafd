/** The one place where postgres.js is opened. */
import postgres from 'postgres'
import { type DatabaseAddress, type Host, readAddress, type Tls } from './address'
import { READY_DEADLINE } from './deadline'
import { toRfc3339 } from './timestamp'

function typeOf<T>(oid: number, parse: (text: string) => T) {
  return { to: oid, from: [oid], serialize: String, parse }
}

const TYPES = {
  // ids and revisions count up from 1 and stay far below 2^53, the largest safe integer of JavaScript
  bigint: typeOf(20, Number),
  // text instead of the driver's `Date`, which would have to be made text again for JSON
  moment: typeOf(1184, toRfc3339),
  date: typeOf(1082, String),
  // without seconds
  time: typeOf(1083, (text) => text.slice(0, 5)),
}

export interface PoolOptions {
  /** `DATABASE_URL`, or what `readAddress` made of it, so that certificate files are read only once. */
  url: string | DatabaseAddress
  /** One of the URL's hosts; by default the first. */
  host?: Host
  /** How many connections at most. */
  poolSize: number
  /** False for a pooler in transaction mode that cannot keep prepared statements. */
  prepare?: boolean
  /** Settings for each connection; a pooler may refuse all of them. */
  serverSettings?: Record<string, string | number>
  /** How long connecting may take at most, in seconds; by default what the URL says, or 5. */
  connectTimeout?: number
  /** True for a question now and then: an idle connection is closed, and no parameter may be an array. */
  isProbe?: boolean
  /**
   * How many statements wait on one connection behind the one that runs. By default none: it may wait for a lock, and would
   * hold up users who have nothing to do with it.
   */
  pipeline?: number
  /** Called when a connection has ended, or could not be made. */
  onClose?: () => void
}

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
  isProbe = false,
  pipeline = 0,
  onClose,
}: PoolOptions) {
  const address = typeof url === 'string' ? readAddress(url) : url
  const { applicationName, options } = address
  return postgres({
    ...placeOf(address, host ?? address.hosts[0]),
    max: poolSize,
    prepare,
    fetch_types: !isProbe,
    connect_timeout: Math.min(address.connectTimeout ?? 5, connectTimeout),
    ...(isProbe && { idle_timeout: 30 }),
    // the default waits up to 20 s after an outage
    backoff: () => 0.25,
    // apart, because the driver's types do not know it
    ...{ max_pipeline: pipeline },
    types: TYPES,
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

/** Opens one connection for questions about the server itself. */
export function openProbe(url: DatabaseAddress, host: Host): Pool {
  const connectTimeout = READY_DEADLINE / 1000
  return openPool({ url, host, poolSize: 1, prepare: false, isProbe: true, connectTimeout })
}

/** True also before the first connection, which tells the encoding. */
export function isUtf8({ parameters: { server_encoding } }: Pool): boolean {
  return server_encoding === undefined || server_encoding === 'UTF8'
}

/** Asks whether the server takes no writes; if it does, `read_only` is `off`. */
export function askReadOnly(sql: Pool) {
  return sql<{ read_only: string | null }[]>`select current_setting('transaction_read_only') as read_only`
}

/** Only one host, because postgres.js has its own way to choose among several. */
function placeOf({ user, password, database, tls }: DatabaseAddress, { name, port }: Host) {
  const login = { user, password, database }
  if (name.startsWith('/')) return { ...login, path: `${name}/.s.PGSQL.${port}`, ssl: false }
  // as lists, which its types do not know, because it would split an IPv6 address at its colons
  const place = { host: [name], port: [port] } as unknown as { host: string; port: number }
  return { ...login, ...place, ssl: tlsOptions(tls) }
}

/** @returns the driver's option `ssl`: false for no TLS, `prefer` for TLS if the server has it, or options of `tls.connect` */
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
