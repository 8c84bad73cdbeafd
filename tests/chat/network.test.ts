/** Where the service connects to while the assistant works: the kernel tells. */
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import { testSettings } from '../support/app'
import { testDatabase } from '../support/database'
import { endServers, startServer } from '../support/server-process'

afterAll(endServers)

/** Some containers forbid to watch another process. */
function canTrace(): boolean {
  if (!Bun.which('strace')) return false
  return Bun.spawnSync(['strace', '-o', '/dev/null', 'true']).success
}
const isTraced = canTrace()
// where the whole project is checked, a missing program is a fault and no reason to skip
if (!isTraced && process.env['REQUIRE_STRACE']) throw new Error('There is no strace that may watch a process')

/** A model that adds a task, and then says so; and one that leads elsewhere. */
function startModel(elsewhere: string) {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const { messages } = (await request.json()) as { messages: { role: string; content: string }[] }
      if (messages.some(({ content }) => content === 'lead elsewhere'))
        return Response.redirect(elsewhere, 307)
      const hasResult = messages.some(({ role }) => role === 'tool')
      const call = {
        id: 'a',
        type: 'function',
        function: { name: 'add_task', arguments: '{"title":"Buy milk"}' },
      }
      const message = hasResult ? { content: 'Done' } : { content: null, tool_calls: [call] }
      return Response.json({ choices: [{ message, finish_reason: hasResult ? 'stop' : 'tool_calls' }] })
    },
  })
  afterAll(() => server.stop(true))
  return server
}

/** @returns the ports on this machine, and whole addresses elsewhere */
async function connectionsIn(file: string): Promise<Set<string>> {
  const calls = (await Bun.file(file).text()).matchAll(/connect\(\d+, \{sa_family=(AF_INET6?), (.*?)\}/g)
  return new Set(
    [...calls].map(([, , address = '']) => {
      const [, port = ''] = /sin6?_port=htons\((\d+)\)/.exec(address) ?? []
      return /"(?:127\.0\.0\.1|::1)"/.test(address) ? port : address
    }),
  )
}

describe('while the assistant works', () => {
  if (!isTraced) return test.skip('there is no strace here that may watch a process; install it', () => {})

  test('the service connects to its database and to AI_BASE_URL, and to nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'taskwell-network-'))
    afterAll(() => rm(folder, { recursive: true }))
    const file = join(folder, 'connections')
    const { url } = await testDatabase()
    const trap = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('trap') })
    afterAll(() => trap.stop(true))
    const model = startModel(trap.url.href)
    const env = {
      DATABASE_URL: url,
      AI_BASE_URL: `${model.url.origin}/v1`,
      AI_MODEL: 'model',
      AI_API_KEY: 'key',
      // Bun takes them for every address, also for this machine
      HTTP_PROXY: trap.url.href,
      HTTPS_PROXY: trap.url.href,
    }
    const server = await startServer(env, undefined, [
      ...['strace', '-D', '-f', '-qq', '--seccomp-bpf', '-e', 'trace=connect', '-o', file],
    ])
    const token = await signAccessToken('ann', testSettings())
    const ask = async (message: string, accept: string) => {
      const response = await fetch(`http://127.0.0.1:${server.port}/api/v1/chat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept },
        body: JSON.stringify({ message }),
      })
      return [response.status, await response.text()] as const
    }
    const answers = [
      await ask('add a task', 'application/json'),
      await ask('add a task', 'text/event-stream'),
      await ask('lead elsewhere', 'application/json'),
    ]
    expect(answers.map(([status]) => status)).toEqual([200, 200, 503])
    for (const [, text] of answers.slice(0, 2)) expect(text).toContain('Done')
    expect(await server.end('SIGTERM')).toBe(0)
    const expected = [new URL(url).port || '5432', String(model.port)]
    expect([...(await connectionsIn(file))].toSorted()).toEqual(expected.toSorted())
  })
})
