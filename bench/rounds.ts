/** Measures in rounds, in which all that is compared takes its turn, and takes medians over them. */
import type { Size } from './fill'
import { load, type Target } from './load'
import type { Server } from './servers'

/** What all measurements of a run have in common. */
export interface Bench {
  folder: string
  /** Of a database beside which others can be made. */
  databaseUrl: string
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
  /** What the server's process uses of a processor, in microseconds a request. */
  cpu: number
  failed: number
}

/** In seconds: until code is compiled, statements are prepared and tokens known. */
const WARM_UP = 3

/** @returns for each contestant the results of its turns */
export async function inTurns(
  { folder, seconds, rounds, signal }: Bench,
  contestants: readonly Contestant[],
): Promise<Result[][]> {
  const turn = async ({ server, targets }: Contestant, duration: number) =>
    measure(server, { url: server.url, targets: await targets(), seconds: duration, folder, signal })
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

async function measure(server: Server, options: Parameters<typeof load>[0]): Promise<Result> {
  const before = server.cpu()
  const { requests, seconds, p50, p99, failed } = await load(options)
  const cpu = ((server.cpu() - before) * 1000) / requests
  return { perSecond: requests / seconds, p50, p99, cpu, failed }
}

export function middle(results: readonly Result[]): Result {
  const of = (name: keyof Result) => median(results.map((each) => each[name]))
  const failed = results.reduce((sum, each) => sum + each.failed, 0)
  return { perSecond: of('perSecond'), p50: of('p50'), p99: of('p99'), cpu: of('cpu'), failed }
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

const COLUMNS = ['requests/s', 'p50 ms', 'p99 ms', 'cpu µs', 'failed']

export function printTable(title: string, lines: readonly { name: string; result: Result }[]): void {
  print(`\n${row([title, ...COLUMNS])}`)
  for (const { name, result } of lines) {
    const { perSecond, p50, p99, cpu, failed } = result
    const numbers = [perSecond.toFixed(0), p50.toFixed(2), p99.toFixed(2), cpu.toFixed(0), String(failed)]
    print(row([`  ${name}`, ...numbers]))
  }
}

function row([name = '', ...numbers]: readonly string[]): string {
  return name.padEnd(54) + numbers.map((each) => each.padStart(11)).join('')
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
