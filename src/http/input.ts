/** How a route says what it takes. */
import type { TSchema } from '@sinclair/typebox'
import { readJson } from './body'
import { refuseRepeated } from './query'
import { NoQuery } from './schemas'

interface Inputs {
  params?: TSchema
  /** Left out, the route takes no parameters. */
  query?: TSchema
  /** Left out, a body is not read. */
  body?: TSchema
}

interface ValidInput {
  request: Request
  params: Record<string, unknown>
  query: Record<string, unknown>
}

/**
 * Spread into a route. The body is read after authentication and before validation. After validation, parameters that
 * were sent twice are refused, and numbers in parameters are converted from text.
 */
export function input<Given extends Inputs>(given: Given) {
  const { params, query = NoQuery, body } = given
  const numbersInPath = numbersOf(params)
  const numbersInQuery = numbersOf(query)
  const schemas = { ...given, query } as Given & { query: QueryOf<Given> }
  return {
    ...schemas,
    transform: body ? [readBody] : [],
    beforeHandle({ request, params, query }: ValidInput) {
      refuseRepeated(request, query)
      convert(params, numbersInPath)
      convert(query, numbersInQuery)
    },
  }
}

type QueryOf<Given extends Inputs> = Given extends { query: infer Query extends TSchema }
  ? Query
  : typeof NoQuery

async function readBody(context: { request: Request; body: unknown }): Promise<void> {
  context.body = await readJson(context.request)
}

/** @returns the names of the parameters that are numbers */
function numbersOf(schema: TSchema | undefined): string[] {
  const properties: Record<string, TSchema> = schema?.['properties'] ?? {}
  return Object.keys(properties).filter((name) => properties[name]?.['isNumber'])
}

/** Elysia trap 12 (docs/elysia.md). A number above 2^53 becomes the largest safe one, which is the id of no task. */
function convert(values: Record<string, unknown>, names: readonly string[]): void {
  for (const name of names) {
    if (values[name] !== undefined) values[name] = Math.min(Number(values[name]), Number.MAX_SAFE_INTEGER)
  }
}
