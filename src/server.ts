/** From settings to a listening server, and back to nothing. */
import type { Logger } from 'pino'
import { type App, createApp } from './app'
import { openDatabase } from './database/database'
import { startEmbedded } from './database/embedded'
import { migrate } from './database/migrations'
import { createLimits } from './http/limits'
import { createTraffic } from './http/traffic'
import { startPurging } from './purge'
import type { Settings } from './settings'
import { createLive } from './sync/live'
import { startTracing } from './tracing'

export interface Server {
  /** Where it listens, for people. */
  url: string
  /** Answers what was accepted, for ten seconds at most, and ends all that was started. */
  stop(): Promise<void>
}

/** In milliseconds, from the signal. */
const DRAIN_DEADLINE = 10_000

/** For how long it still listens once it is to stop: whoever keeps connections learns of it with an answer. */
const GRACE = 1000

/**
 * Starts the embedded database where no other is configured, brings that one up to date, and listens. A configured
 * database is neither migrated nor waited for: migrating is a step of its own, and `/ready` tells the state.
 *
 * @throws Error for a port that is taken, or an embedded database that does not start
 */
export async function serve(settings: Settings, log: Logger): Promise<Server> {
  const provided = await provideDatabase(settings, log)
  const metrics = await collectMetrics(settings)
  const tracing = settings.otelEndpoint
    ? await startTracing({
        otelEndpoint: settings.otelEndpoint,
        continueTraces: settings.trustedProxyHops > 0,
      })
    : undefined
  const database = openDatabase({
    url: provided.url,
    poolSize: settings.databasePoolSize,
    prepare: settings.databasePrepare,
    requestTimeout: settings.requestTimeoutMs,
    log,
    onStatement(statement) {
      metrics?.statement(statement)
      tracing?.statement(statement)
    },
  })
  const live = createLive(database.sql, log)
  const limits = createLimits(settings, { shared: await shareCounts(settings, log) })
  const traffic = createTraffic(settings.maxConnections)
  const app = createApp({ settings, database, log, live, limits, traffic, metrics, tracing: tracing?.plugin })
  const endAll = async () => {
    await Promise.all([database.end(), limits.close(), tracing?.stop()])
    await provided.stop()
  }
  try {
    listen(app, settings)
  } catch (cause) {
    await endAll()
    const reason = cause instanceof Error ? cause.message : cause
    throw new Error(`HOST and PORT: cannot listen on ${settings.host}, port ${settings.port}: ${reason}`, {
      cause,
    })
  }
  const { server } = app
  metrics?.watch({
    poolSize: settings.databasePoolSize,
    statements: database.running,
    streams: live.count,
    requests: () => server?.pendingRequests ?? 0,
  })
  const stopPurging = startPurging(database.sql, log, settings)
  return {
    url: urlOf(settings.host, server?.port ?? settings.port),
    async stop() {
      const deadline = Bun.sleep(DRAIN_DEADLINE)
      traffic.isStopping = true
      stopPurging()
      live.close()
      const idleFor = performance.now() - traffic.lastRequestAt
      // of connections that are kept alive, some may bring another request
      if (idleFor < settings.keepAliveSeconds * 1000) await Bun.sleep(GRACE)
      await Promise.race([server?.stop(), deadline])
      await server?.stop(true)
      await endAll()
    },
  }
}

function listen(app: App, { host, port, keepAliveSeconds }: Settings): void {
  app.listen({
    hostname: host,
    port,
    // on, a second server could take half of the first one's connections, silently
    reusePort: false,
    idleTimeout: keepAliveSeconds,
    // Bun's own 413 has no body, so its limit lies far above ours
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  })
}

/** Loaded only where they are wanted, as the client of Redis is. */
async function collectMetrics({ metrics }: Settings) {
  if (!metrics) return undefined
  const { createMetrics } = await import('./http/metrics')
  return createMetrics()
}

/** The client of Redis costs memory, and the start time, so it is loaded only where it is wanted. */
async function shareCounts({ redisUrl }: Settings, log: Logger) {
  if (redisUrl === undefined) return undefined
  const { SharedCounts } = await import('./http/shared-counts')
  return new SharedCounts(redisUrl, log)
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

async function provideDatabase({ databaseUrl, dataDir }: Settings, log: Logger): Promise<ProvidedDatabase> {
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
