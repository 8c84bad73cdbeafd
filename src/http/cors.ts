/**
 * Which pages may call from a browser: those of the configured origins and, in development, those of this machine; on
 * errors as well.
 */
import { cors as plugin } from '@elysiajs/cors'
import { Elysia } from 'elysia'
import type { Settings } from '../settings'

/** Vite, Expo and others each have a port, or a scheme, of their own. */
const OF_THIS_MACHINE = /^[a-z][a-z\d+.-]*:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/

const EXPOSED = [
  'Link',
  'X-Total-Count',
  'Location',
  'ETag',
  'Retry-After',
  'X-Request-Id',
  'RateLimit',
  'RateLimit-Policy',
  'Idempotency-Replayed',
].join(', ')

const ALLOWED = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'X-Request-Id',
].join(', ')

const OF_PREFLIGHTS = {
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': ALLOWED,
  'access-control-max-age': '600',
}

/** Lists in full instead of reflecting: a proxy may keep a preflight's answer, and a reader can see what is allowed. */
export function cors({ corsOrigins, production }: Pick<Settings, 'corsOrigins' | 'production'>) {
  const listed = new Set(corsOrigins)
  const isAllowed = (origin: string) => listed.has(origin) || (!production && OF_THIS_MACHINE.test(origin))
  return new Elysia({ name: 'cors' })
    .use(
      plugin({
        // not the list itself: the plugin would also compare it without the scheme
        origin: ({ headers }) => isAllowed(headers.get('origin') ?? ''),
        // said below, and only to a page of another origin
        credentials: false,
        methods: false,
        // the plugin takes these too, though its types leave them out
        ...({ allowedHeaders: false, exposeHeaders: false } as object),
        // the plugin's would answer every OPTIONS of every path with 204
        preflight: false,
      }),
    )
    .onRequest(({ request, set }) => {
      if (!request.headers.has('origin')) return
      set.headers['access-control-allow-credentials'] = 'true'
      set.headers['access-control-expose-headers'] = EXPOSED
      if (!isPreflight(request)) return
      Object.assign(set.headers, OF_PREFLIGHTS)
      // 204 for every path: a failed preflight would keep the 404 that follows from the page
      return new Response(null, { status: 204 })
    })
}

/** Of a request with an origin, https://fetch.spec.whatwg.org/#cors-preflight-fetch */
function isPreflight({ method, headers }: Request): boolean {
  return method === 'OPTIONS' && headers.has('access-control-request-method')
}
