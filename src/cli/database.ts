/** The commands of the database. */
import { isUnavailable } from '../database/errors'
import { dbmate, migrate } from '../database/migrations'
import { FolderInUse } from '../embedded/lock'
import type { ProvidedDatabase } from '../embedded/provide'
import { runningUrl, startEmbedded } from '../embedded/server'
import type { DatabaseSettings } from '../settings'
import { toType } from './program'

/**
 * Applies all migrations, undoes the newest, or lists them.
 *
 * @throws Error if the database cannot be used, or a migration fails
 */
export async function runMigrations(
  action: 'up' | 'down' | 'status',
  settings: DatabaseSettings,
): Promise<void> {
  const database = await findDatabase(settings)
  try {
    await (action === 'status' ? dbmate(['status'], database.url) : migrate(database.url, action))
  } catch (error) {
    if (!(error instanceof Error && isUnavailable(error))) throw error
    throw new Error(`The database of DATABASE_URL cannot be used: ${error.message}`, { cause: error })
  } finally {
    await database.stop()
  }
}

/**
 * Prints the address of the database: for psql, or a program with windows.
 *
 * @throws Error if the embedded one does not run
 */
export function printUrl({ databaseUrl, dataDir }: DatabaseSettings): void {
  const url = databaseUrl ?? runningUrl(dataDir)
  if (url === undefined) {
    throw new Error(
      `No database is running in ${dataDir}. Start one with \`bun run dev\` or \`${toType('serve', 'start')}\`.`,
    )
  }
  process.stdout.write(`${url}\n`)
}

/**
 * The configured database, the embedded one that another process is running, or the embedded one, started for this
 * process; `stop` ends only the last.
 *
 * @param onLoss called when the one that was started here has ended by itself
 */
export async function findDatabase(
  { databaseUrl, dataDir }: DatabaseSettings,
  onLoss?: () => void,
): Promise<ProvidedDatabase> {
  const keep = async () => {}
  if (databaseUrl !== undefined) return { url: databaseUrl, stop: keep }
  return startEmbedded(dataDir, onLoss).catch((error) => {
    const url = runningUrl(dataDir)
    if (error instanceof FolderInUse && url !== undefined) return { url, stop: keep }
    throw error
  })
}
