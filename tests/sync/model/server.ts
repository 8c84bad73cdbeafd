/** A simple model of the server: one user's tasks, tags and lists, and the answers to requests. */
import type { Move, TaskUpdate } from '../../../src/tasks/model'
import type { Act, Known, ListAct, TagAct, Write } from './requests'

export interface Row {
  task: Known
  state: 'live' | 'trash' | 'ended'
  /** It went to the trash with its parent. */
  wentWithParent: boolean
  /** Since its deletion. */
  hours: number
  /** In which request it was made, and changed for the last time. */
  made: number
  changed: number
}

export interface KnownList {
  id: number
  name: string
  revision: number
}

/** The answer that the server has to give. */
export interface Expected {
  status: number
  code?: string
  pointer?: string
  current?: { revision: number }
  body?: object
  revision?: number
  /** Whether it is the answer to an earlier request; undefined: the request has no key. */
  isReplay?: boolean
}

/** What the server may choose: the model takes it from there. */
export interface Chosen {
  /** Ids of new tasks, ascending. */
  ids: number[]
  /** Of changed tasks: where the contract does not say in which order some of them change. */
  revisions: Map<number, number>
  /** The day of the server's clock, counted from 1970-01-01. */
  today: number
  /** The answer's body. */
  body: unknown
}

/** A request that is refused. */
class Refusal extends Error {
  readonly expected: Expected
  constructor(status: number, code: string, more: Partial<Expected> = {}) {
    super(code)
    this.expected = { status, code, ...more }
  }
}

const invalid = (pointer: string) => new Refusal(422, 'VALIDATION_ERROR', { pointer })

export const tagKey = (name: string): string => name.toLowerCase()

const EMPTY = {
  description: null,
  completed: false,
  priority: null,
  due_date: null,
  due_time: null,
  time_zone: null,
  due_at: null,
  reminders: [],
  repeat: null,
  repeat_from: 'due' as const,
  tags: [],
  list_id: null,
  parent_id: null,
  next_id: null,
}

/** What a batch takes back if one of its operations is refused. */
interface State {
  revision: number
  rows: Map<number, Row>
  /** All tasks but the ended ones, as the user has arranged them. */
  order: number[]
}

export class Model {
  revision = 0
  purged = 0
  rows = new Map<number, Row>()
  order: number[] = []
  lists: KnownList[] = []
  /** Every task and every list that was ever made. */
  readonly ids: number[] = []
  readonly listIds: number[] = []
  private readonly keys = new Map<string, { said: string; answer: object; hours: number }>()
  private request = 0
  private chosen: Chosen = { ids: [], revisions: new Map(), today: 0, body: undefined }

  readonly owner: string
  constructor(owner: string) {
    this.owner = owner
  }

  in(state: Row['state']): Row[] {
    return [...this.rows.values()].filter((row) => row.state === state)
  }
  idsIn(state: Row['state']): number[] {
    return this.in(state).map(({ task }) => task.id)
  }
  /** @returns living tasks in the order of the user */
  arranged(): Known[] {
    return this.order.flatMap((id) => {
      const row = this.rows.get(id)
      return row?.state === 'live' ? [row.task] : []
    })
  }
  /** @returns the steps of a task, also those in the trash */
  stepsOf(id: number): Row[] {
    return [...this.rows.values()].filter(({ task }) => task.parent_id === id)
  }
  /** @returns how a tag is spelled; undefined if no task has it */
  spelling(name: string): string | undefined {
    const names = [...this.rows.values()].flatMap(({ task }) => task.tags)
    return names.find((each) => tagKey(each) === tagKey(name))
  }

  /** Applies a request. */
  write(write: Write, chosen: Chosen): Expected {
    this.request++
    this.chosen = chosen
    try {
      return this.onlyOnce(write)
    } catch (error) {
      if (error instanceof Refusal) return error.expected
      throw error
    }
  }
  private onlyOnce(write: Write): Expected {
    const key = write.headers['idempotency-key']
    if (key === undefined) return this.run(write)
    const said = JSON.stringify([write.path, write.body])
    const first = this.keys.get(key)
    if (first && first.said !== said) throw new Refusal(422, 'IDEMPOTENCY_KEY_REUSED')
    const status = 'batch' in write.does ? 200 : 201
    if (first) return { status, body: first.answer, isReplay: true }
    const expected = this.run(write)
    this.keys.set(key, { said, answer: Object(this.chosen.body), hours: 0 })
    return { ...expected, isReplay: false }
  }
  private run({ as, does }: Write): Expected {
    const isOwner = as === this.owner
    if ('task' in does) {
      if (!isOwner) throw new Refusal(404, 'TASK_NOT_FOUND')
      return answered(this.act(does.task), does.task.op === 'create' ? 201 : 200)
    }
    if ('batch' in does) return { status: 200, body: { results: this.batch(does.batch) } }
    if ('list' in does) return isOwner ? this.writeList(does.list) : refuse('LIST_NOT_FOUND')
    return isOwner ? this.writeTag(does.tag) : refuse('TAG_NOT_FOUND')
  }

