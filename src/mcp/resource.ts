/** What programs can find out about `/mcp` before they have a token: where to get one (RFC 9728). */

import { SCOPES } from '../auth/caller'
import { Problem } from '../http/problems'
import type { PublicPath } from '../http/public-path'
import type { Settings } from '../settings'

export const MCP_PATH = '/mcp'
export const METADATA_PATH = '/.well-known/oauth-protected-resource'

export interface Resource {
  /** @returns the address that tokens have to name; undefined: OAuth tokens are not taken */
  addressFor(request: Request): string | undefined
  /** @returns the metadata @throws Problem NOT_FOUND if OAuth tokens are not taken */
  describe(request: Request): object
  /** @returns the address of the metadata; undefined if OAuth tokens are not taken */
  metadataFor(request: Request): string | undefined
}

/** On the machine of the client. */
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Without a public URL the address is what the client has sent. A token for another service could be made to fit by sending the
 * name of that service, so only addresses of one's own machine are taken then.
 */
export function createResource(
  { publicUrl, authorizationServers }: Pick<Settings, 'publicUrl' | 'authorizationServers'>,
  publicPath: PublicPath,
): Resource {
  function addressFor(request: Request): string | undefined {
    if (authorizationServers.length === 0) return undefined
    const address = publicPath.whole(request)
    const isOurs = publicUrl !== undefined || LOOPBACK.has(URL.parse(address)?.hostname ?? '')
    return isOurs ? address + MCP_PATH : undefined
  }
  return {
    addressFor,
    describe(request) {
      const resource = addressFor(request)
      if (resource === undefined) throw new Problem('NOT_FOUND')
      return {
        resource,
        resource_name: 'Taskwell',
        authorization_servers: authorizationServers,
        scopes_supported: SCOPES,
        bearer_methods_supported: ['header'],
      }
    },
    metadataFor(request) {
      return addressFor(request) && publicPath.whole(request) + METADATA_PATH + MCP_PATH
    },
  }
}
