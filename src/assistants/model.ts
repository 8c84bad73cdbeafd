/** The schemas of what the assistants' tools take and give. */
import { type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { t } from 'elysia'
import { checked, Id, oneOf, strict } from '../http/schemas'
import { content, Day, MAX_TAGS, PRIORITIES, TagName } from '../tasks/fields'
import { isSearch, LEVELS, MAX_WORDS, SEARCH_RULE, SORTS } from '../tasks/filters'
import type { Task } from '../tasks/model'

// TypeBox's own integers: Elysia trap 11 (docs/elysia.md)

/** @returns the fields, each of which may be left out */
function optional<Fields extends TProperties>(fields: Fields) {
  return t.Partial(t.Object(fields)).properties
}

const { title, completed: _, ...planning } = content
const task_id = Id
const Search = checked('search-of-tool', isSearch, SEARCH_RULE, {
  minLength: 1,
  maxLength: 200,
  description: `1 to ${MAX_WORDS} words, all of which occur in the title or the description, whatever case and accents`,
})

/** What a model has to know of tags to name them right. */
const TAG_NAMES = 'names of 1 to 50 characters, trimmed and without comma; upper and lower case are the same'
const tags = { ...planning.tags, description: `At most ${MAX_TAGS} different ${TAG_NAMES}` }

export const NewTask = t.Object({ title, ...optional({ ...planning, tags }) }, strict)

/** The same field, whose rule says what null would have been meant for. */
function notNull<Schema extends TSchema>(schema: Schema, hint: string): Schema {
  return { ...schema, rule: `${schema['rule']}: ${hint}` }
}

const changeable = {
  title: notNull(title, 'it cannot be cleared'),
  ...planning,
  repeat_from: notNull(planning.repeat_from, 'it cannot be cleared'),
  reminders: notNull(planning.reminders, '[] removes all'),
  tags: {
    ...notNull(tags, '[] removes all'),
    description: `Replaces all; [] removes all. ${tags.description}`,
  },
}

export const TaskChange = t.Object(
  { task_id, ...optional(changeable) },
  { ...strict, minProperties: 2, rule: 'must have task_id, and at least one field to change' },
)

export const TaskToComplete = t.Object(
  {
    task_id,
    completed: t.Optional(
      t.Boolean({
        rule: 'must be true or false',
        description: 'true, if it is left out; false: takes it back',
      }),
    ),
  },
  strict,
)

export const TaskById = t.Object({ task_id }, strict)

/** How many tasks a tool lists if it is not told. */
export const USUAL_LIMIT = 50
const MAX_LIMIT = 100

const Limit = Type.Integer({
  minimum: 1,
  maximum: MAX_LIMIT,
  rule: `must be a whole number from 1 to ${MAX_LIMIT}`,
  description: `${USUAL_LIMIT}, if it is left out`,
})

export const TaskFilter = t.Object(
  optional({
    status: oneOf(['all', 'pending', 'completed'], 'all, if it is left out'),
    query: Search,
    priority: t.Array(oneOf(LEVELS), { description: 'One of these' }),
    tags: t.Array(TagName, { description: `Tasks that have all of these: ${TAG_NAMES}` }),
    list_id: Id,
    parent_id: { ...Id, description: 'Only the steps of this task' },
    due_from: { ...Day, documented: { ...Day['documented'], description: 'Due on this day or later' } },
    due_to: { ...Day, documented: { ...Day['documented'], description: 'Due on this day or earlier' } },
    overdue: t.Boolean({ rule: 'must be true or false' }),
    sort: oneOf(SORTS, 'created, if it is left out: the newest first'),
    order: oneOf(['asc', 'desc']),
    limit: Limit,
    cursor: t.String({
      maxLength: 4096,
      rule: 'must be a cursor of this list',
      description: '`next_cursor` of the page before, with the same other arguments',
    }),
  }),
  strict,
)

export const SearchInput = t.Object({ query: Search }, strict)

export const FetchInput = t.Object(
  {
    id: checked(
      'task-id',
      (value) => /^0*[1-9]\d*$/.test(value),
      'must be an id that search has given, as text such as "42"',
      { description: 'From a result of search, as text such as "42"' },
    ),
  },
  strict,
)

export const Done = t.Object(
  {
    task_id: Type.Integer(),
    status: oneOf(['created', 'updated', 'completed', 'reopened', 'deleted', 'restored']),
    title: t.String(),
    next_task_id: t.Optional(Type.Integer({ description: 'Of a repeating task: the task that follows it' })),
  },
  strict,
)
export type Done = typeof Done.static

const known = {
  id: Type.Integer(),
  title: t.String(),
  description: t.Union([t.String(), t.Null()]),
  completed: t.Boolean(),
}
const text = t.String()
/** Of which a task has only those that are set. */
const details = {
  priority: oneOf(PRIORITIES),
  due_date: text,
  due_time: text,
  time_zone: text,
  due_at: text,
  reminders: t.Array(Type.Integer()),
  repeat: text,
  repeat_from: text,
  tags: t.Array(text),
  list_id: Type.Integer(),
  parent_id: Type.Integer(),
  next_id: Type.Integer(),
  completed_at: text,
}

export const ToolTask = t.Object(
  { ...known, ...optional(details), created_at: text, updated_at: text },
  strict,
)
export type ToolTask = typeof ToolTask.static

const DETAILS = Object.keys(details) as (keyof typeof details)[]

/** @returns a task without the members that say nothing, which a model would have to read all the same */
export function toToolTask(task: Task): ToolTask {
  const { id, title, description, completed, created_at, updated_at } = task
  const set = DETAILS.filter((name) => isSet(task[name]) && (name !== 'repeat_from' || task.repeat !== null))
  const own = Object.fromEntries(set.map((name) => [name, task[name]]))
  return { id, title, description, completed, ...own, created_at, updated_at }
}

function isSet(value: unknown): boolean {
  return value !== null && !(Array.isArray(value) && value.length === 0)
}

export const TaskPage = t.Object(
  { tasks: t.Array(ToolTask), next_cursor: t.Union([t.String(), t.Null()]) },
  strict,
)

// The shapes of `search` and `fetch` are those that ChatGPT asks of a server:
// https://platform.openai.com/docs/mcp

export const SearchResults = t.Object(
  { results: t.Array(t.Object({ id: text, title: text, url: text }, strict)) },
  strict,
)

export const Document = t.Object(
  { id: text, title: text, text, url: text, metadata: t.Record(t.String(), t.String()) },
  strict,
)
