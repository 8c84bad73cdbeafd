/** Taskwell against itself: with more rows, and far down in the lists of users who have very many. */
import { createFilled, type Size } from './fill'
import { type Bench, type Contestant, printHeadings, race } from './rounds'
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
    printHeadings()
    let failed = 0
    for (const { title, lines } of races(places)) failed += await race(bench, title, lines.map(contestantOf))
    return failed === 0
  } finally {
    await Promise.all(places.map(({ server }) => server.stop()))
  }
}

async function createPlace({ folder, signal, databaseUrl }: Bench, size: Size): Promise<Place> {
  const database = await createFilled(databaseUrl, `bench_${size.users}x${size.tasks}`, size, signal)
  const audience = await audienceOf(size)
  return { server: await startTaskwell({ database, audience, folder, signal }), audience }
}

/** What is compared, beginning with the largest: the ratios are its own. */
function races(places: readonly Place[]): { title: string; lines: Line[] }[] {
  const growing = { ...WORKLOADS, changes: { title: 'the 20 newest changes', one: readChanges } }
  const byRows = ['W1', 'W2', 'changes'].map((name) => {
    const { title, one } = growing[name as keyof typeof growing]
    const lines = places
      .slice(0, -1)
      .map((place) => ({ ...place, name: rowsOf(place), one }))
      .reverse()
    return { title: `${name} ${title}`, lines }
  })
  const large = places.slice(-1)
  const byDepth = [0.99, 0.5, 0.1, 0].flatMap((share) =>
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

function contestantOf({ name, server, audience, one }: Line): Contestant {
  const targets = targetsOf({ one }, audience)
  return { name, server, targets: async () => targets, writes: false }
}
