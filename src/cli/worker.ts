/** One of several processes that serve; the supervisor starts it. */
import { nextSignal } from '../system/signals'
import { createLog } from '../telemetry/log'
import { readSettings } from './environment'
import type { WorkerMessage } from './supervisor'

/**
 * Serves until a signal asks it to stop, or the supervisor has ended.
 *
 * @param args its number, and how many there are
 * @throws Error for a process that no supervisor has started
 */
export async function runWorker(args: readonly string[]): Promise<void> {
  const [number = 0, workers = 0] = args.map(Number)
  if (!process.send || !(number > 0 && workers > 0)) {
    throw new Error('Workers are started by `serve`, with WORKERS=<number>')
  }
  // before the service is loaded, which takes a while; a worker that stops too slowly is killed by its supervisor
  const stopRequested = Promise.race([nextSignal({ isPatient: true }), supervisorEnded()])
  try {
    const loaded = readSettings()
    const log = createLog(loaded, undefined, number)
    const { serve } = await import('../server')
    const server = await serve(loaded, log, workers)
    tell('ready')
    log.info(`${await stopRequested}: stopping`)
    await server.stop()
    log.info('stopped')
    process.exit(0)
  } catch (error) {
    tell({ failure: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  }
}

function supervisorEnded(): Promise<string> {
  return new Promise((done) => process.once('disconnect', () => done('the supervisor has ended')))
}

function tell(message: WorkerMessage): void {
  if (process.connected) process.send?.(message)
}
