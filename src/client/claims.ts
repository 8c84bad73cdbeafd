/** What an access token says, unchecked: the server checks it. */

/** @returns the claims (RFC 7519); undefined if the token cannot be read, also in an engine without `atob` */
export function claimsOf(token: string | null | undefined): Record<string, unknown> | undefined {
  try {
    const [, payload = ''] = token?.split('.') ?? []
    const bytes = atob(payload.replaceAll('-', '+').replaceAll('_', '/'))
    // as UTF-8; not every engine has `TextDecoder`
    const escaped = [...bytes].map((byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
    const claims: unknown = JSON.parse(decodeURIComponent(escaped.join('')))
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}

/** @returns the id of the token's user as the server reads it; undefined if it names none */
export function subjectOf(token: string | null | undefined): string | undefined {
  const { sub, userId } = claimsOf(token) ?? {}
  const user = sub === undefined || sub === '' ? userId : sub
  return typeof user === 'string' && user !== '' ? user : undefined
}
