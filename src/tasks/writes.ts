/**
 * What is done to tasks, whatever asks for it. Each write first tries one statement, which is enough for most tasks. If it
 * finds no task to write, a draft tells why, or does what the statement cannot.
 */
import type { Caller } from '../auth/caller'
import { refuseDeleted } from '../auth/guard'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import type { Revisions } from '../http/etag'
import type { IdempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { type Draft, saveDraft, saveDraftOnce } from './draft'
import type { Move, TaskCreate, TaskRow, TaskUpdate } from './model'
import { needsPlanning } from './planning'
import * as queries from './queries'
import * as rules from './rules'

/** Creates a task. @returns undefined if the idempotency key has been used, or for a deleted user */
export async function insertTask(
  sql: Sql,
  caller: Caller,
  body: TaskCreate,
  key: IdempotencyKey | undefined,
): Promise<TaskRow | undefined> {
  if (!needsPlanning(body)) return queries.createTask(sql, caller, body, key)
  const ids = body.parent_id ? [body.parent_id] : []
  const work = (draft: Draft) => rules.create(draft, body)
  return saveDraftOnce(sql, caller, { ids, work }, key)
}

/** Creates a task. @throws Problem VALIDATION_ERROR, or TOKEN_INVALID for a deleted user */
export async function createTask(sql: Sql, caller: Caller, body: TaskCreate): Promise<TaskRow> {
  const task = await insertTask(sql, caller, body, undefined)
  if (!task) throw refuseToken('revoked')
  return task
}

/** Reads a task that is not in the trash. @throws Problem TASK_NOT_FOUND, or TOKEN_INVALID for a deleted user */
export async function readTask(sql: Sql, caller: Caller, id: number): Promise<TaskRow> {
  const task = await queries.batchableRead.forOne(sql, { caller, id })
  if (task) return task
  await refuseDeleted(sql, caller)
  throw new Problem('TASK_NOT_FOUND')
}

/** @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED, VALIDATION_ERROR, or TOKEN_INVALID for a deleted user */
export async function changeTask(
  sql: Sql,
  caller: Caller,
  id: number,
  change: TaskUpdate,
  ifMatch: Revisions = null,
): Promise<TaskRow> {
  const written = needsPlanning(change)
    ? undefined
    : await queries.writeTask(sql, caller, id, { from: ['lists'], to: 'lists', change, ifMatch })
  return written ?? inDraft(sql, caller, id, (draft) => rules.update(draft, id, change, ifMatch))
}

/** @param completed null: toggles @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED, or TOKEN_INVALID for a deleted user */
export async function completeTask(
  sql: Sql,
  caller: Caller,
  id: number,
  completed: boolean | null,
  ifMatch: Revisions = null,
): Promise<TaskRow> {
  const write = { from: ['lists'], to: 'lists', change: { completed }, ifMatch } as const
  const written = await queries.writeTask(sql, caller, id, write)
  return written ?? inDraft(sql, caller, id, (draft) => rules.complete(draft, id, completed, ifMatch))
}

/** @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED, VALIDATION_ERROR, or TOKEN_INVALID for a deleted user */
export function moveTask(
  sql: Sql,
  caller: Caller,
  id: number,
  target: Move,
  ifMatch: Revisions,
): Promise<TaskRow> {
  return inDraft(sql, caller, id, (draft) => rules.move(draft, id, target, ifMatch))
}

/** @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED, or TOKEN_INVALID for a deleted user */
export async function restoreTask(
  sql: Sql,
  caller: Caller,
  id: number,
  ifMatch: Revisions = null,
): Promise<TaskRow> {
  const write = { from: ['trash'], to: 'lists', change: {}, ifMatch } as const
  const written = await queries.writeTask(sql, caller, id, write)
  return written ?? inDraft(sql, caller, id, (draft) => rules.restore(draft, id, ifMatch))
}

/** Moves a task to the trash. @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED, or TOKEN_INVALID for a deleted user */
export async function trashTask(
  sql: Sql,
  caller: Caller,
  id: number,
  ifMatch: Revisions = null,
): Promise<void> {
  const write = { from: ['lists'], to: 'trash', change: {}, ifMatch } as const
  const written = await queries.writeTask(sql, caller, id, write)
  if (!written) await inDraft(sql, caller, id, (draft) => rules.trash(draft, id, ifMatch))
}

/** Deletes a task for good, also from the trash. @throws as `trashTask` */
export async function endTask(sql: Sql, caller: Caller, id: number, ifMatch: Revisions): Promise<void> {
  const write = { from: ['lists', 'trash'], to: 'ended', change: {}, ifMatch } as const
  const written = await queries.writeTask(sql, caller, id, write)
  if (!written) await inDraft(sql, caller, id, (draft) => rules.end(draft, id, ifMatch))
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
