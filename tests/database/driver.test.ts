/** What the patch of postgres.js mends. */
import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { connect, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import type postgres from 'postgres'
import { openPool, type Pool, type PoolOptions } from '../../src/database/pool'
import { exactlyOne } from '../../src/database/sql'
import { codeOf } from '../../src/system/errors'
import { testDatabase } from '../support/database'
import { startFaultProxy } from '../support/fault-proxy'

const { url, sql } = await testDatabase()
const proxy = await startFaultProxy(() => Number(new URL(url).port))
afterAll(proxy.close)

const cleanings: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanings.splice(0)) await clean()
})

interface Numbered {
  n: number
}

async function withPool(options: Partial<PoolOptions>, use: (pool: Pool) => Promise<void>): Promise<void> {
  // the driver's own number of statements behind one another
  const pool = openPool({ url, poolSize: 1, pipeline: 100, ...options })
  try {
    await use(pool)
  } finally {
    await pool.end({ timeout: 0 })
  }
}

/** Its number, or why there is none. */
const answerOf = (statement: Promise<readonly Numbered[]>): Promise<unknown> =>
  statement.then((rows) => exactlyOne(rows).n).catch((error) => codeOf(error) || String(error))

/** Lets everything else go on once. */
const turn = () => new Promise((done) => setImmediate(done))

const say = (pool: Pool | postgres.ReservedSql | postgres.TransactionSql, n: number) =>
  pool<Numbered[]>`select ${n}::int as n`

/** Ends a connection from outside. @param patience in milliseconds: waits so long for its process to end */
async function kill(pid: number | undefined, patience = 0): Promise<void> {
  await sql`select pg_terminate_backend(${pid ?? 0}, ${patience})`
}

const pidOf = (pool: Pool | postgres.ReservedSql | postgres.TransactionSql) =>
  pool<{ pid: number }[]>`select pg_backend_pid() as pid`.then((rows) => exactlyOne(rows).pid)

/** Keeps a connection busy until it is told to go on. */
async function hold(pool: Pool) {
  const holder = await sql.reserve()
  await holder`select pg_advisory_lock(1)`
  // without a parameter: only then do others follow it on its connection at once
  const answer = answerOf(pool<Numbered[]>`select 0 as n from pg_advisory_xact_lock(1)`)
  while (
    (
      await sql`select from pg_locks
      where database = (select oid from pg_database where datname = current_database())
        and locktype = 'advisory' and not granted`
    ).length === 0
  );
  return {
    answer,
    release: async () => {
      await holder`select pg_advisory_unlock(1)`
      holder.release()
    },
  }
}

