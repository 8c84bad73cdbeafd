/** What a task looks like, coming in and going out. */
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { t } from 'elysia'
import { invalid, problemWith } from '../http/problems'
import { answered, component, Moment, oneOf, strict, text, wholeNumber } from '../http/schemas'
import { writer } from '../http/writer'

const POSITIVE = { minimum: 1, maximum: Number.MAX_SAFE_INTEGER }

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
const NullableDescription = t.Union([Description, t.Null()], { rule: `${Description['rule']}, or null` })
const Completed = t.Boolean({ rule: 'must be true or false' })

/** What a client writes of a task: whatever is made of a task's fields is made from these. */
const content = { title: Title, description: NullableDescription, completed: Completed }

export const Task = component(
  'Task',
  t.Object(
    {
      id: t.Number({ documented: { type: 'integer', ...POSITIVE } }),
      user_id: t.String({ description: 'The owner: the subject of the token' }),
      ...answered(content),
      created_at: Moment,
      updated_at: Moment,
      revision: t.Number({
        documented: {
          type: 'integer',
          ...POSITIVE,
          description: "The owner's count of changes when this task last changed",
        },
      }),
    },
    { ...strict, description: 'A task', examples: [example] },
  ),
)
export type Task = typeof Task.static

/**
 * What `select *` gives of a task. Statements name no columns, so that a new field need not be added to each; what leaves
 * is picked by `toTask`.
 */
export interface TaskRow extends Task {
  deleted_at: string | null
  ended: boolean
}

/** The same of a row that may not be there, or that SafeQL knows too little of. */
export type MaybeRow = { [Field in keyof TaskRow]: TaskRow[Field] | null }

const FIELDS = Object.keys(Task.properties)

/** What is answered of a row: the fields of the schema, in its order. */
export function toTask(row: TaskRow): Task {
  // keyed by the schema's names
  const values = row as unknown as Record<string, unknown>
  const task: Record<string, unknown> = {}
  for (const field of FIELDS) task[field] = values[field]
  // a row has all of the schema's fields, and the schema is checked when it is answered
  return task as Task
}

/** The same of a task in the trash. */
export function toTrashedTask(row: TaskRow): TrashedTask {
  if (row.deleted_at === null) throw new Error('The task is not in the trash')
  return { ...toTask(row), deleted_at: row.deleted_at }
}

/** What is left of a task that was ended for good: whether it was completed, and nothing else that a client wrote. */
export const NOTHING: TaskUpdate = {
  ...Object.fromEntries(
    Object.entries(content)
      .filter(([, schema]) => Value.Check(schema, null))
      .map(([name]) => [name, null]),
  ),
  title: '',
}

const ETAG = { description: 'Made from the revision', required: true, schema: { type: 'string' } }
const LOCATION = {
  description: 'Where the task is',
  required: true,
  schema: { type: 'string', format: 'uri-reference' },
}
const REPLAYED = {
  description: '`true`: the first answer to this request, again',
  schema: { type: 'string' },
}

/** The same with what its headers say. */
export const TaggedTask = { ...Task, responseHeaders: { ETag: ETAG } }
export const CreatedTask = {
  ...Task,
  responseHeaders: { ETag: ETAG, Location: LOCATION, 'Idempotency-Replayed': REPLAYED },
}

/** The one problem that says more: what a client needs in order to try again. */
export const PreconditionFailed = problemWith<'PRECONDITION_FAILED', { current: Task }>('PRECONDITION_FAILED')

export const TrashedTask = component(
  'TrashedTask',
  t.Object(
    { ...Task.properties, deleted_at: Moment },
    {
      ...strict,
      description: 'A task in the trash',
      examples: [{ ...example, deleted_at: example.updated_at }],
    },
  ),
)
export type TrashedTask = typeof TrashedTask.static

const change = t.Partial(t.Object(content)).properties

export const TaskCreate = component(
  'TaskCreate',
  t.Object(
    { ...change, title: Title },
    { ...strict, description: 'A new task', examples: [{ title: 'Buy milk', description: 'Two bottles' }] },
  ),
)
export type TaskCreate = typeof TaskCreate.static

export const TaskUpdate = component(
  'TaskUpdate',
  t.Object(change, {
    ...strict,
    minProperties: 1,
    description: 'What is to change; what is left out stays as it is',
    examples: [{ title: 'Buy oat milk' }],
  }),
)
export type TaskUpdate = typeof TaskUpdate.static

export const TaskCompletion = component(
  'TaskCompletion',
  t.Object(
    { completed: Completed },
    {
      ...strict,
      description: 'Sets instead of toggling',
      examples: [{ completed: true }],
    },
  ),
)

export type TaskCompletion = typeof TaskCompletion.static

