import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCounter } from '../../src/limits/counter'
import { createLog } from '../../src/telemetry/log'
import { createHub } from '../../src/workers/hub'
import { supervise } from '../../src/workers/supervisor'
import { linesTo } from '../support/app'

const STAND_IN = join(import.meta.dir, '../support/stand-in-worker.ts')
const folder = await mkdtemp(join(tmpdir(), 'taskwell-workers-'))
const file = join(folder, 'starts')

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})
process.on('exit', () => void rm(folder, { recursive: true }))

function supervised(
  behaviour: string,
  intervals: Parameters<typeof supervise>[0]['intervals'] = {},
  program = process.execPath,
) {
  const lines: string[] = []
  const started: { n: number; at: number }[] = []
  const supervisor = supervise({
    count: 2,
    command: [program, '--no-env-file', STAND_IN, behaviour],
    environment(n) {
      started.push({ n, at: performance.now() })
      const starts = started.filter((each) => each.n === n).length
      return { PATH: process.env['PATH'], FILE: file, STARTS: String(starts) }
    },
    hub: createHub(createCounter({ rateLimitPerMinute: 1, authRateLimitPerMinute: 1 })),
    log: createLog({ logLevel: 'info', production: true }, linesTo(lines)),
    intervals,
  })
  stops.push(supervisor.stop)
  return { ...supervisor, started, logged: () => lines.map((line) => JSON.parse(line)) }
}

describe('a start', () => {
  test('is over when every worker has said so', async () => {
    const { ready, stop, started, logged } = supervised('ready')
    await ready
    await stop()
    expect(started.map(({ n }) => n)).toEqual([1, 2])
    expect(logged()).toEqual([])
  })

  test('fails with what a worker says when it fails', async () => {
    await expect(supervised('fails if it is the second').ready).rejects.toThrow(/^HOST is wrong$/)
  })

  test('fails with how a worker ends that says nothing', async () => {
    await expect(supervised('ends before it is ready').ready).rejects.toThrow(
      /^Worker [12] ended before it was ready \(exit code 3\)$/,
    )
  })

  test('can be given up', async () => {
    const { stop, logged } = supervised('says nothing')
    await stop()
    expect(logged()).toEqual([])
  })
})

describe('a worker that has ended', () => {
  test('is started again: at once, and then after pauses that grow up to a limit', async () => {
    await writeFile(file, '')
    const { ready, started, logged } = supervised('is ready once', { firstPause: 50, longestPause: 200 })
    await ready
    while (started.filter(({ n }) => n === 1).length < 6) await Bun.sleep(5)
    const at = started.filter(({ n }) => n === 1).map((each) => each.at)
    const pauses = at.slice(1).map((time, i) => time - (at[i] ?? 0))
    // each has the life of a process in it, so there is only a least that they must be
    for (const [i, least] of [0, 50, 100, 200, 200].entries()) expect(pauses[i]).toBeGreaterThanOrEqual(least)
    expect(logged()[0]).toMatchObject({ level: 40, how: 'exit code 4' })
    expect(logged().at(-1)).toMatchObject({ level: 40, how: 'exit code 4', failure: 'the port is gone' })
  })

  test('is started again at once if it has lived for a while', async () => {
    await writeFile(file, '')
    const { started } = supervised('is ready once', { firstPause: 1e9, longestPause: 1e9, wellAfter: 0 })
    while (started.length < 8) await Bun.sleep(5)
    expect((await readFile(file)).length).toBeGreaterThan(2)
  })

  test('and cannot be started again is tried again, and the stop is as ever', async () => {
    await writeFile(file, '')
    const program = join(folder, 'program')
    await symlink(process.execPath, program)
    const { ready, started, logged, stop } = supervised('is ready once', { firstPause: 1 }, program)
    await ready
    await rm(program)
    while (started.length < 8) await Bun.sleep(5)
    await stop()
    expect(logged().map(({ how }) => how)).toContainEqual(expect.stringMatching(/^cannot be started: /))
  })

  test('is not started again once all are to stop', async () => {
    const { started, stop } = supervised('is ready once', { firstPause: 1e9, longestPause: 1e9 })
    // the first pause is none, and after the second start comes one without end
    while (started.length < 4) await Bun.sleep(5)
    await stop()
    expect(started).toHaveLength(4)
  })
})

test('a worker that does not end when it is asked to is killed', async () => {
  const { ready, stop, logged } = supervised('ready, and does not end', { killAfter: 50 })
  await ready
  await stop()
  expect(logged()).toEqual([])
})
