/**
 * The rules of repeating tasks: RRULE of RFC 5545 (section 3.3.10) without DTSTART, and of its parts those about days.
 * In here a day is a number, counted from 1970-01-01, because a search may look at more than a hundred thousand of them.
 */

const MAX_LENGTH = 200
/** After 400 years the calendar begins again, weekdays included. */
const CYCLE = { days: 146_097, years: 400 }
const MILLISECONDS = 86_400_000
const LAST = dayFrom('9999-12-31')
const NEVER = Number.POSITIVE_INFINITY
const COUNT = /(?<=COUNT=)\d+/i
const FREQUENCIES = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const
const WEEKDAYS = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']
const WEEKDAY = `(${WEEKDAYS.join('|')})`

// RFC 5545: case does not matter
const one = (item: string) => new RegExp(`^${item}$`, 'i')
const list = (item: string) => one(`${item}(,${item})*`)
const signed = (number: string) => list(`[+-]?(${number})`)

/** The parts of a rule: the form of each, and what is said of a value of another form, after "must have". */
const PARTS = new Map<string, [form: RegExp, instead: string]>([
  ['FREQ', [one(`(${FREQUENCIES.join('|')})`), 'a FREQ of DAILY, WEEKLY, MONTHLY or YEARLY']],
  ['INTERVAL', [one('(?!0+$)\\d{1,3}'), 'an INTERVAL of 1 to 999']],
  ['COUNT', [one('(?!0+$)\\d{1,9}'), 'a COUNT of 1 to 999999999']],
  ['UNTIL', [one('(?!0000)\\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\\d|3[01])'), 'an UNTIL such as 20271231']],
  ['WKST', [one(WEEKDAY), 'a WKST that is a weekday such as MO']],
  ['BYDAY', [list(`([+-]?(?!00?\\D)\\d{1,2})?${WEEKDAY}`), 'a BYDAY of weekdays such as MO,TH or -1FR']],
  ['BYMONTHDAY', [signed('0?[1-9]|[12]\\d|3[01]'), 'a BYMONTHDAY of 1 to 31 or -31 to -1']],
  ['BYMONTH', [list('(0?[1-9]|1[0-2])'), 'a BYMONTH of 1 to 12']],
  ['BYSETPOS', [signed('(?!0+\\b)[0-2]?\\d?\\d|3[0-5]\\d|36[0-6]'), 'a BYSETPOS of 1 to 366 or -366 to -1']],
])

interface Rule {
  frequency: (typeof FREQUENCIES)[number]
  interval: number
  /** The last day that is possible. */
  until: number
  weekStart: number
  /** The ordinal is 0 if each such weekday is meant. */
  weekdays: { weekday: number; ordinal: number }[] | undefined
  monthDays: number[] | undefined
  months: number[] | undefined
  places: number[] | undefined
}

/** What INTERVAL counts. They have numbers, without a gap. */
interface Periods {
  /** How many are in 400 years. */
  inCycle: number
  /** How many days the longest one has. */
  maxDays: number
  numberOf: (day: number) => number
  firstDay: (number: number) => number
}

/** Days from `first` to the one before `end`. */
interface Span {
  first: number
  end: number
}

interface Month extends Span {
  /** 1: January */
  number: number
}

/** The next day that fits a rule, which may be the day itself. */
type NextFit = (day: number) => number

class Fault extends Error {}

