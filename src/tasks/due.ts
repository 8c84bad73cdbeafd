/** When tasks are due: from a day and a time on a clock to moments (`Temporal`, https://tc39.es/proposal-temporal/docs/). */

/** Whether the text is a day `YYYY-MM-DD` that the calendar has, from 1900 to 9999. */
export function isDay(text: string): boolean {
  if (!/^(?:19|[2-9]\d)\d\d-\d\d-\d\d$/.test(text)) return false
  const date = new Date(`${text}T00:00:00Z`)
  // `Date` takes 30 February for 2 March
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}

/** Whether the text is the name of a zone in the IANA database; an offset is none. */
export function isTimeZone(text: string): boolean {
  try {
    // an offset such as +01:00 is not a zone: it does not know when clocks change
    if (!/^[A-Za-z]/.test(text)) return false
    Temporal.Now.instant().toZonedDateTimeISO(text)
    return true
  } catch {
    return false
  }
}

/** @returns the day on which the moment falls in the zone; null: UTC */
export function dayAt(moment: string, zone: string | null): string {
  return Temporal.Instant.from(moment)
    .toZonedDateTimeISO(zone ?? 'UTC')
    .toPlainDate()
    .toString()
}

/** What is given of a task's due moment. */
export interface Due {
  due_date: string | null
  due_time: string | null
  time_zone: string | null
  /** Minutes before the due moment. */
  reminders: number[]
}

/** What follows from it. */
export interface DueMoments {
  due_at: string | null
  /** From when on it is overdue. */
  overdue_at: string | null
  /** When the next reminder falls due. */
  remind_at: string | null
}

/** The last moment that RFC 3339 can write. */
const LAST_MOMENT = '9999-12-31T23:59:59.999Z'

/**
 * A time that a clock skips moves forward by the gap; of one that occurs twice, the first counts: `compatible` in Temporal.
 *
 * @returns the beginning of the day if there is no time
 */
export function dueMoment(day: string, time: string | null, zone: string | null): Temporal.ZonedDateTime {
  const timeZone = zone ?? 'UTC'
  return Temporal.PlainDate.from(day).toZonedDateTime({ timeZone, ...(time !== null && { plainTime: time }) })
}

/**
 * @param now reminders before it are dropped
 * @returns undefined if `due_at` is after the year 9999 in UTC
 */
export function momentsOf(
  { due_date, due_time, time_zone, reminders }: Due,
  now: string,
): DueMoments | undefined {
  if (due_date === null) return { due_at: null, overdue_at: null, remind_at: null }
  const begins = dueMoment(due_date, due_time, time_zone)
  const due = begins.toInstant().epochMilliseconds
  if (due > Date.parse(LAST_MOMENT)) return undefined
  const overdue = due_time === null ? begins.add({ days: 1 }).toInstant().epochMilliseconds : due
  return {
    due_at: due_time === null ? null : new Date(due).toISOString(),
    overdue_at: new Date(Math.min(overdue, Date.parse(LAST_MOMENT))).toISOString(),
    remind_at: nextReminder(due, reminders, now),
  }
}

/**
 * @param due in milliseconds since 1970
 * @returns when the first reminder after `now` falls due; null if there is none
 */
export function nextReminder(due: number, reminders: readonly number[], now: string): string | null {
  const moments = reminders
    .map((minutes) => due - minutes * 60_000)
    .filter((moment) => moment > Date.parse(now) && moment <= Date.parse(LAST_MOMENT))
  return moments.length === 0 ? null : new Date(Math.min(...moments)).toISOString()
}
