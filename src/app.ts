/** Every route of Taskwell on one page. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { accountRoutes, signInRoutes, userRoutes } from './accounts/routes'
import { createVerify, type Verify } from './auth/verify'
import type { Sql } from './database/connection'
import { cors } from './http/cors'
import { docs } from './http/docs'
import { errors, type InputSchemas, methodNotAllowed, methodsByPath, notFound } from './http/errors'
import { health } from './http/health'
import { requests } from './http/requests'
import type { Settings } from './settings'
import { createLive, type Live } from './sync/live'
import { syncRoutes } from './sync/routes'
import { taskRoutes } from './tasks/routes'

export interface Deps {
  settings: Settings
  sql: Sql
  log: Logger
  /** For who has to end its streams; left out, the app makes its own. */
  live?: Live
}

const ME = '/api/v1/users/me'

/** Puts the service together; does no I/O. */
export function createApp({ settings, sql, log, live = createLive(sql, log) }: Deps) {
  const verify = createVerify(settings)
  const tasks = taskRoutes({ sql, verify, onChange: live.changed })
  const sync = syncRoutes({ sql, verify, live })
  const schemas: InputSchemas = new Map()
  const api = new Elysia({
    // unknown keys are refused, not dropped
    normalize: false,
    precompile: true,
    // on, Elysia looks for the path behind the fourth letter of the host, and hosts may be shorter
    handler: { standardHostname: false },
  })
    .use(errors(log, schemas))
    .use(requests(log))
    .use(cors(settings.corsOrigins))
    .use(health(sql))
    .use(new Elysia({ prefix: '/api/v1/todos' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: '/api/:user_id/tasks' }).use(tasks).use(sync))
    .use(new Elysia({ prefix: ME }).use(userRoutes({ sql, verify })))
    .use(accounts({ settings, sql, verify }))
  const app = api.use(docs(api))

  for (const { method, path, hooks } of app.routes) schemas.set(`${method} ${path}`, hooks)
  for (const [path, allowed] of methodsByPath(app.routes)) {
    app.all(path, methodNotAllowed(allowed), { detail: { hide: true } })
  }
  // alone among what accounts add, it shares its path with something that stays: not 405, but gone like the rest
  if (!settings.accounts) app.patch(`${ME}/`, notFound, { detail: { hide: true } })
  return app
}

/** Typed as always there, for the typed client; where they are off, nothing is at their paths. */
function accounts({ settings, sql, verify }: Pick<Deps, 'settings' | 'sql'> & { verify: Verify }) {
  const routes = new Elysia()
    .use(new Elysia({ prefix: '/api/v1/auth' }).use(signInRoutes({ sql, settings })))
    .use(new Elysia({ prefix: ME }).use(accountRoutes({ sql, verify })))
  return settings.accounts ? routes : (new Elysia() as unknown as typeof routes)
}

export type App = ReturnType<typeof createApp>
