/** What a call takes and gives. */
import type { Change, Problem as ProblemMembers, Reminder, StatusOf, Task } from './schemas'

/** `NO_ANSWER` stands in for an answer that never came, so that a failed call always has a problem to read. */
interface Statuses extends StatusOf {
  NO_ANSWER: 503
}

/** The stable codes of problems: decide by them, not by the words of `detail`. */
export type ErrorCode = keyof Statuses

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
      status: Statuses[Code]
      status_code: Statuses[Code]
      error_code: Code
    } & (Code extends keyof OwnMembers ? OwnMembers[Code] : unknown)
  : never

export type NoAnswer = Problem<'NO_ANSWER'>

type CodesOf<Status, Code extends ErrorCode> = {
  [Each in Code]: Statuses[Each] extends Status ? Each : never
}[Code]

/** What a `RequestError` has, beside its own status and value. */
interface Thrown extends Error {
  readonly name: 'RequestError'
  readonly problem: Problem | undefined
  readonly code: ErrorCode | undefined
}

/** The problem's status, and the problem: a `RequestError`. */
export type Failure<Code extends ErrorCode> = {
  [Status in Statuses[Code]]: Thrown & { status: Status; value: Problem<CodesOf<Status, Code>> }
}[Statuses[Code]]

interface Answered {
  status: number
  response: Response
  headers: Headers
}

/** Either `data` or `error` is null. */
export type Answer<Data, Code extends ErrorCode = ErrorCode> =
  | (Answered & { data: Data; error: null })
  | (Answered & { data: null; error: Failure<Code | 'NO_ANSWER'> })

export type Reply<Data, Code extends ErrorCode> = Promise<Answer<Data, Code>>

export interface Options<Query = undefined, Header extends string = never> {
  query?: Query | undefined
  headers?: ({ [Name in Header]?: string | undefined } & Record<string, string | undefined>) | undefined
  /** For `fetch`, such as `{ signal }`. */
  fetch?: RequestInit | undefined
}

/** A server-sent event: a change, and the `id` to go on after it, or a reminder. */
type ServerEvent =
  | { event?: never; id?: string; data: Change }
  | { event: 'reminder'; id?: never; data: Reminder }

export type Events = AsyncGenerator<ServerEvent, void, undefined>
