import {
  createTask,
  deleteTask,
  listTasks,
  patchTask,
  readTask,
  register,
  type Task,
} from '../generated/orval'
import { equal, newcomer } from './equal'

const registered = await register(newcomer())
if (registered.status !== 201) throw new Error(registered.data.detail)
const authorization = `Bearer ${registered.data.access_token}`
const signedIn = { headers: { authorization } }

const created = await createTask({ title: 'Buy milk' }, signedIn)
if (created.status !== 201) throw new Error(created.data.detail)
const task: Task = created.data
equal(task.description, null)

const listed = await listTasks({ count: true, limit: 10 }, signedIn)
if (listed.status !== 200) throw new Error(listed.data.detail)
equal(
  listed.data.map(({ title }) => title),
  ['Buy milk'],
)
equal(listed.headers.get('x-total-count'), '1')

const read = await readTask(task.id, signedIn)
if (read.status !== 200) throw new Error(read.data.detail)
equal(read.data.title, 'Buy milk')

const unchanged = { headers: { authorization, 'if-match': read.headers.get('etag') ?? '' } }
const updated = await patchTask(task.id, { title: 'Buy oat milk' }, unchanged)
if (updated.status !== 200) throw new Error(updated.data.detail)
equal(updated.data.title, 'Buy oat milk')

const late = await patchTask(task.id, { title: 'Buy oat milk' }, unchanged)
if (late.status !== 412) throw new Error(`${late.status} instead of 412`)
equal(late.data.current.title, 'Buy oat milk')

const deleted = await deleteTask(task.id, undefined, signedIn)
equal(deleted.status, 204)
