/**
 * How fast is it? Starts a database in a temporary folder, fills it, and measures Taskwell beside other servers, or
 * beside itself: on larger databases (`--grow`), or in several processes (`--workers`). Nothing is left behind.
 * `docs/performance.md` says how to read it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/embedded/server'
import { compare } from './compare'
import { createFilled, createPlain, setUp } from './fill'
import { grow } from './grow'
import { LOADER } from './load'
import { type Bench, print } from './rounds'
import { PEERS, type Server, startPeer, startTaskwell } from './servers'
import { audienceOf, WORKLOADS } from './workloads'

const USAGE =
  'Usage: bun run bench [--size <users>x<tasks of each>] [--seconds <n>] [--rounds <n>] [--only W1,…,W5] [--peers bare,hono,fastify | --grow | --workers <n>]'

const READS_AND_MIX = ['W1', 'W2', 'W4']

function readOptions() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1000x1000' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string' },
      peers: { type: 'string' },
      grow: { type: 'boolean', default: false },
      workers: { type: 'string', default: '1' },
    },
  })
  const [users = 0, tasks = 0] = values.size.split('x').map(Number)
  const [seconds, rounds, workers] = [Number(values.seconds), Number(values.rounds), Number(values.workers)]
  const only = values.only?.split(',') ?? (workers > 1 ? READS_AND_MIX : Object.keys(WORKLOADS))
  const peers = values.peers?.split(',') ?? Object.keys(PEERS)
  const areCounts = [users, tasks, seconds, rounds, workers].every(
    (each) => Number.isInteger(each) && each > 0,
  )
  const areKnown = only.every((name) => name in WORKLOADS) && peers.every((name) => name in PEERS)
  const modes = [values.peers !== undefined, values.grow, workers > 1].filter(Boolean).length
  if (!areCounts || !areKnown || modes > 1) throw new Error(USAGE)
  return { size: { users, tasks }, seconds, rounds, only, peers, grow: values.grow, workers }
}

/** Whatever waits looks at it, and all that was begun is then ended in order. */
const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort(name))

type Options = ReturnType<typeof readOptions>

async function run(options: Options): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-bench-'))
  try {
    await inDatabase(folder, setUp)
    return await inDatabase(folder, async (databaseUrl) => {
      const databasePid = await postmasterIn(folder)
      const { signal } = interruption
      const bench = { ...options, folder, databaseUrl, databasePid, signal }
      return options.grow ? grow(bench) : runServers(bench, options)
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function inDatabase<T>(folder: string, use: (url: string) => Promise<T>): Promise<T> {
  const database = await startEmbedded(folder)
  try {
    return await use(database.url)
  } finally {
    await database.stop()
  }
}

async function runServers(bench: Bench, { only, peers, workers }: Options): Promise<boolean> {
  const { folder, signal, size, databaseUrl } = bench
  const audience = await audienceOf(size)
  const database = await createFilled(databaseUrl, 'taskwell', size, signal)
  print(`${size.users} users with ${size.tasks} tasks each, ${bench.rounds} rounds of ${bench.seconds} s\n`)
  const own = { database, audience, folder, signal }
  const servers: Server[] = []
  try {
    if (workers > 1) {
      servers.push(
        await startTaskwell(own, `${workers} workers`, workers),
        await startTaskwell(own, '1 worker'),
      )
    } else {
      const plain = await createPlain(databaseUrl, 'peers', size, signal)
      servers.push(await startTaskwell(own))
      for (const name of peers) servers.push(await startPeer(name, { ...own, database: plain }))
    }
    return await compare(bench, only, servers, audience)
  } finally {
    await Promise.all(servers.map((each) => each.stop()))
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
