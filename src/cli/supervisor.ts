/** Several processes on one port (`WORKERS`). The supervisor starts them and ends them, and serves nothing itself. */
import type { Logger } from 'pino'
import { provideDatabase } from '../embedded/provide'
import type { Settings } from '../settings'
import { cannotListen, urlOf } from '../system/listening'
import { IS_COMPILED } from './program'

/** What a worker tells its supervisor, once: that it listens, or why it cannot. */
export type WorkerMessage = 'ready' | { failure: string }

export interface Workers {
  /** Where they listen, for people. */
  url: string
  /** Asks all of them to stop, kills those that take too long, and ends the database that was started for them. */
  stop(): Promise<void>
}

interface Options {
  /** What runs a worker when it is given `worker`, its number and how many there are. */
  program?: readonly string[]
  /** The environment that the settings were read from. */
  env?: NodeJS.ProcessEnv
  intervals?: Partial<typeof INTERVALS>
}

/** In milliseconds. */
const INTERVALS = {
  firstPause: 100,
  longestPause: 5000,
  /** A worker that has lived for so long is started again without a pause. */
  wellAfter: 10_000,
  /** How long a worker may take to stop: requests get ten seconds, the database's connections five. */
  killAfter: 17_000,
  /** Ctrl-C reaches all processes, but not at the same moment. */
  sameMoment: 100,
}

/** The program as it was started, without its arguments. */
const SELF = [process.execPath, ...process.execArgv, ...(IS_COMPILED ? [] : [Bun.main])]

/**
 * Starts as many workers as the settings say, and waits until all of them listen.
 *
 * @param stopRequested ends the waiting as well
 * @throws Error for a port that is taken, or a database or a worker that does not start
 */
export async function serveWithWorkers(
  settings: Settings,
  log: Logger,
  stopRequested: Promise<unknown>,
  { program = SELF, env = process.env, intervals: changed }: Options = {},
): Promise<Workers> {
  const intervals = { ...INTERVALS, ...changed }
  const port = probePort(settings)
  const database = await provideDatabase(settings, log)
  const count = settings.workers
  const start = (n: number, ipc: (message: WorkerMessage) => void) =>
    Bun.spawn([...program, 'worker', String(n), String(count)], {
      env: { ...env, DATABASE_URL: database.url, PORT: String(port), ...shareOf(settings, n) },
      stdio: ['ignore', 'inherit', 'inherit'],
      ipc,
    })
  const workers = supervise(count, start, log, intervals)
  const stop = async () => {
    await workers.stop()
    await database.stop()
  }
  try {
    await Promise.race([workers.ready, stopRequested])
  } catch (error) {
    await stop()
    const isAsked = await Promise.race([stopRequested.then(() => true), Bun.sleep(intervals.sameMoment)])
    if (!isAsked) throw error
  }
  return { url: urlOf(settings.host, port), stop }
}

type Worker = Bun.Subprocess<'ignore', 'inherit', 'inherit'>
type Start = (n: number, onMessage: (message: WorkerMessage) => void) => Worker

/** Keeps workers running. One that ends is started again: at once the first time, then after growing pauses. */
function supervise(count: number, start: Start, log: Logger, intervals: typeof INTERVALS) {
  const running = new Set<Worker>()
  const unready = new Set(Array.from({ length: count }, (_, i) => i + 1))
  const ready = Promise.withResolvers<void>()
  const stopping = Promise.withResolvers<void>()
  let isStopping = false

  async function runOnce(n: number): Promise<{ how: string; failure?: string | undefined }> {
    let failure: string | undefined
    try {
      const worker = start(n, (message) => {
        if (message !== 'ready') failure = message.failure
        else if (unready.delete(n) && unready.size === 0) ready.resolve()
      })
      running.add(worker)
      await worker.exited
      running.delete(worker)
      return { how: String(worker.signalCode ?? `exit code ${worker.exitCode}`), failure }
    } catch (error) {
      // memory or processes may have run out, and be there again in a moment
      return { how: `cannot be started: ${error instanceof Error ? error.message : error}` }
    }
  }
  async function keepRunning(n: number): Promise<void> {
    for (let ends = 0; !isStopping; ends++) {
      const startedAt = performance.now()
      const { how, failure } = await runOnce(n)
      if (isStopping) return
      if (unready.has(n)) {
        ready.reject(new Error(failure ?? `Worker ${n} ended before it was ready (${how})`))
        return
      }
      log.warn({ ended_worker: n, how, failure }, 'a worker has ended, and is started again')
      if (performance.now() - startedAt >= intervals.wellAfter) ends = 0
      const pause = ends === 0 ? 0 : Math.min(intervals.firstPause * 2 ** (ends - 1), intervals.longestPause)
      await Promise.race([Bun.sleep(pause), stopping.promise])
    }
  }
  function killAll(): void {
    for (const each of running) each.kill('SIGKILL')
  }

  // when this process ends without a stop, as after a second signal
  process.on('exit', killAll)
  const allEnded = Promise.all([...unready].map(keepRunning)).finally(() => process.off('exit', killAll))
  return {
    /** Rejects if a worker has ended before it listened. */
    ready: ready.promise,
    async stop(): Promise<void> {
      isStopping = true
      stopping.resolve()
      for (const each of running) each.kill('SIGTERM')
      const timer = setTimeout(killAll, intervals.killAfter)
      await allEnded
      clearTimeout(timer)
    },
  }
}

/**
 * Listens for a moment without sharing the port: workers would share it with another program, and not notice.
 *
 * @returns the port, which the system has chosen if PORT is 0
 */
function probePort({ host, port }: Settings): number {
  try {
    const probe = Bun.serve({ hostname: host, port, reusePort: false, fetch: () => new Response() })
    const chosen = probe.port ?? port
    void probe.stop(true)
    return chosen
  } catch (cause) {
    throw cannotListen({ host, port }, cause)
  }
}

/** @returns the environment that differs for the n-th worker: what belongs to all of them together is divided */
export function shareOf(settings: Settings, n: number): Record<string, string> {
  const { workers, databasePoolSize, maxConnections, metricsPort } = settings
  const exact = (whole: number) => Math.floor(whole / workers) + (n <= whole % workers ? 1 : 0)
  // Redis counts for all processes, so there the limits stay whole
  const limit = (whole: number) => (settings.redisUrl ? whole : Math.ceil(whole / workers))
  return {
    WORKERS: '1',
    DATABASE_POOL_SIZE: String(exact(databasePoolSize)),
    MAX_CONNECTIONS: String(Math.max(exact(maxConnections), 1)),
    RATE_LIMIT_PER_MINUTE: String(limit(settings.rateLimitPerMinute)),
    AUTH_RATE_LIMIT_PER_MINUTE: String(limit(settings.authRateLimitPerMinute)),
    CHAT_RATE_LIMIT_PER_MINUTE: String(limit(settings.chatRateLimitPerMinute)),
    ...(metricsPort !== undefined && { METRICS_PORT: String(metricsPort + n - 1) }),
  }
}
