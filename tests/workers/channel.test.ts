import { describe, expect, test } from 'bun:test'
import { createCounter } from '../../src/limits/counter'
import type { Live } from '../../src/sync/live'
import { createStreamSlots, MAX_STREAMS } from '../../src/sync/stream-slots'
import { createMetrics, type Snapshot } from '../../src/telemetry/metrics'
import { createHub } from '../../src/workers/hub'
import { shareOver } from '../../src/workers/sharing'
import { join } from '../support/channels'

const LIMIT = 5
const ownLimits = () => createCounter({ rateLimitPerMinute: LIMIT, authRateLimitPerMinute: 2 })
/** In milliseconds: so long that a slow machine is not taken for a supervisor that is silent. */
const PATIENT = 20_000

/** So many workers and their supervisor. */
function team(size: number, { answerWithin = PATIENT, metricsWithin = PATIENT, retryAfter = PATIENT } = {}) {
  const hub = createHub(ownLimits(), metricsWithin)
  return Array.from({ length: size }, () => {
    const joined = join(hub, { answerWithin, metricsWithin: answerWithin, retryAfter })
    const sharing = shareOver(joined.link)
    return {
      ...joined,
      sharing,
      limits: sharing.limits(ownLimits()),
      places: sharing.places(createStreamSlots()),
    }
  })
}

/** Two of them. */
function pair(options?: Parameters<typeof team>[1]) {
  const [one, other] = team(2, options)
  if (!one || !other) throw new Error('there are two')
  return { one, other }
}

describe('limits', () => {
  test('are counted for all workers together', async () => {
    const { one, other } = pair()
    const remaining: number[] = []
    for (const worker of [one, other, other, one, one]) {
      remaining.push((await worker.limits.take('user', 'ann')).remaining)
    }
    expect(remaining).toEqual([4, 3, 2, 1, 0])
    expect(await other.limits.take('user', 'ann')).toMatchObject({
      policy: 'user',
      limit: LIMIT,
      isSpent: true,
    })
    expect((await other.limits.take('address', 'ann')).remaining).toBe(4)
  })

  test('are only looked at with no points', async () => {
    const { one, other } = pair()
    await one.limits.take('user', 'ann')
    for (let n = 0; n < 3; n++) expect((await other.limits.take('user', 'ann', 0)).remaining).toBe(4)
  })

  test('of requests that come at once are asked for in one message', async () => {
    const { one } = pair()
    const taken = await Promise.all(Array.from({ length: 7 }, () => one.limits.take('user', 'ann')))
    expect(taken.map(({ isSpent }) => isSpent)).toEqual([false, false, false, false, false, true, true])
    expect(one.sent).toHaveLength(1)
  })
})

describe('a supervisor that is silent', () => {
  const IMPATIENT = { answerWithin: 20 }

  test('keeps nobody waiting: each worker counts for itself, and asks no more', async () => {
    const { one } = pair(IMPATIENT)
    one.freeze()
    const first = [one.limits.take('user', 'ann'), one.limits.take('user', 'ann')]
    expect((await Promise.all(first)).map(({ remaining }) => remaining)).toEqual([4, 3])
    const asked = one.sent.length
    expect((await one.limits.take('user', 'ann')).remaining).toBe(2)
    expect(await one.places.take('ann')).toBeFunction()
    one.link.changed('ann')
    await Bun.sleep(1)
    expect(one.sent).toHaveLength(asked)
  })

  test('is asked again once it is heard of', async () => {
    const { one, other } = pair(IMPATIENT)
    await other.limits.take('user', 'ann')
    one.freeze()
    expect((await one.limits.take('user', 'ann')).remaining).toBe(4)
    one.thaw()
    // what it had been asked it has counted after all
    while ((await one.limits.take('user', 'ann', 0)).remaining !== 3) await Bun.sleep(1)
    expect((await other.limits.take('user', 'ann', 0)).remaining).toBe(3)
  })

  test('is asked for a sign of life, so that a message that was lost is not the end', async () => {
    const { one, other } = pair({ ...IMPATIENT, retryAfter: 20 })
    one.freeze()
    await one.limits.take('user', 'ann')
    one.forget()
    // by itself it knows of one
    for (let n = 0; n < 2; n++) await other.limits.take('user', 'ann')
    while ((await one.limits.take('user', 'ann', 0)).remaining !== 3) await Bun.sleep(1)
  })

  test('gets back what it grants too late', async () => {
    const { one, other } = pair(IMPATIENT)
    one.freeze()
    const leave = await one.places.take('ann')
    one.thaw()
    while (!one.sent.some((message) => message.type === 'batch' && message.left.length > 0))
      await Bun.sleep(1)
    leave?.()
    const taken = await Promise.all(Array.from({ length: MAX_STREAMS }, () => other.places.take('ann')))
    expect(taken).not.toContain(undefined)
  })

  test('leaves metrics without an answer, for those of one worker would mislead', async () => {
    const { one } = pair(IMPATIENT)
    one.freeze()
    const metrics = one.sharing.metrics(createMetrics())
    await expect(metrics.render()).rejects.toMatchObject({ code: 'OVERLOADED' })
  })
})

