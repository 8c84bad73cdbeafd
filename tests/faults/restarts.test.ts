import { expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { runningUrl } from '../../src/embedded/server'
import { DEADLINE, SLACK, setScene, untilReady, untilWholePool } from '../support/faults'
import { startLoad } from '../support/load'
import { killPostgres, type OwnPostgres } from '../support/own-postgres'

const scene = await setScene()
const { database, proxy, server } = scene

/** Titles in the database, and how often each is there. */
async function stored(sql: ReturnType<OwnPostgres['sql']>): Promise<Map<string, number>> {
  const rows = await sql<{ title: string; count: number }[]>`
    select title, count(*)::int from tasks group by title`
  return new Map(rows.map(({ title, count }) => [title, count]))
}

function expectNothingLost(acknowledged: Set<string>, found: Map<string, number>): void {
  expect([...acknowledged].filter((title) => !found.has(title))).toEqual([])
  expect([...found].filter(([, count]) => count > 1)).toEqual([])
}

test('a hundred restarts of the database under load cost nothing but time', async () => {
  const load = startLoad(server.port, { clients: 8 })
  await load.succeed(100)
  for (let n = 0; n < 100; n++) {
    await proxy.refuse()
    proxy.cut()
    await proxy.listen()
    await load.succeed(1)
  }
  await load.stop()
  expect([...load.outcomes.keys()].sort()).toEqual(['200', '201', '503'])
  expect(load.slowest()).toBeLessThan(DEADLINE + SLACK)
  expectNothingLost(load.acknowledged, await stored(database.sql()))
  await untilWholePool(scene)
  expect(server.faults()).toEqual([])
})

test.each([
  ['stopped', () => database.stop()],
  ['killed', () => database.kill()],
])('a PostgreSQL that is %s and started under load has all that was acknowledged', async (_, end) => {
  const load = startLoad(server.port, { clients: 8 })
  for (let n = 0; n < 2; n++) {
    await load.succeed(50)
    await end()
    await untilReady(server, 503)
    await database.start()
    await untilReady(server, 200)
  }
  await load.succeed(50)
  await load.stop()
  expect([...load.outcomes.keys()].sort()).toEqual(['200', '201', '503'])
  expect(load.slowest()).toBeLessThan(DEADLINE + SLACK)
  expectNothingLost(load.acknowledged, await stored(database.sql()))
  await untilWholePool(scene)
  expect(server.faults()).toEqual([])
})

test('a server and its embedded database that are killed together have all that was acknowledged', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-both-'))
  let both = await scene.start({ DATABASE_URL: '', DATA_DIR: folder })
  const load = startLoad(both.port, { clients: 8 })
  await load.succeed(100)
  both.child.kill('SIGKILL')
  await killPostgres(folder)
  await load.stop()
  await both.child.exited
  both = await both.restart()
  const sql = postgres(runningUrl(folder) ?? '', { max: 1 })
  expectNothingLost(load.acknowledged, await stored(sql))
  await sql.end()
  expect(await both.end('SIGTERM')).toBe(0)
  await rm(folder, { recursive: true })
})
