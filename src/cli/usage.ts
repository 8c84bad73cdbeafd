/** What is wrong with the arguments that were typed. */

import { PROGRAM } from './program'

/** The program was called in a wrong way. */
export class UsageError extends Error {
  /** @param program of which to ask for help */
  constructor(fault: string, program = PROGRAM) {
    super(`${fault}\nHelp: ${program} --help`)
  }
}

/** @returns the candidate that is most like the word, if less than half of it would have to change */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const [first] = candidates
    .map((candidate) => ({ candidate, changes: distance(word, candidate) }))
    .filter(({ candidate, changes }) => changes < candidate.length / 2)
    .toSorted((a, b) => a.changes - b.changes)
  return first?.candidate
}

/** How many letters to add, leave out or replace. https://en.wikipedia.org/wiki/Levenshtein_distance */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const letter of from) {
    const next = [(row[0] ?? 0) + 1]
    for (const [i, other] of [...to].entries()) {
      const [left = 0, above = 0, diagonal = 0] = [next[i], row[i + 1], row[i]]
      next.push(Math.min(left + 1, above + 1, diagonal + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return row[to.length] ?? 0
}
