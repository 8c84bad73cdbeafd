/** What is done to tasks on a draft. A batch does several of these. */
import { type Revisions, revisionTag } from '../http/etag'
import { type FieldError, invalid, Problem } from '../http/problems'
import { addTask, type Draft, emptyTask, findSteps, findTask, reserve, writeTask } from './draft'
import { findNeighbours, findSpellings, hasList } from './draft-queries'
import { dayAt, momentsOf } from './due'
import { type FullRow, type Move, type TaskCreate, type TaskUpdate, toTask } from './model'
import { plan, plannedFrom, sortedTags, tagKey } from './planning'
import { idUpTo, MAX_POSITION, placeOf, positionBetween, positionOf } from './positions'
import { nextDay, ruleAfter } from './recurrence'

export function conflict(current: FullRow): Problem {
  const headers = { etag: revisionTag(current.revision) }
  return new Problem('PRECONDITION_FAILED', { current: toTask(current), headers })
}

/** @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
async function findStored(draft: Draft, id: number, ifMatch: Revisions): Promise<FullRow> {
  const task = await findTask(draft, id)
  if (!task) throw new Problem('TASK_NOT_FOUND')
  // what a batch has changed so far is not stored, and never will be
  if (ifMatch?.includes(task.revision) === false) throw conflict(draft.stored.get(id) ?? task)
  return task
}

/** Finds a task that is not in the trash. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
async function findListed(draft: Draft, id: number, ifMatch: Revisions): Promise<FullRow> {
  const task = await findTask(draft, id)
  if (!task || task.deleted_at !== null) throw new Problem('TASK_NOT_FOUND')
  return findStored(draft, id, ifMatch)
}

/** @throws Problem VALIDATION_ERROR */
export async function create(draft: Draft, body: TaskCreate): Promise<FullRow> {
  const planned = plan(emptyTask(), body, draft.now, await wrongPlace(draft, body, undefined))
  const tags = await spelled(draft, planned.tags)
  const task = await addTask(draft, { ...planned, tags })
  await markParent(draft, task)
  return task
}

/** @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED or VALIDATION_ERROR */
export async function update(
  draft: Draft,
  id: number,
  body: TaskUpdate,
  ifMatch: Revisions,
): Promise<FullRow> {
  const task = await findListed(draft, id, ifMatch)
  const planned = plan(task, body, draft.now, await wrongPlace(draft, body, task))
  const tags = body.tags ? await spelled(draft, planned.tags) : task.tags
  const written = writeTask(draft, task, { ...planned, tags, completed: task.completed })
  await markParent(draft, written)
  return setCompleted(draft, written, planned.completed)
}

/** @param completed null: toggles @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
export async function complete(
  draft: Draft,
  id: number,
  completed: boolean | null,
  ifMatch: Revisions,
): Promise<FullRow> {
  const task = await findListed(draft, id, ifMatch)
  return setCompleted(draft, writeTask(draft, task, {}), completed ?? !task.completed)
}

/** The one way in which a task becomes completed, or is taken back. */
async function setCompleted(draft: Draft, task: FullRow, completed: boolean): Promise<FullRow> {
  if (task.completed === completed) return task
  const next_id = completed ? await makeSuccessor(draft, task) : await trashSuccessor(draft, task)
  const changed = { ...task, completed, completed_at: completed ? draft.now : null, next_id }
  draft.tasks.set(task.id, changed)
  return changed
}

/** Makes the task that follows a repeating one, with copies of its steps. @returns its id */
async function makeSuccessor(draft: Draft, task: FullRow): Promise<number | null> {
  const { next_id, repeat, due_date } = task
  if (next_id !== null || repeat === null || due_date === null) return next_id
  const rest = ruleAfter(repeat)
  const day = rest && dayAfter(draft, { ...task, repeat, due_date })
  if (!rest || !day) return null
  const change = { completed: false, due_date: day, repeat: rest }
  // the rule ends with the last moment that can be written
  if (!momentsOf({ ...task, ...change }, draft.now)) return null
  const steps = (await findSteps(draft, task.id)).filter(({ deleted_at }) => deleted_at === null)
  await reserve(draft, 1 + steps.length)
  const successor = await addTask(draft, plan(plannedFrom(task), change, draft.now))
  for (const step of steps.sort((a, b) => byBytes(placeOf(a), placeOf(b)))) {
    const copy = plan(plannedFrom(step), { completed: false, reminders: step.reminders }, draft.now)
    await addTask(draft, { ...copy, parent_id: successor.id })
  }
  if (steps.length > 0) draft.tasks.set(successor.id, { ...successor, has_steps: true })
  return successor.id
}

