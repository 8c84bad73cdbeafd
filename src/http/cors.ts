/** Which pages may call from a browser: those of the configured origins, on errors as well. */
import { cors as plugin } from '@elysiajs/cors'
import { Elysia } from 'elysia'

/** Lists in full instead of reflecting: a proxy may keep a preflight's answer, and a reader can see what is allowed. */
export function cors(origins: readonly string[]) {
  return new Elysia({ name: 'cors' })
    .use(
      plugin({
        origin: [...origins],
        credentials: true,
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        allowedHeaders: [
          'Authorization',
          'Content-Type',
          'Idempotency-Key',
          'If-Match',
          'If-None-Match',
          'Last-Event-ID',
          'X-Request-Id',
        ],
        exposeHeaders: [
          'Link',
          'X-Total-Count',
          'Location',
          'ETag',
          'Retry-After',
          'X-Request-Id',
          'RateLimit',
          'RateLimit-Policy',
          'Idempotency-Replayed',
        ],
        // the plugin's would answer every OPTIONS of every path with 204
        preflight: false,
      }),
    )
    .onRequest(({ request, set }) => {
      if (!isPreflight(request)) return
      set.headers['access-control-max-age'] = '600'
      // 204 also where there is nothing: a failed preflight would keep the 404 that follows from the page
      return new Response(null, { status: 204 })
    })
}

/** https://fetch.spec.whatwg.org/#cors-preflight-fetch */
function isPreflight({ method, headers }: Request): boolean {
  return method === 'OPTIONS' && headers.has('origin') && headers.has('access-control-request-method')
}
