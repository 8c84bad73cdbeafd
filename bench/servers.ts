/** Servers in processes of their own, and what they use of the machine. */
import { realpathSync } from 'node:fs'
import { join, parse } from 'node:path'
import { freePort } from '../src/system/free-port'
import type { Filled } from './fill'
import { cpuOf, listenersOn, type Memory, memoryOf } from './processes'
import { type Audience, readList, SECRET } from './workloads'

export interface Server {
  name: string
  /** What runs it: bun or node. */
  runtime: string
  url: string
  database: Filled
  isTaskwell: boolean
  /** Milliseconds from its start to its first list. */
  readyAfter: number
  /** What its processes have used of a processor so far, in milliseconds. */
  cpu(): number
  memory(): Memory
  stop(): Promise<void>
}

export interface Surroundings {
  database: Filled
  audience: Audience
  folder: string
  signal: AbortSignal
}

interface Program {
  name: string
  command: readonly string[]
  isTaskwell: boolean
  /** How many processes answer. */
  workers: number
}

const BUN = [process.execPath, '--no-env-file']

/** As in production, but for how often a user may ask. The log goes to /dev/null. */
export function startTaskwell(surroundings: Surroundings, name = 'taskwell', workers = 1): Promise<Server> {
  const command = [...BUN, pathOf('../src/main.ts'), 'serve']
  return start({ name, command, isTaskwell: true, workers }, surroundings)
}

/** The other servers, each with the command that runs it. */
export const PEERS: Record<string, readonly string[]> = {
  bare: [...BUN, pathOf('peers/bare.ts')],
  hono: [...BUN, pathOf('peers/hono.ts')],
  // on Node if there is one, which it is made for
  fastify: [...(Bun.which('node') ? ['node'] : BUN), pathOf('peers/fastify.mjs')],
}

export function startPeer(name: string, surroundings: Surroundings): Promise<Server> {
  return start({ name, command: PEERS[name] ?? [], isTaskwell: false, workers: 1 }, surroundings)
}

function pathOf(file: string): string {
  return join(import.meta.dir, file)
}

async function start(
  { name, command, isTaskwell, workers }: Program,
  { database, audience, folder, signal }: Surroundings,
): Promise<Server> {
  signal.throwIfAborted()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const startedAt = performance.now()
  const child = Bun.spawn([...command], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      // as in the image
      BUN_JSC_heapGrowthMaxIncrease: '1',
      HOST: '127.0.0.1',
      PORT: String(port),
      DATABASE_URL: database.url,
      BETTER_AUTH_SECRET: SECRET,
      RATE_LIMIT_PER_MINUTE: '1000000',
      WORKERS: String(workers),
    },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
  const stop = async () => {
    child.kill()
    await child.exited
  }
  try {
    while (listenersOn(port) < workers || !(await isReady(url, audience))) {
      signal.throwIfAborted()
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
      await Bun.sleep(5)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    name,
    runtime: parse(realpathSync(Bun.which(command[0] ?? '') ?? '')).name,
    url,
    database,
    isTaskwell,
    readyAfter: performance.now() - startedAt,
    cpu: () => cpuOf(child.pid),
    memory: () => memoryOf(child.pid),
    stop,
  }
}

async function isReady(url: string, audience: Audience): Promise<boolean> {
  const { path, ...request } = readList(audience)
  const answer = await fetch(url + path, request).catch(() => undefined)
  return answer?.ok ?? false
}
