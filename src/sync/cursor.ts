/** How far a client has followed a user's changes. */
import { invalid } from '../http/problems'
import { seal, unseal } from '../http/seal'

export interface Position {
  /** Everything up to this revision has arrived. */
  revision: number
  /** Where the client began: whatever had ended by then, it never knew. */
  begun: number
}

const placeOf = (owner: string) => [owner, 'changes']

/** @returns text that is safe in a URL */
export function encodePosition(owner: string, { revision, begun }: Position): string {
  return seal(placeOf(owner), JSON.stringify([revision, begun]))
}

/**
 * @param pointer the parameter or header that it was sent in
 * @throws Problem VALIDATION_ERROR for a cursor that was not given to this owner
 */
export function decodePosition(owner: string, cursor: string, place: 'query' | 'header'): Position {
  const text = unseal(placeOf(owner), cursor)
  if (text === undefined) {
    const pointer = place === 'query' ? 'since' : 'Last-Event-ID'
    throw invalid({ in: place, pointer, detail: 'must be a cursor of these changes' })
  }
  const [revision, begun] = JSON.parse(text) as [number, number]
  return { revision, begun }
}
