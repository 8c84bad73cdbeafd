/** Hashes and verifies passwords, a bounded number at a time, and refuses guessable ones. */
import { availableParallelism } from 'node:os'
import pLimit from 'p-limit'
import { invalid, Problem } from '../http/problems'
import commonPasswords from './common-passwords.json'

/** OWASP's recommendation, https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2 }

/** Every hash with these parameters begins so (PHC string format). Bun computes a hash on one thread: p=1. */
const PREFIX = `$argon2id$v=19$m=${PARAMETERS.memoryCost},t=${PARAMETERS.timeCost},p=1$`

/** No password has this hash. Verifying it takes the same time, so that it does not tell whether an account exists. */
const UNMATCHABLE_HASH = `${PREFIX}${zeros(32)}$${zeros(32)}`

/** A hash keeps one core busy and holds 19 MiB. */
const hashing = pLimit(availableParallelism())

/** A few seconds of work for each core: a client further back in the queue would give up before its turn. */
const MAX_WAITING = 50 * availableParallelism()

/** @returns so many zero bytes, in the base64 of the PHC string format */
function zeros(length: number): string {
  return Buffer.alloc(length).toString('base64').replace(/=+$/, '')
}

/** @throws Problem OVERLOADED */
async function inTurn<T>(hash: () => Promise<T>): Promise<T> {
  if (hashing.pendingCount >= MAX_WAITING) throw new Problem('OVERLOADED')
  return hashing(hash)
}

/** Two keyboards may compose the same characters in different ways (RFC 8265 section 4.2.2). */
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
 * @param hash argon2 or bcrypt; undefined if there is no account: the result is then false, after the same time
 * @throws Problem OVERLOADED
 */
export function verifyPassword(password: string, hash = UNMATCHABLE_HASH): Promise<boolean> {
  const bytes = Buffer.from(prepare(password))
  // other libraries use only the first 72 bytes with bcrypt; Bun would hash a longer password first
  return inTurn(() => Bun.password.verify(hash.startsWith('$2') ? bytes.subarray(0, 72) : bytes, hash))
}

/** Whether the hash was made with another algorithm, or other parameters, than new ones are. */
export function isOutdated(hash: string): boolean {
  return !hash.startsWith(PREFIX)
}

// a test compares the file with its source
const COMMON = new Set(commonPasswords)

/**
 * Refuses the passwords that an attacker tries first.
 *
 * @param pointer the field in which it was sent
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

/** Compares as `email_key` in the database does. */
export function isSame(password: string, email: string): boolean {
  return fold(password) === fold(email)
}

/** @returns the same text for all spellings of an e-mail address */
export function fold(text: string): string {
  return prepare(text).toLowerCase().toUpperCase().normalize('NFC')
}
