/** The OpenAPI document: the output of `@elysiajs/swagger`, made valid OpenAPI 3.1. Elysia trap 33 (docs/elysia.md). */
import type { AnyElysia } from 'elysia'
import { version } from '../../package.json'
import { definitionOf, isUndefined, jsonSchema } from '../http/json-schema'
import { REQUEST_HEADERS, RESPONSE_HEADERS, type Repeatable, type ResponseHeader } from '../http/operation'
import { type ErrorCode, type FieldError, Problem } from '../http/problems'
import { components } from '../http/schemas'
import { shareProblems } from './shared-problems'

// the plugin does not type its output more closely
type Json = Record<string, unknown>
type Content = Record<string, { schema: Json }>
type Answer = Json & { content?: Content; codes?: ErrorCode[]; responseHeaders?: ResponseHeader[] }
type Operation = Json & {
  parameters?: Json[]
  requestHeaders?: (keyof typeof REQUEST_HEADERS)[]
  repeatable?: Repeatable
  requestBody?: { content: Content }
  responses: Record<string, Answer>
}

const INFO = {
  title: 'Taskwell',
  version,
  description:
    'Tasks of many users. Send `Authorization: Bearer <token>` with a token of Better Auth or of this service. ' +
    'Every error is `application/problem+json` (RFC 9457) with a stable `error_code`.',
}

const TAGS = [
  { name: 'Sign-in', description: 'For users without another issuer: e-mail and password for tokens' },
  { name: 'Tasks', description: "The caller's tasks" },
  { name: 'Tasks of a user', description: 'The same tasks and answers, with the owner in the path' },
  { name: 'Lists', description: "The caller's lists of tasks" },
  { name: 'Lists of a user', description: 'The same lists and answers, with the owner in the path' },
  { name: 'Tags', description: "The tags of the caller's tasks" },
  { name: 'Tags of a user', description: 'The same tags and answers, with the owner in the path' },
  { name: 'Assistant', description: 'A model that works on the tasks of the caller' },
  { name: 'Assistant of a user', description: 'The same assistant and answers, with the owner in the path' },
  { name: 'Tokens', description: "Tokens for the caller's programs" },
  { name: 'Account', description: 'The caller, and where they are signed in' },
  { name: 'Health', description: 'For operators' },
]

const BEARER = {
  type: 'http',
  scheme: 'bearer',
  bearerFormat: 'JWT',
  description:
    'A JWT: of the configured issuer, or from signing in here. Or a token for programs, which is good for tasks, lists, tags, changes and events only',
}

/** @returns the document of all routes of `app` that are not hidden */
export async function openApi(app: AnyElysia): Promise<Json> {
  const generated = await generatePaths(app)
  const paths = Object.fromEntries(
    Object.entries(generated).map(([path, item]) => {
      const plain = path.length > 1 ? path.replace(/\/$/, '') : path
      return [plain, mapValues(item, (operation) => correctOperation(plain, operation))]
    }),
  )
  const used = new Set(
    Object.values(paths).flatMap((item) => Object.values(item).flatMap(({ tags }) => tags)),
  )
  const responses = shareProblems(Object.values(paths).flatMap((item) => Object.values(item)))
  return {
    openapi: '3.1.0',
    info: INFO,
    servers: [{ url: '/' }],
    tags: TAGS.filter(({ name }) => used.has(name)),
    paths,
    components: {
      securitySchemes: { bearer: BEARER },
      headers: RESPONSE_HEADERS,
      responses,
      schemas: schemasOf([paths, responses]),
    },
  }
}

/** Calls a part of the plugin for each route, instead of serving the plugin: Elysia trap 32 (docs/elysia.md). */
async function generatePaths(app: AnyElysia): Promise<Record<string, Record<string, Operation>>> {
  // loaded late, because most processes are never asked for the document
  const { registerSchemaPath } = await import('@elysiajs/swagger/utils')
  const schema = {}
  for (const { method, path, hooks: hook } of app.routes) {
    if (!hook.detail?.hide) registerSchemaPath({ schema, method, path, hook, models: {} })
  }
  // a copy without undefined members
  return JSON.parse(JSON.stringify(schema))
}

/** The named schemas that are referred to, directly or by one another, in the order of their definition. */
function schemasOf(paths: unknown): Json {
  const used = new Set<string>()
  const visit = (part: unknown) => {
    for (const [, name = ''] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue
      used.add(name)
      visit(schemas[name])
    }
  }
  const schemas = mapValues(Object.fromEntries(components), definition)
  visit(paths)
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)))
}

function mapValues<Value, Result>(
  values: Record<string, Value>,
  change: (value: Value, key: string) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value, key)]))
}

function correctOperation(path: string, operation: Operation): Json & { responses: Json } {
  const {
    parameters: generated = [],
    requestBody,
    responses,
    requestHeaders = [],
    repeatable,
    slow: _,
    ...rest
  } = operation
  const isOfUser = path.startsWith('/api/{user_id}/')
  const parameters = [...generated, ...requestHeaders.map(headerParameter)].filter(
    (each) => each['in'] !== 'path' || path.includes(`{${each['name']}}`),
  )
  return {
    ...(isOfUser ? ofUser(rest) : rest),
    ...(repeatable && { 'x-repeatable': repeatable }),
    // only to a request with `If-None-Match`; tools would make a second answer of it
    ...(responses['200']?.['notModified'] === true && { 'x-responses': { 304: NOT_MODIFIED } }),
    // a 401 may also mean a wrong password, but only a route that needs a token answers TOKEN_MISSING
    security: responses['401']?.codes?.includes('TOKEN_MISSING') ? [{ bearer: [] }] : [],
    ...(parameters.length > 0 && { parameters: parameters.map(correctParameter) }),
    ...(requestBody && { requestBody: correctBody(requestBody.content) }),
    responses: mapValues(isOfUser ? responses : withoutMismatch(responses), correctResponse),
  }
}

