/** Servers side by side: Taskwell and its peers, or Taskwell in several processes and in one. */
import { checkServers } from './check'
import { type Bench, print, printHeadings, race } from './rounds'
import type { Server } from './servers'
import { type Audience, targetsOf, WORKLOADS, withTags } from './workloads'

/** @param servers the first is Taskwell, and is compared with each of the others. @returns whether nothing failed */
export async function compare(
  bench: Bench,
  only: readonly string[],
  servers: readonly Server[],
  audience: Audience,
): Promise<boolean> {
  await checkServers(servers, audience)
  for (const { database } of servers) await database.tidy()
  printHeadings()
  let failed = 0
  for (const name of only) failed += await compareOne(bench, name, servers, audience)
  for (const each of servers) print(`\n${describe(each)}`)
  return failed === 0
}

/** @returns how many requests failed */
async function compareOne(
  bench: Bench,
  name: string,
  servers: readonly Server[],
  audience: Audience,
): Promise<number> {
  const workload = WORKLOADS[name]
  if (!workload) return 0
  const { title, writes = false, isKnown = false } = workload
  const targets = targetsOf(workload, audience)
  const contestants = servers
    .filter(({ isTaskwell }) => isTaskwell || !isKnown)
    .map((server) => ({
      name: server.name,
      server,
      writes,
      targets: async () => (isKnown ? withTags(targets, server.url) : targets),
    }))
  return race(bench, `${name} ${title}`, contestants)
}

function describe({ name, runtime, readyAfter, memory }: Server): string {
  const { processes, resident, proportional, peak } = memory()
  const [now, shared, most] = [resident, proportional, peak].map((each) => `${each.toFixed(0)} MB`)
  const several = processes > 1 ? ` in ${processes} processes (${shared} with shared pages counted once)` : ''
  return `${name} (${runtime}): ready after ${readyAfter.toFixed(0)} ms; memory ${now}${several}, at its peak ${most}`
}
