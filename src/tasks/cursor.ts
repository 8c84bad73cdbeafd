/** Where a page ended. Opaque to clients, and of use only to the list that gave it. */
import { t } from 'elysia'
import { invalid } from '../http/problems'
import { Count, seal, unseal } from '../http/seal'
import { text } from '../http/validation'
import type { Task } from './model'

/** The last task of a page. */
export interface Position {
  /** Its id, or its revision where that is the order. */
  number: number
  title: string
}

/** What a cursor is bound to: whose list, through which filter, in which order. */
export interface Order {
  owner: string
  completed: boolean | null
  sort: 'created' | 'title' | 'deleted'
  order: 'asc' | 'desc'
}

const SealedPosition = t.Tuple([Count, text('sealed-title', { min: 0, max: 200, description: '' })])

const placeOf = ({ owner, completed, sort, order }: Order) => [owner, completed, sort, order]

/** @returns text that is safe in a URL */
export function encodeCursor(order: Order, last: Pick<Task, 'id' | 'title' | 'revision'>): string {
  const number = order.sort === 'deleted' ? last.revision : last.id
  // the title itself, where it is the order: the task may have another one by the time of the next page
  return seal(placeOf(order), [number, order.sort === 'title' ? last.title : ''])
}

/** @throws Problem VALIDATION_ERROR for a cursor that this list did not give */
export function decodeCursor(order: Order, cursor: string): Position {
  const position = unseal(SealedPosition, placeOf(order), cursor)
  if (position === undefined) {
    throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
  }
  const [number, title] = position
  return { number, title }
}
