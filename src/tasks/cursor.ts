/** Where a page ended. Opaque to clients, and of use only to the list that gave it. */
import { createHash } from 'node:crypto'
import { invalid } from '../http/problems'

/** The last task of a page. */
export interface Position {
  id: number
  title: string
}

/** What a cursor is bound to: whose list, through which filter, in which order. */
export interface List {
  owner: string
  completed: boolean | null
  sort: 'created' | 'title'
  order: 'asc' | 'desc'
}

const DIGEST_LENGTH = 16

/**
 * The digest is no secret: a cursor opens nothing that its sender could not read anyway. It tells a cursor of another
 * list, or one that was cut or changed on its way.
 */
function seal({ owner, completed, sort, order }: List, position: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([owner, completed, sort, order, position]))
    .digest('base64url')
  return digest.slice(0, DIGEST_LENGTH) + Buffer.from(position).toString('base64url')
}

/** @returns text that is safe in a URL */
export function encodeCursor(list: List, { id, title }: Position): string {
  // the title itself, where it is the order: the task may have another one by the time of the next page
  return seal(list, JSON.stringify(list.sort === 'title' ? [id, title] : [id, '']))
}

/** @throws Problem VALIDATION_ERROR for a cursor that this list did not give */
export function decodeCursor(list: List, cursor: string): Position {
  const position = Buffer.from(cursor.slice(DIGEST_LENGTH), 'base64url').toString()
  if (seal(list, position) !== cursor) {
    throw invalid({ in: 'query', pointer: 'cursor', detail: 'must be a cursor of this list' })
  }
  const [id, title] = JSON.parse(position) as [number, string]
  return { id, title }
}
