/** Every answer of status 400 and over: one table of codes, one class to throw, one shape (RFC 9457). */
import type { TObject, TProperties, TUnsafe } from '@sinclair/typebox'
import { t } from 'elysia'
import { integer, namedObject, oneOf, strict } from './schemas'

/** RFC 6750 section 3. */
const BEARER = { 'www-authenticate': 'Bearer' }
const INVALID_TOKEN = { 'www-authenticate': 'Bearer error="invalid_token"' }
/** In seconds. It is short, because a database or an issuer that restarts is back soon. */
const RETRY = { 'retry-after': '1' }

function entry<const Status extends number>(
  status: Status,
  detail: string,
  headers: Record<string, string> = {},
) {
  return { status, detail, headers }
}

/** Stable codes, and the answer to each. */
export const PROBLEMS = {
  MALFORMED_JSON: entry(400, 'The body is not JSON in UTF-8'),
  TOKEN_MISSING: entry(401, 'Send the header Authorization: Bearer <token>', BEARER),
  TOKEN_EXPIRED: entry(401, 'The token has expired', INVALID_TOKEN),
  TOKEN_INVALID: entry(401, 'The token is not valid', INVALID_TOKEN),
  TOKEN_NOT_JWT: entry(
    401,
    'The token is not a JWT; a Better Auth session token is exchanged for one at /api/auth/token',
    INVALID_TOKEN,
  ),
  TICKET_INVALID: entry(401, 'The ticket is unknown, used or expired: get another one', INVALID_TOKEN),
  INVALID_CREDENTIALS: entry(401, 'The e-mail address or the password is wrong', BEARER),
  OWNER_MISMATCH: entry(403, 'The path names another user than the token'),
  INSUFFICIENT_SCOPE: entry(403, 'The token is for programs, and has not been made for this'),
  ORIGIN_NOT_ALLOWED: entry(403, 'Pages of this origin may not call this'),
  WRONG_PASSWORD: entry(403, 'The current password is wrong'),
  ACCOUNT_NOT_FOUND: entry(
    404,
    'The user has no account here: another issuer looks after e-mail and password',
  ),
  SESSION_NOT_FOUND: entry(404, 'There is no such session'),
  TASK_NOT_FOUND: entry(404, 'There is no such task'),
  LIST_NOT_FOUND: entry(404, 'There is no such list'),
  TOKEN_NOT_FOUND: entry(404, 'There is no such token'),
  TAG_NOT_FOUND: entry(404, 'No task has this tag'),
  CONVERSATION_NOT_FOUND: entry(404, 'There is no such conversation'),
  NOT_FOUND: entry(404, 'There is nothing at this path'),
  METHOD_NOT_ALLOWED: entry(405, 'The header Allow has the methods of this path'),
  EMAIL_TAKEN: entry(409, 'There is an account with this e-mail address'),
  TOO_MANY: entry(409, 'There are as many as there may be: delete one first'),
  // RFC 9110 section 15.5.9
  REQUEST_TIMEOUT: entry(408, 'The request did not arrive in time', { connection: 'close' }),
  CURSOR_EXPIRED: entry(410, 'Changes since this cursor have been purged: start anew, without one'),
  PRECONDITION_FAILED: entry(412, 'The resource has changed since; `current` is what it is now'),
  PAYLOAD_TOO_LARGE: entry(413, 'The body is larger than 65536 bytes'),
  UNSUPPORTED_MEDIA_TYPE: entry(415, 'The body must be application/json in UTF-8, and not compressed'),
  IDEMPOTENCY_KEY_REUSED: entry(422, 'The Idempotency-Key was used for another request'),
  VALIDATION_ERROR: entry(422, 'The request has fields that are not valid'),
  RATE_LIMITED: entry(429, 'Too many requests; try again later', { 'retry-after': '60' }),
  INTERNAL_ERROR: entry(500, 'Internal server error'),
  DATABASE_UNAVAILABLE: entry(503, 'The database cannot be used at the moment', RETRY),
  KEYS_UNAVAILABLE: entry(503, "The token issuer's keys cannot be fetched", RETRY),
  ASSISTANT_OFF: entry(503, 'There is no assistant here'),
  ASSISTANT_UNAVAILABLE: entry(503, 'The assistant cannot answer at the moment'),
  OVERLOADED: entry(503, 'Too many requests are under way', RETRY),
  SHUTTING_DOWN: entry(503, 'This process is about to stop', RETRY),
}

