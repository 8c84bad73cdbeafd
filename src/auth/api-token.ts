/**
 * Tokens for programs: `twp_`, 160 random bits in 27 characters of base62, and their CRC-32 in 6, so that a mistyped token is
 * refused without asking the database, and scanners of source code recognize one. There is no dot, so it is never taken for a JWT.
 */
import { randomBytes } from 'node:crypto'

const PREFIX = 'twp_'
const SECRET_LENGTH = 27
const CHECKSUM_LENGTH = 6
const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`)
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Makes a new token. */
export function newApiToken(): string {
  const secret = base62(BigInt(`0x${randomBytes(20).toString('hex')}`), SECRET_LENGTH)
  return PREFIX + secret + checksumOf(secret)
}

/** Whether the text is meant to be a token for programs. */
export function isApiToken(text: string): boolean {
  return text.startsWith(PREFIX)
}

/** Whether the text has the form of a token, and the right checksum. */
export function isWellFormed(token: string): boolean {
  if (!FORM.test(token)) return false
  const end = PREFIX.length + SECRET_LENGTH
  return checksumOf(token.slice(PREFIX.length, end)) === token.slice(end)
}

function checksumOf(secret: string): string {
  return base62(BigInt(Bun.hash.crc32(secret)), CHECKSUM_LENGTH)
}

function base62(value: bigint, length: number): string {
  let digits = ''
  for (let rest = value; digits.length < length; rest /= 62n) digits = DIGITS[Number(rest % 62n)] + digits
  return digits
}
