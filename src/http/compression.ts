/** Answers that are large, and the same for everybody, are compressed for clients that take that (RFC 9110 section 8.4). */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { acceptsCoding } from './accept'
import { appendHeader } from './headers'
import type { Arrival } from './request-context'

export interface Compressible {
  plain: string
  gzip: Uint8Array<ArrayBuffer>
}

const compress = promisify(gzip)

export async function compressible(plain: string): Promise<Compressible> {
  return { plain, gzip: new Uint8Array(await compress(plain)) }
}

/** @returns an answer whose body is compressed if the request allows that */
export function answerCompressed(
  { request, set }: Arrival,
  { plain, gzip }: Compressible,
  headers: Record<string, string>,
): Response {
  appendHeader(set.headers, 'vary', 'Accept-Encoding')
  if (!acceptsCoding(request.headers.get('accept-encoding') ?? '', 'gzip'))
    return new Response(plain, { headers })
  return new Response(gzip, { headers: { ...headers, 'content-encoding': 'gzip' } })
}
