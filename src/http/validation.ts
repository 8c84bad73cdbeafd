/** Turns what TypeBox says about a wrong input into the `errors` of a 422. */
import type { TSchema } from '@sinclair/typebox'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import type { FieldError } from './problems'

const MAX_FIELD_ERRORS = 100

/** Elysia's names for the parts of a request, and ours. */
export const PLACES = { body: 'body', query: 'query', params: 'path' } as const

const PART = { body: 'field', query: 'parameter', path: 'parameter', header: 'header' } as const

/**
 * Turns TypeBox's errors to ours: one for each field, in words that repeat no submitted value.
 *
 * @param part what a member is called
 */
export function fieldErrors(
  place: FieldError['in'],
  errors: Iterable<ValueError>,
  part: string = PART[place],
): FieldError[] {
  const found = new Map<string, FieldError>()
  for (const error of flatten(errors)) {
    // the first error of a field says most: of a missing field TypeBox also says that its type is wrong
    if (found.has(error.path)) continue
    const pointer = place === 'body' ? error.path : nameAt(error.path)
    found.set(error.path, { in: place, pointer, detail: sentence(part, error) })
    if (found.size === MAX_FIELD_ERRORS) break
  }
  return [...found.values()]
}

/** @returns the name of the member that a JSON Pointer leads to (RFC 6901) */
export function nameAt(pointer: string): string {
  return pointer.slice(1).replaceAll('~1', '/').replaceAll('~0', '~')
}

/** A union fails as a whole; the errors of the form that is meant say what is wrong. */
function* flatten(errors: Iterable<ValueError>): Iterable<ValueError> {
  for (const error of errors) {
    const isUnion = error.type === ValueErrorType.Union && !hasRule(error.schema)
    const form = isUnion ? error.errors[meantForm(error)] : undefined
    if (form) yield* flatten(form)
    else yield isUnion ? unknownForm(error) : error
  }
}

/** @returns the number of the form that the discriminating member names, or of the first if the union has no such member */
function meantForm({ schema, value }: ValueError): number {
  const name: string | undefined = schema['discriminator']?.propertyName
  if (name === undefined) return 0
  const given = Object(value)[name]
  return schema['anyOf'].findIndex(({ properties }: TSchema) => properties[name].const === given)
}

function unknownForm(error: ValueError): ValueError {
  const { schema, path } = error
  const name: string = schema['discriminator'].propertyName
  const known = schema['anyOf'].map(({ properties }: TSchema) => properties[name].const)
  const rule = `must have ${name}, one of ${known.join(', ')}`
  return { ...error, path, schema: { ...schema, rule } }
}

function hasRule(schema: TSchema): boolean {
  return typeof schema['rule'] === 'string'
}

function sentence(part: string, { type, schema, path }: ValueError): string {
  switch (type) {
    case ValueErrorType.ObjectRequiredProperty:
      return 'is required'
    case ValueErrorType.ObjectAdditionalProperties:
      return `is not a known ${part}`
    case ValueErrorType.ObjectMinProperties:
      return hasRule(schema) ? schema['rule'] : 'must have at least one field'
    case ValueErrorType.Object:
      return path === '' ? 'must be a JSON object' : 'must be an object'
    default:
      return typeof schema['rule'] === 'string'
        ? schema['rule']
        : `must be ${withArticle(schema['type'] ?? 'valid value')}`
  }
}

function withArticle(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`
}
