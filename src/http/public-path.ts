/**
 * The public address of the service. A proxy may serve it below a path, which it removes from the requests that it
 * forwards. The routes do not know that path; it is added here to the addresses in answers.
 */
import { Elysia } from 'elysia'
import type { Settings } from '../settings'
import { appendHeader, isBehindTls } from './headers'
import type { Arrival } from './request-context'

export interface PublicPath {
  /** What clients put in front of our paths, such as `/tasks`, or an empty text. Left out: always an empty text. */
  prefix?: (request: Request) => string
  /** The request header that the prefix depends on. */
  varyBy?: string
  /**
   * For the OpenAPI document: the public URL if it is set, else the address that the client has asked. Behind proxies, which may
   * have changed that, it is the path alone. Adds to `Vary` if it depends on a header.
   */
  address(arrival: Arrival): string
  /** The whole address, without a slash at the end; without a public URL it is made of what the client has sent. */
  whole(request: Request): string
}

type PublicSettings = Pick<Settings, 'publicUrl' | 'trustedProxyHops'>

/** From `PUBLIC_URL`; without it, from the header of a trusted proxy. */
export function createPublicPath({ publicUrl, trustedProxyHops }: PublicSettings): PublicPath {
  if (publicUrl !== undefined) {
    const path = new URL(publicUrl).pathname
    return { ...(path !== '/' && { prefix: () => path }), address: () => publicUrl, whole: () => publicUrl }
  }
  if (trustedProxyHops === 0) return { address: originOf, whole: (request) => originOf({ request }) }
  const prefix = ({ headers }: Request) => forwardedPrefix(headers.get(PREFIX_HEADER), trustedProxyHops)
  return {
    prefix,
    varyBy: PREFIX_HEADER,
    address({ request, set }) {
      appendHeader(set.headers, 'vary', PREFIX_HEADER)
      return prefix(request) || '/'
    },
    whole(request) {
      const { protocol = 'http:', host = '' } = URL.parse(request.url) ?? {}
      return `${isBehindTls(request) ? 'https:' : protocol}//${host}${prefix(request)}`
    },
  }
}

/** A request without a good `Host` has a URL without an origin. */
function originOf({ request }: Pick<Arrival, 'request'>): string {
  return URL.parse(request.url)?.origin ?? '/'
}

const PREFIX_HEADER = 'X-Forwarded-Prefix'
const MAX_LENGTH = 200

/** Only unreserved characters of RFC 3986, which mean nothing in HTML, in a header or in another URL. */
const PLAIN_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)*\/?$/

/**
 * The path that proxies have removed. nginx and Caddy set the header, Traefik adds a second one, and Spring's gateway
 * appends to it. As with `X-Forwarded-For`, the last values come from our own proxies; the first of these is outermost.
 *
 * @param trustedHops how many proxies in front are ours
 * @returns an empty text if there is none, or if one of our values is no plain path
 */
export function forwardedPrefix(header: string | null, trustedHops: number): string {
  if (header === null || header.length > MAX_LENGTH) return ''
  const all = header.split(',').map((each) => each.trim())
  const ours = all.slice(-trustedHops)
  if (!ours.every((each) => PLAIN_PATH.test(each))) return ''
  return ours.map((each) => each.replace(/\/$/, '')).join('')
}

/** The start of an address in these headers, but not of one with a host, such as `//host`. */
const OWN_PATH = /(?:^|<)(?=\/(?!\/))/g

/** Puts the prefix in front of every path in `Location` and `Link`. */
export function publicLinks({ prefix, varyBy }: PublicPath) {
  const plugin = new Elysia({ name: 'public-links' })
  if (!prefix) return plugin
  // around all hooks, so it sees the headers that they have set
  return plugin.wrap((handle) => async (request: Request) => {
    // Elysia trap 23 (docs/elysia.md)
    const answer = (await handle(request)) as unknown as Response
    const { headers } = answer
    const names = ['location', 'link'].filter((name) => headers.has(name))
    if (names.length === 0) return answer
    const path = prefix(request)
    for (const name of names) {
      headers.set(
        name,
        (headers.get(name) ?? '').replaceAll(OWN_PATH, (start) => start + path),
      )
    }
    if (varyBy) headers.append('vary', varyBy)
    return answer
  })
}
