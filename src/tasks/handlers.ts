/** The handlers of tasks: each runs statements and makes an answer of their rows. */
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { userState } from '../auth/queries'
import { isNamed, matchedRevisions, notModified, type Revisions, revisionTag } from '../http/etag'
import { idempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { type Answer, contextOf } from '../http/request-context'
import { type Batch, idsIn, runBatch } from './batch'
import { type Draft, emptyRow, saveDraftOnce } from './draft'
import { type ListQuery, NO_FILTER, type TrashQuery } from './filters'
import { countTrash, listTrash } from './list-queries'
import {
  type DeleteQuery,
  type Move,
  type Task,
  type TaskCompletion,
  type TaskCreate,
  type TaskRow,
  type TaskUpdate,
  type TrashedTask,
  toTask,
  toTrashedTask,
  writeTrash,
} from './model'
import { onlyOnce } from './once'
import type { PageCache } from './page-cache'
import { answerList, type ListKind } from './pages'
import { needsPlanning } from './planning'
import * as queries from './queries'
import { listOf } from './reads'
import { changeTask, completeTask, endTask, insertTask, moveTask, restoreTask, trashTask } from './writes'

interface TaskContext extends SignedIn {
  params: { id: number }
}
type WriteContext = Omit<TaskContext, 'path'>

export function createHandlers({ database, metrics, rateLimiter }: Services, cache: PageCache) {
  const pages = { cache, metrics, userState: database.batch(userState) }
  const createPlain = database.batch(queries.batchableCreate)
  const findTask = database.batch(queries.batchableRead)

  // each handler names what it uses of the context: Elysia trap 21 (docs/elysia.md)
  const list = async ({ query, caller, sql, path, request, set }: SignedIn & { query: ListQuery }) => {
    const kind = listOf(sql, caller, query)
    return answerList(kind, pages, { query, caller, path, request, set })
  }

  const listDeleted = async ({
    query,
    caller,
    sql,
    path,
    request,
    set,
  }: SignedIn & { query: TrashQuery }) => {
    const kind: ListKind<TrashedTask> = {
      list: { owner: caller.id, filter: NO_FILTER, order: 'deleted desc' },
      read: (part) => listTrash(sql, caller, part),
      count: () => countTrash(sql, caller),
      write: writeTrash,
      toItem: toTrashedTask,
      // a purge raises only `purged_revision`, so the sum is new after each change and each purge
      versionOf: ({ revision, purged_revision }) => revision + purged_revision,
      changesWithTime: false,
    }
    return answerList(kind, pages, { query, caller, path, request, set })
  }

  const create = async ({ body, caller, sql, path, request, set }: SignedIn & { body: TaskCreate }) => {
    const key = idempotencyKey(request, path, body)
    const createTask = async () => {
      if (key || needsPlanning(body)) return insertTask(sql, caller, body, key)
      return createPlain(contextOf(request), { caller, task: body })
    }
    const { answer, isReplay } = await onlyOnce(sql, caller, key, createTask)
    if (isReplay) set.headers['idempotency-replayed'] = 'true'
    // the previous version, which may run beside this one, stores fewer fields
    const task = isReplay ? { ...emptyRow(), ...answer } : answer
    set.status = 201
    set.headers['location'] = `${path.replace(/\/$/, '')}/${task.id}`
    return tagged(set, task)
  }

  const read = async ({ params, caller, sql, request, set }: TaskContext): Promise<Task> => {
    const task = await findTask(contextOf(request), { caller, id: params.id })
    if (!task) {
      await refuseDeleted(sql, caller)
      throw new Problem('TASK_NOT_FOUND')
    }
    const tag = revisionTag(task.revision)
    return isNamed(request.headers.get('if-none-match'), tag) ? notModified(set, tag) : tagged(set, task)
  }

  const batch = async ({ body, caller, sql, path, request, set }: SignedIn & { body: Batch }) => {
    await rateLimiter.more({ request, set }, caller.id, body.operations.length - 1)
    const key = idempotencyKey(request, path, body)
    const work = (draft: Draft) => runBatch(draft, body)
    const { answer, isReplay } = await onlyOnce(sql, caller, key, () =>
      saveDraftOnce(sql, caller, { ids: idsIn(body), work }, key),
    )
    if (isReplay) set.headers['idempotency-replayed'] = 'true'
    return answer
  }

  return { list, listTrash: listDeleted, create, read, change, complete, move, restore, remove, batch }
}

type Change<Body> = WriteContext & { body: Body }

const change = async ({ params, body, caller, sql, request, set }: Change<TaskUpdate>): Promise<Task> =>
  tagged(set, await changeTask(sql, caller, params.id, body, ifMatchOf(request)))

async function complete({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: Change<TaskCompletion | undefined>): Promise<Task> {
  const completed = body?.completed ?? null
  return tagged(set, await completeTask(sql, caller, params.id, completed, ifMatchOf(request)))
}

const move = async ({ params, body, caller, sql, request, set }: Change<Move>): Promise<Task> =>
  tagged(set, await moveTask(sql, caller, params.id, body, ifMatchOf(request)))

const restore = async ({ params, caller, sql, request, set }: WriteContext): Promise<Task> =>
  tagged(set, await restoreTask(sql, caller, params.id, ifMatchOf(request)))

async function remove({
  params,
  query,
  caller,
  sql,
  request,
  set,
}: WriteContext & { query: DeleteQuery }): Promise<void> {
  const removeTask = query.permanent === true ? endTask : trashTask
  await removeTask(sql, caller, params.id, ifMatchOf(request))
  set.status = 204
}

function tagged(set: Answer, row: TaskRow): Task {
  set.headers['etag'] = revisionTag(row.revision)
  return toTask(row)
}

function ifMatchOf({ headers }: Request): Revisions {
  return matchedRevisions(headers.get('if-match'))
}
