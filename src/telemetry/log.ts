/** The log: JSON lines in production, readable lines in development. */
import type { Writable } from 'node:stream'
import pino, { type DestinationStream, type Logger } from 'pino'
import type { Settings } from '../settings'

/** Keeps the fields of an error that hold no submitted values; its message and PostgreSQL's `detail` may. */
function serializeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, stack } = error
  const { code, constraint_name } = error as { code?: unknown; constraint_name?: unknown }
  // the lines of a message may look like frames, so it goes first
  const frames = stack
    ?.replace(message, '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
  return { type: name, code, constraint: constraint_name, stack: frames?.join('\n') }
}

/**
 * @param destination where the lines go; standard output by default
 * @param worker the number of this process, if there are several
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
    // written in the background, the last lines could be lost when the process ends
    const output = destination ?? inBatches(pino.destination({ dest: 1, sync: true }))
    return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, output)
  }
  // loaded only here, because it takes memory
  const pretty: typeof import('pino-pretty') = require('pino-pretty')
  const prettyOptions = {
    sync: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    destination: destination ?? 1,
  }
  return pino(options, pretty(prettyOptions))
}

/**
 * Writes a line in half the time that the log takes.
 *
 * @returns a function that writes exactly the given fields: it adds no level and no time
 */
export function lineWriter(log: Logger): (line: Record<string, unknown>) => void {
  // pino has a symbol for its destination, but no type
  const output = (log as unknown as Record<symbol, DestinationStream & Partial<Batches>>)[
    pino.symbols.streamSym
  ]
  const write = output?.collect ?? output?.write.bind(output)
  return (line) => write?.(`${JSON.stringify(line)}\n`)
}

/**
 * In characters, nearly all of one byte. Linux writes so many bytes to a pipe as a whole (`PIPE_BUF`), so that lines of
 * several processes do not mix.
 */
const MAX_BATCH = 4096

/** In milliseconds. */
const BATCH_DELAY = 5

interface Batches extends DestinationStream {
  /** Writes a line together with those of the next milliseconds, to save system calls. */
  collect(line: string): void
}

/** `write` writes at once, after the lines that were collected before. */
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
