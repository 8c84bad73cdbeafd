import { Api, type Task } from '../generated/swagger-typescript-api'
import { equal, newcomer } from './equal'

const { api, setSecurityData } = new Api<string>({
  securityWorker: (token) => ({ headers: { Authorization: `Bearer ${token}` } }),
})
const registered = await api.register(newcomer())
setSecurityData(registered.data.access_token)

const created = await api.createTask({ title: 'Buy milk' })
const task: Task = created.data
equal(task.description, null)

const listed = await api.listTasks({ count: true, limit: 10 })
equal(
  listed.data.map(({ title }) => title),
  ['Buy milk'],
)
equal(listed.headers.get('x-total-count'), '1')

const read = await api.readTask(task.id)
equal(read.data.title, 'Buy milk')

const unchanged = { headers: { 'If-Match': read.headers.get('etag') ?? '' } }
const updated = await api.patchTask(task.id, { title: 'Buy oat milk' }, unchanged)
equal(updated.data.title, 'Buy oat milk')

const { error: late } = await api.patchTask(task.id, { title: 'Buy oat milk' }, unchanged)
if (late.error_code !== 'PRECONDITION_FAILED') throw new Error(late.detail)
equal(late.current.title, 'Buy oat milk')

const deleted = await api.deleteTask(task.id)
equal(deleted.status, 204)
