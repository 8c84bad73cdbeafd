/** What every request gets: an id, a deadline, a place among those under way, and, but for preflights, a line in the log. */
import { Elysia } from 'elysia'
import pino, { type Logger } from 'pino'
import { lineWriter } from '../telemetry/log'
import type { Metrics } from '../telemetry/metrics'
import { Problem } from './problems'
import { beginContext, contextOf, type RequestContext } from './request-context'
import type { ServerState } from './server-state'

const ACCEPTED_ID = /^[A-Za-z0-9_-]{1,128}$/

/** They tell how the process is, also when it has too much to do. */
const ALWAYS_ANSWERED = /^[^/]*\/\/[^/]*\/(?:health|ready|metrics)\/?(?:\?|$)/

interface Deps {
  log: Logger
  serverState: ServerState
  metrics: Metrics | undefined
  /** In milliseconds. */
  requestTimeout: number
}

/** Sets `X-Request-Id` on every answer; one that the client or a proxy has chosen is kept. */
export function requests({ log, serverState, metrics, requestTimeout }: Deps) {
  const end = createEnd(log, metrics)
  return (
    new Elysia({ name: 'requests' })
      // no route has Elysia parse a body, which it would do before a token is checked: those with one read it themselves
      .onParse({ as: 'global' }, () => null)
      // around all hooks: one of Elysia's own after the answer costs a turn of the event loop for each request
      .wrap((handle) => async (request: Request) => {
        const requestContext = beginContext(request, requestTimeout)
        serverState.lastRequestAt = requestContext.startedAt
        // typed as a function, which it is not
        const answer = (await handle(request)) as unknown as Response
        // who keeps connections makes another one, elsewhere if there is one
        if (serverState.isStopping) answer.headers.set('connection', 'close')
        end(requestContext, request.method, answer.status)
        return answer
      })
      .onRequest(({ request, set }) => {
        const requestContext = contextOf(request)
        const given = request.headers.get('x-request-id')
        if (given && ACCEPTED_ID.test(given)) requestContext.id = given
        set.headers['x-request-id'] = requestContext.id
      })
      // not before preflights are answered and CORS headers set, without which a page could not read the refusal
      .onTransform({ as: 'global' }, ({ request, route }) => {
        contextOf(request).route = route
        if (serverState.isFull() && !ALWAYS_ANSWERED.test(request.url)) throw new Problem('OVERLOADED')
      })
      .onStart(({ server }) => {
        serverState.server = server
      })
  )
}

const INFO = pino.levels.values['info'] ?? 30

/** Tells of a request that has been answered. */
function createEnd(log: Logger, metrics: Metrics | undefined) {
  const isLogged = log.isLevelEnabled('info')
  const writeLine = lineWriter(log)
  // which of several processes this is
  const { worker } = log.bindings()
  return (
    { id, startedAt, route, userId, statements }: RequestContext,
    method: string,
    status: number,
  ): void => {
    const isPreflight = method === 'OPTIONS' && status === 204
    if (isPreflight) return
    const ms = round(performance.now() - startedAt)
    const pattern = route && withoutSlash(route)
    metrics?.request({ method, route: pattern, status, ms })
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
