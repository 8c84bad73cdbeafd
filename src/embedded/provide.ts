/** The configured database, or the embedded one. */
import type { Logger } from 'pino'
import { migrate } from '../database/migrations'
import type { DatabaseSettings } from '../settings'
import { startEmbedded } from './server'

export interface ProvidedDatabase {
  url: string
  stop(): Promise<void>
}

/**
 * Starts the embedded database if no other is configured, and migrates it. A configured one is neither
 * migrated nor waited for.
 */
export async function provideDatabase(
  { databaseUrl, dataDir }: DatabaseSettings,
  log: Logger,
): Promise<ProvidedDatabase> {
  if (databaseUrl !== undefined) return { url: databaseUrl, stop: async () => {} }
  const embedded = await startEmbedded(dataDir, () => {
    log.error('the embedded PostgreSQL has ended, and is started again')
  })
  try {
    await migrate(embedded.url, 'up', true)
    return embedded
  } catch (error) {
    await embedded.stop()
    throw error
  }
}
