/** The query as it was sent. */
import { invalid } from './problems'

/**
 * For routes with parameters: of one that is sent twice, which would count?
 *
 * @throws Problem VALIDATION_ERROR
 */
export function sentQuery(request: Request): URLSearchParams {
  const sent = new URLSearchParams(request.url.split('?')[1])
  const repeated = [...new Set(sent.keys())].filter((name) => sent.getAll(name).length > 1)
  if (repeated.length === 0) return sent
  throw invalid(
    ...repeated.map((pointer) => ({ in: 'query' as const, pointer, detail: 'must be sent once' })),
  )
}
