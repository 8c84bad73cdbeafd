/** HTTP for tasks: one set of routes, mounted at both addresses. */
import { Elysia, t } from 'elysia'
import { refuseDeleted, SIGNED_IN_PROBLEMS, signedIn } from '../auth/plugin'
import type { Caller, Verify } from '../auth/verify'
import type { Sql } from '../database/connection'
import { BODY_PROBLEMS, jsonBody } from '../http/body'
import { invalid, Problem, problems } from '../http/problems'
import { NoQuery } from '../http/validation'
import { decodeCursor, encodeCursor, type List } from './cursor'
import {
  DEFAULT_LIMIT,
  ListQuery,
  OptionalTaskCompletion,
  OwnerParams,
  PAGE_TYPE,
  Task,
  TaskCreate,
  TaskList,
  type TaskPage,
  TaskParams,
  TaskUpdate,
} from './model'
import * as queries from './queries'

const LISTS = {
  created: { asc: queries.listOldestFirst, desc: queries.listNewestFirst },
  title: { asc: queries.listTitlesUp, desc: queries.listTitlesDown },
}

const tags = ['Tasks']

/** What can go wrong with any of these routes. */
const OWN = [...SIGNED_IN_PROBLEMS, 'OWNER_MISMATCH', 'DATABASE_UNAVAILABLE'] as const

/** The routes below one of the two addresses; a `user_id` in the path must be the caller. */
export function taskRoutes({ sql, verify }: { sql: Sql; verify: Verify }) {
  async function found<T>(caller: Caller, task: T | undefined): Promise<T> {
    if (task !== undefined) return task
    await refuseDeleted(sql, caller)
    throw new Problem('TASK_NOT_FOUND')
  }
  const change = async ({ params, body, caller }: ChangeTask) =>
    found(caller, await queries.updateTask(sql, caller.id, params.id, body))

  return new Elysia()
    .use(signedIn(verify))
    .derive(async (context) => {
      // a path without parameters has no `params` at all, and their schema wants an object
      context.params ??= {}
      refuseOther(context.caller.id, context.params)
    })
    .get(
      '/',
      async ({ query, caller, path, request, set }) => {
        const sent = new URLSearchParams(request.url.split('?')[1])
        refuseRepeated(sent)
        const { tasks, cursor, total } = await readPage(sql, listOf(caller.id, query), query)
        if (tasks.length === 0) await refuseDeleted(sql, caller)
        set.headers.vary = [set.headers.vary, 'Accept'].filter(Boolean).join(', ')
        if (cursor) set.headers.link = `<${path}?${nextQuery(sent, cursor)}>; rel="next"`
        if (total !== null) set.headers['x-total-count'] = String(total)
        if (!wantsPage(request.headers.get('accept'))) return tasks
        set.headers['content-type'] = PAGE_TYPE
        return pageOf(tasks, cursor)
      },
      {
        params: OwnerParams,
        query: ListQuery,
        response: { 200: TaskList, ...problems(...OWN, 'VALIDATION_ERROR') },
        detail: {
          tags,
          operationId: 'listTasks',
          summary: 'List tasks',
          description:
            'Newest first, unless `sort` and `order` say otherwise. While there are more, the header `Link` leads to ' +
            `the next page. With \`Accept: ${PAGE_TYPE}\` the answer is a page object instead of an array.`,
        },
      },
    )
    .post(
      '/',
      async ({ body, caller, path, set }) => {
        const task = await queries.createTask(sql, caller, body)
        if (!task) throw new Problem('TOKEN_INVALID')
        set.status = 201
        set.headers.location = `${path.replace(/\/$/, '')}/${task.id}`
        return task
      },
      {
        ...jsonBody,
        params: OwnerParams,
        query: NoQuery,
        body: TaskCreate,
        response: { 201: Task, ...problems(...OWN, ...BODY_PROBLEMS, 'VALIDATION_ERROR') },
        detail: {
          tags,
          operationId: 'createTask',
          summary: 'Create a task',
          description: "A user's first write also makes the user: a valid token is enough to begin.",
        },
      },
    )
    .get(
      '/:id',
      async ({ params, caller }) => found(caller, await queries.findTask(sql, caller.id, params.id)),
      {
        params: TaskParams,
        query: NoQuery,
        response: { 200: Task, ...problems(...OWN, 'VALIDATION_ERROR', 'TASK_NOT_FOUND') },
        detail: {
          tags,
          operationId: 'readTask',
          summary: 'Read a task',
          description: 'A task of somebody else answers as one that does not exist.',
        },
      },
    )
    .put('/:id', change, {
      ...changeTask,
      detail: {
        tags,
        operationId: 'putTask',
        summary: 'Change a task',
        description: 'The same as `PATCH`: what is left out stays as it is.',
      },
    })
    .patch('/:id', change, {
      ...changeTask,
      detail: {
        tags,
        operationId: 'patchTask',
        summary: 'Change a task',
        description: 'Changes what is sent and leaves the rest; `null` clears the description.',
      },
    })
    .patch(
      '/:id/complete',
      async ({ params, body, caller }) =>
        found(caller, await queries.completeTask(sql, caller.id, params.id, body?.completed)),
      {
        ...jsonBody,
        params: TaskParams,
        query: NoQuery,
        body: OptionalTaskCompletion,
        response: { 200: Task, ...problems(...OWN, ...BODY_PROBLEMS, 'VALIDATION_ERROR', 'TASK_NOT_FOUND') },
        detail: {
          tags,
          operationId: 'completeTask',
          summary: 'Complete a task, or take it back',
          description: 'Toggles without a body. With one it sets, so that sending it twice does no harm.',
        },
      },
    )
    .delete(
      '/:id',
      async ({ params, caller, set }) => {
        await found(caller, await queries.deleteTask(sql, caller.id, params.id))
        set.status = 204
      },
      {
        params: TaskParams,
        query: NoQuery,
        response: { 204: t.Void(), ...problems(...OWN, 'VALIDATION_ERROR', 'TASK_NOT_FOUND') },
        detail: {
          tags,
          operationId: 'deleteTask',
          summary: 'Delete a task',
          description: 'A second time answers 404.',
        },
      },
    )
}

