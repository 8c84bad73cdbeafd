/** Positions: texts that sort, byte by byte, as the user has arranged tasks or lists. */
import { generateKeyBetween } from 'fractional-indexing'

const HEAD = 'p'
/** As many digits as the largest safe integer has. */
const DIGITS = 16

/** The longest position that the database takes. */
export const MAX_POSITION = 1000

/**
 * The position of what was never moved: ids count up, so what is new comes last. The SQL function `position_of` makes the
 * same text.
 */
export function positionOf(id: number): string {
  return HEAD + String(id).padStart(DIGITS, '0')
}

/** @returns where a task or a list is */
export function placeOf({ position, id }: { position: string | null; id: number }): string {
  return position ?? positionOf(id)
}

/**
 * @param low null: there is nothing before
 * @returns a position between the two
 */
export function positionBetween(low: string | null, high: string): string {
  return generateKeyBetween(low, high)
}

/** @returns the highest id whose own position is not after this one; 0 if there is none */
export function idUpTo(position: string): number {
  if (position < HEAD) return 0
  const digits = position.startsWith(HEAD) ? position.slice(1, 1 + DIGITS) : ''
  const decimal = /^\d*/.exec(digits)?.[0] ?? ''
  // behind a letter, which sorts after all digits, every digit is lower
  return Math.min(Number(decimal.padEnd(DIGITS, '9')), Number.MAX_SAFE_INTEGER)
}
