/**
 * The least that a server can be: Bun.serve and postgres.js, plain statements on a plain table, tokens and bodies checked
 * by hand. No framework, no limits, no deadlines, no log.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { clients } from './clients'

const { BETTER_AUTH_SECRET = '', DATABASE_URL = '', PORT } = process.env

/** RFC 3339 from PostgreSQL's own text, without a Date in between. */
const time = {
  to: 1184,
  from: [1184],
  serialize: String,
  parse: (text: string) =>
    `${text.slice(0, 10)}T${text.slice(11, 19)}${(text.slice(19, -3) || '.').padEnd(4, '0')}Z`,
}

const client = clients(DATABASE_URL, { types: { time }, connection: { TimeZone: 'UTC' } })

/** @returns undefined for a token that is not good */
function ownerOf({ headers }: Request): string | undefined {
  const [, header, payload, signature] =
    /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(headers.get('authorization') ?? '') ?? []
  if (header === undefined || payload === undefined || signature === undefined) return undefined
  const expected = createHmac('sha256', BETTER_AUTH_SECRET).update(`${header}.${payload}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  const { alg } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const { sub, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString())
  return alg === 'HS256' && exp > Date.now() / 1000 ? sub : undefined
}

const refusal = (status: number, detail: string) => Response.json({ detail }, { status })

/** An answer with the first row. */
const one = ([task]: readonly unknown[], status = 200) =>
  task ? Response.json(task, { status }) : refusal(404, 'There is no such task.')

const isText = (value: unknown, min: number, max: number): value is string =>
  typeof value === 'string' && value.length >= min && value.length <= max

/** An id that no task has for what is no id. */
const idOf = (text: string) => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : 0)

type Handler<Path extends string> = (owner: string, request: Bun.BunRequest<Path>) => Promise<Response>

function guarded<Path extends string>(handle: Handler<Path>) {
  return (request: Bun.BunRequest<Path>) => {
    const owner = ownerOf(request)
    return owner === undefined ? refusal(401, 'A valid token is needed.') : handle(owner, request)
  }
}

const list: Handler<string> = async (owner) =>
  Response.json(
    await client()`
      select id, user_id, title, description, completed, created_at, updated_at, revision
      from tasks where user_id = ${owner} order by id desc limit 20`,
  )

const create: Handler<string> = async (owner, request) => {
  const body = await request.json().catch(() => null)
  const { title, description = null, completed = false } = body ?? {}
  if (
    !isText(title, 1, 200) ||
    !(description === null || isText(description, 0, 1000)) ||
    typeof completed !== 'boolean'
  )
    return refusal(422, 'This is no task.')
  const created = await client()`
    insert into tasks (user_id, title, description, completed)
    values (${owner}, ${title}, ${description}, ${completed})
    returning id, user_id, title, description, completed, created_at, updated_at, revision`
  return one(created, 201)
}

const read: Handler<'/api/v1/todos/:id'> = async (owner, { params }) =>
  one(
    await client()`
      select id, user_id, title, description, completed, created_at, updated_at, revision
      from tasks where id = ${idOf(params.id)} and user_id = ${owner}`,
  )

const complete: Handler<'/api/v1/todos/:id/complete'> = async (owner, request) => {
  const { completed } = (await request.json().catch(() => null)) ?? {}
  if (typeof completed !== 'boolean') return refusal(422, 'This does not say whether it is completed.')
  const changed = await client()`
    update tasks set completed = ${completed}, updated_at = now(), revision = revision + 1
    where id = ${idOf(request.params.id)} and user_id = ${owner}
    returning id, user_id, title, description, completed, created_at, updated_at, revision`
  return one(changed)
}

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(PORT),
  routes: {
    '/api/v1/todos': { GET: guarded(list), POST: guarded(create) },
    '/api/v1/todos/:id': { GET: guarded(read) },
    '/api/v1/todos/:id/complete': { PATCH: guarded(complete) },
  },
})
