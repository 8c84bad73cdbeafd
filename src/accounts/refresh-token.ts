/** Refresh tokens: random bits that only their holder knows. */
import { createHash, randomBytes } from 'node:crypto'

/** @returns 256 random bits, base64url */
export function newRefreshToken(): string {
  return randomBytes(32).toString('base64url')
}

/** @returns what is stored of it: SHA-256, 32 bytes */
export function hashOf(refreshToken: string): Buffer {
  return createHash('sha256').update(refreshToken).digest()
}
