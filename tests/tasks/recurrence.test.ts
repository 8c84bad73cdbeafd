import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { DateTime, RRuleSet } from 'rrule-rust'
import { nextDay, ruleAfter, ruleFault, search } from '../../src/tasks/recurrence'

const FREQUENCIES = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const
const WEEKDAYS = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']
const FOUR_CENTURIES = 146_097
const LAST = '9999-12-31'

/** The parts of a rule; one that is undefined is left out. */
interface Parts {
  FREQ: (typeof FREQUENCIES)[number]
  INTERVAL: number
  WKST: string | undefined
  BYDAY: string[] | undefined
  BYMONTHDAY: number[] | undefined
  BYMONTH: number[] | undefined
  BYSETPOS: number[] | undefined
  UNTIL?: string | undefined
}

function textOf(parts: Parts): string {
  const used = Object.entries(parts).filter(([, value]) => value !== undefined)
  return used.map(([name, value]) => `${name}=${value}`).join(';')
}

/** @returns no day after the year 9999 */
function later(day: string, days: number): string {
  const result = Temporal.PlainDate.from(day).add({ days })
  return result.year > 9999 ? LAST : result.toString()
}

const compact = (day: string) => day.replaceAll('-', '')

/** The first days of a rule. */
function firstDays(count: number, rule: string, begin: string): string[] {
  const days: string[] = []
  let day = nextDay(rule, begin, later(begin, -1))
  while (day && days.length < count) {
    days.push(day)
    day = nextDay(rule, begin, day)
  }
  return days
}

const upTo = (max: number) => fc.integer({ min: 1, max })
const fromEitherEnd = (max: number) => upTo(max).chain((number) => fc.constantFrom(number, -number))
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 4 })
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 })
const weekday = fc.constantFrom(...WEEKDAYS)

function weekdayIn(frequency: Parts['FREQ']): fc.Arbitrary<string> {
  if (frequency === 'DAILY' || frequency === 'WEEKLY') return weekday
  const month = fromEitherEnd(5)
  const ordinal = frequency === 'MONTHLY' ? month : fc.oneof(month, fromEitherEnd(53))
  return fc.oneof(
    weekday,
    fc.tuple(ordinal, weekday).map((item) => item.join('')),
  )
}

/** Any rule without COUNT and UNTIL. */
function rules(maxInterval: number): fc.Arbitrary<Parts> {
  const all = fc.constantFrom(...FREQUENCIES).chain((frequency) => {
    const place = fromEitherEnd({ DAILY: 1, WEEKLY: 7, MONTHLY: 31, YEARLY: 366 }[frequency])
    return fc.record({
      FREQ: fc.constant(frequency),
      INTERVAL: fc.oneof(fc.constant(1), upTo(4), upTo(maxInterval)),
      WKST: maybe(weekday),
      BYDAY: maybe(some(weekdayIn(frequency))),
      BYMONTHDAY: frequency === 'WEEKLY' ? fc.constant(undefined) : maybe(some(fromEitherEnd(31))),
      BYMONTH: maybe(some(upTo(12))),
      BYSETPOS: maybe(some(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, -1) }, place))),
    })
  })
  return all.filter(
    ({ BYSETPOS, BYDAY, BYMONTHDAY, BYMONTH }) => !BYSETPOS || [BYDAY, BYMONTHDAY, BYMONTH].some(Boolean),
  )
}

const dayFrom = (first: string, days: number) => fc.nat(days).map((number) => later(first, number))

