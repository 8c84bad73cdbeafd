/** What a route says of itself to the OpenAPI document and to clients: its `detail`. */

/** Request headers in the document. Not a schema of headers: Elysia trap 27 (docs/elysia.md). */
export const REQUEST_HEADERS = {
  'If-Match': 'Only if the resource still has one of these ETags; else 412',
  'If-None-Match': 'Only if it has changed since one of these ETags; else 304',
  'Last-Event-ID': 'The `id` of the last event that arrived: goes on after it',
  'Idempotency-Key': '1 to 255 visible ASCII characters: makes it safe to send the request again',
}

/** Headers of answers in the document: for `responseHeaders` of a schema. */
export const RESPONSE_HEADERS = {
  ETag: { description: 'Made from the revision', required: true, schema: { type: 'string' } },
  Link: { description: 'If there are more: `<…>; rel="next"`', schema: { type: 'string' } },
  Location: {
    description: 'The address of the new resource',
    required: true,
    schema: { type: 'string', format: 'uri-reference' },
  },
}

/** `with-body`: without a body, the second time takes the first one back. `with-key`: with an `Idempotency-Key`. */
export type Repeatable = 'always' | 'with-body' | 'with-key'

interface Operation {
  id: string
  tag: string
  summary: string
  description: string
  headers?: readonly (keyof typeof REQUEST_HEADERS)[]
  /** Whether a client may send the request again if its answer was lost. Left out: never, unless it is a GET or HEAD. */
  repeatable?: Repeatable
}

export function operation({ id, tag, headers = [], ...rest }: Operation) {
  return { operationId: id, tags: [tag], requestHeaders: headers, ...rest }
}
