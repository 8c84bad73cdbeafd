/** Text that clients keep for us, such as cursors: opaque to them, and of use only where it was given. */
import { createHash } from 'node:crypto'

const DIGEST_LENGTH = 16

/**
 * The digest is no secret: a sealed position opens nothing that its sender could not read anyway. It tells one of
 * another place, or one that was cut or changed on its way.
 *
 * @param place what it is bound to
 * @returns text that is safe in a URL
 */
export function seal(place: readonly unknown[], text: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([...place, text]))
    .digest('base64url')
  return digest.slice(0, DIGEST_LENGTH) + Buffer.from(text).toString('base64url')
}

/** @returns undefined for what was not sealed for this place */
export function unseal(place: readonly unknown[], sealed: string): string | undefined {
  const text = Buffer.from(sealed.slice(DIGEST_LENGTH), 'base64url').toString()
  return seal(place, text) === sealed ? text : undefined
}
