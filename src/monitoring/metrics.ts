/** `/metrics`, for Prometheus: a route, and an app for a port of its own. */
import { hash, timingSafeEqual } from 'node:crypto'
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { errors } from '../http/errors'
import { securityHeaders } from '../http/headers'
import { Problem } from '../http/problems'
import { methodNotAllowed } from '../http/refused-methods'
import { requests } from '../http/requests'
import { NoQuery } from '../http/schemas'
import { createServerState } from '../http/server-state'
import type { Counter } from '../limits/counter'
import { countUnrouted, createRateLimiter, type RateLimiter } from '../limits/rate-limiter'
import type { Settings } from '../settings'
import type { Metrics } from '../telemetry/metrics'

/**
 * `GET /metrics`, which is not in the OpenAPI document.
 *
 * @param token the bearer token to ask for; left out, anybody may read
 * @param rateLimiter counts the requests without it
 */
export function metricsRoute(metrics: Metrics, token: string | undefined, rateLimiter: RateLimiter) {
  const allow = token === undefined ? () => {} : onlyWith(token)
  return new Elysia({ name: 'metrics' }).get(
    '/metrics',
    async ({ request, set }) => {
      const arrival = { request, set }
      try {
        allow(request.headers.get('authorization'))
      } catch (refusal) {
        await rateLimiter.anonymous(arrival)
        throw refusal
      }
      await (token === undefined ? rateLimiter.anonymous(arrival) : rateLimiter.peek(arrival))
      const headers = { 'content-type': metrics.contentType, 'cache-control': 'no-store' }
      return new Response(await metrics.render(), { headers })
    },
    { query: NoQuery, detail: { hide: true } },
  )
}

interface Deps {
  settings: Settings
  log: Logger
  counter: Counter
  metrics: Metrics
}

/** What METRICS_PORT serves: `/metrics` and nothing else. No proxy is in front, so headers of proxies are ignored. */
export function createMetricsApp({ settings, log, counter, metrics }: Deps) {
  const serverState = createServerState(settings.maxConnections)
  const rateLimiter = createRateLimiter({ counter, metrics, serverState, trustedProxyHops: 0 })
  const route = metricsRoute(metrics, settings.metricsToken, rateLimiter)
  return new Elysia({ normalize: false, handler: { standardHostname: false } })
    .use(countUnrouted(rateLimiter))
    .use(errors({ log, metrics, routes: () => route.routes }))
    .use(
      requests({ log, serverState, metrics, tracing: undefined, requestTimeout: settings.requestTimeoutMs }),
    )
    .use(securityHeaders({ trustedProxyHops: 0 }))
    .use(route)
    .all('/metrics', methodNotAllowed('GET, HEAD'))
}

/** @returns a function that throws Problem unless the header has the token */
function onlyWith(token: string): (authorization: string | null) => void {
  const expected = digest(token)
  return (authorization) => {
    const [, sent] = /^bearer +(\S.*)$/i.exec(authorization?.trim() ?? '') ?? []
    if (sent === undefined) throw new Problem('TOKEN_MISSING')
    if (!timingSafeEqual(digest(sent), expected)) throw new Problem('TOKEN_INVALID')
  }
}

/** Digests have the same length, which `timingSafeEqual` needs. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
