/** From settings to a listening server, and back to nothing. */
import type { Logger } from 'pino'
import { createApp } from './app'
import { openDatabase } from './database/connection'
import { startEmbedded } from './database/embedded'
import { migrate } from './database/migrations'
import { startPurging } from './purge'
import type { Settings } from './settings'
import { createLive } from './sync/live'

export interface Server {
  /** Where it listens, for people. */
  url: string
  /** Answers what was accepted, for ten seconds at most, and ends all that was started. */
  stop(): Promise<void>
}

/** In milliseconds. */
const DRAIN_DEADLINE = 10_000

/**
 * Starts the embedded database where no other is configured, brings that one up to date, and listens. A configured
 * database is neither migrated nor waited for: migrating is a step of its own, and `/ready` tells the state.
 *
 * @throws Error for a port that is taken, or an embedded database that does not start
 */
export async function serve(settings: Settings, log: Logger): Promise<Server> {
  const database = await provideDatabase(settings)
  const { databasePoolSize: poolSize, databasePrepare: prepare } = settings
  const sql = openDatabase({ url: database.url, poolSize, prepare })
  const live = createLive(sql, log)
  const app = createApp({ settings, sql, log, live })
  const endDatabase = async () => {
    await sql.end({ timeout: 5 })
    await database.stop()
  }
  try {
    // `reusePort` would let a second server take half of the first one's connections, silently.
    // Bun's own 413 has no body, so its limit lies far above ours.
    app.listen({
      hostname: settings.host,
      port: settings.port,
      reusePort: false,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    })
  } catch (cause) {
    await endDatabase()
    const reason = cause instanceof Error ? cause.message : cause
    throw new Error(`HOST and PORT: cannot listen on ${settings.host}, port ${settings.port}: ${reason}`, {
      cause,
    })
  }
  const { server } = app
  const stopPurging = startPurging(sql, log, settings)
  return {
    url: urlOf(settings.host, server?.port ?? settings.port),
    async stop() {
      stopPurging()
      live.close()
      await Promise.race([server?.stop(), Bun.sleep(DRAIN_DEADLINE)])
      await server?.stop(true)
      await endDatabase()
    },
  }
}

/** Where a server that listens on this host can be reached from this machine. */
export function urlOf(host: string, port: number): string {
  const isEvery = host === '0.0.0.0' || host === '::'
  const name = isEvery ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

interface ProvidedDatabase {
  url: string
  stop(): Promise<void>
}

async function provideDatabase({ databaseUrl, dataDir }: Settings): Promise<ProvidedDatabase> {
  if (databaseUrl !== undefined) return { url: databaseUrl, stop: async () => {} }
  const embedded = await startEmbedded(dataDir)
  try {
    await migrate(embedded.url, 'up', true)
    return embedded
  } catch (error) {
    await embedded.stop()
    throw error
  }
}
