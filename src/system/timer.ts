/** Waiting no longer than a given time. */

/** @returns what the promise gives, or what `late` gives or throws if the promise takes longer than so many milliseconds */
export function within<T, Late>(ms: number, promise: Promise<T>, late: () => Late): Promise<T | Late> {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  return Promise.race([promise, over.then(late)]).finally(() => clearTimeout(timer))
}
