/** Turns times as PostgreSQL writes them into RFC 3339. */

/** ISO 8601 with any offset: in a row, in JSON, and for any `TimeZone`. */
const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d)(?::?(\d\d))?$/

/**
 * @param timestamp a `timestamptz` as text, in `DateStyle` ISO
 * @returns RFC 3339, in UTC with milliseconds
 * @throws Error for any other text
 */
export function toRfc3339(timestamp: string): string {
  // the usual case, a row in UTC, without the cost of the expression
  if (timestamp.endsWith('+00') && timestamp[10] === ' ') {
    const milliseconds = timestamp.slice(20, -3).slice(0, 3).padEnd(3, '0')
    return `${timestamp.slice(0, 10)}T${timestamp.slice(11, 19)}.${milliseconds}Z`
  }
  const [, day, time, fraction = '', hours, minutes = '00'] = TIMESTAMP.exec(timestamp) ?? []
  if (day === undefined) throw new Error('The database does not write times in ISO 8601')
  const local = `${day}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}`
  if (hours === 'Z' || (hours === '+00' && minutes === '00')) return `${local}Z`
  return new Date(`${local}${hours}:${minutes}`).toISOString()
}