/** A proxy that does something else than to pass on what holds this text, once. */
async function startTrap(text: string, spring: (client: Socket) => void) {
  let isSet = true
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(url).port), '127.0.0.1', () => {})
    client.on('error', () => {}).on('close', () => upstream.destroy())
    upstream.on('error', () => {}).on('data', (data) => client.write(data))
    client.on('data', (data) => {
      if (!isSet || !data.includes(text)) return void upstream.write(data)
      isSet = false
      spring(client)
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  cleanings.push(() => server.close())
  const address = server.address()
  const trapped = new URL(url)
  trapped.port = String(typeof address === 'object' ? address?.port : '')
  return trapped.href
}

describe('a statement that waits behind another one on its connection', () => {
  test('and is cancelled does not leave its answer to the next', () =>
    withPool({}, async (pool) => {
      await say(pool, 0)
      const { answer, release } = await hold(pool)
      const [cancelled, ...others] = [1, 2, 3].map((n) => say(pool, n))
      const answers = [cancelled, ...others].map((each) => answerOf(each as Promise<Numbered[]>))
      await sql`select 1`
      cancelled?.cancel()
      await release()
      const [first, ...rest] = await Promise.all(answers)
      expect([1, '57014']).toContain(first as number)
      // a cancellation that comes late meets the next one
      for (const [i, got] of rest.entries()) expect([i + 2, '57014']).toContain(got as number)
      expect(await answer).toBe(0)
      expect(await answerOf(say(pool, 4))).toBe(4)
    }))

  test('and cannot be written down fails alone, and no other is given its answer', () =>
    withPool({}, async (pool) => {
      await say(pool, 0)
      const { answer, release } = await hold(pool)
      const answers = [say(pool, 1), say(pool, undefined as never), say(pool, 2), say(pool, 3)].map(answerOf)
      await sql`select 1`
      await release()
      expect(await answer).toBe(0)
      expect(await Promise.all(answers)).toEqual([1, 'UNDEFINED_VALUE', 2, 3])
    }))
})

describe('a storm of statements, each for its own number,', () => {
  const RUNS = 20
  const STATEMENTS = 400
  // which of them are cancelled, and after how many turns of the event loop; a third are
  const storms = fc.array(fc.option(fc.nat(12), { freq: 3 }), {
    minLength: STATEMENTS,
    maxLength: STATEMENTS,
  })

  async function cancelAfter(statement: { cancel(): void }, turns: number): Promise<void> {
    for (let i = 0; i < turns; i++) await turn()
    statement.cancel()
  }
  async function answersOf(pool: Pool, fates: (number | null)[]): Promise<unknown[]> {
    const answers: Promise<unknown>[] = []
    for (const [n, turns] of fates.entries()) {
      // some take a while, so that there is something to cancel, and some have nothing prepared
      const statement =
        n % 5 === 0 ? pool<Numbered[]>`select ${n}::int as n from pg_sleep(0.002)` : say(pool, n)
      answers.push(answerOf(statement))
      if (turns !== null) void cancelAfter(statement, turns)
      if (n % 20 === 0) await turn()
    }
    return Promise.all(answers)
  }

  test.each([
    [1, true],
    [3, true],
    [3, false],
  ])(
    'a third of which are cancelled, on %i connections, prepared: %p: each gets its own',
    (poolSize, prepare) =>
      withPool({ poolSize, prepare }, async (pool) => {
        let served = 0
        let cancelled = 0
        for (const fates of fc.sample(storms, RUNS)) {
          for (const [n, got] of (await answersOf(pool, fates)).entries()) {
            if (got === '57014') cancelled++
            else if (got === n) served++
            else throw new Error(`Statement ${n} was given ${got}`)
          }
        }
        expect(served).toBeGreaterThan(STATEMENTS / 10)
        expect(cancelled).toBeGreaterThan(STATEMENTS / 10)
      }),
  )
})

test('a statement that has to be prepared again gets its own answer, and so do all around it', () =>
  withPool({}, async (pool) => {
    await sql`create table shape (n int)`
    await sql`insert into shape values (-1)`
    const stale = () => pool<Numbered[]>`select * from shape where n < ${0}::int`
    await Promise.all([say(pool, 0), stale()])
    await sql`alter table shape add column more int`
    const { answer, release } = await hold(pool)
    let isAnswered = false
    const again = answerOf(stale()).finally(() => {
      isAnswered = true
    })
    await turn()
    await release()
    const others: Promise<unknown>[] = []
    while (!isAnswered && others.length < 5000) {
      others.push(answerOf(say(pool, others.length)))
      await turn()
    }
    expect(await Promise.all(others)).toEqual(others.map((_, n) => n))
    expect(await again).toBe(-1)
    expect(await answer).toBe(0)
  }))

test('a statement that fails after its first row leaves that row to nobody', () =>
  withPool({}, async (pool) => {
    const failing = pool<Numbered[]>`select 1 / (2 - n) as n from generate_series(1, 2) as n`
    expect(await answerOf(failing)).toBe('22012')
    expect(await answerOf(say(pool, 2))).toBe(2)
  }))

test('a row has the values that were sent, whatever their length and characters', () =>
  withPool({}, async (pool) => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 70 }).filter((each) => !each.includes('\0')),
      fc
        .string({ unit: 'binary-ascii', minLength: 60, maxLength: 70 })
        .filter((each) => !each.includes('\0')),
    )
    const row = fc.record({
      one: fc.option(text),
      none: fc.constant(null),
      list: fc.array(text, { maxLength: 3 }),
      json: fc.jsonValue(),
      n: fc.option(fc.maxSafeInteger()),
      other: fc.option(text),
    })
    await fc.assert(
      fc.asyncProperty(row, async ({ one, none, list, json, n, other }) => {
        const rows = await pool`
          select ${one}::text as one, ${none}::text as none, ${list}::text[] as list,
            ${JSON.stringify(json)}::text::json as json, ${n}::bigint as n, ${other}::text as other`
        expect([...rows]).toEqual([{ one, none, list, json: JSON.parse(JSON.stringify(json)), n, other }])
      }),
      { numRuns: 300 },
    )
  }))