/** The next day of the rule that is not in the past. */
function dayAfter(
  draft: Draft,
  { repeat, repeat_from, due_date, time_zone }: RepeatingTask,
): string | undefined {
  const today = dayAt(draft.now, time_zone)
  if (repeat_from === 'completion') return nextDay(repeat, today, today)
  const yesterday = Temporal.PlainDate.from(today).subtract({ days: 1 }).toString()
  return nextDay(repeat, due_date, due_date > yesterday ? due_date : yesterday)
}
type RepeatingTask = FullRow & { repeat: string; due_date: string }

/** A successor that nobody has changed goes to the trash. @returns the successor that stays */
async function trashSuccessor(draft: Draft, { next_id }: FullRow): Promise<number | null> {
  const successor = next_id === null ? undefined : await findTask(draft, next_id)
  if (!successor || successor.deleted_at !== null) return next_id
  const steps = await findSteps(draft, successor.id)
  const areNew = [successor, ...steps].every(
    ({ created_at, updated_at }) => created_at === successor.created_at && updated_at === created_at,
  )
  if (!areNew) return next_id
  await trash(draft, successor.id, null)
  return null
}

/** Moves a task to the trash, and its steps with it. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
export async function trash(draft: Draft, id: number, ifMatch: Revisions): Promise<null> {
  const task = await findListed(draft, id, ifMatch)
  for (const step of await findSteps(draft, id)) {
    if (step.deleted_at === null) {
      writeTask(draft, step, { deleted_at: draft.now, deleted_with_parent: true })
    }
  }
  writeTask(draft, task, { deleted_at: draft.now })
  return null
}

/**
 * Takes a task out of the trash, with the steps that went there with it. A task that is not there is no error: the first
 * answer may have been lost.
 *
 * @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED
 */
export async function restore(draft: Draft, id: number, ifMatch: Revisions): Promise<FullRow> {
  const task = await findStored(draft, id, ifMatch)
  if (task.deleted_at === null) return task
  for (const step of await findSteps(draft, id)) {
    if (step.deleted_with_parent) writeTask(draft, step, BACK)
  }
  const parent = task.parent_id === null ? undefined : await findTask(draft, task.parent_id)
  const hasParent = parent !== undefined && parent.deleted_at === null
  return writeTask(draft, task, { ...BACK, parent_id: hasParent ? task.parent_id : null })
}
const BACK = { deleted_at: null, deleted_with_parent: false }

/** Deletes a task and its steps for good, also from the trash. @throws Problem TASK_NOT_FOUND or PRECONDITION_FAILED */
export async function end(draft: Draft, id: number, ifMatch: Revisions): Promise<null> {
  const task = await findStored(draft, id, ifMatch)
  for (const each of [...(await findSteps(draft, id)), task]) {
    // the database clears the content
    writeTask(draft, each, { ended: true, deleted_at: draft.now })
  }
  return null
}

/** @throws Problem TASK_NOT_FOUND, PRECONDITION_FAILED or VALIDATION_ERROR */
export async function move(draft: Draft, id: number, target: Move, ifMatch: Revisions): Promise<FullRow> {
  const task = await findListed(draft, id, ifMatch)
  const [low, high] = await findGap(draft, id, target)
  const position = positionBetween(low, high)
  if (position.length > MAX_POSITION) {
    throw invalid({
      in: 'body',
      pointer: '',
      detail: 'leads to a place that is full: move its neighbour first',
    })
  }
  return writeTask(draft, task, { position })
}

