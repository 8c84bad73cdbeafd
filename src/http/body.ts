/** Reads a JSON body. It is read after authentication, so that a request without a token is not parsed. */

import { invalid, Problem } from './problems'
import { inTime } from './request-context'

/** In bytes. */
const MAX_BODY = 64 * 1024

/** Elysia trap 9 (docs/elysia.md). */
const MAX_DEPTH = 32

// application/merge-patch+json is what PATCH means here (RFC 7396), and other +json types differ only in name
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/

/** The problems of a body that has not been validated yet. */
export const BODY_PROBLEMS = [
  'MALFORMED_JSON',
  'REQUEST_TIMEOUT',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
] as const

/**
 * @returns the parsed body, or undefined if there is none
 * @throws Problem PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, MALFORMED_JSON or REQUEST_TIMEOUT
 */
export async function readJson(request: Request): Promise<unknown> {
  if (Number(request.headers.get('content-length')) > MAX_BODY) throw new Problem('PAYLOAD_TOO_LARGE')
  const bytes = await inTime(request, readBytes(request), 'REQUEST_TIMEOUT')
  if (bytes.byteLength === 0) return undefined
  checkMediaType(request.headers)
  const value = parse(bytes)
  if (isDeeperThan(MAX_DEPTH, value)) {
    throw invalid({ in: 'body', pointer: '', detail: `must not be nested deeper than ${MAX_DEPTH} levels` })
  }
  refuseToString(value)
  return value
}

/** Elysia trap 10 (docs/elysia.md). No schema knows such a field. @throws Problem VALIDATION_ERROR */
function refuseToString(value: unknown): void {
  const pointer = pointerToString(value)
  if (pointer !== undefined) throw invalid({ in: 'body', pointer, detail: 'is not a known field' })
}

/** @returns the JSON pointer of the first field `toString`, at whatever depth */
function pointerToString(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Object.hasOwn(value, 'toString')) return '/toString'
  for (const [key, each] of Object.entries(value)) {
    const rest = pointerToString(each)
    if (rest !== undefined) return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}${rest}`
  }
  return undefined
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new Problem('MALFORMED_JSON', { cause })
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((each) => isDeeperThan(levels - 1, each))
}

/** A client that goes away in the middle has sent malformed JSON: it is no failure of the server. */
async function readBytes(request: Request): Promise<Uint8Array> {
  try {
    if (request.headers.has('content-length')) return new Uint8Array(await request.arrayBuffer())
    return await readChunks(request)
  } catch (cause) {
    throw cause instanceof Problem ? cause : new Problem('MALFORMED_JSON', { cause })
  }
}

/** A chunked body does not say how long it is, so it is measured while it arrives. */
async function readChunks({ body }: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = body?.getReader()
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
    size += next.value.byteLength
    if (size > MAX_BODY) throw new Problem('PAYLOAD_TOO_LARGE')
    chunks.push(next.value)
  }
  return Buffer.concat(chunks)
}

function checkMediaType(headers: Headers): void {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset=("?)utf-?8\1$/.test(charset)
  const isPlain = (headers.get('content-encoding') ?? 'identity').toLowerCase() === 'identity'
  if (JSON_TYPE.test(type.trim()) && isUtf8 && isPlain) return
  // RFC 9110 section 12.5.3: says which coding is accepted
  throw new Problem('UNSUPPORTED_MEDIA_TYPE', isPlain ? {} : { headers: { 'accept-encoding': 'identity' } })
}
