/** The log: JSON lines in production, lines for people in development. */
import type { Writable } from 'node:stream'
import pino, { type DestinationStream, type Logger } from 'pino'
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

/**
 * @param destination where the lines go; standard output by default
 * @param worker which of several processes this is; left out, the only one
 */
export function createLog(
  { logLevel, production }: Pick<Settings, 'logLevel' | 'production'>,
  destination?: Writable,
  worker?: number,
): Logger {
  const options = {
    level: logLevel,
    base: worker === undefined ? null : { worker },
    serializers: { err: serializeError },
  }
  if (production) {
    // sync: written in the background, the last lines would come out of order, or not at all, when the process ends
    const output = destination ?? inBatches(pino.destination({ dest: 1, sync: true }))
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

/**
 * For what is told all the time: the log itself takes twice as long for a line.
 *
 * @returns what writes a line, whose fields have to be all that the log would write
 */
export function lineWriter(log: Logger): (line: { level: number; time: string; msg: string }) => void {
  // where its lines go: there is a symbol for it, and no type
  const output = (log as unknown as Record<symbol, DestinationStream>)[pino.symbols.streamSym]
  return (line) => output?.write(`${JSON.stringify(line)}\n`)
}

/**
 * In characters, which here are bytes but for names that other issuers give their users. So many a pipe takes as a whole
 * (`PIPE_BUF` on Linux): lines of several processes do not mix.
 */
const MAX_BATCH = 4096

/** In milliseconds. */
const BATCH_DELAY = 5

/** Writes lines together with those that follow at once: each write is a system call. */
function inBatches(output: DestinationStream): DestinationStream {
  let batch = ''
  const flush = () => {
    if (batch !== '') output.write(batch)
    batch = ''
  }
  process.on('exit', flush)
  return {
    write(line) {
      if (batch.length + line.length > MAX_BATCH) flush()
      if (batch === '') setTimeout(flush, BATCH_DELAY)
      batch += line
    },
  }
}
