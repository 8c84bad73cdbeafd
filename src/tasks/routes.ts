/** HTTP for tasks: one set of routes, mounted at both addresses. */
import { Elysia, t } from 'elysia'
import { type Gate, OWNER_PROBLEMS, refuseDeleted, signedInOwner } from '../auth/guard'
import { userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Caller } from '../auth/verify'
import type { Sql } from '../database/sql'
import { documentedHeaders } from '../docs/document'
import { BODY_PROBLEMS, jsonBody } from '../http/body'
import { type Answer, isNamed, matchedRevisions, notModified, taskTag } from '../http/etag'
import { type IdempotencyKey, idempotencyKey } from '../http/idempotency'
import { Problem, problems } from '../http/problems'
import { sentQuery } from '../http/query'
import { contextOf } from '../http/request-context'
import { NoQuery } from '../http/validation'
import type { Metrics } from '../telemetry/metrics'
import { countTasks, countTrash, listTasks, listTrash } from './list-queries'
import {
  CreatedTask,
  DeleteQuery,
  filterOf,
  ListQuery,
  NO_FILTER,
  OptionalTaskCompletion,
  OwnerParams,
  PAGE_TYPE,
  PreconditionFailed,
  TaggedTask,
  type Task,
  TaskCreate,
  TaskList,
  TaskParams,
  TaskUpdate,
  type TrashedTask,
  TrashList,
  TrashQuery,
  taskIdOf,
  toTask,
  toTrashedTask,
  writeTasks,
  writeTrash,
} from './model'
import type { PageCache } from './page-cache'
import { answerList, type ListKind, orderOf } from './pages'
import * as queries from './queries'

const tags = ['Tasks']

/** What can go wrong with any of these routes. */
const OWN = [...OWNER_PROBLEMS, 'VALIDATION_ERROR'] as const
const OF_A_TASK = [...OWN, 'TASK_NOT_FOUND'] as const

interface Deps {
  cache: PageCache
  metrics: Metrics | undefined
  /** Told whose tasks have been changed. */
  onChange(userId: string): void
}

