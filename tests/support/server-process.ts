/** The program as its operators start it: a process of its own, in production, with its log collected. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/system/free-port'
import { SECRET } from './app'
import { call } from './http-connection'

const MAIN = join(import.meta.dir, '../../src/main.ts')

/** A line of the log; pino counts 30 for info, 40 for warn, 50 for error, 60 for fatal. */
export interface LogLine {
  level: number
  msg: string
  [field: string]: unknown
}

export interface ServerProcess {
  port: number
  child: Bun.Subprocess
  log: LogLine[]
  /** What must not be there, whatever the database does: errors in the log, anything beside it. */
  faults(): unknown[]
  /** Waits for a line of the log. */
  logged(pattern: RegExp): Promise<LogLine>
  /** Sends a signal and waits for the end. @returns the exit code, or the signal that ended it */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
  /** Starts it again with the same settings and the same port. */
  restart(): Promise<ServerProcess>
}

export type Environment = Record<string, string>

const running = new Set<Bun.Subprocess>()

/** For `afterAll`: ends whatever a failed test has left. */
export async function endServers(): Promise<void> {
  const left = [...running]
  for (const each of left) each.kill('SIGTERM')
  await Promise.race([Promise.all(left.map((each) => each.exited)), Bun.sleep(5000)])
  for (const each of left) each.kill('SIGKILL')
}

/**
 * Starts it, and waits until it answers; the database need not be there.
 *
 * @param through a program that starts it, with its arguments
 */
export async function startServer(
  env: Environment,
  port?: number,
  through: readonly string[] = [],
): Promise<ServerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-faults-'))
  const chosen = port ?? (await freePort())
  const child = Bun.spawn([...through, process.execPath, '--no-env-file', MAIN, 'serve'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(chosen),
      DATA_DIR: folder,
      BETTER_AUTH_SECRET: SECRET,
      // what is tested here is not how often somebody may ask
      RATE_LIMIT_PER_MINUTE: '1000000',
      AUTH_RATE_LIMIT_PER_MINUTE: '1000000',
      ...env,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  running.add(child)
  void child.exited.then(() => running.delete(child)).then(() => rm(folder, { recursive: true, force: true }))
  const output = collect(child)
  const server: ServerProcess = {
    port: chosen,
    child,
    log: output.log,
    faults: () => [...output.log.filter(({ level }) => level >= 50), ...output.beside],
    logged: output.logged,
    async end(signal) {
      child.kill(signal)
      await Promise.all([child.exited, output.over])
      return child.signalCode ?? child.exitCode
    },
    restart: () => startServer(env, chosen, through),
  }
  await answering(server, output.beside)
  return server
}

/** In milliseconds. */
const START_LIMIT = 60_000

async function answering({ port, child }: ServerProcess, beside: readonly string[]): Promise<void> {
  const end = performance.now() + START_LIMIT
  while (child.exitCode === null && performance.now() < end) {
    const answer = await call(port, 'GET', '/health').catch(() => undefined)
    if (answer) return
    await Bun.sleep(10)
  }
  throw new Error(`the server does not answer (${child.exitCode}): ${beside.join('\n')}`)
}

function collect(child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>) {
  const log: LogLine[] = []
  const beside: string[] = []
  const waiting = new Set<() => void>()
  let isOver = false
  const onOutput = (line: string) => {
    const parsed = parse(line)
    if (parsed) log.push(parsed)
    else beside.push(line)
    for (const each of waiting) each()
  }
  const over = Promise.all([
    eachLine(child.stdout, onOutput),
    eachLine(child.stderr, (line) => void beside.push(line)),
  ]).then(() => {
    isOver = true
    for (const each of waiting) each()
  })
  async function logged(pattern: RegExp): Promise<LogLine> {
    for (;;) {
      const found = log.find(({ msg }) => pattern.test(msg))
      if (found) return found
      if (isOver) throw new Error(`the server ended without saying ${pattern}: ${beside.join('\n')}`)
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.add(resolve)
      await promise
      waiting.delete(resolve)
    }
  }
  return { log, beside, logged, over }
}

function parse(line: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'msg' in value ? (value as LogLine) : undefined
  } catch {
    return undefined
  }
}

async function eachLine(stream: ReadableStream<Uint8Array>, use: (line: string) => void): Promise<void> {
  let rest = ''
  for await (const part of stream.pipeThrough(
    new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>,
  )) {
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) use(line)
  }
  if (rest) use(rest)
}
