/** Waiting in tests, by the real clock and by one that is moved. */
import { jest } from 'bun:test'

type Check = () => boolean | Promise<boolean>

/** Looks again and again, by the real clock, until it is true. */
export async function until(isTrue: Check): Promise<void> {
  while (!(await isTrue())) await new Promise((done) => setTimeout(done, 5))
}

/** Lets everything go on that waits for no timer, also while timers are fake. */
export async function turns(count = 50): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((done) => setImmediate(done))
}

/**
 * Lets time pass at once, from one fake timer to the next, whenever no request is under way, until it is true.
 * The caller has made the timers fake.
 */
export async function hurryUntil(isTrue: () => boolean, isUnderWay: () => boolean): Promise<void> {
  while (!isTrue()) {
    await turns(1)
    if (!isTrue() && !isUnderWay() && jest.getTimerCount() > 0) jest.advanceTimersToNextTimer()
  }
}

/** Makes a call with fake timers, and lets time pass at once until the call has its answer. */
export async function hurry<T>(call: () => Promise<T>, isUnderWay: () => boolean): Promise<T> {
  jest.useFakeTimers()
  let isOver = false
  const answer = call().finally(() => {
    isOver = true
  })
  answer.catch(() => {})
  await hurryUntil(() => isOver, isUnderWay)
  jest.useRealTimers()
  return answer
}
