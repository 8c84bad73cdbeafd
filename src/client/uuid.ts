/** Unique ids in every JavaScript engine. */

/**
 * Makes an id: a UUID of version 4 or, in an engine without `crypto`, of version 7 (RFC 9562). Without `crypto` there is
 * only `Math.random`, whose generator may have no more than 31 bits of state (older Hermes). Version 7 adds the time, so
 * that two ids are equal only if both generators were in the same state in the same millisecond. Such an id can be
 * guessed: never use it as a secret.
 */
export function uuid(): string {
  // pages over plain http have no `randomUUID`, and React Native has no `crypto`
  const { crypto } = globalThis as { crypto?: Partial<Pick<Crypto, 'randomUUID' | 'getRandomValues'>> }
  if (crypto?.randomUUID) return crypto.randomUUID()
  const bytes = new Uint8Array(16)
  if (crypto?.getRandomValues) return format(crypto.getRandomValues(bytes), 4)
  const now = Date.now()
  // shifts handle 32 bits, and the time has more
  return format(
    bytes.map((_, n) => (n < 6 ? Math.floor(now / 256 ** (5 - n)) : Math.random() * 256)),
    7,
  )
}

function format(bytes: Uint8Array, version: number): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  // the two upper bits of the seventeenth digit give the variant
  const variant = '89ab'.charAt(Number.parseInt(digits.charAt(16), 16) % 4)
  const [a, b, c, d, e] = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(13, 16),
    digits.slice(17, 20),
    digits.slice(20),
  ]
  return `${a}-${b}-${version}${c}-${variant}${d}-${e}`
}