describe('the places of a user', () => {
  test('are as many on all workers together as on one', async () => {
    const workers = team(3)
    const ask = async (n: number) => workers[n % 3]?.places.take('ann')
    const taken = await Promise.all(Array.from({ length: MAX_STREAMS + 5 }, (_, n) => ask(n)))
    expect(taken.filter((leave) => leave === undefined)).toHaveLength(5)
    expect(await workers[0]?.places.take('bob')).toBeFunction()
  })

  test('are free again when they are left, once each', async () => {
    const { one, other } = pair()
    const [leave] = await Promise.all(Array.from({ length: MAX_STREAMS }, () => one.places.take('ann')))
    expect(await other.places.take('ann')).toBeUndefined()
    leave?.()
    leave?.()
    // said before it is asked for
    await one.limits.take('user', 'ann')
    expect(await other.places.take('ann')).toBeFunction()
    expect(await other.places.take('ann')).toBeUndefined()
    expect(await one.places.take('ann')).toBeUndefined()
  })

  test('are not used up by those who are refused', async () => {
    const { one, other } = pair()
    const ask = () => other.places.take('ann')
    const leaves = await Promise.all(Array.from({ length: MAX_STREAMS }, () => one.places.take('ann')))
    for (let n = 0; n < MAX_STREAMS; n++) expect(await ask()).toBeUndefined()
    for (const leave of leaves) leave?.()
    await one.limits.take('user', 'ann')
    expect(await ask()).toBeFunction()
  })

  test('are free again when their worker has ended', async () => {
    const { one, other } = pair()
    await Promise.all(Array.from({ length: MAX_STREAMS }, () => one.places.take('ann')))
    one.end()
    expect(await other.places.take('ann')).toBeFunction()
  })
})

describe('a change', () => {
  const told: string[] = []
  /** Only what is told to it counts here. */
  const liveOf = (name: string) =>
    ({ changed: (userId: string) => told.push(`${name}: ${userId}`) }) as unknown as Live

  test('is told at once to those workers that have a stream of its user', async () => {
    const [one, listening, other] = team(3)
    const live = one?.sharing.live(liveOf('one'))
    listening?.sharing.live(liveOf('listening'))
    other?.sharing.live(liveOf('other'))
    const leave = await listening?.places.take('ann')
    await one?.places.take('ann')
    await other?.places.take('bob')
    live?.changed('ann')
    live?.changed('carl')
    while (told.length < 3) await Bun.sleep(1)
    expect(told.splice(0).sort()).toEqual(['listening: ann', 'one: ann', 'one: carl'])

    leave?.()
    await listening?.limits.take('user', 'ann')
    live?.changed('ann')
    // whatever was to be told came before this answer
    await one?.limits.take('user', 'ann')
    await listening?.limits.take('user', 'ann')
    expect(told.splice(0)).toEqual(['one: ann'])
  })
})

