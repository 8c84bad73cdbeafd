/** What a failed call gives. */
import type { Answer, ErrorCode, NoAnswer, Problem } from './answer'

/** @returns a response in the shape of any other problem */
export function noAnswer(cause: unknown): Response {
  const problem: NoAnswer = {
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    detail: `The server gave no answer: ${cause instanceof Error ? cause.message : cause}`,
    error_code: 'NO_ANSWER',
    status_code: 503,
    request_id: '',
  }
  const headers = { 'content-type': 'application/problem+json' }
  // older engines have no `Response.json`
  return new Response(JSON.stringify(problem), { status: 503, headers })
}

/** The server has answered with a problem, or not at all. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number
  /** The answer's body. */
  readonly value: unknown
  /** What is wrong; undefined if the answer came from another server, such as a proxy. */
  readonly problem: Problem | NoAnswer | undefined
  /** The problem's `error_code`. */
  readonly code: ErrorCode | 'NO_ANSWER' | undefined

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

export function isProblem(value: unknown): value is Problem | NoAnswer {
  return typeof value === 'object' && value !== null && 'error_code' in value
}
