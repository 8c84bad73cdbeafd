/** Keeps a number of processes running, and ends them together. */
import type { Logger } from 'pino'
import type { Hub } from './hub'
import type { FromWorker, ToWorker } from './messages'

export interface Supervisor {
  /**
   * Resolves when each has said that it is ready.
   *
   * @throws Error if one has ended before
   */
  ready: Promise<void>
  /** Asks all to stop, and waits until they have ended; whoever takes too long is killed. */
  stop(): Promise<void>
}

interface Options {
  count: number
  command: readonly string[]
  /** Of the worker of this number, from 1 on. */
  environment(n: number): NodeJS.ProcessEnv
  hub: Hub
  log: Logger
  intervals?: Partial<Intervals>
}

/** In milliseconds. */
interface Intervals {
  firstPause: number
  longestPause: number
  /** Who has lived for so long is well: its next end is again a first one. */
  wellAfter: number
  /** How long a worker may take to end: requests get ten seconds, the database's connections five. */
  killAfter: number
}

const INTERVALS: Intervals = { firstPause: 100, longestPause: 5000, wellAfter: 10_000, killAfter: 17_000 }

type Worker = Bun.Subprocess<'ignore', 'inherit', 'inherit'>

/** Starts the workers, and each that has ended again: at once the first time, then after growing pauses. */
export function supervise({ count, command, environment, hub, log, intervals }: Options): Supervisor {
  const { firstPause, longestPause, wellAfter, killAfter } = { ...INTERVALS, ...intervals }
  const running = new Set<Worker>()
  const unready = new Set(Array.from({ length: count }, (_, i) => i + 1))
  const allReady = Promise.withResolvers<void>()
  const stopping = Promise.withResolvers<void>()
  let isStopping = false

  function start(n: number, onFailure: (message: string) => void): Worker {
    const worker: Worker = Bun.spawn([...command, String(n)], {
      env: environment(n),
      stdio: ['ignore', 'inherit', 'inherit'],
      serialization: 'json',
      ipc: (message: FromWorker) => receive(message),
    })
    const member = hub.join((message: ToWorker) => {
      try {
        if (running.has(worker)) worker.send(message)
      } catch {
        // the channel of one that is about to end may be closed before we hear of its end
      }
    })
    function receive(message: FromWorker): void {
      if (message.type === 'failed') onFailure(message.message)
      else member.receive(message)
      if (message.type === 'ready' && unready.delete(n) && unready.size === 0) allReady.resolve()
    }
    running.add(worker)
    void worker.exited.then(() => {
      running.delete(worker)
      member.leave()
    })
    return worker
  }

  async function keep(n: number): Promise<void> {
    for (let ends = 0; !isStopping; ends++) {
      const startedAt = performance.now()
      let failure: string | undefined
      const how = await live(n, (message) => {
        failure = message
      })
      if (isStopping) return
      if (unready.has(n)) {
        allReady.reject(new Error(failure ?? `Worker ${n} ended before it was ready (${how})`))
        return
      }
      log.warn(
        { ended_worker: n, how, ...(failure && { failure }) },
        'a worker has ended, and is started again',
      )
      if (performance.now() - startedAt >= wellAfter) ends = 0
      const pause = ends === 0 ? 0 : Math.min(firstPause * 2 ** (ends - 1), longestPause)
      await Promise.race([Bun.sleep(pause), stopping.promise])
    }
  }

  /** @returns how it ended */
  async function live(n: number, onFailure: (message: string) => void): Promise<string> {
    try {
      const worker = start(n, onFailure)
      await worker.exited
      return endOf(worker)
    } catch (error) {
      // where memory or processes have run out, there may be some again in a moment
      return `cannot be started: ${error instanceof Error ? error.message : error}`
    }
  }

  function killAll(): void {
    for (const each of running) each.kill('SIGKILL')
  }
  // for an end that nobody planned, and for one that cannot wait
  process.on('exit', killAll)
  const kept = Promise.all([...unready].map(keep)).finally(() => process.off('exit', killAll))
  allReady.promise.catch(() => {})

  return {
    ready: allReady.promise,
    async stop() {
      isStopping = true
      stopping.resolve()
      for (const each of running) each.kill('SIGTERM')
      const timer = setTimeout(killAll, killAfter)
      await kept
      clearTimeout(timer)
    },
  }
}

function endOf({ signalCode, exitCode }: Worker): string {
  return signalCode === null ? `exit code ${exitCode}` : String(signalCode)
}
