/** The cursors of lists: each holds the place where a page ended. */
import { t } from 'elysia'
import { Count, decodeCursor, encodeCursor } from '../http/cursor'
import { invalid } from '../http/problems'
import { text } from '../http/schemas'
import type { Filter, Order, Task } from './model'

/** The last task of a page. */
export interface Position {
  /** Its id, or its revision if the list is ordered by deletion. */
  number: number
  title: string
}

/** The list that a cursor belongs to. */
export interface List {
  owner: string
  filter: Filter
  order: Order | 'deleted desc'
}

const EncodedPosition = t.Tuple([Count, text('cursor-title', { min: 0, max: 200, description: '' })])

/** A filter that is not in use is left out, so that old cursors stay valid when a filter is added. */
function partsOf({ owner, filter: { completed, ...others }, order }: List): unknown[] {
  const used: unknown[] = []
  for (const [name, value] of Object.entries(others)) if (value !== null) used.push(name, value)
  return [owner, completed, ...used, ...order.split(' ')]
}

/** @returns text that is safe in a URL */
export function encodePosition(list: List, last: Pick<Task, 'id' | 'title' | 'revision'>): string {
  const number = list.order === 'deleted desc' ? last.revision : last.id
  // the title as it was on this page: the task may be renamed before the next page is read
  return encodeCursor(partsOf(list), [number, list.order.startsWith('title') ? last.title : ''])
}

/** @throws Problem VALIDATION_ERROR for a broken cursor, or one of another list */
export function decodePosition(list: List, cursor: string): Position {
  const position = decodeCursor(EncodedPosition, partsOf(list), cursor)
  if (position === undefined) {
    throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
  }
  const [number, title] = position
  return { number, title }
}
