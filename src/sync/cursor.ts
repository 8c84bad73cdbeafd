/** How far a client has followed a user's changes. */
import { t } from 'elysia'
import { Count, seal, unseal } from '../http/cursor'
import { invalid } from '../http/problems'

export interface Position {
  /** Everything up to this revision has arrived. */
  revision: number
  /** Where the client began: whatever had ended by then, it never knew. */
  begun: number
}

const SealedPosition = t.Tuple([Count, Count])

const placeOf = (owner: string) => [owner, 'changes']

/** @returns text that is safe in a URL */
export function encodePosition(owner: string, { revision, begun }: Position): string {
  return seal(placeOf(owner), [revision, begun])
}

/**
 * @param pointer the parameter or header that it was sent in
 * @throws Problem VALIDATION_ERROR for a cursor that was not given to this owner
 */
export function decodePosition(owner: string, cursor: string, place: 'query' | 'header'): Position {
  const position = unseal(SealedPosition, placeOf(owner), cursor)
  if (position === undefined) {
    const pointer = place === 'query' ? 'since' : 'Last-Event-ID'
    throw invalid({ in: place, pointer, detail: 'must be a cursor of these changes' })
  }
  const [revision, begun] = position
  return { revision, begun }
}
