/** From settings to a listening server, and back to nothing. */
import type { AnyElysia } from 'elysia'
import type { Logger } from 'pino'
import { createApp } from './app'
import { openDatabase } from './database/database'
import { provideDatabase } from './embedded/provide'
import { createServerState } from './http/server-state'
import { startPurging } from './jobs/purge'
import { createCounter } from './limits/counter'
import { createMetricsApp } from './monitoring/metrics'
import type { Settings } from './settings'
import { createLive } from './sync/live'
import { createStreamSlots, MAX_STREAMS } from './sync/stream-slots'
import { cannotListen, urlOf } from './system/listening'
import { startTracing } from './telemetry/tracing'

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
 * @param processes how many share the port, this one among them; a user's streams are divided among them
 * @throws Error for a port that is taken, or an embedded database that does not start
 */
export async function serve(settings: Settings, log: Logger, processes = 1): Promise<Server> {
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
    onStatement: metrics?.statement,
  })
  const live = createLive(database.sql, log)
  const counter = createCounter(settings, { shared: await shareCounts(settings, log) })
  const slots = createStreamSlots(Math.ceil(MAX_STREAMS / processes))
  const serverState = createServerState(settings.maxConnections)
  const app = createApp({
    settings,
    database,
    log,
    live,
    counter,
    slots,
    serverState,
    metrics,
    tracing,
  })
  const { metricsPort = 0 } = settings
  const metricsApp =
    metrics && metricsPort ? createMetricsApp({ settings, log, counter, metrics }) : undefined
  const endAll = async () => {
    await metricsApp?.server?.stop(true)
    await Promise.all([database.end(), counter.close(), tracing?.stop()])
    await provided.stop()
  }
  const listenAll = async () => {
    if (metricsApp) listen(metricsApp, { ...settings, port: metricsPort }, false, 'METRICS_PORT')
    const server = listen(app, settings, processes > 1)
    // without it, streams would be cut when idle, and all clients would share the limits of one address
    if (serverState.server !== server) throw new Error('The service has no server')
    return server
  }
  const server = await listenAll().catch(async (error) => {
    await endAll()
    throw error
  })
  metrics?.watch({
    poolSize: settings.databasePoolSize,
    statements: database.running,
    streams: live.count,
    requests: () => server.pendingRequests,
  })
  const stopPurging = startPurging(database.sql, log, settings)
  return {
    url: urlOf(settings.host, server.port ?? settings.port),
    async stop() {
      const deadline = Bun.sleep(DRAIN_DEADLINE)
      serverState.isStopping = true
      stopPurging()
      live.close()
      const idleFor = performance.now() - serverState.lastRequestAt
      // of connections that are kept alive, some may bring another request
      if (idleFor < settings.keepAliveSeconds * 1000) await Bun.sleep(GRACE)
      await Promise.race([server.stop(), deadline])
      await server.stop(true)
      await endAll()
    },
  }
}

/** @throws Error that names the settings at fault */
function listen(
  app: AnyElysia,
  { host, port, keepAliveSeconds }: Pick<Settings, 'host' | 'port' | 'keepAliveSeconds'>,
  reusePort: boolean,
  names?: string,
) {
  try {
    app.listen({
      hostname: host,
      port,
      // on, a second server could take half of the first one's connections, silently: the supervisor looks beforehand
      reusePort,
      idleTimeout: keepAliveSeconds,
      // Bun's own 413 has no body, so its limit lies far above ours
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    })
    if (app.server === null) throw new Error('there is no server')
    return app.server
  } catch (cause) {
    throw cannotListen({ host, port }, cause, names)
  }
}

/** Loaded only where they are wanted, as the client of Redis is. */
async function collectMetrics({ metrics }: Settings) {
  if (!metrics) return undefined
  const { createMetrics } = await import('./telemetry/metrics')
  return createMetrics()
}

/** The client of Redis costs memory, and the start time, so it is loaded only where it is wanted. */
async function shareCounts({ redisUrl }: Settings, log: Logger) {
  if (redisUrl === undefined) return undefined
  const { RedisCounter } = await import('./limits/redis')
  return new RedisCounter(redisUrl, log)
}
