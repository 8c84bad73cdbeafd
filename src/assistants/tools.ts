/** What assistants can do with a user's tasks: nine tools, which MCP and the chat share. */
import type { Static, TObject } from '@sinclair/typebox'
import type { Caller, Scope } from '../auth/caller'
import { isElsewhere } from '../database/errors'
import type { Sql } from '../database/sql'
import type { FieldError, Problem } from '../http/problems'
import { nameAt } from '../http/validation'
import { type TaskCreate, type TaskRow, type TaskUpdate, toTask } from '../tasks/model'
import { pageOfTasks } from '../tasks/reads'
import { changeTask, completeTask, createTask, readTask, restoreTask, trashTask } from '../tasks/writes'
import * as model from './model'

/** For whom a tool works. */
export interface ToolContext {
  caller: Caller
  sql: Sql
  /** The address of the service, without a slash at the end. */
  address: string
  /** For the log. */
  requestId: string
}

/** What a client may expect of a tool, in the words of MCP. */
interface Annotations {
  readOnlyHint: boolean
  destructiveHint: boolean
  idempotentHint: boolean
  openWorldHint: false
}

export interface Tool<Input extends TObject = TObject, Output extends TObject = TObject> {
  name: string
  title: string
  /** For a model. */
  description: string
  /** What a token with scopes has to be good for. */
  needs: Scope
  annotations: Annotations
  /** Null is never as good as nothing: it clears a field, or is refused. */
  nullClears?: true
  input: Input
  output: Output
  /** @throws Problem */
  run(context: ToolContext, input: Static<Input>): Promise<Static<Output>>
}

const READS = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
} as const
const ADDS = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
} as const
const CHANGES = { ...ADDS, destructiveHint: true, idempotentHint: true } as const
const MENDS = { ...ADDS, idempotentHint: true } as const

/** Ties the types of a tool's function to its schemas. */
function tool<Input extends TObject, Output extends TObject>(made: Tool<Input, Output>): Tool {
  // the runner has validated the input by its schema
  return made as unknown as Tool
}

function done(status: model.Done['status'], { id, title, next_id }: TaskRow) {
  const hasNext = status === 'completed' && next_id !== null
  return { task_id: id, status, title, ...(hasNext && { next_task_id: next_id }) }
}

const addTask = tool({
  name: 'add_task',
  title: 'Add a task',
  description: 'Creates a task. A title is enough; give only what the user has said.',
  needs: 'tasks:write',
  annotations: ADDS,
  input: model.NewTask,
  output: model.Done,
  run: async ({ caller, sql }, task: TaskCreate) => done('created', await createTask(sql, caller, task)),
})

const listTasks = tool({
  name: 'list_tasks',
  title: 'List tasks',
  description:
    'Lists tasks, the newest first, page by page. The filters combine. null is the same as leaving an argument out.',
  needs: 'tasks:read',
  annotations: READS,
  input: model.TaskFilter,
  output: model.TaskPage,
  async run({ caller, sql }, { query, priority, tags, limit = model.USUAL_LIMIT, ...filter }) {
    const page = await pageOfTasks(sql, caller, {
      ...filter,
      limit,
      ...(query !== undefined && { q: query }),
      // none is no filter
      ...(priority?.length && { priority }),
      ...(tags?.length && { tag: tags }),
    })
    return { tasks: page.tasks.map(model.toToolTask), next_cursor: page.next_cursor }
  },
})

const getTask = tool({
  name: 'get_task',
  title: 'Read a task',
  description: 'Reads one task with all that is known of it.',
  needs: 'tasks:read',
  annotations: READS,
  input: model.TaskById,
  output: model.ToolTask,
  run: async ({ caller, sql }, { task_id }) => model.toToolTask(toTask(await readTask(sql, caller, task_id))),
})

const updateTask = tool({
  name: 'update_task',
  title: 'Change a task',
  description:
    'Changes the fields that are given, and leaves the others. null clears a field that can be empty; [] removes all tags or reminders.',
  needs: 'tasks:write',
  annotations: CHANGES,
  nullClears: true,
  input: model.TaskChange,
  output: model.Done,
  run: async ({ caller, sql }, { task_id, ...change }: TaskUpdate & { task_id: number }) =>
    done('updated', await changeTask(sql, caller, task_id, change)),
})

