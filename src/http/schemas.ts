/** Schemas that features have in common: text that PostgreSQL can store, numbers and booleans in parameters, times, named schemas. */
import {
  FormatRegistry,
  type ObjectOptions,
  type SchemaOptions,
  type TProperties,
  type TSchema,
  Type,
} from '@sinclair/typebox'
import { t } from 'elysia'

// Keywords of our own that any schema may have: `rule` finishes the sentence "title …" in a 422, `documented` replaces the
// schema in the OpenAPI document, `convertTo` has the text of a parameter converted.

/** Name to schema, in the order of definition: the schemas that the OpenAPI document holds once and refers to. */
export const components = new Map<string, TSchema>()

/** Names a schema in the OpenAPI document. */
export function component<S extends TSchema>(name: string, schema: S): S {
  const named = { ...schema, component: name }
  components.set(name, named)
  return named
}

/** For `t.Object`: unknown members are refused. */
export const strict = { additionalProperties: false }

/** A schema of an object that refuses unknown members, with a name in the OpenAPI document. */
export function namedObject<Fields extends TProperties>(
  name: string,
  fields: Fields,
  options?: ObjectOptions,
) {
  return component(name, t.Object(fields, { ...strict, ...options }))
}

/** A value that may also be null. */
export function nullable<S extends TSchema>(schema: S, options?: SchemaOptions) {
  return t.Union([schema, t.Null()], options)
}

/** A body that may be left out. With `t.Optional`, an empty object would not be checked. */
export function optionalBody<S extends TSchema>(schema: S) {
  return t.Union([schema, t.Undefined()])
}

/** A whole number in an answer. */
export function integer(documented: Record<string, unknown> = {}) {
  return t.Number({ documented: { type: 'integer', ...documented } })
}

/** False for text with NUL (PostgreSQL has none) or with lone surrogates (they would change on the way). */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Characters as people and `char_length` count them, not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

/**
 * A string schema with a check of its own.
 *
 * @param name of the check
 * @param rule finishes the sentence "title …"
 */
export function checked(
  name: string,
  check: (value: string) => boolean,
  rule: string,
  documented: Record<string, unknown>,
) {
  FormatRegistry.Set(name, check)
  return t.String({ format: name, rule, documented: { type: 'string', ...documented } })
}

/** Whether the text has as many code points. */
export function hasLength(text: string, min: number, max: number): boolean {
  // a code point is at most two UTF-16 units, so much longer text need not be counted
  if (text.length > max * 2) return false
  const length = codePoints(text)
  return length >= min && length <= max
}

interface TextLimits {
  min: number
  max: number
  /** Refuses text that is only Unicode white space. */
  notBlank?: boolean
  description: string
}

/** A string schema that counts code points and refuses what PostgreSQL cannot store. */
export function text(name: string, { min, max, notBlank = false, description }: TextLimits) {
  const check = (value: string) =>
    hasLength(value, min, max) && isStorable(value) && !(notBlank && /^\p{White_Space}*$/u.test(value))
  const blank = notBlank ? ', and more than white space' : ''
  const length = min === 0 ? 'at most' : `${min} to`
  const rule = `must be a string of ${length} ${max} characters${blank}, without NUL or lone surrogates`
  return checked(name, check, rule, { ...(min > 0 && { minLength: min }), maxLength: max, description })
}

/** One of several words. Not `t.UnionEnum`: Elysia trap 13 (docs/elysia.md). */
export function oneOf<const T extends readonly string[]>(choices: T, description?: string) {
  const documented = { type: 'string', enum: choices, ...(description && { description }) }
  return t.Unsafe<T[number]>(
    t.Union(
      choices.map((choice) => t.Literal(choice)),
      { rule: `must be one of ${choices.join(', ')}`, documented },
    ),
  )
}

/**
 * A whole number in a query or path. It is checked as text (Elysia trap 11, docs/elysia.md); `input` converts it after
 * validation, so a handler gets a number.
 */
export function wholeNumber(pattern: string, rule: string, documented: Record<string, unknown>) {
  const number = { convertTo: 'number', documented: { type: 'integer', ...documented } }
  return t.Unsafe<number>(t.String({ pattern, rule, ...number }))
}

