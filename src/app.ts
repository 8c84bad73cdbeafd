/** Every route of Taskwell on one page. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { createVerify } from './auth/verify'
import type { Sql } from './database/connection'
import { cors } from './http/cors'
import { docs } from './http/docs'
import { errors, type InputSchemas, methodNotAllowed, methodsByPath } from './http/errors'
import { health } from './http/health'
import { requests } from './http/requests'
import type { Settings } from './settings'
import { taskRoutes } from './tasks/routes'

export interface Deps {
  settings: Settings
  sql: Sql
  log: Logger
}

/** Puts the service together; does no I/O. */
export function createApp({ settings, sql, log }: Deps) {
  const verify = createVerify(settings)
  const tasks = taskRoutes({ sql, verify })
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
    .use(new Elysia({ prefix: '/api/v1/todos' }).use(tasks))
    .use(new Elysia({ prefix: '/api/:user_id/tasks' }).use(tasks))
  const app = api.use(docs(api))

  for (const { method, path, hooks } of app.routes) schemas.set(`${method} ${path}`, hooks)
  for (const [path, allowed] of methodsByPath(app.routes)) {
    app.all(path, methodNotAllowed(allowed), { detail: { hide: true } })
  }
  return app
}

export type App = ReturnType<typeof createApp>
