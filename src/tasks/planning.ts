/** What a task's fields must be together, and what follows from them. */
import { type FieldError, invalid } from '../http/problems'
import { type DueMoments, momentsOf } from './due'
import { type Content, content, REMINDERS_RULE } from './fields'
import type { TaskUpdate } from './model'
import { ruleFault } from './recurrence'

/** The fields of a task that can be stored. */
export type Planned = Content & DueMoments

const FIELDS = Object.keys(content) as (keyof Content)[]
const DUE_FIELDS = ['due_date', 'due_time', 'time_zone', 'reminders'] as const

/** @returns only these fields of a task */
export function plannedFrom(task: Planned): Planned {
  const { due_at, overdue_at, remind_at } = task
  // no field is missing: all of them are named
  const fields = Object.fromEntries(FIELDS.map((field) => [field, task[field]])) as Content
  return { ...fields, due_at, overdue_at, remind_at }
}

/** The fields that depend on nothing else, and nothing on them. */
const PLAIN_FIELDS = new Set(['title', 'description', 'completed'])

/** Whether more has to be known of the task, or of others, before the fields can be stored. */
export function needsPlanning(fields: TaskUpdate): boolean {
  return Object.keys(fields).some((field) => !PLAIN_FIELDS.has(field))
}

/**
 * Changes fields.
 *
 * @param now RFC 3339: reminders before it are dropped
 * @param others what else is wrong with the request
 * @throws Problem VALIDATION_ERROR if anything is, or a field lacks what it needs
 */
export function plan(
  current: Planned,
  given: TaskUpdate,
  now: string,
  others: readonly FieldError[] = [],
): Planned {
  const next = { ...current, ...withCleared(given) }
  const faults = [
    ...missing(next),
    ...wrongRule(given),
    ...repeatedReminders(next),
    ...repeatedTags(next),
    ...others,
  ]
  if (faults.length > 0) throw invalid(...faults)
  // a reminder that has just fallen due would be lost if another change moved on to the next one
  if (!DUE_FIELDS.some((field) => field in given)) return next
  const moments = momentsOf(next, now)
  if (!moments) throw invalid(fault('due_date', 'must not be after the year 9999 in UTC'))
  return { ...next, ...moments }
}

/** What needs a due day goes with it. */
function withCleared(given: TaskUpdate): TaskUpdate {
  return given.due_date === null ? { due_time: null, reminders: [], repeat: null, ...given } : given
}

function missing({ due_date, due_time, time_zone, reminders, repeat }: Content): FieldError[] {
  const hasBoth = due_date !== null && time_zone !== null
  const needsBoth = 'needs due_date and time_zone'
  return [
    ...(due_time !== null && !hasBoth ? [fault('due_time', needsBoth)] : []),
    ...(reminders.length > 0 && !hasBoth ? [fault('reminders', needsBoth)] : []),
    ...(repeat !== null && due_date === null ? [fault('repeat', 'needs due_date')] : []),
  ]
}

function wrongRule({ repeat }: TaskUpdate): FieldError[] {
  const wrong = repeat ? ruleFault(repeat) : undefined
  return wrong === undefined ? [] : [fault('repeat', wrong)]
}

/** The schema takes 0 and -0 for different numbers. */
function repeatedReminders({ reminders }: Content): FieldError[] {
  return new Set(reminders).size < reminders.length ? [fault('reminders', REMINDERS_RULE)] : []
}

function repeatedTags({ tags }: Content): FieldError[] {
  const keys = tags.map(tagKey)
  return keys.flatMap((key, n) =>
    keys.indexOf(key) === n ? [] : [fault(`tags/${n}`, 'is there already; case makes no difference')],
  )
}

/** Equal for names that differ only in case, as the SQL function `tag_key` is. */
export function tagKey(name: string): string {
  return name.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
}

const alphabet = new Intl.Collator('en')

/** Sorts names of tags. */
export function sortedTags(names: readonly string[]): string[] {
  return [...names].sort(alphabet.compare)
}

function fault(field: string, detail: string): FieldError {
  return { in: 'body', pointer: `/${field}`, detail }
}
