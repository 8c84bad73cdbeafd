/** The server of this process, or of several workers. */
import type { Logger } from 'pino'
import type { Settings } from '../settings'
import { npxEnded } from '../system/processes'
import { nextSignal } from '../system/signals'
import { createLog } from '../telemetry/log'
import { readSettings } from './environment'
import { welcome } from './welcome'

/** Serves until a signal asks it to stop, or the `npx` that started it has ended; then it ends the process. */
export async function serveUntilStopped(): Promise<void> {
  const started = performance.now()
  // before anything is started, so that a signal at any moment ends all of it
  const stopRequested = Promise.race([nextSignal(), npxEnded().then(() => 'npx has ended')])
  const settings = readSettings()
  const log = createLog(settings)
  const server = await start(settings, log, stopRequested)
  log.info(`ready in ${Math.round(performance.now() - started)} ms`)
  if (!settings.production) process.stdout.write(welcome(server.url, settings))

  log.info(`${await stopRequested}: stopping`)
  await server.stop()
  log.info('stopped')
  process.exit(0)
}

/** A supervisor loads no server, because it serves nothing itself. */
async function start(settings: Settings, log: Logger, stopRequested: Promise<unknown>) {
  if (settings.workers === 1) return (await import('../server')).serve(settings, log)
  return (await import('./supervisor')).serveWithWorkers(settings, log, stopRequested)
}
