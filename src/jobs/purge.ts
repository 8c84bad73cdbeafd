/** Deletes expired rows in the background. */
import type { Logger } from 'pino'
import { purgeRefreshTokens, purgeSessions } from '../accounts/purge'
import type { Sql } from '../database/sql'
import { purgeTold } from '../reminders/purge'
import type { Settings } from '../settings'
import { purgeTickets } from '../sync/purge'
import { purgeIdempotencyKeys, purgeTombstones } from '../tasks/purge'
import { purgeTokens } from '../tokens/purge'

/** In milliseconds: an hour. */
const INTERVAL = 3_600_000

/**
 * Purges now and every hour, batch after batch. Several processes may do so at once.
 *
 * @returns a function that stops it after the present batch
 */
export function startPurging(sql: Sql, log: Logger, { trashDays }: Pick<Settings, 'trashDays'>): () => void {
  const batches = [
    () => purgeSessions(sql),
    () => purgeRefreshTokens(sql),
    () => purgeIdempotencyKeys(sql),
    () => purgeTombstones(sql, trashDays),
    () => purgeTickets(sql),
    () => purgeTold(sql),
    () => purgeTokens(sql),
  ]
  let isStopped = false
  async function purge(): Promise<void> {
    try {
      for (const purgeBatch of batches) while (!isStopped && (await purgeBatch()));
    } catch (err) {
      if (!isStopped) log.warn({ err }, 'expired rows could not be purged; the next try is in an hour')
    }
  }
  void purge()
  const timer = setInterval(purge, INTERVAL)
  return () => {
    isStopped = true
    clearInterval(timer)
  }
}
