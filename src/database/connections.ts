/** The pool that statements go to: how it is opened, verified and replaced. */
import type { Logger } from 'pino'
import { type Host, readAddress } from './address'
import { cancelAtDeadline } from './deadline'
import { NotReady } from './errors'
import { allFeatures, type Features, withoutRefused } from './features'
import { askReadOnly, isUtf8, openPool, type Pool } from './pool'
import { backgroundContext } from './query-context'

/** A pool of connections to one host, and what is known of the server there. */
export interface HostPool {
  readonly sql: Pool
  readonly host: Host
  readonly features: Features
  /** Of several hosts: this is the primary, and no connection has ended since it was found. A single host always is. */
  isPrimary: boolean
  /** One connection was asked: the encoding is UTF8 and, if a primary is needed, the server takes writes. */
  isVerified: boolean
  /** While it is asked. */
  verifying: Promise<void> | undefined
  /** When the server last answered a statement, on the clock of `performance.now()`. */
  answeredAt: number | undefined
  /** Every connection was refused: no statement has ever run here. */
  wasRefused: boolean
}

export interface ConnectionOptions {
  url: string
  poolSize: number
  prepare?: boolean
  /** How long a request may take, in milliseconds. */
  requestTimeout: number
  log?: Logger
}

export type Connections = ReturnType<typeof createConnections>

/** @throws AddressError for a URL that cannot be used */
export function createConnections(options: ConnectionOptions) {
  const { url, poolSize, prepare = true, requestTimeout, log } = options
  const address = readAddress(url)
  const { needsPrimary } = address
  let current = open(address.hosts[0], allFeatures(requestTimeout, prepare))
  let hasEnded = false
  let hasLoggedEncoding = false

  function open(host: Host, features: Features): HostPool {
    // a server that was restarted may have become a standby
    const onClose = needsPrimary && { onClose: () => distrust(pool) }
    const pool: HostPool = {
      sql: openPool({ url: address, host, poolSize, ...features, ...onClose }),
      host,
      features,
      isPrimary: !needsPrimary,
      isVerified: false,
      verifying: undefined,
      answeredAt: undefined,
      wasRefused: false,
    }
    return pool
  }
  /** Before the next statement, the primary is searched again and the server verified. */
  function distrust(pool: HostPool): void {
    pool.isPrimary = !needsPrimary
    pool.isVerified = false
  }
  /**
   * Opens a new pool for all later statements, unless this one was replaced before.
   *
   * @param grace how long statements under way may go on, in milliseconds
   */
  function replace(pool: HostPool, { host, features } = pool, grace = requestTimeout): void {
    if (pool !== current || hasEnded) return
    current = open(host, features)
    void pool.sql.end({ timeout: grace / 1000 })
  }
  /**
   * Opens a new pool without a feature if the statement did not run because a pooler lacks it.
   *
   * @returns whether the statement may be run again, in that pool
   */
  function giveUpFeature(pool: HostPool, error: unknown): boolean {
    const refused = withoutRefused(pool.features, error)
    if (!refused) return false
    const { features, isOfConnections, level, message } = refused
    if (pool === current) log?.[level](message)
    replace(pool, { ...pool, features }, isOfConnections ? 0 : requestTimeout)
    pool.wasRefused ||= isOfConnections
    // false once the database is closed: then no pool is opened
    return pool !== current
  }
  /** Asks a new pool whether its server will do, once for all statements that wait for that. @throws NotReady */
  function verify(pool: HostPool): Promise<void> {
    pool.verifying ??= askNew(pool).finally(() => {
      pool.verifying = undefined
    })
    return pool.verifying
  }
  async function askNew(pool: HostPool): Promise<void> {
    pool.isVerified = false
    const context = backgroundContext(requestTimeout)
    const [row] = await cancelAtDeadline(askReadOnly(pool.sql), context, () => replace(pool))
    if (needsPrimary && row?.read_only !== 'off') throw new NotReady('READ_ONLY')
    refuseOtherEncodings(pool.sql)
    pool.isVerified = true
  }
  /** @throws NotReady for a database that cannot store every text, or would store it wrongly */
  function refuseOtherEncodings(sql: Pool): void {
    if (isUtf8(sql)) return
    const encoding = sql.parameters['server_encoding']
    if (!hasLoggedEncoding) log?.error({ encoding }, 'the database is refused: its encoding has to be UTF8')
    hasLoggedEncoding = true
    throw new NotReady('NOT_UTF8')
  }
  /** Waits at most five seconds for statements under way. */
  async function end(): Promise<void> {
    hasEnded = true
    await current.sql.end({ timeout: 5 })
  }

  const actions = { distrust, replace, giveUpFeature, verify, refuseOtherEncodings, end }
  return { address, log, current: () => current, ...actions }
}
