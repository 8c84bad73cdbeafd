/** Shows what waits to be sent on top of what the server has told. */
import { type Shown, show, type Waiting } from './operations'
import type { Change, Task } from './schemas'
import type { TaskStore } from './sync-handle'
import { isLike } from './tasks'

/** What the server has answered about a task: the task, or that it has deleted the revision `deleted`. */
export type Told = { task: Task } | { id: number; deleted: number }

export interface Overlay {
  /** The store as the server has told it: what is written here is shown with what waits on top. */
  view: TaskStore
  /** Tells of changes that were written into `view`. */
  tell(changes: Change[]): void
  /** All changes up to this revision have been written into `view`. */
  reach(revision: number): void
  /** The newest revision that has been written. */
  readonly newest: number
  /** The task as the server has told it. */
  base(id: number): Task | undefined
  /** The task as the user sees it. */
  shown(id: number): Task | undefined
  /** Takes out of the store what an earlier synchronization has shown there, and may not have sent. */
  clean(): void
  /** Shows what waits now, after the server's answers to what waited. */
  show(waiting: readonly Waiting[], told?: readonly Told[]): void
}

/** What the server has told of a task that is shown otherwise. */
interface Entry {
  task: Task | undefined
  /**
   * - `deleted`: the server has answered a `delete`; the stream has not told of it yet.
   * - `twin`: this may be the task that a waiting `create` has made, whose answer was lost.
   */
  hidden?: 'deleted' | 'twin' | undefined
}

/** What the server has told of tasks that are shown otherwise. */
const bases = new WeakMap<Task, Task>()
const baseOf = (shown: Task | undefined) => shown && bases.get(shown)

/** @param store the app's @param owner the user's id, for new tasks */
export function createOverlay(
  store: TaskStore,
  owner: string,
  onChange: (changes: Change[]) => void,
): Overlay {
  const entries = new Map<number, Entry>()
  /** By the id of the task, in order. */
  let waiting: Groups = new Map()
  let creates: Waiting[] = []
  let newest = 0

  /** Whether it is shown as the server has told it. */
  const isPlain = (id: number) => !entries.has(id) && !waiting.has(id)
  function isTwin(task: Task): boolean {
    return creates.some(
      ({ operation, newest: before }) =>
        operation.op === 'create' && task.revision > before && isLike(task, operation.body),
    )
  }
  function mayBeTwin(id: number): boolean {
    const { task, hidden } = entryOf(id)
    return hidden === 'twin' || (!task && !waiting.has(id))
  }
  function shownOf(id: number, { task, hidden }: Entry): Task | undefined {
    const shown: Shown = hidden ? { task: undefined, trashed: task } : { task, trashed: undefined }
    return (waiting.get(id) ?? []).reduce((before, each) => show(before, each, owner), shown).task
  }
  function entryOf(id: number): Entry {
    // nothing waits for what has no entry, so the store has what the server has told
    return entries.get(id) ?? { task: id < 0 ? undefined : store.get(id) }
  }
  /** @returns whether the store has changed */
  function put(id: number, task: Task | undefined): boolean {
    if (JSON.stringify(store.get(id)) === JSON.stringify(task)) return false
    if (task) store.set(id, task)
    else store.delete(id)
    return true
  }
  /** Shows a task as it is to be seen now. */
  function refresh(id: number, entry: Entry): boolean {
    if (entry.hidden === 'twin' && entry.task && !isTwin(entry.task)) entry.hidden = undefined
    if (entry.hidden || waiting.has(id)) entries.set(id, entry)
    else entries.delete(id)
    const shown = shownOf(id, entry)
    if (shown && entry.task && shown !== entry.task) bases.set(shown, entry.task)
    return put(id, shown)
  }
  /** Takes what an answer says, unless the stream has told more already. */
  function take(told: Told): void {
    const id = idOf(told)
    const entry = entryOf(id)
    if ('task' in told) {
      const { revision } = told.task
      if (revision > newest && revision > (entry.task?.revision ?? 0)) entries.set(id, { task: told.task })
    } else if (entry.task && entry.task.revision <= told.deleted) {
      entries.set(id, { task: entry.task, hidden: 'deleted' })
    }
  }
  function toChange(id: number, revision: number): Change {
    return store.get(id) ?? { id, revision, deleted: true }
  }

  return {
    view: {
      get: (id) => entryOf(id).task,
      set(id, task) {
        if (isPlain(id) && (store.get(id) || !isTwin(task))) store.set(id, task)
        else refresh(id, { task, hidden: mayBeTwin(id) ? 'twin' : undefined })
      },
      delete(id) {
        if (isPlain(id)) store.delete(id)
        else refresh(id, { task: undefined })
      },
      keys() {
        const hidden = [...entries].filter(([id, { task }]) => task && !store.get(id)).map(([id]) => id)
        return [...store.keys()].filter((id) => id >= 0).concat(hidden)
      },
    },
    tell(changes) {
      const told = changes
        .filter(({ id }) => entries.get(id)?.hidden !== 'twin')
        .map((change) => (entries.has(change.id) ? toChange(change.id, change.revision) : change))
      if (told.length > 0) onChange(told)
    },
    reach(revision) {
      newest = Math.max(newest, revision)
    },
    get newest() {
      return newest
    },
    base: (id) => entryOf(id).task,
    shown: (id) => store.get(id),
    clean() {
      const left = [...store.keys()].filter((id) => id < 0 || baseOf(store.get(id)))
      for (const id of left) put(id, baseOf(store.get(id)))
      if (left.length > 0) onChange(left.map((id) => toChange(id, 0)))
    },
    show(list, told = []) {
      const next = groupById(list)
      const twins = [...entries].filter(([, { hidden }]) => hidden === 'twin').map(([id]) => id)
      const ids = new Set([...changedIds(waiting, next), ...told.map(idOf), ...twins])
      const before = new Map([...ids].map((id) => [id, entryOf(id)]))
      for (const each of told) take(each)
      waiting = next
      creates = list.filter(({ operation }) => operation.op === 'create')
      const changed = [...ids].filter((id) => refresh(id, entries.get(id) ?? { task: before.get(id)?.task }))
      const changes = changed.map((id) => toChange(id, before.get(id)?.task?.revision ?? 0))
      if (changes.length > 0) onChange(changes)
    },
  }
}

type Groups = Map<number, readonly Waiting[]>

function groupById(list: readonly Waiting[]): Groups {
  const groups = new Map<number, Waiting[]>()
  for (const each of list) {
    const group = groups.get(each.id)
    if (group) group.push(each)
    else groups.set(each.id, [each])
  }
  return groups
}

/** @returns the tasks for which something else waits than before */
function changedIds(before: Groups, after: Groups): number[] {
  const isSame = (id: number) => {
    const [one = [], other = []] = [before.get(id), after.get(id)]
    return one.length === other.length && one.every((each, n) => each === other[n])
  }
  return [...new Set([...before.keys(), ...after.keys()])].filter((id) => !isSame(id))
}

const idOf = (told: Told) => ('task' in told ? told.task.id : told.id)
