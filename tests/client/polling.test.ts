import { afterAll, afterEach, expect, jest, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../../src/auth/token'
import { createClient } from '../../src/client/index'
import { type ChangeSource, createSync } from '../../src/client/sync'
import { testApp } from '../support/app'

const turn = setImmediate
const settled = async () => {
  for (let n = 0; n < 50; n++) await new Promise((done) => turn(done))
}
afterEach(() => {
  jest.useRealTimers()
})

/** Follows a server that gives no streams, for so many minutes. @returns when it was asked, in seconds */
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
  const { stop, ended } = createSync(source, new Map(), {})
  for (let n = 0; n < minutes * 120; n++) {
    await settled()
    jest.advanceTimersByTime(500)
  }
  stop()
  await ended
  const { length } = asked
  jest.advanceTimersByTime(120_000)
  await settled()
  expect(asked.length).toBe(length)
  return asked
}

test('where there are no streams, changes are asked for every five seconds at most', async () => {
  const asked = await poll(2, async () => ({ changes: [], cursor: 'now', has_more: false }))
  expect(asked.length).toBeGreaterThanOrEqual(120 / 5.5)
  expect(asked.length).toBeLessThanOrEqual(120 / 2.5)
})

test('a server that fails is asked ever less often, and as before once it answers', async () => {
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

/** What React Native's engine lacks, and what a page lacks that is not in a secure context. */
const PROGRAM = `
  for (const name of [
    'TransformStream', 'TextDecoderStream', 'TextEncoderStream', 'TextDecoder', 'ReadableStream', 'WritableStream',
    'BroadcastChannel', 'structuredClone', 'navigator',
  ]) delete globalThis[name]
  delete Promise.withResolvers
  delete AbortSignal.any
  delete AbortSignal.timeout
  delete AbortSignal.prototype.throwIfAborted
  const [, , bundle, url, token] = process.argv
  const { createClient } = await import(bundle)
  // it resolves when all has arrived
  const fetcher = async (requested, init) => {
    console.log('asked', new URL(requested).pathname)
    const response = await fetch(requested, init)
    return Object.defineProperty(new Response(await response.text(), response), 'body', { value: undefined })
  }
  const tasks = new Map()
  const { ready, stop, ended } = createClient(url, { token, fetcher }).sync(tasks, {
    onChange(task) {
      console.log('has', task.title)
      if (task.title === 'later') stop()
    },
  })
  await ready
  console.log('ready')
  await ended
`

test('in an engine without streams, what is made elsewhere arrives', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-polling-'))
  afterAll(() => rm(folder, { recursive: true }))
  const entrypoints = [join(import.meta.dir, '../../src/client/index.ts')]
  await Bun.build({ entrypoints, target: 'browser', outdir: folder, naming: 'client.js' })
  await Bun.write(join(folder, 'program.mjs'), PROGRAM)
  const { app, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const url = `http://127.0.0.1:${app.server?.port}`
  const token = await signAccessToken('ann', settings)
  const elsewhere = createClient(url, { token })
  await elsewhere.api.v1.todos.post({ title: 'before' })

  const command = [process.execPath, join(folder, 'program.mjs'), join(folder, 'client.js'), url, token]
  const child = Bun.spawn(command, { stdio: ['ignore', 'pipe', 'inherit'] })
  afterAll(() => child.kill('SIGKILL'))
  let said = ''
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const wasReady = said.includes('ready')
    said += text
    if (!wasReady && said.includes('ready')) await elsewhere.api.v1.todos.post({ title: 'later' })
  }
  expect(await child.exited).toBe(0)
  const lines = said.trimEnd().split('\n')
  expect(lines.filter((line) => !line.startsWith('asked'))).toEqual(['has before', 'ready', 'has later'])
  expect(new Set(lines.filter((line) => line.startsWith('asked')))).toEqual(
    new Set(['asked /api/v1/todos/changes']),
  )
})
