/** Where a page ended. Opaque to clients, and of use only to the list that gave it. */
import { t } from 'elysia'
import { Count, seal, unseal } from '../http/cursor'
import { invalid } from '../http/problems'
import { text } from '../http/validation'
import type { Order } from './list-queries'
import type { Filter, Task } from './model'

/** The last task of a page. */
export interface Position {
  /** Its id, or its revision if that is the order. */
  number: number
  title: string
}

/** What a cursor is bound to: whose list, through which filter, in which order. */
export interface Place {
  owner: string
  filter: Filter
  order: Order | 'deleted desc'
}

const SealedPosition = t.Tuple([Count, text('sealed-title', { min: 0, max: 200, description: '' })])

/** A filter that is added later, and not used, leaves cursors as they were. */
function placeOf({ owner, filter: { completed, ...others }, order }: Place): unknown[] {
  const used: unknown[] = []
  for (const [name, value] of Object.entries(others)) if (value !== null) used.push(name, value)
  return [owner, completed, ...used, ...order.split(' ')]
}

/** @returns text that is safe in a URL */
export function encodeCursor(place: Place, last: Pick<Task, 'id' | 'title' | 'revision'>): string {
  const number = place.order === 'deleted desc' ? last.revision : last.id
  // the title itself, if it is the order: the task may have another one by the time of the next page
  return seal(placeOf(place), [number, place.order.startsWith('title') ? last.title : ''])
}

/** @throws Problem VALIDATION_ERROR for a cursor that this list did not give */
export function decodeCursor(place: Place, cursor: string): Position {
  const position = unseal(SealedPosition, placeOf(place), cursor)
  if (position === undefined) {
    throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
  }
  const [number, title] = position
  return { number, title }
}
