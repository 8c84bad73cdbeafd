/** The operations on tasks: their input, their answers and their documentation. */
import { t } from 'elysia'
import { OWNER_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation, withHeaders } from '../http/operation'
import { problems } from '../http/problems'
import { Batch, BatchResults } from './batch'
import { ListQuery, TrashQuery } from './filters'
import {
  CreatedTask,
  DeleteQuery,
  Move,
  OptionalTaskCompletion,
  OwnerParams,
  PAGE_TYPE,
  PreconditionFailed,
  TaggedTask,
  TaskCreate,
  TaskList,
  TaskParams,
  TaskUpdate,
  TrashList,
} from './model'

const tag = 'Tasks'

const LIST_PROBLEMS = [...OWNER_PROBLEMS, 'VALIDATION_ERROR'] as const
const TASK_PROBLEMS = [...LIST_PROBLEMS, 'TASK_NOT_FOUND'] as const

const changedTask = {
  200: TaggedTask,
  412: PreconditionFailed,
  ...problems(...TASK_PROBLEMS, ...BODY_PROBLEMS),
}

export const listTasks = {
  ...input({ params: OwnerParams, query: ListQuery }),
  response: { 200: TaskList, ...problems(...LIST_PROBLEMS) },
  detail: operation({
    id: 'listTasks',
    tag,
    summary: 'List tasks',
    description:
      'Newest first, unless `sort` and `order` say otherwise. If there are more, the header `Link` leads to the ' +
      `next page. With \`Accept: ${PAGE_TYPE}\` the answer is a page object instead of an array.`,
    headers: ['If-None-Match'],
  }),
}

export const listTrash = {
  ...input({ params: OwnerParams, query: TrashQuery }),
  response: { 200: TrashList, ...problems(...LIST_PROBLEMS) },
  detail: operation({
    id: 'listTrash',
    tag,
    summary: 'List deleted tasks',
    description:
      'Newest deletion first, in pages like the list of tasks. A deleted task that changes with its tag or its list comes first again.',
    headers: ['If-None-Match'],
  }),
}

export const createTask = {
  ...input({ params: OwnerParams, body: TaskCreate }),
  response: { 201: CreatedTask, ...problems(...LIST_PROBLEMS, ...BODY_PROBLEMS, 'IDEMPOTENCY_KEY_REUSED') },
  detail: operation({
    id: 'createTask',
    tag,
    summary: 'Create a task',
    description:
      "A user's first write also creates the user: a valid token is enough to begin. With an `Idempotency-Key`, the " +
      'same request within 24 hours gets the first answer again.',
    headers: ['Idempotency-Key'],
    repeatable: 'with-key',
  }),
}

export const batchTasks = {
  ...input({ params: OwnerParams, body: Batch }),
  response: {
    200: withHeaders(BatchResults, 'Idempotency-Replayed'),
    412: PreconditionFailed,
    ...problems(...TASK_PROBLEMS, ...BODY_PROBLEMS, 'IDEMPOTENCY_KEY_REUSED'),
  },
  detail: operation({
    id: 'batchTasks',
    tag,
    summary: 'Change several tasks at once',
    description:
      'All operations are done, in their order, or none. A problem is that of the first operation that fails, and ' +
      'points to it. Counts as its number of operations under the rate limit.',
    headers: ['Idempotency-Key'],
    repeatable: 'with-key',
  }),
}

export const readTask = {
  ...input({ params: TaskParams }),
  response: { 200: { ...TaggedTask, notModified: true }, ...problems(...TASK_PROBLEMS) },
  detail: operation({
    id: 'readTask',
    tag,
    summary: 'Read a task',
    description: 'The task of another user gets the same answer as a task that does not exist.',
    headers: ['If-None-Match'],
  }),
}

export const putTask = {
  ...input({ params: TaskParams, body: TaskUpdate }),
  response: changedTask,
  detail: operation({
    id: 'putTask',
    tag,
    summary: 'Change a task, as PATCH does',
    description: 'The same as `PATCH`: a field that is left out keeps its value.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const patchTask = {
  ...input({ params: TaskParams, body: TaskUpdate }),
  response: changedTask,
  detail: operation({
    id: 'patchTask',
    tag,
    summary: 'Change a task',
    description: 'Changes only the fields that are sent; `null` clears the description.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const completeTask = {
  ...input({ params: TaskParams, body: OptionalTaskCompletion }),
  response: changedTask,
  detail: operation({
    id: 'completeTask',
    tag,
    summary: 'Complete a task, or take it back',
    description: 'Without a body it toggles. With a body it sets the value, so that a retry is safe.',
    headers: ['If-Match'],
    repeatable: 'with-body',
  }),
}

export const moveTask = {
  ...input({ params: TaskParams, body: Move }),
  response: changedTask,
  detail: operation({
    id: 'moveTask',
    tag,
    summary: 'Move a task',
    description: 'Changes the `position` of this task alone, which `sort=position` sorts by.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const restoreTask = {
  ...input({ params: TaskParams }),
  response: { 200: TaggedTask, 412: PreconditionFailed, ...problems(...TASK_PROBLEMS) },
  detail: operation({
    id: 'restoreTask',
    tag,
    summary: 'Restore a task from the trash',
    description: 'A task that is not in the trash is answered as it is.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const deleteTask = {
  ...input({ params: TaskParams, query: DeleteQuery }),
  response: { 204: t.Void(), 412: PreconditionFailed, ...problems(...TASK_PROBLEMS) },
  detail: operation({
    id: 'deleteTask',
    tag,
    summary: 'Delete a task',
    description:
      'Moves the task to the trash, from which it can be restored for some weeks. A second `DELETE` answers 404. ' +
      'With `permanent=true` the task is deleted at once, also from the trash.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}