/** `t.Optional` would let an empty object through unchecked. */
export const OptionalTaskCompletion = t.Union([TaskCompletion, t.Undefined()])

export const TaskPage = component(
  'TaskPage',
  t.Object(
    {
      tasks: t.Array(Task),
      count: t.Number({ documented: { type: 'integer', description: 'How many tasks are in this page' } }),
      next_cursor: t.Union([t.String(), t.Null()]),
    },
    { ...strict, description: 'A page of tasks' },
  ),
)

/** What a page object has. */
export interface PageOf<Item> {
  tasks: Item[]
  count: number
  next_cursor: string | null
}

export const TrashPage = component(
  'TrashPage',
  t.Object(
    { ...TaskPage.properties, tasks: t.Array(TrashedTask) },
    { ...strict, description: 'A page of the trash' },
  ),
)

/** The media type that asks for a `TaskPage` where an array is the default. */
export const PAGE_TYPE = 'application/vnd.taskwell.page+json'

/**
 * Written and checked once, and kept as text, so that there is nothing for Elysia to check. Typed as the array alone: a
 * typed client, which never asks for the page, would otherwise have to tell the two apart at every list.
 */
function listOf<Item extends TSchema>(item: Item, page: TSchema) {
  return t.Unsafe<Item['static'][]>(
    t.Any({
      mediaTypes: { 'application/json': t.Array(item), [PAGE_TYPE]: page },
      responseHeaders: {
        ETag: ETAG,
        Link: { description: 'While there are more: `<…>; rel="next"`', schema: { type: 'string' } },
        'X-Total-Count': { description: 'With `count=true`', schema: { type: 'integer' } },
      },
      notModified: true,
    }),
  )
}

export const TaskList = listOf(Task, TaskPage)
export const TrashList = listOf(TrashedTask, TrashPage)

export const writeTasks = { array: writer(t.Array(Task)), page: writer(TaskPage) }
export const writeTrash = { array: writer(t.Array(TrashedTask)), page: writer(TrashPage) }

const UserId = t.Optional(t.String({ description: "The token's subject, or `me`" }))

const TaskId = wholeNumber('^0*[1-9][0-9]*$', 'must be a positive whole number', {
  ...POSITIVE,
  description: "The task's id",
})

/** `user_id` is there on one of the two addresses only; whether it is the caller is checked before this. */
export const OwnerParams = t.Object({ user_id: UserId }, strict)
export const TaskParams = t.Object({ user_id: UserId, id: TaskId }, strict)

const MAX_LIMIT = 200
export const DEFAULT_LIMIT = 100
const MAX_SKIP = 10_000

export const ListQuery = t.Object(
  {
    status: t.Optional(oneOf(['all', 'pending', 'completed'], 'Which tasks; all by default')),
    completed: t.Optional(oneOf(['true', 'false'], 'Which tasks, by their field')),
    sort: t.Optional(oneOf(['created', 'title'], 'By creation (the default), or by title without case')),
    order: t.Optional(oneOf(['asc', 'desc'], 'created: `desc` by default; title: `asc`')),
    limit: t.Optional(
      wholeNumber('^0*(?:[1-9][0-9]?|1[0-9]{2}|200)$', `must be a whole number from 1 to ${MAX_LIMIT}`, {
        minimum: 1,
        maximum: MAX_LIMIT,
        default: DEFAULT_LIMIT,
        description: 'How many tasks at most',
      }),
    ),
    cursor: t.Optional(
      t.String({
        maxLength: 4096,
        rule: 'must be a cursor of this list',
        description: 'From the header `Link`',
      }),
    ),
    skip: t.Optional(
      wholeNumber('^0*(?:[0-9]{1,4}|10000)$', `must be a whole number from 0 to ${MAX_SKIP}`, {
        minimum: 0,
        maximum: MAX_SKIP,
        description: 'Pages by offset; not with `cursor`',
      }),
    ),
    count: t.Optional(
      oneOf(['true', 'false'], '`true`: the header `X-Total-Count` counts all that the filter lets through'),
    ),
  },
  strict,
)
export type ListQuery = typeof ListQuery.static

/**
 * Which tasks a list has, of each field; null: all of them.
 *
 * @throws Problem VALIDATION_ERROR for parameters that contradict one another
 */
export function filterOf(query: ListQuery) {
  const byStatus = { all: null, pending: false, completed: true }[query.status ?? 'all']
  const byField = query.completed === undefined ? null : query.completed === 'true'
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
      oneOf(['true', 'false'], '`true`: for good, and also what is in the trash; else it goes to the trash'),
    ),
  },
  strict,
)
export type DeleteQuery = typeof DeleteQuery.static
