/** The query as it was sent. */
import { invalid } from './problems'

/**
 * For routes with parameters: of one that is sent twice, which would count?
 *
 * @throws Problem VALIDATION_ERROR
 */
export function sentQuery(request: Request): URLSearchParams {
  const sent = new URLSearchParams(queryOf(request.url))
  const names = new Set(sent.keys())
  if (names.size === sent.size) return sent
  const repeated = [...names].filter((name) => sent.getAll(name).length > 1)
  throw invalid(
    ...repeated.map((pointer) => ({ in: 'query' as const, pointer, detail: 'must be sent once' })),
  )
}

/** All behind the first question mark: a second one is a character like any other. */
function queryOf(url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}
