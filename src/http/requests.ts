/** What every request gets: an id, and, but for preflights, one line in the log. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'

const ACCEPTED_ID = /^[A-Za-z0-9_-]{1,128}$/

/** Sets `X-Request-Id` on every answer; one that the client or a proxy has chosen is kept. */
export function requests(log: Logger) {
  const startedAt = new WeakMap<Request, number>()
  return (
    new Elysia({ name: 'requests' })
      // no route has Elysia parse a body, which it would do before a token is checked: those with one read it themselves
      .onParse({ as: 'global' }, () => null)
      .onRequest(({ request, set }) => {
        const given = request.headers.get('x-request-id')
        set.headers['x-request-id'] = given && ACCEPTED_ID.test(given) ? given : crypto.randomUUID()
        startedAt.set(request, performance.now())
      })
      .onAfterResponse({ as: 'global' }, ({ request, response, route, set }) => {
        const started = startedAt.get(request) ?? performance.now()
        log.info(
          {
            request_id: set.headers['x-request-id'],
            method: request.method,
            route: route?.replace(/(?<=.)\/$/, '') || undefined,
            status: response instanceof Response ? response.status : (set.status ?? 200),
            ms: Math.round((performance.now() - started) * 10) / 10,
          },
          'request',
        )
      })
  )
}
