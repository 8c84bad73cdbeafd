/** Every answer of status 400 and over: one table of codes, one class to throw, one shape (RFC 9457). */
import type { TUnsafe } from '@sinclair/typebox'
import { t } from 'elysia'
import { component, oneOf } from './schemas'

const CHALLENGE = { 'www-authenticate': 'Bearer error="invalid_token"' }
/** In seconds; a database or an issuer that restarts is back soon. */
const RETRY = { 'retry-after': '1' }

/** The stable codes with their answers. The headers of 401 are those of RFC 6750 section 3. */
export const PROBLEMS = {
  MALFORMED_JSON: { status: 400, detail: 'The body is not JSON in UTF-8', headers: {} },
  TOKEN_MISSING: {
    status: 401,
    detail: 'Send the header Authorization: Bearer <token>',
    headers: { 'www-authenticate': 'Bearer' },
  },
  TOKEN_EXPIRED: { status: 401, detail: 'The token has expired', headers: CHALLENGE },
  TOKEN_INVALID: { status: 401, detail: 'The token is not valid', headers: CHALLENGE },
  TOKEN_NOT_JWT: {
    status: 401,
    detail: 'The token is not a JWT; a Better Auth session token is exchanged for one at /api/auth/token',
    headers: CHALLENGE,
  },
  INVALID_CREDENTIALS: {
    status: 401,
    detail: 'The e-mail address or the password is wrong',
    headers: { 'www-authenticate': 'Bearer' },
  },
  OWNER_MISMATCH: { status: 403, detail: 'The path names another user than the token', headers: {} },
  WRONG_PASSWORD: { status: 403, detail: 'The current password is wrong', headers: {} },
  ACCOUNT_NOT_FOUND: {
    status: 404,
    detail: 'The user has no account here: another issuer looks after e-mail and password',
    headers: {},
  },
  SESSION_NOT_FOUND: { status: 404, detail: 'There is no such session', headers: {} },
  TASK_NOT_FOUND: { status: 404, detail: 'There is no such task', headers: {} },
  NOT_FOUND: { status: 404, detail: 'There is nothing at this path', headers: {} },
  METHOD_NOT_ALLOWED: { status: 405, detail: 'The header Allow has the methods of this path', headers: {} },
  EMAIL_TAKEN: { status: 409, detail: 'There is an account with this e-mail address', headers: {} },
  REQUEST_TIMEOUT: {
    status: 408,
    detail: 'The request did not arrive in time',
    // RFC 9110 section 15.5.9
    headers: { connection: 'close' },
  },
  CURSOR_EXPIRED: {
    status: 410,
    detail: 'Changes since this cursor have been purged: start anew, without one',
    headers: {},
  },
  PRECONDITION_FAILED: {
    status: 412,
    detail: 'The task has changed since; `current` is what it is now',
    headers: {},
  },
  PAYLOAD_TOO_LARGE: { status: 413, detail: 'The body is larger than 65536 bytes', headers: {} },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    detail: 'The body must be application/json in UTF-8, and not compressed',
    headers: {},
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    detail: 'The Idempotency-Key was used for another request',
    headers: {},
  },
  VALIDATION_ERROR: { status: 422, detail: 'The request has fields that are not valid', headers: {} },
  RATE_LIMITED: {
    status: 429,
    detail: 'Too many requests; try again later',
    headers: { 'retry-after': '60' },
  },
  INTERNAL_ERROR: { status: 500, detail: 'Internal server error', headers: {} },
  DATABASE_UNAVAILABLE: { status: 503, detail: 'The database cannot be used at the moment', headers: RETRY },
  KEYS_UNAVAILABLE: { status: 503, detail: "The token issuer's keys cannot be fetched", headers: RETRY },
  OVERLOADED: {
    status: 503,
    detail: 'Too many requests are under way',
    headers: RETRY,
  },
  SHUTTING_DOWN: { status: 503, detail: 'This process is about to stop', headers: RETRY },
} as const

export type ErrorCode = keyof typeof PROBLEMS
type StatusOf<C extends ErrorCode> = (typeof PROBLEMS)[C]['status']
export type ProblemStatus = StatusOf<ErrorCode>