describe('a rule and its days are those of', () => {
  /**
   * A rule for the same days, as rrule-rust 3.1.1 understands it. RFC 5545 is on Taskwell's side where the two differ:
   * - rrule-rust takes BYDAY=MO,1TU for the days that are both. In RFC 5545 it is a list, of days that are either.
   * - With BYSETPOS, its first week begins on DTSTART. In RFC 5545 the set of a week "starts at the beginning of the
   *   interval", so days before DTSTART count, although the rule does not fall on them.
   */
  function inItsWords(parts: Parts, begin: string): [words: Parts, begin: string] {
    const { FREQ, BYSETPOS, BYMONTH, BYDAY, WKST = 'MO' } = parts
    const { dayOfWeek } = Temporal.PlainDate.from(begin)
    if (FREQ === 'WEEKLY' && BYSETPOS) {
      const own = WEEKDAYS[dayOfWeek - 1] ?? ''
      const sinceMonday = dayOfWeek - 1 - WEEKDAYS.indexOf(WKST)
      return [{ ...parts, BYDAY: BYDAY ?? [own] }, later(begin, -((sinceMonday + 7) % 7))]
    }
    if (!BYDAY?.some((item) => item.length > 2)) return [parts, begin]
    const each = Array.from({ length: FREQ === 'YEARLY' && !BYMONTH ? 53 : 5 }, (_, index) => index + 1)
    const numbered = BYDAY.flatMap((item) => (item.length > 2 ? item : each.map((n) => `${n}${item}`)))
    return [{ ...parts, BYDAY: numbered }, begin]
  }

  function dateTime(text: string) {
    const { year, month, day } = Temporal.PlainDate.from(text)
    return DateTime.date(year, month, day)
  }

  function itsDays(parts: Parts, begin: string, end: string): string[] {
    const [words, start] = inItsWords(parts, begin)
    const set = RRuleSet.fromString<DateTime<undefined>>(
      `DTSTART;VALUE=DATE:${compact(start)}\nRRULE:${textOf(words)}`,
    )
    const days = set.between(dateTime(begin), dateTime(end), true)
    return days.map((day) => day.toString().replace(/(....)(..)(..)/, '$1-$2-$3'))
  }

  /** It refuses these, although there are months with five Mondays, and years with 53; the next test has them. */
  const isRefused = ({ BYDAY }: Parts) => BYDAY?.some((item) => /^-(5|53)\D/.test(item))

  test('rrule-rust, for thousands of rules', () => {
    const permille = fc.integer({ min: 0, max: 1000 })
    const chosen = fc.record({
      parts: rules(999).filter((parts) => !isRefused(parts)),
      begin: dayFrom('1996-01-01', 40 * 365),
      until: maybe(fc.integer({ min: 500, max: 1000 })),
      places: some(fc.oneof(permille, fc.constant(-100))),
    })
    const property = fc.property(chosen, ({ parts, begin, until, places }) => {
      // about as many periods for each interval
      const days = { DAILY: 400, WEEKLY: 1000, MONTHLY: 1500, YEARLY: 5000 }[parts.FREQ] * parts.INTERVAL
      const dayAt = (place: number) => later(begin, Math.floor((place * days) / 1000))
      const ending = { ...parts, UNTIL: until === undefined ? undefined : compact(dayAt(until)) }
      const rule = textOf(ending)
      expect(ruleFault(rule)).toBeUndefined()
      const end = dayAt(1000)
      const expected = itsDays(ending, begin, end)
      for (const after of places.map(dayAt)) {
        const day = nextDay(rule, begin, after)
        const comparable = day && day <= end ? day : undefined
        expect([rule, begin, after, comparable]).toEqual([
          rule,
          begin,
          after,
          expected.find((each) => each > after),
        ])
      }
    })
    fc.assert(property, { numRuns: 2000 })
  })

  test.each([
    ['FREQ=MONTHLY;BYDAY=-5MO', 'FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-5'],
    ['FREQ=YEARLY;BYDAY=-53MO', 'FREQ=YEARLY;BYDAY=MO;BYSETPOS=-53'],
    ['FREQ=YEARLY;BYDAY=-5MO;BYMONTH=3', 'FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-5;BYMONTH=3'],
  ])('rrule-rust in other words: %s', (rule, words) => {
    const set = RRuleSet.fromString(`DTSTART;VALUE=DATE:20260101\nRRULE:${words}`)
    expect(firstDays(20, rule, '2026-01-01').map(compact)).toEqual(set.all(20).map(String))
  })

  test.each([
    ['FREQ=DAILY;INTERVAL=10', '1997-09-02', '1997-09-12 1997-09-22 1997-10-02 1997-10-12'],
    ['FREQ=WEEKLY;INTERVAL=2;WKST=SU', '1997-09-02', '1997-09-16 1997-09-30 1997-10-14'],
    ['FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO', '1997-08-05', '1997-08-10 1997-08-19 1997-08-24'],
    ['FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU', '1997-08-05', '1997-08-17 1997-08-19 1997-08-31'],
    ['FREQ=MONTHLY;INTERVAL=2;BYDAY=1SU,-1SU', '1997-09-07', '1997-09-28 1997-11-02 1997-11-30 1998-01-04'],
    ['FREQ=MONTHLY;BYDAY=-2MO', '1997-09-22', '1997-10-20 1997-11-17 1997-12-22 1998-01-19 1998-02-16'],
    ['FREQ=MONTHLY;BYMONTHDAY=-3', '1997-09-28', '1997-10-29 1997-11-28 1997-12-29 1998-01-29 1998-02-26'],
    ['FREQ=MONTHLY;BYMONTHDAY=1,-1', '1997-09-30', '1997-10-01 1997-10-31 1997-11-01 1997-11-30'],
    ['FREQ=MONTHLY;BYMONTHDAY=15,30', '2007-01-15', '2007-01-30 2007-02-15 2007-03-15 2007-03-30'],
    ['FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13', '1998-02-13', '1998-03-13 1998-11-13 1999-08-13 2000-10-13'],
    ['FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3', '1997-09-04', '1997-10-07 1997-11-06'],
    ['FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2', '1997-09-29', '1997-10-30 1997-11-27 1997-12-30'],
    ['FREQ=YEARLY;INTERVAL=2;BYMONTH=1,2,3', '1997-03-10', '1999-01-10 1999-02-10 1999-03-10 2001-01-10'],
    ['FREQ=YEARLY;BYDAY=20MO', '1997-05-19', '1998-05-18 1999-05-17'],
    ['FREQ=YEARLY;BYDAY=TH;BYMONTH=3', '1997-03-13', '1997-03-20 1997-03-27 1998-03-05'],
    [
      'FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8',
      '1996-11-05',
      '2000-11-07 2004-11-02',
    ],
  ])('the examples in RFC 5545: %s from %s', (rule, begin, following) => {
    const days = [begin, ...following.split(' ')]
    expect(firstDays(days.length, rule, begin)).toEqual(days)
  })
})

