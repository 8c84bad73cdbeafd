import {
  createTask,
  deleteTask,
  listTasks,
  patchTask,
  readTask,
  register,
  type Task,
} from '../generated/hey-api'
import { client } from '../generated/hey-api/client.gen'
import { equal, newcomer } from './equal'

const { data: tokens, error: refused } = await register({ body: newcomer() })
if (refused) throw new Error(refused.detail)
client.setConfig({ auth: tokens.access_token })

const created = await createTask({ body: { title: 'Buy milk' }, throwOnError: true })
const task: Task = created.data
equal(task.description, null)

const listed = await listTasks({ query: { count: true, limit: 10 }, throwOnError: true })
equal(
  listed.data.map(({ title }) => title),
  ['Buy milk'],
)
equal(listed.response.headers.get('x-total-count'), '1')

const path = { id: task.id }
const read = await readTask({ path, throwOnError: true })
equal(read.data.title, 'Buy milk')

const headers = { 'If-Match': read.response.headers.get('etag') ?? '' }
const change = { path, headers, body: { title: 'Buy oat milk' } }
const updated = await patchTask(change)
equal(updated.data?.title, 'Buy oat milk')

const { error: late } = await patchTask(change)
if (late?.error_code !== 'PRECONDITION_FAILED') throw new Error(late?.detail)
equal(late.current.title, 'Buy oat milk')

const deleted = await deleteTask({ path, throwOnError: true })
equal(deleted.response.status, 204)
