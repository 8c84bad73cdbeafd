/** Every answer of status 400 and over: one table of codes, one class to throw, one shape (RFC 9457). */
import type { TUnsafe } from '@sinclair/typebox'
import { t } from 'elysia'
import { component } from './components'
import { oneOf } from './validation'

/** Stable codes and the status each is sent with. */
export const STATUS_OF = {
  MALFORMED_JSON: 400,
  TOKEN_MISSING: 401,
  TOKEN_EXPIRED: 401,
  TOKEN_INVALID: 401,
  TOKEN_NOT_JWT: 401,
  OWNER_MISMATCH: 403,
  TASK_NOT_FOUND: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  VALIDATION_ERROR: 422,
  INTERNAL_ERROR: 500,
  DATABASE_UNAVAILABLE: 503,
  KEYS_UNAVAILABLE: 503,
} as const

export type ErrorCode = keyof typeof STATUS_OF
export type ProblemStatus = (typeof STATUS_OF)[ErrorCode]

/** The status phrase, as RFC 9457 section 4.2.1 asks of the title beside `about:blank`. */
export const TITLE_OF: Record<ProblemStatus, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

const FieldError = t.Object(
  {
    in: oneOf(['body', 'query', 'path', 'header']),
    pointer: t.String({ description: 'A JSON Pointer into the body, or the name of the parameter' }),
    detail: t.String(),
  },
  { additionalProperties: false },
)
export type FieldError = typeof FieldError.static

export const ProblemBody = component(
  'Problem',
  t.Object(
    {
      type: t.String({ format: 'uri-reference' }),
      title: t.String(),
      status: t.Number({ documented: { type: 'integer' } }),
      detail: t.String(),
      error_code: oneOf(Object.keys(STATUS_OF) as ErrorCode[]),
      status_code: t.Number({ documented: { type: 'integer', description: 'Repeats `status`' } }),
      request_id: t.String({ description: 'Repeats the header `X-Request-Id`' }),
      errors: t.Optional(t.Array(FieldError, { description: 'One entry for each field at fault' })),
    },
    { additionalProperties: false, description: 'What went wrong (RFC 9457)' },
  ),
)
export type ProblemBody = typeof ProblemBody.static

type CodesOf<S extends ProblemStatus, C extends ErrorCode> = {
  [K in C]: (typeof STATUS_OF)[K] extends S ? K : never
}[C]

/** A `response` entry for each status of the codes, narrowed to the codes of that status. */
type ProblemResponses<C extends ErrorCode> = {
  [S in (typeof STATUS_OF)[C]]: TUnsafe<
    ProblemBody & { status: S; status_code: S; error_code: CodesOf<S, C> }
  >
}

/**
 * What a route's `response` declares besides its success: documents and typed clients know only what is declared.
 * Every route can also fail with a 500.
 */
export function problems<const C extends readonly ErrorCode[]>(...codes: C) {
  const byStatus = Map.groupBy<ProblemStatus, ErrorCode>(
    [...codes, 'INTERNAL_ERROR'],
    (code) => STATUS_OF[code],
  )
  const responses = [...byStatus].map(([status, codes]) => [status, t.Unsafe({ ...ProblemBody, codes })])
  // fromEntries forgets the keys
  return Object.fromEntries(responses) as ProblemResponses<C[number] | 'INTERNAL_ERROR'>
}

interface ProblemOptions {
  errors?: FieldError[]
  headers?: Record<string, string>
  /** What made it; logged, never sent. */
  cause?: unknown
}

/** Thrown anywhere, answered in one place (`http/errors.ts`). The detail is our own sentence, never submitted data. */
export class Problem extends Error {
  readonly code: ErrorCode
  readonly status: ProblemStatus
  readonly errors: FieldError[] | undefined
  readonly headers: Record<string, string>

  constructor(code: ErrorCode, detail: string, { errors, headers = {}, cause }: ProblemOptions = {}) {
    super(detail, { cause })
    this.code = code
    this.status = STATUS_OF[code]
    this.errors = errors
    this.headers = headers
  }

  body(requestId: string): ProblemBody {
    return {
      type: 'about:blank',
      title: TITLE_OF[this.status],
      status: this.status,
      detail: this.message,
      error_code: this.code,
      status_code: this.status,
      request_id: requestId,
      ...(this.errors && { errors: this.errors }),
    }
  }
}

/** A 422 for one or more fields. */
export function invalid(...errors: FieldError[]): Problem {
  return new Problem('VALIDATION_ERROR', 'The request has fields that are not valid', { errors })
}
