import { afterEach, beforeEach, describe, expect, jest, test } from 'bun:test'
import { purgeRefreshTokens, purgeSessions } from '../../src/accounts/purge'
import { openPool, type Pool } from '../../src/database/pool'
import { startPurging } from '../../src/jobs/purge'
import { purgeTickets } from '../../src/sync/purge'
import { purgeIdempotencyKeys, purgeTombstones } from '../../src/tasks/purge'
import { createLog } from '../../src/telemetry/log'
import { linesTo } from '../support/app'
import { testDatabase } from '../support/database'

const { sql, url } = await testDatabase()

beforeEach(async () => {
  await sql`delete from users`
  await sql`insert into users (id) values ('ann')`
  const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(43)}$${'A'.repeat(43)}`
  await sql`insert into accounts values ('ann', 'ann@example.com', null, ${hash})`
})

/** Creates sessions with refresh tokens; both expire this many hours from now. */
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
    -- in the order of real use: the tokens of a session are stored far from each other
    order by random()`
}

async function left(): Promise<{ sessions: number; tokens: number }> {
  const [row] = await sql<{ sessions: number; tokens: number }[]>`
    select (select count(*) from sessions) as sessions, (select count(*) from refresh_tokens) as tokens`
  return { sessions: row?.sessions ?? 0, tokens: row?.tokens ?? 0 }
}

/** Purges one batch of each. @returns whether there may be more of either */
async function purgeOnce(on: Pool = sql): Promise<boolean[]> {
  return [await purgeSessions(on), await purgeRefreshTokens(on)]
}

