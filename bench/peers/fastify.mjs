/** What would be written with Fastify: @fastify/jwt, pg, schemas in and out. In JavaScript, so that any Node runs it. */
import process from 'node:process'
import jwt from '@fastify/jwt'
import fastify from 'fastify'
import pg from 'pg'

const { BETTER_AUTH_SECRET, DATABASE_URL, PORT } = process.env

const pool = new pg.Pool({ connectionString: DATABASE_URL })

/** Statements that are prepared once for each connection. */
const LIST = {
  name: 'list',
  text: `select id, user_id, title, description, completed, created_at, updated_at, revision
    from tasks where user_id = $1 order by id desc limit 20`,
}
const READ = {
  name: 'read',
  text: `select id, user_id, title, description, completed, created_at, updated_at, revision
    from tasks where id = $1 and user_id = $2`,
}
const CREATE = {
  name: 'create',
  text: `insert into tasks (user_id, title, description, completed) values ($1, $2, $3, $4)
    returning id, user_id, title, description, completed, created_at, updated_at, revision`,
}
const COMPLETE = {
  name: 'complete',
  text: `update tasks set completed = $3, updated_at = now(), revision = revision + 1 where id = $1 and user_id = $2
    returning id, user_id, title, description, completed, created_at, updated_at, revision`,
}

async function query(statement, ...values) {
  const { rows } = await pool.query({ ...statement, values })
  return rows
}

const task = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    user_id: { type: 'string' },
    title: { type: 'string' },
    description: { type: ['string', 'null'] },
    completed: { type: 'boolean' },
    created_at: { type: 'string', format: 'date-time' },
    updated_at: { type: 'string', format: 'date-time' },
    revision: { type: 'integer' },
  },
}
const params = { type: 'object', properties: { id: { type: 'integer', minimum: 1, maximum: 2_147_483_647 } } }
const taskCreate = {
  type: 'object',
  required: ['title'],
  properties: {
    title: { type: 'string', minLength: 1, maxLength: 200 },
    description: { type: ['string', 'null'], maxLength: 1000, default: null },
    completed: { type: 'boolean', default: false },
  },
}
const taskComplete = {
  type: 'object',
  required: ['completed'],
  properties: { completed: { type: 'boolean' } },
}

const app = fastify()
await app.register(jwt, { secret: BETTER_AUTH_SECRET, verify: { algorithms: ['HS256'] } })
app.addHook('onRequest', (request) => request.jwtVerify())

const found = ([task], reply) => task ?? reply.code(404).send({ message: 'There is no such task.' })

app.get('/api/v1/todos', { schema: { response: { 200: { type: 'array', items: task } } } }, ({ user }) =>
  query(LIST, user.sub),
)

app.post(
  '/api/v1/todos',
  { schema: { body: taskCreate, response: { 201: task } } },
  async ({ user, body }, reply) => {
    const [created] = await query(CREATE, user.sub, body.title, body.description, body.completed)
    return reply.code(201).send(created)
  },
)

app.get(
  '/api/v1/todos/:id',
  { schema: { params, response: { 200: task } } },
  async ({ user, params: { id } }, reply) => found(await query(READ, id, user.sub), reply),
)

app.patch(
  '/api/v1/todos/:id/complete',
  { schema: { params, body: taskComplete, response: { 200: task } } },
  async ({ user, params: { id }, body }, reply) =>
    found(await query(COMPLETE, id, user.sub, body.completed), reply),
)

await app.listen({ host: '127.0.0.1', port: Number(PORT) })
