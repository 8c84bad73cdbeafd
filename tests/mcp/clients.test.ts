/** The official clients of the Model Context Protocol, and a whole story with each. */
import { afterAll, describe, expect, test } from 'bun:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as EarlierClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as EarlierTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { signAccessToken } from '../../src/auth/token'
import { testSettings } from '../support/app'
import { testDatabase } from '../support/database'
import { call } from '../support/http-connection'
import { endServers, startServer } from '../support/server-process'

const { url: databaseUrl } = await testDatabase()
const server = await startServer({ DATABASE_URL: databaseUrl })
afterAll(endServers)
const address = new URL(`http://127.0.0.1:${server.port}/mcp`)
const settings = testSettings()

interface Result {
  content?: unknown
  structuredContent?: unknown
  isError?: boolean
}

/** What both generations of clients can do. */
interface AnyClient {
  listTools(): Promise<{ tools: { name: string; title?: string; outputSchema?: unknown }[] }>
  callTool(call: { name: string; arguments: Record<string, unknown> }): Promise<Result>
  getServerVersion(): { name: string } | undefined
  getInstructions(): string | undefined
  close(): Promise<void>
}

type Connect = (token: string) => Promise<{ client: AnyClient; revision: string | undefined }>

const INFO = { name: 'test', version: '1' }
const requestOf = (token: string) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } })

const connectNewer =
  (mode: 'auto' | 'legacy' | { pin: string }): Connect =>
  async (token) => {
    const client = new Client(INFO, { versionNegotiation: { mode } })
    await client.connect(new StreamableHTTPClientTransport(address, requestOf(token)))
    return { client: client as AnyClient, revision: client.getNegotiatedProtocolVersion() }
  }

const connectEarlier: Connect = async (token) => {
  const client = new EarlierClient(INFO)
  const transport = new EarlierTransport(address, requestOf(token))
  // its types do not know `exactOptionalPropertyTypes`
  await client.connect(transport as unknown as Parameters<EarlierClient['connect']>[0])
  return { client: client as AnyClient, revision: transport.protocolVersion }
}

const CLIENTS: [name: string, connect: Connect, revision: string][] = [
  ['the client, which finds out the revision', connectNewer('auto'), '2026-07-28'],
  ['the client, bound to the newest revision', connectNewer({ pin: '2026-07-28' }), '2026-07-28'],
  ['the client, as it was before', connectNewer('legacy'), '2025-11-25'],
  ['the SDK of the earlier revisions', connectEarlier, '2025-11-25'],
]

describe.each(CLIENTS)('%s', (_, connect, revision) => {
  const user = crypto.randomUUID()
  const open = async () => connect(await signAccessToken(user, settings))

  test('knows the server', async () => {
    const { client, revision: agreed } = await open()
    expect(agreed).toBe(revision)
    expect(client.getServerVersion()).toMatchObject({ name: 'taskwell' })
    expect(client.getInstructions()).toContain('list_tasks')
    const { tools } = await client.listTools()
    expect(tools).toHaveLength(9)
    for (const { title, outputSchema } of tools) expect([title, outputSchema]).not.toContain(undefined)
    await client.close()
  })

  test('does with tasks what an assistant does', async () => {
    const { client } = await open()
    // with the schemas of the list it validates what the tools give
    await client.listTools()
    const use = async (name: string, given: Record<string, unknown> = {}) => {
      const { structuredContent, content, isError } = await client.callTool({ name, arguments: given })
      expect(isError ?? false, JSON.stringify(content)).toBe(false)
      // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any tool
      return structuredContent as any
    }
    const { task_id } = await use('add_task', { title: 'Buy milk', due_date: '2030-01-01' })
    expect((await use('list_tasks', { status: 'pending' })).tasks).toMatchObject([{ id: task_id }])
    expect(await use('update_task', { task_id, title: 'Buy bread' })).toMatchObject({ status: 'updated' })
    expect(await use('get_task', { task_id })).toMatchObject({ title: 'Buy bread', due_date: '2030-01-01' })
    expect((await use('search', { query: 'bread' })).results).toMatchObject([{ id: String(task_id) }])
    expect(await use('fetch', { id: String(task_id) })).toMatchObject({ title: 'Buy bread' })
    expect(await use('complete_task', { task_id })).toMatchObject({ status: 'completed' })
    expect((await use('list_tasks', { status: 'pending' })).tasks).toEqual([])
    expect(await use('delete_task', { task_id })).toMatchObject({ status: 'deleted' })
    expect(await use('list_tasks')).toEqual({ tasks: [], next_cursor: null })
    expect(await use('restore_task', { task_id })).toMatchObject({ status: 'restored' })
    const seen = await call(server.port, 'GET', '/api/v1/todos', { as: user })
    expect(seen.body).toMatchObject([{ id: task_id, title: 'Buy bread', completed: true }])
    await client.close()
  })

  test('is told in words what goes wrong', async () => {
    const { client } = await open()
    const fail = async (name: string, given: Record<string, unknown>) => {
      const { isError, content } = await client.callTool({ name, arguments: given })
      expect(isError).toBe(true)
      return JSON.stringify(content)
    }
    expect(await fail('get_task', { task_id: 999_999_999 })).toContain('There is no such task')
    expect(await fail('add_task', { title: '' })).toContain('title must')
    expect(await fail('list_tasks', { user_id: 'bob' })).toContain('user_id is not a known argument')
    await client.close()
  })

  test('is told that there is no such tool', async () => {
    const { client } = await open()
    await expect(client.callTool({ name: 'nope', arguments: {} })).rejects.toThrow('Unknown tool')
    await client.close()
  })

  test('does not get in without a token that is right', async () => {
    await expect(connect('a.b.c')).rejects.toThrow()
  })

  test('with a token that only reads sees the tools that read', async () => {
    const body = { name: 'assistant', scopes: ['tasks:read'] }
    const made = await call(server.port, 'POST', '/api/v1/tokens', { as: user, body })
    const { client } = await connect(made.body.token)
    expect((await client.listTools()).tools).toHaveLength(4)
    await expect(client.callTool({ name: 'add_task', arguments: { title: 'x' } })).rejects.toThrow(
      'Unknown tool',
    )
    await client.close()
  })
})

test('the server has no fault to tell of', () => {
  expect(server.faults()).toEqual([])
})
