/** The cursors of changes: each says how far a client has followed them. */
import { t } from 'elysia'
import { Count, decodeCursor, encodeCursor } from '../http/cursor'
import { invalid } from '../http/problems'

export interface Position {
  /** The client has every change up to this revision. */
  revision: number
  /** The owner's revision when the client began: tasks that were deleted before then, the client never had. */
  begun: number
}

const EncodedPosition = t.Tuple([Count, Count])

const listOf = (owner: string) => [owner, 'changes']

/** @returns text that is safe in a URL */
export function encodePosition(owner: string, { revision, begun }: Position): string {
  return encodeCursor(listOf(owner), [revision, begun])
}

/**
 * @param place where the cursor was sent: in `since` or in `Last-Event-ID`
 * @throws Problem VALIDATION_ERROR for a broken cursor, or one of another owner
 */
export function decodePosition(owner: string, cursor: string, place: 'query' | 'header'): Position {
  const position = decodeCursor(EncodedPosition, listOf(owner), cursor)
  if (position === undefined) {
    const pointer = place === 'query' ? 'since' : 'Last-Event-ID'
    throw invalid({ in: place, pointer, detail: 'must be a cursor of these changes' })
  }
  const [revision, begun] = position
  return { revision, begun }
}
