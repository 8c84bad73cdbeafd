import { describe, expect, test } from 'bun:test'
import type { Pool } from '../../src/database/pool'
import { purgeTold } from '../../src/reminders/purge'
import { findRemindedTasks, tellReminders } from '../../src/reminders/queries'
import { tellDueReminders } from '../../src/reminders/tell'
import { saveDraft } from '../../src/tasks/draft'
import { update } from '../../src/tasks/rules'
import { testApp } from '../support/app'
import { createDue, createTask, dueIn, pass } from '../support/reminders'

const { sql, call } = await testApp()

const TODOS = '/api/v1/todos'
const newUser = () => crypto.randomUUID()

async function tellAll(on: Pool = sql): Promise<void> {
  while (await tellDueReminders(on));
}

/** What was told of a task, in its order. */
async function toldOf(id: number): Promise<number[]> {
  const rows = await sql<
    { minutes: number }[]
  >`select minutes from told_reminders where task_id = ${id} order by id`
  return rows.map(({ minutes }) => minutes)
}

async function dueTold(id: number) {
  return [
    ...(await sql<
      { due_at: string; minutes: number }[]
    >`select due_at, minutes from told_reminders where task_id = ${id}`),
  ]
}

/** The next reminder, in minutes before the due moment; null if there is none. */
async function nextOf(id: number): Promise<number | null> {
  const [row] = await sql<{ minutes: number | null }[]>`
    select (extract(epoch from coalesce(due_at, overdue_at - interval '1 day') - remind_at) / 60)::integer as minutes
    from tasks where id = ${id}`
  return row?.minutes ?? null
}

const change = async (as: string, id: number, body: object) => {
  expect((await call('PATCH', `${TODOS}/${id}`, { as, body })).status).toBe(200)
}

/** Runs the second function while the first one's transaction is under way. */
async function during(
  first: (holder: Pool) => Promise<unknown>,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const holder = await sql.reserve()
  await holder`begin`
  try {
    await first(holder)
    await meanwhile()
  } finally {
    await holder`commit`
    holder.release()
  }
}

/** Tells, and fails if it would have to wait for a lock. */
async function tellWithoutWaiting(): Promise<void> {
  const impatient = await sql.reserve()
  await impatient`set lock_timeout = '2s'`
  try {
    await tellAll(impatient)
  } finally {
    await impatient`reset lock_timeout`
    impatient.release()
  }
}

describe('a reminder', () => {
  test('is told when it has fallen due, and not before', async () => {
    const ann = newUser()
    const id = await createTask(call, ann, { ...dueIn(60), reminders: [30] })
    await pass(sql, id, 29)
    await tellAll()
    expect(await toldOf(id)).toEqual([])
    await pass(sql, id, 2)
    await tellAll()
    const { body } = await call('GET', `${TODOS}/${id}`, { as: ann })
    expect(await dueTold(id)).toEqual([{ due_at: body.due_at, minutes: 30 }])
    expect(await nextOf(id)).toBeNull()
  })

  test('is told once, however often it is tried', async () => {
    const id = await createDue(call, sql, newUser())
    for (const _ of [1, 2, 3]) await tellAll()
    expect(await toldOf(id)).toEqual([30])
  })

  test('changes nothing that its user sees', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    const before = await call('GET', `${TODOS}/${id}`, { as: ann })
    await tellAll()
    const after = await call('GET', `${TODOS}/${id}`, { as: ann })
    expect(await toldOf(id)).toEqual([30])
    expect([after.body, after.headers.get('etag')]).toEqual([before.body, before.headers.get('etag')])
  })

  test('leaves the later ones of its task to their time', async () => {
    const id = await createTask(call, newUser(), { ...dueIn(60), reminders: [30, 10, -5] })
    await pass(sql, id, 31)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30], 10])
    await pass(sql, id, 20)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30, 10], -5])
    await pass(sql, id, 15)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30, 10, -5], null])
  })

  test('is told with others of its task that have fallen due meanwhile, in their order', async () => {
    const id = await createTask(call, newUser(), { ...dueIn(60), reminders: [0, 30, 10, 15] })
    await pass(sql, id, 51)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30, 15, 10], 0])
  })

  test('of a day without a time counts from the beginning of the day in its zone', async () => {
    // ahead of UTC by five hours and three quarters, all year
    const zone = 'Asia/Kathmandu'
    const day = Temporal.Now.plainDateISO(zone).add({ days: 2 })
    const begins = day.toZonedDateTime(zone).epochMilliseconds
    const minutes = Math.floor((begins - Date.now()) / 60_000) - 1
    const due = { due_date: day.toString(), time_zone: zone }
    const id = await createTask(call, newUser(), { ...due, reminders: [minutes, 1] })
    await sql`update tasks set remind_at = remind_at - interval '2 minutes', reminders = ${[minutes + 2, 1]} where id = ${id}`
    await tellAll()
    expect(await dueTold(id)).toEqual([{ due_at: new Date(begins).toISOString(), minutes: minutes + 2 }])
    expect(await nextOf(id)).toBe(1)
  })

  test('may fall due after the due moment', async () => {
    const id = await createTask(call, newUser(), { ...dueIn(5), reminders: [-60] })
    await pass(sql, id, 65)
    await tellAll()
    expect(await toldOf(id)).toEqual([])
    await pass(sql, id, 1)
    await tellAll()
    expect(await toldOf(id)).toEqual([-60])
  })
})

