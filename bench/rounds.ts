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
  name: string
  server: Server
  /** Asked for before each turn. */
  targets(): Promise<readonly Target[]>
  /** Whether the requests change anything. */
  writes: boolean
}

interface Result {
  perSecond: number
  /** Latencies, in milliseconds. */
  p50: number
  p99: number
  /** What the server's processes use of a processor, in microseconds a request. */
  server: number
  /** The same of the database's. */
  database: number
  /** Shares of the time that all processors had. */
  loader: number
  /** Of all else that runs on the machine, the kernel included. */
  other: number
  idle: number
  /** The most memory that the server has had so far, in MB. */
  peak: number
  failed: number
}

/** In seconds: until code is compiled, statements are prepared and tokens known. */
const WARM_UP = 3

/** Lets each take its turns, and prints a line for each. @returns how many requests failed */
export async function race(bench: Bench, title: string, contestants: readonly Contestant[]): Promise<number> {
  const all = await inTurns(bench, contestants)
  const [first = []] = all
  print(title)
  for (const [n, { name }] of contestants.entries()) {
    const results = all[n] ?? []
    const cells = COLUMNS.map(([, cell]) => cell(results))
    const ratios = n === 0 ? [] : RATIOS.map(([, of]) => ratioOf(of, first, results).toFixed(2))
    printRow(`  ${name}`, [...cells, ...ratios])
  }
  return all.flat().reduce((sum, { failed }) => sum + failed, 0)
}

async function inTurns(bench: Bench, contestants: readonly Contestant[]): Promise<Result[][]> {
  for (const each of contestants) await turn(bench, each, WARM_UP)
  const results = contestants.map((): Result[] => [])
  for (let round = 0; round < bench.rounds; round++) {
    const order = [...contestants.entries()]
    // the second finds what the first has left: caches, and a warm processor
    if (round % 2 === 1) order.reverse()
    for (const [n, contestant] of order) results[n]?.push(await turn(bench, contestant, bench.seconds))
  }
  return results
}

async function turn(bench: Bench, { server, targets, writes }: Contestant, seconds: number): Promise<Result> {
  const result = await measure(bench, server, await targets(), seconds)
  if (writes) await server.database.tidy()
  return result
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
  const difference = (of: keyof typeof before) => after[of] - before[of]
  const { requests, seconds, p50, p99, failed, cpu } = loaded
  const all = difference('all')
  const [loader, idle] = [cpu / all, difference('idle') / all]
  return {
    perSecond: requests / seconds,
    p50,
    p99,
    server: (difference('server') * 1000) / requests,
    database: (difference('database') * 1000) / requests,
    loader,
    // clocks that tick in hundredths of a second can add up to more than there was
    other: Math.max(1 - loader - idle - (difference('server') + difference('database')) / all, 0),
    idle,
    peak: server.memory().peak,
    failed,
  }
}

type Of = (result: Result) => number

/** The median of the rounds' ratios: what else the machine does meanwhile slows all in a round. */
function ratioOf(of: Of, first: readonly Result[], second: readonly Result[]): number {
  return median(first.map((each, round) => of(each) / of(second[round] ?? each)))
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const [below = Number.NaN, above = Number.NaN] = [sorted.at(half - 1), sorted[half]]
  return sorted.length % 2 === 1 ? above : (below + above) / 2
}

const middle = (of: Of, digits: number) => (results: readonly Result[]) =>
  median(results.map(of)).toFixed(digits)

const share = (of: Of) => middle((result) => of(result) * 100, 0)

const COLUMNS: readonly [string, (results: readonly Result[]) => string][] = [
  ['requests/s', middle(({ perSecond }) => perSecond, 0)],
  ['p50 ms', middle(({ p50 }) => p50, 2)],
  ['p99 ms', middle(({ p99 }) => p99, 2)],
  ['server µs', middle(({ server }) => server, 0)],
  ['db µs', middle(({ database }) => database, 0)],
  ['peak MB', (results) => Math.max(...results.map(({ peak }) => peak)).toFixed(0)],
  ['failed', (results) => String(results.reduce((sum, { failed }) => sum + failed, 0))],
  ['loader %', share(({ loader }) => loader)],
  ['other %', share(({ other }) => other)],
  ['idle %', share(({ idle }) => idle)],
]

/** The first line as a multiple of this line. */
const RATIOS: readonly [string, Of][] = [
  ['× req/s', ({ perSecond }) => perSecond],
  ['× p99', ({ p99 }) => p99],
  ['× server', ({ server }) => server],
  ['× db', ({ database }) => database],
  ['× both', ({ server, database }) => server + database],
]

const HEADINGS = [...COLUMNS, ...RATIOS].map(([heading]) => heading)

export function printHeadings(): void {
  printRow('', HEADINGS)
}

function printRow(name: string, cells: readonly string[]): void {
  const padded = cells.map((cell, n) => cell.padStart((HEADINGS[n]?.length ?? 0) + 2))
  print(name.padEnd(16) + padded.join(''))
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
