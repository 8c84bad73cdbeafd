/** Refresh tokens and tickets: random bits, of which the database has only a hash. */
import { hash, randomBytes } from 'node:crypto'

/** @returns 256 random bits, base64url */
export function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** @returns the SHA-256 digest that is stored, 32 bytes */
export function hashOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
