/** Every route of Taskwell on one page. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { accountRoutes, signInRoutes, userRoutes } from './accounts/routes'
import type { Services } from './auth/guard'
import { createVerify } from './auth/verify'
import type { Database } from './database/database'
import { docs } from './docs/pages'
import { cors } from './http/cors'
import { errors, methodNotAllowed, notFound, type Route, refusedMethods } from './http/errors'
import { securityHeaders } from './http/headers'
import { createPublicPath, publicLinks } from './http/public-path'
import { requests } from './http/requests'
import { createServerState, type ServerState } from './http/server-state'
import { type Counter, createCounter } from './limits/counter'
import { countUnrouted, createRateLimiter, forAnonymous } from './limits/rate-limiter'
import { health } from './monitoring/health'
import { metricsRoute } from './monitoring/metrics'
import type { Settings } from './settings'
import { createLive, type Live } from './sync/live'
import { syncRoutes } from './sync/routes'
import { createStreamSlots, type StreamSlots } from './sync/stream-slots'
import { createPageCache } from './tasks/page-cache'
import { taskRoutes } from './tasks/routes'
import type { Metrics } from './telemetry/metrics'

export interface Deps {
  settings: Settings
  database: Database
  log: Logger
  /** What follows is for who has to end or to watch it; left out, the app makes its own. */
  live?: Live
  limits?: Counter
  places?: StreamSlots
  serverState?: ServerState
  /** Left out, there are none. */
  metrics?: Metrics | undefined
  tracing?: Elysia | undefined
}

const ME = '/api/v1/users/me'

/** Puts the service together; does no I/O. */
export function createApp({
  settings,
  database,
  log,
  live = createLive(database.sql, log),
  limits = createCounter(settings),
  places = createStreamSlots(),
  serverState = createServerState(settings.maxConnections),
  metrics,
  tracing = new Elysia(),
}: Deps) {
  const rateLimiter = createRateLimiter({
    limits,
    metrics,
    serverState,
    trustedProxyHops: settings.trustedProxyHops,
  })
  const services = { database, verify: createVerify(settings), rateLimiter, serverState, metrics }
  const publicPath = createPublicPath(settings)
  const pages = createPageCache()
  const tasks = taskRoutes(services, { cache: pages, onChange: live.changed })
  const sync = syncRoutes(services, live, places)
  const api = new Elysia({
    // unknown keys are refused, not dropped
    normalize: false,
    // each route when it is first asked for: a few milliseconds then, where all of them would take memory and the start
    precompile: false,
    // on, Elysia looks for the path behind the fourth letter of the host, and hosts may be shorter
    handler: { standardHostname: false },
  })
    .use(tracing)
    .use(countUnrouted(rateLimiter))
    .use(errors({ log, metrics, routes: (): readonly Route[] => app.routes }))
    .use(requests({ log, serverState, metrics, requestTimeout: settings.requestTimeoutMs }))
    .use(publicLinks(publicPath))
    .use(securityHeaders(settings))
    .use(cors(settings))
    .use(health({ database, serverState, rateLimiter }))
    .use(new Elysia({ prefix: '/api/v1/todos' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: '/api/:user_id/tasks' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: ME }).use(userRoutes(services, pages.forget)))
    .use(accounts(settings, services))
  const app = api
    .use(new Elysia().use(forAnonymous(rateLimiter)).use(docs(api, publicPath)))
    .use(
      metrics && settings.metricsPort === undefined
        ? metricsRoute(metrics, settings.metricsToken, rateLimiter)
        : new Elysia(),
    )

  for (const { method, path, allowed } of refusedMethods(app.routes)) {
    app.route(method, path, methodNotAllowed(allowed), { detail: { hide: true } })
  }
  // alone among what accounts add, it shares its path with something that stays: not 405, but gone like the rest
  if (!settings.accounts) app.patch(`${ME}/`, notFound, { detail: { hide: true } })
  return app
}

/** Typed as always there, for the typed client; where they are off, nothing is at their paths. */
function accounts(settings: Settings, services: Services) {
  const routes = new Elysia()
    .use(new Elysia({ prefix: '/api/v1/auth' }).use(signInRoutes(services, settings)))
    .use(new Elysia({ prefix: ME }).use(accountRoutes(services)))
  return settings.accounts ? routes : (new Elysia() as unknown as typeof routes)
}

export type App = ReturnType<typeof createApp>
