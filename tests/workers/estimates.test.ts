import { afterEach, describe, expect, setSystemTime, test } from 'bun:test'
import { createCounter } from '../../src/limits/counter'
import { createHub } from '../../src/workers/hub'
import { shareOver } from '../../src/workers/sharing'
import { join } from '../support/channels'

const LIMIT = 200
const ownLimits = () => createCounter({ rateLimitPerMinute: LIMIT, authRateLimitPerMinute: 10 })

/** In milliseconds. */
const LONG = 20_000

/** Two workers and their supervisor. `tellAfter` is long where nothing is to be told meanwhile. */
function pair({ answerWithin = LONG, tellAfter = LONG, maxKeys = 50_000 } = {}) {
  const supervisor = ownLimits()
  const hub = createHub(supervisor)
  const worker = () => {
    const joined = join(hub, { answerWithin })
    return { ...joined, limits: shareOver(joined.link, { tellAfter, maxKeys }).limits(ownLimits()) }
  }
  const counted = (key: string) => LIMIT - Number(Object(supervisor.take('user', key, 0)).remaining)
  return { one: worker(), other: worker(), counted }
}
type Worker = ReturnType<typeof pair>['one']

/** Whether the answer was there at once. */
function isAtOnce(worker: Worker, key = 'ann', points = 1): boolean {
  return !(worker.limits.take('user', key, points) instanceof Promise)
}

afterEach(() => {
  setSystemTime()
})

describe('far from a large limit', () => {
  test('only the first request of a key waits for the supervisor', async () => {
    const { one, counted } = pair()
    expect((await one.limits.take('user', 'ann')).remaining).toBe(LIMIT - 1)
    const taken = Array.from({ length: 40 }, () => one.limits.take('user', 'ann'))
    expect(taken).toEqual(
      taken.map((_, i) => ({
        policy: 'user',
        limit: LIMIT,
        remaining: LIMIT - 2 - i,
        reset: 60,
        isSpent: false,
      })),
    )
    expect(one.sent).toHaveLength(1)
    expect(counted('ann')).toBe(1)
    expect(isAtOnce(one, 'bob')).toBe(false)
  })

  test('the supervisor has the exact sum a moment later, in one message', async () => {
    const { one, other, counted } = pair({ tellAfter: 5 })
    for (const worker of [one, other]) {
      for (const key of ['ann', 'bob']) await worker.limits.take('user', key)
    }
    const asked = one.sent.length
    for (let n = 0; n < 20; n++) {
      for (const worker of [one, other]) for (const key of ['ann', 'bob']) isAtOnce(worker, key)
    }
    while (counted('ann') + counted('bob') < 84) await Bun.sleep(1)
    expect([counted('ann'), counted('bob')]).toEqual([42, 42])
    expect(one.sent).toHaveLength(asked + 1)
  })

  test('what others have counted is known after each message', async () => {
    const { one, other } = pair({ tellAfter: 5 })
    await one.limits.take('user', 'ann')
    await other.limits.take('user', 'ann', 50)
    expect(await one.limits.take('user', 'ann')).toMatchObject({ remaining: LIMIT - 2 })
    const left = async () => (await one.limits.take('user', 'ann', 0)).remaining
    while ((await left()) > LIMIT - 52) await Bun.sleep(1)
    expect(await left()).toBe(LIMIT - 52)
    expect(isAtOnce(one)).toBe(true)
  })

  test('a look counts nothing', async () => {
    const { one } = pair({ tellAfter: 1 })
    await one.limits.take('user', 'ann')
    for (let n = 0; n < 3; n++)
      expect(await one.limits.take('user', 'ann', 0)).toMatchObject({ remaining: LIMIT - 1 })
    // whatever there was to tell comes before that
    await Bun.sleep(2)
    await one.limits.take('user', 'bob')
    expect(one.sent.flatMap((message) => (message.type === 'batch' ? message.counts : []))).toEqual([
      ['user', 'ann', 1],
      ['user', 'bob', 1],
    ])
  })
})

