/** The OpenAPI document that the service serves: its operations, and a value for each of its schemas. */
import type { Call } from './app'

export interface Schema {
  $ref?: string
  type?: string
  format?: string
  pattern?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  minProperties?: number
  maxProperties?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  examples?: unknown[]
}

export interface Parameter {
  in: 'path' | 'query' | 'header' | 'cookie'
  name: string
  required: boolean
  schema: Schema
}

export interface DescribedResponse {
  headers?: Record<string, { required?: boolean; schema: Schema }>
  content?: Record<string, { schema: Schema; examples?: Record<string, { value: unknown }> }>
  /** What else `Accept` can ask for. */
  'x-media-types'?: Record<string, { schema: Schema }>
}

interface DescribedOperation {
  operationId: string
  security: unknown[]
  parameters?: Parameter[]
  requestBody?: { required: boolean; content: Record<string, { schema: Schema }> }
  responses: Record<string, DescribedResponse>
  'x-responses'?: Record<string, DescribedResponse>
}

interface Document {
  paths: Record<string, Record<string, DescribedOperation>>
  components: { schemas: Record<string, Schema> }
}

export interface Operation {
  operationId: string
  method: string
  /** With its parameters in braces. */
  path: string
  needsToken: boolean
  parameters: Parameter[]
  /** Of JSON; undefined where no body is read. */
  body: { required: boolean; schema: Schema } | undefined
  responses: Record<string, DescribedResponse>
}

export class OpenApi {
  readonly operations: Operation[]
  protected readonly components: Document['components']

  constructor({ paths, components }: Document) {
    this.components = components
    this.operations = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, described]) => toOperation(method, path, described)),
    )
  }

  /** @throws Error for a reference to nothing */
  resolve(schema: Schema): Schema {
    if (schema.$ref === undefined) return schema
    const target = this.components.schemas[schema.$ref.replace('#/components/schemas/', '')]
    if (!target) throw new Error(`The document has no ${schema.$ref}`)
    return this.resolve(target)
  }

  /** The keywords of what it may be, leaving out null. */
  limits(schema: Schema): Schema {
    const { anyOf, ...rest } = this.resolve(schema)
    const form = anyOf?.map((each) => this.resolve(each)).find(({ type }) => type !== 'null')
    return { ...form, ...rest }
  }

  /** The fields of an operation's body; none where no body is read. */
  fieldsOf({ body }: Operation): [name: string, schema: Schema][] {
    return Object.entries((body && this.limits(body.schema).properties) ?? {})
  }

  /** A body that fits, with every field; undefined where none is read. */
  bodyOf({ body }: Operation): unknown {
    return body && this.sampleOf(body.schema)
  }

  /** Bodies that have only what they must, and each optional field in turn: there is one for each form and each field. */
  bodiesOf({ body }: Operation): unknown[] {
    return body ? this.#variantsOf(body.schema) : []
  }

  #variantsOf(schema: Schema): unknown[] {
    const {
      anyOf,
      type,
      items = {},
      properties = {},
      required = [],
      minProperties = 0,
    } = this.resolve(schema)
    if (anyOf) return anyOf.flatMap((each) => this.#variantsOf(each))
    if (type === 'array') return this.#variantsOf(items).map((item) => [item])
    if (type !== 'object') return [this.sampleOf(schema)]
    const sample = (name: string) => [name, this.sampleOf(properties[name] ?? {})]
    const least = Object.fromEntries(required.map(sample))
    const others = Object.entries(properties).flatMap(([name, each]) =>
      this.#variantsOf(each).map((value) => ({ ...least, [name]: value })),
    )
    return required.length < minProperties ? others : [least, ...others]
  }

  /** A value that fits: the schema's example, or else one that is made for it. */
  sampleOf(schema: Schema): unknown {
    const resolved = this.resolve(schema)
    const [example = resolved.const ?? resolved.enum?.[0]] = resolved.examples ?? []
    if (example !== undefined) return example
    const [form] = resolved.anyOf ?? []
    if (form) return this.sampleOf(form)
    if (resolved.type === 'array') return [this.sampleOf(resolved.items ?? {})]
    if (resolved.type !== 'object') return scalarOf(resolved)
    const properties = Object.entries(resolved.properties ?? {})
    return Object.fromEntries(properties.map(([name, each]) => [name, this.sampleOf(each)]))
  }
}

/** What the service says of itself, with its shared responses and headers in their places. */
export async function readDocument(call: Call): Promise<Document> {
  const { body } = await call('GET', '/openapi.json')
  const inline = (part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return part
    if (Array.isArray(part)) return part.map(inline)
    const [, kind = '', name = ''] =
      ('$ref' in part && /^#\/components\/(responses|headers)\/(.+)$/.exec(String(part.$ref))) || []
    if (kind) return inline(body.components[kind][name] ?? `no ${kind} ${name}`)
    return Object.fromEntries(Object.entries(part).map(([key, each]) => [key, inline(each)]))
  }
  return { ...body, paths: inline(body.paths) }
}

export async function readOpenApi(call: Call): Promise<OpenApi> {
  return new OpenApi(await readDocument(call))
}

function toOperation(method: string, path: string, described: DescribedOperation): Operation {
  const { operationId, security, parameters = [], requestBody, responses } = described
  const schema = requestBody?.content['application/json']?.schema
  if (requestBody && !schema) throw new Error(`${method} ${path} takes a body, but no JSON`)
  return {
    operationId,
    method: method.toUpperCase(),
    path,
    needsToken: security.length > 0,
    parameters,
    body: requestBody && schema && { required: requestBody.required, schema },
    responses: Object.fromEntries(
      Object.entries({ ...responses, ...described['x-responses'] }).map(([status, each]) => [
        status,
        each.content ? { ...each, content: { ...each.content, ...each['x-media-types'] } } : each,
      ]),
    ),
  }
}

function scalarOf({ type, format, minimum = 1, minLength = 1 }: Schema): unknown {
  if (type === 'integer' || type === 'number') return minimum
  if (type === 'boolean') return true
  if (format === 'uuid') return crypto.randomUUID()
  if (format === 'idn-email') return 'nobody@example.com'
  return 'one text, different from others'.padEnd(minLength, '.')
}

/** Whether it makes something of the caller's, each time that it is sent. */
export function makes({ responses, needsToken }: Operation): boolean {
  return '201' in responses && needsToken
}

/** What an id in this path, or in an answer from there, is of. Tasks have two addresses. */
export function collectionOf(path: string): string {
  const [, name = path] = /(?:\/v1|\{user_id\})\/(?:users\/me\/)?(\w+)/.exec(path) ?? []
  return name === 'todos' ? 'tasks' : name
}

/** Puts values into a path's parameters; what has none stays as it is, and is no path. */
export function pathOf({ path }: Operation, values: Record<string, string>): string {
  return path.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
    values[name] === undefined ? whole : encodeURIComponent(values[name]),
  )
}
