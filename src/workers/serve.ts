/** Serving with several processes: the supervisor's part. It loads no more than that takes. */
import type { Logger } from 'pino'
import { provideDatabase } from '../embedded/provide'
import { createCounter } from '../limits/counter'
import type { Settings } from '../settings'
import { cannotListen, urlOf } from '../system/listening'
import { createHub } from './hub'
import { supervise } from './supervisor'

export interface Workers {
  /** Where they listen, for people. */
  url: string
  /** Ends all of them, and then the database that was started for them. */
  stop(): Promise<void>
}

interface Options {
  /** What runs a worker, when it is given `worker` and its number. */
  program?: readonly string[]
  /** What the settings were read from. */
  env?: NodeJS.ProcessEnv
}

/** In milliseconds. */
const SAME_MOMENT = 100

/** The program as it was started, but for its own arguments. */
const SELF = [
  process.execPath,
  ...process.execArgv,
  // a compiled program has its source inside
  ...(Bun.main.startsWith('/$bunfs/') ? [] : [Bun.main]),
]

/**
 * Starts as many workers as the settings say and waits until all of them listen.
 *
 * @param stopRequested a stop that is asked for meanwhile ends the waiting
 * @throws Error for a port that is taken, a database that does not start, or a worker that does not
 */
export async function serveWithWorkers(
  settings: Settings,
  log: Logger,
  stopRequested: Promise<unknown>,
  { program = SELF, env = process.env }: Options = {},
): Promise<Workers> {
  const port = freePort(settings)
  const database = await provideDatabase(settings, log)
  const shared = { databaseUrl: database.url, port }
  const limits = createCounter(settings)
  const workers = supervise({
    count: settings.workers,
    command: [...program, 'worker'],
    environment: (n) => ({ ...env, ...ofWorker(settings, shared, n) }),
    hub: createHub(limits),
    log,
  })
  const stop = async () => {
    try {
      await workers.stop()
    } finally {
      await database.stop()
    }
  }
  let isAsked = false
  void stopRequested.then(() => {
    isAsked = true
  })
  try {
    await Promise.race([workers.ready, stopRequested])
  } catch (error) {
    await stop()
    // Ctrl-C reaches the workers as well, and they may have ended of it before we know
    await Bun.sleep(SAME_MOMENT)
    if (!isAsked) throw error
  }
  return { url: urlOf(settings.host, port), stop }
}

/**
 * As the workers share the port, one that is another's already would not be noticed: this fails where one is.
 *
 * @returns its number, where any would do
 */
function freePort(settings: Settings): number {
  try {
    const probe = Bun.serve({
      hostname: settings.host,
      port: settings.port,
      reusePort: false,
      routes: { '/': new Response() },
    })
    const port = probe.port ?? settings.port
    void probe.stop(true)
    return port
  } catch (cause) {
    throw cannotListen(settings, cause)
  }
}

/** The settings of one worker that differ from those of all. */
export function ofWorker(
  {
    workers,
    databasePoolSize,
    maxConnections,
  }: Pick<Settings, 'workers' | 'databasePoolSize' | 'maxConnections'>,
  { databaseUrl, port }: { databaseUrl: string; port: number },
  n: number,
) {
  return {
    WORKERS: '1',
    PORT: String(port),
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: String(share(databasePoolSize, workers, n)),
    MAX_CONNECTIONS: String(Math.max(share(maxConnections, workers, n), 1)),
  }
}

/** @returns the n-th of so many shares, which together are the whole */
function share(whole: number, shares: number, n: number): number {
  return Math.floor(whole / shares) + (n <= whole % shares ? 1 : 0)
}