test('statements that have to be prepared again on each connection get their answers at once', () =>
  withPool({ poolSize: 3 }, async (pool) => {
    await sql`create table form (n int)`
    await sql`insert into form values (-1)`
    const stale = () => answerOf(pool<Numbered[]>`select * from form where n < ${0}::int`)
    const all = () => Promise.all(Array.from({ length: 60 }, stale))
    await all()
    await sql`alter table form add column more int`
    expect(new Set(await all())).toEqual(new Set([-1]))
  }))

describe('a statement whose plan has to be made anew', () => {
  const table = async () => {
    await sql`drop table if exists renewed`
    await sql`create table renewed (id int unique, done boolean, hash bytea)`
    await sql`insert into renewed values (1, false, null), (2, false, null)`
  }

  test('writes what it was given', () =>
    withPool({}, async (pool) => {
      await table()
      const hash = Buffer.from('abcd', 'hex')
      const write = () =>
        pool`update renewed set done = ${true}, hash = ${hash} where id = 1 returning id, done, hash`
      await write()
      await sql`alter table renewed alter column id type bigint`
      expect([...(await write())]).toEqual([{ id: 1, done: true, hash }])
    }))

  test('and that was cancelled meanwhile is not run', () =>
    withPool({}, async (pool) => {
      await table()
      const stale = () => pool<Numbered[]>`select id, id as n from renewed where id = ${1}::int`
      await stale()
      await sql`alter table renewed alter column id type bigint`
      const { answer, release } = await hold(pool)
      const statement = stale()
      const failure = answerOf(statement)
      // until it was sent
      await sql`select 1`
      statement.cancel()
      await release()
      expect(await failure).toBe('0A000')
      expect(await answer).toBe(0)
    }))

  test('because the server has lost it, fails: nothing is prepared again and again behind a pooler', () =>
    withPool({}, async (pool) => {
      await say(pool, 1)
      await pool`deallocate all`
      expect(await answerOf(say(pool, 2))).toBe('26000')
    }))

  test('fails for its own reason, where it does', () =>
    withPool({}, async (pool) => {
      await table()
      const move = (id: number) => pool`update renewed set id = ${id} where id = 2 returning id`
      await move(2)
      await sql`alter table renewed alter column id type bigint`
      expect(await move(1).catch(codeOf)).toBe('23505')
    }))
})

test('a pool that has ended keeps no connection, though many statements waited', async () => {
  const pool = openPool({ url, poolSize: 2 })
  const waiting = Array.from({ length: 12 }, (_, n) =>
    answerOf(pool<Numbered[]>`select ${n}::int as n, pg_sleep(0.05)`),
  )
  // ends with it, as the question itself does not
  const left = () => sql`select from pg_stat_activity where query like '%pg_sleep(0.05)'`
  await waiting[0]
  expect((await left()).length).toBeGreaterThan(0)
  await pool.end({ timeout: 10 })
  const answers = await Promise.all(waiting)
  expect(answers.every((answer, n) => answer === n || answer === 'CONNECTION_ENDED')).toBe(true)
  while ((await left()).length > 0);
})

