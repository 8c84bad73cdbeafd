/** The fields of a task that a client can write: their schemas and their defaults. */
import { Type } from '@sinclair/typebox'
import { t } from 'elysia'
import { checked, hasLength, Id, isStorable, nullable, oneOf, text } from '../http/schemas'
import { isDay, isTimeZone } from './due'

const MAX_REMINDERS = 5
export const MAX_TAGS = 20
export const REMINDERS_RULE = `must be at most ${MAX_REMINDERS} different whole numbers`

/** A schema that also takes null, which its rule says. */
function orNull<S extends ReturnType<typeof checked>>(schema: S) {
  return nullable(schema, { rule: `${schema['rule']}, or null` })
}

export const Title = text('task-title', {
  min: 1,
  max: 200,
  notBlank: true,
  description: 'Kept as sent, untrimmed',
})

export const PRIORITIES = ['high', 'medium', 'low'] as const

export const Day = checked('day', isDay, 'must be a day YYYY-MM-DD from 1900 to 9999', {
  format: 'date',
  description: 'A calendar day, `YYYY-MM-DD`',
})

const Time = checked('time', (value) => /^(?:[01]\d|2[0-3]):[0-5]\d$/.test(value), 'must be a time HH:MM', {
  pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
  description: 'What a clock shows, `HH:MM`; needs `due_date` and `time_zone`',
})

const TimeZone = checked('time-zone', isTimeZone, 'must be the IANA name of a time zone', {
  examples: ['Europe/Berlin'],
  description: 'An IANA name, such as `Europe/Berlin`',
})

// TypeBox's own integer: Elysia trap 11 (docs/elysia.md)
const Reminder = Type.Integer({
  minimum: -1440,
  maximum: 40320,
  rule: 'must be a whole number from -1440 to 40320',
})

export const TAG_RULE = 'must be a string of 1 to 50 characters, trimmed and without comma'
export const TagName = checked('tag', isTagName, TAG_RULE, { minLength: 1, maxLength: 50 })

/** Whether the text can be the name of a tag. */
export function isTagName(name: string): boolean {
  return hasLength(name, 1, 50) && isStorable(name) && name.trim() === name && !name.includes(',')
}

const ID_OR_NULL = 'must be a positive whole number, or null'

/** The schemas of input and answer are made from them. */
export const content = {
  title: Title,
  description: orNull(text('task-description', { min: 0, max: 1000, description: '`null`: none' })),
  completed: t.Boolean({ rule: 'must be true or false' }),
  priority: nullable(oneOf(PRIORITIES), { rule: `must be one of ${PRIORITIES.join(', ')}, or null` }),
  due_date: orNull(Day),
  due_time: orNull(Time),
  time_zone: orNull(TimeZone),
  reminders: t.Array(Reminder, {
    maxItems: MAX_REMINDERS,
    uniqueItems: true,
    rule: REMINDERS_RULE,
    description:
      'Minutes before the due moment; of a day without a time, before 00:00. Needs `due_date` and `time_zone`',
  }),
  repeat: orNull(
    text('repeat', {
      min: 1,
      max: 200,
      description: 'An RRULE of RFC 5545 without DTSTART, such as `FREQ=WEEKLY;BYDAY=MO`; needs `due_date`',
    }),
  ),
  repeat_from: oneOf(
    ['due', 'completion'],
    'Whether the next day is counted from the due day or from the day of completion',
  ),
  tags: t.Array(TagName, {
    maxItems: MAX_TAGS,
    rule: `must be at most ${MAX_TAGS} names`,
    description: 'Names differ if they differ without case; answers have them in alphabetical order',
  }),
  list_id: nullable(Id, { rule: ID_OR_NULL, description: 'A list of the user; `null`: the inbox' }),
  parent_id: nullable(Id, {
    rule: ID_OR_NULL,
    description: 'The task that this is a step of; that one is no step',
  }),
}
export type Content = typeof Content.static
const Content = t.Object(content)

/** What a new task has of the fields that its client leaves out. */
export const DEFAULTS: Omit<Content, 'title'> = {
  description: null,
  completed: false,
  priority: null,
  due_date: null,
  due_time: null,
  time_zone: null,
  reminders: [],
  repeat: null,
  repeat_from: 'due',
  tags: [],
  list_id: null,
  parent_id: null,
}
