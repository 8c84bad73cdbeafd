/**
 * Where clients reach the service. A proxy may serve it below a path that it takes off before it passes a request on:
 * routes do not know that path; it is added here to the addresses in answers.
 */
import { Elysia } from 'elysia'
import type { Arrival } from '../limits/rate-limiter'
import type { Settings } from '../settings'

export interface PublicPath {
  /** What clients put in front of our paths: empty, or such as `/tasks`. Left out: always empty. */
  prefix?: (request: Request) => string
  /** A header of the request that decides it. */
  varyBy?: string
  /** For the OpenAPI document: the public URL if it is set, else the path. Says in `Vary` if a header decides it. */
  address(arrival: Arrival): string
}

type PublicSettings = Pick<Settings, 'publicUrl' | 'trustedProxyHops'>

/** By the setting; without it, and behind a proxy that is trusted, by what the proxy says. */
export function createPublicPath({ publicUrl, trustedProxyHops }: PublicSettings): PublicPath {
  if (publicUrl !== undefined) {
    const path = new URL(publicUrl).pathname
    return { ...(path !== '/' && { prefix: () => path }), address: () => publicUrl }
  }
  if (trustedProxyHops === 0) return { address: () => '/' }
  const prefix = ({ headers }: Request) => forwardedPrefix(headers.get(PREFIX_HEADER), trustedProxyHops)
  return {
    prefix,
    varyBy: PREFIX_HEADER,
    address({ request, set }) {
      set.headers['vary'] = [set.headers['vary'], PREFIX_HEADER].filter(Boolean).join(', ')
      return prefix(request) || '/'
    },
  }
}

const PREFIX_HEADER = 'X-Forwarded-Prefix'
const MAX_LENGTH = 200

/** Of RFC 3986's unreserved characters alone, which mean nothing in HTML, in a header or in another URL. */
const PLAIN_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)*\/?$/

/**
 * The path that proxies have taken off. nginx and Caddy set the header, Traefik adds one of its own to any that is
 * there already, and Spring's gateway appends to it: as with `X-Forwarded-For`, the last values are those of our own
 * proxies, and the first of these is the outermost path.
 *
 * @param trustedHops how many proxies in front are ours
 * @returns empty if there is none, or a value is no plain path
 */
export function forwardedPrefix(header: string | null, trustedHops: number): string {
  if (header === null || header.length > MAX_LENGTH) return ''
  const all = header.split(',').map((each) => each.trim())
  const ours = all.slice(-trustedHops)
  return ours.every((each) => PLAIN_PATH.test(each)) ? ours.map(withoutSlash).join('') : ''
}

function withoutSlash(path: string): string {
  return path.replace(/\/$/, '')
}

/** Where an address begins in these headers; one with a host, such as `//host`, is not ours. */
const OWN_PATH = /(?:^|<)(?=\/(?!\/))/g

/** Puts the prefix in front of every path in `Location` and `Link`. */
export function publicLinks({ prefix, varyBy }: PublicPath) {
  const plugin = new Elysia({ name: 'public-links' })
  if (!prefix) return plugin
  // around all hooks, so that it has the last word on every answer
  return plugin.wrap((handle) => async (request: Request) => {
    // typed as a function, which it is not
    const answer = (await handle(request)) as unknown as Response
    const { headers } = answer
    const location = headers.get('location')
    const link = headers.get('link')
    if (location === null && link === null) return answer
    const path = prefix(request)
    if (location !== null) headers.set('location', below(path, location))
    if (link !== null) headers.set('link', below(path, link))
    if (varyBy) headers.append('vary', varyBy)
    return answer
  })
}

function below(path: string, addresses: string): string {
  return addresses.replaceAll(OWN_PATH, (start) => start + path)
}
