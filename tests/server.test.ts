import { describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../src/auth/token'
import { runningUrl } from '../src/embedded/server'
import { serve } from '../src/server'
import { freePort } from '../src/system/free-port'
import { urlOf } from '../src/system/listening'
import { createLog } from '../src/telemetry/log'
import { linesTo, testSettings } from './support/app'
import { blockWrites, testDatabase } from './support/database'

const { url: databaseUrl } = await testDatabase()
const log = createLog({ logLevel: 'silent', production: false })
const local = { HOST: '127.0.0.1', PORT: '0' }

describe('a server', () => {
  test('answers until it is stopped', async () => {
    const server = await serve(testSettings({ ...local, DATABASE_URL: databaseUrl }), log)
    expect((await fetch(`${server.url}/ready`)).status).toBe(200)
    await server.stop()
    await expect(fetch(`${server.url}/ready`)).rejects.toThrow()
  })

  test('names a host that people can open where it listens on all', async () => {
    const server = await serve(testSettings({ PORT: '0', DATABASE_URL: databaseUrl }), log)
    expect(server.url).toStartWith('http://localhost:')
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
    await server.stop()
  })

  test('finishes a request that is under way when it is stopped', async () => {
    const settings = testSettings({ ...local, DATABASE_URL: databaseUrl })
    const server = await serve(settings, log)
    const writes = await blockWrites(databaseUrl)
    const authorization = `Bearer ${await signAccessToken('ann', settings)}`
    const request = fetch(`${server.url}/api/v1/todos`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"title":"x"}',
    })
    await writes.reached()
    const stopped = server.stop()
    await writes.release()
    expect((await request).status).toBe(201)
    await stopped
  })

  test('serves though Redis and the collector of traces are not there', async () => {
    const nowhere = { REDIS_URL: 'redis://127.0.0.1:1', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }
    const server = await serve(testSettings({ ...local, ...nowhere, DATABASE_URL: databaseUrl }), log)
    expect((await fetch(`${server.url}/ready`)).status).toBe(200)
    await server.stop()
  })

  test('has its metrics on a port of their own if it is told to, until it is stopped', async () => {
    const own = { METRICS: 'on', METRICS_PORT: String(await freePort()) }
    const server = await serve(testSettings({ ...local, ...own, DATABASE_URL: databaseUrl }), log)
    const metrics = `http://127.0.0.1:${own.METRICS_PORT}/metrics`
    expect(await (await fetch(metrics)).text()).toContain('taskwell_database_pool_size 10\n')
    await server.stop()
    await expect(fetch(metrics)).rejects.toThrow()
  })

  test('whose port for metrics is taken fails', async () => {
    const first = await serve(testSettings({ ...local, DATABASE_URL: databaseUrl }), log)
    const taken = { METRICS: 'on', METRICS_PORT: new URL(first.url).port }
    const second = serve(testSettings({ ...local, ...taken, DATABASE_URL: databaseUrl }), log)
    await expect(second).rejects.toThrow(
      `METRICS_PORT: cannot listen on 127.0.0.1, port ${taken.METRICS_PORT}`,
    )
    await first.stop()
  })

  test('with a port that is taken fails, and leaves the folder of its database free', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'taskwell-server-'))
    const first = await serve(testSettings({ ...local, DATABASE_URL: databaseUrl }), log)
    const taken = { ...local, PORT: new URL(first.url).port, DATA_DIR: folder }
    await expect(serve(testSettings(taken), log)).rejects.toThrow()
    const second = await serve(testSettings({ ...local, DATA_DIR: folder }), log)
    expect((await fetch(`${second.url}/ready`)).status).toBe(200)
    await second.stop()
    await first.stop()
    await rm(folder, { recursive: true })
  })

  test('with a part that cannot be made fails, and ends its database', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'taskwell-server-'))
    const settings = { ...testSettings({ ...local, DATA_DIR: folder }), otelEndpoint: 'http://[' }
    await expect(serve(settings, log)).rejects.toThrow()
    expect(runningUrl(folder)).toBeUndefined()
    await rm(folder, { recursive: true })
  })
})

test('the log is for people in development', () => {
  const lines: string[] = []
  const forPeople = createLog({ logLevel: 'info', production: false }, linesTo(lines))
  forPeople.debug('not shown')
  forPeople.info({ status: 200 }, 'request')
  expect(lines.join('')).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] .*INFO.*: .*request.*\{"status":200\}\n$/)
})

test.each([
  ['0.0.0.0', 'http://localhost:80'],
  ['::', 'http://localhost:80'],
  ['::1', 'http://[::1]:80'],
  ['10.1.2.3', 'http://10.1.2.3:80'],
])('a server on %s is reached at %s', (host, url) => {
  expect(urlOf(host, 80)).toBe(url)
})
