/** Which pages may call from a browser: those of the configured origins, on errors as well. */
import { cors as plugin } from '@elysiajs/cors'

/** Lists in full instead of reflecting: a proxy may keep a preflight's answer, and a reader can see what is allowed. */
export function cors(origins: readonly string[]) {
  return plugin({
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
    maxAge: 600,
  })
}
