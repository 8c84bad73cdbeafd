/** The query of a request, as it was sent. */
import { invalid } from './problems'

/** @returns everything behind the first question mark; a second one is a character like any other */
export function queryOf({ url }: Request): URLSearchParams {
  const mark = url.indexOf('?')
  return new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1))
}

/**
 * Refuses a parameter that was sent twice (Elysia trap 14, docs/elysia.md).
 *
 * @param parsed the query as Elysia has parsed it
 * @throws Problem VALIDATION_ERROR
 */
export function refuseRepeated(request: Request, parsed: object): void {
  // the usual query has as many parts as names
  const parts = request.url.split('&').length
  if (parts === 1 || parts === Object.keys(parsed).length) return
  const sent = queryOf(request)
  const repeated = new Set([...sent.keys()].filter((name) => sent.getAll(name).length > 1))
  if (repeated.size === 0) return
  throw invalid(
    ...[...repeated].map((pointer) => ({ in: 'query' as const, pointer, detail: 'must be sent once' })),
  )
}

/**
 * The header `Link` of a page that has another one behind it. It has no host, because behind a proxy only the client knows the
 * host that it asked.
 */
export function nextLink(path: string, request: Request, cursor: string): string {
  const query = queryOf(request)
  query.delete('skip')
  query.set('cursor', cursor)
  return `<${path}?${query}>; rel="next"`
}
