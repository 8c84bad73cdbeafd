/** A token for trying things out. */
import { signAccessToken } from '../auth/token'
import type { Settings } from '../settings'

/**
 * Prints an access token of this user, and nothing else.
 *
 * @throws Error in production, or if there is no secret to sign with
 */
export async function printToken(user: string, settings: Settings): Promise<void> {
  if (settings.production) throw new Error('Tokens for trying things out are made in development only.')
  if (settings.secret === undefined) {
    throw new Error(
      `Taskwell cannot sign tokens here: it trusts those of ${settings.jwks?.issuers.join(', ')}. Sign in there, or set BETTER_AUTH_SECRET as well.`,
    )
  }
  process.stdout.write(`${await signAccessToken(user, settings)}\n`)
}
