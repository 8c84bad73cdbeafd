/** The log: JSON lines in production, lines for people in development. */
import type { Writable } from 'node:stream'
import pino, { type DestinationStream, type Logger } from 'pino'
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
  // read here, because in production it would only take memory
  const pretty: typeof import('pino-pretty') = require('pino-pretty')
  const forPeople = {
    sync: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    destination: destination ?? 1,
  }
  return pino(options, pretty(forPeople))
}

/**
 * For lines that are written all the time: the log itself takes twice as long for one.
 *
 * @returns a function that writes a line; the line needs all fields that the log would add
 */
export function lineWriter(log: Logger): (line: Record<string, unknown>) => void {
  // the log has its destination under a symbol, which has no type
  const output = (log as unknown as Record<symbol, DestinationStream & Partial<Batches>>)[
    pino.symbols.streamSym
  ]
  const write = output?.collect ?? output?.write.bind(output)
  return (line) => write?.(`${JSON.stringify(line)}\n`)
}

/**
 * In characters, which are bytes here, except in ids of other issuers' users. A pipe takes so many at once (`PIPE_BUF` on
 * Linux), so lines of several processes do not mix.
 */
const MAX_BATCH = 4096

/** In milliseconds. */
const BATCH_DELAY = 5

interface Batches extends DestinationStream {
  /** Writes a line together with those that follow at once: each write is a system call. */
  collect(line: string): void
}

/** Makes a destination that collects lines; `write` writes at once, after what was collected before. */
export function inBatches(output: DestinationStream): Batches {
  let batch = ''
  const flush = () => {
    if (batch !== '') output.write(batch)
    batch = ''
  }
  process.on('exit', flush)
  return {
    write(line) {
      flush()
      output.write(line)
    },
    collect(line) {
      if (batch.length + line.length > MAX_BATCH) flush()
      if (batch === '') setTimeout(flush, BATCH_DELAY)
      batch += line
    },
  }
}
