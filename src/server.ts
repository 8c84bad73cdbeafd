/** From settings to a listening server, and back to nothing. */
import type { AnyElysia } from 'elysia'
import type { Logger } from 'pino'
import { createApp } from './app'
import { openDatabase } from './database/database'
import { provideDatabase } from './embedded/provide'
import { createServerState } from './http/server-state'
import { startPurging } from './jobs/purge'
import { startReminding } from './jobs/remind'
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

/**
 * How long a stopping server still listens: clients with kept-alive connections learn of the stop with an answer. So long it
 * also waits for what must be stored.
 */
const GRACE = 1000

/**
 * Starts the embedded database if no other is configured, migrates that one, and listens. A configured database is
 * neither migrated nor waited for: migrating is a step of its own, and `/ready` tells the state.
 *
 * @param processes how many share the port, this one among them; a user's streams are divided among them
 * @throws Error for a port that is taken, or an embedded database that does not start
 */
export async function serve(settings: Settings, log: Logger, processes = 1): Promise<Server> {
  const provided = await provideDatabase(settings, log)
  const parts = await makeParts(settings, log, provided.url, processes).catch(async (error) => {
    await provided.stop()
    throw error
  })
  const { metricsApp, database, counter, live, metrics, tracing, serverState } = parts
  const endAll = async () => {
    await metricsApp?.server?.stop(true)
    counter.close()
    await Promise.all([database.end(), tracing?.stop()])
    await provided.stop()
  }
  const server = await listenAll(parts, settings, processes > 1).catch(async (error) => {
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
  const stopReminding = startReminding(database.sql, log)
  async function stop(): Promise<void> {
    const deadline = Bun.sleep(DRAIN_DEADLINE)
    const hurrying = setTimeout(serverState.hurry, DRAIN_DEADLINE - GRACE)
    serverState.isStopping = true
    stopPurging()
    stopReminding()
    live.close()
    // kept-alive connections may bring another request
    const idleFor = performance.now() - serverState.lastRequestAt
    if (idleFor < settings.keepAliveSeconds * 1000) await Bun.sleep(GRACE)
    await Promise.race([server.stop(), deadline])
    await server.stop(true)
    clearTimeout(hurrying)
    await Promise.race([serverState.settled(), Bun.sleep(GRACE)])
    await endAll()
  }
  return { url: urlOf(settings.host, server.port ?? settings.port), stop }
}

type Parts = Awaited<ReturnType<typeof makeParts>>

/** Makes what the server consists of; nothing listens yet. */
async function makeParts(settings: Settings, log: Logger, url: string, processes: number) {
  const metrics = await startMetrics(settings)
  const tracing = await startTraces(settings)
  const database = openDatabase({
    url,
    poolSize: settings.databasePoolSize,
    prepare: settings.databasePrepare,
    requestTimeout: settings.requestTimeoutMs,
    log,
    onStatement: metrics?.statement,
  })
  const live = createLive(database.sql, log)
  const counter = createCounter(settings, { shared: await connectRedis(settings, log) })
  const slots = createStreamSlots(Math.ceil(MAX_STREAMS / processes))
  const serverState = createServerState(settings.maxConnections)
  const app = createApp({ settings, database, log, live, counter, slots, serverState, metrics, tracing })
  const metricsApp =
    metrics && settings.metricsPort !== undefined
      ? createMetricsApp({ settings, log, counter, metrics })
      : undefined
  return { app, metricsApp, database, live, counter, serverState, metrics, tracing }
}

/** @throws Error that names the settings at fault */
async function listenAll({ app, metricsApp, serverState }: Parts, settings: Settings, reusePort: boolean) {
  const { metricsPort = settings.port } = settings
  if (metricsApp) listen(metricsApp, { ...settings, port: metricsPort }, false, 'METRICS_PORT')
  const server = listen(app, settings, reusePort)
  // without it, idle streams would be cut, and all clients would share the limits of one address
  if (serverState.server !== server) throw new Error('The service has no server')
  return server
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
      // Elysia trap 28 (docs/elysia.md): the supervisor probes the port beforehand
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

// the libraries of metrics, traces and Redis are loaded only if they are used

async function startMetrics({ metrics }: Settings) {
  return metrics ? (await import('./telemetry/metrics')).createMetrics() : undefined
}

async function startTraces({ otelEndpoint, trustedProxyHops }: Settings) {
  return otelEndpoint === undefined
    ? undefined
    : startTracing({ otelEndpoint, continueTraces: trustedProxyHops > 0 })
}

async function connectRedis({ redisUrl }: Settings, log: Logger) {
  return redisUrl === undefined ? undefined : new (await import('./limits/redis')).RedisCounter(redisUrl, log)
}
