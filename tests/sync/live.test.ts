import { afterEach, describe, expect, jest, test } from 'bun:test'
import postgres from 'postgres'
import type { Pool } from '../../src/database/pool'
import { nameOf, type Sql } from '../../src/database/sql'
import { createLive, type Listener, type Live } from '../../src/sync/live'
import { createLog } from '../../src/telemetry/log'
import { linesTo } from '../support/app'
import { testDatabase } from '../support/database'

const { sql, database, url } = await testDatabase()

const lives: Live[] = []
afterEach(() => {
  for (const live of lives.splice(0)) live.close()
})

/** Live updates that are observed: of how many users each poll reads changes, of how many reminders if there are new ones, and what is logged. */
function watched(intervals: Parameters<typeof createLive>[2]) {
  const polls: number[] = []
  const reminderPolls: number[] = []
  /** How often it was asked whether there are new reminders. */
  const asked = { count: 0 }
  const logged: string[] = []
  const counting: Sql = (template, ...parameters) => {
    if (nameOf(template) === 'findLastTold') asked.count++
    // the second value has a number for each user
    else if (nameOf(template) === 'readTold') reminderPolls.push((parameters[1] as number[]).length)
    else polls.push((parameters[1] as number[]).length)
    return database.sql(template, ...parameters)
  }
  const log = createLog({ logLevel: 'info', production: true }, linesTo(logged))
  const made = createLive(counting, log, intervals)
  // like real streams, these stop listening when they end
  const live: Live = {
    ...made,
    listen(listener) {
      const { end } = listener
      const stop = made.listen(listener)
      listener.end = () => {
        stop()
        end()
      }
      return stop
    },
  }
  lives.push(live)
  return { live, polls, reminderPolls, asked, logged }
}

const OFTEN = { pollInterval: 5 }
/** Polls only the users that it is told of. */
const TOLD = { pollInterval: 1e9 }

interface Stream extends Listener {
  /** The revisions that were sent to it. */
  got: number[]
  /** The ids of the tasks that it was reminded of. */
  reminded: number[]
  beats: number
  hasEnded: boolean
}

function streamOf(userId: string, methods: Partial<Listener> = {}): Stream {
  const stream: Stream = {
    userId,
    issuedAt: null,
    tokenId: null,
    revision: 0,
    told: 0,
    got: [],
    reminded: [],
    beats: 0,
    hasEnded: false,
    isReady: () => true,
    send: (changes) => void stream.got.push(...changes.map(({ revision }) => revision)),
    remind: (reminders) => void stream.reminded.push(...reminders.map(({ task_id }) => task_id)),
    beat: () => void stream.beats++,
    end: () => {
      stream.hasEnded = true
    },
    reconnect: () => stream.end(),
    ...methods,
  }
  return stream
}

/** Writes as another process would: this process is not told. */
async function write(userId: string, count = 1, database: Pick<Pool, 'unsafe'> = sql): Promise<void> {
  await database.unsafe(
    `with owner as (
      insert into users (id, revision) values ($1, $2)
      on conflict (id) do update set revision = users.revision + $2
      returning id, revision
    )
    insert into tasks (user_id, title, completed, created_at, updated_at, revision)
    select id, 'x', false, now(), now(), revision - $2 + nth from owner, generate_series(1, $2::int) as nth`,
    [userId, count],
  )
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(1)
}

