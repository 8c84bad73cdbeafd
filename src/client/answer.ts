/** What a call takes and gives. */
import type { Change, Problem as ProblemMembers, StatusOf, Task } from './schemas'

/** The stable codes of problems: decide by them, not by the words of `detail`. */
export type ErrorCode = keyof StatusOf

/** One field at fault: `pointer` is a JSON Pointer into the body, or the name of a parameter. */
export type FieldError = NonNullable<ProblemMembers['errors']>[number]

/** What some problems have beside the members that all have. */
interface OwnMembers {
  VALIDATION_ERROR: { errors: FieldError[] }
  PRECONDITION_FAILED: { current: Task }
}

/** What went wrong (RFC 9457): `Problem` is any problem, and `Problem<'TASK_NOT_FOUND'>` is that of one code. */
export type Problem<Code extends ErrorCode = ErrorCode> = Code extends ErrorCode
  ? Omit<ProblemMembers, 'status' | 'status_code' | 'error_code'> & {
      status: StatusOf[Code]
      status_code: StatusOf[Code]
      error_code: Code
    } & (Code extends keyof OwnMembers ? OwnMembers[Code] : unknown)
  : never

/** Stands in for an answer that never came, so that a failed call always has a problem to read. */
export interface NoAnswer extends Omit<ProblemMembers, 'status' | 'status_code' | 'error_code'> {
  status: 503
  status_code: 503
  error_code: 'NO_ANSWER'
}

type CodesOf<Status, Code extends ErrorCode> = {
  [Each in Code]: StatusOf[Each] extends Status ? Each : never
}[Code]

/** What a `RequestError` has, beside its own status and value. */
interface Thrown extends Error {
  readonly name: 'RequestError'
  readonly problem: Problem | NoAnswer | undefined
  readonly code: ErrorCode | 'NO_ANSWER' | undefined
}

/** The problem's status, and the problem: a `RequestError`. */
export type Failure<Code extends ErrorCode> = {
  [Status in StatusOf[Code] | 503]: Thrown & {
    status: Status
    value: Problem<CodesOf<Status, Code>> | (Status extends 503 ? NoAnswer : never)
  }
}[StatusOf[Code] | 503]

interface Answered {
  status: number
  response: Response
  headers: Headers
}

/** Either `data` or `error` is null. */
export type Answer<Data, Code extends ErrorCode = ErrorCode> =
  | (Answered & { data: Data; error: null })
  | (Answered & { data: null; error: Failure<Code> })

export type Reply<Data, Code extends ErrorCode> = Promise<Answer<Data, Code>>

export interface Options<Query = undefined, Header extends string = never> {
  query?: Query | undefined
  headers?: ({ [Name in Header]?: string | undefined } & Record<string, string | undefined>) | undefined
  /** For `fetch`, such as `{ signal }`. */
  fetch?: RequestInit | undefined
}

/** Server-sent events: each has a change, and the `id` to go on after it. */
export type Events = AsyncGenerator<{ id?: string; data: Change }, void, undefined>
