import { describe, expect, test } from 'bun:test'
import { isUnavailable, wasNeverSent } from '../../src/database/errors'
import { openPool } from '../../src/database/pool'
import { exactlyOne } from '../../src/database/sql'
import { testDatabase } from '../support/database'

const { url, sql } = await testDatabase()

describe('a URL', () => {
  test('with parameters of other drivers connects', async () => {
    const other = openPool({
      url: `${url}&channel_binding=require&pgbouncer=true&schema=public`,
      poolSize: 1,
    })
    expect(await other`select 1 as one`).toEqual([{ one: 1 }] as never)
    await other.end()
  })
})

describe('a connection', () => {
  test.each([
    ['PGTARGETSESSIONATTRS', 'standby'],
    ['PGTARGETSESSIONATTRS', 'any'],
    ['PGSSL', 'require'],
    ['PGPREPARE', 'false'],
  ])('is not changed by %s=%s in the environment', async (name, value) => {
    process.env[name] = value
    try {
      const other = openPool({ url, poolSize: 1 })
      expect(await other`select ssl from pg_stat_ssl where pid = pg_backend_pid()`).toEqual([
        { ssl: false },
      ] as never)
      await other.end()
    } finally {
      delete process.env[name]
    }
  })

  test('works without prepared statements', async () => {
    const simple = openPool({ url, poolSize: 1, prepare: false })
    expect(await simple`select ${'x'}::text as x`).toEqual([{ x: 'x' }] as never)
    const [prepared] = await simple`select count(*) from pg_prepared_statements`
    expect(prepared?.['count']).toBe(0)
    await simple.end()
  })

  test('gives bigint as a number', async () => {
    expect(await sql`select 9007199254740991::bigint as big`).toEqual([
      { big: Number.MAX_SAFE_INTEGER },
    ] as never)
  })

  test('is patched: a queue neither searches nor keeps what has left it', async () => {
    const path = require.resolve('postgres').replace(/[^/]+$/, 'queue.js')
    const { default: Queue } = await import(path)
    const queue = Queue()
    const compared: number[] = []
    const kept: number[] = []
    for (let i = 0; i < 5000; i++) queue.push({ i })
    for (let i = 0; i < 4000; i++) queue.shift()
    const indexOf = Array.prototype.indexOf
    // counts the entries that a search looks at, which is what grew without end
    Array.prototype.indexOf = function (this: unknown[], ...args: [unknown, number?]) {
      compared.push(this.length - (args[1] ?? 0))
      kept.push(this.length)
      return indexOf.apply(this, args)
    }
    try {
      queue.remove({})
    } finally {
      Array.prototype.indexOf = indexOf
    }
    expect(compared).toEqual([1000])
    // what has left is also forgotten in time
    expect(kept[0]).toBeLessThan(2500)
  })
})

describe('rows', () => {
  test('that must be one are one', () => {
    expect(exactlyOne([1])).toBe(1)
    expect(() => exactlyOne([])).toThrow('got 0')
    expect(() => exactlyOne([1, 2])).toThrow('got 2')
  })
})

describe('an error', () => {
  test.each([
    ['CONNECTION_CLOSED'],
    ['CONNECT_TIMEOUT'],
    ['ECONNREFUSED'],
    ['08006'],
    ['28P01'],
    ['3D000'],
    ['53300'],
    ['57P01'],
    ['57P03'],
    ['57014'],
    ['25006'],
    ['40001'],
    ['40P01'],
    ['55000'],
  ])('%s is a database that is not there', (code) => {
    expect(isUnavailable(Object.assign(new Error('x'), { code }))).toBeTrue()
  })

  test.each([['23505'], ['42P01'], ['22P02'], ['ENOENT'], ['']])('%p is none of that', (code) => {
    expect(isUnavailable(Object.assign(new Error('x'), { code }))).toBeFalse()
  })

  test.each([
    ['CONNECTION_ENDED', true],
    ['CONNECTION_CLOSED', false],
    ['CONNECTION_DESTROYED', false],
  ])('%s says that the statement was never sent: %p', (code, isSo) => {
    expect(wasNeverSent(Object.assign(new Error('x'), { code }))).toBe(isSo)
  })

  test('of another kind is none of that', () => {
    expect(isUnavailable(new TypeError('x'))).toBeFalse()
    expect(isUnavailable('x')).toBeFalse()
  })

  test('of a killed connection is followed by a new connection', async () => {
    const one = openPool({ url, poolSize: 1 })
    const [{ pid } = { pid: 0 }] = await one<{ pid: number }[]>`select pg_backend_pid() as pid`
    const sleeping = one`select pg_sleep(60)`.then(() => undefined, isUnavailable)
    // wait for it to be under way
    while (
      (await sql`select 1 from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`).length === 0
    );
    await sql`select pg_terminate_backend(${pid})`
    expect(await sleeping).toBeTrue()
    expect(await one`select 1 as one`).toEqual([{ one: 1 }] as never)
    await one.end()
  })
})
