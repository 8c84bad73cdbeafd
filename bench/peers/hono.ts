/** What would be written with Hono: its own check of tokens, zod, postgres.js. */
import { zValidator } from '@hono/zod-validator'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { type JwtVariables, jwt } from 'hono/jwt'
import { z } from 'zod'
import { clients } from './clients'

const { BETTER_AUTH_SECRET = '', DATABASE_URL = '', PORT } = process.env

const client = clients(DATABASE_URL)

const Id = z.object({ id: z.coerce.number().int().positive().max(2_147_483_647) })
const TaskCreate = z.object({
  title: z.string().min(1).max(200),
  description: z.string().max(1000).nullish(),
  completed: z.boolean().default(false),
})
const TaskComplete = z.object({ completed: z.boolean() })

const tasks = new Hono<{ Variables: JwtVariables<{ sub: string }> }>()
  .use(jwt({ secret: BETTER_AUTH_SECRET, alg: 'HS256' }))
  .get('/', async (c) => {
    const { sub } = c.get('jwtPayload')
    const tasks = await client()`
      select id, user_id, title, description, completed, created_at, updated_at, revision
      from tasks where user_id = ${sub} order by id desc limit 20`
    return c.json(tasks)
  })
  .post('/', zValidator('json', TaskCreate), async (c) => {
    const { sub } = c.get('jwtPayload')
    const { title, description = null, completed } = c.req.valid('json')
    const [task] = await client()`
      insert into tasks (user_id, title, description, completed)
      values (${sub}, ${title}, ${description}, ${completed})
      returning id, user_id, title, description, completed, created_at, updated_at, revision`
    return c.json(task, 201)
  })
  .get('/:id', zValidator('param', Id), async (c) => {
    const { sub } = c.get('jwtPayload')
    const { id } = c.req.valid('param')
    const [task] = await client()`
      select id, user_id, title, description, completed, created_at, updated_at, revision
      from tasks where id = ${id} and user_id = ${sub}`
    if (!task) throw new HTTPException(404)
    return c.json(task)
  })
  .patch('/:id/complete', zValidator('param', Id), zValidator('json', TaskComplete), async (c) => {
    const { sub } = c.get('jwtPayload')
    const { id } = c.req.valid('param')
    const { completed } = c.req.valid('json')
    const [task] = await client()`
      update tasks set completed = ${completed}, updated_at = now(), revision = revision + 1
      where id = ${id} and user_id = ${sub}
      returning id, user_id, title, description, completed, created_at, updated_at, revision`
    if (!task) throw new HTTPException(404)
    return c.json(task)
  })

const app = new Hono().route('/api/v1/todos', tasks)

Bun.serve({ hostname: '127.0.0.1', port: Number(PORT), fetch: app.fetch })
