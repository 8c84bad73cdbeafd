import { afterEach, beforeEach, describe, expect, jest, test } from 'bun:test'
import { purgeRefreshTokens, purgeSessions } from '../src/accounts/queries'
import { openDatabase, type Sql } from '../src/database/connection'
import { createLog } from '../src/http/log'
import { startPurging } from '../src/purge'
import { linesTo } from './support/app'
import { testDatabase } from './support/database'

const { sql, url } = await testDatabase()

beforeEach(async () => {
  await sql`delete from users`
  await sql`insert into users (id) values ('ann')`
  const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(43)}$${'A'.repeat(43)}`
  await sql`insert into accounts values ('ann', 'ann@example.com', null, ${hash})`
})

/** Makes sessions, each with refresh tokens; both expire so many hours from now. */
async function makeSessions(count: number, expireIn: number, tokens: number[] = []): Promise<void> {
  await sql`
    with session as (
      insert into sessions (id, user_id, expires_at)
      select gen_random_uuid(), 'ann', clock_timestamp() + ${expireIn} * interval '1 hour'
      from generate_series(1, ${count})
      returning id
    )
    insert into refresh_tokens (token_hash, session_id, generation, expires_at)
    select sha256(gen_random_uuid()::text::bytea), id, 1, clock_timestamp() + hours * interval '1 hour'
    from session, unnest(${tokens}::integer[]) as hours
    -- as time leaves them: those of one session far from one another
    order by random()`
}

async function left(): Promise<{ sessions: number; tokens: number }> {
  const [row] = await sql<{ sessions: number; tokens: number }[]>`
    select (select count(*) from sessions) as sessions, (select count(*) from refresh_tokens) as tokens`
  return { sessions: row?.sessions ?? 0, tokens: row?.tokens ?? 0 }
}

/** One batch of each. @returns whether there may be more of either */
async function purgeOnce(on: Sql = sql): Promise<boolean[]> {
  return [await purgeSessions(on), await purgeRefreshTokens(on)]
}

describe('a purge', () => {
  test('takes the sessions that have expired, with their tokens, and leaves the others', async () => {
    await makeSessions(3, -1, [-1])
    await makeSessions(2, 1, [1])
    expect(await purgeOnce()).toEqual([false, false])
    expect(await left()).toEqual({ sessions: 2, tokens: 2 })
    expect(await sql`select from sessions where expires_at < clock_timestamp()`).toHaveLength(0)
  })

  test('takes the tokens that have expired of a session that has not', async () => {
    await makeSessions(2, 1, [-2, -1, 1])
    expect(await purgeOnce()).toEqual([false, false])
    expect(await left()).toEqual({ sessions: 2, tokens: 2 })
  })

  test('of nothing is no error', async () => {
    expect(await purgeOnce()).toEqual([false, false])
  })

  test.each([
    ['sessions', -1, [], purgeSessions],
    ['tokens', 1, [-1], purgeRefreshTokens],
  ] as const)(
    'takes a thousand %s at a time, and says when there may be more',
    async (what, expireIn, tokens, purge) => {
      await makeSessions(2500, expireIn, [...tokens])
      const steps: unknown[] = []
      for (const _ of [1, 2, 3]) {
        const isMore = await purge(sql)
        steps.push([isMore, (await left())[what]])
      }
      expect(steps).toEqual([
        [true, 1500],
        [true, 500],
        [false, 0],
      ])
    },
  )

  test('leaves the users, their accounts and their tasks', async () => {
    await makeSessions(1, -1, [-1])
    await purgeOnce()
    expect(await sql`select from users join accounts on user_id = users.id`).toHaveLength(1)
  })
})

describe('two purges at once', () => {
  async function purgeAll(): Promise<void> {
    while ((await purgeOnce()).includes(true));
  }

  /** Does the one thing in a transaction that stays open, and another meanwhile. */
  async function during<T>(
    first: (holder: Sql) => Promise<unknown>,
    meanwhile: () => Promise<T>,
  ): Promise<T> {
    const holder = await sql.reserve()
    await holder`begin`
    try {
      await first(holder)
      return await meanwhile()
    } finally {
      await holder`commit`
      holder.release()
    }
  }

  /** Fails where it would have to wait for another. */
  async function purgeWithoutWaiting(): Promise<boolean[]> {
    const impatient = await sql.reserve()
    await impatient`set lock_timeout = '2s'`
    try {
      return await purgeOnce(impatient)
    } finally {
      await impatient`reset lock_timeout`
      impatient.release()
    }
  }

  test('take all that there is', async () => {
    await makeSessions(5000, -1, [-1, -1])
    await Promise.all([purgeAll(), purgeAll()])
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
  })

  test('do not wait for one another', async () => {
    await makeSessions(3000, -1, [-1, -1])
    await during(purgeSessions, purgeWithoutWaiting)
    await purgeAll()
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
  })

  test('nor does one wait for a session that is being used', async () => {
    await makeSessions(2, -1, [-1])
    await during((holder) => holder`select from sessions limit 1 for no key update`, purgeWithoutWaiting)
    expect((await left()).sessions).toBe(1)
  })
})

describe('in the background', () => {
  const HOUR = 3_600_000
  let logged: string[]
  const log = () => createLog({ logLevel: 'trace', production: true }, linesTo(logged))

  beforeEach(() => {
    logged = []
  })
  afterEach(() => {
    jest.useRealTimers()
  })

  /** One connection does one thing after the other: what was asked before is done by then. */
  const one = (): Sql => openDatabase({ url, poolSize: 1 })
  const settle = async (connection: Sql) => {
    for (const _ of [1, 2, 3, 4, 5, 6]) await connection`select`
  }

  test('all is purged at once, batch after batch', async () => {
    await makeSessions(2500, -1, [-1])
    const connection = one()
    const stop = startPurging(connection, log(), { trashDays: 30 })
    await settle(connection)
    stop()
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
    expect(logged).toEqual([])
    await connection.end()
  })

  test('it is purged again every hour, until it is stopped', async () => {
    const connection = one()
    await connection`select`
    jest.useFakeTimers()
    const stop = startPurging(connection, log(), { trashDays: 30 })
    await settle(connection)
    for (const _ of ['an hour', 'two hours']) {
      await makeSessions(1, -1)
      jest.advanceTimersByTime(HOUR - 1)
      await settle(connection)
      expect((await left()).sessions).toBe(1)
      jest.advanceTimersByTime(1)
      await settle(connection)
      expect((await left()).sessions).toBe(0)
    }
    stop()
    await makeSessions(1, -1)
    jest.advanceTimersByTime(5 * HOUR)
    await settle(connection)
    expect((await left()).sessions).toBe(1)
    jest.useRealTimers()
    await connection.end()
  })

  test('when it is stopped only the batch under way is done', async () => {
    await makeSessions(2500, -1)
    const connection = one()
    startPurging(connection, log(), { trashDays: 30 })()
    await settle(connection)
    expect(await left()).toEqual({ sessions: 1500, tokens: 0 })
    await connection.end()
  })

  test('a database that cannot be reached is told in the log, and does no harm', async () => {
    const connection = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 })
    const stop = startPurging(connection, log(), { trashDays: 30 })
    await connection`select`.catch(() => {})
    while (logged.length === 0) await new Promise((done) => setImmediate(done))
    stop()
    expect(logged.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, err: { code: 'ECONNREFUSED' }, msg: expect.stringContaining('could not be purged') },
    ])
    await connection.end()
  })

  test('one that was stopped before says nothing of it', async () => {
    const connection = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 })
    startPurging(connection, log(), { trashDays: 30 })()
    for (const _ of [1, 2]) await connection`select`.catch(() => {})
    expect(logged).toEqual([])
    await connection.end()
  })
})
