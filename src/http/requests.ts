/** What every request gets: an id, a deadline and, unless it is a preflight, a line in the log, metrics and a trace. */
import { Elysia } from 'elysia'
import pino, { type Logger } from 'pino'
import { lineWriter } from '../telemetry/log'
import type { Metrics } from '../telemetry/metrics'
import type { Tracing } from '../telemetry/tracing'
import { Problem } from './problems'
import { beginContext, contextOf, type RequestContext } from './request-context'
import type { ServerState } from './server-state'

const ACCEPTED_ID = /^[A-Za-z0-9_-]{1,128}$/

/** The state of the process can be asked for even if it has too much to do. */
const ALWAYS_ANSWERED = new Set(['/health', '/ready', '/metrics'])

interface Deps {
  log: Logger
  serverState: ServerState
  metrics: Metrics | undefined
  tracing: Tracing | undefined
  /** In milliseconds. */
  requestTimeout: number
}

/** Sets `X-Request-Id` on every answer, to what the client or a proxy has sent if that is a plain word. */
export function requests({ log, serverState, metrics, tracing, requestTimeout }: Deps) {
  const end = createEnd({ log, metrics, tracing })
  return (
    new Elysia({ name: 'requests' })
      // Elysia trap 3 (docs/elysia.md)
      .onParse({ as: 'global' }, () => null)
      // Elysia trap 20
      .wrap((handle) => async (request: Request) => {
        const requestContext = beginContext(request, requestTimeout)
        serverState.lastRequestAt = requestContext.startedAt
        // Elysia trap 23
        const answer = (await handle(request)) as unknown as Response
        // a client with a kept-alive connection then reconnects, to another replica if there is one
        if (serverState.isStopping) answer.headers.set('connection', 'close')
        end(requestContext, request, answer.status)
        return answer
      })
      .onRequest(({ request, set }) => {
        const requestContext = contextOf(request)
        const given = request.headers.get('x-request-id')
        if (given && ACCEPTED_ID.test(given)) requestContext.id = given
        set.headers['x-request-id'] = requestContext.id
      })
      // only once CORS headers are set, because without them a page could not read the refusal
      .onTransform({ as: 'global' }, ({ request, route }) => {
        contextOf(request).route = route
        if (serverState.isFull() && !ALWAYS_ANSWERED.has(withoutSlash(route))) throw new Problem('OVERLOADED')
      })
      .onStart(({ server }) => {
        serverState.server = server
      })
  )
}

const INFO = pino.levels.values['info'] ?? 30

/** Writes the line, the metrics and the trace of a request that has been answered. */
function createEnd({ log, metrics, tracing }: Pick<Deps, 'log' | 'metrics' | 'tracing'>) {
  const isLogged = log.isLevelEnabled('info')
  const writeLine = lineWriter(log)
  const { worker } = log.bindings()
  return (
    { id, startedAt, route, userId, statements, errorCode }: RequestContext,
    request: Request,
    status: number,
  ): void => {
    const { method } = request
    const isPreflight = method === 'OPTIONS' && status === 204
    if (isPreflight) return
    const ms = round(performance.now() - startedAt)
    const pattern = route && withoutSlash(route)
    metrics?.request({ method, route: pattern, status, ms })
    tracing?.request({ request, route: pattern, status, startedAt, statements, errorCode })
    if (!isLogged) return
    const ran = statements.map((each) => ({ name: each.name, ms: round(each.ms) }))
    const line = {
      level: INFO,
      time: new Date().toISOString(),
      worker,
      request_id: id,
      method,
      route: pattern,
      status,
      ms,
      user: userId,
      statements: ran.length > 0 ? ran : undefined,
      msg: 'request',
    }
    writeLine(line)
  }
}

function withoutSlash(route: string): string {
  return route.length > 1 && route.endsWith('/') ? route.slice(0, -1) : route
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
