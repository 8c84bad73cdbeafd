/** What the OpenAPI document promises: values that fit its schemas, and whether an answer is as it says. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020'
import fc, { type Arbitrary } from 'fast-check'
import type { Answer } from '../support/app'
import { type DescribedResponse, OpenApi, type Operation, type Schema } from '../support/openapi'

export type Fields = Record<string, unknown>

/** What the document alone cannot tell of good values. */
export interface Guide {
  /** Says what else a field of this name may hold. */
  field(name: string, usual: Arbitrary<unknown>): Arbitrary<unknown>
  /** Makes fields fit one another. */
  object(fields: Fields): Fields
}

const NO_GUIDE: Guide = { field: (_, usual) => usual, object: (fields) => fields }

/** A format that is not listed here is an error, so that none goes unchecked. */
const FORMATS = {
  date: isDay,
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
  uuid: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  'idn-email': /^[^\s@]+@[^\s@]+$/,
  'uri-reference': (value: string) => URL.canParse(value, 'http://localhost'),
}

const moments = (min: string) =>
  fc
    .date({ min: new Date(min), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
    .map((date) => date.toISOString())

const VALUES: Record<string, Arbitrary<string>> = {
  date: moments('1900-01-01').map((text) => text.slice(0, 10)),
  'date-time': moments('0000-01-01'),
  uuid: fc.uuid(),
  'idn-email': fc.emailAddress(),
  'uri-reference': fc.webPath(),
}

const MAX_GENERATED = 40
const MAX_ITEMS = 4
const MAX_OPTIONAL = 3

/** `Date` takes 30 February for 2 March. */
function isDay(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().slice(0, 10) === text
}

/** @returns what a text stands for; the text itself if it is not of that type */
function valueIn(text: string, type: string | undefined): unknown {
  if (type === 'boolean' && /^(?:true|false)$/.test(text)) return text === 'true'
  return /^(?:integer|number)$/.test(type ?? '') && /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
}

export class Contract extends OpenApi {
  readonly #validators = new Map<Schema, ValidateFunction>()
  readonly #ajv = new Ajv2020({ formats: FORMATS, keywords: ['components', 'discriminator'] })

  /** What of a value does not fit; undefined if all does. */
  fault(schema: Schema, value: unknown): string | undefined {
    const error = this.#error(schema, value)
    return error && `${error.instancePath} ${error.message}`.trim()
  }

  /** A parameter or header, which is text whatever its type; the items of a list are apart by commas. */
  textFits(schema: Schema, text: string): boolean {
    const { type, items = {} } = this.limits(schema)
    const value =
      type === 'array'
        ? text.split(',').map((item) => valueIn(item, this.limits(items).type))
        : valueIn(text, type)
    return this.fault(schema, value) === undefined
  }

  /** Values that fit. */
  arbitraryOf(schema: Schema, guide: Guide = NO_GUIDE): Arbitrary<unknown> {
    const { const: only, enum: choices, anyOf, type, ...rest } = this.resolve(schema)
    if (only !== undefined) return fc.constant(only)
    if (choices) return fc.constantFrom(...choices)
    if (anyOf) return fc.oneof(...anyOf.map((each) => this.arbitraryOf(each, guide)))
    switch (type) {
      case 'object':
        return this.#objects(rest, guide)
      case 'array':
        return this.#arrays(rest, guide)
      case 'integer':
        // mostly small ones, for they matter more
        return fc.oneof(fc.nat({ max: 3 }), fc.maxSafeNat()).map((n) => within(rest, n))
      case 'number':
        return fc.double({ min: rest.minimum ?? -1e300, max: rest.maximum ?? 1e300, noNaN: true })
      case 'boolean':
        return fc.boolean()
      case 'null':
        return fc.constant(null)
      case 'string':
        return texts(rest)
      default:
        throw new Error(`There is no arbitrary for ${JSON.stringify(schema)}`)
    }
  }

  /** What the document does not say of this answer, in words that are the same for the same fault. */
  complaints({ responses }: Operation, answer: Answer): string[] {
    const { status, headers, body } = answer
    const response = responses[status]
    const complaints = status >= 500 ? [`answers ${status} ${body?.error_code}`] : []
    if (!response) return [...complaints, `${status} is not described`]
    const all = [...this.#headerComplaints(response, headers), ...this.#bodyComplaints(response, answer)]
    return [...complaints, ...all.map((complaint) => `${status}: ${complaint}`)]
  }

  #headerComplaints({ headers: described = {} }: DescribedResponse, headers: Headers): string[] {
    return Object.entries(described).flatMap(([name, { required = false, schema }]) => {
      const value = headers.get(name)
      if (value === null) return required ? [`has no ${name}`] : []
      return this.textFits(schema, value) ? [] : [`${name} does not fit its schema`]
    })
  }

  #bodyComplaints({ content }: DescribedResponse, { status, headers, body }: Answer): string[] {
    if (!content) return body === '' ? [] : ['has a body where none is described']
    const type = headers.get('content-type')?.split(';')[0] ?? 'no media type'
    const described = content[type]
    if (!described) return [`${type} is not described`]
    const error = this.#error(described.schema, body)
    // of a list, which item it is does not matter
    const path = error?.instancePath.replace(/\/\d+/g, '/*')
    if (error) return [`in the body, ${path} ${error.message} ${JSON.stringify(error.params)}`]
    if (type !== 'application/problem+json') return []
    const examples = Object.values(described.examples ?? {}).map(({ value }) => value)
    const codes = examples.map((example) => (example as { error_code?: unknown }).error_code)
    return [
      ...(codes.includes(body.error_code) ? [] : [`${body.error_code} is not described`]),
      ...(body.status === status && body.status_code === status ? [] : ['the problem has another status']),
      ...(body.request_id === headers.get('x-request-id') ? [] : ['the problem has another request id']),
    ]
  }

  #error(schema: Schema, value: unknown): ErrorObject | undefined {
    const target = this.resolve(schema)
    const validate =
      this.#validators.get(target) ?? this.#ajv.compile({ ...target, components: this.components })
    this.#validators.set(target, validate)
    return validate(value) ? undefined : validate.errors?.[0]
  }

  #objects({ properties = {}, required = [], minProperties, maxProperties }: Schema, guide: Guide) {
    const fields = Object.entries(properties).map(([name, each]): [string, Arbitrary<unknown>] => [
      name,
      guide.field(name, this.arbitraryOf(each, guide)),
    ])
    return fewOf(Object.fromEntries(fields), required, minProperties, maxProperties).map(guide.object)
  }

  #arrays({ items = {}, minItems = 0, maxItems = MAX_ITEMS, uniqueItems = false }: Schema, guide: Guide) {
    const item = this.arbitraryOf(items, guide)
    const limits = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, MAX_ITEMS)) }
    return uniqueItems ? fc.uniqueArray(item, limits) : fc.array(item, limits)
  }
}

