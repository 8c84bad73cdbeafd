/** How many requests each key has made in its present window, in memory. */
import type { Used } from './policy'

/** Begins with the first request of a key. */
interface Window {
  consumed: number
  /** In milliseconds since 1970. */
  endsAt: number
}

/**
 * Counts without a promise. If there are too many keys, it forgets those that were unused for the longest time,
 * but none that has reached its limit: an attack on one account from many addresses must not make it forget the account.
 */
export class Windows {
  // not one map in order of use: after many deletions at its start, the first entry of a map is slow to find
  #recent = new Map<string, Window>()
  #older = new Map<string, Window>()
  readonly limit: number
  readonly #duration: number
  readonly #maxRecent: number

  /** @param duration in milliseconds */
  constructor(limit: number, duration: number, maxKeys: number) {
    this.limit = limit
    this.#duration = duration
    this.#maxRecent = maxKeys / 2
  }

  /** @param points 0: counts nothing */
  count(key: string, points: number): Used {
    const now = Date.now()
    const known = this.#recent.get(key) ?? this.#older.get(key)
    const window = known && known.endsAt > now ? known : { consumed: 0, endsAt: now + this.#duration }
    if (points > 0) {
      window.consumed += points
      this.#keep(key, window, now)
    }
    return { consumed: window.consumed, endsIn: window.consumed > 0 ? window.endsAt - now : 0 }
  }

  #keep(key: string, window: Window, now: number): void {
    if (this.#recent.size >= this.#maxRecent) this.#forgetOlder(now)
    this.#recent.set(key, window)
  }

  #forgetOlder(now: number): void {
    const kept = new Map<string, Window>()
    for (const [key, window] of this.#older) {
      const isSpent = window.consumed >= this.limit && window.endsAt > now
      if (isSpent && !this.#recent.has(key) && kept.size < this.#maxRecent / 2) kept.set(key, window)
    }
    this.#older = this.#recent
    this.#recent = kept
  }
}
