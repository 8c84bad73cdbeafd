/** From settings to a listening server, and back to nothing. */
import type { Logger } from 'pino'
import { type App, createApp } from './app'
import { openDatabase } from './database/database'
import { provideDatabase } from './embedded/provide'
import { createServerState, type ServerState } from './http/server-state'
import { startPurging } from './jobs/purge'
import { createCounter } from './limits/counter'
import type { Settings } from './settings'
import { createLive } from './sync/live'
import { createStreamSlots } from './sync/stream-slots'
import { cannotListen, urlOf } from './system/listening'
import { startTracing } from './telemetry/tracing'
import type { Sharing } from './workers/sharing'

export interface Server {
  /** Where it listens, for people. */
  url: string
  /** Answers what was accepted, for ten seconds at most, and ends all that was started. */
  stop(): Promise<void>
}

const ALONE: Sharing = {
  limits: (own) => own,
  places: (own) => own,
  live: (own) => own,
  metrics: (own) => own,
}

/** In milliseconds, from the signal. */
const DRAIN_DEADLINE = 10_000

/** For how long it still listens once it is to stop: whoever keeps connections learns of it with an answer. */
const GRACE = 1000

/**
 * Starts the embedded database where no other is configured, brings that one up to date, and listens. A configured
 * database is neither migrated nor waited for: migrating is a step of its own, and `/ready` tells the state.
 *
 * @param sharing for one of several processes on one port
 * @throws Error for a port that is taken, or an embedded database that does not start
 */
export async function serve(settings: Settings, log: Logger, sharing = ALONE): Promise<Server> {
  const provided = await provideDatabase(settings, log)
  const metrics = await collectMetrics(settings, sharing)
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
  const live = sharing.live(createLive(database.sql, log))
  const shared = await shareCounts(settings, log)
  const ownLimits = createCounter(settings, { shared })
  // Redis counts for other machines as well
  const limits = shared ? ownLimits : sharing.limits(ownLimits)
  const places = sharing.places(createStreamSlots())
  const serverState = createServerState(settings.maxConnections)
  const app = createApp({
    settings,
    database,
    log,
    live,
    counter: limits,
    slots: places,
    serverState,
    metrics,
    tracing,
  })
  const endAll = async () => {
    await Promise.all([database.end(), limits.close(), tracing?.stop()])
    await provided.stop()
  }
  const server = await listen(app, serverState, settings, sharing !== ALONE).catch(async (cause) => {
    await endAll()
    throw cannotListen(settings, cause)
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

/** @throws Error if it cannot */
async function listen(
  app: App,
  serverState: ServerState,
  { host, port, keepAliveSeconds }: Settings,
  reusePort: boolean,
) {
  app.listen({
    hostname: host,
    port,
    // on, a second server could take half of the first one's connections, silently: the supervisor looks beforehand
    reusePort,
    idleTimeout: keepAliveSeconds,
    // Bun's own 413 has no body, so its limit lies far above ours
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  })
  // without it, streams would be cut when idle, and all clients would share the limits of one address
  if (app.server === null || serverState.server !== app.server) throw new Error('The service has no server')
  return app.server
}

/** Loaded only where they are wanted, as the client of Redis is. */
async function collectMetrics({ metrics }: Settings, sharing: Sharing) {
  if (!metrics) return undefined
  const { createMetrics } = await import('./telemetry/metrics')
  return sharing.metrics(createMetrics())
}

/** The client of Redis costs memory, and the start time, so it is loaded only where it is wanted. */
async function shareCounts({ redisUrl }: Settings, log: Logger) {
  if (redisUrl === undefined) return undefined
  const { RedisCounter } = await import('./limits/redis')
  return new RedisCounter(redisUrl, log)
}
