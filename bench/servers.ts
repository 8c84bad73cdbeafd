/** Servers in processes of their own, and what they use of the machine. */
import { join } from 'node:path'
import { freePort } from '../src/database/embedded'
import { cpuOf, listenersOn, type Memory, memoryOf } from './processes'

export const SECRET = 'a-secret-for-nothing-but-the-bench'

export interface Server {
  name: string
  url: string
  /** Milliseconds from its start to its first answer. */
  readyAfter: number
  /** What its processes have used of a processor so far, in milliseconds. */
  cpu(): number
  memory(): Memory
  stop(): Promise<void>
}

export interface Surroundings {
  databaseUrl: string
  folder: string
  signal: AbortSignal
}

interface Program {
  name: string
  command: readonly string[]
  /** How many processes answer. */
  workers: number
}

/** As in production, but for how often somebody may ask. The log goes where nobody reads it. */
export function startTaskwell(surroundings: Surroundings, name = 'taskwell', workers = 1): Promise<Server> {
  return start({ name, command: ['../src/main.ts', 'serve'], workers }, surroundings)
}

export function startCeiling(surroundings: Surroundings): Promise<Server> {
  return start({ name: 'ceiling', command: ['ceiling.ts'], workers: 1 }, surroundings)
}

async function start(
  { name, command: [script = '', ...args], workers }: Program,
  { databaseUrl, folder, signal }: Surroundings,
): Promise<Server> {
  signal.throwIfAborted()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const startedAt = performance.now()
  const child = Bun.spawn([process.execPath, '--no-env-file', join(import.meta.dir, script), ...args], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      // as in the image
      BUN_JSC_heapGrowthMaxIncrease: '1',
      HOST: '127.0.0.1',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
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
    while (listenersOn(port) < workers || !(await isReady(url))) {
      signal.throwIfAborted()
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
      await Bun.sleep(5)
    }
  } catch (error) {
    await stop()
    throw error
  }
  const readyAfter = performance.now() - startedAt
  return { name, url, readyAfter, cpu: () => cpuOf(child.pid), memory: () => memoryOf(child.pid), stop }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/ready`).catch(() => undefined)
  return answer?.ok ?? false
}
