/** Passwords: which are refused, and the slow work of hashing, bounded. */
import { availableParallelism } from 'node:os'
import pLimit from 'p-limit'
import { invalid, Problem } from '../http/problems'
import commonPasswords from './common-passwords.json'

/** OWASP's first choice, https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2 }

/** How every hash with these parameters begins (the PHC string format); Bun has no threads for one hash: p=1. */
const PREFIX = `$argon2id$v=19$m=${PARAMETERS.memoryCost},t=${PARAMETERS.timeCost},p=1$`

/** No password's, and as slow to refuse as any: who has no account costs as much as who has. */
const NOBODYS_HASH = `${PREFIX}${phcBase64(32)}$${phcBase64(32)}`

/** A hash keeps one core busy and holds 19 MiB. */
const hashing = pLimit(availableParallelism())

/** A few seconds of work for each core. Who comes later would give up before their turn. */
const MAX_WAITING = 50 * availableParallelism()

/** Zeros. */
function phcBase64(length: number): string {
  return Buffer.alloc(length).toString('base64').replace(/=+$/, '')
}

/** @throws Problem OVERLOADED */
async function inTurn<T>(hash: () => Promise<T>): Promise<T> {
  if (hashing.pendingCount >= MAX_WAITING) throw new Problem('OVERLOADED')
  return hashing(hash)
}

/** One password may arrive composed in two ways, by the keyboard it was typed on (RFC 8265 section 4.2.2). */
function prepare(password: string): string {
  return password.normalize('NFC')
}

/**
 * @returns an argon2id hash in the PHC string format
 * @throws Problem OVERLOADED
 */
export function hashPassword(password: string): Promise<string> {
  return inTurn(() => Bun.password.hash(prepare(password), { algorithm: 'argon2id', ...PARAMETERS }))
}

/**
 * @param hash argon2 or bcrypt; undefined where there is no account: takes as long, and is false
 * @throws Problem OVERLOADED
 */
export function verifyPassword(password: string, hash = NOBODYS_HASH): Promise<boolean> {
  const bytes = Buffer.from(prepare(password))
  // bcrypt is defined for 72 bytes and others leave out the rest; Bun alone would digest it first
  return inTurn(() => Bun.password.verify(hash.startsWith('$2') ? bytes.subarray(0, 72) : bytes, hash))
}

/** Whether the hash is of another kind, or of other parameters, than are in use now. */
export function isOutdated(hash: string): boolean {
  return !hash.startsWith(PREFIX)
}

// the test compares it with where it is from
const COMMON = new Set(commonPasswords)

/**
 * Refuses what is tried first.
 *
 * @param pointer the field that it was sent in
 * @throws Problem VALIDATION_ERROR
 */
export function refuseGuessable(password: string, email: string, pointer: string): void {
  if (isSame(password, email)) {
    throw invalid({ in: 'body', pointer, detail: 'must be another than the e-mail address' })
  }
  if (COMMON.has(password.toLowerCase())) {
    throw invalid({ in: 'body', pointer, detail: 'is one of the passwords that are tried first' })
  }
}

/** As `email_key` in the database compares. */
export function isSame(password: string, email: string): boolean {
  return fold(password) === fold(email)
}

/** Alike for addresses that are the same. */
export function fold(text: string): string {
  return prepare(text).toLowerCase().toUpperCase().normalize('NFC')
}