describe('of several who tell at once', () => {
  test('one that has read a task before another told of it leaves it as it is', async () => {
    const id = await createTask(call, newUser(), { ...dueIn(60), reminders: [30, 10] })
    await pass(sql, id, 31)
    const task = (await findRemindedTasks(sql, 500)).find((each) => each.id === id) ?? expect.unreachable()
    await tellAll()
    const late = { ...task, due_at: task.due_at ?? '', next_at: task.remind_at, minutes: [30] }
    expect(await tellReminders(sql, [late])).toBe(0)
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30], 10])
  })

  test('one tells each reminder', async () => {
    const ids = await Promise.all(
      Array.from({ length: 30 }, () => createDue(call, sql, newUser(), { reminders: [30, 45] })),
    )
    await Promise.all(Array.from({ length: 8 }, () => tellAll()))
    const rows = await sql<
      { task_id: number }[]
    >`select task_id from told_reminders where task_id = any (${ids})`
    expect(rows.map(({ task_id }) => task_id).sort()).toEqual([...ids, ...ids].sort())
  })

  test('the second does nothing until what the first tells can be seen', async () => {
    const [one, two] = [await createDue(call, sql, newUser()), await createDue(call, sql, newUser())]
    await during(
      async (holder) => {
        const tasks = (await findRemindedTasks(holder, 500)).filter(({ id }) => id === one)
        expect(tasks).toHaveLength(1)
        await tellOnly(holder, one)
      },
      async () => {
        await tellWithoutWaiting()
        expect(await toldOf(two)).toEqual([])
      },
    )
    await tellAll()
    expect([await toldOf(one), await toldOf(two)]).toEqual([[30], [30]])
    const rows = await sql<{ task_id: number }[]>`
      select task_id from told_reminders where task_id in (${one}, ${two}) order by id`
    expect(rows.map(({ task_id }) => task_id)).toEqual([one, two])
  })

  test('one that is killed leaves its reminders to the others', async () => {
    const id = await createDue(call, sql, newUser())
    const victim = await sql.reserve()
    const [{ pid } = { pid: 0 }] = await victim<{ pid: number }[]>`select pg_backend_pid() as pid`
    await victim`begin`
    await tellAll(victim)
    expect(await toldOf(id)).toEqual([])
    await sql`select pg_terminate_backend(${pid}, 10000)`
    victim.release()
    await tellAll()
    expect(await toldOf(id)).toEqual([30])
  })

  /** Tells the reminders of one task. */
  async function tellOnly(on: Pool, id: number): Promise<void> {
    const task = (await findRemindedTasks(on, 500)).find((each) => each.id === id) ?? expect.unreachable()
    const { due_at, reminders: minutes } = task
    await tellReminders(on, [{ ...task, next_at: null, due_at: due_at ?? '', minutes }])
  }
})

