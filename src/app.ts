/** Every route of Taskwell on one page. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { accountRoutes, signInRoutes, userRoutes } from './accounts/routes'
import { createToolRunner } from './assistants/run'
import type { Services } from './auth/guard'
import { createVerify } from './auth/verify'
import { chatRoutes } from './chat/routes'
import type { Database } from './database/database'
import { clientPackage } from './docs/client-package'
import { docs } from './docs/pages'
import { cors } from './http/cors'
import { errors, type Route } from './http/errors'
import { securityHeaders } from './http/headers'
import { createPublicPath, publicLinks } from './http/public-path'
import { methodNotAllowed, notFound, refusedMethods } from './http/refused-methods'
import { requests } from './http/requests'
import { createServerState, type ServerState } from './http/server-state'
import { type Counter, createCounter } from './limits/counter'
import { countUnrouted, createRateLimiter, limitAnonymous } from './limits/rate-limiter'
import { listRoutes } from './lists/routes'
import { mcpRoutes } from './mcp/routes'
import { health } from './monitoring/health'
import { metricsRoute } from './monitoring/metrics'
import type { Settings } from './settings'
import { createLive, type Live } from './sync/live'
import { syncRoutes } from './sync/routes'
import { createStreamSlots, type StreamSlots } from './sync/stream-slots'
import { tagRoutes } from './tags/routes'
import { createPageCache } from './tasks/page-cache'
import { taskRoutes } from './tasks/routes'
import type { Metrics } from './telemetry/metrics'
import type { Tracing } from './telemetry/tracing'
import { createTokenFinder } from './tokens/finder'
import { tokenRoutes } from './tokens/routes'

export interface Deps {
  settings: Settings
  database: Database
  log: Logger
  /** These may be given by a caller that watches or ends them; left out, the app makes its own. */
  live?: Live
  counter?: Counter
  slots?: StreamSlots
  serverState?: ServerState
  /** Left out, there are none. */
  metrics?: Metrics | undefined
  tracing?: Tracing | undefined
}

const ME = '/api/v1/users/me'

/** Puts the service together; does no I/O. `docs/architecture.md` follows a request through it. */
export function createApp({
  settings,
  database,
  log,
  live = createLive(database.sql, log),
  counter = createCounter(settings),
  slots = createStreamSlots(),
  serverState = createServerState(settings.maxConnections),
  metrics,
  tracing,
}: Deps) {
  const { trustedProxyHops, requestTimeoutMs: requestTimeout, metricsPort, metricsToken } = settings
  const rateLimiter = createRateLimiter({ counter, metrics, serverState, trustedProxyHops })
  const apiTokens = createTokenFinder(database)
  const verify = createVerify(settings, apiTokens.find)
  const { forget: forgetApiTokens } = apiTokens
  const services = { database, verify, forgetApiTokens, rateLimiter, serverState, metrics }
  const pageCache = createPageCache()
  const publicPath = createPublicPath(settings)
  const taskDeps = { cache: pageCache, onChange: live.changed }
  const tasks = taskRoutes(services, taskDeps)
  const lists = listRoutes(services, taskDeps)
  const tags = tagRoutes(services, taskDeps)
  const sync = syncRoutes(services, live, slots)
  const runner = createToolRunner({ ...taskDeps, log, metrics })
  const chat = chatRoutes(services, { settings, runner, publicPath, log })

  // a hook reaches only the routes after it, so the order is the way of a request (Elysia trap 1, docs/elysia.md)
  const api = new Elysia({
    // Elysia trap 2
    normalize: false,
    // Elysia trap 17
    precompile: false,
    // Elysia trap 19
    handler: { standardHostname: false },
  })
    // errors: counted for their address if no route has done it, then answered
    .use(countUnrouted(rateLimiter))
    .use(errors({ log, metrics, routes: (): readonly Route[] => app.routes }))
    // the request's id and deadline, its log line, its metrics and its trace
    .use(requests({ log, serverState, metrics, tracing, requestTimeout }))
    // the path of a proxy, in `Location` and `Link`; a later `wrap` is outside, so this comes after the log line
    .use(publicLinks(publicPath))
    // headers of every answer, before any route can fail
    .use(securityHeaders(settings))
    .use(cors(settings))
    // routes: each group begins with its guard
    .use(health({ database, serverState, rateLimiter }))
    .use(new Elysia({ prefix: '/api/v1/todos' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: '/api/:user_id/tasks' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: '/api/v1/lists' }).use(lists))
    .use(new Elysia({ prefix: '/api/:user_id/lists' }).use(lists))
    .use(new Elysia({ prefix: '/api/v1/tags' }).use(tags))
    .use(new Elysia({ prefix: '/api/:user_id/tags' }).use(tags))
    .use(new Elysia({ prefix: '/api/v1' }).use(chat))
    .use(new Elysia({ prefix: '/api/:user_id' }).use(chat))
    .use(new Elysia({ prefix: '/api/v1/tokens' }).use(tokenRoutes(services)))
    .use(new Elysia({ prefix: ME }).use(userRoutes(services, pageCache.forget)))
    .use(accounts(settings, services))
    .use(mcpRoutes(services, { settings, publicPath, runner, log }))
  const app = api
    .use(new Elysia().use(limitAnonymous(rateLimiter)).use(docs(api, publicPath)).use(clientPackage()))
    // a worker has its metrics at a port of its own
    .use(
      metrics && metricsPort === undefined ? metricsRoute(metrics, metricsToken, rateLimiter) : new Elysia(),
    )

  // last, when all paths are known
  for (const { method, path, allowed } of refusedMethods(app.routes)) {
    app.route(method, path, methodNotAllowed(allowed), { detail: { hide: true } })
  }
  // without accounts this route is 404 like the others of accounts, though its path has other methods
  if (!settings.accounts) app.patch(`${ME}/`, notFound, { detail: { hide: true } })
  return app
}

/** With accounts off there are no such routes. Their types stay, for the typed client. */
function accounts(settings: Settings, services: Services) {
  const routes = new Elysia()
    .use(new Elysia({ prefix: '/api/v1/auth' }).use(signInRoutes(services, settings)))
    .use(new Elysia({ prefix: ME }).use(accountRoutes(services)))
  return settings.accounts ? routes : (new Elysia() as unknown as typeof routes)
}

export type App = ReturnType<typeof createApp>
