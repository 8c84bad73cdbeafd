/** Where a list is put among the user's other lists. */
import { invalid, type Problem } from '../http/problems'
import type { Move } from '../tasks/model'
import { idUpTo, MAX_POSITION, placeOf, positionBetween, positionOf } from '../tasks/positions'

interface Arranged {
  id: number
  position: string | null
}

/**
 * @param lists all lists of the user
 * @param id the list that is moved
 * @returns its new position
 * @throws Problem VALIDATION_ERROR
 */
export function positionAt(lists: readonly Arranged[], id: number, target: Move): string {
  const others = lists.filter((each) => each.id !== id).sort(byPlace)
  const at = indexOf(others, target)
  const places = others.map(placeOf)
  const low = places[at - 1] ?? null
  const position = positionBetween(low, places[at] ?? endOf(lists, low))
  if (position.length > MAX_POSITION) {
    throw wrong('', 'leads to a place that is full: move its neighbour first')
  }
  return position
}

/** @returns before which of the lists the target is */
function indexOf(lists: readonly Arranged[], target: Move): number {
  if ('to' in target) return target.to === 'first' ? 0 : lists.length
  const [pointer, neighbour, step] =
    'after' in target ? (['/after', target.after, 1] as const) : (['/before', target.before, 0] as const)
  const found = lists.findIndex((each) => each.id === neighbour)
  if (found === -1) throw wrong(pointer, 'must be another list of the user')
  return found + step
}

/** @returns a position behind all lists, and before those to come */
function endOf(lists: readonly Arranged[], last: string | null): string {
  // the newest list may be gone, and another one may still be behind its place
  return positionOf(Math.max(...lists.map(({ id }) => id), last === null ? 0 : idUpTo(last)) + 1)
}

function byPlace(one: Arranged, other: Arranged): number {
  return placeOf(one) < placeOf(other) ? -1 : 1
}

function wrong(pointer: string, detail: string): Problem {
  return invalid({ in: 'body', pointer, detail })
}