/** @returns the positions between which the target is */
async function findGap(draft: Draft, id: number, target: Move): Promise<[low: string | null, high: string]> {
  if ('to' in target) {
    const { previous, next, newest } = await neighboursOf(draft, id, target.to === 'first' ? '' : '~')
    return target.to === 'first'
      ? [null, next ?? endBehind(null, newest)]
      : [previous, endBehind(previous, newest)]
  }
  const pointer = 'after' in target ? 'after' : 'before'
  const neighbour = 'after' in target ? target.after : target.before
  const task = neighbour === id ? undefined : await findTask(draft, neighbour)
  if (!task || task.deleted_at !== null) {
    throw invalid({ in: 'body', pointer: `/${pointer}`, detail: 'must be another task of the user' })
  }
  const place = placeOf(task)
  const { previous, next, newest } = await neighboursOf(draft, id, place)
  return pointer === 'after' ? [place, next ?? endBehind(place, newest)] : [previous, place]
}

/** @returns a position behind the last task, and before those to come */
function endBehind(last: string | null, newest: number): string {
  // the newest task may be gone, and another one may still be behind its place
  return positionOf(Math.max(newest, last === null ? 0 : idUpTo(last)) + 1)
}

/** @returns what is next to a place, as it will be with what the draft writes, and the highest id */
async function neighboursOf(draft: Draft, id: number, place: string) {
  const last = idUpTo(place)
  const at = { place, idUpTo: last, isTaken: positionOf(last) === place }
  const found = await findNeighbours(draft.sql, draft.owner, at, [id, ...draft.written])
  const own = [...draft.written].flatMap((each) => draft.tasks.get(each) ?? [])
  const places = own.filter((each) => each.id !== id && !each.ended).map(placeOf)
  for (const position of [found.previous_position, found.next_position]) if (position) places.push(position)
  for (const each of [found.previous_id, found.next_id]) if (each !== null) places.push(positionOf(each))
  places.sort(byBytes)
  return {
    previous: places.findLast((each) => each < place) ?? null,
    next: places.find((each) => each > place),
    newest: Math.max(found.newest ?? 0, ...draft.tasks.keys()),
  }
}

function byBytes(one: string, other: string): number {
  return one < other ? -1 : 1
}

/** @returns what is wrong with the list and the parent that a request names */
async function wrongPlace(
  draft: Draft,
  { list_id, parent_id }: TaskUpdate,
  task: FullRow | undefined,
): Promise<FieldError[]> {
  const faults: FieldError[] = []
  const add = (field: string, detail: string) => faults.push({ in: 'body', pointer: `/${field}`, detail })
  if (list_id && !(await hasList(draft.sql, draft.owner, list_id)))
    add('list_id', 'must be a list of the user')
  if (!parent_id) return faults
  const parent = await findTask(draft, parent_id)
  const isFit = parent && parent.deleted_at === null && parent.parent_id === null && parent.id !== task?.id
  if (!isFit) add('parent_id', 'must be another task of the user that is not a step itself')
  else if (task && (await findSteps(draft, task.id)).length > 0) {
    add('parent_id', 'cannot be set, because the task has steps itself, perhaps in the trash')
  }
  return faults
}

/** Deletions look for steps only at a task that has this mark. */
async function markParent(draft: Draft, { parent_id }: FullRow): Promise<void> {
  const parent = parent_id === null ? undefined : await findTask(draft, parent_id)
  if (!parent || parent.has_steps) return
  // its client sees no change, so it has no new revision
  draft.tasks.set(parent.id, { ...parent, has_steps: true })
  draft.written.add(parent.id)
}

/** @returns the names in alphabetical order, each as it was first spelled */
async function spelled(draft: Draft, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const spellings = new Map(names.map((name) => [tagKey(name), name]))
  const own = [...draft.written].flatMap((id) => draft.tasks.get(id)?.tags ?? [])
  const stored = await findSpellings(draft.sql, draft.owner, names, [...draft.written])
  for (const name of [...own, ...stored]) {
    const key = tagKey(name)
    if (spellings.has(key)) spellings.set(key, name)
  }
  return sortedTags([...spellings.values()])
}