describe('the next day', () => {
  test.each([
    ['begins with the first day, if the rule falls on it', 'FREQ=WEEKLY', '2026-01-01 2026-01-08'],
    [
      'leaves the first day out, if the rule does not fall on it',
      'FREQ=WEEKLY;BYDAY=MO',
      '2026-01-05 2026-01-12',
    ],
    [
      'takes weekdays with and without a number',
      'FREQ=MONTHLY;BYDAY=MO,1TU',
      '2026-01-05 2026-01-06 2026-01-12',
    ],
    [
      'takes each day once',
      'FREQ=MONTHLY;BYMONTHDAY=31,-1,31;BYDAY=SA,-1SA,SA',
      '2026-01-31 2026-02-28 2026-10-31',
    ],
    ['counts places from the start of a week', 'FREQ=WEEKLY;BYDAY=WE,FR;BYSETPOS=2', '2026-01-02 2026-01-09'],
    [
      'falls on a day of each month, with BYMONTHDAY alone',
      'FREQ=YEARLY;BYMONTHDAY=2',
      '2026-01-02 2026-02-02',
    ],
    ['is not held back by COUNT', 'FREQ=DAILY;COUNT=1', '2026-01-01 2026-01-02'],
    ['reads a rule in small letters', 'freq=weekly;byday=mo;wkst=su', '2026-01-05 2026-01-12'],
    [
      'reads numbers with + and 0',
      'BYDAY=+01MO,01TU;FREQ=MONTHLY;INTERVAL=002',
      '2026-01-05 2026-01-06 2026-03-02',
    ],
  ])('%s: %s', (_, rule, expected) => {
    const days = expected.split(' ')
    expect(firstDays(days.length, rule, '2026-01-01')).toEqual(days)
  })

  test.each([
    ['FREQ=MONTHLY', '2026-01-31', '2026-03-31 2026-05-31'],
    ['FREQ=YEARLY', '2096-02-29', '2104-02-29 2108-02-29'],
    ['FREQ=YEARLY;BYMONTH=4,5', '2026-05-31', '2027-05-31 2028-05-31'],
  ])('leaves out a day that a month does not have: %s from %s', (rule, begin, following) => {
    expect(firstDays(3, rule, begin)).toEqual([begin, ...following.split(' ')])
  })

  test('is not after UNTIL, which may be before the first day', () => {
    const next = (until: string, after: string) => nextDay(`FREQ=DAILY;UNTIL=${until}`, '2026-01-01', after)
    expect(next('20260110', '2026-01-09')).toBe('2026-01-10')
    expect(next('20260110', '2026-01-10')).toBeUndefined()
    expect(next('20251231', '2025-12-01')).toBeUndefined()
  })

  test('is found from the year 1 to the year 9999', () => {
    expect(nextDay('FREQ=MONTHLY;BYMONTHDAY=-1', '0001-01-01', '0001-02-01')).toBe('0001-02-28')
    expect(nextDay('FREQ=YEARLY;BYDAY=-1FR', '0001-01-01', '0099-12-31')).toBe('0100-12-31')
    expect(nextDay('FREQ=DAILY', '0001-01-01', '9999-12-30')).toBe(LAST)
    expect(nextDay('FREQ=DAILY', '0001-01-01', LAST)).toBeUndefined()
    expect(nextDay('FREQ=WEEKLY', LAST, '0001-01-01')).toBe(LAST)
  })

  test.each([
    ['FREQ=DAILY;INTERVAL=10;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH', '3680-02-29'],
    ['FREQ=MONTHLY;INTERVAL=31;BYMONTH=2;BYMONTHDAY=29;BYDAY=FR', '8492-02-29'],
    ['FREQ=YEARLY;INTERVAL=31;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH', '9280-02-29'],
  ])('is found even thousands of years away: %s', (rule, expected) => {
    expect(nextDay(rule, '2026-01-01', '2026-01-01')).toBe(expected)
  })

  test('is the same 400 years later, times INTERVAL', () => {
    const chosen = fc.record({ parts: rules(15), begin: dayFrom('1996-01-01', 9999), days: fc.nat(9999) })
    const property = fc.property(chosen, ({ parts, begin, days }) => {
      const rule = textOf(parts)
      const shift = FOUR_CENTURIES * parts.INTERVAL
      const after = later(begin, days)
      const near = nextDay(rule, begin, after)
      const expected = near && Temporal.PlainDate.from(near).add({ days: shift })
      const far = nextDay(rule, begin, later(after, shift))
      expect([rule, begin, after, far]).toEqual([
        rule,
        begin,
        after,
        expected && expected.year <= 9999 ? expected.toString() : undefined,
      ])
    })
    fc.assert(property, { numRuns: 300 })
  })

  test('is asked only of a good rule', () => {
    expect(() => nextDay('FREQ=HOURLY', '2026-01-01', '2026-01-01')).toThrow('must have a FREQ of DAILY')
  })
})

