/** Cursors: positions that clients keep for us. They cannot read them, and use them only with the list that gave them. */
import { hash } from 'node:crypto'
import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** An id or a revision. TypeBox's own integer: Elysia trap 11 (docs/elysia.md). */
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

const CHECKSUM_LENGTH = 16

/**
 * The checksum is no secret: a cursor opens nothing that its sender could not read anyway. It recognizes a cursor of
 * another list, and one that was cut or changed on its way.
 *
 * @param list what the cursor belongs to
 * @param position what JSON can hold
 * @returns text that is safe in a URL
 */
export function encodeCursor(list: readonly unknown[], position: unknown): string {
  return withChecksum(list, JSON.stringify(position))
}

function withChecksum(list: readonly unknown[], text: string): string {
  const checksum = hash('sha256', JSON.stringify([...list, text]), 'base64url')
  return checksum.slice(0, CHECKSUM_LENGTH) + Buffer.from(text).toString('base64url')
}

/** @returns undefined for a cursor of another list, or one that does not fit the schema: anybody can make a checksum */
export function decodeCursor<S extends TSchema>(
  schema: S,
  list: readonly unknown[],
  cursor: string,
): S['static'] | undefined {
  const text = Buffer.from(cursor.slice(CHECKSUM_LENGTH), 'base64url').toString()
  if (withChecksum(list, text) !== cursor) return undefined
  try {
    const position: unknown = JSON.parse(text)
    return Value.Check(schema, position) ? position : undefined
  } catch {
    return undefined
  }
}
