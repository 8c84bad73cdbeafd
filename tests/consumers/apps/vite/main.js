/** Says in the page's title what it did. */
import { createClient, unwrap } from 'taskwell-client'

const client = createClient(import.meta.env.VITE_API, { storage: 'localStorage' })

await unwrap(client.signUp({ email: `${Math.random()}@example.com`, password: 'correct horse battery' }))
await unwrap(client.api.v1.todos.post({ title: 'Buy milk' }))
const tasks = new Map()
const sync = client.sync(tasks)
await sync.ready
const titles = [...tasks.values()].map(({ title }) => title)
document.title = [client.session.status, sync.status, ...titles].join(' ')