describe('a search looks at no more periods than 400 years have, and once more at the first', () => {
  const MOST = { DAILY: FOUR_CENTURIES, WEEKLY: FOUR_CENTURIES / 7, MONTHLY: 400 * 12, YEARLY: 400 }

  test.each([
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=DAILY;INTERVAL=31;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=DAILY;INTERVAL=7;BYDAY=TU',
    'FREQ=DAILY;BYDAY=MO;BYSETPOS=2',
    'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=8',
    'FREQ=MONTHLY;BYSETPOS=300;BYDAY=MO',
    'FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=2,4',
    'FREQ=YEARLY;BYDAY=53MO;BYMONTH=1',
    'FREQ=YEARLY;BYDAY=MO;BYSETPOS=54',
  ])('for a rule that never falls on a day: %s', (rule) => {
    const most = FREQUENCIES.find((frequency) => rule.includes(frequency)) ?? 'YEARLY'
    // Mondays
    for (const begin of ['0001-01-01', '1900-01-01', '9990-01-01']) {
      const { day, looked } = search(rule, begin, begin)
      expect([begin, day]).toEqual([begin, undefined])
      expect(looked).toBeLessThanOrEqual(MOST[most] + 1)
    }
  })

  test('for any rule, any first day, and any day after which it searches', () => {
    const anyDay = dayFrom('0001-01-01', 9999 * 365)
    const property = fc.property(rules(999), anyDay, anyDay, (parts, begin, after) => {
      expect(search(textOf(parts), begin, after).looked).toBeLessThanOrEqual(MOST[parts.FREQ] + 1)
    })
    fc.assert(property, { numRuns: 500 })
  })

  test.each(['FREQ=DAILY', 'FREQ=WEEKLY', 'FREQ=MONTHLY;BYMONTHDAY=31', 'FREQ=YEARLY;BYMONTHDAY=29'])(
    'and at none that is missed: %s',
    (rule) => {
      expect(search(rule, '0001-01-01', '9990-01-01').looked).toBeLessThanOrEqual(1)
    },
  )

  test('and at fewer for an interval that 400 years are a multiple of', () => {
    const { looked } = search('FREQ=DAILY;INTERVAL=7;BYDAY=TU', '1900-01-01', '1900-01-01')
    expect(looked).toBeLessThanOrEqual(FOUR_CENTURIES / 7 + 1)
  })

  test('and at none that the rule cannot fall on', () => {
    expect(search('FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30', '2026-01-01', '2026-01-01').looked).toBe(0)
    expect(search('FREQ=WEEKLY;BYDAY=MO;BYSETPOS=8', '2026-01-01', '2026-01-01').looked).toBe(0)
    expect(search('FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29', '2026-01-01', '2026-01-01').looked).toBe(1)
  })
})

