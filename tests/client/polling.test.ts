import { afterAll, afterEach, expect, jest, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import type { ChangeSource } from '../../src/client/change-source'
import { createClient } from '../../src/client/index'
import { testApp } from '../support/app'
import { followSource } from '../support/follow'
import { runInSmallEngine } from '../support/small-engine'
import { turns } from '../support/time'

afterEach(() => {
  jest.useRealTimers()
})

/** Follows a server without streams for some minutes. @returns after how many seconds each request came */
async function poll(minutes: number, read: ChangeSource['read']): Promise<number[]> {
  jest.useFakeTimers()
  const begun = Date.now()
  const asked: number[] = []
  const source: ChangeSource = {
    read(since, signal) {
      asked.push((Date.now() - begun) / 1000)
      return read(since, signal)
    },
    open: async () => undefined,
  }
  const { stop, ended } = followSource(source)
  while (Date.now() < begun + minutes * 60_000) {
    await turns()
    jest.advanceTimersToNextTimer()
  }
  stop()
  await ended
  const { length } = asked
  jest.advanceTimersByTime(120_000)
  await turns()
  expect(asked.length).toBe(length)
  return asked
}

test('without streams, changes are asked for every 2.5 to 5 seconds', async () => {
  const asked = await poll(2, async () => ({ changes: [], cursor: 'now', has_more: false }))
  expect(asked.length).toBeGreaterThanOrEqual(120 / 5.5)
  expect(asked.length).toBeLessThanOrEqual(120 / 2.5)
})

test('a server that fails is asked less and less often, and as often as before once it answers', async () => {
  let isDown = false
  let reads = 0
  const asked = await poll(30, async () => {
    reads++
    isDown = reads > 1 && reads < 15
    if (isDown) throw new Error('no connection')
    return { changes: [], cursor: 'now', has_more: false }
  })
  const pauses = asked.slice(1).map((at, n) => at - (asked[n] ?? 0))
  expect(Math.min(...pauses.slice(6, 14))).toBeGreaterThan(25)
  expect(Math.max(...pauses.slice(16))).toBeLessThan(6)
})

const PROGRAM = `
  const [url, token] = args
  const recording = (requested, init) => {
    console.log('asked', requested.replace(url, '').replace(/[?].*/, ''))
    return fetcher(requested, init)
  }
  const { ready, stop, ended } = createClient(url, { token, fetcher: recording }).sync(new Map(), {
    onChange(changes) {
      for (const task of changes) {
        console.log('has', task.title)
        if (task.title === 'later') stop()
      }
    },
  })
  await ready
  console.log('ready')
  await createClient(url, { token }).api.v1.todos.post({ title: 'later' })
  await ended
`

test('in an engine without streams, what another client makes arrives', async () => {
  const { app, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const url = `http://127.0.0.1:${app.server?.port}`
  const token = await signAccessToken('ann', settings)
  await createClient(url, { token }).api.v1.todos.post({ title: 'before' })

  const lines = (await runInSmallEngine(PROGRAM, url, token)).trimEnd().split('\n')
  expect(lines.filter((line) => !line.startsWith('asked'))).toEqual(['has before', 'ready', 'has later'])
  expect(new Set(lines.filter((line) => line.startsWith('asked')))).toEqual(
    new Set(['asked /api/v1/todos/changes']),
  )
})
