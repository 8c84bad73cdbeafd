/** What a client wants an answer to be: the headers `Accept` and `Accept-Encoding` (RFC 9110 section 12.5). */

/**
 * How much a client wants a media type. If several ranges match, the most specific one counts. Parameters other than `q`
 * are not compared, because our types have none.
 *
 * @param accept the header
 * @param type in lower case, without parameters
 * @returns from 0 (not at all) to 1
 */
export function weightOf(accept: string, type: string): number {
  const [kind] = type.split('/')
  return weightOfFirst(accept, [type, `${kind}/*`, '*/*'])
}

/**
 * Whether a client wants a media type rather than JSON. If `Accept` gives both the same weight, it is wanted only if it is named.
 *
 * @param type in lower case, without parameters
 */
export function prefers(accept: string | null, type: string): boolean {
  if (accept === null || accept === '*/*') return false
  const weight = weightOf(accept, type)
  const usual = weightOf(accept, 'application/json')
  return weight > usual || (weight === usual && weight > 0 && accept.toLowerCase().includes(type))
}

/** @returns whether a body may be compressed in this way, such as `gzip` */
export function acceptsCoding(acceptEncoding: string, coding: string): boolean {
  return weightOfFirst(acceptEncoding, [coding, '*']) > 0
}

function weightOfFirst(header: string, names: readonly string[]): number {
  const ranges = header.toLowerCase().split(',').map(parseRange)
  for (const name of names) {
    const found = ranges.find((range) => range.name === name)
    if (found) return found.weight
  }
  return 0
}

/** A weight that is missing or malformed is 1 (RFC 9110 section 12.4.2). */
function parseRange(range: string): { name: string; weight: number } {
  const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
  const [, weight = '1'] =
    parameters.map((each) => /^q\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?)$/.exec(each)).find(Boolean) ?? []
  return { name, weight: Number(weight) }
}
