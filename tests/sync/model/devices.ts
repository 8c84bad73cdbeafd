/** The devices of a game: what they have, and the requests that they make of commands. */
import type { Change } from '../../../src/sync/model'
import type { Move, Task, TaskUpdate } from '../../../src/tasks/model'
import type { ActCommand, Fields, Place, WriteCommand } from './commands'
import {
  type Act,
  type Addresses,
  batchWrite,
  type ListAct,
  listWrite,
  tagWrite,
  taskWrite,
  type Write,
} from './requests'
import { dayOf, type Model, textOf } from './server'

export interface Device extends Addresses {
  tasks: Map<number, Task>
  cursor: { text: string; revision: number; begun: number } | undefined
  /** The last answer to each list, with the state of the server at that time. */
  answers: Map<string, { tag: string; state: string; items: object[] }>
}

export function device(as: string, base: string): Device {
  const of = (name: string) => base.replace(/[^/]*$/, name)
  const addresses = { as, base, lists: of('lists'), tags: of('tags') }
  return { ...addresses, tasks: new Map(), cursor: undefined, answers: new Map() }
}

export function take(tasks: Map<number, Task>, changes: Change[]): void {
  for (const change of changes) {
    if ('deleted' in change) tasks.delete(change.id)
    else tasks.set(change.id, change)
  }
}

const UNKNOWN = 2 ** 40
export const nth = <T>(items: readonly T[], n: number): T | undefined => items[n % items.length]
/** The id that a command names: one that fits, or with 7 any that there ever was. */
export function idOf(fit: readonly number[], ever: readonly number[], n: number): number {
  return nth(n === 7 ? ever : fit, n) ?? UNKNOWN
}

/** Makes requests of commands, each with a title or name of its own. */
export class Writer {
  private titles = 0

  readonly model: Model
  constructor(model: Model) {
    this.model = model
  }

  writeOf(command: WriteCommand, device: Device): Write {
    switch (command.do) {
      case 'act': {
        const act = this.actOf(command.act, device)
        return taskWrite(
          device,
          act,
          act.op === 'create' ? keyHeader(command) : this.ifMatch(command.act, act),
        )
      }
      case 'batch': {
        const acts = command.acts.map((each) => this.inBatch(each, device))
        return batchWrite(device, acts, keyHeader(command))
      }
      case 'act on list': {
        const list = this.listActOf(command)
        const headers = command.op === 'create' ? keyHeader(command) : this.ifMatch(command, list)
        return listWrite(device, list, headers)
      }
      case 'act on tag':
        return tagWrite(device, command)
    }
  }

  private actOf({ op, task, match, completed, fields, place }: ActCommand, { tasks }: Device): Act {
    const { ids } = this.model
    const live = this.model.idsIn('live')
    const fit = { restore: this.model.idsIn('trash'), end: ids }[op as string] ?? live
    const id = idOf(fit, ids, task)
    const current = this.model.rows.get(id)?.task.revision ?? 1
    const seen = tasks.get(id)?.revision ?? 1
    return {
      op: op === 'set' ? 'complete' : op,
      id,
      allowed: op === 'create' ? null : allowedBy(match, current, seen),
      fields: op === 'create' || op === 'update' ? this.fieldsOf(fields) : {},
      completed: op === 'set' ? completed : null,
      to: toMove(place, live, ids),
    }
  }
  /** A batch ends nothing, toggles nothing and names one revision. */
  private inBatch(command: ActCommand, device: Device): Act {
    const act = this.actOf(command, device)
    const op = act.op === 'end' ? 'delete' : act.op
    return { ...act, op, completed: act.completed ?? true, allowed: act.allowed?.slice(0, 1) ?? null }
  }
  private listActOf(command: WriteCommand & { do: 'act on list' }): ListAct {
    const { op, list, match, toTrash, place } = command
    const { listIds } = this.model
    const live = this.model.lists.map((each) => each.id)
    const id = idOf(live, listIds, list)
    const current = this.model.lists.find((each) => each.id === id)?.revision ?? 1
    const allowed = allowedBy(match, current, 1)
    return { op, id, allowed, name: this.newTitle(), toTrash, to: toMove(place, live, listIds) }
  }
  private newTitle(): string {
    return `title ${this.titles++}`
  }
  private fieldsOf({ tags, list, parent, due, completed }: Fields): TaskUpdate & { title: string } {
    return {
      title: this.newTitle(),
      ...(tags && { tags }),
      ...(list !== undefined && { list_id: list === null ? null : this.listOf(list) }),
      ...(parent !== undefined && { parent_id: parent === null ? null : this.parentOf(parent) }),
      ...(due !== undefined && dueFields(due)),
      ...(completed !== undefined && { completed }),
    }
  }
  private listOf(n: number): number | null {
    const { lists, listIds } = this.model
    const ids = lists.map(({ id }) => id)
    return ids.length === 0 ? null : idOf(ids, listIds, n)
  }
  /** Mostly a task that can have steps. */
  private parentOf(n: number): number | null {
    const fit = this.model.in('live').filter(({ task }) => task.parent_id === null)
    const ids = fit.map(({ task }) => task.id)
    return ids.length === 0 ? null : idOf(ids, this.model.ids, n)
  }
  private ifMatch({ match }: Pick<ActCommand, 'match'>, { allowed }: Act | ListAct): Record<string, string> {
    const [first] = allowed ?? []
    const listed = allowed?.map((revision) => `"${revision}"`).join(', ')
    const tags = { any: '*', weak: `W/"${first}"` }[match as string] ?? listed
    return tags === undefined ? {} : { 'if-match': tags }
  }
}

function keyHeader({ key }: { key?: number | undefined }): Record<string, string> {
  return key === undefined ? {} : { 'idempotency-key': `key-${key}` }
}

function allowedBy(match: ActCommand['match'], current: number, seen: number): number[] | null {
  return {
    none: null,
    any: null,
    current: [current],
    seen: [seen],
    list: [seen, current],
    // weak, as after a proxy that compresses
    weak: [current],
  }[match]
}

function toMove({ where, neighbour }: Place, fit: readonly number[], ever: readonly number[]): Move {
  const id = idOf(fit, ever, neighbour)
  return where === 'before' ? { before: id } : where === 'after' ? { after: id } : { to: where }
}

/** A list that games begin with. */
export const HOME: ListAct = {
  op: 'create',
  id: 0,
  allowed: null,
  name: 'Home',
  toTrash: false,
  to: { to: 'last' },
}
/** A task that games begin with. */
export const REPEATING = {
  title: 'repeats',
  tags: ['Home'],
  ...dueFields({ days: 1, every: 1, count: undefined, from: 'due' }),
}

function dueFields(due: NonNullable<Fields['due']>): TaskUpdate {
  if (due === 'no day') return { due_date: null }
  if (due === 'no rule') return { repeat: null }
  if (due === 'only a rule') return { repeat: 'FREQ=DAILY;INTERVAL=1' }
  const { days, every, count, from } = due
  const rule = `FREQ=DAILY;INTERVAL=${every}`
  return {
    due_date: textOf(dayOf(new Date().toISOString()) + days),
    repeat: count === undefined ? rule : `${rule};COUNT=${count}`,
    repeat_from: from,
  }
}
