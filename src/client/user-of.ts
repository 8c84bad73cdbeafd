/** Whose token it is. */

/**
 * Names the user of an access token, without checking it, as its issuer and subject (RFC 7519, section 4.1).
 *
 * @returns undefined if the token cannot be read
 */
export function userOf(token: string | null | undefined): string | undefined {
  try {
    const [, payload = ''] = token?.split('.') ?? []
    const { iss, sub, userId } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
    const user = sub || userId
    return typeof user === 'string' && user !== '' ? JSON.stringify([iss, user]) : undefined
  } catch {
    return undefined
  }
}
