/**
 * A draft: what a request has read of a user's tasks, and what it will write.
 *
 * For requests that have to read before they write, or that write several tasks. All is written in one statement, and only if
 * the user's revision is still what it was when the draft began; otherwise the request is worked out again from a new draft. So
 * no lock is held while anything waits, and what was read is still true.
 */
import type { Caller } from '../auth/caller'
import { isRefused } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import type { IdempotencyKey } from '../http/idempotency'
import { createQueue } from '../system/queue'
import { readTasks, reserveIds, writeDraft } from './draft-queries'
import { DEFAULTS } from './fields'
import { type FullRow, type MaybeRow, type TaskRow, withDefaults, withoutDefaults } from './model'
import type { Planned } from './planning'

export interface Draft {
  sql: Sql
  owner: string
  /** The database's clock when the draft began, RFC 3339. */
  now: string
  /** The owner's revision when the draft began, and with what is written. */
  expected: number
  revision: number
  /** The tasks that were read or made, as they will be. */
  tasks: Map<number, FullRow>
  /** The tasks that were read, as they are. */
  stored: Map<number, FullRow>
  /** The ids that were asked for, with their steps. */
  known: Set<number>
  /** The tasks to be written. */
  written: Set<number>
  /** Ids for new tasks. */
  reserved: number[]
}

interface Saving<Answer> {
  /** The tasks that are needed, as far as they are known before. */
  ids: readonly number[]
  /** Works out the answer, which is not undefined, and what is written. It may run several times. */
  work(draft: Draft): Promise<Answer>
}

/**
 * Works on a draft and writes it.
 *
 * @throws Problem TOKEN_INVALID for a deleted user, and what the work throws
 */
export async function saveDraft<Answer>(sql: Sql, caller: Caller, saving: Saving<Answer>): Promise<Answer> {
  const saved = await saveDraftOnce(sql, caller, saving, undefined)
  if (saved === undefined) throw new Error('A key was used that was not sent')
  return saved
}

/**
 * The same for a request that may come again: its answer is stored with the idempotency key.
 *
 * @returns undefined if the key has been used
 */
export async function saveDraftOnce<Answer>(
  sql: Sql,
  caller: Caller,
  { ids, work }: Saving<Answer>,
  idempotency: IdempotencyKey | undefined,
): Promise<Answer | undefined> {
  return untilWritten(caller.id, async () => {
    const draft = await openDraft(sql, caller, ids)
    const answer = await work(draft)
    // with a key, the answer is kept even if nothing was to be changed
    if (draft.written.size === 0 && !idempotency) return answer
    const { expected, revision, written, tasks } = draft
    const rows = [...written].flatMap((id) => tasks.get(id) ?? []).map(withoutDefaults)
    const stored = idempotency ? JSON.stringify(answer) : null
    const result = await writeDraft(sql, caller, { expected, revision, rows, idempotency, answer: stored })
    if (result === 'written') return answer
    return result === 'key used' ? undefined : result
  })
}

const writers = createQueue()

/**
 * Repeats a write that depends on what it has read, until nothing has come between the two.
 *
 * @param attempt reads and writes; gives `stale` if the owner's revision has changed in between
 * @throws what the attempt throws
 */
export function untilWritten<Answer>(
  owner: string,
  attempt: () => Promise<Answer | 'stale'>,
): Promise<Answer> {
  return inTurn(owner, async () => {
    for (;;) {
      const answer = await attempt()
      if (answer !== 'stale') return answer
    }
  })
}

/** Runs one work of a user after the other: of several at once only one could be written. */
async function inTurn<T>(owner: string, work: () => Promise<T>): Promise<T> {
  const leave = await writers.enter(owner)
  try {
    return await work()
  } finally {
    leave()
  }
}

async function openDraft(sql: Sql, caller: Caller, ids: readonly number[]): Promise<Draft> {
  const rows = await readTasks(sql, caller.id, ids)
  const { now = null, owner_revision: revision = 0, refuse_tokens_until = null } = rows[0] ?? {}
  if (now === null) throw new Error('The owner has no state')
  if (isRefused(caller, refuse_tokens_until)) throw refuseToken('revoked')
  const known = {
    tasks: new Map<number, FullRow>(),
    stored: new Map<number, FullRow>(),
    known: new Set<number>(),
    written: new Set<number>(),
  }
  const draft = { sql, owner: caller.id, now, expected: revision, revision, reserved: [], ...known }
  take(draft, ids, rows)
  return draft
}

/** Keeps what was read, but for what the draft has changed already. */
function take(draft: Draft, ids: readonly number[], rows: readonly MaybeRow[]): void {
  for (const id of ids) draft.known.add(id)
  for (const row of rows) {
    if (!isRow(row)) continue
    const task = withDefaults(row)
    draft.stored.set(row.id, task)
    if (!draft.tasks.has(row.id)) draft.tasks.set(row.id, task)
  }
}

function isRow(row: MaybeRow): row is TaskRow {
  return row.id !== null
}

/** Reads one more task, with its steps. */
async function know(draft: Draft, id: number): Promise<void> {
  if (!draft.known.has(id)) take(draft, [id], await readTasks(draft.sql, draft.owner, [id]))
}

/** @returns a task, also from the trash; undefined if the owner has none of this id */
export async function findTask(draft: Draft, id: number): Promise<FullRow | undefined> {
  await know(draft, id)
  const task = draft.tasks.get(id)
  return task?.ended ? undefined : task
}

/** @returns the steps of a task in any order, also those in the trash */
export async function findSteps(draft: Draft, id: number): Promise<FullRow[]> {
  await know(draft, id)
  return [...draft.tasks.values()].filter(({ parent_id, ended }) => parent_id === id && !ended)
}

/** Changes a task. @returns the task as it will be */
export function writeTask(draft: Draft, task: FullRow, change: Partial<FullRow>): FullRow {
  draft.revision++
  const written = { ...task, ...change, updated_at: draft.now, revision: draft.revision }
  draft.tasks.set(task.id, written)
  draft.written.add(task.id)
  return written
}

/** Reserves ids for as many new tasks. */
export async function reserve(draft: Draft, count: number): Promise<void> {
  const missing = count - draft.reserved.length
  if (missing > 0) draft.reserved.push(...(await reserveIds(draft.sql, missing)))
}

/** Adds a task. @returns the task as it will be */
export async function addTask(draft: Draft, planned: Planned): Promise<FullRow> {
  await reserve(draft, 1)
  const id = draft.reserved.shift()
  if (id === undefined) throw new Error('No id was reserved')
  draft.known.add(id)
  const completed_at = planned.completed ? draft.now : null
  const row = { ...NEW, ...planned, completed_at, id, user_id: draft.owner, created_at: draft.now }
  return writeTask(draft, row, {})
}

/** @returns the row of a task that has nothing but defaults */
export function emptyRow() {
  return { ...emptyTask(), ...NEW }
}

/** What a new task has, beside what its client can give. */
const NEW = {
  position: null,
  next_id: null,
  has_steps: false,
  deleted_at: null,
  deleted_with_parent: false,
  ended: false,
  folded: null,
  updated_at: '',
  revision: 0,
}

/** @returns the fields of a new task that has nothing but defaults */
export function emptyTask(): Planned {
  return { ...DEFAULTS, title: '', due_at: null, overdue_at: null, remind_at: null }
}
