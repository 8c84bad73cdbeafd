/**
 * `bun run test:mcp`: gives `/mcp` of a running server to the protocol's own conformance suite and to its inspector. Needs
 * `DATABASE_URL` (tests/support/with-database.ts).
 */
import { deepStrictEqual, match, strictEqual } from 'node:assert'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/system/free-port'
import { call } from '../support/http-connection'
import { report } from '../support/report'
import { endServers, startServer } from '../support/server-process'
import { spawn } from '../tools/command'
import { startTokenProxy } from './proxy'

interface Trial {
  /** Which scenarios are tried. */
  scenarios: string[]
  /** What fails beside `expected-failures.yaml`. */
  fails?: string[]
}

const CONFORMANCE: Record<string, Trial> = {
  // the suite has no list of what this one requires
  '2025-06-18': { scenarios: ['--suite', 'all', '--spec-version', '2025-06-18'] },
  '2025-11-25': {
    scenarios: ['--requirements', '2025-11-25'],
    // a warning, because every answer is JSON and not a stream
    fails: ['server-sse-multiple-streams'],
  },
  '2026-07-28': { scenarios: ['--requirements', '2026-07-28'] },
}

/** Must be said, so that an empty run is no success. */
const PASSED = /✓ tools-list: [1-9]\d* passed, 0 failed/

interface Ended {
  code: number
  out: string
  err: string
}

async function install(folder: string): Promise<void> {
  await cp(import.meta.dir, folder, { recursive: true })
  await Bun.$`${process.execPath} install --frozen-lockfile --ignore-scripts --silent`.cwd(folder)
}

async function run(folder: string, command: string[]): Promise<Ended> {
  // what these programs keep stays in the folder
  const child = spawn(folder, command, { HOME: folder })
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { code: await child.exited, out, err }
}

/** @param url of `/mcp` behind the proxy, because the suite can send no token */
async function checkConformance(
  folder: string,
  url: string,
  { scenarios, fails = [] }: Trial,
): Promise<void> {
  const usual = await Bun.file(join(folder, 'expected-failures.yaml')).text()
  await Bun.write(join(folder, 'expected.yaml'), usual + fails.map((each) => `  - ${each}\n`).join(''))
  const options = ['--url', url, ...scenarios, '--expected-failures', 'expected.yaml']
  const { code, out, err } = await run(folder, ['conformance', 'server', ...options])
  strictEqual(code, 0, `${out}\n${err}`)
  match(out, PASSED)
}

async function checkInspector(folder: string, url: string, token: string): Promise<void> {
  const inspect = (sent: string, ...command: string[]) => {
    const server = ['--transport', 'http', '--header', `Authorization: Bearer ${sent}`]
    return run(folder, ['mcp-inspector', '--cli', url, ...server, ...command])
  }
  const callTool = (name: string, ...given: string[]) => {
    const options = given.flatMap((each) => ['--tool-arg', each])
    return inspect(token, '--method', 'tools/call', '--tool-name', name, ...options)
  }
  const listed = await inspect(token, '--method', 'tools/list')
  strictEqual(listed.code, 0, listed.err)
  strictEqual(JSON.parse(listed.out).tools.length, 9)

  const added = await callTool('add_task', 'title=Buy milk')
  strictEqual(added.code, 0, added.err)
  const { task_id, ...rest } = JSON.parse(added.out).structuredContent
  deepStrictEqual(rest, { status: 'created', title: 'Buy milk' })
  const read = await callTool('get_task', `task_id=${task_id}`)
  strictEqual(JSON.parse(read.out).structuredContent.title, 'Buy milk')

  const unknown = await callTool('get_task', 'task_id=999999999')
  strictEqual(unknown.code, 5, unknown.err)
  match(unknown.out, /There is no such task/)
  strictEqual((await callTool('nope')).code, 5)
  const refused = await inspect('a.b.c', '--stored-auth-only', '--method', 'tools/list')
  strictEqual(refused.code, 3, refused.err)
}

const folder = await mkdtemp(join(tmpdir(), 'taskwell-mcp-'))
let stopProxy = async () => {}
try {
  const port = await freePort()
  const proxied = `http://127.0.0.1:${port}`
  const server = await startServer({
    DATABASE_URL: process.env['DATABASE_URL'] ?? '',
    // the suite tries whether pages of its own origin are let in, and others are not
    CORS_ORIGINS: `${proxied},http://localhost:${port}`,
  })
  const url = `http://127.0.0.1:${server.port}`
  const body = { name: 'assistant', scopes: ['tasks:write'] }
  const { token } = (await call(server.port, 'POST', '/api/v1/tokens', { as: 'ann', body })).body
  stopProxy = startTokenProxy(port, url, token)
  await install(folder)
  for (const [revision, trial] of Object.entries(CONFORMANCE)) {
    await report(`conformance with ${revision}`, () => checkConformance(folder, `${proxied}/mcp`, trial))
  }
  await report('inspector', () => checkInspector(folder, `${url}/mcp`, token))
  await report('log', async () => deepStrictEqual(server.faults(), []))
} finally {
  await stopProxy()
  await endServers()
  await rm(folder, { recursive: true })
}
