/** Text that clients keep for us, such as cursors: opaque to them, and of use only where it was given. */
import { hash } from 'node:crypto'
import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** An id or a revision; Elysia's own integers take text as well. */
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

const DIGEST_LENGTH = 16

/**
 * The digest is no secret: a sealed position opens nothing that its sender could not read anyway. It tells one of
 * another place, or one that was cut or changed on its way.
 *
 * @param place what it is bound to
 * @param value what JSON can hold
 * @returns text that is safe in a URL
 */
export function seal(place: readonly unknown[], value: unknown): string {
  return sealText(place, JSON.stringify(value))
}

function sealText(place: readonly unknown[], text: string): string {
  const digest = hash('sha256', JSON.stringify([...place, text]), 'base64url')
  return digest.slice(0, DIGEST_LENGTH) + Buffer.from(text).toString('base64url')
}

/** @returns undefined for what was not sealed for this place, or is not of this schema: anybody can make a digest */
export function unseal<S extends TSchema>(
  schema: S,
  place: readonly unknown[],
  sealed: string,
): S['static'] | undefined {
  const text = Buffer.from(sealed.slice(DIGEST_LENGTH), 'base64url').toString()
  if (sealText(place, text) !== sealed) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(schema, value) ? value : undefined
  } catch {
    return undefined
  }
}
