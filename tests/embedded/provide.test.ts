import { afterAll, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { provideDatabase } from '../../src/embedded/provide'
import { runningUrl, startEmbedded } from '../../src/embedded/server'
import { createLog } from '../../src/telemetry/log'
import { linesTo } from '../support/app'

const folder = await mkdtemp(join(tmpdir(), 'taskwell-provided-'))
afterAll(() => rm(folder, { recursive: true }))

const lines: string[] = []
const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
const provide = () => provideDatabase({ databaseUrl: undefined, dataDir: folder }, log)

test('a configured database is the one, and stays as it is', async () => {
  const { url, stop } = await provideDatabase({ databaseUrl: 'postgres://db/x', dataDir: folder }, log)
  await stop()
  expect(url).toBe('postgres://db/x')
  expect(runningUrl(folder)).toBeUndefined()
})

test('without one there is one with the schema, and the log says when it had to be started again', async () => {
  const { url, stop } = await provide()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  expect(await sql`select from tasks`).toHaveLength(0)
  await sql.end()
  const [pid] = (await readFile(join(folder, 'postgres/postmaster.pid'), 'utf8')).split('\n')
  process.kill(Number(pid), 'SIGKILL')
  while (lines.length === 0) await Bun.sleep(5)
  expect(lines[0]).toContain('the embedded PostgreSQL has ended, and is started again')
  await stop()
})

test('one that cannot be migrated is ended, and its folder free', async () => {
  const { url, stop } = await startEmbedded(folder)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`delete from schema_migrations`
  await sql.end()
  await stop()
  await expect(provide()).rejects.toThrow()
  const again = await startEmbedded(folder)
  await again.stop()
})
