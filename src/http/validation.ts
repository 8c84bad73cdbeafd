/** What inputs have in common: text that PostgreSQL can hold, numbers in parameters, and words for what is wrong. */
import { FormatRegistry, type TSchema } from '@sinclair/typebox'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { t } from 'elysia'
import type { FieldError } from './problems'

// Keywords of our own that any schema may have: `rule` finishes the sentence "title …" in a 422; `documented` is what the
// OpenAPI document shows where the check is not plain JSON Schema.

/** True for text without NUL (PostgreSQL has none) and without lone surrogates (they would change on the way). */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Characters as people and `char_length` count them, not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

interface TextLimits {
  min: number
  max: number
  /** Refuse text of Unicode white space alone. */
  notBlank?: boolean
  description: string
}

/** A string schema that counts code points and refuses what PostgreSQL cannot store. */
export function text(name: string, { min, max, notBlank = false, description }: TextLimits) {
  FormatRegistry.Set(name, (value) => {
    // a code point is at most two UTF-16 units: what is far too long is not worth counting
    if (value.length > max * 2) return false
    const length = codePoints(value)
    return (
      length >= min && length <= max && isStorable(value) && !(notBlank && /^\p{White_Space}*$/u.test(value))
    )
  })
  const blank = notBlank ? ', and more than white space' : ''
  return t.String({
    format: name,
    rule: `must be a string of ${min === 0 ? 'at most' : `${min} to`} ${max} characters${blank}, without NUL or lone surrogates`,
    documented: { type: 'string', ...(min > 0 && { minLength: min }), maxLength: max, description },
  })
}

/** Not `t.UnionEnum`: its default would fill in an omitted optional. */
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
 * A whole number in a query or path. Checked as text, because a coerced number would take `1e1`, `0x10` and ` 5`,
 * and would round what is over 2^53. Stays text, for Elysia decodes a transformed query twice, and throws in between; the
 * type is what a typed client gives, and `numberOf` what the route takes.
 */
export function wholeNumber(pattern: string, rule: string, documented: Record<string, unknown>) {
  return t.Unsafe<number>(t.String({ pattern, rule, documented: { type: 'integer', ...documented } }))
}

/** From a parameter's digits, whatever its type says. */
export function numberOf(digits: number): number {
  return Number(digits)
}

type Properties = Record<string, TSchema>

/**
 * The fields of an input as they are in an answer: of their types, but their form is not checked again, which the
 * database's constraints hold.
 */
export function answered<Fields extends Properties>(fields: Fields): Fields {
  const plain = Object.entries(fields).map(([name, schema]) => [name, withoutRules(schema)])
  // the same names, and the same types
  return Object.fromEntries(plain) as Fields
}

function withoutRules({ format: _, rule: __, ...schema }: TSchema): TSchema {
  if (!Array.isArray(schema['anyOf'])) return schema
  return { ...schema, anyOf: schema['anyOf'].map(withoutRules) }
}

/** A time in an answer: RFC 3339, in UTC with milliseconds. */
export const Moment = t.String({ documented: { type: 'string', format: 'date-time' } })

/** For routes without parameters: a query of any kind is then a 422, as on every other route. */
export const NoQuery = t.Unsafe<Record<string, never>>(t.Object({}, { additionalProperties: false }))

const MAX_FIELD_ERRORS = 100

/** Elysia's names for the parts of a request, and ours. */
export const PLACES = { body: 'body', query: 'query', params: 'path' } as const

/** Turns TypeBox's errors to ours: one for each field, in words that repeat no submitted value. */
export function fieldErrors(place: FieldError['in'], errors: Iterable<ValueError>): FieldError[] {
  const found = new Map<string, FieldError>()
  for (const error of flatten(errors)) {
    // the first error of a field says most: TypeBox goes on to say that what is missing also has the wrong type
    if (found.has(error.path)) continue
    const pointer =
      place === 'body' ? error.path : error.path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~')
    found.set(error.path, { in: place, pointer, detail: sentence(place, error) })
    if (found.size === MAX_FIELD_ERRORS) break
  }
  return [...found.values()]
}

/** A union fails as a whole; what is wrong with its first form is what the sender wants to know. */
function* flatten(errors: Iterable<ValueError>): Iterable<ValueError> {
  for (const error of errors) {
    const [first] = error.type === ValueErrorType.Union && !hasRule(error.schema) ? error.errors : []
    if (first) yield* flatten(first)
    else yield error
  }
}

function hasRule(schema: TSchema): boolean {
  return typeof schema['rule'] === 'string'
}

const PART = { body: 'field', query: 'parameter', path: 'parameter', header: 'header' } as const

function sentence(place: FieldError['in'], { type, schema, path }: ValueError): string {
  switch (type) {
    case ValueErrorType.ObjectRequiredProperty:
      return 'is required'
    case ValueErrorType.ObjectAdditionalProperties:
      return `is not a known ${PART[place]}`
    case ValueErrorType.ObjectMinProperties:
      return 'must have at least one field'
    case ValueErrorType.Object:
      return path === '' ? 'must be a JSON object' : 'must be an object'
    default:
      return typeof schema['rule'] === 'string'
        ? schema['rule']
        : `must be a ${schema['type'] ?? 'valid value'}`
  }
}
