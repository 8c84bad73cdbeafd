/** Measures in rounds, in which all that is compared takes its turn, and takes medians over them. */
import type { Size } from './fill'
import { load, type Target } from './load'
import { cpuOf, readProcessors } from './processes'
import type { Server } from './servers'

/** What all measurements of a run have in common. */
export interface Bench {
  folder: string
  /** Of a database beside which others can be made. */
  databaseUrl: string
  /** The process that all of the database's belong to. */
  databasePid: number
  size: Size
  seconds: number
  rounds: number
  signal: AbortSignal
}

export interface Contestant {
  server: Server
  /** Asked for before each turn. */
  targets(): Promise<readonly Target[]>
}

export interface Result {
  perSecond: number
  /** Latencies, in milliseconds. */
  p50: number
  p99: number
  /** What the server's processes use of a processor, in microseconds a request. */
  cpu: number
  /** The same of the database's. */
  databaseCpu: number
  /** Shares of the time that all processors had. */
  loaderShare: number
  serverShare: number
  databaseShare: number
  /** Of whatever else runs on the machine, the kernel included. */
  otherShare: number
  idleShare: number
  failed: number
}

/** In seconds: until code is compiled, statements are prepared and tokens known. */
const WARM_UP = 3

/** @returns for each contestant the results of its turns */
export async function inTurns(bench: Bench, contestants: readonly Contestant[]): Promise<Result[][]> {
  const { seconds, rounds } = bench
  const turn = async ({ server, targets }: Contestant, duration: number) =>
    measure(bench, server, await targets(), duration)
  for (const each of contestants) await turn(each, WARM_UP)
  const results = contestants.map((): Result[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...contestants.entries()]
    // whoever comes second finds what the first has left: caches, and work that the database has put off
    if (round % 2 === 1) order.reverse()
    for (const [n, contestant] of order) results[n]?.push(await turn(contestant, seconds))
  }
  return results
}

async function measure(
  { databasePid, folder, signal }: Bench,
  server: Server,
  targets: readonly Target[],
  duration: number,
): Promise<Result> {
  const used = () => ({ server: server.cpu(), database: cpuOf(databasePid), ...readProcessors() })
  const before = used()
  const loaded = await load({ url: server.url, targets, seconds: duration, folder, signal })
  const after = used()
  const { requests, seconds, p50, p99, failed } = loaded
  const difference = (of: keyof typeof before) => after[of] - before[of]
  const shares = [loaded.cpu, ...(['server', 'database', 'idle'] as const).map(difference)].map(
    (milliseconds) => milliseconds / difference('all'),
  )
  const [loaderShare = 0, serverShare = 0, databaseShare = 0, idleShare = 0] = shares
  return {
    perSecond: requests / seconds,
    p50,
    p99,
    cpu: (difference('server') * 1000) / requests,
    databaseCpu: (difference('database') * 1000) / requests,
    loaderShare,
    serverShare,
    databaseShare,
    // clocks that tick in hundredths of a second can add up to more than there was
    otherShare: Math.max(1 - loaderShare - serverShare - databaseShare - idleShare, 0),
    idleShare,
    failed,
  }
}

export function middle(results: readonly Result[]): Result {
  const of = (name: keyof Result) => median(results.map((each) => each[name]))
  return {
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    cpu: of('cpu'),
    databaseCpu: of('databaseCpu'),
    loaderShare: of('loaderShare'),
    serverShare: of('serverShare'),
    databaseShare: of('databaseShare'),
    otherShare: of('otherShare'),
    idleShare: of('idleShare'),
    failed: results.reduce((sum, each) => sum + each.failed, 0),
  }
}

/** The median of the rounds' ratios: what else the machine does meanwhile slows both in a round. */
export function ratioOf(name: keyof Result, of: readonly Result[], to: readonly Result[]): number {
  return median(of.map((each, round) => each[name] / (to[round]?.[name] ?? Number.NaN)))
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const [below = Number.NaN, above = Number.NaN] = [sorted.at(half - 1), sorted[half]]
  return sorted.length % 2 === 1 ? above : (below + above) / 2
}

const COLUMNS: Record<string, (result: Result) => string> = {
  'requests/s': ({ perSecond }) => perSecond.toFixed(0),
  'p50 ms': ({ p50 }) => p50.toFixed(2),
  'p99 ms': ({ p99 }) => p99.toFixed(2),
  'cpu µs': ({ cpu }) => cpu.toFixed(0),
  'db µs': ({ databaseCpu }) => databaseCpu.toFixed(0),
  failed: ({ failed }) => String(failed),
  'loader %': ({ loaderShare }) => percent(loaderShare),
  'server %': ({ serverShare }) => percent(serverShare),
  'db %': ({ databaseShare }) => percent(databaseShare),
  'other %': ({ otherShare }) => percent(otherShare),
  'idle %': ({ idleShare }) => percent(idleShare),
}

function percent(share: number): string {
  return (share * 100).toFixed(0)
}

export function printTable(title: string, lines: readonly { name: string; result: Result }[]): void {
  print(`\n${title}\n${row('', (heading) => heading)}`)
  for (const { name, result } of lines) print(row(`  ${name}`, (heading) => COLUMNS[heading]?.(result) ?? ''))
}

function row(name: string, cell: (heading: string) => string): string {
  const cells = Object.keys(COLUMNS).map((heading) => cell(heading).padStart(heading.length + 2))
  return name.padEnd(16) + cells.join('')
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
