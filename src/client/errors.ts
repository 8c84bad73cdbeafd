/** What a failed call gives. */
import type { Answer, ErrorCode, NoAnswer, Problem } from './answer'

/** @returns a response in the shape of any other problem */
export function noAnswer(cause: unknown): Response {
  const problem = problemOf(
    503,
    `The server gave no answer: ${cause instanceof Error ? cause.message : cause}`,
  )
  const headers = { 'content-type': 'application/problem+json' }
  // older engines have no `Response.json`
  return new Response(JSON.stringify(problem), { status: 503, headers })
}

/** @returns a problem for an answer of something else, such as a proxy, or another server at a wrong address */
export function notTaskwell({ status, headers, url }: Response): NoAnswer {
  const what = `status ${status}, ${headers.get('content-type') ?? 'no content type'}`
  return problemOf(status, `This is not an answer of Taskwell: ${what}${url && `, from ${url}`}`)
}

function problemOf(status: number, detail: string): NoAnswer {
  // the status of a proxy's answer is not in the types: they have those that the server gives
  const typed = status as 503
  const code = 'NO_ANSWER'
  return {
    type: 'about:blank',
    title: 'No answer',
    status: typed,
    detail,
    error_code: code,
    status_code: typed,
    request_id: '',
  }
}

/** The server has answered with a problem, or not at all. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number
  /** The answer's body. */
  readonly value: unknown
  /** What is wrong; `NO_ANSWER` also if the answer came from another server, such as a proxy. */
  readonly problem: Problem | undefined
  /** The problem's `error_code`. */
  readonly code: ErrorCode | undefined

  constructor(status: number, value: unknown) {
    const problem = isProblem(value) ? value : undefined
    super(problem?.detail ?? `The request failed with status ${status}`)
    this.status = status
    this.value = value
    this.problem = problem
    this.code = problem?.error_code
  }
}

/**
 * Gives the data of a call, for code that expects a failure to be thrown, such as React Query.
 *
 *     const tasks = await unwrap(client.api.v1.todos.get())
 *
 * @throws RequestError if the call has an `error`; and what the call rejects with
 */
export async function unwrap<Data>(call: Promise<Answer<Data>>): Promise<Data> {
  const { data, error } = await call
  if (error) throw error
  return data
}

export function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'error_code' in value
}
