/** Code that must compile. This project is compiled, never run. */
import {
  allTasks,
  betterAuthToken,
  type Change,
  type Client,
  createClient,
  type KeyValueStorage,
  type Page,
  RequestError,
  type Session,
  type SessionState,
  type Sync,
  type SyncStatus,
  type Task,
  type TaskCreate,
  type TaskStore,
  type User,
  unwrap,
} from 'taskwell/client'

export const withoutToken = createClient('https://tasks.example')
export const withToken = createClient('https://tasks.example', { token: 'a.b.c' })
export const withTokenFunction = createClient('https://tasks.example', {
  token: () => localStorage.getItem('token'),
})
export const withLocalStorage = createClient('https://tasks.example', { storage: localStorage })
export const withSessionStorage = createClient('https://tasks.example', { storage: sessionStorage })
export const withEverything = createClient('https://tasks.example', {
  token: async () => undefined,
  storage: localStorage,
  fetcher: (url, init) => fetch(url, { ...init, credentials: 'omit' }),
  retries: 0,
})

export const withNamedStorage = createClient('https://tasks.example', { storage: 'indexedDB' })
declare const setting: string | undefined
export const withUndefined = createClient('https://tasks.example', {
  token: undefined,
  storage: setting === undefined ? undefined : 'localStorage',
  fetcher: undefined,
  retries: undefined,
  timeoutMs: undefined,
})
export const withExpired = createClient('https://tasks.example', {
  token: async ({ expired }) => (expired === undefined ? 'a.b.c' : null),
})

/** What `createAuthClient` of Better Auth gives, with and without its plugin, as far as it counts. */
declare const authClient: {
  $fetch: <T>(
    path: string,
    options?: { method?: string },
  ) => Promise<{ data: T | null; error: object | null }>
  $store: {
    listen: (signal: string, listener: () => void) => void
    atoms: Record<string, { value: unknown }>
  }
}
export const withBetterAuth = createClient('https://tasks.example', { token: betterAuthToken(authClient) })

/** As React's `useSyncExternalStore` takes it. */
export function whoIs(
  { current, onChange, ready }: Session,
  seen: (state: SessionState) => void,
): User | null {
  const stop: () => void = onChange(seen)
  void ready.then(seen).finally(stop)
  if (current.status !== 'signed-in') return null
  const { id, email, name, created_at } = current.user
  return { id, email, name, created_at }
}

export async function unwrapped({ api, signIn }: Client): Promise<string> {
  const tasks: Task[] = await unwrap(api.v1.todos.get())
  const { user } = await unwrap(signIn({ email: 'ann@example.com', password: 'secret' }))
  const task: Task = await unwrap(api.v1.todos.post({ title: 'Buy milk' }))
  return `${user.id} ${task.title} ${tasks.length}`
}

export async function pages(client: Client): Promise<number> {
  let count = 0
  let page: Page | undefined = await client.page({ status: 'pending', limit: 20 })
  for (; page; page = await page.next()) count += page.tasks.length + page.total + Number(page.hasNext)
  return count
}

/** A storage behind promises, as phones have. */
const phone: KeyValueStorage = {
  getItem: async (key) => (key === '' ? null : 'text'),
  setItem: async (key, value) => [key, value],
  removeItem: async () => {},
}
export const withAsyncStorage = createClient('https://tasks.example', { storage: phone })

export async function signUp(client: Client, email: string, password: string): Promise<string> {
  const { data, error, status } = await client.signUp({ email, password, name: null })
  if (error) throw error
  const { user, expires_in }: { user: { id: string; email: string | null }; expires_in: number } = data
  return `${status} ${user.email} ${expires_in}`
}

export async function signIn({ signIn }: Client, signal: AbortSignal): Promise<string | undefined> {
  const { data } = await signIn({ email: 'ann@example.com', password: 'secret' }, { fetch: { signal } })
  return data?.user.id
}

export async function signOut(client: Client): Promise<void> {
  await client.signOut()
}

export async function account({ api }: Client): Promise<string | null | undefined> {
  const { me } = api.v1.users
  const { data } = await me.get()
  await me.patch({ name: 'Ann' })
  await me.patch({ name: null })
  const changed = await me.patch({ email: 'ann@example.com', current_password: 'secret' })
  await me.password.post({ current_password: 'secret', new_password: 'another secret' })
  await me.delete({ password: 'secret' })
  // users of another issuer have no password
  await me.delete()
  return changed.data?.email ?? data?.name ?? data?.created_at
}

export async function sessions({ api }: Client): Promise<string[]> {
  const { sessions } = api.v1.users.me
  const { data, error } = await sessions.get()
  if (error) throw error
  for (const { id, current } of data) if (!current) await sessions({ id }).delete()
  await sessions.delete()
  return data.map(({ user_agent, last_used_at, created_at }) => user_agent ?? last_used_at ?? created_at)
}

export async function tokensByHand({ api }: Client, refresh_token: string): Promise<string | undefined> {
  const { data } = await api.v1.auth.refresh.post({ refresh_token })
  await api.v1.auth.logout.post({ refresh_token })
  return data?.access_token
}