export function taskRoutes(gate: Gate, { cache, metrics, onChange }: Deps) {
  const { share } = gate.database
  const [create, read] = [share(queries.creation), share(queries.reading)]
  const pages = { cache, userState: share(userState), metrics }
  return new Elysia()
    .use(signedInOwner(gate))
    .onAfterHandle(({ request, caller }) => {
      if (request.method === 'GET' || request.method === 'HEAD') return
      cache.forget(caller.id)
      onChange(caller.id)
    })
    .get(
      '/',
      async ({ query, caller, sql, path, request, set }) => {
        const [filter, order] = [filterOf(query), orderOf(query)]
        const list: ListKind<Task> = {
          place: { owner: caller.id, filter, order },
          read: (part) => listTasks(sql, caller, filter, order, part),
          count: () => countTasks(sql, caller, filter),
          write: writeTasks,
          toItem: toTask,
          versionOf: ({ revision }) => revision,
        }
        return answerList(list, { pages, caller, query, path, request, set })
      },
      {
        params: OwnerParams,
        query: ListQuery,
        response: { 200: TaskList, ...problems(...OWN) },
        detail: {
          tags,
          operationId: 'listTasks',
          summary: 'List tasks',
          description:
            'Newest first, unless `sort` and `order` say otherwise. While there are more, the header `Link` leads to ' +
            `the next page. With \`Accept: ${PAGE_TYPE}\` the answer is a page object instead of an array.`,
          ...documentedHeaders('If-None-Match'),
        },
      },
    )
    .get(
      '/trash',
      async ({ query, caller, sql, path, request, set }) => {
        const list: ListKind<TrashedTask> = {
          place: { owner: caller.id, filter: NO_FILTER, order: 'deleted desc' },
          read: (part) => listTrash(sql, caller, part),
          count: () => countTrash(sql, caller),
          write: writeTrash,
          toItem: toTrashedTask,
          // a purge changes the trash without a revision, but never takes the sum back to what it was
          versionOf: ({ revision, purged_revision }) => revision + purged_revision,
        }
        return answerList(list, { pages, caller, query, path, request, set })
      },
      {
        params: OwnerParams,
        query: TrashQuery,
        response: { 200: TrashList, ...problems(...OWN) },
        detail: {
          tags,
          operationId: 'listTrash',
          summary: 'List deleted tasks',
          description: 'The newest deletion first, with pages as tasks have them.',
          ...documentedHeaders('If-None-Match'),
        },
      },
    )
    .post(
      '/',
      async ({ body, caller, sql, path, request, set }) => {
        const key = idempotencyKey(request, path, body)
        const { task, isReplay } = key
          ? await createOnce(sql, caller, body, key)
          : { task: await create(contextOf(request), { caller, task: body }), isReplay: false }
        if (task === undefined) throw refuseToken('revoked')
        if (isReplay) set.headers['idempotency-replayed'] = 'true'
        set.status = 201
        set.headers.location = `${path.replace(/\/$/, '')}/${task.id}`
        return tagged(set, task)
      },
      {
        ...jsonBody,
        params: OwnerParams,
        query: NoQuery,
        body: TaskCreate,
        response: { 201: CreatedTask, ...problems(...OWN, ...BODY_PROBLEMS, 'IDEMPOTENCY_KEY_REUSED') },
        detail: {
          tags,
          operationId: 'createTask',
          summary: 'Create a task',
          description:
            "A user's first write also makes the user: a valid token is enough to begin. With an `Idempotency-Key`, " +
            'the same request within 24 hours gets the first answer again.',
          ...documentedHeaders('Idempotency-Key'),
        },
      },
    )
    .get(
      '/:id',
      async ({ params, caller, sql, request, set }) => {
        const task = await read(contextOf(request), { caller, id: taskIdOf(params.id) })
        if (!task) throw await missing(sql, caller)
        if (isNamed(request.headers.get('if-none-match'), taskTag(task.revision))) {
          return notModified<Task>(set, taskTag(task.revision))
        }
        return tagged(set, task)
      },
      {
        params: TaskParams,
        query: NoQuery,
        response: { 200: { ...TaggedTask, notModified: true }, ...problems(...OF_A_TASK) },
        detail: {
          tags,
          operationId: 'readTask',
          summary: 'Read a task',
          description: 'A task of somebody else answers as one that does not exist.',
          ...documentedHeaders('If-None-Match'),
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
        ...documentedHeaders('If-Match'),
      },
    })
    .patch('/:id', change, {
      ...changeTask,
      detail: {
        tags,
        operationId: 'patchTask',
        summary: 'Change a task',
        description: 'Changes what is sent and leaves the rest; `null` clears the description.',
        ...documentedHeaders('If-Match'),
      },
    })
    .patch(
      '/:id/complete',
      async ({ params, body, caller, sql, request, set }) => {
        const write = queries.completeTask(body?.completed)
        return tagged(set, await changed(write, sql, caller, taskIdOf(params.id), ifMatch(request)))
      },
      {
        ...jsonBody,
        params: TaskParams,
        query: NoQuery,
        body: OptionalTaskCompletion,
        response: {
          200: TaggedTask,
          412: PreconditionFailed,
          ...problems(...OF_A_TASK, ...BODY_PROBLEMS),
        },
        detail: {
          tags,
          operationId: 'completeTask',
          summary: 'Complete a task, or take it back',
          description: 'Toggles without a body. With one it sets, so that sending it twice does no harm.',
          ...documentedHeaders('If-Match'),
        },
      },
    )
    .post(
      '/:id/restore',
      async ({ params, caller, sql, request, set }) =>
        tagged(set, await restored(sql, caller, taskIdOf(params.id), ifMatch(request))),
      {
        params: TaskParams,
        query: NoQuery,
        response: { 200: TaggedTask, 412: PreconditionFailed, ...problems(...OF_A_TASK) },
        detail: {
          tags,
          operationId: 'restoreTask',
          summary: 'Bring a task back from the trash',
          description: 'A task that is not in the trash is answered as it is.',
          ...documentedHeaders('If-Match'),
        },
      },
    )
    .delete(
      '/:id',
      async ({ params, query, caller, sql, request, set }) => {
        sentQuery(request)
        const id = taskIdOf(params.id)
        const revisions = ifMatch(request)
        if (query.permanent === 'true') {
          const ended = await queries.endTask(sql, caller, id, revisions)
          if (ended === undefined) throw conflict((await stored(sql, caller, id)).task)
        } else await changed(queries.deleteTask, sql, caller, id, revisions)
        set.status = 204
      },
      {
        params: TaskParams,
        query: DeleteQuery,
        response: { 204: t.Void(), 412: PreconditionFailed, ...problems(...OF_A_TASK) },
        detail: {
          tags,
          operationId: 'deleteTask',
          summary: 'Delete a task',
          description:
            'Moves it to the trash, from which it can be restored for some weeks. A second time answers 404. With ' +
            '`permanent=true` it is gone at once, also from the trash.',
          ...documentedHeaders('If-Match'),
        },
      },
    )
}

