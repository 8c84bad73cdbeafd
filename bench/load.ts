/** Load from many connections that never rest: wrk where it is installed, autocannon elsewhere. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

/** A request to be sent. */
export interface Target {
  method: string
  path: string
  headers: Record<string, string>
  body?: string
}

export interface Measured {
  requests: number
  seconds: number
  /** Latencies, in milliseconds. */
  p50: number
  p99: number
  /** Answers of status 400 and over, and requests without an answer. */
  failed: number
  /** What the loader itself has used of a processor, in milliseconds. */
  cpu: number
}

export interface LoadOptions {
  url: string
  targets: readonly Target[]
  seconds: number
  /** Where a file may lie meanwhile. */
  folder: string
  signal: AbortSignal
}

const CONNECTIONS = 64

const wrk = Bun.which('wrk')

export const LOADER = wrk ? 'wrk' : 'autocannon'

/** @throws Error if the loader fails, or is ended by the signal */
export async function load({ url, targets, seconds, folder, signal }: LoadOptions): Promise<Measured> {
  signal.throwIfAborted()
  const file = join(folder, 'targets')
  await Bun.write(file, wrk ? targets.map(onTheWire).join('\0') : JSON.stringify(targets))
  const command = wrk ? wrkCommand(wrk, url, file, seconds) : autocannonCommand(url, file, seconds)
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', signal })
  const [output, errors] = await Promise.all(
    [child.stdout, child.stderr].map((each) => new Response(each).text()),
  )
  await rm(file)
  signal.throwIfAborted()
  const line = output?.split('\n').findLast((each) => each.startsWith('{'))
  if (line === undefined) throw new Error(`${LOADER} failed: ${output}${errors}`)
  await child.exited
  const { cpuTime } = child.resourceUsage() ?? {}
  return { ...JSON.parse(line), cpu: cpuTime ? Number(cpuTime.total) / 1000 : Number.NaN }
}

function wrkCommand(program: string, url: string, file: string, seconds: number): string[] {
  const script = join(import.meta.dir, 'wrk.lua')
  return [program, '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, url, '--', file]
}

function autocannonCommand(url: string, file: string, seconds: number): string[] {
  const script = join(import.meta.dir, 'autocannon.ts')
  return [process.execPath, script, url, file, String(CONNECTIONS), String(seconds)]
}

function onTheWire({ method, path, headers, body }: Target): string {
  const fields = Object.entries({
    host: 'localhost',
    ...headers,
    ...(body && { 'content-length': body.length }),
  })
  return [
    `${method} ${path} HTTP/1.1`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    '',
    body ?? '',
  ].join('\r\n')
}
