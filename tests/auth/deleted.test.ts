import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { SECRET, testApp } from '../support/app'

const { call, sql } = await testApp()
const ME = '/api/v1/users/me'
const ORIGIN = 'http://localhost:3000'
const PASSWORD = 'correct horse battery staple'

interface Schema {
  $ref?: string
  type?: string
  format?: string
  minimum?: number
  minLength?: number
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  items?: Schema
  examples?: unknown[]
  properties?: Record<string, Schema>
  required?: string[]
}

interface Operation {
  operationId: string
  security: unknown[]
  parameters?: { in: string; name: string; required: boolean; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}

interface OpenApi {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const document: OpenApi = (await call('GET', '/openapi.json')).body

/** What a schema gives as an example, or else any value that fits it. */
function sampleOf(schema: Schema = {}): unknown {
  if (schema.$ref) return sampleOf(document.components.schemas[schema.$ref.split('/').at(-1) ?? ''])
  const [example = schema.const ?? schema.enum?.[0]] = schema.examples ?? []
  if (example !== undefined) return example
  if (schema.anyOf) return sampleOf(schema.anyOf[0])
  switch (schema.type) {
    case 'object': {
      const properties = Object.entries(schema.properties ?? {})
      return Object.fromEntries(properties.map(([name, each]) => [name, sampleOf(each)]))
    }
    case 'array':
      return [sampleOf(schema.items)]
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      return true
    default:
      return textOf(schema)
  }
}

function textOf({ format, minLength = 1 }: Schema): string {
  if (format === 'uuid') return crypto.randomUUID()
  if (format === 'idn-email') return 'ann@example.com'
  return 'one text, different from others'.padEnd(minLength, '.')
}

/** Every operation that needs a token, whoever may have added it. */
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([, { security }]) => security.length > 0)
    .map(([method, operation]) => [method.toUpperCase(), path, operation] as const),
)

async function send(method: string, path: string, operation: Operation, token: string, taskId?: number) {
  const { parameters = [], requestBody } = operation
  const query = new URLSearchParams()
  let target = path
  for (const { in: place, name, schema, required } of parameters) {
    const isTask = name === 'id' && taskId !== undefined
    const value = name === 'user_id' ? 'me' : String(isTask ? taskId : sampleOf(schema))
    if (place === 'path') target = target.replace(`{${name}}`, value)
    else if (place === 'query' && required) query.set(name, value)
  }
  return call(method, query.size > 0 ? `${target}?${query}` : target, {
    headers: { authorization: `Bearer ${token}`, origin: ORIGIN },
    body: requestBody && sampleOf(requestBody.content['application/json']?.schema),
  })
}

const A_MINUTE_AGO = Math.floor(Date.now() / 1000) - 60

let users = 0
/** An access token of an account. */
async function tokenOfAccount(): Promise<{ id: string; token: string }> {
  const body = { email: `ann.${++users}@example.com`, password: PASSWORD }
  const answer = await call('POST', '/api/v1/auth/register', { body })
  return { id: answer.body.user.id, token: answer.body.access_token }
}

/** A token of another issuer, from before whatever happens here. */
async function tokenOfForeigner(): Promise<{ id: string; token: string }> {
  const id = `foreigner-${++users}`
  const token = await new SignJWT({ sub: id, iat: A_MINUTE_AGO })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))
  return { id, token }
}

const KINDS = { 'an account': tokenOfAccount, 'a foreign user': tokenOfForeigner }

/** As text: JavaScript has no infinite time. */
async function rowOf(id: string): Promise<unknown> {
  const [row] = await sql<{ row: unknown }[]>`select to_jsonb(users) as row from users where id = ${id}`
  return row?.row
}

/** Whatever table names its rows' user. */
async function rowsOf(id: string): Promise<Record<string, number>> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'user_id'`
  const rows: Record<string, number> = {}
  for (const { name } of tables) {
    rows[name] = (await sql`select from ${sql(name)} where user_id = ${id}`).length
  }
  return rows
}

/** Of the request itself: they would say nothing of the token. */
const FAULTS = [400, 401, 405, 413, 415, 422, 500, 503]

test('there are operations that need a token', () => {
  const ids = operations.map(([, , { operationId }]) => operationId)
  for (const id of ['createTask', 'createTaskOfUser', 'deleteUser', 'endSession']) expect(ids).toContain(id)
  expect(ids).not.toContain('login')
})

describe.each(Object.entries(KINDS))('the token of %s', (kind, makeToken) => {
  test.each(operations)('is good for %s %s until the user is deleted', async (method, path, operation) => {
    const alive = await send(method, path, operation, (await makeToken()).token)
    expect(FAULTS, JSON.stringify(alive.body)).not.toContain(alive.status)
    expect(alive.headers.get('x-request-id')).toBeTruthy()
    expect(alive.headers.get('access-control-allow-origin')).toBe(ORIGIN)

    const { id, token } = await makeToken()
    const headers = { authorization: `Bearer ${token}` }
    await call('POST', '/api/v1/todos', { headers, body: { title: 'x' } })
    const body = kind === 'an account' ? { password: PASSWORD } : undefined
    expect((await call('DELETE', ME, { headers, body })).status).toBe(204)
    const tombstone = await rowOf(id)
    expect(tombstone).toMatchObject({ id, refuse_tokens_until: expect.any(String) })

    const answer = await send(method, path, operation, token)
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await rowOf(id)).toEqual(tombstone)
    const rows = await rowsOf(id)
    expect(Object.keys(rows)).toContain('tasks')
    expect(Object.values(rows)).toEqual(Object.values(rows).fill(0))
  })
})

describe('a foreign user who was deleted and came back', () => {
  test.each(operations)(
    'is not reached by %s %s with the token from before',
    async (method, path, operation) => {
      const { id, token } = await tokenOfForeigner()
      expect((await call('DELETE', ME, { headers: { authorization: `Bearer ${token}` } })).status).toBe(204)
      await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '30 seconds' where id = ${id}`
      const { status, body: task } = await call('POST', '/api/v1/todos', { as: id, body: { title: 'back' } })
      expect(status).toBe(201)

      const taskId = path.includes('/sessions/') ? undefined : task.id
      const answer = await send(method, path, operation, token, taskId)
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
      expect((await call('GET', `/api/v1/todos/${task.id}`, { as: id })).body).toEqual(task)
    },
  )
})
