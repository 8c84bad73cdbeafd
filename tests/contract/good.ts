/** Good values of fields and parameters of which the document does not say all, and fields that fit one another. */
import fc, { type Arbitrary } from 'fast-check'
import type { Fields } from './contract'

const tag = fc.constantFrom('home', 'Home', 'work', 'two words', 'ÄRGER', 'ärger', '𝒳', "o'clock")
const word = fc.constantFrom('a', 'milk', 'é', '%', '_', '\\', "'", '𝒳', '!', 'x y')
const day = fc.constantFrom('2024-02-29', '2026-01-16', '2026-03-29', '1900-01-01', '9999-12-30')

/** By the name of the field or parameter. */
export const GOOD: Record<string, Arbitrary<unknown>> = {
  tag: fc.array(tag, { minLength: 1, maxLength: 3 }),
  tags: fc.uniqueArray(tag, { maxLength: 4, selector: (name) => name.toUpperCase() }),
  q: fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(' ')),
  due_date: fc.oneof(day, fc.constant(null)),
  due_from: day,
  due_to: day,
  time_zone: fc.constantFrom(
    'Europe/Berlin',
    'UTC',
    'America/New_York',
    'Asia/Kathmandu',
    'Pacific/Apia',
    null,
  ),
  repeat: fc.constantFrom(
    'FREQ=DAILY',
    'freq=weekly;byday=mo,th;interval=2',
    'FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3',
    'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;WKST=SU',
    'FREQ=YEARLY;UNTIL=20270101',
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
    null,
  ),
}

/** Adds what other fields of a task need, and leaves one of several that exclude one another. */
export function togetherGood(fields: Fields): Fields {
  const has = (name: string) =>
    ![undefined, null].includes(fields[name] as null) && String(fields[name]) !== ''
  const needsZone = has('due_time') || has('reminders')
  const needsDay = needsZone || has('repeat')
  return {
    ...fields,
    ...(needsDay && !has('due_date') && { due_date: '2026-01-16' }),
    ...(needsZone && !has('time_zone') && { time_zone: 'Europe/Berlin' }),
    ...(fields['op'] === 'move' && oneTarget(fields)),
  }
}

const TARGETS = ['after', 'before', 'to']

/** Undefined members are not sent. */
function oneTarget(fields: Fields): Fields {
  const [kept = 'to'] = TARGETS.filter((name) => name in fields)
  const others = TARGETS.filter((name) => name !== kept).map((name) => [name, undefined])
  return { [kept]: fields[kept] ?? 'first', ...Object.fromEntries(others) }
}
