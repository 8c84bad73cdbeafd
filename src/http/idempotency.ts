/**
 * Keys that make it safe to send a request again, after
 * https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. Unlike there, the key is any visible
 * ASCII text, not a quoted string of structured fields, and one on another request is 422.
 */
import { hash } from 'node:crypto'
import { invalid } from './problems'

export interface IdempotencyKey {
  key: string
  /** SHA-256 of method, path and body. */
  fingerprint: Buffer
}

/**
 * @param body as it was validated
 * @returns undefined if the request has no key
 * @throws Problem VALIDATION_ERROR for a malformed key
 */
export function idempotencyKey(request: Request, path: string, body: unknown): IdempotencyKey | undefined {
  const key = request.headers.get('idempotency-key')
  if (key === null) return undefined
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    const detail = 'must be 1 to 255 visible ASCII characters, and sent once'
    throw invalid({ in: 'header', pointer: 'Idempotency-Key', detail })
  }
  const said = JSON.stringify([request.method, path.replace(/\/$/, ''), body])
  return { key, fingerprint: hash('sha256', said, 'buffer') }
}
