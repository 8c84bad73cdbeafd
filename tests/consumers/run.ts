/**
 * `bun run test:client`: installs the client's package from a running server, as frontend developers do, and compiles,
 * bundles and runs it with what they use. Needs `DATABASE_URL` (tests/support/with-database.ts).
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/system/free-port'
import { endServers, startServer } from '../support/server-process'
import { checkSize, checkVite } from './bundles'
import { run } from './command'
import { checkEngines, checkHermes } from './engines'
import { checkInstall } from './install'
import { checkNext } from './next'
import { checkTypes } from './types'

async function report(name: string, check: () => Promise<string>): Promise<void> {
  const begin = performance.now()
  try {
    const found = await check()
    const took = Math.round(performance.now() - begin)
    process.stdout.write(`${name}: passed in ${took} ms: ${found}\n`)
  } catch (error) {
    process.exitCode = 1
    process.stdout.write(`${name}: FAILED\n${error instanceof Error ? error.message : error}\n`)
  }
}

async function installTools(tools: string, app: string): Promise<string> {
  await cp(import.meta.dir, tools, { recursive: true })
  await run(tools, [process.execPath, 'install', '--frozen-lockfile', '--ignore-scripts', '--silent'])
  // copied, because its checksum in a lock file would change with every change of the client
  const client = 'node_modules/taskwell-client'
  await cp(join(app, client), join(tools, client), { recursive: true })
  return 'from the lock file'
}

const folder = await mkdtemp(join(tmpdir(), 'taskwell-consumers-'))
const app = join(folder, 'app')
const tools = join(folder, 'tools')
try {
  const pages = await freePort()
  const { port } = await startServer({
    DATABASE_URL: process.env['DATABASE_URL'] ?? '',
    CORS_ORIGINS: `http://127.0.0.1:${pages}`,
  })
  const url = `http://127.0.0.1:${port}`
  await report('npm install', () => checkInstall(app, url))
  await report('tools', () => installTools(tools, app))
  await report('types', () => checkTypes(app, tools))
  await report('engines', () => checkEngines(tools, url))
  await report('size', () => checkSize(app, tools))
  await report('Hermes', () => checkHermes(app, tools))
  await report('Vite', () => checkVite(app, tools, url, pages))
  await report('Next.js', () => checkNext(tools, url))
} finally {
  await endServers()
  await rm(folder, { recursive: true })
}
