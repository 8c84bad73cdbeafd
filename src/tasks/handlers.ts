/** The handlers of tasks: each runs statements and makes an answer of their rows. */
import type { Caller } from '../auth/caller'
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { userState } from '../auth/queries'
import type { Sql } from '../database/sql'
import { isNamed, matchedRevisions, notModified, type Revisions, revisionTag } from '../http/etag'
import { type IdempotencyKey, idempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { type Answer, contextOf } from '../http/request-context'
import { type Batch, idsIn, runBatch } from './batch'
import { type Draft, emptyRow, saveDraft, saveDraftOnce } from './draft'
import { filterOf, isPlain, type ListQuery, NO_FILTER, orderOf, type TrashQuery } from './filters'
import {
  countFound,
  countTasks,
  countTrash,
  listByTitle,
  listTasks,
  listTrash,
  searchTasks,
} from './list-queries'
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
  writeTasks,
  writeTrash,
} from './model'
import { onlyOnce } from './once'
import type { PageCache } from './page-cache'
import { answerList, type ListKind } from './pages'
import { needsPlanning } from './planning'
import * as queries from './queries'
import * as rules from './rules'

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
    const filter = filterOf(query)
    const order = orderOf(query)
    const hasIndex = isPlain(filter, order)
    const read = !hasIndex ? searchTasks : order.startsWith('title') ? listByTitle : listTasks
    const kind: ListKind<Task> = {
      list: { owner: caller.id, filter, order },
      read: (part) => read(sql, caller, filter, order, part),
      count: () => (hasIndex ? countTasks : countFound)(sql, caller, filter),
      write: writeTasks,
      toItem: toTask,
      versionOf: ({ revision }) => revision,
      changesWithTime: filter.overdue !== undefined,
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
      changesWithTime: false,
    }
    return answerList(kind, pages, { query, caller, path, request, set })
  }

  const create = async ({ body, caller, sql, path, request, set }: SignedIn & { body: TaskCreate }) => {
    const key = idempotencyKey(request, path, body)
    const createTask = async () => {
      if (needsPlanning(body)) return planTask(sql, caller, body, key)
      if (key) return queries.createTask(sql, caller, body, key)
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

// Each write first tries one statement, which is enough for most tasks. If it finds no task to write, a draft tells why, or
// does what the statement cannot.

async function change({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: WriteContext & { body: TaskUpdate }): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  const written = needsPlanning(body)
    ? undefined
    : await queries.writeTask(sql, caller, params.id, { from: ['lists'], to: 'lists', change: body, ifMatch })
  const task =
    written ??
    (await inDraft(sql, caller, params.id, (draft) => rules.update(draft, params.id, body, ifMatch)))
  return tagged(set, task)
}

async function complete({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: WriteContext & { body: TaskCompletion | undefined }): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  const completed = body?.completed ?? null
  const written = await queries.writeTask(sql, caller, params.id, {
    from: ['lists'],
    to: 'lists',
    change: { completed },
    ifMatch,
  })
  const task =
    written ??
    (await inDraft(sql, caller, params.id, (draft) => rules.complete(draft, params.id, completed, ifMatch)))
  return tagged(set, task)
}

async function move({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: WriteContext & { body: Move }): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  return tagged(
    set,
    await inDraft(sql, caller, params.id, (draft) => rules.move(draft, params.id, body, ifMatch)),
  )
}

async function restore({ params, caller, sql, request, set }: WriteContext): Promise<Task> {
  const ifMatch = ifMatchOf(request)
  const written = await queries.writeTask(sql, caller, params.id, {
    from: ['trash'],
    to: 'lists',
    change: {},
    ifMatch,
  })
  return tagged(
    set,
    written ?? (await inDraft(sql, caller, params.id, (draft) => rules.restore(draft, params.id, ifMatch))),
  )
}

async function remove({
  params,
  query,
  caller,
  sql,
  request,
  set,
}: WriteContext & { query: DeleteQuery }): Promise<void> {
  const ifMatch = ifMatchOf(request)
  const isFinal = query.permanent === true
  const written = await queries.writeTask(sql, caller, params.id, {
    from: isFinal ? ['lists', 'trash'] : ['lists'],
    to: isFinal ? 'ended' : 'trash',
    change: {},
    ifMatch,
  })
  const removeInDraft = isFinal ? rules.end : rules.trash
  if (!written) await inDraft(sql, caller, params.id, (draft) => removeInDraft(draft, params.id, ifMatch))
  set.status = 204
}

/** Works on one task in a draft. @throws what the work throws */
function inDraft<Result>(
  sql: Sql,
  caller: Caller,
  id: number,
  work: (draft: Draft) => Promise<Result>,
): Promise<Result> {
  return saveDraft(sql, caller, { ids: [id], work })
}

function tagged(set: Answer, row: TaskRow): Task {
  set.headers['etag'] = revisionTag(row.revision)
  return toTask(row)
}

function ifMatchOf({ headers }: Request): Revisions {
  return matchedRevisions(headers.get('if-match'))
}

/** Creates a task whose fields have consequences. @returns undefined if the idempotency key has been used */
async function planTask(
  sql: Sql,
  caller: Caller,
  body: TaskCreate,
  idempotency: IdempotencyKey | undefined,
): Promise<TaskRow | undefined> {
  const { parent_id } = body
  const ids = parent_id ? [parent_id] : []
  const work = (draft: Draft) => rules.create(draft, body)
  return saveDraftOnce(sql, caller, { ids, work }, idempotency)
}
