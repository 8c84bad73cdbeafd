/** Code that must not compile. If a line begins to compile, its directive is unused, which is an error too. */
import {
  allTasks,
  betterAuthToken,
  type Client,
  createClient,
  type RequestError,
  type Task,
  unwrap,
} from 'taskwell/client'

export async function wrongFields({ api }: Client): Promise<void> {
  // @ts-expect-error a name misspelled
  await api.v1.todos.post({ titel: 'Buy milk' })
  // @ts-expect-error no title
  await api.v1.todos.post({ description: 'Two bottles' })
  // @ts-expect-error no body
  await api.v1.todos.post()
  // @ts-expect-error a field that tasks do not have
  await api.v1.todos.post({ title: 'Buy milk', priority: 1 })
  // @ts-expect-error a field that only the server sets
  await api.v1.todos({ id: 1 }).patch({ revision: 2 })
  // @ts-expect-error a body without its field
  await api.v1.todos({ id: 1 }).complete.patch({})
}

export async function wrongTypes({ api }: Client): Promise<void> {
  // @ts-expect-error a number for a title
  await api.v1.todos.post({ title: 1 })
  // @ts-expect-error null for a title
  await api.v1.todos({ id: 1 }).patch({ title: null })
  // @ts-expect-error null for a boolean
  await api.v1.todos({ id: 1 }).put({ completed: null })
  // @ts-expect-error a string for a boolean
  await api.v1.todos({ id: 1 }).complete.patch({ completed: 'true' })
  // @ts-expect-error a boolean for an id
  await api.v1.todos({ id: true }).get()
}

export async function wrongQueries({ api }: Client): Promise<void> {
  // @ts-expect-error a parameter that lists do not have
  await api.v1.todos.get({ query: { page: 2 } })
  // @ts-expect-error a status that tasks do not have
  await api.v1.todos.get({ query: { status: 'done' } })
  // @ts-expect-error an order that lists do not have
  await api.v1.todos.get({ query: { sort: 'color' } })
  // @ts-expect-error text for a boolean
  await api.v1.todos.get({ query: { count: 'true' } })
  // @ts-expect-error text for a number
  await api.v1.todos.get({ query: { limit: '10' } })
  // @ts-expect-error the same on the other address
  await api({ user_id: 'me' }).tasks.get({ query: { page: 2 } })
  // @ts-expect-error a parameter on a route without any
  await api.v1.todos({ id: 1 }).get({ query: { limit: 10 } })
}

export async function wrongPaths({ api }: Client): Promise<void> {
  // @ts-expect-error a path that does not exist
  await api.v1.tasks.get()
  // @ts-expect-error a method that the path does not have
  await api.v1.todos.put({ title: 'Buy milk' })
  // @ts-expect-error no id
  await api.v1.todos.delete()
  // @ts-expect-error another name for the owner
  await api({ owner: 'me' }).tasks.get()
  // @ts-expect-error another name for the id
  await api({ user_id: 'me' }).tasks({ task_id: 1 }).get()
}

export async function wrongAnswers({ api }: Client): Promise<unknown[]> {
  const { data, error } = await api.v1.todos({ id: 1 }).get()
  // @ts-expect-error there is no data beside an error
  const unchecked = data.title
  if (error === null) {
    // @ts-expect-error a field that tasks do not have
    const missing = data.colour
    // @ts-expect-error times are text
    const year = data.created_at.getFullYear()
    return [missing, year]
  }
  // @ts-expect-error a status that the route does not have
  if (error.status === 409) return []
  // @ts-expect-error a code of another status
  if (error.status === 404 && error.value.error_code === 'TOKEN_EXPIRED') return []
  // @ts-expect-error a code of another route
  if (error.status === 404 && error.value.error_code === 'NOT_FOUND') return []
  return [unchecked]
}

export async function wrongWalks(client: Client): Promise<void> {
  // @ts-expect-error a parameter that lists do not have
  allTasks(client, { page: 2 })
  // @ts-expect-error the walk has its own cursor
  allTasks(client, { cursor: 'abc' })
  // @ts-expect-error a walk cannot skip tasks
  allTasks(client, { skip: 100 })
  for await (const task of allTasks(client)) {
    // @ts-expect-error a field that tasks do not have
    task.colour
  }
}

export async function wrongUpdates(client: Client, task: Task): Promise<unknown> {
  // @ts-expect-error an id has no revision
  await client.update(task.id, { title: 'Buy oat milk' })
  // @ts-expect-error a field that only the server sets
  await client.update(task, { revision: 2 })
  // @ts-expect-error a function that gives no change
  await client.update(task, () => 'Buy oat milk')
  // @ts-expect-error a change cannot be a promise
  await client.update(task, async () => ({ title: 'Buy oat milk' }))
  const { error } = await client.update(task, { title: 'Buy oat milk' })
  // @ts-expect-error only a conflict has the current task
  const current: Task | undefined = error?.value.current
  return current
}

