import { afterEach, describe, expect, test } from 'bun:test'
import postgres from 'postgres'
import { readAddress } from '../../src/database/address'
import { type Database, openDatabase } from '../../src/database/database'
import { isLost } from '../../src/database/errors'
import { findPrimary } from '../../src/database/primary'
import { codeOf } from '../../src/system/errors'
import { answered, contextFor, failureOf, LONG, SLACK, timed } from '../support/close-up'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy'
import { type PostgresPair, preparePairs } from '../support/postgres-pair'
import { until } from '../support/time'

const startPair = await preparePairs()
let pair: PostgresPair
let proxy: FaultProxy
const opened: Database[] = []

/** The primary, behind a proxy, and then its standby. */
async function setPair() {
  pair = await startPair()
  proxy = await startFaultProxy(() => pair.primary.port)
  const url = pair.primary.url().replace(/@[^/]*/, `@127.0.0.1:${proxy.port},127.0.0.1:${pair.standby.port}`)
  const database = openDatabase({ url, poolSize: 2, requestTimeout: LONG })
  opened.push(database)
  const [primary, standby] = readAddress(url).hosts
  return { url, database, hosts: [primary, standby ?? primary] as const }
}

const clean = async () => {
  await Promise.all(opened.splice(0).map((database) => database.end()))
  await proxy?.close()
  await pair?.remove()
}
afterEach(clean)

const isReadOnly = async (database: Database) => {
  const rows = await database.sql<{ read_only: string | null }[]>`
    -- isReadOnly
    select current_setting('transaction_read_only') as read_only`
  return rows[0]?.read_only
}

describe('the primary', () => {
  test('is found wherever it is, unless there is none', async () => {
    const { url, hosts } = await setPair()
    const [primary, standby] = hosts
    const address = readAddress(url)
    expect(await findPrimary({ ...address, hosts })).toBe(primary)
    expect(await findPrimary({ ...address, hosts: [standby, primary] })).toBe(primary)
    expect(await findPrimary({ ...address, hosts }, standby)).toBe(primary)
    expect(codeOf(await failureOf(findPrimary({ ...address, hosts: [standby] })))).toBe('READ_ONLY')
    await pair.primary.kill()
    // that a standby answers says more than that another host does not
    expect(codeOf(await failureOf(findPrimary({ ...address, hosts })))).toBe('READ_ONLY')
    await pair.standby.stop()
    expect(codeOf(await failureOf(findPrimary({ ...address, hosts: [standby] })))).toBe('ECONNREFUSED')
  })

  test('that falls silent is waited for no longer than a second, and promotions meanwhile are seen', async () => {
    const { url, hosts } = await setPair()
    const address = readAddress(url)
    proxy.welcome('silence')
    expect(await timed(() => failureOf(findPrimary({ ...address, hosts })))).toBeLessThan(1000 + SLACK)
    const found = findPrimary({ ...address, hosts }, hosts[0])
    await pair.promote()
    // one search is over within a second, and may have been too early
    expect(await found.catch(() => findPrimary({ ...address, hosts }, hosts[0]))).toBe(hosts[1])
  })

  test('without free connections stays the primary for a pool that has open ones', async () => {
    const { url, hosts } = await setPair()
    const address = readAddress(url)
    const held: postgres.Sql[] = []
    let isFull = false
    while (!isFull) {
      const one = postgres(pair.primary.url(), { max: 1, onnotice: () => {} })
      held.push(one)
      isFull = (await failureOf(one`select 1`)) !== 'nothing'
    }
    expect(await findPrimary({ ...address, hosts }, hosts[0])).toBe(hosts[0])
    expect(codeOf(await failureOf(findPrimary({ ...address, hosts })))).toBe('READ_ONLY')
    await Promise.all(held.map((one) => one.end({ timeout: 0 })))
  })
})

describe('when the primary is another host', () => {
  test('statements and the question for readiness find it, each by itself', async () => {
    const { database, url } = await setPair()
    const other = openDatabase({ url, poolSize: 1, requestTimeout: LONG })
    opened.push(other)
    expect(await isReadOnly(database)).toBe('off')
    await Promise.all([database.checkReady(), other.checkReady()])
    await pair.primary.kill()
    await pair.promote()
    await other.checkReady()
    expect(await isReadOnly(database)).toBe('off')
  })

  test('what waits for the old one fails if it is a write, and is asked again if it is a read', async () => {
    const { database } = await setPair()
    await Promise.all([answered(database.sql), answered(database.sql)])
    proxy.welcome('silence')
    proxy.freeze()
    const read = answered(database.sqlFor(contextFor(LONG, { isSafe: true }).context))
    const write = failureOf(answered(database.sqlFor(contextFor(LONG).context)))
    await pair.promote()
    expect(await read).toHaveLength(1)
    expect(isLost(await write)).toBeTrue()
    await database.checkReady()
  })

  test('and then falls silent, somebody who asks for readiness hears of it in time', async () => {
    const { database } = await setPair()
    await database.checkReady()
    await answered(database.sql)
    proxy.welcome('silence')
    proxy.freeze()
    expect(await timed(() => failureOf(database.checkReady()))).toBeLessThan(2000 + SLACK)
    expect(codeOf(await failureOf(answered(database.sql)))).toBe('READ_ONLY')
    await pair.promote()
    // with a pause, so that everything else goes on
    await until(async () => (await failureOf(answered(database.sql))) === 'nothing')
    await database.checkReady()
  })

  test('a statement that an old one refuses, because it is read-only by now, is done at the new one', async () => {
    const { database } = await setPair()
    await database.sql`
      -- makeTable
      create table written (n int)`
    const write = () => database.sql`
      -- write
      insert into written values (1)`
    await write()
    await pair.primary.sql()`alter system set default_transaction_read_only = on`
    await pair.primary.sql()`select pg_reload_conf()`
    await until(async () => (await failureOf(write())) !== 'nothing')
    await pair.promote()
    await until(async () => (await failureOf(write())) === 'nothing')
    expect(await isReadOnly(database)).toBe('off')
  })
})
