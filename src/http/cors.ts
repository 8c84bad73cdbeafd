/** CORS: pages of the configured origins may call from a browser; in development, also pages on this machine. */
import { cors as plugin } from '@elysiajs/cors'
import { Elysia } from 'elysia'
import type { Settings } from '../settings'

/** On any port and with any scheme, because Vite, Expo and others each have their own. */
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
  // https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
  'MCP-Protocol-Version',
  'Mcp-Method',
  'Mcp-Name',
].join(', ')

const OF_PREFLIGHTS = {
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': ALLOWED,
  'access-control-max-age': '600',
}

/** @returns whether pages of an origin may call */
export function originCheck({ corsOrigins, production }: Pick<Settings, 'corsOrigins' | 'production'>) {
  const listed = new Set(corsOrigins)
  return (origin: string) => listed.has(origin) || (!production && OF_THIS_MACHINE.test(origin))
}

/**
 * Methods and headers are listed in full, not taken from the request: a proxy may keep the answer to a preflight, and a
 * reader can see what is allowed.
 */
export function cors(settings: Pick<Settings, 'corsOrigins' | 'production'>) {
  const isAllowed = originCheck(settings)
  return new Elysia({ name: 'cors' })
    .use(
      plugin({
        // Elysia trap 29 (docs/elysia.md)
        origin: ({ headers }) => isAllowed(headers.get('origin') ?? ''),
        // these headers are set below; Elysia trap 31 (docs/elysia.md)
        credentials: false,
        methods: false,
        ...({ allowedHeaders: false, exposeHeaders: false } as object),
        // Elysia trap 30 (docs/elysia.md)
        preflight: false,
      }),
    )
    .onRequest(({ request, set }) => {
      if (!request.headers.has('origin')) return
      set.headers['access-control-allow-credentials'] = 'true'
      set.headers['access-control-expose-headers'] = EXPOSED
      if (!isPreflight(request)) return
      Object.assign(set.headers, OF_PREFLIGHTS)
      // at any path: if the preflight failed, the page could not read the 404 that follows
      return new Response(null, { status: 204 })
    })
}

/** Asked for requests with an `Origin`: https://fetch.spec.whatwg.org/#cors-preflight-fetch */
function isPreflight({ method, headers }: Request): boolean {
  return method === 'OPTIONS' && headers.has('access-control-request-method')
}
