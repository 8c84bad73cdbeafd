/** What `bun src/main.ts <command>` can do besides serving. */

import { dbmate, migrate } from '../database/migrations'
import { FolderInUse } from '../embedded/lock'
import type { ProvidedDatabase } from '../embedded/provide'
import { runningUrl, startEmbedded } from '../embedded/server'
import type { DatabaseSettings, Settings } from '../settings'
import { urlOf } from '../system/listening'

/** `db new <name>`, `db up`, `db down`, `db status`: the schema's changes; `db url`: where the database is. */
export async function db([action, name]: readonly string[], settings: () => DatabaseSettings): Promise<void> {
  if (action === 'new' && name !== undefined) return dbmate(['new', name])
  if (action === 'url') return printUrl(settings())
  if (action !== 'up' && action !== 'down' && action !== 'status') {
    throw new Error('Usage: db new <name> | db up | db down | db status | db url')
  }
  const database = await findDatabase(settings())
  try {
    await (action === 'status' ? dbmate(['status'], database.url) : migrate(database.url, action))
  } finally {
    await database.stop()
  }
}

/** For psql, or a program with windows. */
function printUrl({ databaseUrl, dataDir }: DatabaseSettings): void {
  const url = databaseUrl ?? runningUrl(dataDir)
  if (url === undefined) {
    throw new Error(
      `No database is running in ${dataDir}. Start one with \`bun run dev\` or \`bun run start\`.`,
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

/** For a container's health check, which has no other program to ask with. */
export async function health({ host, port }: Settings): Promise<void> {
  const response = await fetch(`${urlOf(host, port)}/health`, { signal: AbortSignal.timeout(2000) })
  if (!response.ok) throw new Error(`/health answered ${response.status}`)
}
