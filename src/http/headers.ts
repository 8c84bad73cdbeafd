/** What every answer says to browsers and caches, whatever it is; what a route says itself comes before it. */
import { Elysia } from 'elysia'
import type { Settings } from '../settings'

/** All lower case, as everywhere else: one name in two spellings would be sent twice. */
const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // an answer is data; should a browser show it as a page, then as one that loads nothing and is framed by nobody
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  // a browser may keep it, and asks each time whether it still holds; caches that many share keep nothing
  'cache-control': 'private, no-cache',
}

/** A year; not for other hosts below this one, which may belong to somebody else. */
const TRANSPORT_SECURITY = 'max-age=31536000'

/** Sets them on every answer; behind a proxy that is trusted and has TLS, `Strict-Transport-Security` too. */
export function securityHeaders({ trustedProxyHops }: Pick<Settings, 'trustedProxyHops'>) {
  const plugin = new Elysia({ name: 'security-headers' }).headers(HEADERS)
  if (trustedProxyHops === 0) return plugin
  return plugin.onRequest(({ request, set }) => {
    if (isBehindTls(request)) set.headers['strict-transport-security'] = TRANSPORT_SECURITY
  })
}

/** The last entry is what the proxy next to us has seen; those before it can be anybody's. */
function isBehindTls({ headers }: Request): boolean {
  return headers.get('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase() === 'https'
}