/** `true` or `false` in a query: checked as text and converted, as a whole number is. */
export function flag(description: string) {
  const boolean = { convertTo: 'boolean', documented: { type: 'boolean', description } }
  return t.Unsafe<boolean>({ ...oneOf(['true', 'false']), ...boolean })
}

/**
 * Several values in one parameter, separated by commas.
 *
 * @param name of the check
 * @param isItem checks each value
 * @param items documents each value
 */
export function separated<Item extends string>(
  name: string,
  isItem: (value: string) => boolean,
  rule: string,
  items: Record<string, unknown>,
  description: string,
) {
  const documented = { type: 'array', items: { type: 'string', ...items }, description }
  const schema = checked(name, (value) => value.split(',').every(isItem), rule, documented)
  return t.Unsafe<Item[]>({ ...schema, convertTo: 'list' })
}

/** What an id or a revision can be. */
export const POSITIVE = { minimum: 1, maximum: Number.MAX_SAFE_INTEGER }

/** An id or a revision in a body or an answer. TypeBox's own integer: Elysia trap 11 (docs/elysia.md). */
export const Id = Type.Integer({ ...POSITIVE, rule: 'must be a positive whole number' })

/** An id in a path. */
export function idInPath(description: string) {
  return wholeNumber('^0*[1-9][0-9]*$', 'must be a positive whole number', { ...POSITIVE, description })
}

/** An id in a query, or `none`. */
export function idOrNone(description: string) {
  const rule = 'must be a positive whole number, or none'
  const documented = {
    anyOf: [
      // no maximum: too large a number is the id of nothing
      { type: 'integer', minimum: 1 },
      { type: 'string', enum: ['none'] },
    ],
    description,
  }
  const schema = t.String({ pattern: '^(?:none|0*[1-9][0-9]*)$', rule, documented, convertTo: 'idOrNone' })
  return t.Unsafe<number | 'none'>(schema)
}

/** A moment in a body. @see https://www.rfc-editor.org/rfc/rfc3339 */
export function moment(description: string) {
  const rule = 'must be a moment such as 2026-01-15T09:30:00Z'
  return checked('moment', isMoment, rule, { format: 'date-time', description })
}

/** A moment in a query, converted to UTC with milliseconds. */
export function momentInQuery(description: string) {
  return t.Unsafe<string>({ ...moment(description), convertTo: 'moment' })
}

const MOMENT =
  /^\d{4}-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

function isMoment(text: string): boolean {
  if (!MOMENT.test(text)) return false
  // `Date` takes 30 February for 2 March
  const day = text.slice(0, 10)
  return !Number.isNaN(Date.parse(text)) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
}

const MAX_LIMIT = 200
export const DEFAULT_LIMIT = 100

/** How long a page of a list may be: a parameter. */
export const Limit = wholeNumber(
  '^0*(?:[1-9][0-9]?|1[0-9]{2}|200)$',
  `must be a whole number from 1 to ${MAX_LIMIT}`,
  { minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT, description: 'How many the answer has at most' },
)

/**
 * The fields of an input as an answer has them: the same types, without the rules, which the database's constraints
 * enforce for what is stored.
 */
export function answered<Fields extends Record<string, TSchema>>(fields: Fields): Fields {
  const plain = Object.entries(fields).map(([name, schema]) => [name, withoutRules(schema)])
  // the same names and types
  return Object.fromEntries(plain) as Fields
}

function withoutRules({ format: _, rule: __, ...schema }: TSchema): TSchema {
  if (schema['items']) return { ...schema, items: withoutRules(schema['items']) }
  if (!Array.isArray(schema['anyOf'])) return schema
  return { ...schema, anyOf: schema['anyOf'].map(withoutRules) }
}

/** A time in an answer: RFC 3339, in UTC with milliseconds. */
export const Moment = t.String({ documented: { type: 'string', format: 'date-time' } })

/** For routes without parameters: any parameter is a 422. */
export const NoQuery = t.Unsafe<Record<string, never>>(t.Object({}, strict))
