import { afterEach, describe, expect, spyOn, test } from 'bun:test'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { db } from '../../src/cli/commands'
import { startEmbedded } from '../../src/embedded/server'

const output = spyOn(process.stdout, 'write').mockImplementation(() => true)
afterEach(() => output.mockClear())

const printed = () => output.mock.calls.map(([text]) => text).join('')

describe('db url', () => {
  test('prints DATABASE_URL if it is set', async () => {
    await db(['url'], () => ({ databaseUrl: 'postgres://db.example/tasks', dataDir: '.data' }))
    expect(printed()).toBe('postgres://db.example/tasks\n')
  })

  test('prints the address of the embedded database that runs', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'taskwell-commands-'))
    const { url, stop } = await startEmbedded(dataDir)
    await db(['url'], () => ({ databaseUrl: undefined, dataDir }))
    await stop()
    expect(printed()).toBe(`${url}\n`)
  })

  test('says how to start one if none runs', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'taskwell-commands-'))
    const printing = db(['url'], () => ({ databaseUrl: undefined, dataDir }))
    expect(printing).rejects.toThrow('bun run start')
    await printing.catch(() => {})
    expect(printed()).toBe('')
  })
})
