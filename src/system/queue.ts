/** One at a time for each key, in the order in which they came to this process. */

export interface Queue {
  /** Waits for those of the same key that came before. @returns a function that lets the next one begin */
  enter(key: string): Promise<() => void>
}

export function createQueue(): Queue {
  const last = new Map<string, Promise<void>>()
  return {
    async enter(key) {
      const before = last.get(key)
      const { promise: left, resolve: leave } = Promise.withResolvers<void>()
      const mine = Promise.resolve(before).then(() => left)
      last.set(key, mine)
      void mine.then(() => last.get(key) === mine && last.delete(key))
      await before
      return leave
    },
  }
}
