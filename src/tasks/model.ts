/** The schemas of tasks, of their lists, and of what is done to them. */
import type { TSchema } from '@sinclair/typebox'
import { t } from 'elysia'
import { withHeaders } from '../http/operation'
import { problemWith } from '../http/problems'
import {
  answered,
  component,
  flag,
  Id,
  idInPath,
  integer,
  Moment,
  namedObject,
  nullable,
  oneOf,
  optionalBody,
  POSITIVE,
  strict,
} from '../http/schemas'
import { writer } from '../http/writer'
import { content, DEFAULTS } from './fields'
import { positionOf } from './positions'

const example = {
  id: 42,
  user_id: '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f',
  title: 'Buy milk',
  description: 'Two bottles',
  completed: false,
  priority: 'high',
  due_date: '2026-01-16',
  due_time: '18:00',
  time_zone: 'Europe/Berlin',
  reminders: [30],
  repeat: 'FREQ=WEEKLY;BYDAY=FR',
  repeat_from: 'due',
  tags: ['errands', 'home'],
  list_id: 7,
  parent_id: null,
  completed_at: null,
  due_at: '2026-01-16T17:00:00.000Z',
  position: 'p0000000000000042',
  next_id: null,
  created_at: '2026-01-15T09:30:00.000Z',
  updated_at: '2026-01-15T09:30:00.000Z',
  revision: 7,
}

const { title: Title, completed: Completed } = content

export const Task = namedObject(
  'Task',
  {
    id: integer(POSITIVE),
    user_id: t.String({ description: 'The owner: the subject of the token' }),
    ...answered(content),
    completed_at: nullable(Moment, { description: 'When it was completed' }),
    due_at: nullable(Moment, { description: 'The moment of `due_date` and `due_time` in the time zone' }),
    position: t.String({ description: 'Sorts tasks, byte by byte, as the user has arranged them' }),
    next_id: nullable(integer(POSITIVE), {
      description: 'The task that followed this one when it was completed: its repetition',
    }),
    created_at: Moment,
    updated_at: Moment,
    revision: integer({
      ...POSITIVE,
      description: "The owner's count of changes when this task last changed",
    }),
  },
  { description: 'A task', examples: [example] },
)
export type Task = typeof Task.static

/** The fields whose default is stored as null, which costs next to nothing to write and to read. */
const SPARSE = ['reminders', 'repeat_from', 'tags'] as const
type Sparse = (typeof SPARSE)[number]

/** A row of `tasks` with all its defaults. */
export interface FullRow extends Omit<Task, 'position'> {
  /** Null until the task is moved. */
  position: string | null
  deleted_at: string | null
  ended: boolean
  /** From when on the task is overdue. */
  overdue_at: string | null
  /** When the next reminder falls due. */
  remind_at: string | null
  /** It has or had steps. */
  has_steps: boolean
  /** It was deleted because its parent was. */
  deleted_with_parent: boolean
  folded: string | null
}

/**
 * A row of `tasks`, as `select *` reads it. Statements do not name the columns, so that a new field changes few of them;
 * `toTask` picks what is answered.
 */
export type TaskRow = Omit<FullRow, Sparse> & { [Field in Sparse]: FullRow[Field] | null }

/** A row whose columns may all be null: it comes through an outer join, or SafeQL cannot tell that they are not null. */
export type MaybeRow = { [Field in keyof TaskRow]: TaskRow[Field] | null }

/** @returns the row with its defaults */
export function withDefaults(row: TaskRow): FullRow {
  const { reminders, repeat_from, tags } = DEFAULTS
  return {
    ...row,
    reminders: row.reminders ?? reminders,
    repeat_from: row.repeat_from ?? repeat_from,
    tags: row.tags ?? tags,
  }
}

/** @returns the row as it is stored */
export function withoutDefaults(row: FullRow): TaskRow {
  const { reminders, repeat_from, tags } = row
  return {
    ...row,
    reminders: reminders.length === 0 ? null : reminders,
    repeat_from: repeat_from === DEFAULTS.repeat_from ? null : repeat_from,
    tags: tags.length === 0 ? null : tags,
  }
}

const FIELDS = Object.keys(Task.properties) as (keyof Task)[]

/** @returns the fields of the schema, in its order */
export function toTask(row: TaskRow): Task {
  const task: Partial<Record<keyof Task, unknown>> = {}
  for (const field of FIELDS) task[field] = row[field]
  for (const field of SPARSE) task[field] ??= DEFAULTS[field]
  task.position ??= positionOf(row.id)
  // no field is missing: the loop goes through all of them
  return task as Task
}