/** Keeps polls waiting; `release` runs its argument while they wait. */
async function blockPolls() {
  const admin = postgres(url, { max: 2, onnotice: () => {} })
  const holder = await admin.reserve()
  await holder`begin`
  await holder`lock table users in access exclusive mode`
  return {
    holder,
    reached: () =>
      until(
        async () =>
          (
            await admin`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
          ).length > 0,
      ),
    async release() {
      await holder`commit`
      holder.release()
      await admin.end()
    },
  }
}

const newUser = () => crypto.randomUUID()
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe('a stream', () => {
  test('gets every change since, in order, also if there are many', async () => {
    const ann = streamOf(newUser())
    await write(ann.userId, 1100)
    watched(TOLD).live.listen(ann)
    await until(() => ann.got.length >= 1100)
    expect(ann.got).toEqual(upTo(1100))
  })

  test('that begins during a poll misses nothing', async () => {
    const { live } = watched(TOLD)
    const known = streamOf(newUser(), { revision: 3 })
    const late = streamOf(known.userId)
    await write(known.userId, 3)
    const block = await blockPolls()
    live.listen(known)
    await block.reached()
    live.listen(late)
    await write(known.userId, 1, block.holder)
    await block.release()
    await until(() => late.got.length >= 4 && known.got.length > 0)
    expect([known.got, late.got]).toEqual([[4], [1, 2, 3, 4]])
  })

  test('gets no change twice, even if another stream of the user is further behind', async () => {
    const { live } = watched(TOLD)
    const known = streamOf(newUser(), { revision: 3 })
    const late = streamOf(known.userId)
    await write(known.userId, 5)
    const block = await blockPolls()
    live.listen(streamOf(newUser()))
    await block.reached()
    // so that one poll asks for both
    live.listen(known)
    live.listen(late)
    await block.release()
    await until(() => late.got.length === 5)
    expect(known.got).toEqual([4, 5])
  })

  test('that takes nothing costs nothing, and later continues where it was', async () => {
    const { live, polls } = watched(OFTEN)
    let isReady = false
    const slow = streamOf(newUser(), { isReady: () => isReady })
    const quick = streamOf(newUser())
    await write(slow.userId, 600)
    await write(quick.userId, 1)
    live.listen(slow)
    live.listen(quick)
    await until(() => quick.got.length === 1 && polls.length > 5)
    expect(slow.got).toEqual([])
    expect(new Set(polls)).toEqual(new Set([1]))
    isReady = true
    await until(() => slow.got.length >= 600)
    expect(slow.got).toEqual(upTo(600))
  })

  test('does not delay a faster one of the same user', async () => {
    const { live } = watched(OFTEN)
    const quick = streamOf(newUser())
    const slow = streamOf(quick.userId, { isReady: () => false })
    live.listen(slow)
    live.listen(quick)
    await write(quick.userId, 600)
    await until(() => quick.got.length >= 600)
    expect([quick.got, slow.got]).toEqual([upTo(600), []])
  })

  test('is kept alive every 15 seconds until it stops', () => {
    jest.useFakeTimers()
    const stream = streamOf(newUser(), { isReady: () => false })
    const { live } = watched({})
    const stop = live.listen(stream)
    jest.advanceTimersByTime(14_999)
    expect(stream.beats).toBe(0)
    jest.advanceTimersByTime(30_001)
    expect(stream.beats).toBe(3)
    stop()
    jest.advanceTimersByTime(60_000)
    expect(stream.beats).toBe(3)
    jest.useRealTimers()
  })
})

describe('a poll', () => {
  test('is one statement for all listeners', async () => {
    const { live, polls } = watched(OFTEN)
    const streams = upTo(300).map(() => streamOf(newUser()))
    for (const stream of streams) live.listen(stream)
    const [first, last] = [streams.at(0), streams.at(-1)]
    await write(String(first?.userId))
    await write(String(last?.userId))
    await until(() => first?.got.length === 1 && last?.got.length === 1 && polls.length > 5)
    // the first two polls began before every listener was there
    expect(new Set(polls.slice(2))).toEqual(new Set([300]))
  })

  test('asks only for users with known changes, until all users are due', async () => {
    const { live, polls } = watched(TOLD)
    const streams = upTo(3).map(() => streamOf(newUser()))
    for (const stream of streams) live.listen(stream)
    const [ann] = streams
    await write(String(ann?.userId))
    await until(() => polls.length === 2)
    live.changed(String(ann?.userId))
    await until(() => ann?.got.length === 1 && polls.length === 3)
    expect(polls.at(-1)).toBe(1)
  })

  test('follows one under way only once, even after many changes', async () => {
    const { live, polls } = watched(TOLD)
    const ann = streamOf(newUser())
    const block = await blockPolls()
    live.listen(ann)
    await block.reached()
    for (let times = 0; times < 1000; times++) live.changed(ann.userId)
    await write(ann.userId, 1, block.holder)
    await block.release()
    await until(() => polls.length === 2)
    await write(ann.userId)
    live.changed(ann.userId)
    await until(() => ann.got.length === 2)
    expect(polls.length).toBeLessThanOrEqual(3)
  })

  test('for all users comes in time, even if one user never stops writing', async () => {
    const { live, polls } = watched(OFTEN)
    const busy = streamOf(newUser(), { send: () => {} })
    const ann = streamOf(newUser())
    const push = polls.push.bind(polls)
    polls.push = (count) => {
      live.changed(busy.userId)
      return push(count)
    }
    live.listen(busy)
    live.listen(ann)
    await until(() => polls.length > 10)
    await write(ann.userId)
    await until(() => ann.got.length === 1)
  })

  test.each<[string, (live: Live, stop: () => void) => void]>([
    ['there are no listeners', (_, stop) => stop()],
    ['all is closed', (live) => live.close()],
  ])('is not made if %s', async (_, quiet) => {
    const { live, polls } = watched(OFTEN)
    const ann = streamOf(newUser())
    const stop = live.listen(ann)
    await until(() => polls.length > 3)
    quiet(live, stop)
    const made = polls.length
    live.changed(ann.userId)
    const other = watched(OFTEN)
    other.live.listen(streamOf(newUser()))
    await until(() => other.polls.length > 20)
    expect(polls.length).toBe(made)
  })
})

describe('reminders', () => {
  /** Tells so many, as another process would. @returns the id of the last one */
  async function remind(userId: string, count = 1): Promise<number> {
    await write(userId)
    const rows = await sql<{ id: number }[]>`
      insert into told_reminders (user_id, task_id, due_at, minutes)
      select user_id, id, now(), n from (select user_id, max(id) as id from tasks where user_id = ${userId} group by 1) as task,
        generate_series(1, ${count}) as n
      returning id`
    return Math.max(...rows.map(({ id }) => id))
  }

  test('are all sent once and in order, also if there are many', async () => {
    const { live } = watched(OFTEN)
    const minutes: number[] = []
    const ann = streamOf(newUser(), {
      remind: (reminders) => void minutes.push(...reminders.map((each) => each.minutes)),
    })
    const known = streamOf(ann.userId)
    known.told = (await remind(ann.userId, 1100)) - 1
    live.listen(ann)
    live.listen(known)
    await until(() => minutes.length >= 1100 && known.reminded.length > 0)
    expect(minutes).toEqual(upTo(1100))
    expect(known.reminded).toHaveLength(1)
  })

  test('wait for a stream that takes nothing', async () => {
    const { live, polls } = watched(OFTEN)
    let isReady = false
    const slow = streamOf(newUser(), { isReady: () => isReady })
    const quick = streamOf(slow.userId)
    live.listen(slow)
    live.listen(quick)
    await remind(slow.userId)
    await until(() => quick.reminded.length === 1 && polls.length > 5)
    expect(slow.reminded).toEqual([])
    isReady = true
    await until(() => slow.reminded.length > 0)
    expect([slow.reminded, quick.reminded]).toEqual([quick.reminded, quick.reminded])
  })

  test('come after the change that made their task', async () => {
    const { live } = watched(OFTEN)
    const order: string[] = []
    const ann = streamOf(newUser(), {
      send: () => void order.push('task'),
      remind: () => void order.push('reminder'),
    })
    await remind(ann.userId)
    live.listen(ann)
    await until(() => order.length === 2)
    expect(order).toEqual(['task', 'reminder'])
  })

  test('are asked for by one small statement, and read only if there are new ones, for all who are behind', async () => {
    const first = await remind(newUser())
    const { live, polls, reminderPolls, asked } = watched(OFTEN)
    const streams = upTo(20).map(() => streamOf(newUser(), { told: first }))
    for (const stream of streams) live.listen(stream)
    await until(() => polls.length > 10)
    expect(reminderPolls).toEqual([])
    expect(polls.length - asked.count).toBeLessThanOrEqual(2)
    const ann = streams[7] ?? expect.unreachable()
    await remind(ann.userId)
    await until(() => ann.reminded.length === 1)
    const before = polls.length
    await until(() => polls.length > before + 5)
    expect(reminderPolls).toEqual([20])
  })

  test('are not asked for when a change is known of', async () => {
    const { live, polls, asked } = watched(TOLD)
    const ann = streamOf(newUser())
    live.listen(ann)
    // the first poll has read the changes, and does not find the one that follows
    await until(() => asked.count === 1)
    await write(ann.userId)
    live.changed(ann.userId)
    await until(() => ann.got.length === 1)
    expect([polls.length, asked.count]).toEqual([2, 1])
  })

  test('that could not be read are sent after the outage', async () => {
    const { live, asked, logged } = watched(OFTEN)
    const ann = streamOf(newUser())
    live.listen(ann)
    await until(() => asked.count > 2)
    await sql`alter table told_reminders rename to away`
    const before = asked.count
    await until(() => asked.count > before + 5)
    await sql`alter table away rename to told_reminders`
    await remind(ann.userId)
    await until(() => ann.reminded.length === 1 && logged.length === 2)
    expect(logged.map((line) => JSON.parse(line).level)).toEqual([40, 30])
  })
})

test('a stream that begins after the close ends, and costs nothing', async () => {
  const { live, polls } = watched(OFTEN)
  live.close()
  const late = streamOf(newUser())
  live.listen(late)
  await until(() => late.hasEnded)
  expect(live.count(late.userId)).toBe(0)
  expect(polls).toEqual([])
})

test('an outage is logged at its beginning and its end, and no change is lost', async () => {
  const { live, polls, logged } = watched(OFTEN)
  const ann = streamOf(newUser())
  live.listen(ann)
  await until(() => polls.length > 2)
  const before = polls.length
  await sql`alter table users rename to away`
  await until(() => polls.length > before + 10)
  await sql`alter table away rename to users`
  await write(ann.userId)
  await until(() => ann.got.length === 1 && logged.length === 2)
  expect(logged.map((line) => JSON.parse(line).level)).toEqual([40, 30])
})
