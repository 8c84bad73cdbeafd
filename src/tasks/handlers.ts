/** The handlers of tasks: each runs statements and makes an answer of their rows. */
import type { Caller } from '../auth/caller'
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { isNamed, matchedRevisions, notModified, revisionTag } from '../http/etag'
import { type IdempotencyKey, idempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { type Answer, contextOf } from '../http/request-context'
import { countTasks, countTrash, listTasks, listTrash } from './list-queries'
import {
  type DeleteQuery,
  filterOf,
  type ListQuery,
  NO_FILTER,
  NOTHING,
  orderOf,
  type Task,
  type TaskCompletion,
  type TaskCreate,
  type TaskRow,
  type TaskUpdate,
  type TrashedTask,
  type TrashQuery,
  toTask,
  toTrashedTask,
  writeTasks,
  writeTrash,
} from './model'
import type { PageCache } from './page-cache'
import { answerList, type ListKind } from './pages'
import * as queries from './queries'

interface TaskContext extends SignedIn {
  params: { id: number }
}
type WriteContext = Omit<TaskContext, 'path' | 'set'>
type RestoreContext = Omit<TaskContext, 'path'>

export function createHandlers({ database, metrics }: Services, cache: PageCache) {
  const pages = { cache, metrics, userState: database.batch(userState) }
  const createTask = database.batch(queries.batchableCreate)
  const findTask = database.batch(queries.batchableRead)

  // each handler names what it uses of the context: Elysia trap 21 (docs/elysia.md)
  const list = async ({ query, caller, sql, path, request, set }: SignedIn & { query: ListQuery }) => {
    const filter = filterOf(query)
    const order = orderOf(query)
    const kind: ListKind<Task> = {
      list: { owner: caller.id, filter, order },
      read: (part) => listTasks(sql, caller, filter, order, part),
      count: () => countTasks(sql, caller, filter),
      write: writeTasks,
      toItem: toTask,
      versionOf: ({ revision }) => revision,
    }
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
    }
    return answerList(kind, pages, { query, caller, path, request, set })
  }

  const create = async ({ body, caller, sql, path, request, set }: SignedIn & { body: TaskCreate }) => {
    const key = idempotencyKey(request, path, body)
    const { task, isReplay } = key
      ? await createOnce(sql, caller, body, key)
      : { task: await createTask(contextOf(request), { caller, task: body }), isReplay: false }
    if (task === undefined) throw refuseToken('revoked')
    if (isReplay) set.headers['idempotency-replayed'] = 'true'
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

  return { list, listTrash: listDeleted, create, read, change, complete, restore, remove }
}

async function change({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: TaskContext & { body: TaskUpdate }): Promise<Task> {
  const write = { to: 'lists', change: body } as const
  return tagged(set, await changeListed({ params, caller, sql, request }, write))
}

async function complete({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: TaskContext & { body: TaskCompletion | undefined }): Promise<Task> {
  const write = { to: 'lists', change: { completed: body?.completed ?? null } } as const
  return tagged(set, await changeListed({ params, caller, sql, request }, write))
}

async function restore({ params, caller, sql, request, set }: RestoreContext): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  const written = await queries.writeTask(sql, caller, params.id, {
    from: ['trash'],
    to: 'lists',
    change: {},
    ifMatch,
  })
  if (written) return tagged(set, written)
  const found = await findStored(sql, caller, params.id)
  const isDeleted = found.deleted_at !== null
  // it was deleted after the write had found it in the lists
  if (isDeleted && ifMatch === null) return restore({ params, caller, sql, request, set })
  // a task that is already restored is no error: the first answer may have been lost
  if (isDeleted || ifMatch?.includes(found.revision) === false) throw conflict(found)
  return tagged(set, found)
}

async function remove({
  params,
  query,
  caller,
  sql,
  request,
  set,
}: TaskContext & { query: DeleteQuery }): Promise<void> {
  const wanted = { params, caller, sql, request }
  if (query.permanent) await end(wanted)
  else await changeListed(wanted, { to: 'trash', change: {} })
  set.status = 204
}

/** Deletes a task for good. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
async function end({ params, caller, sql, request }: WriteContext): Promise<void> {
  const ended = await queries.writeTask(sql, caller, params.id, {
    from: ['lists', 'trash'],
    to: 'ended',
    change: NOTHING,
    ifMatch: ifMatchOf(request),
  })
  if (ended === undefined) throw conflict(await findStored(sql, caller, params.id))
}

/** Changes a task that is not in the trash. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
async function changeListed(
  { params, caller, sql, request }: WriteContext,
  write: Pick<queries.Write, 'to' | 'change'>,
): Promise<TaskRow> {
  const ifMatch = ifMatchOf(request)
  const written = await queries.writeTask(sql, caller, params.id, { from: ['lists'], ...write, ifMatch })
  if (written) return written
  const found = await findStored(sql, caller, params.id)
  // without `If-Match`, a task that is in the lists was restored after the write had looked for it
  throw found.deleted_at !== null || ifMatch === null ? new Problem('TASK_NOT_FOUND') : conflict(found)
}

function tagged(set: Answer, row: TaskRow): Task {
  set.headers['etag'] = revisionTag(row.revision)
  return toTask(row)
}

function ifMatchOf({ headers }: Request): queries.Revisions {
  return matchedRevisions(headers.get('if-match'))
}

/**
 * Reads a task that a write did not match, also from the trash.
 *
 * @throws Problem TASK_NOT_FOUND, or TOKEN_INVALID for a deleted user
 */
async function findStored(sql: Sql, caller: Caller, id: number): Promise<TaskRow> {
  await refuseDeleted(sql, caller)
  const found = await queries.findAnyTask(sql, caller.id, id)
  if (!found) throw new Problem('TASK_NOT_FOUND')
  return found
}

function conflict(current: TaskRow): Problem {
  const headers = { etag: revisionTag(current.revision) }
  return new Problem('PRECONDITION_FAILED', { current: toTask(current), headers })
}

/**
 * Creates a task, or finds the first answer if the request was sent before.
 *
 * @throws Problem IDEMPOTENCY_KEY_REUSED, or TOKEN_INVALID for a deleted user
 */
async function createOnce(
  sql: Sql,
  caller: Caller,
  body: TaskCreate,
  key: IdempotencyKey,
): Promise<{ task: TaskRow; isReplay: boolean }> {
  const first = await queries.findAnswer(sql, caller.id, key.key)
  if (!first) {
    const task = await queries.createTask(sql, caller, body, key)
    if (task) return { task, isReplay: false }
    await refuseDeleted(sql, caller)
    // a concurrent request with this key has created the task
    return createOnce(sql, caller, body, key)
  }
  await refuseDeleted(sql, caller)
  if (!first.fingerprint.equals(key.fingerprint)) throw new Problem('IDEMPOTENCY_KEY_REUSED')
  return { task: first.task, isReplay: true }
}