export type ErrorCode = keyof typeof PROBLEMS
type StatusOf<C extends ErrorCode> = (typeof PROBLEMS)[C]['status']
type ProblemStatus = StatusOf<ErrorCode>

/** The phrase of the status: RFC 9457 section 4.2.1 asks for it if the type is `about:blank`. */
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
  strict,
)
export type FieldError = typeof FieldError.static

const DESCRIPTION = 'What went wrong (RFC 9457)'
const CODES = Object.keys(PROBLEMS) as ErrorCode[]
/** Problems with members of their own, which have schemas of their own in the document. */
const OWN_SCHEMA = new Set<ErrorCode>(['PRECONDITION_FAILED'])

export const ProblemBody = namedObject(
  'Problem',
  {
    type: t.String({ format: 'uri-reference' }),
    title: t.String(),
    status: integer(),
    detail: t.String(),
    error_code: t.Unsafe<ErrorCode>(oneOf(CODES.filter((code) => !OWN_SCHEMA.has(code)))),
    status_code: integer({ description: 'Repeats `status`' }),
    request_id: t.String({ description: 'Repeats the header `X-Request-Id`' }),
    errors: t.Optional(t.Array(FieldError, { description: 'One entry for each field at fault' })),
    conversation_id: t.Optional(
      integer({ description: 'With `ASSISTANT_UNAVAILABLE`: the conversation that has the message' }),
    ),
  },
  { description: DESCRIPTION },
)
export type ProblemBody = typeof ProblemBody.static & { current?: unknown }

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

/**
 * A `response` entry for one code whose problem has members of its own (RFC 9457 section 3.2).
 *
 * @param name of its schema in the document
 */
export function problemWith<C extends ErrorCode, Members extends TProperties>(
  code: C,
  name: string,
  members: Members,
) {
  namedObject(
    name,
    { ...ProblemBody.properties, error_code: oneOf([code]), ...members },
    { description: DESCRIPTION },
  )
  type Body = ProblemBody & { status: StatusOf<C>; status_code: StatusOf<C>; error_code: C }
  return { ...problemOf<Body & TObject<Members>['static']>(code), problemComponent: name }
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
  /** With ASSISTANT_UNAVAILABLE: the conversation that has the message. */
  conversationId?: number | undefined
  /** The error that led to it; logged, never sent. */
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
  readonly conversationId: number | undefined
  readonly refusal: Refusal | undefined

  constructor(code: ErrorCode, options: ProblemOptions = {}) {
    const { errors, headers, current, conversationId, cause, refusal } = options
    super(PROBLEMS[code].detail, { cause })
    this.code = code
    this.status = PROBLEMS[code].status
    this.errors = errors
    this.headers = { ...PROBLEMS[code].headers, ...headers }
    this.current = current
    this.conversationId = conversationId
    this.refusal = refusal
  }

  /** @returns the same problem with other headers */
  withHeaders(headers: Record<string, string>): Problem {
    const { code, errors, current, conversationId, cause, refusal } = this
    return new Problem(code, {
      ...(errors && { errors }),
      ...(refusal && { refusal }),
      headers: { ...this.headers, ...headers },
      current,
      conversationId,
      cause,
    })
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
      ...(this.conversationId !== undefined && { conversation_id: this.conversationId }),
    }
  }
}

/** A 422 for one or more fields. */
export function invalid(...errors: FieldError[]): Problem {
  return new Problem('VALIDATION_ERROR', { errors })
}
