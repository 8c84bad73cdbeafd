/** What every request gets: an id, a deadline, a place among those under way, and, but for preflights, a line in the log. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { beginExchange, exchangeOf } from './exchange'
import type { Metrics } from './metrics'
import { Problem } from './problems'
import { LAST_ANSWER, type Traffic } from './traffic'

const ACCEPTED_ID = /^[A-Za-z0-9_-]{1,128}$/

/** They tell how the process is, also when it has too much to do. */
const ALWAYS_ANSWERED = /^[^/]*\/\/[^/]*\/(?:health|ready|metrics)\/?(?:\?|$)/

interface Deps {
  log: Logger
  traffic: Traffic
  metrics: Metrics | undefined
  /** In milliseconds. */
  requestTimeout: number
}

/** Sets `X-Request-Id` on every answer; one that the client or a proxy has chosen is kept. */
export function requests({ log, traffic, metrics, requestTimeout }: Deps) {
  return (
    new Elysia({ name: 'requests' })
      // no route has Elysia parse a body, which it would do before a token is checked: those with one read it themselves
      .onParse({ as: 'global' }, () => null)
      .onRequest(({ request, set }) => {
        const given = request.headers.get('x-request-id')
        const id = given && ACCEPTED_ID.test(given) ? given : crypto.randomUUID()
        const { startedAt } = beginExchange(request, id, requestTimeout)
        set.headers['x-request-id'] = id
        traffic.lastRequestAt = startedAt
      })
      .onAfterHandle({ as: 'global' }, ({ set }) => {
        if (traffic.isStopping) Object.assign(set.headers, LAST_ANSWER)
      })
      // not before preflights are answered and CORS headers set, without which a page could not read the refusal
      .onTransform({ as: 'global' }, ({ request, server }) => {
        if (traffic.isFull(server) && !ALWAYS_ANSWERED.test(request.url)) throw new Problem('OVERLOADED')
      })
      .onAfterResponse({ as: 'global' }, ({ request, response, route, set }) => {
        const { id, startedAt, userId, statements } = exchangeOf(request)
        const seen = {
          method: request.method,
          route: route?.replace(/(?<=.)\/$/, '') || undefined,
          status: response instanceof Response ? response.status : Number(set.status ?? 200),
          ms: round(performance.now() - startedAt),
        }
        metrics?.request(seen)
        if (!log.isLevelEnabled('info')) return
        const ran = statements.map(({ name, ms }) => ({ name, ms: round(ms) }))
        log.info(
          { request_id: id, ...seen, user: userId, ...(ran.length > 0 && { statements: ran }) },
          'request',
        )
      })
  )
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