test('many tasks are told batch after batch', async () => {
  const ann = newUser()
  const first = await createDue(call, sql, ann)
  await tellAll()
  await sql`
    insert into tasks (user_id, title, created_at, updated_at, revision, due_date, due_time, time_zone, due_at, overdue_at,
      reminders, remind_at)
    select user_id, title, created_at, updated_at, revision, due_date, due_time, time_zone, due_at, overdue_at,
      reminders, due_at - interval '30 minutes'
    from tasks, generate_series(1, 1200) where tasks.id = ${first}`
  const batches: boolean[] = []
  do batches.push(await tellDueReminders(sql))
  while (batches.at(-1))
  expect(batches).toEqual([true, true, false])
  const told = await sql`select from told_reminders where user_id = ${ann}`
  expect(told).toHaveLength(1201)
})

describe('a task that is written meanwhile', () => {
  test('is told later, and neither waits', async () => {
    const id = await createDue(call, sql, newUser())
    await during(
      (holder) => holder`update tasks set title = 'y' where id = ${id}`,
      async () => {
        await tellWithoutWaiting()
        expect(await toldOf(id)).toEqual([])
      },
    )
    await tellAll()
    expect(await toldOf(id)).toEqual([30])
  })

  test('by a request that read it before is not told again', async () => {
    const ann = newUser()
    const id = await createTask(call, ann, { ...dueIn(60), reminders: [30, 10] })
    await pass(sql, id, 31)
    const caller = {
      id: ann,
      issuedAt: null,
      expiresAt: 4_000_000_000,
      sessionId: null,
      tokenId: null,
      scopes: null,
    }
    await saveDraft(sql, caller, {
      ids: [id],
      async work(draft) {
        await tellAll()
        expect(await toldOf(id)).toEqual([30])
        return update(draft, id, { priority: 'high' }, null)
      },
    })
    expect(await nextOf(id)).toBe(30)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[30], 10])
  })

  test('with another due moment after it was read is not told for the old one', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    const task = (await findRemindedTasks(sql, 500)).find((each) => each.id === id) ?? expect.unreachable()
    // the same moment to remind of, and another due moment
    await change(ann, id, { ...dueIn(90), reminders: [60, 30] })
    await sql`update tasks set remind_at = ${task.remind_at} where id = ${id}`
    expect(
      await tellReminders(sql, [{ ...task, due_at: task.due_at ?? '', next_at: null, minutes: [30] }]),
    ).toBe(0)
    expect(await toldOf(id)).toEqual([])
  })
})

describe('a user who is deleted', () => {
  test('meanwhile is not reminded, and neither waits for ever', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    await during((holder) => holder`delete from users where id = ${ann}`, tellWithoutWaiting)
    await tellAll()
    expect(await toldOf(id)).toEqual([])
  })

  test('while reminders are told waits for that, and leaves none', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    let deletion: Promise<unknown> = Promise.resolve()
    await during(
      (holder) => tellAll(holder),
      async () => {
        deletion = call('DELETE', '/api/v1/users/me', { as: ann })
        while (
          (
            await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
          ).length === 0
        );
      },
    )
    expect(await deletion).toMatchObject({ status: 204 })
    expect(await toldOf(id)).toEqual([])
  })
})

describe('a reminder is dropped, and the next one counts,', () => {
  const twice = { ...dueIn(60), reminders: [30, 10] }

  test.each<[string, (as: string, id: number) => Promise<unknown>]>([
    ['of a completed task', (as, id) => change(as, id, { completed: true })],
    ['of a task in the trash', (as, id) => call('DELETE', `${TODOS}/${id}`, { as })],
  ])('%s', async (_, prepare) => {
    const ann = newUser()
    const id = await createTask(call, ann, twice)
    await pass(sql, id, 31)
    await prepare(ann, id)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[], 10])
  })

  test('that was past already when it was set', async () => {
    const id = await createTask(call, newUser(), { ...dueIn(20), reminders: [30, 10] })
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[], 10])
    await pass(sql, id, 11)
    await tellAll()
    expect(await toldOf(id)).toEqual([10])
  })

  test('that is more than a day late', async () => {
    const [late, tooLate] = [1439, 1442]
    const [one, two] = [await createTask(call, newUser(), twice), await createTask(call, newUser(), twice)]
    await pass(sql, one, 30 + late)
    await pass(sql, two, 30 + tooLate)
    await tellAll()
    expect([await toldOf(one), await nextOf(one)]).toEqual([[30, 10], null])
    expect([await toldOf(two), await nextOf(two)]).toEqual([[10], null])
  })
})

