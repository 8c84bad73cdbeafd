/**
 * What can be had at most: the same statements over the same driver, the same JSON and the same check of a token, and
 * nothing else. No framework, no validation, no limits, no deadlines, no log.
 */
import { jwtVerify } from 'jose'
import type { Caller } from '../src/auth/verify'
import { openPool } from '../src/database/connection'
import type { Sql } from '../src/database/sql'
import { listNewestFirst } from '../src/tasks/list-queries'
import type { TaskCreate } from '../src/tasks/model'
import { completeTask, createTask, findTask } from '../src/tasks/queries'

const { BETTER_AUTH_SECRET = '', DATABASE_URL = '', PORT } = process.env

const key = new TextEncoder().encode(BETTER_AUTH_SECRET)
// the pool itself, without the deadlines and names that it has in Taskwell; its own type knows more parameters
const serverSettings = { plan_cache_mode: 'force_generic_plan' }
const sql = openPool({ url: DATABASE_URL, poolSize: 10, serverSettings }) as unknown as Sql

const verified = new Map<string, Caller>()

async function callerOf({ headers }: Request): Promise<Caller> {
  const token = headers.get('authorization')?.slice('Bearer '.length) ?? ''
  const known = verified.get(token)
  if (known && known.expiresAt > Date.now() / 1000) return known
  const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'] })
  const { sub = '', exp = 0, iat = null } = payload
  const caller = { id: sub, expiresAt: exp, issuedAt: iat, sessionId: null }
  verified.set(token, caller)
  return caller
}

async function list(request: Request): Promise<Response> {
  const caller = await callerOf(request)
  const limit = Number(new URL(request.url).searchParams.get('limit'))
  const [, known] = /^W\/"(\d+)"$/.exec(request.headers.get('if-none-match') ?? '') ?? []
  const { revision, tasks } = await listNewestFirst(sql, caller, {
    completed: null,
    after: undefined,
    limit: limit + 1,
    skip: 0,
    count: false,
    known: known === undefined ? null : Number(known),
  })
  const headers = { etag: `W/"${revision}"` }
  if (tasks === null) return new Response(null, { status: 304, headers })
  return Response.json(tasks.slice(0, limit), { headers })
}

async function create(request: Request): Promise<Response> {
  const caller = await callerOf(request)
  // nothing is checked here
  const body = (await request.json()) as TaskCreate
  return Response.json(await createTask(sql, caller, body), { status: 201 })
}

async function read(request: Bun.BunRequest<'/api/v1/todos/:id'>): Promise<Response> {
  const caller = await callerOf(request)
  return Response.json(await findTask(sql, caller, Number(request.params.id)))
}

async function complete(request: Bun.BunRequest<'/api/v1/todos/:id/complete'>): Promise<Response> {
  const caller = await callerOf(request)
  const { completed } = (await request.json()) as { completed: boolean }
  return Response.json(await completeTask(sql, caller, Number(request.params.id), completed, null))
}

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(PORT),
  routes: {
    '/ready': async () => {
      await sql`select`
      return Response.json({ status: 'ready' })
    },
    '/api/v1/todos': { GET: list, POST: create },
    '/api/v1/todos/:id': { GET: read },
    '/api/v1/todos/:id/complete': { PATCH: complete },
  },
})
