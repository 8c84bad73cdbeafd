import { isErrorFromAlias } from '@zodios/core'
import type { z } from 'zod'
import { createApiClient, type schemas } from '../generated/openapi-zod-client'
import { equal, newcomer } from './equal'

type Task = z.infer<typeof schemas.Task>

const client = createApiClient(process.env.API_URL ?? '')
const tokens = await client.register(newcomer())
const signedIn = { headers: { authorization: `Bearer ${tokens.access_token}` } }

const task: Task = await client.createTask({ title: 'Buy milk' }, signedIn)
equal(task.description, null)

const listed = await client.listTasks({ ...signedIn, queries: { count: true, limit: 10 } })
equal(
  listed.map(({ title }) => title),
  ['Buy milk'],
)

const params = { id: task.id }
const read = await client.readTask({ ...signedIn, params })
equal(read.title, 'Buy milk')

const headers = { ...signedIn.headers, 'If-Match': `"${read.revision}"` }
const updated = await client.patchTask({ title: 'Buy oat milk' }, { params, headers })
equal(updated.title, 'Buy oat milk')

const late = await client.patchTask({ title: 'Buy oat milk' }, { params, headers }).catch((error) => error)
if (!isErrorFromAlias(client.api, 'patchTask', late) || late.response.status !== 412) throw late
equal(late.response.data.current.title, 'Buy oat milk')

await client.deleteTask(undefined, { ...signedIn, params })
