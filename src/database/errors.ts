/** What an error of the driver, the network or PostgreSQL means. */
import { codeOf } from '../system/errors'

/** A statement was given up before its answer came. */
export class Unanswered extends Error {
  readonly code: 'DEADLINE' | 'ABANDONED'

  constructor(code: Unanswered['code']) {
    super(code === 'DEADLINE' ? 'There was no answer in time' : 'The client has gone')
    this.code = code
  }
}

/** A statement was given up because another host is now the primary. */
export class ConnectionLeft extends Error {
  readonly code = 'CONNECTION_LEFT'

  constructor() {
    super('The host is not the primary any more')
  }
}

/** The database answers, but it cannot serve requests. */
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

/** A connection has ended. */
const ENDED = /^(?:CONNECTION_(?:CLOSED|DESTROYED|ENDED|LEFT)|ECONNRESET|EPIPE|ETIMEDOUT)$/

/** A connection could not be made. */
const NOT_MADE = /^(?:CONNECT_TIMEOUT|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND)$/

/**
 * SQLSTATEs of a server that cannot serve us now: 08 connection, 28 and 3D000 our user and database, 53 resources, 57P0x
 * shutdown and start, 57014 cancelled by a timeout, 25006 read-only after a failover, 55000 a database that is closed to
 * connections, 40001 and 40P01 a statement that gave way to another one and has done nothing.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE = /^(?:08...|28...|3D000|40001|40P01|53...|55000|57P0[1-5]|57014|25006)$/

/** The server's TLS certificate is not accepted. */
const UNTRUSTED = /^(?:CERT_|DEPTH_ZERO_|ERR_TLS_|SELF_SIGNED_|UNABLE_TO_)/

/** Whether the connection was lost while a statement ran, which may or may not have been done. */
export function isLost(error: unknown): boolean {
  const code = codeOf(error)
  return ENDED.test(code) || /^(?:0800[036]|57P0[1-3])$/.test(code)
}

/**
 * Whether the server could not be reached, is starting or stopping, or takes no writes: the statement has done nothing,
 * and another host may do it.
 */
export function isElsewhere(error: unknown): boolean {
  const code = codeOf(error)
  return NOT_MADE.test(code) || code === '57P03' || code === '25006' || code === 'READ_ONLY'
}

/** Whether the driver did not send the statement, because the pool was to be closed. */
export function wasNeverSent(error: unknown): boolean {
  return codeOf(error) === 'CONNECTION_ENDED'
}

/** Whether the statement was cancelled, and so has done nothing; not by a timeout, which would only come again. */
export function isCancelled(error: unknown): boolean {
  return codeOf(error) === '57014' && !/timeout/.test(String(error))
}

/** Whether a row with the same unique key exists already. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === '23505'
}

/** Whether the database cannot be used now, and the same request may succeed later. */
export function isUnavailable(error: unknown): boolean {
  const code = codeOf(error)
  return (
    error instanceof NotReady ||
    ENDED.test(code) ||
    NOT_MADE.test(code) ||
    UNTRUSTED.test(code) ||
    code === 'DEADLINE' ||
    UNAVAILABLE.test(code)
  )
}
