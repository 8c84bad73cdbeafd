/** Taskwell against itself: with more rows, and far down in the lists of users who have very many. */
import { createFilled, type Size } from './fill'
import { type Bench, inTurns, middle, print, printTable, ratioOf } from './rounds'
import { type Server, startTaskwell } from './servers'
import {
  type Audience,
  audienceOf,
  readChanges,
  readPage,
  targetsOf,
  WORKLOADS,
  type Workload,
} from './workloads'

interface Place {
  server: Server
  audience: Audience
}

interface Line extends Place {
  name: string
  one: Workload['one']
}

const PAGE = 20

/** @returns whether nothing failed */
export async function grow(bench: Bench): Promise<boolean> {
  const rows = bench.size.users * bench.size.tasks
  // The same number of users in each, and a full page for all of them: with fewer, or with fewer tasks than are asked
  // for, the smaller database would be asked for less.
  const users = Math.max(Math.floor(rows / 100 / PAGE), 1)
  const sizes = [PAGE, 10 * PAGE, 100 * PAGE].map((tasks) => ({ users, tasks }))
  // more than one, or the limit of a user's requests would be the limit here
  const large = { users: 4, tasks: 100_000 }
  const places: Place[] = []
  try {
    for (const size of [...sizes, large]) places.push(await createPlace(bench, size))
    const failed: number[] = []
    for (const { title, lines } of races(places)) failed.push(await race(bench, title, lines))
    return failed.every((each) => each === 0)
  } finally {
    await Promise.all(places.map(({ server }) => server.stop()))
  }
}

async function createPlace({ folder, signal, ...bench }: Bench, size: Size): Promise<Place> {
  const databaseUrl = await createFilled(bench.databaseUrl, `bench_${size.users}x${size.tasks}`, size, signal)
  const server = await startTaskwell({ databaseUrl, folder, signal })
  return { server, audience: await audienceOf(size) }
}

/** What is compared, beginning with the smallest. */
function races(places: readonly Place[]): { title: string; lines: Line[] }[] {
  const growing = { ...WORKLOADS, changes: { title: 'the 20 newest changes', one: readChanges } }
  const byRows = ['W1', 'W2', 'changes'].map((name) => {
    const { title, one } = growing[name as keyof typeof growing]
    const lines = places.slice(0, -1).map((place) => ({ ...place, name: rowsOf(place), one }))
    return { title: `${name} ${title}`, lines }
  })
  const large = places.slice(-1)
  const byDepth = [0, 0.1, 0.5, 0.99].flatMap((share) =>
    large.map((place) => {
      const skipped = Math.round(place.audience.size.tasks * share)
      return { ...place, name: `behind ${skipped}`, one: (audience: Audience) => readPage(audience, skipped) }
    }),
  )
  return [...byRows, { title: 'pages of 20 by cursor, of users with 100000 tasks', lines: byDepth }]
}

function rowsOf({ audience: { size } }: Place): string {
  return `${size.users * size.tasks} rows`
}

/** @returns how many requests failed */
async function race(bench: Bench, title: string, lines: readonly Line[]): Promise<number> {
  const contestants = lines.map(({ server, audience, one }) => {
    const targets = targetsOf({ one }, audience)
    return { server, targets: async () => targets }
  })
  const results = await inTurns(bench, contestants)
  const [smallest = []] = results
  const rows = lines.map(({ name }, n) => ({ name, result: middle(results[n] ?? []) }))
  printTable(title, rows)
  const largest = results.at(-1) ?? []
  const slowdown = ratioOf('perSecond', smallest, largest).toFixed(2)
  const [own, database] = (['cpu', 'databaseCpu'] as const).map((of) =>
    ratioOf(of, largest, smallest).toFixed(2),
  )
  print(`  ratio of the first to the last: requests/s ${slowdown}`)
  print(`  ratio of the last to the first: cpu ${own}, database ${database}`)
  return rows.reduce((sum, { result }) => sum + result.failed, 0)
}