test('a task that was deleted for good reminds of nothing', async () => {
  const ann = newUser()
  const id = await createDue(call, sql, ann)
  expect((await call('DELETE', `${TODOS}/${id}?permanent=true`, { as: ann })).status).toBe(204)
  await tellAll()
  expect([await toldOf(id), await nextOf(id)]).toEqual([[], null])
})

describe('reminders that have not fallen due', () => {
  test('come after a task was completed and taken back', async () => {
    const ann = newUser()
    const id = await createTask(call, ann, { ...dueIn(60), reminders: [30, 10] })
    await change(ann, id, { completed: true })
    await pass(sql, id, 31)
    await tellAll()
    await change(ann, id, { completed: false })
    await pass(sql, id, 20)
    await tellAll()
    expect(await toldOf(id)).toEqual([10])
  })

  test('go with the due moment', async () => {
    const ann = newUser()
    const id = await createTask(call, ann, { ...dueIn(60), reminders: [30] })
    await change(ann, id, dueIn(120))
    await pass(sql, id, 31)
    await tellAll()
    expect(await toldOf(id)).toEqual([])
    await pass(sql, id, 60)
    await tellAll()
    expect(await toldOf(id)).toEqual([30])
  })

  test('come again for another due moment', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    await tellAll()
    await change(ann, id, dueIn(60))
    await pass(sql, id, 35)
    await tellAll()
    expect(await toldOf(id)).toEqual([30, 30])
  })

  test('of the successor of a repeating task come in its turn', async () => {
    const ann = newUser()
    const id = await createTask(call, ann, { ...dueIn(60), reminders: [30], repeat: 'FREQ=DAILY' })
    const { body } = await call('PATCH', `${TODOS}/${id}`, { as: ann, body: { completed: true } })
    await pass(sql, id, 31)
    await pass(sql, body.next_id, 31)
    await tellAll()
    expect([await toldOf(id), await toldOf(body.next_id)]).toEqual([[], []])
    await pass(sql, body.next_id, 1440)
    await tellAll()
    expect(await toldOf(body.next_id)).toEqual([30])
  })
})

describe('after a day, a told reminder', () => {
  test('is purged, and not before', async () => {
    const [one, two] = [await createDue(call, sql, newUser()), await createDue(call, sql, newUser())]
    await tellAll()
    await sql`
      update told_reminders set told_at = now() - case when task_id = ${one} then 23 else 25 end * interval '1 hour'
      where task_id in (${one}, ${two})`
    expect(await purgeTold(sql)).toBe(false)
    expect([await toldOf(one), await toldOf(two)]).toEqual([[30], []])
  })

  test('is not told again by an old write', async () => {
    const id = await createDue(call, sql, newUser())
    await tellAll()
    await sql`delete from told_reminders where task_id = ${id}`
    await sql`
      update tasks set due_at = due_at - interval '1 day', remind_at = due_at - interval '1 day 30 minutes' where id = ${id}`
    await pass(sql, id, 1)
    await tellAll()
    expect([await toldOf(id), await nextOf(id)]).toEqual([[], null])
  })

  test('is purged a thousand at a time, past those that are in use', async () => {
    const ann = newUser()
    const id = await createDue(call, sql, ann)
    await sql`
      insert into told_reminders (user_id, task_id, due_at, minutes, told_at)
      select ${ann}, ${id}, now(), n, now() - interval '2 days' from generate_series(1, 1500) as n`
    await during(
      (holder) => holder`select from told_reminders where user_id = ${ann} and minutes = 7 for update`,
      async () => {
        expect([await purgeTold(sql), await purgeTold(sql)]).toEqual([true, false])
      },
    )
    expect(await toldOf(id)).toEqual([7])
  })
})