describe('near a limit', () => {
  test('a worker asks as soon as all workers together could have used half of it', async () => {
    const { one, counted } = pair()
    await one.limits.take('user', 'ann')
    let atOnce = 0
    while (isAtOnce(one)) atOnce++
    // 1 + 2 × 49 is below the half of 200
    expect(atOnce).toBe(49)
    expect((await one.limits.take('user', 'ann')).remaining).toBe(LIMIT - 52)
    expect(counted('ann')).toBe(52)
  })

  test('a worker that knew it to be far learns that another has brought it near', async () => {
    const { one, other } = pair()
    await one.limits.take('user', 'ann')
    await other.limits.take('user', 'ann', LIMIT - 1)
    // whatever was to be told came before this answer
    await one.limits.take('user', 'bob')
    const refused = one.limits.take('user', 'ann')
    expect(refused).toBeInstanceOf(Promise)
    expect(await refused).toMatchObject({ remaining: 0, isSpent: true })
  })

  test('exactly as many pass as may, over both workers', async () => {
    const { one, other, counted } = pair()
    const takeMany = async (worker: Worker) => {
      let passed = 0
      for (let n = 0; n < LIMIT; n++) {
        const { isSpent } = await worker.limits.take('user', 'ann')
        if (!isSpent) passed++
      }
      return passed
    }
    const passed = await Promise.all([takeMany(one), takeMany(other)])
    expect(passed[0] + passed[1]).toBe(LIMIT)
    expect(counted('ann')).toBe(LIMIT)
  })
})

test('a small limit is always asked for', async () => {
  const { one } = pair()
  for (let n = 1; n <= 10; n++) {
    const taken = one.limits.take('auth-account', 'ann')
    expect(taken).toBeInstanceOf(Promise)
    expect((await taken).remaining).toBe(10 - n)
  }
  expect(one.sent).toHaveLength(10)
})

test('a window that ends is begun anew', async () => {
  const { one, counted } = pair()
  const start = Date.now()
  setSystemTime(start)
  await one.limits.take('user', 'ann', 30)
  setSystemTime(start + 58_500)
  expect(await one.limits.take('user', 'ann', 0)).toMatchObject({ remaining: LIMIT - 30, reset: 2 })
  setSystemTime(start + 59_000)
  expect(isAtOnce(one, 'ann', 0)).toBe(false)
  setSystemTime(start + 60_000)
  expect(await one.limits.take('user', 'ann')).toMatchObject({ remaining: LIMIT - 1, reset: 60 })
  expect(isAtOnce(one)).toBe(true)
  expect(counted('ann')).toBe(1)
})

test('nothing is known any more when the supervisor is silent: a worker counts for itself', async () => {
  const { one, counted } = pair({ answerWithin: 20, tellAfter: 1 })
  await one.limits.take('user', 'ann', 30)
  one.freeze()
  expect(isAtOnce(one)).toBe(true)
  while (isAtOnce(one, 'ann', 0)) await Bun.sleep(1)
  expect((await one.limits.take('user', 'ann')).remaining).toBe(LIMIT - 1)
  one.thaw()
  while ((await one.limits.take('user', 'ann', 0)).remaining === LIMIT - 1) await Bun.sleep(1)
  expect(counted('ann')).toBe(31)
  expect(isAtOnce(one)).toBe(true)
})

test('too many keys are all forgotten, and what was counted of them is told', async () => {
  const { one, counted } = pair({ maxKeys: 2 })
  for (const key of ['ann', 'bob']) await one.limits.take('user', key)
  for (const key of ['ann', 'bob', 'ann']) expect(isAtOnce(one, key)).toBe(true)
  await one.limits.take('user', 'carl')
  expect(['ann', 'bob', 'carl'].map((key) => isAtOnce(one, key, 0))).toEqual([false, false, true])
  expect((await one.limits.take('user', 'ann', 0)).remaining).toBe(LIMIT - 3)
  expect([counted('ann'), counted('bob')]).toEqual([3, 2])
})
