/** The headers of every answer for browsers and caches. A route may set its own values instead. */
import { Elysia } from 'elysia'
import type { Settings } from '../settings'
import type { Answer } from './request-context'

/** All in lower case, as everywhere: Elysia trap 22 (docs/elysia.md). */
const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // an answer is data: a browser that shows it as a page loads nothing, and no other page may frame it
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  // a browser may keep it but asks each time whether it is still right; shared caches keep nothing
  'cache-control': 'private, no-cache',
}

/** A year, without subdomains, which may belong to somebody else. */
const TRANSPORT_SECURITY = 'max-age=31536000'

/** Sets the headers on every answer; behind a trusted proxy with TLS, `Strict-Transport-Security` too. */
export function securityHeaders({ trustedProxyHops }: Pick<Settings, 'trustedProxyHops'>) {
  const plugin = new Elysia({ name: 'security-headers' }).headers(HEADERS)
  if (trustedProxyHops === 0) return plugin
  return plugin.onRequest(({ request, set }) => {
    if (isBehindTls(request)) set.headers['strict-transport-security'] = TRANSPORT_SECURITY
  })
}

/** Whether the nearest proxy says that the client has used TLS. Only the last entry is the nearest proxy's; a client can send the others. */
export function isBehindTls({ headers }: Request): boolean {
  return headers.get('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase() === 'https'
}

/** Adds an element to a header that is a comma list, such as `Vary` (RFC 9110 section 5.6.1). */
export function appendHeader(headers: Answer['headers'], name: string, element: string): void {
  const before = headers[name]
  headers[name] = before === undefined ? element : `${before}, ${element}`
}