/**
 * What is required, and few of the others: of many, one that is wrong would be among them nearly always. Now and then any
 * number of them.
 */
export function fewOf(
  fields: Record<string, Arbitrary<unknown>>,
  required: readonly string[],
  min = 0,
  max = Number.POSITIVE_INFINITY,
): Arbitrary<Fields> {
  const optional = Object.keys(fields).filter((name) => !required.includes(name))
  const least = Math.max(0, min - required.length)
  const most = Math.min(optional.length, max - required.length)
  const upTo = (maxLength: number) =>
    fc.subarray(optional, { minLength: least, maxLength: Math.max(least, Math.min(most, maxLength)) })
  const chosen = fc.oneof(
    { weight: 9, arbitrary: upTo(MAX_OPTIONAL) },
    { weight: 1, arbitrary: upTo(optional.length) },
  )
  return chosen.chain((names) => {
    const entries = [...required, ...names].flatMap((name): [string, Arbitrary<unknown>][] => {
      const value = fields[name]
      return value ? [[name, value]] : []
    })
    return fc.record(Object.fromEntries(entries))
  })
}

function within({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: Schema, n: number): number {
  return minimum + (n % (maximum - minimum + 1))
}

function texts({ format, pattern, minLength = 0, maxLength = MAX_GENERATED }: Schema): Arbitrary<string> {
  if (format !== undefined) return VALUES[format] ?? fc.constant(`a value of the format ${format}`)
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern, 'u'))
  const limits = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, MAX_GENERATED)) }
  // code points, as JSON Schema counts them
  return fc.oneof(fc.string(limits), fc.string({ ...limits, unit: 'binary' }))
}
