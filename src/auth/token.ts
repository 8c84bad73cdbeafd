/** Access tokens of Taskwell's own. */
import { jwt } from '@elysiajs/jwt'
import type { Settings } from '../settings'

export type TokenSettings = Pick<Settings, 'secret' | 'jwtExpireMinutes' | 'issuers' | 'audiences'>

/**
 * Signs an access token (HS256).
 *
 * @param subject the user's id
 * @param sessionId becomes the claim `sid`
 * @throws Error if there is no shared secret
 */
export function signAccessToken(
  subject: string,
  { secret, jwtExpireMinutes, issuers, audiences }: TokenSettings,
  sessionId?: string,
): Promise<string> {
  if (secret === undefined) throw new Error('There is no shared secret to sign with: set BETTER_AUTH_SECRET')
  const { sign } = jwt({ secret, alg: 'HS256' }).decorator.jwt
  const [iss = 'taskwell', aud] = [issuers[0], audiences[0]]
  return sign({
    sub: subject,
    iss,
    ...(aud && { aud }),
    // so that two tokens of one session and one second differ
    ...(sessionId && { sid: sessionId, jti: crypto.randomUUID() }),
    iat: true,
    exp: `${jwtExpireMinutes}m`,
  })
}
