/** The address of a client, behind proxies too. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * The client's address as a key for limits: an IPv4 address, or the /64 of an IPv6 address, because one client may have
 * all addresses in it.
 *
 * @param peer the other end of the connection
 * @param forwardedFor `X-Forwarded-For`, to which each proxy appends the address that it serves; the client may have
 * made up all entries before those of our own proxies
 * @param trustedHops how many proxies in front are ours
 * @returns `unknown` if there is no address
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | null,
  trustedHops: number,
): string {
  if (trustedHops > 0 && forwardedFor !== null) {
    const trusted = forwardedFor.split(',').slice(-trustedHops)
    for (const entry of trusted) {
      const key = limitKey(withoutPort(entry))
      if (key !== undefined) return key
    }
  }
  return (peer !== undefined && limitKey(peer)) || 'unknown'
}

/** Some proxies write `1.2.3.4:5` or `[::1]:5`, also in quotes. */
function withoutPort(entry: string): string {
  const [, bracketed, ipv4] = /^\s*"?(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)"?\s*$/.exec(entry) ?? []
  return bracketed ?? ipv4 ?? entry.trim().replace(/^"(.*)"$/, '$1')
}

function limitKey(address: string): string | undefined {
  // ipaddr.js would also accept 127.1, 0x7f.1 and 017.0.0.1
  const version = isIP(address)
  if (version === 4) return address
  if (version === 0) return undefined
  const ipv6 = ipaddr.IPv6.parse(address.replace(/%.*/, ''))
  if (ipv6.isIPv4MappedAddress()) return ipv6.toIPv4Address().toString()
  return `${new ipaddr.IPv6([...ipv6.parts.slice(0, 4), 0, 0, 0, 0])}/64`
}
