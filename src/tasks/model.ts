/** The schemas of tasks, of their lists, and of the queries for them. */
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { t } from 'elysia'
import { withHeaders } from '../http/operation'
import { invalid, problemWith } from '../http/problems'
import {
  answered,
  flag,
  idInPath,
  integer,
  Limit,
  Moment,
  namedObject,
  nullable,
  oneOf,
  optionalBody,
  POSITIVE,
  strict,
  text,
  wholeNumber,
} from '../http/schemas'
import { writer } from '../http/writer'

const example = {
  id: 42,
  user_id: '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f',
  title: 'Buy milk',
  description: 'Two bottles',
  completed: false,
  created_at: '2026-01-15T09:30:00.000Z',
  updated_at: '2026-01-15T09:30:00.000Z',
  revision: 7,
}

const Title = text('task-title', { min: 1, max: 200, notBlank: true, description: 'Kept as sent, untrimmed' })
const Description = text('task-description', { min: 0, max: 1000, description: '`null`: none' })
const NullableDescription = nullable(Description, { rule: `${Description['rule']}, or null` })
const Completed = t.Boolean({ rule: 'must be true or false' })

/** The fields that a client can write. The schemas of input and answer are made from them. */
const content = { title: Title, description: NullableDescription, completed: Completed }

export const Task = namedObject(
  'Task',
  {
    id: integer(POSITIVE),
    user_id: t.String({ description: 'The owner: the subject of the token' }),
    ...answered(content),
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

/**
 * A row of `tasks`, as `select *` reads it. Statements do not name the columns, so that a new field changes none of them;
 * `toTask` picks what is answered.
 */
export interface TaskRow extends Task {
  deleted_at: string | null
  ended: boolean
}

/** A row whose columns may all be null: it comes through an outer join, or SafeQL cannot tell that they are not null. */
export type MaybeRow = { [Field in keyof TaskRow]: TaskRow[Field] | null }

const FIELDS = Object.keys(Task.properties) as (keyof Task)[]

/** @returns the fields of the schema, in its order */
export function toTask(row: TaskRow): Task {
  const task: Partial<Record<keyof Task, unknown>> = {}
  for (const field of FIELDS) task[field] = row[field]
  // no field is missing: the loop goes through all of them
  return task as Task
}

/** As `toTask`, for a task in the trash. */
export function toTrashedTask(row: TaskRow): TrashedTask {
  if (row.deleted_at === null) throw new Error('The task is not in the trash')
  return { ...toTask(row), deleted_at: row.deleted_at }
}

/** The change that clears a task for good: only `completed` keeps the value that a client wrote. */
export const NOTHING: TaskUpdate = {
  ...Object.fromEntries(
    Object.entries(content)
      .filter(([, schema]) => Value.Check(schema, null))
      .map(([name]) => [name, null]),
  ),
  title: '',
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

const UserId = t.Optional(t.String({ description: "The token's subject, or `me`" }))

/** Only one of the two addresses has `user_id`; the guard has already compared it with the caller. */
export const OwnerParams = t.Object({ user_id: UserId }, strict)
export const TaskParams = t.Object({ user_id: UserId, id: idInPath("The task's id") }, strict)

const MAX_SKIP = 10_000

export const ListQuery = t.Object(
  {
    status: t.Optional(oneOf(['all', 'pending', 'completed'], 'Which tasks are listed; all by default')),
    completed: t.Optional(flag('Lists only tasks with this value')),
    sort: t.Optional(oneOf(['created', 'title'], 'By creation (the default), or by title without case')),
    order: t.Optional(oneOf(['asc', 'desc'], 'created: `desc` by default; title: `asc`')),
    limit: t.Optional(Limit),
    cursor: t.Optional(
      t.String({
        maxLength: 4096,
        rule: 'must be a cursor of this list',
        description: 'From the `Link` header of the previous page',
      }),
    ),
    skip: t.Optional(
      wholeNumber('^0*(?:[0-9]{1,4}|10000)$', `must be a whole number from 0 to ${MAX_SKIP}`, {
        minimum: 0,
        maximum: MAX_SKIP,
        description: 'How many tasks to skip; not with `cursor`',
      }),
    ),
    count: t.Optional(flag('The header `X-Total-Count` says how many tasks match the filter')),
  },
  strict,
)
export type ListQuery = typeof ListQuery.static

export type Order = `${'created' | 'title'} ${'asc' | 'desc'}`

export function orderOf({ sort = 'created', order }: ListQuery): Order {
  return `${sort} ${order ?? (sort === 'title' ? 'asc' : 'desc')}`
}

/**
 * @returns the value that a listed task has in each field; null: any value
 * @throws Problem VALIDATION_ERROR if two parameters contradict each other
 */
export function filterOf(query: ListQuery) {
  const byStatus = { all: null, pending: false, completed: true }[query.status ?? 'all']
  const byField = query.completed ?? null
  if (byStatus !== null && byField !== null && byStatus !== byField) {
    throw invalid({ in: 'query', pointer: 'completed', detail: 'contradicts `status`' })
  }
  return { completed: byField ?? byStatus }
}
export type Filter = ReturnType<typeof filterOf>

export const NO_FILTER = filterOf({})

const { limit, cursor, skip, count } = ListQuery.properties
export const TrashQuery = t.Object({ limit, cursor, skip, count }, strict)
export type TrashQuery = typeof TrashQuery.static

export const DeleteQuery = t.Object(
  {
    permanent: t.Optional(
      flag('Deletes for good, also from the trash; otherwise the task goes to the trash'),
    ),
  },
  strict,
)
export type DeleteQuery = typeof DeleteQuery.static
