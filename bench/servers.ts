/** Servers in processes of their own, and what they use of the machine. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../src/database/embedded'

export const SECRET = 'a-secret-for-nothing-but-the-bench'

export interface Server {
  name: string
  url: string
  /** Milliseconds from its start to its first answer. */
  readyAfter: number
  /** What it has used of a processor so far, in milliseconds; NaN where the system does not tell. */
  cpu(): number
  memory(): Memory
  stop(): Promise<void>
}

/** In MB; NaN where the system does not tell. */
export interface Memory {
  now: number
  peak: number
}

/** As in production, but for how often somebody may ask. The log goes where nobody reads it. */
export function startTaskwell(databaseUrl: string, folder: string, signal: AbortSignal): Promise<Server> {
  return start('taskwell', ['../src/main.ts', 'serve'], databaseUrl, folder, signal)
}

export function startCeiling(databaseUrl: string, folder: string, signal: AbortSignal): Promise<Server> {
  return start('ceiling', ['ceiling.ts'], databaseUrl, folder, signal)
}

async function start(
  name: string,
  [script = '', ...args]: readonly string[],
  databaseUrl: string,
  folder: string,
  signal: AbortSignal,
): Promise<Server> {
  signal.throwIfAborted()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const startedAt = performance.now()
  const child = Bun.spawn([process.execPath, '--no-env-file', join(import.meta.dir, script), ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? '',
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      BETTER_AUTH_SECRET: SECRET,
      RATE_LIMIT_PER_MINUTE: '1000000',
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
    while (!(await isReady(url))) {
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

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: user and system time are in hundredths of a second. */
function cpuOf(pid: number): number {
  if (!existsSync('/proc')) return Number.NaN
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function memoryOf(pid: number): Memory {
  const status = existsSync('/proc') ? readFileSync(`/proc/${pid}/status`, 'utf8') : ''
  const megabytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') }
}
