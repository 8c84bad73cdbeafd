import createClient from 'openapi-fetch'
import type { components, paths } from '../generated/openapi-typescript'
import { equal, newcomer } from './equal'

type Task = components['schemas']['Task']

const api = createClient<paths>({ baseUrl: process.env.API_URL })
const { data: tokens, error: refused } = await api.POST('/api/v1/auth/register', { body: newcomer() })
if (refused) throw new Error(refused.detail)
const headers = { Authorization: `Bearer ${tokens.access_token}` }

const created = await api.POST('/api/v1/todos', { headers, body: { title: 'Buy milk' } })
if (created.error) throw new Error(created.error.detail)
const task: Task = created.data
equal(task.description, null)

const listed = await api.GET('/api/v1/todos', { headers, params: { query: { count: true, limit: 10 } } })
if (listed.error) throw new Error(listed.error.detail)
equal(
  listed.data.map(({ title }) => title),
  ['Buy milk'],
)
equal(listed.response.headers.get('x-total-count'), '1')

const path = { id: task.id }
const read = await api.GET('/api/v1/todos/{id}', { headers, params: { path } })
equal(read.data?.title, 'Buy milk')

const header = { 'If-Match': read.response.headers.get('etag') ?? '' }
const change = { headers, params: { path, header }, body: { title: 'Buy oat milk' } }
const updated = await api.PATCH('/api/v1/todos/{id}', change)
equal(updated.data?.title, 'Buy oat milk')

const { error: late } = await api.PATCH('/api/v1/todos/{id}', change)
if (late?.error_code !== 'PRECONDITION_FAILED') throw new Error(late?.detail)
equal(late.current.title, 'Buy oat milk')

const deleted = await api.DELETE('/api/v1/todos/{id}', { headers, params: { path } })
equal(deleted.response.status, 204)
