/** Where every error becomes an answer. Used first, so that it covers every route and plugin after it. */
import { Elysia, NotFoundError, ValidationError } from 'elysia'
import type { Logger } from 'pino'
import { fromDatabaseError } from '../database/errors'
import { invalid, Problem } from './problems'
import { fieldErrors, placeOf } from './validation'

/** @param log where a 500 is told, with what made it */
export function errors(log: Logger) {
  return new Elysia({ name: 'errors' }).onError({ as: 'global' }, ({ error, set }) => {
    const problem = toProblem(error)
    const requestId = String(set.headers['x-request-id'])
    const told = { err: problem.cause, code: problem.code, request_id: requestId }
    if (problem.status === 500) log.error(told, 'request failed')
    else if (problem.status === 503) log.warn(told, problem.message)
    set.status = problem.status
    // what was said of a success that did not come about
    for (const name of ['location', 'link', 'x-total-count']) delete set.headers[name]
    Object.assign(set.headers, problem.headers, {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
    })
    return JSON.stringify(problem.body(requestId))
  })
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof NotFoundError) return new Problem('NOT_FOUND')
  if (error instanceof ValidationError) {
    const place = placeOf(error.type)
    const { validator } = error
    // without a place it is an answer of ours that does not fit its schema
    if (place && 'Errors' in validator) return invalid(...fieldErrors(place, validator.Errors(error.value)))
  }
  return fromDatabaseError(error) ?? internal(error)
}

function internal(cause: unknown): Problem {
  return new Problem('INTERNAL_ERROR', { cause })
}

interface Route {
  method: string
  path: string
}

/** For each path, the methods it answers, for the 405 that any other method gets. */
export function methodsByPath(routes: readonly Route[]): Map<string, string> {
  const methods = Map.groupBy(
    routes.filter(({ path }) => !path.includes('*')),
    ({ path }) => path,
  )
  return new Map(
    [...methods].map(([path, all]) => [
      path,
      all.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', '),
    ]),
  )
}

/** @param allowed the header `Allow` (RFC 9110 section 10.2.1) */
export function methodNotAllowed(allowed: string) {
  return (): never => {
    throw new Problem('METHOD_NOT_ALLOWED', { headers: { allow: allowed } })
  }
}
