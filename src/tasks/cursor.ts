/** The cursors of lists: each holds the place where a page ended. */
import { Type } from '@sinclair/typebox'
import { t } from 'elysia'
import { Count, decodeCursor, encodeCursor } from '../http/cursor'
import { invalid } from '../http/problems'
import { text } from '../http/schemas'
import type { Filter, Order } from './filters'
import type { TaskRow } from './model'
import { positionOf } from './positions'

/** The last task of a page. */
export interface Position {
  /** Its id, or its revision if the list is ordered by deletion. */
  number: number
  /** What the list is sorted by: the title, the position, or a number that stands for it; empty in lists by id. */
  key: string | number
}

/** The list that a cursor belongs to. */
export interface List {
  owner: string
  filter: Filter
  order: Order | 'deleted desc'
}

/** A listed task. */
export interface ListedRow extends TaskRow {
  /** Only in lists that are sorted by such a number. */
  sort_key?: number | null
}

type Last = Pick<ListedRow, 'id' | 'title' | 'revision' | 'position' | 'sort_key'>

// TypeBox's own integer: Elysia trap 11 (docs/elysia.md)
const Key = t.Union([text('cursor-key', { min: 0, max: 1000, description: '' }), Type.Integer()])
const EncodedPosition = t.Tuple([Count, Key])

/** A filter that is not in use is left out, so that old cursors stay valid when a filter is added. */
function partsOf({ owner, filter: { completed, ...others }, order }: List): unknown[] {
  return [owner, completed, ...Object.entries(others).flat(), ...order.split(' ')]
}

/** @returns text that is safe in a URL */
export function encodePosition(list: List, last: Last): string {
  const number = list.order === 'deleted desc' ? last.revision : last.id
  return encodeCursor(partsOf(list), [number, keyOf(list.order, last)])
}

/** The key as it was on this page: the task may change before the next page is read. */
function keyOf(order: List['order'], { id, title, position, sort_key }: Last): Position['key'] {
  if (order.startsWith('title')) return title
  if (order.startsWith('position')) return position ?? positionOf(id)
  return sort_key ?? ''
}

/** @throws Problem VALIDATION_ERROR for a broken cursor, or one of another list */
export function decodePosition(list: List, cursor: string): Position {
  const position = decodeCursor(EncodedPosition, partsOf(list), cursor)
  if (position === undefined) {
    throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
  }
  const [number, key] = position
  return { number, key }
}
