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
 * were sent twice are refused, and numbers and booleans in parameters are converted from text.
 */
export function input<Given extends Inputs>(given: Given) {
  const { params, query = NoQuery, body } = given
  const convertPath = conversionOf(params)
  const convertQuery = conversionOf(query)
  const schemas = { ...given, query } as Given & { query: QueryOf<Given> }
  return {
    ...schemas,
    transform: body ? [readBody] : [],
    beforeHandle({ request, params, query }: ValidInput) {
      refuseRepeated(request, query)
      convertPath(params)
      convertQuery(query)
    },
  }
}

type QueryOf<Given extends Inputs> = Given extends { query: infer Query extends TSchema }
  ? Query
  : typeof NoQuery

async function readBody(context: { request: Request; body: unknown }): Promise<void> {
  context.body = await readJson(context.request)
}

/** Elysia trap 12 (docs/elysia.md). */
const CONVERT = {
  // above 2^53 it becomes the largest safe one, which is the id of no task
  number: (text: unknown) => Math.min(Number(text), Number.MAX_SAFE_INTEGER),
  boolean: (text: unknown) => text === 'true',
  list: (text: unknown) => String(text).split(','),
  idOrNone: (text: unknown) => (text === 'none' ? text : CONVERT.number(text)),
  moment: (text: unknown) => clamped(String(text)).toISOString(),
}

/** The database stores no moments outside of these years, so nothing is missed. */
function clamped(moment: string): Date {
  return new Date(Math.min(Math.max(Date.parse(moment), FIRST), LAST))
}
const FIRST = Date.parse('1800-01-01T00:00:00Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')

/** @returns what converts parameters in place, each to the type that its schema names */
function conversionOf(schema: TSchema | undefined): (values: Record<string, unknown>) => void {
  const properties: Record<string, { convertTo?: keyof typeof CONVERT }> = schema?.['properties'] ?? {}
  const conversions = Object.entries(properties).flatMap(([name, { convertTo }]) =>
    convertTo ? [{ name, convert: CONVERT[convertTo] }] : [],
  )
  return (values) => {
    for (const { name, convert } of conversions) {
      if (values[name] !== undefined) values[name] = convert(values[name])
    }
  }
}
