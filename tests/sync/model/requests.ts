/** Requests of the games that change something. */
import type { Move, Task, TaskUpdate } from '../../../src/tasks/model'
import type { Answer, TestApp } from '../../support/app'

/** The fields of a task that the model knows; other tests check its times. */
export type Known = Omit<Task, 'created_at' | 'updated_at' | 'completed_at' | 'position'>

/** What is done to one task, alone or in a batch. */
export interface Act {
  op: 'create' | 'update' | 'complete' | 'delete' | 'end' | 'restore' | 'move'
  id: number
  /** The revisions that its If-Match names; null: any. */
  allowed: number[] | null
  fields: TaskUpdate
  /** Null: toggles. */
  completed: boolean | null
  to: Move
}

export function creation(fields: TaskUpdate): Act {
  return { op: 'create', id: 0, allowed: null, fields, completed: null, to: { to: 'last' } }
}

export interface ListAct {
  op: 'create' | 'rename' | 'delete' | 'move'
  id: number
  allowed: number[] | null
  name: string
  toTrash: boolean
  to: Move
}

export interface TagAct {
  name: string
  /** Null: the tag is taken from all tasks. */
  next: string | null
}

/** When it is sent again, it has the same bytes. */
export interface Write {
  as: string
  method: string
  path: string
  headers: Record<string, string>
  body?: unknown
  does: { task: Act } | { batch: Act[] } | { list: ListAct } | { tag: TagAct }
}

/** Where a device finds things, and who it is. */
export interface Addresses {
  as: string
  base: string
  lists: string
  tags: string
}

export const send = ({ call }: TestApp, { as, method, path, headers, body }: Write): Promise<Answer> =>
  call(method, path, { as, headers, ...(body !== undefined && { body }) })

const ROUTES: Record<Exclude<Act['op'], 'create'>, [method: string, suffix: string]> = {
  update: ['PATCH', ''],
  complete: ['PATCH', '/complete'],
  delete: ['DELETE', ''],
  end: ['DELETE', '?permanent=true'],
  restore: ['POST', '/restore'],
  move: ['POST', '/move'],
}

export function taskWrite({ as, base }: Addresses, act: Act, headers: Record<string, string>): Write {
  const does = { task: act }
  if (act.op === 'create') return { as, method: 'POST', path: base, headers, body: act.fields, does }
  const [method, suffix] = ROUTES[act.op]
  const body = {
    update: act.fields,
    complete: act.completed === null ? undefined : { completed: act.completed },
    move: act.to,
  }[act.op as string]
  return { as, method, path: `${base}/${act.id}${suffix}`, headers, body, does }
}

export function batchWrite({ as, base }: Addresses, batch: Act[], headers: Record<string, string>): Write {
  const body = { operations: batch.map(operationOf) }
  return { as, method: 'POST', path: `${base}/batch`, headers, body, does: { batch } }
}

function operationOf({ op, id, allowed, fields, completed, to }: Act): object {
  if (op === 'create') return { op, body: fields }
  const [revision] = allowed ?? []
  const target = { op, id, ...(revision !== undefined && { if_match: revision }) }
  if (op === 'update') return { ...target, body: fields }
  if (op === 'complete') return { ...target, ...(completed === false && { completed }) }
  return op === 'move' ? { ...target, ...to } : target
}

export function listWrite({ as, lists }: Addresses, list: ListAct, headers: Record<string, string>): Write {
  const { op, id, name, toTrash, to } = list
  const does = { list }
  const path = `${lists}/${id}`
  switch (op) {
    case 'create':
      return { as, method: 'POST', path: lists, headers, body: { name }, does }
    case 'rename':
      return { as, method: 'PATCH', path, headers, body: { name }, does }
    case 'move':
      return { as, method: 'POST', path: `${path}/move`, headers, body: to, does }
    case 'delete':
      return { as, method: 'DELETE', path: `${path}${toTrash ? '?tasks=trash' : ''}`, headers, does }
  }
}

export function tagWrite({ as, tags }: Addresses, tag: TagAct): Write {
  const path = `${tags}/${encodeURIComponent(tag.name)}`
  const does = { tag }
  if (tag.next === null) return { as, method: 'DELETE', path, headers: {}, does }
  return { as, method: 'PATCH', path, headers: {}, body: { name: tag.next }, does }
}
