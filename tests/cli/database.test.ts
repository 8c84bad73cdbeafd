import { afterAll, afterEach, describe, expect, spyOn, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { printUrl, runMigrations } from '../../src/cli/database'
import { runningUrl, startEmbedded } from '../../src/embedded/server'
import { loadDatabaseSettings } from '../../src/settings'
import { testDatabase } from '../support/database'

const { url: databaseUrl, sql } = await testDatabase()
const dataDir = await mkdtemp(join(tmpdir(), 'taskwell-commands-'))
const given = loadDatabaseSettings({ DATABASE_URL: databaseUrl, DATA_DIR: dataDir })
const embedded = loadDatabaseSettings({ DATA_DIR: dataDir })
afterAll(() => rm(dataDir, { recursive: true }))

describe('migrations', () => {
  test('go down and up', async () => {
    const applied = async () =>
      (await sql<{ version: string }[]>`select version from schema_migrations order by version`).map(
        ({ version }) => version,
      )
    const all = await applied()
    await runMigrations('down', given)
    expect(await applied()).toEqual(all.slice(0, -1))
    await runMigrations('up', given)
    expect(await applied()).toEqual(all)
    await runMigrations('status', given)
  })

  test('are those of the embedded database, whether it runs or not', async () => {
    await runMigrations('up', embedded)
    expect(runningUrl(dataDir)).toBeUndefined()
    const running = await startEmbedded(dataDir)
    await runMigrations('status', embedded)
    expect(runningUrl(dataDir)).toBe(running.url)
    await running.stop()
  })

  test('need a database that can be reached', async () => {
    const nowhere = loadDatabaseSettings({ DATABASE_URL: 'postgres://u:p@127.0.0.1:1/d' })
    await expect(runMigrations('up', nowhere)).rejects.toThrow('The database of DATABASE_URL cannot be used')
    await expect(runMigrations('status', nowhere)).rejects.toThrow('dbmate status failed')
  })
})

describe('the address', () => {
  const output = spyOn(process.stdout, 'write').mockImplementation(() => true)
  afterEach(() => output.mockClear())
  afterAll(() => output.mockRestore())
  const printed = () => output.mock.calls.map(([text]) => text).join('')

  test('is DATABASE_URL if it is set', () => {
    printUrl(given)
    expect(printed()).toBe(`${databaseUrl}\n`)
  })

  test('is that of the embedded database that runs', async () => {
    const { url, stop } = await startEmbedded(dataDir)
    printUrl(embedded)
    await stop()
    expect(printed()).toBe(`${url}\n`)
  })

  test('is missing if none runs, and the error says how to start one', () => {
    expect(() => printUrl(embedded)).toThrow('run start')
    expect(printed()).toBe('')
  })
})