  /** Acts on a task. @returns the task; null if it was deleted */
  private act(act: Act): Known | null {
    if (act.op === 'create') return this.create(act.fields).task
    const row = this.find(act)
    switch (act.op) {
      case 'update':
        return this.update(row, act.fields)
      case 'complete':
        this.change(row, {})
        return this.setCompleted(row, act.completed ?? !row.task.completed)
      case 'delete':
        return this.trash(row)
      case 'end':
        return this.end(row)
      case 'restore':
        return this.restore(row)
      case 'move':
        return this.move(row, act.to)
    }
  }
  private batch(acts: Act[]): (Known | null)[] {
    const before: State = structuredClone({ revision: this.revision, rows: this.rows, order: this.order })
    return acts.map((act, n) => {
      try {
        return this.act(act)
      } catch (error) {
        Object.assign(this, before)
        throw error instanceof Refusal ? within(error, act, `/operations/${n}`, before.rows) : error
      }
    })
  }
  private find({ op, id, allowed }: Act): Row {
    const row = this.rows.get(id)
    const isInReach = row?.state === 'live' || (row?.state === 'trash' && (op === 'restore' || op === 'end'))
    if (!isInReach) throw new Refusal(404, 'TASK_NOT_FOUND')
    if (allowed?.includes(row.task.revision) === false) {
      throw new Refusal(412, 'PRECONDITION_FAILED', { current: row.task })
    }
    return row
  }
  private change(row: Row, change: Partial<Known>): void {
    row.task = { ...row.task, ...change, revision: ++this.revision }
    row.changed = this.request
  }
  /** Changes several tasks, in the order in which the server has changed them. */
  private changeAll(rows: Row[], change: (row: Row) => void): void {
    const first = this.revision + 1
    const revisionOf = ({ task }: Row) => this.chosen.revisions.get(task.id) ?? 0
    const own = rows.map(revisionOf).filter((each) => each >= first && each < first + rows.length)
    // a task that the same request changes again has a later one in the end
    const free = rows.map((_, n) => first + n).filter((each) => !own.includes(each))
    for (const row of rows) {
      change(row)
      const revision = revisionOf(row)
      row.task = { ...row.task, revision: own.includes(revision) ? revision : (free.pop() ?? 0) }
    }
  }

  private create(fields: TaskUpdate): Row {
    return this.add({ ...EMPTY, title: '', ...this.planned(undefined, fields) })
  }
  private add(task: Omit<Known, 'id' | 'user_id' | 'revision'>): Row {
    // a batch that is refused has made none, though some of its operations would have
    const id = this.chosen.ids.shift() ?? Number.MAX_SAFE_INTEGER - this.order.length
    const revision = ++this.revision
    const made = { made: this.request, changed: this.request }
    const known = { ...task, id, user_id: this.owner, revision }
    const row: Row = { task: known, state: 'live', wentWithParent: false, hours: 0, ...made }
    this.rows.set(id, row)
    this.order.push(id)
    return row
  }
  private update(row: Row, fields: TaskUpdate): Known {
    const { completed = row.task.completed, ...others } = this.planned(row.task, fields)
    this.change(row, others)
    return this.setCompleted(row, completed)
  }
  /** @returns the fields as they are stored */
  private planned(task: Known | undefined, fields: TaskUpdate): TaskUpdate {
    const { repeat = null, due_date = null } = { ...task, ...fields }
    const isCleared = fields.due_date === null && !fields.repeat
    if (repeat !== null && due_date === null && !isCleared) throw invalid('/repeat')
    const { tags, list_id, parent_id } = fields
    const keys = tags?.map(tagKey) ?? []
    const twice = keys.findIndex((key, n) => keys.indexOf(key) < n)
    if (twice !== -1) throw invalid(`/tags/${twice}`)
    if (list_id && !this.lists.some(({ id }) => id === list_id)) throw invalid('/list_id')
    if (parent_id && !this.canBeParent(parent_id, task)) throw invalid('/parent_id')
    return {
      ...fields,
      ...(isCleared && { repeat: null }),
      ...(tags && { tags: sorted(tags.map((name) => this.spelling(name) ?? name)) }),
    }
  }
  private canBeParent(id: number, step: Known | undefined): boolean {
    const parent = this.rows.get(id)
    if (parent?.state !== 'live' || parent.task.parent_id !== null || id === step?.id) return false
    return !step || this.stepsOf(step.id).length === 0
  }

