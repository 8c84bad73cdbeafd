/** Taskwell against itself: with more rows, with users who have very many, and far down in their lists. */
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

/** @returns whether nothing failed */
export async function grow(bench: Bench): Promise<boolean> {
  const { tasks, users } = bench.size
  const sizes = [users / 100, users / 10, users].map((each) => ({
    users: Math.max(Math.round(each), 1),
    tasks,
  }))
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

async function createPlace({ databaseUrl, folder, signal }: Bench, size: Size): Promise<Place> {
  const url = await createFilled(databaseUrl, `bench_${size.users}x${size.tasks}`, size, signal)
  return { server: await startTaskwell(url, folder, signal), audience: await audienceOf(size) }
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
  print(
    `  ratio of the first to the last: ${ratioOf('perSecond', smallest, results.at(-1) ?? []).toFixed(2)}`,
  )
  return rows.reduce((sum, { result }) => sum + result.failed, 0)
}
