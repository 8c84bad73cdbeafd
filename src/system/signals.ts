/** The signals that ask a process to stop. */

/** In milliseconds. */
const SAME_SIGNAL = 500

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Waits for the first signal that asks to stop. Whoever asks again does not want to wait; but Ctrl-C reaches a whole
 * group of processes, and `bun run` passes on what we have already got.
 *
 * @param isPatient however often it is asked, it stops as for the first time
 */
export function nextSignal({ isPatient = false } = {}): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let askedAt: number | undefined
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      askedAt ??= performance.now()
      if (!isPatient && performance.now() - askedAt > SAME_SIGNAL) process.exit(1)
      resolve(signal)
    })
  }
  return promise
}