const completeTaskTool = tool({
  name: 'complete_task',
  title: 'Complete a task',
  description: 'Marks a task as completed. A repeating task gets a successor.',
  needs: 'tasks:write',
  annotations: MENDS,
  input: model.TaskToComplete,
  output: model.Done,
  run: async ({ caller, sql }, { task_id, completed = true }) =>
    done(completed ? 'completed' : 'reopened', await completeTask(sql, caller, task_id, completed)),
})

const deleteTask = tool({
  name: 'delete_task',
  title: 'Delete a task',
  description: 'Moves a task to the trash, from which restore_task brings it back for some weeks.',
  needs: 'tasks:write',
  annotations: CHANGES,
  input: model.TaskById,
  output: model.Done,
  async run({ caller, sql }, { task_id }) {
    const task = await readTask(sql, caller, task_id)
    await trashTask(sql, caller, task_id)
    return done('deleted', task)
  },
})

const restoreTaskTool = tool({
  name: 'restore_task',
  title: 'Restore a task',
  description: 'Brings a deleted task back from the trash.',
  needs: 'tasks:write',
  annotations: MENDS,
  input: model.TaskById,
  output: model.Done,
  run: async ({ caller, sql }, { task_id }) => done('restored', await restoreTask(sql, caller, task_id)),
})

const SEARCH_LIMIT = 20

const search = tool({
  name: 'search',
  title: 'Search tasks',
  description: `Finds up to ${SEARCH_LIMIT} tasks by words. fetch reads one that was found.`,
  needs: 'tasks:read',
  annotations: READS,
  input: model.SearchInput,
  output: model.SearchResults,
  async run({ caller, sql, address }, { query }) {
    const { tasks } = await pageOfTasks(sql, caller, { q: query, limit: SEARCH_LIMIT })
    return { results: tasks.map(({ id, title }) => ({ id: String(id), title, url: urlOf(address, id) })) }
  },
})

const fetchTask = tool({
  name: 'fetch',
  title: 'Read what was found',
  description: 'Reads one task as a document, by the id that search has given.',
  needs: 'tasks:read',
  annotations: READS,
  input: model.FetchInput,
  output: model.Document,
  async run({ caller, sql, address }, { id }) {
    const task = await readTask(sql, caller, Math.min(Number(id), Number.MAX_SAFE_INTEGER))
    const { title, description, ...rest } = model.toToolTask(toTask(task))
    const metadata = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]))
    return { id: String(task.id), title, text: description ?? title, url: urlOf(address, task.id), metadata }
  },
})

function urlOf(address: string, id: number): string {
  return `${address}/api/v1/todos/${id}`
}

export const TOOLS: readonly Tool[] = [
  addTask,
  listTasks,
  getTask,
  updateTask,
  completeTaskTool,
  deleteTask,
  restoreTaskTool,
  search,
  fetchTask,
]

/** @returns words that a model can act on */
export function explain(problem: Problem, tool: Tool): string {
  switch (problem.code) {
    case 'TASK_NOT_FOUND':
      return tool.name === 'restore_task'
        ? 'There is no such task, deleted or not: list_tasks and search find those that are not deleted.'
        : 'There is no such task: list_tasks and search find tasks. A deleted one comes back with restore_task.'
    case 'VALIDATION_ERROR':
      return `The arguments are not right: ${sentences(problem)}.`
    case 'TOKEN_INVALID':
      return 'The user is no longer signed in.'
    case 'DATABASE_UNAVAILABLE':
      return tool.annotations.readOnlyHint || isElsewhere(problem.cause)
        ? 'The tasks cannot be reached at the moment: try again later.'
        : wordsForUnsure(tool)
    default:
      return 'The tool has failed.'
  }
}

/** A statement whose answer was lost may have written: a model that is told to try again would add a task twice. */
function wordsForUnsure({ input }: Tool): string {
  const reader = 'task_id' in input.properties ? 'get_task' : 'list_tasks'
  return `The tasks do not answer at the moment. It may have been done all the same: look with ${reader} before you try again.`
}

function sentences({ errors = [] }: Problem): string {
  return errors.map((error) => `${argumentOf(error)} ${error.detail}`).join('; ')
}

function argumentOf({ in: place, pointer }: FieldError): string {
  if (pointer === '') return 'they'
  const name = place === 'body' ? nameAt(pointer) : pointer
  return name.slice(0, 100) || '""'
}
