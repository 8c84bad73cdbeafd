/** The signals that ask a process to stop. */

/** Signals within this time count as one, in milliseconds. */
const SAME_SIGNAL = 500

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Waits for the first signal. A second one ends the process at once, unless it follows within half a second: Ctrl-C
 * reaches a whole group of processes, and `bun run` passes on a signal that we have already received.
 *
 * @param isPatient ignores all further signals
 * @returns the signal's name
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
