/** Turns every error into an answer. It is used before every route: Elysia trap 1 (docs/elysia.md). */
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Elysia, NotFoundError, ValidationError } from 'elysia'
import type { Logger } from 'pino'
import { isUnavailable } from '../database/errors'
import { codeOf } from '../system/errors'
import type { Metrics } from '../telemetry/metrics'
import { invalid, Problem } from './problems'
import { contextOf } from './request-context'
import { fieldErrors, PLACES } from './validation'

/** The members of Elysia's routes that are used here. */
export interface Route {
  method: string
  /** With its parameters, such as `:id`. */
  path: string
  hooks: { params?: TSchema; query?: TSchema; body?: TSchema }
}

interface Deps {
  /** Gets 500s and 503s with their cause, and the reason why a token was refused. */
  log: Logger
  metrics: Metrics | undefined
  /** Called when an input is wrong. */
  routes(): readonly Route[]
}

export function errors({ log, metrics, routes }: Deps) {
  return new Elysia({ name: 'errors' }).onError({ as: 'global' }, (context) => {
    // only what is needed: Elysia trap 21 (docs/elysia.md)
    const { error, set, request, route, params, query, body } = context
    const input = { request, route, params, query, body }
    const problem =
      error instanceof ValidationError ? fromValidation(error, input, routes()) : toProblem(error)
    const { code, status, cause, refusal } = problem
    contextOf(request).errorCode = code
    const requestId = String(set.headers['x-request-id'])
    const told = { err: cause, code, request_id: requestId }
    if (status === 500) log.error(told, 'request failed')
    else if (status === 503) log.warn(told, problem.message)
    if (refusal) {
      log.debug({ ...refusal, code, request_id: requestId }, 'token refused')
      metrics?.refusedToken(refusal.reason)
    }
    set.status = status
    // the handler may have set these before it failed
    for (const name of ['location', 'link', 'x-total-count']) delete set.headers[name]
    Object.assign(set.headers, problem.headers, {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
    })
    return JSON.stringify(problem.body(requestId))
  })
}

/** @returns what a client is told of this error */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof NotFoundError) return new Problem('NOT_FOUND')
  // the client has gone and reads no answer, but the log has its status
  if (codeOf(error) === 'ABANDONED') return new Problem('REQUEST_TIMEOUT')
  return new Problem(isUnavailable(error) ? 'DATABASE_UNAVAILABLE' : 'INTERNAL_ERROR', { cause: error })
}

interface Input {
  request: Request
  route: string
  params: unknown
  query: unknown
  body: unknown
}

/** In the order in which Elysia checks them. */
const PARTS = ['params', 'query', 'body'] as const

/** Also checks the parts after the first wrong one: Elysia trap 5 (docs/elysia.md). */
function fromValidation(error: ValidationError, input: Input, routes: readonly Route[]): Problem {
  const first = PARTS.indexOf(error.type as (typeof PARTS)[number])
  // an answer that does not fit its schema: Elysia trap 7 (docs/elysia.md)
  if (first === -1) return new Problem('INTERNAL_ERROR', { cause: error })
  const method = input.request.method === 'HEAD' ? 'GET' : input.request.method
  const route = routes.find((each) => each.method === method && each.path === input.route)
  const faults = PARTS.slice(first).flatMap((part) => {
    const schema = route?.hooks[part]
    return schema ? fieldErrors(PLACES[part], Value.Errors(schema, input[part])) : []
  })
  return invalid(...faults)
}
