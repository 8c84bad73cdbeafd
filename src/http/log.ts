/** The log: JSON lines in production, lines for people in development. */
import type { Writable } from 'node:stream'
import pino, { type Logger } from 'pino'
import pretty from 'pino-pretty'
import type { Settings } from '../settings'

/** An error's message and fields may hold submitted values (PostgreSQL's `detail` does), so only these are kept. */
function serializeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, stack } = error
  const { code, constraint_name } = error as { code?: unknown; constraint_name?: unknown }
  // without the message first: its own lines may look like frames
  const frames = stack
    ?.replace(message, '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
  return { type: name, code, constraint: constraint_name, stack: frames?.join('\n') }
}

/** @param destination where the lines go; standard output by default */
export function createLog(
  { logLevel, production }: Pick<Settings, 'logLevel' | 'production'>,
  destination?: Writable,
): Logger {
  const options = { level: logLevel, base: null, serializers: { err: serializeError } }
  if (production) {
    // sync: written in the background, the last lines would come out of order, or not at all, when the process ends
    const output = destination ?? pino.destination({ dest: 1, sync: true })
    return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, output)
  }
  const forPeople = {
    sync: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    destination: destination ?? 1,
  }
  return pino(options, pretty(forPeople))
}