describe('metrics', () => {
  const seen = { method: 'GET', route: '/', status: 200, ms: 1 }
  const REQUESTS = /^taskwell_http_requests_total\{.*\} (\d+)$/m

  function measuring(worker: ReturnType<typeof pair>['one']) {
    return worker.sharing.metrics(createMetrics())
  }
  const numberIn = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1])

  test('are those of all workers, whoever is asked', async () => {
    const { one, other } = pair()
    const [first, second] = [measuring(one), measuring(other)]
    for (const metrics of [first, second, second]) metrics.request(seen)
    for (const metrics of [first, second])
      metrics.watch({ poolSize: 5, statements: () => 1, streams: () => 2, requests: () => 3 })
    for (const metrics of [first, second]) {
      const text = await metrics.render()
      expect(numberIn(text, REQUESTS)).toBe(3)
      expect(text).toContain('taskwell_database_pool_size 10\n')
      expect(text).toContain('taskwell_workers 2\n')
      expect(text).toMatch(/^taskwell_build_info\{.*\} 1$/m)
      expect(text).toMatch(/_duration_seconds_bucket\{.*le="\+Inf".*\} 3$/m)
    }
  })

  test('of the process are those of the youngest and of the fullest one where a sum would say nothing', async () => {
    const { one, other } = pair()
    const metric = (name: string, value: number) => ({
      name,
      help: 'X.',
      type: 'gauge',
      values: [{ value, labels: {} }],
    })
    const snapshot = (start: number, open: number, max: number): Snapshot => [
      metric('process_start_time_seconds', start),
      metric('process_open_fds', open),
      metric('process_max_fds', max),
      metric('process_resident_memory_bytes', 100),
    ]
    one.link.onMetrics(async () => snapshot(10, 7, 100))
    const metrics = measuring(other)
    other.link.onMetrics(async () => snapshot(20, 3, 200))
    const text = await metrics.render()
    expect(text).toContain('process_start_time_seconds 20\n')
    expect(text).toContain('process_open_fds 7\n')
    expect(text).toContain('process_max_fds 100\n')
    expect(text).toContain('process_resident_memory_bytes 200\n')
  })

  test('count what those have counted that have ended, however many they are', async () => {
    const [one, ...others] = team(4)
    if (!one) throw new Error('there are four')
    const metrics = measuring(one)
    const watched = { poolSize: 5, statements: () => 0, streams: () => 0, requests: () => 0 }
    metrics.watch(watched)
    for (const other of others) {
      const those = measuring(other)
      those.request(seen)
      those.watch(watched)
    }
    for (const other of others) {
      await metrics.render()
      other.end()
      const text = await metrics.render()
      expect(text).toContain(
        `taskwell_database_pool_size ${5 * Number(/^taskwell_workers (\d)$/m.exec(text)?.[1])}\n`,
      )
    }
    const text = await metrics.render()
    expect(numberIn(text, REQUESTS)).toBe(3)
    expect(numberIn(text, /^taskwell_http_request_duration_seconds_count\{.*\} (\d+)$/m)).toBe(3)
    expect(text).toContain('taskwell_workers 1\n')
  })

  test('of a worker that does not answer are its last ones', async () => {
    const { one, other } = pair({ metricsWithin: 50 })
    const metrics = measuring(one)
    measuring(other).request(seen)
    await metrics.render()
    other.freeze()
    metrics.request(seen)
    expect(numberIn(await metrics.render(), REQUESTS)).toBe(2)
  })

  test('are there though one worker ends while it is asked', async () => {
    const { one, other } = pair()
    const metrics = measuring(one)
    metrics.request(seen)
    other.freeze()
    const reading = metrics.render()
    while (other.sent.length === 0 && one.sent.length === 0) await Bun.sleep(1)
    other.end()
    expect(numberIn(await reading, REQUESTS)).toBe(1)
  })
})