export async function wrongSyncs(client: Client): Promise<void> {
  // @ts-expect-error no store
  client.sync()
  // @ts-expect-error a store of something else
  client.sync(new Map<number, string>())
  // @ts-expect-error a store by another key
  client.sync(new Map<string, Task>())
  // @ts-expect-error an option that does not exist
  client.sync(new Map<number, Task>(), { since: 'abc' })
  // @ts-expect-error the cursor can only be read
  client.sync(new Map<number, Task>()).cursor = 'abc'
}

export async function wrongTrash({ api }: Client): Promise<void> {
  // @ts-expect-error the trash has one order
  await api.v1.todos.trash.get({ query: { sort: 'title' } })
  // @ts-expect-error text for a boolean
  await api.v1.todos({ id: 1 }).delete(undefined, { query: { permanent: 'true' } })
  // @ts-expect-error a parameter that changes do not have
  await api.v1.todos.changes.get({ query: { cursor: 'abc' } })
  const { data } = await api.v1.todos.changes.get()
  // @ts-expect-error a change may be a deletion, which has no title
  data?.changes.map(({ title }) => title)
}

export async function wrongSignIns(client: Client): Promise<void> {
  // @ts-expect-error no password
  await client.signUp({ email: 'ann@example.com' })
  // @ts-expect-error a field that accounts do not have
  await client.signUp({ email: 'ann@example.com', password: 'secret', admin: true })
  // @ts-expect-error a name is only given when signing up
  await client.signIn({ email: 'ann@example.com', password: 'secret', name: 'Ann' })
  // @ts-expect-error two texts
  await client.signIn('ann@example.com', 'secret')
  // @ts-expect-error nothing
  await client.signIn()
  // @ts-expect-error signing out takes no token
  await client.signOut('token')
  // @ts-expect-error signing out has no answer
  const { error } = await client.signOut()
  // @ts-expect-error it is not a route
  await client.api.signOut()
  return error
}

export async function wrongAccounts({ api }: Client): Promise<unknown[]> {
  const { me } = api.v1.users
  // @ts-expect-error null for an address
  await me.patch({ email: null })
  // @ts-expect-error a password has a route of its own
  await me.patch({ password: 'secret' })
  // @ts-expect-error a number for a name
  await me.patch({ name: 1 })
  // @ts-expect-error a text instead of a body
  await me.delete('secret')
  // @ts-expect-error no current password
  await me.password.post({ new_password: 'another secret' })
  // @ts-expect-error a method that the path does not have
  await me.post({ name: 'Ann' })
  // @ts-expect-error only oneself
  await api.v1.users({ id: 'bob' }).get()
  // @ts-expect-error another name for the id
  await me.sessions({ session_id: 'x' }).delete()
  // @ts-expect-error one session can only be ended
  await me.sessions({ id: 'x' }).get()
  const user = await me.get()
  // @ts-expect-error a field that users do not have
  const missing = user.data?.password
  // @ts-expect-error a missing name is null
  const name: string = user.data?.name ?? null
  const { data: sessions } = await me.sessions.get()
  // @ts-expect-error sessions do not show their tokens
  const token = sessions?.[0]?.refresh_token
  const { data: tokens } = await api.v1.auth.refresh.post({ refresh_token: 'x' })
  // @ts-expect-error another name for the token
  const wrong = tokens?.token
  return [missing, name, token, wrong]
}

export function wrongOptions(error: RequestError): void {
  // @ts-expect-error no address
  createClient()
  // @ts-expect-error a number for a token
  createClient('https://tasks.example', { token: 1 })
  // @ts-expect-error a function that gives no token
  createClient('https://tasks.example', { token: async () => ({ token: 'a.b.c' }) })
  // @ts-expect-error an option that does not exist
  createClient('https://tasks.example', { tokens: 'a.b.c' })
  // @ts-expect-error a storage that cannot forget
  createClient('https://tasks.example', { storage: { getItem: () => null, setItem: () => {} } })
  // @ts-expect-error a storage of numbers
  createClient('https://tasks.example', { storage: { ...localStorage, getItem: () => 1 } })
  // @ts-expect-error text for a number
  createClient('https://tasks.example', { retries: '3' })
  // @ts-expect-error the name of a storage that tabs do not share
  createClient('https://tasks.example', { storage: 'sessionStorage' })
  // @ts-expect-error `problem` may be undefined
  error.problem.error_code
  // @ts-expect-error a code that does not exist
  if (error.code === 'GONE') error.message
}

export async function wrongSession({ session, page, api }: Client): Promise<unknown[]> {
  // @ts-expect-error nobody may be signed in
  const id = session.user.id
  // @ts-expect-error a snapshot never changes
  session.current.user = undefined
  // @ts-expect-error a reason that does not exist
  const isBored = session.reason === 'bored'
  // @ts-expect-error a page has its own place in the list
  await page({ cursor: 'x' })
  // @ts-expect-error there may be no next page
  const { tasks } = await (await page()).next()
  // @ts-expect-error data without a call
  await unwrap({ data: 1 })
  // @ts-expect-error a field that tasks do not have
  const missing = (await unwrap(api.v1.todos({ id: 1 }).get())).colour
  // @ts-expect-error not a client of Better Auth
  betterAuthToken({ token: async () => 'a.b.c' })
  return [id, isBored, tasks, missing]
}
