import { describe, expect, test } from 'bun:test'
import { isUnavailable } from '../../src/database/errors'
import type { Statement } from '../../src/database/query-context'
import { codeOf } from '../../src/system/errors'
import {
  answered,
  contextFor,
  failureOf,
  LONG,
  SLACK,
  setCloseUp,
  waitAndWrite,
  waitForLock,
  write,
} from '../support/close-up'

const { url, admin, proxy, open, lock, untilWaiting, writtenRows } = await setCloseUp()

describe('a second try', () => {
  const isSafe = true

  test('is made of a read whose backend was killed', async () => {
    const { context, seen } = contextFor(LONG, { isSafe })
    const release = await lock()
    const answer = waitForLock(open().sqlFor(context), 5)
    const [pid] = await untilWaiting('waitForLock', 1)
    await admin`select pg_terminate_backend(${pid ?? 0})`
    // the old one may be seen for a moment still
    while ((await untilWaiting('waitForLock', 1))[0] === pid);
    await release()
    expect(await answer).toEqual([{ n: 5 }] as never)
    expect(seen).toEqual([expect.objectContaining({ name: 'waitForLock', failed: false })])
  })

  test('is not made of a write whose backend was killed', async () => {
    const database = open()
    const release = await lock()
    const failure = failureOf(waitAndWrite(database.sql, 1))
    const [pid] = await untilWaiting('waitAndWrite', 1)
    await admin`select pg_terminate_backend(${pid ?? 0})`
    expect(isUnavailable(await failure)).toBeTrue()
    await release()
    await answered(database.sql)
    expect(await writtenRows()).toEqual([])
  })

  test('is not made of a write whose answer was lost', async () => {
    const database = open({ url: proxy.url(url) })
    await write(database.sql, 1)
    const tries = proxy.count('lostAnswer')
    proxy.loseAnswers('lostAnswer', 1)
    const failure = await failureOf(
      database.sql`
        -- lostAnswer
        insert into written values (2)`,
    )
    expect(isUnavailable(failure)).toBeTrue()
    await answered(database.sql)
    expect(tries()).toBe(1)
    expect(await writtenRows()).toEqual([1, 2])
  })

  test.each([
    [waitForLock, 'waitForLock', []],
    [waitAndWrite, 'waitAndWrite', [7]],
  ])('is made of any statement that somebody else has cancelled (%p)', async (run, name, rows) => {
    const release = await lock()
    const answer = run(open().sql, 7)
    const [pid] = await untilWaiting(name, 1)
    await admin`select pg_cancel_backend(${pid ?? 0})`
    await Bun.sleep(100)
    await untilWaiting(name, 1)
    await release()
    expect(await answer).toEqual([{ n: 7 }] as never)
    expect(await writtenRows()).toEqual(rows)
  })

  test('is the last', async () => {
    await lock()
    const { context, seen } = contextFor(LONG, { isSafe })
    const { sqlFor, running } = open()
    const answer = failureOf(waitForLock(sqlFor(context)))
    for (let i = 0; i < 2; i++) {
      const [pid] = await untilWaiting('waitForLock', 1)
      await admin`select pg_cancel_backend(${pid ?? 0})`
      await Bun.sleep(200)
    }
    expect(codeOf(await answer)).toBe('57014')
    expect(seen).toEqual([expect.objectContaining({ name: 'waitForLock', failed: true })])
    expect(running()).toBe(0)
  })

  test('ends at the same deadline', async () => {
    await lock()
    const { context } = contextFor(600, { isSafe })
    const answer = failureOf(waitForLock(open().sqlFor(context)))
    const [pid] = await untilWaiting('waitForLock', 1)
    await admin`select pg_terminate_backend(${pid ?? 0})`
    expect(codeOf(await answer)).toBe('DEADLINE')
    expect(performance.now() - context.deadline).toBeLessThan(SLACK)
  })
})

describe('each statement', () => {
  test('is told of once, with its time, and counted while it is under way', async () => {
    await lock()
    const all: Statement[] = []
    const gone = new AbortController()
    const { sqlFor, sql, running } = open({ poolSize: 4, onStatement: (one) => all.push(one) })
    const begun = performance.now()
    const { context, seen } = contextFor(LONG, { signal: gone.signal })
    const request = sqlFor(context)
    await answered(request)
    const faulty = request`
        -- faulty
        select 1 / 0`
    expect(codeOf(await failureOf(faulty))).toBe('22012')
    const late = failureOf(waitForLock(sqlFor({ ...context, deadline: performance.now() + 300 })))
    const abandoned = failureOf(waitForLock(request))
    expect(running()).toBe(2)
    await late
    gone.abort()
    await abandoned
    await answered(sql)
    expect(running()).toBe(0)
    const names = seen.map(({ name, failed }) => [name, failed])
    expect(names).toEqual([
      ['answered', false],
      ['faulty', true],
      ['waitForLock', true],
      // the client had gone: that is no failure of the statement
      ['waitForLock', false],
    ])
    expect(all.slice(0, -1)).toEqual(seen)
    expect(all.at(-1)).toMatchObject({ name: 'answered', failed: false })
    for (const { startedAt, ms } of all) {
      expect(startedAt).toBeGreaterThanOrEqual(begun)
      expect(startedAt + ms).toBeLessThanOrEqual(performance.now())
    }
    expect(seen[2]?.ms).toBeGreaterThan(290)
  })
})
