/** From what the driver and PostgreSQL report to what a client is told. */
import { Problem } from '../http/problems'

/** The driver's and the network's words for "there is no connection". */
const LOST = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
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

/** @returns a 503 for a database that cannot be used now; undefined for any other error */
export function fromDatabaseError(error: unknown): Problem | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!LOST.has(code) && !UNAVAILABLE.test(code)) return undefined
  return new Problem('DATABASE_UNAVAILABLE', { cause: error })
}
