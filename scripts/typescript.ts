/** Prints the server's schemas as TypeScript, for the typed client. */
import type { TSchema } from '@sinclair/typebox'

/** Whether clients send it: then a member that may be left out may also be undefined. */
type Direction = 'sent' | 'answered'

/** @returns a type; a schema with a name becomes a reference to it */
export function typeOf(schema: TSchema, direction: Direction): string {
  return schema['component'] ?? unnamedType(schema['documented'] ?? schema, direction)
}

/** @returns the declaration of a named schema */
export function declarationOf(name: string, schema: TSchema, direction: Direction): string {
  const { description } = schema
  const type = unnamedType(schema, direction)
  const declaration =
    schema['type'] === 'object' && !isChoice(schema) ? `interface ${name} ${type}` : `type ${name} = ${type}`
  return `${comment(description)}export ${declaration}\n`
}

function unnamedType(schema: TSchema, direction: Direction): string {
  if ('const' in schema) return JSON.stringify(schema['const'])
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => JSON.stringify(value)).join(' | ')
  if (Array.isArray(schema['anyOf'])) return union(schema['anyOf'], direction)
  switch (schema['type']) {
    case 'object':
      return isChoice(schema) ? choice(schema, direction) : objectType(schema, direction)
    case 'array':
      return arrayOf(typeOf(schema['items'], direction))
    case 'integer':
    case 'number':
      return 'number'
    // of a 204: a body that is not there is read as empty text
    case 'void':
      return "''"
    case 'string':
    case 'boolean':
    case 'null':
    case 'undefined':
      return schema['type']
    case undefined:
      return 'unknown'
    default:
      throw new Error(`The client's types cannot say ${JSON.stringify(schema)}`)
  }
}

function union(schemas: TSchema[], direction: Direction): string {
  return [...new Set(schemas.map((each) => typeOf(each, direction)))].join(' | ')
}

function arrayOf(item: string): string {
  return item.includes(' ') ? `(${item})[]` : `${item}[]`
}

function objectType(schema: TSchema, direction: Direction): string {
  const { properties, required = [], additionalProperties } = schema
  if (additionalProperties === true) return 'Record<string, unknown>'
  const members = Object.entries<TSchema>(properties).map(([name, schema]) => {
    const isOptional = !required.includes(name)
    const type = typeOf(schema, direction) + (isOptional && direction === 'sent' ? ' | undefined' : '')
    return `${comment(describe(schema))}${name}${isOptional ? '?' : ''}: ${type}\n`
  })
  return `{\n${members.join('')}}`
}

/** Whether it has exactly one of its members. */
function isChoice({ minProperties, maxProperties }: TSchema): boolean {
  return minProperties === 1 && maxProperties === 1
}

function choice(schema: TSchema, direction: Direction): string {
  const forms = Object.entries<TSchema>(schema['properties']).map(([name, member]) =>
    objectType({ ...schema, properties: { [name]: member }, required: [name] }, direction),
  )
  return forms.join(' | ')
}

function describe(schema: TSchema): string | undefined {
  return schema['component'] ? undefined : (schema['documented'] ?? schema).description
}

/** @returns a documentation comment and a new line; nothing without a text */
export function comment(text: string | undefined): string {
  return text === undefined ? '' : `/** ${text.replaceAll('*/', '* /')} */\n`
}
