/** One server against another: Taskwell against the ceiling, or in several processes against one. */
import { createFilled } from './fill'
import type { Target } from './load'
import { type Bench, inTurns, middle, print, printTable, ratioOf } from './rounds'
import type { Server, Surroundings } from './servers'
import { type Audience, audienceOf, targetsOf, WORKLOADS, type Workload, withTags } from './workloads'

export type Start = (surroundings: Surroundings) => Promise<Server>

/** @param starts the first is compared with the second. @returns whether nothing failed */
export async function compare(
  bench: Bench,
  only: readonly string[],
  starts: readonly [Start, Start],
): Promise<boolean> {
  const { folder, signal, size } = bench
  const databaseUrl = await createFilled(bench.databaseUrl, 'bench', size, signal)
  print(`${size.users} users with ${size.tasks} tasks each, ${bench.rounds} rounds of ${bench.seconds} s`)
  const servers: Server[] = []
  try {
    for (const start of starts) servers.push(await start({ databaseUrl, folder, signal }))
    const audience = await audienceOf(size)
    const failed: number[] = []
    for (const name of only) failed.push(await compareOne(bench, name, servers, audience))
    for (const each of servers) print(`\n${describe(each)}`)
    return failed.every((each) => each === 0)
  } finally {
    await Promise.all(servers.map((each) => each.stop()))
  }
}

/** In milliseconds: a loader that ends leaves writes under way, which would make tags old. */
const SETTLED = 1000

/** @returns how many requests failed */
async function compareOne(
  bench: Bench,
  name: string,
  servers: readonly Server[],
  audience: Audience,
): Promise<number> {
  const workload = WORKLOADS[name]
  if (!workload) return 0
  const targets = targetsOf(workload, audience)
  await Bun.sleep(SETTLED)
  await checkAnswers(workload, targets.slice(0, 20), servers)
  const contestants = servers.map((server) => ({ server, targets: () => sent(workload, targets, server) }))
  const [first = [], second = []] = await inTurns(bench, contestants)
  const ratio = (of: 'perSecond' | 'p99' | 'cpu') => ratioOf(of, first, second).toFixed(2)
  const lines = [first, second].map((results, n) => ({
    name: servers[n]?.name ?? '',
    result: middle(results),
  }))
  printTable(`${name} ${workload.title}`, lines)
  print(
    `  ratio of the first to the second: requests/s ${ratio('perSecond')}, p99 ${ratio('p99')}, cpu ${ratio('cpu')}`,
  )
  return lines.reduce((sum, { result }) => sum + result.failed, 0)
}

async function sent(
  { isKnown }: Workload,
  targets: readonly Target[],
  server: Server,
): Promise<readonly Target[]> {
  return isKnown ? withTags(targets, server) : targets
}

/** What a second task, or a second time, cannot have in common with the first. */
const OWN = /"(?:id|revision|created_at|updated_at)":(?:\d+|"[^"]*")/g

/** @throws Error unless all servers say the same, and that it went well */
async function checkAnswers(
  workload: Workload,
  targets: readonly Target[],
  servers: readonly Server[],
): Promise<void> {
  const isRead = ({ method }: Target) => method === 'GET'
  // first, for what one server has written the other would read
  await checkEach(workload, targets.filter(isRead), servers)
  await checkEach(
    workload,
    targets.filter((target) => !isRead(target)),
    servers,
  )
}

async function checkEach(
  workload: Workload,
  targets: readonly Target[],
  servers: readonly Server[],
): Promise<void> {
  const answers = await Promise.all(
    servers.map(async (server) => {
      const answered: string[] = []
      for (const target of await sent(workload, targets, server))
        answered.push(await ask(server, target, workload))
      return answered
    }),
  )
  const [first = []] = answers
  for (const [n, answer] of first.entries()) {
    const differing = answers.find((each) => each[n] !== answer)
    if (differing) throw new Error(`The servers differ at ${targets[n]?.path}:\n${answer}\n${differing[n]}`)
  }
}

async function ask({ name, url }: Server, target: Target, { isKnown }: Workload): Promise<string> {
  const answer = await fetch(url + target.path, target)
  const body = await answer.text()
  const isExpected = isKnown
    ? answer.status === 304
    : answer.ok && body.startsWith(target.path.includes('?') ? '[{' : '{')
  if (!isExpected)
    throw new Error(`${name} answers ${target.method} ${target.path} with ${answer.status}: ${body}`)
  return `${answer.status} ${target.method === 'GET' ? body : body.replace(OWN, '')}`
}

function describe({ name, readyAfter, memory }: Server): string {
  const { processes, resident, proportional, peak } = memory()
  const [now, shared, most] = [resident, proportional, peak].map((each) => `${each.toFixed(0)} MB`)
  const several = processes > 1 ? ` in ${processes} processes (${shared} with shared pages counted once)` : ''
  return `${name}: ready after ${readyAfter.toFixed(0)} ms; memory ${now}${several}, at its peak ${most}`
}