function headerParameter(name: keyof typeof REQUEST_HEADERS): Json {
  return {
    name,
    in: 'header',
    required: false,
    description: REQUEST_HEADERS[name],
    schema: { type: 'string' },
  }
}

/** A path without an owner cannot name another one, so it has no OWNER_MISMATCH. */
function withoutMismatch(responses: Operation['responses']): Operation['responses'] {
  const { 403: forbidden, ...others } = responses
  const codes = forbidden?.codes?.filter((code) => code !== 'OWNER_MISMATCH') ?? []
  return codes.length > 0 ? { ...others, 403: { codes } } : others
}

/** The routes with the owner in the path are the same as the others, but the id of an operation must be unique. */
function ofUser({ operationId, tags, ...rest }: Json): Json {
  return {
    ...rest,
    operationId: `${operationId}OfUser`,
    tags: isList(tags) ? tags.map((tag) => `${tag} of a user`) : [],
  }
}

function correctParameter({ schema, description, examples: _, ...rest }: Json): Json {
  const { description: inner, ...plain } = plainSchema(schema as Json)
  return {
    ...rest,
    required: rest['in'] === 'path' || rest['required'] === true,
    description: description ?? inner,
    // several values are separated by commas
    ...(plain['type'] === 'array' && { style: 'form', explode: false }),
    schema: plain,
  }
}

/** Keeps JSON only: Elysia trap 34 (docs/elysia.md). */
function correctBody(content: Content): Json {
  const schema = content['application/json']?.schema ?? {}
  const isOptional = isList(schema['anyOf']) && schema['anyOf'].some(isUndefined)
  const [example] = exampleIn(schema)
  const body = { schema: plainSchema(schema), ...(example !== undefined && { example }) }
  return { required: !isOptional, content: { 'application/json': body } }
}

/** Tools take the example of a body, and not the examples of its schema. */
function exampleIn({ examples, anyOf }: Json): unknown[] {
  if (Array.isArray(examples)) return examples
  return isList(anyOf) ? anyOf.flatMap(exampleIn) : []
}

const SUCCESS: Record<string, string> = { 200: 'Success', 201: 'Created', 204: 'Done; there is no body' }

const COMMON_HEADERS: ResponseHeader[] = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy']

const HEADERS_OF: Record<string, ResponseHeader[]> = {
  401: ['WWW-Authenticate'],
  412: ['ETag'],
  429: ['Retry-After'],
  503: ['Retry-After'],
}

function headersNamed(names: readonly ResponseHeader[]): Json {
  return Object.fromEntries(
    [...COMMON_HEADERS, ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  )
}

const NOT_MODIFIED = {
  description: 'Nothing has changed; there is no body',
  headers: headersNamed(['ETag']),
}

function correctResponse(response: Answer, status: string): Json {
  const headers = headersNamed([...(HEADERS_OF[status] ?? []), ...(response.responseHeaders ?? [])])
  if (response.codes) return { ...problemResponse(response.codes, response['problemComponent']), headers }
  const schema = response['component'] ? response : response.content?.['application/json']?.schema
  // tools make one type of all media types, so the first one stands alone, and the others are told beside it
  const [[type, body], ...others] = Object.entries(
    (response['mediaTypes'] ?? { 'application/json': schema }) as Record<string, Json>,
  ) as [[string, Json], ...[string, Json][]]
  return {
    description: SUCCESS[status] ?? 'Success',
    headers,
    ...(schema && { content: { [type]: mediaType(body) } }),
    ...(others.length > 0 && {
      'x-media-types': mapValues(Object.fromEntries(others), (each) => ({ schema: definition(each) })),
    }),
  }
}

/** OpenAPI 3.2 has `itemSchema` for what a stream holds. */
function mediaType(schema: Json): Json {
  const { itemSchema } = schema
  return {
    schema: plainSchema(schema),
    ...(itemSchema !== undefined && { 'x-item-schema': plainSchema(itemSchema as Json) }),
  }
}

function problemResponse(codes: readonly ErrorCode[], component: unknown = 'Problem'): Json {
  const examples = Object.fromEntries(
    codes.map((code) => [code, { value: exampleOf(code, String(component)) }]),
  )
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    content: { 'application/problem+json': { schema: reference(component), examples } },
  }
}

function exampleOf(code: ErrorCode, component: string): Json {
  const errors: FieldError[] = [{ in: 'query', pointer: 'nope', detail: 'is not a known parameter' }]
  const [current] = components.get(component)?.['properties'].current?.examples ?? []
  const members = {
    ...(code === 'VALIDATION_ERROR' && { errors }),
    ...(code === 'PRECONDITION_FAILED' && { current }),
  }
  const problem = new Problem(code, members)
  return problem.body('0f1e2d3c-4b5a-4697-8899-aabbccddeeff')
}

function reference(name: unknown): Json {
  return { $ref: `#/components/schemas/${name}` }
}

function isList(value: unknown): value is Json[] {
  return Array.isArray(value)
}

/** Makes plain JSON Schema; named schemas become references. */
function plainSchema(schema: Json): Json {
  return jsonSchema(schema, reference)
}

/** The same for a named schema itself. */
function definition(schema: Json): Json {
  return definitionOf(schema, reference)
}