interface ChangeTask {
  params: { id: number }
  body: TaskUpdate
  caller: Caller
  sql: Sql
  request: Request
  set: Answer
}

async function change({ params, body, caller, sql, request, set }: ChangeTask): Promise<Task> {
  const write = queries.updateTask(body)
  return tagged(set, await changed(write, sql, caller, taskIdOf(params.id), ifMatch(request)))
}

const changeTask = {
  ...jsonBody,
  params: TaskParams,
  query: NoQuery,
  body: TaskUpdate,
  response: { 200: TaggedTask, 412: PreconditionFailed, ...problems(...OF_A_TASK, ...BODY_PROBLEMS) },
}

function tagged(set: Answer, task: Task): Task {
  set.headers['etag'] = taskTag(task.revision)
  return task
}

function ifMatch({ headers }: Request): queries.Revisions {
  return matchedRevisions(headers.get('if-match'))
}

/** Why a statement found nothing: there is no such task, or the user was deleted. */
async function missing(sql: Sql, caller: Caller): Promise<Problem> {
  await refuseDeleted(sql, caller)
  return new Problem('TASK_NOT_FOUND')
}

/** For a write that has changed nothing: what is there, in the trash as well. */
async function stored(sql: Sql, caller: Caller, id: number): Promise<queries.FoundTask> {
  const missed = await missing(sql, caller)
  const found = await queries.findAnyTask(sql, caller.id, id)
  if (!found) throw missed
  return found
}

/** What a write has changed; if that is nothing, then why. */
async function changed(
  write: queries.TaskWrite,
  sql: Sql,
  caller: Caller,
  id: number,
  revisions: queries.Revisions,
): Promise<Task> {
  const written = await write(sql, caller, id, revisions)
  if (written !== undefined) return written
  const { isDeleted, task } = await stored(sql, caller, id)
  // one that may have any revision and is there was restored just now, after the write had looked for it
  throw isDeleted || revisions === null ? new Problem('TASK_NOT_FOUND') : conflict(task)
}

async function restored(sql: Sql, caller: Caller, id: number, revisions: queries.Revisions): Promise<Task> {
  const written = await queries.restoreTask(sql, caller, id, revisions)
  if (written) return written
  const { isDeleted, task } = await stored(sql, caller, id)
  // deleted just now, after the write had found it alive
  if (isDeleted && revisions === null) return restored(sql, caller, id, revisions)
  // one that is back already is what was asked for: the first answer may have been lost
  if (isDeleted || revisions?.includes(task.revision) === false) throw conflict(task)
  return task
}

function conflict(current: Task): Problem {
  return new Problem('PRECONDITION_FAILED', { current, headers: { etag: taskTag(current.revision) } })
}

/**
 * Makes a task, or gives the first answer to a request that has come again.
 *
 * @throws Problem IDEMPOTENCY_KEY_REUSED, or TOKEN_INVALID for a deleted user
 */
async function createOnce(
  sql: Sql,
  caller: Caller,
  body: TaskCreate,
  key: IdempotencyKey,
): Promise<{ task: Task; isReplay: boolean }> {
  const first = await queries.findAnswer(sql, caller.id, key.key)
  if (!first) {
    const task = await queries.createTask(sql, caller, body, key)
    if (task) return { task, isReplay: false }
    await refuseDeleted(sql, caller)
    // another request with this key was quicker
    return createOnce(sql, caller, body, key)
  }
  await refuseDeleted(sql, caller)
  if (!first.fingerprint.equals(key.fingerprint)) throw new Problem('IDEMPOTENCY_KEY_REUSED')
  return { task: first.task, isReplay: true }
}
