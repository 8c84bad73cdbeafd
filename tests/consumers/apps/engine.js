/** Says in one line what it did: `node engine.js <server>`. */
import { allTasks, createClient, RequestError, unwrap } from 'taskwell-client'

const [url] = process.argv.slice(2)
const client = createClient(url, { storage: 'localStorage' })
const { todos } = client.api.v1
const said = []

said.push(await unwrap(todos.get()).catch((error) => error instanceof RequestError && error.code))
await unwrap(client.signUp({ email: `${Math.random()}@example.com`, password: 'correct horse battery' }))
said.push(client.session.status)
const task = await unwrap(todos.post({ title: 'a' }))
await unwrap(todos.post({ title: 'b' }))
said.push((await unwrap(client.update(task, { title: 'A' }))).title)
said.push((await client.page({ limit: 1 })).total)
for await (const { title } of allTasks(client, { limit: 1 })) said.push(title)

const store = new Map()
const sync = client.sync(store)
await sync.ready
said.push(store.size, sync.status)
sync.stop()
await sync.ended
await client.signOut()
// biome-ignore lint/suspicious/noConsole: the check reads it there
console.log([...said, client.session.status].join(' '))
