/** Makes plain JSON Schema of our schemas. */

type Json = Record<string, unknown>
/** What becomes of a schema with a name. */
type Named = (name: unknown) => Json

/** Keywords that are not JSON Schema: ours, and TypeBox's `$id`. */
const OWN_KEYWORDS = new Set([
  'rule',
  'documented',
  'convertTo',
  'component',
  'codes',
  'responseHeaders',
  'notModified',
  'problemComponent',
  'mediaTypes',
  'itemSchema',
  '$id',
])

/** @param named left out, schemas with a name are put in as a whole */
export function jsonSchema(schema: Json, named?: Named): Json {
  return named && schema['component'] ? named(schema['component']) : definitionOf(schema, named)
}

/** The same, but the schema itself never becomes a reference. */
export function definitionOf(schema: Json, named?: Named): Json {
  if (schema['documented']) return schema['documented'] as Json
  const own = Object.entries(schema).filter(([keyword]) => !OWN_KEYWORDS.has(keyword))
  const plain = Object.fromEntries(
    own.map(([keyword, value]) => [keyword, plainKeyword(value, keyword, named)]),
  )
  const { anyOf, const: only, ...rest } = plain
  // some tools do not know `const`
  if (only !== undefined) return { ...rest, enum: [only] }
  return isList(anyOf) && anyOf.length === 1 ? { ...anyOf[0], ...rest } : plain
}

/** Whose value is a schema. */
const SCHEMA_KEYWORDS = new Set(['items', 'contentSchema'])

function plainKeyword(value: unknown, keyword: string, named: Named | undefined): unknown {
  const plain = (schema: Json) => jsonSchema(schema, named)
  if (keyword === 'anyOf' && isList(value)) return value.filter((each) => !isUndefined(each)).map(plain)
  if (SCHEMA_KEYWORDS.has(keyword)) return plain(value as Json)
  if (keyword !== 'properties' && keyword !== 'patternProperties') return value
  const schemas = Object.entries(value as Record<string, Json>)
  return Object.fromEntries(schemas.map(([name, schema]) => [name, plain(schema)]))
}

/** Whether it stands for a value that may be left out. */
export function isUndefined(schema: Json): boolean {
  return schema['type'] === 'undefined'
}

function isList(value: unknown): value is Json[] {
  return Array.isArray(value)
}