describe('a statement cancelled', () => {
  test('before it was sent is not sent', () =>
    withPool({}, async (pool) => {
      await say(pool, 0)
      const statement = say(pool, 1)
      const answer = answerOf(statement)
      statement.cancel()
      expect(await answer).toBe('57014')
      expect(await answerOf(say(pool, 2))).toBe(2)
    }))

  test('while its connection is made leaves that connection to others', () =>
    withPool({ url: proxy.url(url) }, async (pool) => {
      const statement = say(pool, 1)
      const answer = answerOf(statement)
      await turn()
      statement.cancel()
      expect(await answer).toBe('57014')
      expect(await answerOf(say(pool, 2))).toBe(2)
    }))
})

/** What a statement on a connection that was killed may fail with. */
const LOST = ['57P01', 'CONNECTION_CLOSED', 'ECONNRESET', 'EPIPE']

describe('a connection that is lost', () => {
  test.each([
    ['a new statement', []],
    ['one that is prepared', [0]],
  ])('while it is reserved fails %s, and each one after, and the pool makes another one', (_, earlier) =>
    withPool({}, async (pool) => {
      const reserved = await pool.reserve()
      const pid = await pidOf(reserved)
      for (const n of earlier) await say(reserved, n)
      await kill(pid)
      expect(await answerOf(say(reserved, 1))).toBeOneOf(LOST)
      expect(await answerOf(say(reserved, 2))).toBeOneOf(LOST)
      // by now it is closed
      expect(await answerOf(say(reserved, 2))).toBe('CONNECTION_CLOSED')
      reserved.release()
      expect(await answerOf(say(pool, 3))).toBe(3)
    }),
  )

  test('in a transaction fails all of it, and runs none of it anywhere else', () =>
    withPool({}, async (pool) => {
      const answers: unknown[] = []
      let waiting: Promise<unknown> | undefined
      const transaction = pool.begin(async (own) => {
        const pid = await pidOf(own)
        waiting = answerOf(say(pool, 1))
        await kill(pid)
        const both = Promise.all([answerOf(say(own, 2)), answerOf(say(own, 3))])
        answers.push(...(await both), await waiting, await answerOf(say(own, 4)))
      })
      expect(await transaction.then(() => 'nothing', codeOf)).toBe('CONNECTION_CLOSED')
      while (answers.length < 4) await turn()
      for (const answer of answers.slice(0, 2)) expect(answer).toBeOneOf(LOST)
      expect(answers.slice(2)).toEqual([1, 'CONNECTION_CLOSED'])
    }))

  test('and used once more before it is closed leaves no statement without an end', () =>
    withPool({}, async (pool) => {
      await say(pool, 0)
      await kill(await pidOf(pool))
      expect(await answerOf(say(pool, 1))).toBeOneOf([1, ...LOST])
      expect(await answerOf(say(pool, 2))).toBeOneOf([2, ...LOST])
      expect(await answerOf(say(pool, 3))).toBeOneOf([3, ...LOST])
    }))

  test('with something not sent yet is made again, and serves', () =>
    withPool({ poolSize: 2 }, async (pool) => {
      const [first, second] = await Promise.all([hold(pool), pidOf(pool)])
      const next = first.answer.then(() => answerOf(say(pool, 1)))
      await Promise.all([kill(second, 10_000), first.release()])
      Bun.sleepSync(100)
      await next
      expect(await Promise.all([1, 2, 3].map((n) => answerOf(say(pool, n))))).toEqual([1, 2, 3])
    }))
})

test('a transaction behind as many statements as may wait on one connection begins', () =>
  withPool({}, async (pool) => {
    await say(pool, 0)
    for (const ahead of [99, 100, 101, 102]) {
      const { answer, release } = await hold(pool)
      const others = Array.from({ length: ahead }, () => answerOf(pool<Numbered[]>`select 1 as n`))
      const transaction = answerOf(pool.begin((own) => say(own, 2)))
      await sql`select 1`
      await release()
      expect(await answer).toBe(0)
      expect(new Set(await Promise.all(others))).toEqual(new Set([1]))
      expect(await transaction).toBe(2)
    }
  }))