/** Runs the first function in a transaction, and the second one before the transaction ends. */
async function during<T>(first: (holder: Pool) => Promise<unknown>, meanwhile: () => Promise<T>): Promise<T> {
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

/** Fails if it would have to wait for a lock. */
async function impatiently<T>(action: (on: Pool) => Promise<T>): Promise<T> {
  const impatient = await sql.reserve()
  await impatient`set lock_timeout = '2s'`
  try {
    return await action(impatient)
  } finally {
    await impatient`reset lock_timeout`
    impatient.release()
  }
}
const purgeWithoutWaiting = () => impatiently(purgeOnce)

describe('a purge', () => {
  test('deletes expired sessions with their tokens, and leaves the others', async () => {
    await makeSessions(3, -1, [-1])
    await makeSessions(2, 1, [1])
    expect(await purgeOnce()).toEqual([false, false])
    expect(await left()).toEqual({ sessions: 2, tokens: 2 })
    expect(await sql`select from sessions where expires_at < clock_timestamp()`).toHaveLength(0)
  })

  test('deletes the expired tokens of a session that has not expired', async () => {
    await makeSessions(2, 1, [-2, -1, 1])
    expect(await purgeOnce()).toEqual([false, false])
    expect(await left()).toEqual({ sessions: 2, tokens: 2 })
  })

  test('without expired rows is no error', async () => {
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

describe('two concurrent purges', () => {
  async function purgeAll(): Promise<void> {
    while ((await purgeOnce()).includes(true));
  }

  test('delete every expired row', async () => {
    await makeSessions(5000, -1, [-1, -1])
    await Promise.all([purgeAll(), purgeAll()])
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
  })

  test('do not wait for each other', async () => {
    await makeSessions(3000, -1, [-1, -1])
    await during(purgeSessions, purgeWithoutWaiting)
    await purgeAll()
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
  })

  test('do not wait for a session in use', async () => {
    await makeSessions(2, -1, [-1])
    await during((holder) => holder`select from sessions limit 1 for no key update`, purgeWithoutWaiting)
    expect((await left()).sessions).toBe(1)
  })
})

describe('tickets', () => {
  async function makeTickets(expired: number, good: number): Promise<void> {
    await sql`
      insert into event_tickets (ticket_hash, user_id, token_expires_at, expires_at)
      select sha256(n::text::bytea), 'ann', 4000000000, now() + case when n <= ${expired} then -1 else 1 end * interval '1 hour'
      from generate_series(1, ${expired + good}::integer) as n`
  }
  const ticketsLeft = async () => (await sql`select from event_tickets`).length

  test('that have expired are deleted a thousand at a time, and the others left', async () => {
    await makeTickets(1500, 2)
    expect([await purgeTickets(sql), await ticketsLeft()]).toEqual([true, 502])
    expect([await purgeTickets(sql), await ticketsLeft()]).toEqual([false, 2])
  })

  test('are left to a request that uses one of them', async () => {
    await makeTickets(2, 0)
    await during(
      (holder) => holder`select from event_tickets limit 1 for update`,
      () => impatiently(purgeTickets),
    )
    expect(await ticketsLeft()).toBe(1)
  })
})

describe('tombstones and keys', () => {
  const DAYS = 30

  /** Creates users, each with a tombstone of each of these ages, in days. */
  async function makeTombstones(users: number, ages: number[], ended = false): Promise<void> {
    await sql`
      with owner as (
        insert into users (id, revision) select 'user-' || n, ${ages.length} from generate_series(1, ${users}) as n
        returning id
      )
      insert into tasks (user_id, title, created_at, updated_at, deleted_at, revision, ended)
      select id, case when ${ended}::boolean then '' else 'x' end, now(), now(),
        now() - age * interval '1 day', ordinality, ${ended}::boolean
      from owner, unnest(${ages}::double precision[]) with ordinality as ages (age)`
  }

  /** Creates keys, half of which have expired. */
  async function makeKeys(count: number): Promise<void> {
    await sql`
      insert into idempotency_keys (user_id, key, fingerprint, answer, expires_at)
      select 'ann', n::text, sha256(''), '{}', clock_timestamp() + (n % 2 * 2 - 1) * interval '1 hour'
      from generate_series(1, ${count}) as n`
  }

  const revisionsLeft = async () =>
    (await sql`select revision from tasks order by user_id, revision`).map(({ revision }) => revision)
  const usersLeft = async () => [
    ...(await sql`select id, revision, purged_revision as purged from users where id <> 'ann' order by id`),
  ]
  const keysLeft = async () => (await sql`select from idempotency_keys`).length
  const rest = () => purgeTombstones(sql, DAYS)

  test.each([false, true])('are deleted when they are old enough; deleted for good: %p', async (ended) => {
    await makeTombstones(1, [40, 29.9, 30.1, 0], ended)
    expect(await rest()).toBe(false)
    expect(await revisionsLeft()).toEqual([2, 4])
    expect(await usersLeft()).toEqual([{ id: 'user-1', revision: 4, purged: 3 }])
  })

  test('of several users raise the purged revision of each', async () => {
    await makeTombstones(2, [31, 31])
    await sql`update tasks set deleted_at = now() where user_id = 'user-2' and revision = 2`
    await rest()
    expect((await usersLeft()).map(({ purged }) => purged)).toEqual([2, 1])
  })

  test('that are older never lower the purged revision', async () => {
    await makeTombstones(1, [31, 0, 31])
    await rest()
    await sql`update tasks set deleted_at = now() - interval '31 days'`
    await rest()
    expect(await revisionsLeft()).toEqual([])
    expect(await usersLeft()).toEqual([{ id: 'user-1', revision: 3, purged: 3 }])
  })

  test('are deleted without any living task, however old', async () => {
    await makeTombstones(1, [31])
    await sql`update tasks set deleted_at = null, updated_at = now() - interval '1 year'`
    expect(await rest()).toBe(false)
    expect(await revisionsLeft()).toEqual([1])
    expect(await usersLeft()).toEqual([{ id: 'user-1', revision: 1, purged: 0 }])
  })

  test('are deleted a thousand at a time, with word whether there may be more', async () => {
    await makeTombstones(250, Array(10).fill(31))
    await makeKeys(5000)
    const steps: unknown[] = []
    for (const _ of [1, 2, 3]) {
      steps.push([await rest(), (await revisionsLeft()).length])
      steps.push([await purgeIdempotencyKeys(sql), await keysLeft()])
    }
    expect(steps).toEqual([
      [true, 1500],
      [true, 4000],
      [true, 500],
      [true, 3000],
      [false, 0],
      [false, 2500],
    ])
    expect(await sql`select from idempotency_keys where expires_at < clock_timestamp()`).toHaveLength(0)
  })

  test('are deleted once by concurrent purges, and each owner has the newest purged revision', async () => {
    await makeTombstones(250, Array(20).fill(31))
    await makeKeys(5000)
    const purges = [rest, () => purgeIdempotencyKeys(sql)]
    const all = purges.map(async (purge) => {
      while (await purge());
    })
    const more = purges.map(async (purge) => {
      while (await purge());
    })
    await Promise.all([...all, ...more])
    // a purge may have skipped rows that the other had locked
    while (await rest());
    expect([await revisionsLeft(), await keysLeft()]).toEqual([[], 2500])
    expect(new Set((await usersLeft()).map(({ purged }) => purged))).toEqual(new Set([20]))
  })

  test('of a user who is writing are skipped, and neither waits', async () => {
    await makeTombstones(2, [31])
    await makeKeys(2)
    await during(
      async (holder) => {
        await holder`update users set revision = 9 where id = 'user-1'`
        await holder`select from idempotency_keys for update`
      },
      () => impatiently(async (on) => [await purgeTombstones(on, DAYS), await purgeIdempotencyKeys(on)]),
    )
    expect((await usersLeft()).map(({ purged }) => purged)).toEqual([0, 1])
    expect([await revisionsLeft(), await keysLeft()]).toEqual([[1], 2])
    await rest()
    expect(await usersLeft()).toMatchObject([{ revision: 9, purged: 1 }, { purged: 1 }])
  })

  test('are checked again once their rows are locked', async () => {
    await makeTombstones(1, [31, 31])
    const holder = await sql.reserve()
    await holder`begin`
    // without a lock on the owner, as no write of Taskwell does
    await holder`update tasks set deleted_at = null where revision = 2`
    const purged = rest()
    while ((await waiting()) === 0);
    await holder`commit`
    holder.release()
    await purged
    expect(await revisionsLeft()).toEqual([2])
    expect(await usersLeft()).toEqual([{ id: 'user-1', revision: 2, purged: 1 }])
  })

  async function waiting(): Promise<number> {
    const rows = await sql`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    return rows.length
  }
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

  /** The pool has one connection, so every earlier statement is done when this one is answered. */
  const one = (): Pool => openPool({ url, poolSize: 1 })
  const settle = async (connection: Pool) => {
    for (const _ of [1, 2, 3, 4, 5, 6, 7]) await connection`select`
  }

  test('every expired row is purged at once, batch after batch', async () => {
    await makeSessions(2500, -1, [-1])
    const connection = one()
    const stop = startPurging(connection, log(), { trashDays: 30 })
    await settle(connection)
    stop()
    expect(await left()).toEqual({ sessions: 0, tokens: 0 })
    expect(logged).toEqual([])
    await connection.end()
  })

  test('keys, tickets and tombstones are purged too, tombstones after the days that the settings say', async () => {
    await sql`
      insert into tasks (user_id, title, created_at, updated_at, deleted_at, revision)
      select 'ann', 'x', now(), now(), now() - age * interval '1 day', age from unnest(array[6, 8]) as ages (age)`
    await sql`insert into idempotency_keys values ('ann', 'k', sha256(''), '{}', now() - interval '1 hour')`
    await sql`insert into event_tickets values (sha256(''), 'ann', null, 0, null, now() - interval '1 hour')`
    const connection = one()
    const stop = startPurging(connection, log(), { trashDays: 7 })
    await settle(connection)
    stop()
    const [row] = await sql<{ keys: number; tickets: number; ages: number[] }[]>`
      select (select count(*) from idempotency_keys) as keys, (select count(*) from event_tickets) as tickets,
        (select array_agg(revision) from tasks) as ages`
    expect([row?.keys, row?.tickets, row?.ages]).toEqual([0, 0, [6]])
    await connection.end()
  })

  test('a purge runs every hour until it is stopped', async () => {
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

  test('after a stop only the present batch is finished', async () => {
    await makeSessions(2500, -1)
    const connection = one()
    startPurging(connection, log(), { trashDays: 30 })()
    await settle(connection)
    expect(await left()).toEqual({ sessions: 1500, tokens: 0 })
    await connection.end()
  })

  test('a database that cannot be reached is logged, and does no harm', async () => {
    const connection = openPool({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 })
    const stop = startPurging(connection, log(), { trashDays: 30 })
    await connection`select`.catch(() => {})
    while (logged.length === 0) await new Promise((done) => setImmediate(done))
    stop()
    expect(logged.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, err: { code: 'ECONNREFUSED' }, msg: expect.stringContaining('could not be purged') },
    ])
    await connection.end()
  })

  test('after a stop a failure is not logged', async () => {
    const connection = openPool({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 })
    startPurging(connection, log(), { trashDays: 30 })()
    for (const _ of [1, 2]) await connection`select`.catch(() => {})
    expect(logged).toEqual([])
    await connection.end()
  })
})
