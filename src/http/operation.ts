/** What a route says of itself to the OpenAPI document and to clients: its `detail`. */

/** Request headers in the document. Not a schema of headers: Elysia trap 27 (docs/elysia.md). */
export const REQUEST_HEADERS = {
  'If-Match': 'Only if the resource still has one of these ETags; else 412',
  'If-None-Match': 'Only if it has changed since one of these ETags; else 304',
  'Last-Event-ID': 'The `id` of the last event that arrived: goes on after it',
  'Idempotency-Key': '1 to 255 visible ASCII characters: makes it safe to send the request again',
}

function always(description: string, schema: object = { type: 'string' }) {
  return { description, required: true, schema }
}

function sometimes(description: string, schema: object = { type: 'string' }) {
  return { description, schema }
}

/** Headers of answers in the document. */
export const RESPONSE_HEADERS = {
  'X-Request-Id': always("The request's id, also in the log"),
  RateLimit: always('What is left of each limit, and in how many seconds it is full again'),
  'RateLimit-Policy': always('How many requests a limit lets through, in how many seconds'),
  ETag: always('Names this state: for `If-Match` and `If-None-Match`'),
  Link: sometimes('If there are more: `<…>; rel="next"`'),
  Location: always('The address of the new resource', { type: 'string', format: 'uri-reference' }),
  'X-Total-Count': sometimes('With `count=true`', { type: 'integer' }),
  'Idempotency-Replayed': sometimes('`true`: this is the first answer to the request, sent again'),
  'Retry-After': sometimes(
    'In seconds; of an assistant that cannot answer, only if its provider has said so',
    {
      type: 'integer',
    },
  ),
  'WWW-Authenticate': always('RFC 6750'),
}
export type ResponseHeader = keyof typeof RESPONSE_HEADERS

/** @returns the schema of an answer that also has these headers */
export function withHeaders<Schema extends object>(schema: Schema, ...responseHeaders: ResponseHeader[]) {
  return { ...schema, responseHeaders }
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
  /** Whether the answer may take minutes: a client waits for it longer than for others. */
  slow?: true
}

export function operation({ id, tag, headers = [], ...rest }: Operation) {
  return { operationId: id, tags: [tag], requestHeaders: headers, ...rest }
}
