/**
 * How fast is it? Starts a database in a temporary folder, fills it, and measures Taskwell against a ceiling, or with
 * `--grow` against itself on larger databases. Nothing is left behind. `docs/performance.md` says how to read it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/database/embedded'
import { compare } from './compare'
import { grow } from './grow'
import { LOADER } from './load'
import { print } from './rounds'
import { WORKLOADS } from './workloads'

const USAGE =
  'Usage: bun run bench [--size <users>x<tasks of each>] [--seconds <n>] [--rounds <n>] [--only W1,…,W5] [--grow]'

function readOptions() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1000x1000' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: Object.keys(WORKLOADS).join(',') },
      grow: { type: 'boolean', default: false },
    },
  })
  const [users = 0, tasks = 0] = values.size.split('x').map(Number)
  const [seconds, rounds, only] = [Number(values.seconds), Number(values.rounds), values.only.split(',')]
  const areCounts = [users, tasks, seconds, rounds].every((each) => Number.isInteger(each) && each > 0)
  if (!areCounts || only.some((name) => !(name in WORKLOADS))) throw new Error(USAGE)
  return { size: { users, tasks }, seconds, rounds, only, grow: values.grow }
}

/** Whatever waits looks at it, and all that was begun is then ended in order. */
const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort(name))

async function run({ only, grow: isGrowth, ...options }: ReturnType<typeof readOptions>): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-bench-'))
  try {
    const database = await startEmbedded(folder)
    try {
      const bench = { ...options, folder, databaseUrl: database.url, signal: interruption.signal }
      return isGrowth ? await grow(bench) : await compare(bench, only)
    } finally {
      await database.stop()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
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
