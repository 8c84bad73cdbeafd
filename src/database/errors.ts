/** From what the driver and PostgreSQL report to what a client is told. */
import { Problem } from '../http/problems'

/** Nobody waits for the statement any more. */
export class Unanswered extends Error {
  readonly code: 'DEADLINE' | 'ABANDONED'

  constructor(code: Unanswered['code']) {
    super(code === 'DEADLINE' ? 'There was no answer in time' : 'The client has gone')
    this.code = code
  }
}

/** Another host is the primary now, so this statement is given up. */
export class ConnectionLeft extends Error {
  readonly code = 'CONNECTION_LEFT'

  constructor() {
    super('The host is not the primary any more')
  }
}

/** The database is there, but a migration is missing, it is the wrong one of a pair, or it cannot hold every text. */
export class NotReady extends Error {
  readonly code: keyof typeof NOT_READY

  constructor(code: NotReady['code']) {
    super(NOT_READY[code])
    this.code = code
  }
}

const NOT_READY = {
  SCHEMA_OUTDATED: 'The database lacks a migration',
  READ_ONLY: 'The database takes no writes; of several hosts, none does',
  NOT_UTF8: 'The encoding of the database is not UTF8',
}

/** The driver's and the network's words for a connection that has ended. */
const ENDED = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECTION_LEFT',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
])

/** Their words for one that could not be made. */
const NOT_MADE = new Set([
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/**
 * SQLSTATEs of a server that is going, coming, full, closed to us, or the wrong one of a pair: 08 connection, 28 and
 * 3D000 who we are and where we go, 53 resources, 57P0x shutdown and start, 57014 cancelled by a timeout, 25006
 * read-only after a failover, 55000 a database that is closed to connections, 40001 and 40P01 a statement that gave way
 * to another and has done nothing.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE = /^(?:08...|28...|3D000|40001|40P01|53...|55000|57P0[1-5]|57014|25006)$/

/** What TLS says of a server that cannot prove who it is. */
const UNTRUSTED = /^(?:CERT_|DEPTH_ZERO_|ERR_TLS_|SELF_SIGNED_|UNABLE_TO_)/

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Whether the connection was lost under a statement, which may or may not have been done. */
export function isLost(error: unknown): boolean {
  const code = codeOf(error)
  return ENDED.has(code) || /^(?:0800[036]|57P0[1-3])$/.test(code)
}

/**
 * Whether the server could not be reached, is starting or stopping, or takes no writes: the statement has done nothing,
 * and another host may do it.
 */
export function isElsewhere(error: unknown): boolean {
  const code = codeOf(error)
  return NOT_MADE.has(code) || code === '57P03' || code === '25006' || code === 'READ_ONLY'
}

/** Whether the driver has kept the statement, because its connections were to be closed. */
export function wasNeverSent(error: unknown): boolean {
  return codeOf(error) === 'CONNECTION_ENDED'
}

/** Whether the statement was cancelled, and so has done nothing; not by a timeout, which would only come again. */
export function isCancelled(error: unknown): boolean {
  return codeOf(error) === '57014' && !/timeout/.test(String(error))
}

/** @returns a 503 for a database that cannot be used now; undefined for any other error */
export function fromDatabaseError(error: unknown): Problem | undefined {
  const code = codeOf(error)
  // nobody reads this answer, but the log has its status
  if (code === 'ABANDONED') return new Problem('REQUEST_TIMEOUT')
  const isUnavailable =
    error instanceof NotReady ||
    ENDED.has(code) ||
    NOT_MADE.has(code) ||
    UNTRUSTED.test(code) ||
    code === 'DEADLINE' ||
    UNAVAILABLE.test(code)
  return isUnavailable ? new Problem('DATABASE_UNAVAILABLE', { cause: error }) : undefined
}