/** The status phrase, as RFC 9457 section 4.2.1 asks of the title beside `about:blank`. */
const TITLE_OF: Record<ProblemStatus, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
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
      error_code: oneOf(Object.keys(PROBLEMS) as ErrorCode[]),
      status_code: t.Number({ documented: { type: 'integer', description: 'Repeats `status`' } }),
      request_id: t.String({ description: 'Repeats the header `X-Request-Id`' }),
      errors: t.Optional(t.Array(FieldError, { description: 'One entry for each field at fault' })),
      current: t.Optional(
        t.Unknown({ description: 'With `PRECONDITION_FAILED`: the resource as it is now' }),
      ),
    },
    { additionalProperties: false, description: 'What went wrong (RFC 9457)' },
  ),
)
export type ProblemBody = typeof ProblemBody.static

type CodesOf<S extends ProblemStatus, C extends ErrorCode> = {
  [K in C]: StatusOf<K> extends S ? K : never
}[C]

/** A `response` entry for each status of the codes, narrowed to the codes of that status. */
type ProblemResponses<C extends ErrorCode> = {
  [S in StatusOf<C>]: TUnsafe<ProblemBody & { status: S; status_code: S; error_code: CodesOf<S, C> }>
}

/**
 * Makes the `response` entries of a route's problems, always with `INTERNAL_ERROR`. Documents and typed clients know only
 * what is declared.
 */
export function problems<const C extends readonly ErrorCode[]>(...codes: C) {
  const byStatus = Map.groupBy<ProblemStatus, ErrorCode>(
    [...codes, 'INTERNAL_ERROR'],
    (code) => PROBLEMS[code].status,
  )
  const responses = [...byStatus].map(([status, codes]) => [status, problemOf<ProblemBody>(...codes)])
  // fromEntries forgets the keys
  return Object.fromEntries(responses) as ProblemResponses<C[number] | 'INTERNAL_ERROR'>
}

/** A `response` entry for one code whose problem has members of its own (RFC 9457 section 3.2). */
export function problemWith<C extends ErrorCode, Members>(code: C) {
  type Body = ProblemBody & { status: StatusOf<C>; status_code: StatusOf<C>; error_code: C } & Members
  return problemOf<Body>(code)
}

/** A mark, and no schema: Elysia trap 18 (docs/elysia.md). A route that returned a problem would be a 500: throw it. */
function problemOf<Body>(...codes: ErrorCode[]): TUnsafe<Body> {
  return { codes } as unknown as TUnsafe<Body>
}

export interface Refusal {
  /** One of a few fixed words, because metrics count by it. */
  reason: string
  [detail: string]: unknown
}

interface ProblemOptions {
  errors?: FieldError[]
  /** In addition to those that the code always has. */
  headers?: Record<string, string>
  /** With PRECONDITION_FAILED: the resource as it is now. */
  current?: unknown
  /** The error behind it; logged, never sent. */
  cause?: unknown
  /** Why a token was refused; logged and counted, never sent. */
  refusal?: Refusal
}

/** Can be thrown anywhere; `http/errors.ts` answers it. Its words are our own, never what was sent. */
export class Problem extends Error {
  readonly code: ErrorCode
  readonly status: ProblemStatus
  readonly errors: FieldError[] | undefined
  readonly headers: Record<string, string>
  readonly current: unknown
  readonly refusal: Refusal | undefined

  constructor(code: ErrorCode, { errors, headers, current, cause, refusal }: ProblemOptions = {}) {
    super(PROBLEMS[code].detail, { cause })
    this.code = code
    this.status = PROBLEMS[code].status
    this.errors = errors
    this.headers = { ...PROBLEMS[code].headers, ...headers }
    this.current = current
    this.refusal = refusal
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
      ...(this.current !== undefined && { current: this.current }),
    }
  }
}

/** A 422 for one or more fields. */
export function invalid(...errors: FieldError[]): Problem {
  return new Problem('VALIDATION_ERROR', { errors })
}
