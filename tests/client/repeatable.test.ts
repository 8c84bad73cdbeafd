import { afterEach, describe, expect, jest, test } from 'bun:test'
import { clientFiles, repeatableRoutes } from '../../scripts/client-routes'
import { type Client, createClient } from '../../src/client/index'
import { openApi } from '../../src/docs/document'
import { testApp } from '../support/app'
import { hurry } from '../support/time'

const { app } = await testApp()
afterEach(() => {
  jest.useRealTimers()
})

test('the files of the client say what the routes say', async () => {
  const message = 'The routes have changed: run `bun run client:routes`'
  for (const [path, text] of await clientFiles(app)) expect(await Bun.file(path).text(), message).toBe(text)
})

test('the OpenAPI document says what the routes say, as `x-repeatable`', async () => {
  const document = await openApi(app)
  const operations = Object.entries(document['paths'] as Record<string, Record<string, object>>).flatMap(
    ([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  )
  const documented = operations.flatMap(({ path, method, operation }) =>
    'x-repeatable' in operation
      ? [[method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ':$1'), operation['x-repeatable']]]
      : [],
  )
  expect(documented.map(String).toSorted()).toEqual(repeatableRoutes(app).map(String).toSorted())
  expect(operations.filter(({ operation }) => 'repeatable' in operation)).toEqual([])
})

type Tasks = Client['api']['v1']['todos']

const ADDRESSES: [string, string, (client: Client) => Tasks][] = [
  ['at /api/v1/todos', '', ({ api }) => api.v1.todos],
  // the two addresses have the same routes
  ['at /api/:user_id/tasks', '', ({ api }) => api({ user_id: 'a/b' }).tasks as unknown as Tasks],
  ['below a path like one of the routes', '/api/v1/todos', ({ api }) => api.v1.todos],
]
const query = { permanent: true } as const
const CALLS: [string, number, boolean, (tasks: Tasks) => Promise<unknown>][] = [
  ['reading a list', 2, false, (tasks) => tasks.get({ query: { limit: 10 } })],
  ['making', 2, true, (tasks) => tasks.post({ title: 'x' })],
  ['putting', 2, false, (tasks) => tasks({ id: 1 }).put({ title: 'x' })],
  ['changing', 2, false, (tasks) => tasks({ id: 1 }).patch({ title: 'x' })],
  ['completing with a body', 2, false, (tasks) => tasks({ id: 1 }).complete.patch({ completed: true })],
  ['completing without a body', 1, false, (tasks) => tasks({ id: 1 }).complete.patch()],
  ['restoring', 2, false, (tasks) => tasks({ id: 1 }).restore.post()],
  ['deleting', 2, false, (tasks) => tasks({ id: 1 }).delete()],
  ['deleting for good', 2, false, (tasks) => tasks({ id: 1 }).delete(undefined, { query })],
]

describe.each(ADDRESSES)('%s', (_, below, tasksOf) => {
  test.each(CALLS)('%s is sent %d times, with a key: %p', async (_, times, hasKey, act) => {
    const keys: boolean[] = []
    const fetcher = async (_: string, init: RequestInit) => {
      keys.push(new Headers(init.headers).has('idempotency-key'))
      return Response.json({}, { status: 503 })
    }
    const client = createClient(`https://tasks.example${below}`, { token: 'a.b.c', fetcher, retries: 1 })
    await hurry(
      () => act(tasksOf(client)),
      () => false,
    )
    expect(keys).toEqual(Array(times).fill(hasKey))
  })
})
