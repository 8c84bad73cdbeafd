/** What each route of tasks does: from its input to statements, and from their rows to an answer. */
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import { type Answer, isNamed, matchedRevisions, notModified, taskTag } from '../http/etag'
import { type IdempotencyKey, idempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { contextOf } from '../http/request-context'
import { countTasks, countTrash, listTasks, listTrash } from './list-queries'
import {
  type DeleteQuery,
  filterOf,
  type ListQuery,
  NO_FILTER,
  NOTHING,
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
import { answerList, type ListKind, orderOf } from './pages'
import * as queries from './queries'

interface OfATask extends SignedIn {
  params: { id: number }
}

export function createHandlers({ database, metrics }: Services, cache: PageCache) {
  const pages = { cache, metrics, userState: database.batch(userState) }
  const createAlone = database.batch(queries.creation)
  const readAlone = database.batch(queries.reading)

  const list = async (context: SignedIn & { query: ListQuery }): Promise<Task[]> => {
    const { caller, sql, query } = context
    const [filter, order] = [filterOf(query), orderOf(query)]
    const kind: ListKind<Task> = {
      list: { owner: caller.id, filter, order },
      read: (part) => listTasks(sql, caller, filter, order, part),
      count: () => countTasks(sql, caller, filter),
      write: writeTasks,
      toItem: toTask,
      versionOf: ({ revision }) => revision,
    }
    return answerList(kind, pages, context)
  }

  const listDeleted = async (context: SignedIn & { query: TrashQuery }): Promise<TrashedTask[]> => {
    const { caller, sql } = context
    const kind: ListKind<TrashedTask> = {
      list: { owner: caller.id, filter: NO_FILTER, order: 'deleted desc' },
      read: (part) => listTrash(sql, caller, part),
      count: () => countTrash(sql, caller),
      write: writeTrash,
      toItem: toTrashedTask,
      // a purge changes the trash without a revision, but never takes the sum back to what it was
      versionOf: ({ revision, purged_revision }) => revision + purged_revision,
    }
    return answerList(kind, pages, context)
  }

  const create = async ({ body, caller, sql, path, request, set }: SignedIn & { body: TaskCreate }) => {
    const key = idempotencyKey(request, path, body)
    const { task, isReplay } = key
      ? await createOnce(sql, caller, body, key)
      : { task: await createAlone(contextOf(request), { caller, task: body }), isReplay: false }
    if (task === undefined) throw refuseToken('revoked')
    if (isReplay) set.headers['idempotency-replayed'] = 'true'
    set.status = 201
    set.headers['location'] = `${path.replace(/\/$/, '')}/${task.id}`
    return tagged(set, task)
  }

  const read = async ({ params, caller, sql, request, set }: OfATask): Promise<Task> => {
    const task = await readAlone(contextOf(request), { caller, id: params.id })
    if (!task) throw await whyMissing(sql, caller)
    const tag = taskTag(task.revision)
    return isNamed(request.headers.get('if-none-match'), tag) ? notModified(set, tag) : tagged(set, task)
  }

  return { list, listTrash: listDeleted, create, read, change, complete, restore, remove }
}

async function change(context: OfATask & { body: TaskUpdate }): Promise<Task> {
  return changeListed(context, { to: 'lists', change: context.body })
}

async function complete(context: OfATask & { body: TaskCompletion | undefined }): Promise<Task> {
  return changeListed(context, { to: 'lists', change: { completed: context.body?.completed ?? null } })
}

async function restore(context: OfATask): Promise<Task> {
  const { params, caller, sql, request, set } = context
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
  // deleted just now, after the write had found it in the lists
  if (isDeleted && ifMatch === null) return restore(context)
  // a task that is back already is what was asked for: the first answer may have been lost
  if (isDeleted || ifMatch?.includes(found.revision) === false) throw conflict(found)
  return tagged(set, found)
}

async function remove(context: OfATask & { query: DeleteQuery }): Promise<void> {
  if (context.query.permanent === 'true') await end(context)
  else await changeListed(context, { to: 'trash', change: {} })
  context.set.status = 204
}

/** Ends a task for good. */
async function end({ params, caller, sql, request }: OfATask): Promise<void> {
  const write = {
    from: ['lists', 'trash'],
    to: 'ended',
    change: NOTHING,
    ifMatch: ifMatchOf(request),
  } as const
  const ended = await queries.writeTask(sql, caller, params.id, write)
  if (ended === undefined) throw conflict(await findStored(sql, caller, params.id))
}

/** Writes a task that is in the lists. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
async function changeListed(
  { params, caller, sql, request, set }: OfATask,
  write: Pick<queries.Write, 'to' | 'change'>,
): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  const written = await queries.writeTask(sql, caller, params.id, { from: ['lists'], ...write, ifMatch })
  if (written) return tagged(set, written)
  const found = await findStored(sql, caller, params.id)
  // without `If-Match`, a task that is in the lists was restored just now, after the write had looked for it
  throw found.deleted_at !== null || ifMatch === null ? new Problem('TASK_NOT_FOUND') : conflict(found)
}

function tagged(set: Answer, row: TaskRow): Task {
  set.headers['etag'] = taskTag(row.revision)
  return toTask(row)
}

function ifMatchOf({ headers }: Request): queries.Revisions {
  return matchedRevisions(headers.get('if-match'))
}

type Asked = Pick<SignedIn, 'sql' | 'caller'>

/** A statement has found nothing: there is no such task, or the user was deleted. */
async function whyMissing(sql: Asked['sql'], caller: Asked['caller']): Promise<Problem> {
  await refuseDeleted(sql, caller)
  return new Problem('TASK_NOT_FOUND')
}

/** After a write that has changed nothing: the task as it is, also in the trash. @throws Problem TASK_NOT_FOUND */
async function findStored(sql: Asked['sql'], caller: Asked['caller'], id: number): Promise<TaskRow> {
  const missing = await whyMissing(sql, caller)
  const found = await queries.findAnyTask(sql, caller.id, id)
  if (!found) throw missing
  return found
}

function conflict(current: TaskRow): Problem {
  const headers = { etag: taskTag(current.revision) }
  return new Problem('PRECONDITION_FAILED', { current: toTask(current), headers })
}

/**
 * Makes a task, or gives the first answer to a request that was sent again.
 *
 * @throws Problem IDEMPOTENCY_KEY_REUSED, or TOKEN_INVALID for a deleted user
 */
async function createOnce(
  sql: Asked['sql'],
  caller: Asked['caller'],
  body: TaskCreate,
  key: IdempotencyKey,
): Promise<{ task: TaskRow; isReplay: boolean }> {
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