export async function list({ api }: Client): Promise<Task[]> {
  const { data, error, response } = await api.v1.todos.get({
    query: { status: 'pending', sort: 'title', order: 'desc', limit: 10, skip: 20, count: true },
  })
  if (error) throw error
  const total: string | null = response.headers.get('x-total-count')
  return total === '0' ? [] : data
}

export async function create({ api }: Client, task: TaskCreate): Promise<Task> {
  const { data, error } = await api.v1.todos.post(task)
  if (error) throw error
  return data
}

export async function createByTitle({ api }: Client): Promise<string | null> {
  const { data, error } = await api.v1.todos.post({ title: 'Buy milk', description: null, completed: true })
  return error ? null : data.description
}

export async function change({ api }: Client, id: number): Promise<string[]> {
  const patched = await api.v1.todos({ id }).patch({ description: null })
  const put = await api.v1.todos({ id: String(id) }).put({ title: 'Buy oat milk', completed: false })
  return [patched, put].flatMap(({ data }) => data?.updated_at ?? [])
}

export async function complete({ api }: Client, id: number): Promise<boolean[]> {
  const toggled = await api.v1.todos({ id }).complete.patch()
  const set = await api.v1.todos({ id }).complete.patch({ completed: true })
  return [toggled, set].flatMap(({ data }) => data?.completed ?? [])
}

export async function remove({ api }: Client, id: number): Promise<boolean> {
  const { error } = await api.v1.todos({ id }).delete(undefined, { headers: { 'if-match': '"7"' } })
  return error === null
}

export async function trash({ api }: Client, id: number): Promise<string[]> {
  const { data, error } = await api.v1.todos.trash.get({ query: { limit: 10, count: true } })
  if (error) throw error
  await api.v1.todos({ id }).restore.post()
  const restored = await api.v1.todos({ id }).restore.post(undefined, { headers: { 'if-match': '"7"' } })
  await api.v1.todos({ id }).delete(undefined, { query: { permanent: true } })
  return [restored.data?.title ?? '', ...data.map(({ deleted_at }) => deleted_at)]
}

export async function guarded({ api }: Client, { id, revision }: Task): Promise<Task | undefined> {
  const headers = { 'if-match': `"${revision}"` }
  await api.v1.todos({ id }).put({ completed: true }, { headers })
  await api.v1.todos({ id }).complete.patch({ completed: true }, { headers })
  const { error } = await api.v1.todos({ id }).patch({ title: 'Buy oat milk' }, { headers })
  return error?.status === 412 ? error.value.current : undefined
}

export async function once({ api }: Client, key: string): Promise<boolean> {
  const headers = { 'idempotency-key': key }
  const { response } = await api.v1.todos.post({ title: 'Buy milk' }, { headers })
  return response.headers.get('idempotency-replayed') === 'true'
}

export async function update(client: Client, task: Task): Promise<Task> {
  await client.update(task, { description: null })
  const { data, error } = await client.update(task, ({ completed }) => ({ completed: !completed }))
  if (error?.status === 412) return error.value.current
  if (error) throw error
  return data
}

export async function changes({ api }: Client, since?: string): Promise<string> {
  const { data, error } = await api.v1.todos.changes.get({ query: { limit: 500, ...(since && { since }) } })
  if (error) throw error
  const titles = data.changes.map((change) => ('deleted' in change ? change.id : change.title))
  return data.has_more ? data.cursor : titles.join()
}

export function synced(client: Client, cursor: string): Sync[] {
  const tasks = new Map<number, Task>()
  const store: TaskStore = { get: () => undefined, set: () => {}, delete: () => {}, keys: () => [].values() }
  const titles: string[] = []
  const onChange = (changes: Change[]) => {
    titles.push(...changes.map((change) => ('deleted' in change ? String(change.revision) : change.title)))
  }
  const onStatus = (status: SyncStatus, error?: Error) => titles.push(`${status} ${error?.message}`)
  const sync = client.sync(tasks, { onStatus, storage: null })
  sync.ready.then(() => sync.stop())
  return [sync, client.sync(store, { onChange, cursor: sync.cursor ?? cursor, storage: undefined })]
}

export async function byOwner({ api }: Client, user_id: string, id: number) {
  const { tasks } = api({ user_id })
  await tasks.get({ query: { completed: false } })
  await tasks.post({ title: 'Buy milk' })
  await tasks({ id }).get()
  await tasks({ id }).patch({ description: null })
  await tasks({ id }).complete.patch({ completed: false })
  await tasks({ id }).delete()
}

export async function abort({ api }: Client, signal: AbortSignal): Promise<void> {
  await api.v1.todos.get({ fetch: { signal } })
}

export async function version(client: Client): Promise<string | undefined> {
  const { data } = await client.health.get()
  return data?.version
}

export async function walk(client: Client): Promise<string> {
  try {
    for await (const { title } of allTasks(client, { completed: true, sort: 'created', limit: 200 })) {
      if (title.startsWith('b')) return title
    }
    for await (const task of allTasks(client)) return task.title
    return ''
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    const { status, problem }: { status: number; problem: { error_code: string } | undefined } = error
    return `${status} ${problem?.error_code}`
  }
}
