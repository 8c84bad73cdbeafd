/** Tells the reminders that have fallen due. */
import type { Logger } from 'pino'
import type { Sql } from '../database/sql'
import { tellDueReminders } from '../reminders/tell'

/** In milliseconds. After a start, clients need some time to be back. */
const FIRST_AFTER = 5000
const INTERVAL = 5000

/**
 * Tells them every few seconds. Several processes may do so at once.
 *
 * @returns a function that stops it after the present batch
 */
export function startReminding(
  sql: Sql,
  log: Logger,
  { firstAfter = FIRST_AFTER, interval = INTERVAL } = {},
): () => void {
  let isStopped = false
  /** Whether the last try failed. */
  let isFailing = false
  async function remind(): Promise<void> {
    try {
      while (!isStopped && (await tellDueReminders(sql)));
      if (isFailing) log.info('reminders can be told again')
      isFailing = false
    } catch (err) {
      if (!isFailing && !isStopped) log.warn({ err }, 'reminders cannot be told; it is tried again and again')
      isFailing = true
    }
    if (!isStopped) timer = setTimeout(remind, interval)
  }
  let timer = setTimeout(remind, firstAfter)
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}