  private setCompleted(row: Row, completed: boolean): Known {
    if (row.task.completed !== completed) {
      const next_id = completed ? this.succeed(row.task) : this.takeBack(row.task)
      row.task = { ...row.task, completed, next_id }
    }
    return row.task
  }
  /** Makes the successor of a task that is completed. */
  private succeed(task: Known): number | null {
    const { id, next_id, repeat, due_date, repeat_from } = task
    if (next_id !== null || repeat === null || due_date === null) return next_id
    const every = Number(/INTERVAL=(\d+)/.exec(repeat)?.[1])
    const [, rest, count] = /^(.*?)(?:;COUNT=(\d+))?$/.exec(repeat) ?? []
    if (count === '1') return null
    const { today } = this.chosen
    let day = dayOf(due_date) + every
    while (day < today) day += every
    if (repeat_from === 'completion') day = today + every
    const steps = this.order
      .flatMap((each) => this.rows.get(each) ?? [])
      .filter((row) => isLivingStep(row, id))
    const next = { completed: false, next_id: null }
    const left = count === undefined ? repeat : `${rest};COUNT=${Number(count) - 1}`
    const successor = this.add({ ...task, ...next, due_date: textOf(day), repeat: left }).task.id
    for (const step of steps) this.add({ ...step.task, ...next, parent_id: successor })
    return successor
  }
  /** A successor that nobody has changed goes to the trash. @returns the one that stays */
  private takeBack({ next_id }: Known): number | null {
    const successor = this.rows.get(next_id ?? 0)
    if (successor?.state !== 'live') return next_id
    const all = [successor, ...this.stepsOf(successor.task.id)]
    if (all.some(({ made, changed }) => made !== successor.made || changed !== made)) return next_id
    this.trash(successor)
    return null
  }
  private trash(row: Row): null {
    const steps = this.stepsOf(row.task.id).filter(({ state }) => state === 'live')
    this.changeAll(steps, (step) => {
      this.change(step, {})
      Object.assign(step, { state: 'trash', hours: 0, wentWithParent: true })
    })
    this.change(row, {})
    Object.assign(row, { state: 'trash', hours: 0 })
    return null
  }
  private restore(row: Row): Known {
    if (row.state === 'live') return row.task
    const back = { state: 'live', wentWithParent: false }
    const steps = this.stepsOf(row.task.id).filter(({ wentWithParent }) => wentWithParent)
    this.changeAll(steps, (step) => {
      this.change(step, {})
      Object.assign(step, back)
    })
    const parent = this.rows.get(row.task.parent_id ?? 0)
    this.change(row, parent?.state === 'live' ? {} : { parent_id: null })
    Object.assign(row, back)
    return row.task
  }
  private end(row: Row): null {
    const endOne = (each: Row) => {
      this.change(each, { ...EMPTY, title: '' })
      Object.assign(each, { state: 'ended', hours: 0, wentWithParent: false })
      this.order = this.order.filter((id) => id !== each.task.id)
    }
    this.changeAll(this.stepsOf(row.task.id), endOne)
    endOne(row)
    return null
  }
  private move(row: Row, to: Move): Known {
    const neighbour = neighbourOf(to)
    const isGood = neighbour === undefined || this.rows.get(neighbour)?.state === 'live'
    if (!isGood || neighbour === row.task.id) throw invalid(pointerOf(to))
    this.order = moved(this.order, row.task.id, to)
    this.change(row, {})
    return row.task
  }

