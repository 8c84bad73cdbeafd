import { describe, expect, test } from 'bun:test'
import { isUnavailable } from '../../src/database/errors'
import { codeOf } from '../../src/system/errors'
import { answered, failureOf, pidOf, SLACK, setCloseUp, timed, waitForLock } from '../support/close-up'

const { url, admin, proxy, open, lock, untilWaiting } = await setCloseUp()

describe('connections that have gone silent', () => {
  test('are replaced when a cancelled statement does not end', async () => {
    const database = open({ url: proxy.url(url), requestTimeout: 300 })
    const pid = await pidOf(database)
    proxy.freeze()
    expect(codeOf(await failureOf(answered(database.sql)))).toBe('DEADLINE')
    while ((await failureOf(answered(database.sql))) !== 'nothing');
    expect(await pidOf(database)).not.toBe(pid)
  })

  test('are noticed within a second, and replaced, when readiness is asked for', async () => {
    const database = open({ url: proxy.url(url) })
    await pidOf(database)
    await database.checkReady()
    proxy.welcome('silence')
    proxy.freeze()
    const took = await timed(async () =>
      expect(codeOf(await failureOf(database.checkReady()))).toBe('DEADLINE'),
    )
    expect(took).toBeLessThan(1000 + SLACK)
    proxy.welcome('pass')
    await database.checkReady()
    expect(await timed(() => answered(database.sql))).toBeLessThan(SLACK)
  })

  test('though connected to meanwhile keep nobody waiting when the server is back', async () => {
    const database = open({ url: proxy.url(url), requestTimeout: 2500 })
    await pidOf(database)
    proxy.welcome('silence')
    proxy.freeze()
    expect(codeOf(await failureOf(database.checkReady()))).toBe('DEADLINE')
    const early = failureOf(answered(database.sql))
    expect(codeOf(await failureOf(database.checkReady()))).toBe('DEADLINE')
    proxy.welcome('pass')
    await database.checkReady()
    expect(await timed(() => answered(database.sql))).toBeLessThan(SLACK)
    expect(codeOf(await early)).toBe('DEADLINE')
  })

  test('are not taken for such while any of them answers', async () => {
    const database = open({ url: proxy.url(url), poolSize: 1 })
    const pid = await pidOf(database)
    await database.checkReady()
    const blocker = await admin.reserve()
    await blocker`begin`
    await blocker`lock table schema_migrations in access exclusive mode`
    const ready = failureOf(database.checkReady())
    await Bun.sleep(100)
    await answered(database.sql)
    expect(codeOf(await ready)).toBe('DEADLINE')
    await blocker`commit`
    blocker.release()
    expect(await pidOf(database)).toBe(pid)
  })
})

describe('readiness', () => {
  test('is asked for once at a time', async () => {
    const database = open({ url: proxy.url(url) })
    const asked = proxy.count('from schema_migrations where')
    await Promise.all(Array.from({ length: 20 }, database.checkReady))
    expect(asked()).toBe(1)
  })

  test('does not depend on a free connection', async () => {
    const release = await lock()
    const database = open({ poolSize: 2 })
    const both = [waitForLock(database.sql, 1), waitForLock(database.sql, 2)]
    const pids = await untilWaiting('waitForLock', 2)
    await database.checkReady()
    await release()
    await Promise.all(both)
    expect(await pidOf(database)).toBeOneOf(pids)
  })
})

describe('the end', () => {
  test('waits for statements under way', async () => {
    const release = await lock()
    const database = open()
    const answer = waitForLock(database.sql, 3)
    await untilWaiting('waitForLock', 1)
    const ended = database.end()
    await release()
    expect(await answer).toEqual([{ n: 3 }] as never)
    await ended
  })

  test.each([
    ['that a lock holds up', async () => {}],
    ['on a connection that has gone silent', async () => proxy.freeze()],
  ])('comes for statements %s, after five seconds', async (_, go) => {
    await lock()
    const database = open({ url: proxy.url(url) })
    const failure = failureOf(waitForLock(database.sql))
    await untilWaiting('waitForLock', 1)
    await go()
    expect(await timed(database.end)).toBeLessThan(5000 + SLACK)
    expect(isUnavailable(await failure)).toBeTrue()
    expect(database.running()).toBe(0)
    expect(codeOf(await failureOf(answered(database.sql)))).toBe('CONNECTION_ENDED')
  })
})