describe('a rule', () => {
  test.each([
    ['', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['weekly', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['FREQ=DAILY;', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['FREQ=DAILY\nINTERVAL=2', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['DTSTART:20260101\nRRULE:FREQ=DAILY', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['FREQ=DAILY; INTERVAL=2', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    // letters whose capitals are S and I
    ['FREQ=MONTHLY;BYMONTH=1;BYſETPOS=1', 'must be parts such as FREQ=WEEKLY;BYDAY=MO,TH'],
    ['FREQ=DAıLY', 'must have a FREQ of DAILY, WEEKLY, MONTHLY or YEARLY'],
    [`FREQ=DAILY;BYMONTH=1${',1'.repeat(100)}`, 'must be at most 200 characters'],
    ['RRULE:FREQ=DAILY', 'must not begin with RRULE:'],
    ['INTERVAL=2', 'must have a FREQ'],
    ['FREQ=HOURLY', 'must have a FREQ of DAILY, WEEKLY, MONTHLY or YEARLY'],
    ['FREQ=', 'must have a FREQ of DAILY, WEEKLY, MONTHLY or YEARLY'],
    ['FREQ=DAILY;FREQ=DAILY', 'must have FREQ only once'],
    ['FREQ=DAILY;BYDAY=MO;byday=TU', 'must have BYDAY only once'],
    ['FREQ=DAILY;DTSTART=20260101', 'must not have DTSTART'],
    ['FREQ=DAILY;BYHOUR=9', 'must not have BYHOUR'],
    ['FREQ=DAILY;BYMINUTE=9', 'must not have BYMINUTE'],
    ['FREQ=DAILY;BYSECOND=9', 'must not have BYSECOND'],
    ['FREQ=YEARLY;BYYEARDAY=9', 'must not have BYYEARDAY'],
    ['FREQ=YEARLY;BYWEEKNO=9', 'must not have BYWEEKNO'],
    ['FREQ=YEARLY;RSCALE=HEBREW', 'must not have RSCALE'],
    ['FREQ=DAILY;X-COLOR=RED', 'must not have X-COLOR'],
    ['FREQ=DAILY;INTERVAL=0', 'must have an INTERVAL of 1 to 999'],
    ['FREQ=DAILY;INTERVAL=1000', 'must have an INTERVAL of 1 to 999'],
    ['FREQ=DAILY;INTERVAL=-1', 'must have an INTERVAL of 1 to 999'],
    ['FREQ=DAILY;INTERVAL=1,2', 'must have an INTERVAL of 1 to 999'],
    ['FREQ=DAILY;COUNT=0', 'must have a COUNT of 1 to 999999999'],
    ['FREQ=DAILY;COUNT=1000000000', 'must have a COUNT of 1 to 999999999'],
    ['FREQ=DAILY;COUNT=1.5', 'must have a COUNT of 1 to 999999999'],
    ['FREQ=DAILY;COUNT=3;UNTIL=20270101', 'must not have both COUNT and UNTIL'],
    ['FREQ=DAILY;UNTIL=2027-01-01', 'must have an UNTIL such as 20271231'],
    ['FREQ=DAILY;UNTIL=20270101T000000Z', 'must have an UNTIL such as 20271231'],
    ['FREQ=DAILY;UNTIL=20271301', 'must have an UNTIL such as 20271231'],
    ['FREQ=DAILY;UNTIL=00000101', 'must have an UNTIL such as 20271231'],
    ['FREQ=DAILY;UNTIL=20270229', 'must have an UNTIL that is in the calendar'],
    ['FREQ=DAILY;UNTIL=20270431', 'must have an UNTIL that is in the calendar'],
    ['FREQ=WEEKLY;WKST=1', 'must have a WKST that is a weekday such as MO'],
    ['FREQ=WEEKLY;WKST=MO,TU', 'must have a WKST that is a weekday such as MO'],
    ['FREQ=WEEKLY;BYDAY=MON', 'must have a BYDAY of weekdays such as MO,TH or -1FR'],
    ['FREQ=WEEKLY;BYDAY=MO, TU', 'must have a BYDAY of weekdays such as MO,TH or -1FR'],
    ['FREQ=MONTHLY;BYDAY=MO,', 'must have a BYDAY of weekdays such as MO,TH or -1FR'],
    ['FREQ=MONTHLY;BYDAY=0MO', 'must have a BYDAY of weekdays such as MO,TH or -1FR'],
    ['FREQ=MONTHLY;BYDAY=-00MO', 'must have a BYDAY of weekdays such as MO,TH or -1FR'],
    ['FREQ=DAILY;BYDAY=1MO', 'must have no number in BYDAY with FREQ=DAILY'],
    ['FREQ=WEEKLY;BYDAY=MO,-1FR', 'must have no number in BYDAY with FREQ=WEEKLY'],
    ['FREQ=MONTHLY;BYDAY=6MO', 'must have no number above 5 in BYDAY with FREQ=MONTHLY'],
    ['FREQ=MONTHLY;BYDAY=MO,-6MO', 'must have no number above 5 in BYDAY with FREQ=MONTHLY'],
    ['FREQ=YEARLY;BYDAY=54MO', 'must have no number above 53 in BYDAY with FREQ=YEARLY'],
    ['FREQ=MONTHLY;BYMONTHDAY=0', 'must have a BYMONTHDAY of 1 to 31 or -31 to -1'],
    ['FREQ=MONTHLY;BYMONTHDAY=1,32', 'must have a BYMONTHDAY of 1 to 31 or -31 to -1'],
    ['FREQ=WEEKLY;BYMONTHDAY=1', 'must not have BYMONTHDAY with FREQ=WEEKLY'],
    ['FREQ=YEARLY;BYMONTH=13', 'must have a BYMONTH of 1 to 12'],
    ['FREQ=YEARLY;BYMONTH=-1', 'must have a BYMONTH of 1 to 12'],
    ['FREQ=YEARLY;BYMONTH=00', 'must have a BYMONTH of 1 to 12'],
    ['FREQ=YEARLY;BYDAY=MO;BYSETPOS=0', 'must have a BYSETPOS of 1 to 366 or -366 to -1'],
    ['FREQ=YEARLY;BYDAY=MO;BYSETPOS=1,-000', 'must have a BYSETPOS of 1 to 366 or -366 to -1'],
    ['FREQ=YEARLY;BYDAY=MO;BYSETPOS=367', 'must have a BYSETPOS of 1 to 366 or -366 to -1'],
    ['FREQ=YEARLY;BYSETPOS=1', 'must not have BYSETPOS without BYDAY, BYMONTHDAY or BYMONTH'],
  ])('%p %s', (rule, fault) => {
    expect(ruleFault(rule)).toBe(fault)
  })

  test.each([
    'FREQ=DAILY;INTERVAL=999;COUNT=999999999',
    'until=20280229;freq=daily;interval=1',
    'FREQ=MONTHLY;BYDAY=5MO,-5MO,+5TU;BYMONTHDAY=31,-31,+1;BYMONTH=1,02,12',
    'FREQ=YEARLY;BYDAY=53MO,-53MO,10TU,50WE;BYSETPOS=1,10,99,100,299,300,359,360,366,-366',
    `FREQ=DAILY;BYMONTH=1${',1'.repeat(90)}`,
  ])('is good: %s', (rule) => {
    expect(ruleFault(rule)).toBeUndefined()
  })
})

test('the rule of the task that follows has a COUNT that is less by one, and is otherwise as it was sent', () => {
  expect(ruleAfter('FREQ=DAILY;COUNT=10;INTERVAL=10')).toBe('FREQ=DAILY;COUNT=9;INTERVAL=10')
  expect(ruleAfter('count=0002;Freq=Daily')).toBe('count=1;Freq=Daily')
  expect(ruleAfter('FREQ=DAILY;COUNT=1')).toBeUndefined()
  expect(ruleAfter('Freq=daily;UNTIL=20270101')).toBe('Freq=daily;UNTIL=20270101')
})