/** As `toTask`, for a task in the trash. */
export function toTrashedTask(row: TaskRow): TrashedTask {
  if (row.deleted_at === null) throw new Error('The task is not in the trash')
  return { ...toTask(row), deleted_at: row.deleted_at }
}

/** A task in an answer with headers. */
export const TaggedTask = withHeaders(Task, 'ETag')
export const CreatedTask = withHeaders(Task, 'ETag', 'Location', 'Idempotency-Replayed')

/** A problem with the task as it is now, which a client needs in order to try again. */
export const PreconditionFailed = problemWith('PRECONDITION_FAILED', 'TaskChanged', { current: Task })

export const TrashedTask = namedObject(
  'TrashedTask',
  { ...Task.properties, deleted_at: Moment },
  { description: 'A task in the trash', examples: [{ ...example, deleted_at: example.updated_at }] },
)
export type TrashedTask = typeof TrashedTask.static

const change = t.Partial(t.Object(content)).properties

export const TaskCreate = namedObject(
  'TaskCreate',
  { ...change, title: Title },
  { description: 'A new task', examples: [{ title: 'Buy milk', description: 'Two bottles' }] },
)
export type TaskCreate = typeof TaskCreate.static

export const TaskUpdate = namedObject('TaskUpdate', change, {
  minProperties: 1,
  description: 'The fields to change; a field that is left out keeps its value',
  examples: [{ title: 'Buy oat milk' }],
})
export type TaskUpdate = typeof TaskUpdate.static

export const TaskCompletion = namedObject(
  'TaskCompletion',
  { completed: Completed },
  { description: 'Sets instead of toggling', examples: [{ completed: true }] },
)

export type TaskCompletion = typeof TaskCompletion.static

/** One of these says where a task or a list is moved. */
export const targets = { after: Id, before: Id, to: oneOf(['first', 'last']) }
export const MOVE_RULE = 'must have one of `after`, `before` (an id) and `to` (first or last)'

/** Where a task or a list is moved. */
export type Move = { after: number } | { before: number } | { to: 'first' | 'last' }
// one object, not a union of three, so that an unknown member is named
export const Move = component(
  'Move',
  t.Unsafe<Move>(
    t.Object(t.Partial(t.Object(targets)).properties, {
      ...strict,
      minProperties: 1,
      maxProperties: 1,
      rule: MOVE_RULE,
      description: 'One of these: behind or before another one, or to the first or last place',
      examples: [{ after: 41 }],
    }),
  ),
)

export const OptionalTaskCompletion = optionalBody(TaskCompletion)

const TaskPage = namedObject(
  'TaskPage',
  {
    tasks: t.Array(Task),
    count: integer({ description: 'How many tasks are in this page' }),
    next_cursor: nullable(t.String()),
  },
  { description: 'A page of tasks' },
)

export type PageOf<Item> = Omit<typeof TaskPage.static, 'tasks'> & { tasks: Item[] }

const TrashPage = namedObject(
  'TrashPage',
  { ...TaskPage.properties, tasks: t.Array(TrashedTask) },
  { description: 'A page of the trash' },
)

/** A client that accepts this media type gets a page object instead of an array. */
export const PAGE_TYPE = 'application/vnd.taskwell.page+json'

/**
 * Elysia trap 25 (docs/elysia.md). The type is the array alone: the typed client never asks for a page object, and should
 * not have to tell the two apart.
 */
function listOf<Item extends TSchema>(item: Item, page: TSchema) {
  const list = t.Any({
    mediaTypes: { 'application/json': t.Array(item), [PAGE_TYPE]: page },
    notModified: true,
  })
  return withHeaders(t.Unsafe<Item['static'][]>(list), 'ETag', 'Link', 'X-Total-Count')
}

export const TaskList = listOf(Task, TaskPage)
export const TrashList = listOf(TrashedTask, TrashPage)

export const writeTasks = { array: writer(t.Array(Task)), page: writer(TaskPage) }
export const writeTrash = { array: writer(t.Array(TrashedTask)), page: writer(TrashPage) }

export const UserId = t.Optional(t.String({ description: "The token's subject, or `me`" }))

/** Only one of the two addresses has `user_id`; the guard has already compared it with the caller. */
export const OwnerParams = t.Object({ user_id: UserId }, strict)
export const TaskParams = t.Object({ user_id: UserId, id: idInPath("The task's id") }, strict)

export const DeleteQuery = t.Object(
  {
    permanent: t.Optional(
      flag('Deletes for good, also from the trash; otherwise the task goes to the trash'),
    ),
  },
  strict,
)
export type DeleteQuery = typeof DeleteQuery.static
