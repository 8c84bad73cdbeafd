/**
 * How fast is it? Starts a database in a temporary folder, fills it, and measures Taskwell against a ceiling, or against
 * itself: on larger databases (`--grow`), or in several processes (`--workers`). Nothing is left behind.
 * `docs/performance.md` says how to read it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/database/embedded'
import { compare, type Start } from './compare'
import { grow } from './grow'
import { LOADER } from './load'
import { print } from './rounds'
import { startCeiling, startTaskwell } from './servers'
import { WORKLOADS } from './workloads'

const USAGE =
  'Usage: bun run bench [--size <users>x<tasks of each>] [--seconds <n>] [--rounds <n>] [--only W1,…,W5] [--grow | --workers <n>]'

const READS_AND_MIX = ['W1', 'W2', 'W4']

function readOptions() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1000x1000' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string' },
      grow: { type: 'boolean', default: false },
      workers: { type: 'string', default: '1' },
    },
  })
  const [users = 0, tasks = 0] = values.size.split('x').map(Number)
  const [seconds, rounds, workers] = [Number(values.seconds), Number(values.rounds), Number(values.workers)]
  const only = values.only?.split(',') ?? (workers > 1 ? READS_AND_MIX : Object.keys(WORKLOADS))
  const areCounts = [users, tasks, seconds, rounds, workers].every(
    (each) => Number.isInteger(each) && each > 0,
  )
  if (!areCounts || only.some((name) => !(name in WORKLOADS)) || (values.grow && workers > 1))
    throw new Error(USAGE)
  return { size: { users, tasks }, seconds, rounds, only, grow: values.grow, workers }
}

/** Whatever waits looks at it, and all that was begun is then ended in order. */
const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort(name))

const taskwell: Start = (surroundings) => startTaskwell(surroundings)

function severalAndOne(workers: number): [Start, Start] {
  return [
    (surroundings) => startTaskwell(surroundings, `${workers} workers`, workers),
    (surroundings) => startTaskwell(surroundings, '1 worker'),
  ]
}

async function run({ only, grow: isGrowth, workers, ...options }: ReturnType<typeof readOptions>) {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-bench-'))
  try {
    const database = await startEmbedded(folder)
    try {
      const databasePid = await postmasterIn(folder)
      const bench = {
        ...options,
        folder,
        databaseUrl: database.url,
        databasePid,
        signal: interruption.signal,
      }
      if (isGrowth) return await grow(bench)
      return await compare(bench, only, workers > 1 ? severalAndOne(workers) : [taskwell, startCeiling])
    } finally {
      await database.stop()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** https://www.postgresql.org/docs/current/storage-file-layout.html: the file's first line */
async function postmasterIn(folder: string): Promise<number> {
  const file = await Bun.file(join(folder, 'postgres', 'postmaster.pid')).text()
  return Number.parseInt(file, 10)
}

try {
  const options = readOptions()
  const busy = loadavg()[0]?.toFixed(1)
  print(`${LOADER}, ${availableParallelism()} cores, load average ${busy} before`)
  process.exitCode = (await run(options)) ? 0 : 1
} catch (error) {
  const { aborted, reason } = interruption.signal
  process.stderr.write(`${aborted ? `${reason}: stopped` : error instanceof Error ? error.message : error}\n`)
  process.exitCode = aborted ? 130 : 1
}
