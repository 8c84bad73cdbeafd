/** What `bun src/main.ts <command>` can do besides serving. */

import { dbmate, migrate } from '../database/migrations'
import { FolderInUse } from '../embedded/lock'
import { runningUrl, startEmbedded } from '../embedded/server'
import type { DatabaseSettings, Settings } from '../settings'
import { urlOf } from '../system/listening'

/** `db new <name>`, `db up`, `db down`, `db status`: the schema's changes. */
export async function db([action, name]: readonly string[], settings: () => DatabaseSettings): Promise<void> {
  if (action === 'new' && name !== undefined) return dbmate(['new', name])
  if (action !== 'up' && action !== 'down' && action !== 'status') {
    throw new Error('Usage: db new <name> | db up | db down | db status')
  }
  await withDatabase(settings(), (url) =>
    action === 'status' ? dbmate(['status'], url) : migrate(url, action),
  )
}

/** The configured database, the embedded one that a Taskwell is running, or the embedded one started for this. */
async function withDatabase(
  { databaseUrl, dataDir }: DatabaseSettings,
  use: (url: string) => Promise<void>,
): Promise<void> {
  if (databaseUrl !== undefined) return use(databaseUrl)
  const embedded = await startEmbedded(dataDir).catch((error) => {
    const url = runningUrl(dataDir)
    if (error instanceof FolderInUse && url !== undefined) return { url, stop: async () => {} }
    throw error
  })
  try {
    await use(embedded.url)
  } finally {
    await embedded.stop()
  }
}

/** For a container's health check, which has no other program to ask with. */
export async function health({ host, port }: Settings): Promise<void> {
  const response = await fetch(`${urlOf(host, port)}/health`, { signal: AbortSignal.timeout(2000) })
  if (!response.ok) throw new Error(`/health answered ${response.status}`)
}
