/** Answers that are large, and the same for everybody, are compressed for clients that take that (RFC 9110 section 8.4). */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { acceptsCoding } from './accept'
import { appendHeader } from './headers'
import type { Arrival } from './request-context'

/** An answer's text, which is compressed once, when a client first takes that. */
export interface Compressible {
  plain: string
  gzip(): Promise<Uint8Array<ArrayBuffer>>
}

const compress = promisify(gzip)

export function compressible(plain: string): Compressible {
  let compressed: Promise<Uint8Array<ArrayBuffer>> | undefined
  return {
    plain,
    gzip() {
      compressed ??= compress(plain).then((bytes) => new Uint8Array(bytes))
      return compressed
    },
  }
}

/** @returns an answer whose body is compressed if the request allows that */
export async function answerCompressed(
  { request, set }: Arrival,
  { plain, gzip }: Compressible,
  headers: Record<string, string>,
): Promise<Response> {
  appendHeader(set.headers, 'vary', 'Accept-Encoding')
  const takesGzip = acceptsCoding(request.headers.get('accept-encoding') ?? '', 'gzip')
  if (!takesGzip) return new Response(plain, { headers })
  return new Response(await gzip(), { headers: { ...headers, 'content-encoding': 'gzip' } })
}