interface ChangeTask {
  params: { id: number }
  body: TaskUpdate
  caller: Caller
}

const changeTask = {
  ...jsonBody,
  params: TaskParams,
  query: NoQuery,
  body: TaskUpdate,
  response: { 200: Task, ...problems(...OWN, ...BODY_PROBLEMS, 'VALIDATION_ERROR', 'TASK_NOT_FOUND') },
}

/** @throws Problem OWNER_MISMATCH, before anything is looked up */
function refuseOther(caller: string, { user_id: named = 'me' }: { user_id?: string }): void {
  if (named !== 'me' && named !== caller) throw new Problem('OWNER_MISMATCH')
}

/** @throws Problem VALIDATION_ERROR for parameters that contradict one another */
function listOf(
  owner: string,
  { status = 'all', completed, sort = 'created', order, cursor, skip }: ListQuery,
): List {
  const byStatus = { all: null, pending: false, completed: true }[status]
  const byField = completed === undefined ? null : completed === 'true'
  if (byStatus !== null && byField !== null && byStatus !== byField) {
    throw invalid({ in: 'query', pointer: 'completed', detail: 'contradicts `status`' })
  }
  if (cursor !== undefined && skip !== undefined) {
    throw invalid({ in: 'query', pointer: 'skip', detail: 'cannot be used with `cursor`' })
  }
  return { owner, completed: byField ?? byStatus, sort, order: order ?? (sort === 'title' ? 'asc' : 'desc') }
}

/** @throws Problem VALIDATION_ERROR for a cursor of another list */
async function readPage(sql: Sql, list: List, { limit = DEFAULT_LIMIT, cursor, skip = 0, count }: ListQuery) {
  const { tasks, total } = await LISTS[list.sort][list.order](sql, list.owner, {
    completed: list.completed,
    after: cursor === undefined ? undefined : decodeCursor(list, cursor),
    // one more than asked for tells whether there is a next page
    limit: limit + 1,
    skip,
    count: count === 'true',
  })
  const last = tasks.length > limit ? tasks[limit - 1] : undefined
  return { tasks: tasks.slice(0, limit), cursor: last && encodeCursor(list, last), total }
}

/** Which of the two would count? */
function refuseRepeated(sent: URLSearchParams): void {
  const repeated = [...new Set(sent.keys())].filter((name) => sent.getAll(name).length > 1)
  if (repeated.length === 0) return
  throw invalid(
    ...repeated.map((pointer) => ({ in: 'query' as const, pointer, detail: 'must be sent once' })),
  )
}

/** For a target without a host, because behind a proxy only the client knows which one it asked. */
function nextQuery(sent: URLSearchParams, cursor: string): URLSearchParams {
  const next = new URLSearchParams(sent)
  next.delete('skip')
  next.set('cursor', cursor)
  return next
}

/** RFC 9110 section 12.5.1, as far as two representations need it: the page is sent only to who names it. */
function wantsPage(accept: string | null): boolean {
  const range = accept?.split(',').find((each) => each.split(';')[0]?.trim().toLowerCase() === PAGE_TYPE)
  return range !== undefined && !/;\s*q=0(?:\.0*)?\s*(?:;|$)/i.test(range)
}

/** In the type of `TaskList`, which says why. */
function pageOf(tasks: Task[], cursor: string | undefined): Task[] {
  const page: TaskPage = { tasks, count: tasks.length, next_cursor: cursor ?? null }
  return page as unknown as Task[]
}