test('a cancellation that cannot be sent fails for nobody', () =>
  withPool({ url: proxy.url(url) }, async (pool) => {
    await say(pool, 0)
    const statement = pool<Numbered[]>`select 1 as n from pg_sleep(0.5)`
    const answer = answerOf(statement)
    while ((await sql`select from pg_stat_activity where query like '%pg_sleep(0.5)'`).length === 0)
      await turn()
    await proxy.refuse()
    // a rejection that nobody handles fails the test
    statement.cancel()
    expect(await answer).toBe(1)
    await proxy.listen()
  }))

test('a connection that is lost does not hold up the end', () =>
  withPool({}, async (pool) => {
    const { answer, release } = await hold(pool)
    const ended = pool.end({ timeout: 60 })
    await sql`
      select pg_terminate_backend(pid) from pg_locks
      where database = (select oid from pg_database where datname = current_database())
        and locktype = 'advisory' and not granted`
    await ended
    await release()
    expect(await answer).toBe('CONNECTION_CLOSED')
  }))

describe('a connection that is being made', () => {
  test('to a server that closes it is not made again and again, nor for nobody', async () => {
    let tries = 0
    const server = createServer((client) => {
      tries++
      client.on('error', () => {}).end()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    const closing = new URL(url)
    closing.port = String(typeof address === 'object' ? address?.port : '')
    const pool = openPool({ url: closing.href, poolSize: 1 })
    const statement = say(pool, 1)
    const answer = answerOf(statement)
    const begun = performance.now()
    while (tries < 4) await Bun.sleep(1)
    // three times a quarter of a second
    expect(performance.now() - begun).toBeGreaterThan(600)
    statement.cancel()
    expect(await answer).toBe('57014')
    const before = tries
    await Bun.sleep(1000)
    // one may have been under way
    expect(tries - before).toBeLessThanOrEqual(1)
    await pool.end()
    server.close()
  })

  test('to a silent server ends with the pool at once, when nobody waits for it', async () => {
    proxy.welcome('silence')
    const pool = openPool({ url: proxy.url(url), poolSize: 1 })
    const statement = say(pool, 1)
    const answer = answerOf(statement)
    while (proxy.connections() === 0) await turn()
    statement.cancel()
    expect(await answer).toBe('57014')
    const begun = performance.now()
    await pool.end()
    expect(performance.now() - begun).toBeLessThan(2000)
    proxy.welcome('pass')
    proxy.cut()
  })

  test('is not made any more after the end', async () => {
    const pool = openPool({ url: proxy.url(url), poolSize: 1 })
    await proxy.refuse()
    expect(await answerOf(say(pool, 1))).toBe('ECONNREFUSED')
    await turn()
    const waiting = answerOf(say(pool, 2))
    await turn()
    await pool.end({ timeout: 0 })
    expect(await waiting).toBe('CONNECTION_DESTROYED')
    const begun = proxy.count('application_name')
    await proxy.listen()
    await Bun.sleep(500)
    expect(proxy.connections()).toBe(0)
    expect(begun()).toBe(0)
  })

  // the driver asks for it by itself, when it has signed in
  const ITS_OWN_STATEMENT = 'typarray'

  test('and lost after the sign-in fails for its statement, and for nothing else', async () => {
    const trap = await startTrap(ITS_OWN_STATEMENT, (client) => client.resetAndDestroy())
    await withPool({ url: trap }, async (pool) => {
      // a rejection that nobody handles fails the test
      expect(await answerOf(say(pool, 1))).toBe('ECONNRESET')
      expect(await answerOf(say(pool, 2))).toBe(2)
    })
  })

  test('and silent after the sign-in is given up in time', async () => {
    const trap = await startTrap(ITS_OWN_STATEMENT, () => {})
    await withPool({ url: trap, connectTimeout: 0.5 }, async (pool) => {
      expect(await answerOf(say(pool, 1))).toBe('CONNECT_TIMEOUT')
      expect(await answerOf(say(pool, 2))).toBe(2)
    })
  })
})
