/** One of several processes that serve. */

import { serve } from '../server'
import type { Settings } from '../settings'
import { createLog } from '../telemetry/log'
import { type Channel, createLink } from './link'
import type { FromWorker, ToWorker } from './messages'
import { shareOver } from './sharing'

/**
 * Serves until a stop is asked for, or its supervisor is gone.
 *
 * @param argument its number
 */
export async function runWorker(
  argument: string | undefined,
  settings: () => Settings,
  stopAsked: Promise<string>,
): Promise<void> {
  const number = Number(argument)
  if (!process.send || !(number > 0)) throw new Error('Workers are started by `serve`, with WORKERS=<number>')
  const stopRequested = Promise.race([stopAsked, supervisorEnded()])
  const channel = ofThisProcess()
  try {
    const loaded = settings()
    const log = createLog(loaded, undefined, number)
    const server = await serve(loaded, log, shareOver(createLink(channel)))
    channel.send({ type: 'ready' })
    log.info(`${await stopRequested}: stopping`)
    await server.stop()
    log.info('stopped')
    process.exit(0)
  } catch (error) {
    channel.send({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  }
}

function supervisorEnded(): Promise<string> {
  return new Promise((done) => process.once('disconnect', () => done('the supervisor has ended')))
}

function ofThisProcess(): Channel {
  return {
    send(message: FromWorker) {
      if (process.connected) process.send?.(message)
    },
    onMessage: (receive) => void process.on('message', (message: ToWorker) => receive(message)),
  }
}
