import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runningUrl } from '../../src/embedded/server'
import { createLog } from '../../src/telemetry/log'
import { ofWorker, serveWithWorkers, type Workers } from '../../src/workers/serve'
import { SECRET, testSettings } from '../support/app'
import { testDatabase } from '../support/database'

const { url } = await testDatabase()
const folder = await mkdtemp(join(tmpdir(), 'taskwell-serve-'))
afterAll(() => rm(folder, { recursive: true }))

const MAIN = join(import.meta.dir, '../../src/main.ts')
const log = createLog({ logLevel: 'silent', production: true })
const never = new Promise<never>(() => {})

const running: Workers[] = []
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop()
})

/** The supervisor in this process, with workers of its own. */
async function start(env: Record<string, string>, stopRequested: Promise<unknown> = never, program = MAIN) {
  const all = {
    HOST: '127.0.0.1',
    PORT: '0',
    WORKERS: '2',
    DATA_DIR: folder,
    LOG_LEVEL: 'silent',
    BETTER_AUTH_SECRET: SECRET,
    ...env,
  }
  const workers = await serveWithWorkers(testSettings(all), log, stopRequested, {
    program: [process.execPath, '--no-env-file', program],
    env: { PATH: process.env['PATH'], ...all },
  })
  running.push(workers)
  return workers
}

describe('serving with workers', () => {
  test('listens where it says, on any port if need be, until it is stopped', async () => {
    const { url: at, stop } = await start({ DATABASE_URL: url })
    expect((await fetch(`${at}/ready`)).status).toBe(200)
    await stop()
    await expect(fetch(`${at}/ready`)).rejects.toThrow()
  })

  test('has one embedded database for all, and ends it at last', async () => {
    const { url: at, stop } = await start({ DATABASE_URL: '' })
    for (let n = 0; n < 4; n++) {
      expect((await fetch(`${at}/ready`, { headers: { connection: 'close' } })).status).toBe(200)
    }
    expect(runningUrl(folder)).toBeString()
    await stop()
    expect(runningUrl(folder)).toBeUndefined()
  })

  test('fails where a worker does, and ends the database', async () => {
    const failing = start({ DATABASE_URL: '' }, never, join(folder, 'nothing.ts'))
    await expect(failing).rejects.toThrow(/^Worker [12] ended before it was ready \(exit code 1\)$/)
    expect(runningUrl(folder)).toBeUndefined()
  })

  test('waits no longer for workers once a stop is asked for', async () => {
    const { stop } = await start({ DATABASE_URL: url }, Promise.resolve('SIGTERM'))
    await stop()
  })

  test('fails where the port is taken, and starts nothing', async () => {
    const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    await expect(start({ DATABASE_URL: '', PORT: String(taken.port) })).rejects.toThrow(
      `HOST and PORT: cannot listen on 127.0.0.1, port ${taken.port}`,
    )
    expect(runningUrl(folder)).toBeUndefined()
    await taken.stop(true)
  })
})

test.each([
  [10, 4, 100, ['3 25', '3 25', '2 25', '2 25']],
  [4, 4, 7, ['1 2', '1 2', '1 2', '1 1']],
  [11, 2, 1, ['6 1', '5 1']],
])(
  'a pool of %i over %i workers, with at most %i connections',
  (databasePoolSize, workers, maxConnections, shares) => {
    const settings = { databasePoolSize, workers, maxConnections }
    const made = Array.from({ length: workers }, (_, i) =>
      ofWorker(settings, { databaseUrl: url, port: 8000 }, i + 1),
    )
    expect(made.map((env) => `${env.DATABASE_POOL_SIZE} ${env.MAX_CONNECTIONS}`)).toEqual(shares)
    for (const env of made) expect(env).toMatchObject({ WORKERS: '1', PORT: '8000', DATABASE_URL: url })
  },
)