  private writeList({ op, id, allowed, name, toTrash, to }: ListAct): Expected {
    if (op === 'create') return this.createList(name)
    const list = this.lists.find((each) => each.id === id)
    if (!list) return refuse('LIST_NOT_FOUND')
    if (allowed?.includes(list.revision) === false) {
      throw new Refusal(412, 'PRECONDITION_FAILED', { current: { ...list } })
    }
    if (op === 'delete') return this.deleteList(id, toTrash)
    if (op === 'move') this.moveList(id, to)
    else list.name = name
    list.revision = ++this.revision
    return answered({ ...list, open_count: this.openIn(id) }, 200)
  }
  private createList(name: string): Expected {
    const id = Number(Object(this.chosen.body).id)
    const list = { id, name, revision: ++this.revision }
    this.lists.push(list)
    this.listIds.push(id)
    return answered({ ...list, color: null, archived: false, open_count: 0 }, 201)
  }
  private moveList(id: number, to: Move): void {
    const neighbour = neighbourOf(to)
    const ids = this.lists.map((each) => each.id)
    if (neighbour !== undefined && (neighbour === id || !ids.includes(neighbour)))
      throw invalid(pointerOf(to))
    this.lists = moved(ids, id, to).flatMap((each) => this.lists.filter((list) => list.id === each))
  }
  private deleteList(id: number, toTrash: boolean): Expected {
    const isIn = (row: Row | undefined) => row?.task.list_id === id
    const goesWithParent = ({ task, state }: Row) => {
      const parent = this.rows.get(task.parent_id ?? 0)
      return toTrash && state === 'live' && parent?.state === 'live' && isIn(parent)
    }
    const rows = [...this.rows.values()].filter((row) => isIn(row) || goesWithParent(row))
    const withParent = new Set(rows.filter(goesWithParent))
    for (const row of rows.sort((a, b) => a.task.id - b.task.id)) {
      this.change(row, isIn(row) ? { list_id: null } : {})
      if (withParent.has(row)) row.wentWithParent = true
      if (toTrash && row.state === 'live') Object.assign(row, { state: 'trash', hours: 0 })
    }
    this.revision++
    this.lists = this.lists.filter((list) => list.id !== id)
    return { status: 204 }
  }
  private openIn(id: number): number {
    return this.in('live').filter(({ task }) => task.list_id === id && !task.completed).length
  }
  /** @returns what the list of lists answers */
  allLists(): object[] {
    return this.lists.map((list) => ({ ...list, open_count: this.openIn(list.id) }))
  }

  private writeTag({ name, next }: TagAct): Expected {
    const old = this.spelling(name)
    if (old === undefined) return refuse('TAG_NOT_FOUND')
    const other = next === null || tagKey(next) === tagKey(name) ? undefined : this.spelling(next)
    const spelled = other ?? next
    const rows = [...this.rows.values()].filter(({ task }) => task.tags.includes(old))
    if (spelled === old) return { status: 200, body: { changed: 0 } }
    for (const row of rows.sort((a, b) => a.task.id - b.task.id)) {
      const others = row.task.tags.filter((each) => each !== old)
      this.change(row, { tags: sorted(spelled === null ? others : [...others, spelled]) })
    }
    return { status: 200, body: { changed: rows.length } }
  }
  /** @returns what the list of tags answers */
  allTags(): object[] {
    const tags = this.in('live').flatMap(({ task }) => task.tags)
    return sorted(tags).map((name) => ({ name, count: tags.filter((each) => each === name).length }))
  }

  /** Remembers the tasks that a request has made. */
  remember(ids: number[]): void {
    this.ids.push(...ids)
  }
  pass(hours: number, isPurging: boolean): void {
    for (const [key, stored] of this.keys) {
      stored.hours += hours
      if (stored.hours > 24) this.keys.delete(key)
    }
    for (const [id, row] of this.rows) {
      if (row.state === 'live') continue
      row.hours += hours
      if (!isPurging || row.hours <= 30 * 24) continue
      this.rows.delete(id)
      this.order = this.order.filter((each) => each !== id)
      this.purged = Math.max(this.purged, row.task.revision)
    }
  }
}

function answered<Body extends { revision: number }>(body: Body | null, status: number): Expected {
  return body ? { status, body, revision: body.revision } : { status: 204 }
}

function refuse(code: string): never {
  throw new Refusal(404, code)
}

/** The same refusal, which points into a batch. */
function within({ expected }: Refusal, { op, id }: Act, path: string, stored: Map<number, Row>): Refusal {
  const { status, code = '', pointer } = expected
  // nothing of the batch is done, so the task is as it was
  const current = expected.current && stored.get(id)?.task
  const inBody = op === 'create' || op === 'update' ? `${path}/body` : path
  const moved = pointer === undefined ? path : inBody + pointer
  return new Refusal(status, code, { pointer: moved, ...(current && { current }) })
}

const isLivingStep = ({ task, state }: Row, parent: number) => state === 'live' && task.parent_id === parent

/** Each name once, in alphabetical order. */
const sorted = (names: string[]): string[] => [...new Set(names)].sort((a, b) => a.localeCompare(b, 'en'))

const neighbourOf = (to: Move) => ('after' in to ? to.after : 'before' in to ? to.before : undefined)
const pointerOf = (to: Move) => `/${Object.keys(to)[0]}`

function moved(order: number[], id: number, to: Move): number[] {
  const others = order.filter((each) => each !== id)
  const neighbour = neighbourOf(to)
  const at =
    neighbour === undefined ? ('to' in to && to.to === 'last' ? others.length : 0) : others.indexOf(neighbour)
  return others.toSpliced('after' in to ? at + 1 : at, 0, id)
}

/** A day, counted from 1970-01-01. */
export const dayOf = (text: string): number => Date.parse(text.slice(0, 10)) / 86_400_000
export const textOf = (day: number): string => new Date(day * 86_400_000).toISOString().slice(0, 10)