/** @returns what is wrong with a rule, as the end of a sentence that begins with its name; undefined if it is good */
export function ruleFault(text: string): string | undefined {
  try {
    read(text)
    return undefined
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}

/**
 * The first day of a rule that is later than another day; all days are YYYY-MM-DD. A day that a month does not have is left
 * out. COUNT is not heeded: `ruleAfter` counts.
 * @param begin the day from which the rule counts, and a day of the rule only if the rule falls on it
 * @returns undefined if there is none up to UNTIL or the end of the year 9999
 * @throws Error if the rule has a fault
 */
export function nextDay(rule: string, begin: string, after: string): string | undefined {
  const { day } = search(rule, begin, after)
  return day === undefined ? undefined : dateOf(day).toISOString().slice(0, 10)
}

/** @returns the rule of the task that follows, whose COUNT is less by one; undefined if COUNT was 1 */
export function ruleAfter(rule: string): string | undefined {
  const [count] = COUNT.exec(rule) ?? []
  if (count === undefined) return rule
  return Number(count) === 1 ? undefined : rule.replace(COUNT, String(Number(count) - 1))
}

/**
 * As `nextDay`. It goes to the next period that INTERVAL counts, and to the next day that fits the rule, by turns. It ends where
 * everything comes again: at a period that is a multiple of 400 years later than the first one.
 * @returns also how many periods it has looked at
 */
export function search(
  text: string,
  begin: string,
  after: string,
): { day: number | undefined; looked: number } {
  const first = dayFrom(begin)
  const from = Math.max(first, dayFrom(after) + 1)
  const rule = completed(read(text), first)
  const { interval, until, places } = rule
  const { inCycle, maxDays, numberOf, firstDay } = periodsOf(rule)
  // otherwise all 146,097 days would be looked at
  if (places?.every((place) => Math.abs(place) > maxDays)) return { day: undefined, looked: 0 }
  const start = numberOf(first)
  const counted = (number: number) => start + Math.ceil((number - start) / interval) * interval
  let number = counted(numberOf(from))
  const last = number + (interval * inCycle) / commonDivisor(interval, inCycle)
  const nextFit = calendarOf(rule)
  let looked = 0
  for (; number <= last; looked++) {
    const fit = nextFit(firstDay(number))
    if (fit > until) break
    const day = daysIn({ first: fit, end: firstDay(number + 1) }, nextFit, rule).find((each) => each >= from)
    if (day !== undefined) return { day: day <= until ? day : undefined, looked }
    number = counted(Math.max(number + 1, numberOf(fit)))
  }
  return { day: undefined, looked }
}

function periodsOf({ frequency, weekStart }: Rule): Periods {
  switch (frequency) {
    case 'DAILY':
      return { inCycle: CYCLE.days, maxDays: 1, numberOf: (day) => day, firstDay: (number) => number }
    case 'WEEKLY': {
      // day -3 was a Monday
      const first = weekStart - 3
      const numberOf = (day: number) => Math.floor((day - first) / 7)
      return { inCycle: CYCLE.days / 7, maxDays: 7, numberOf, firstDay: (number) => number * 7 + first }
    }
    case 'MONTHLY': {
      const numberOf = (day: number) => yearOf(day) * 12 + dateOf(day).getUTCMonth()
      const firstDay = (number: number) => firstOfMonth(0, number)
      return { inCycle: CYCLE.years * 12, maxDays: 31, numberOf, firstDay }
    }
    case 'YEARLY': {
      const firstDay = (number: number) => firstOfMonth(number, 0)
      return { inCycle: CYCLE.years, maxDays: 366, numberOf: yearOf, firstDay }
    }
  }
}

function daysIn({ first, end }: Span, nextFit: NextFit, { places }: Rule): number[] {
  const days: number[] = []
  for (let day = nextFit(first); day < end; day = nextFit(day + 1)) days.push(day)
  return places ? days.filter((_, index) => hasEither(places, index + 1, index - days.length)) : days
}

/** There are 14 kinds of years. What fits is found out once for each, because that takes long. */
function calendarOf(rule: Rule): NextFit {
  const kinds = new Map<number, number[]>()
  let year: Span = { first: 0, end: 0 }
  let fits: number[] = []
  const turnTo = (day: number) => {
    year = { first: firstOfMonth(yearOf(day), 0), end: firstOfMonth(yearOf(day), 12) }
    const kind = (year.end - year.first) * 7 + weekdayOf(year.first)
    fits = kinds.get(kind) ?? fitsIn(year, rule)
    kinds.set(kind, fits)
  }
  return (from) => {
    for (let day = from; day <= from + CYCLE.days; day = year.end) {
      if (day < year.first || day >= year.end) turnTo(day)
      const fit = fits[day - year.first] ?? NEVER
      if (fit !== NEVER) return year.first + fit
    }
    return NEVER
  }
}

/** @returns for each day of a year the next one that fits, both counted from 1 January */
function fitsIn(year: Span, rule: Rule): number[] {
  const next: number[] = []
  let following = NEVER
  let month = monthOf(year.end - 1)
  for (let day = year.end - 1; day >= year.first; day--) {
    if (day < month.first) month = monthOf(day)
    if (isFit(day, month, year, rule)) following = day - year.first
    next[day - year.first] = following
  }
  return next
}

function isFit(day: number, month: Month, year: Span, rule: Rule): boolean {
  const { frequency, months, monthDays, weekdays } = rule
  if (months && !months.includes(month.number)) return false
  if (monthDays && !hasEither(monthDays, day - month.first + 1, day - month.end)) return false
  if (!weekdays) return true
  const { first, end } = frequency === 'YEARLY' && !months ? year : month
  const ordinals = [0, Math.ceil((day - first + 1) / 7), Math.floor((day - end) / 7)]
  return weekdays.some(({ weekday, ordinal }) => weekday === weekdayOf(day) && ordinals.includes(ordinal))
}

/** Whether one of two places is listed: the place from the start (1, 2, …), or that from the end (-1, -2, …). */
function hasEither(places: number[], fromStart: number, fromEnd: number): boolean {
  return places.includes(fromStart) || places.includes(fromEnd)
}

/** What a rule leaves open, its first day says. BYMONTHDAY alone leaves nothing open: it means each month. */
function completed(rule: Rule, first: number): Rule {
  const { frequency, months, monthDays, weekdays } = rule
  if (frequency === 'DAILY' || monthDays || weekdays) return rule
  if (frequency === 'WEEKLY') return { ...rule, weekdays: [{ weekday: weekdayOf(first), ordinal: 0 }] }
  const date = dateOf(first)
  const monthly = { ...rule, monthDays: [date.getUTCDate()] }
  return frequency === 'MONTHLY' ? monthly : { ...monthly, months: months ?? [date.getUTCMonth() + 1] }
}

/** @throws Fault */
function read(text: string): Rule {
  const parts = partsOf(text)
  const frequency = FREQUENCIES.find((each) => each === parts.get('FREQ'))
  if (!frequency) throw new Fault('must have a FREQ')
  const listed = (name: string) => {
    const items = parts.get(name)?.split(',')
    return items && [...new Set(items)]
  }
  const rule = {
    frequency,
    interval: Number(parts.get('INTERVAL') ?? 1),
    until: untilFrom(parts.get('UNTIL')),
    weekStart: WEEKDAYS.indexOf(parts.get('WKST') ?? 'MO'),
    weekdays: listed('BYDAY')?.map(weekdayFrom),
    monthDays: listed('BYMONTHDAY')?.map(Number),
    months: listed('BYMONTH')?.map(Number),
    places: listed('BYSETPOS')?.map(Number),
  }
  refuseTogether(rule)
  return rule
}

/** @param item such as MO or -1FR */
function weekdayFrom(item: string) {
  return { weekday: WEEKDAYS.indexOf(item.slice(-2)), ordinal: Number(item.slice(0, -2)) }
}

function partsOf(text: string): Map<string, string> {
  if (text.length > MAX_LENGTH) throw new Fault(`must be at most ${MAX_LENGTH} characters`)
  if (/^RRULE:/i.test(text)) throw new Fault('must not begin with RRULE:')
  const parts = new Map<string, string>()
  for (const part of text.split(';')) {
    const [, written, value = ''] = /^([A-Z-]+)=(.*)$/i.exec(part) ?? []
    if (!written) throw new Fault('must be parts such as FREQ=WEEKLY;BYDAY=MO,TH')
    const name = written.toUpperCase()
    const [form, instead] = PARTS.get(name) ?? []
    if (!form) throw new Fault(`must not have ${name}`)
    if (!form.test(value)) throw new Fault(`must have ${instead}`)
    if (parts.has(name)) throw new Fault(`must have ${name} only once`)
    parts.set(name, value.toUpperCase())
  }
  if (parts.has('COUNT') && parts.has('UNTIL')) throw new Fault('must not have both COUNT and UNTIL')
  return parts
}

function refuseTogether({ frequency, weekdays, monthDays, months, places }: Rule): void {
  const max = { DAILY: 0, WEEKLY: 0, MONTHLY: 5, YEARLY: 53 }[frequency]
  if (weekdays?.some(({ ordinal }) => Math.abs(ordinal) > max)) {
    throw new Fault(`must have no number${max > 0 ? ` above ${max}` : ''} in BYDAY with FREQ=${frequency}`)
  }
  if (monthDays && frequency === 'WEEKLY') throw new Fault('must not have BYMONTHDAY with FREQ=WEEKLY')
  if (places && !weekdays && !monthDays && !months) {
    throw new Fault('must not have BYSETPOS without BYDAY, BYMONTHDAY or BYMONTH')
  }
}

function untilFrom(value: string | undefined): number {
  if (value === undefined) return LAST
  const day = dayFrom(value.replace(/(....)(..)(..)/, '$1-$2-$3'))
  // a day that a month does not have is read as one of the next month
  if (dateOf(day).getUTCDate() !== Number(value.slice(-2))) {
    throw new Fault('must have an UNTIL that is in the calendar')
  }
  return day
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

function monthOf(day: number): Month {
  const date = dateOf(day)
  const number = date.getUTCMonth() + 1
  return { number, first: day - date.getUTCDate() + 1, end: firstOfMonth(yearOf(day), number) }
}

/** @param month 0: January; 12: January of the next year */
function firstOfMonth(year: number, month: number): number {
  // in another cycle, because Date.UTC takes the years 0 to 99 for 1900 to 1999
  return Date.UTC(year + CYCLE.years, month) / MILLISECONDS - CYCLE.days
}

/** @returns 0 for Monday */
function weekdayOf(day: number): number {
  return (((day + 3) % 7) + 7) % 7
}

function yearOf(day: number): number {
  return dateOf(day).getUTCFullYear()
}

function dateOf(day: number): Date {
  return new Date(day * MILLISECONDS)
}

/** @param text YYYY-MM-DD */
function dayFrom(text: string): number {
  return Date.parse(text) / MILLISECONDS
}
