/** What a task holds for planning, and what its fields need of one another. */
import { describe, expect, test } from 'bun:test'
import { dayAt, isDay, isTimeZone, momentsOf } from '../../src/tasks/due'
import { tagKey } from '../../src/tasks/planning'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

let users = 0
const newUser = () => `planner-${++users}`

const DUE = { due_date: '2027-03-01', due_time: '09:00', time_zone: 'Europe/Berlin' }

async function create(as: string, fields: object) {
  const { status, body } = await call('POST', TODOS, { as, body: { title: 'x', ...fields } })
  expect({ status, body }).toMatchObject({ status: 201 })
  return body
}

/** @returns the pointers of a 422 */
async function refusal(method: string, path: string, as: string, body: object | string): Promise<string[]> {
  const answer = await call(method, path, { as, body })
  expect([answer.status, answer.body.error_code]).toEqual([422, 'VALIDATION_ERROR'])
  return answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
}

test('every field is kept, and can be read again', async () => {
  const as = newUser()
  const fields = {
    priority: 'low',
    ...DUE,
    reminders: [0, 30, -60],
    repeat: 'FREQ=WEEKLY;BYDAY=MO',
    repeat_from: 'completion',
    tags: ['home', 'work'],
  }
  const task = await create(as, fields)
  expect(task).toMatchObject({ ...fields, due_at: '2027-03-01T08:00:00.000Z' })
  expect((await call('GET', `${TODOS}/${task.id}`, { as })).body).toEqual(task)
  expect((await call('GET', `${TODOS}/changes`, { as })).body.changes).toEqual([task])
})

test.each([
  ['due_date', ['2027-02-29', '2027-1-1', '1899-12-31', '10000-01-01', '', 20270101, '2027-01-01T00:00:00Z']],
  ['due_time', ['24:00', '9:00', '09:00:00', '', 9]],
  ['time_zone', ['Mars/Olympus', '+01:00', '', 'Europe/Berlin ', 1]],
  ['priority', ['urgent', '', 1]],
  ['reminders', [null, 5, [1, 2, 3, 4, 5, 6], [1, 1], [1.5], ['1'], [-1441], [40_321]]],
  ['repeat_from', [null, 'never', '']],
  ['tags', [null, 'home', ['a,b'], [' a'], ['a '], [''], ['x'.repeat(51)], [1], ['a', 'A'], ['ß', 'SS']]],
  ['list_id', ['1', 1.5, 0, 2 ** 40]],
  ['parent_id', ['1', -1, 2 ** 40]],
] as const)('%s refuses %p', async (field, values) => {
  for (const value of values) {
    // with all that the field may need, so that only its value is wrong
    const body = { title: 'x', ...DUE, [field]: value }
    const pointers = await refusal('POST', TODOS, 'ann', body)
    expect(pointers.every((pointer) => pointer.startsWith(`/${field}`))).toBe(true)
    expect(pointers.length).toBeGreaterThan(0)
  }
})

test('reminders refuses 0 and -0 together', async () => {
  const body = '{"title":"x","due_date":"2027-05-05","time_zone":"UTC","reminders":[0,-0]}'
  expect(await refusal('POST', TODOS, 'ann', body)).toEqual(['/reminders'])
})

test('a reminder after the year 9999 never falls due', async () => {
  const task = await create('ann', { due_date: '9999-12-31', time_zone: 'UTC', reminders: [-1440] })
  expect(task.reminders).toEqual([-1440])
})

test('at most 20 tags, with 50 characters each', async () => {
  const names = Array.from({ length: 21 }, (_, n) => String(n).padStart(3, '0') + '🥛'.repeat(47))
  expect(await refusal('POST', TODOS, 'ann', { title: 'x', tags: names })).toEqual(['/tags'])
  expect((await create('ann', { tags: names.slice(1) })).tags).toHaveLength(20)
})

describe('what a field needs', () => {
  test.each([
    [{ due_time: '09:00' }, ['/due_time']],
    [{ due_time: '09:00', due_date: '2027-01-01' }, ['/due_time']],
    [{ due_time: '09:00', time_zone: 'UTC' }, ['/due_time']],
    [{ reminders: [5] }, ['/reminders']],
    [{ reminders: [5], due_date: '2027-01-01' }, ['/reminders']],
    [{ repeat: 'FREQ=DAILY' }, ['/repeat']],
    [{ due_time: '09:00', reminders: [5], repeat: 'FREQ=DAILY' }, ['/due_time', '/reminders', '/repeat']],
    [{ due_time: '09:00', list_id: 2 ** 40, parent_id: 2 ** 40 }, ['/due_time', '/list_id', '/parent_id']],
  ])('is checked when a task is made: %j', async (fields, pointers) => {
    expect(await refusal('POST', TODOS, 'ann', { title: 'x', ...fields })).toEqual(pointers)
  })

  test('is checked when it is changed, and the member that needs is named', async () => {
    const as = newUser()
    const { id } = await create(as, { ...DUE, reminders: [5] })
    const path = `${TODOS}/${id}`
    expect(await refusal('PATCH', path, as, { time_zone: null })).toEqual(['/due_time', '/reminders'])
    expect(await refusal('PATCH', path, as, { due_date: null, due_time: '10:00' })).toEqual(['/due_time'])
    expect(await refusal('PATCH', path, as, { due_date: null, repeat: 'FREQ=DAILY' })).toEqual(['/repeat'])
    expect((await call('GET', path, { as })).body.revision).toBe(1)
  })

  test('goes with the due date, and the zone stays', async () => {
    const as = newUser()
    const { id } = await create(as, { ...DUE, reminders: [5], repeat: 'FREQ=DAILY' })
    const { body } = await call('PATCH', `${TODOS}/${id}`, { as, body: { due_date: null } })
    expect(body).toMatchObject({ due_date: null, due_time: null, due_at: null, reminders: [], repeat: null })
    expect(body.time_zone).toBe('Europe/Berlin')
  })

  test('is also promised by the database', async () => {
    const insert = (fields: object) =>
      sql`insert into tasks ${sql({
        user_id: 'ann',
        title: 'x',
        revision: 1,
        created_at: '2027-01-01T00:00:00Z',
        updated_at: '2027-01-01T00:00:00Z',
        ...fields,
      })}`.then(
        () => 'stored',
        (error) => error.constraint_name,
      )
    await create('ann', {})
    const day = { due_date: '2027-01-01', overdue_at: '2027-01-02T00:00:00Z' }
    expect(await insert({ due_time: '09:00', due_at: '2027-01-01T09:00:00Z' })).toBe(
      'tasks_due_date_and_what_needs_it',
    )
    expect(await insert({ ...day, time_zone: 'UTC', due_time: '09:00' })).toBe(
      'tasks_due_date_and_what_needs_it',
    )
    expect(await insert({ due_date: '2027-01-01' })).toBe('tasks_due_date_and_what_needs_it')
    expect(await insert({ ...day, due_date: '1899-12-31' })).toBe('tasks_due_date_and_what_needs_it')
    expect(await insert({ reminders: [5] })).toBe('tasks_due_date_and_what_needs_it')
    expect(await insert({ ...day, time_zone: 'UTC', reminders: [99_999] })).toBe('tasks_reminders_allowed')
    expect(await insert({ ...day, time_zone: 'UTC', reminders: [1, 2, 3, 4, 5, 6] })).toBe(
      'tasks_reminders_allowed',
    )
    expect(await insert({ ...day, time_zone: 'UTC', reminders: [] })).toBe('tasks_reminders_allowed')
    expect(await insert({ ...day, time_zone: 'UTC', remind_at: '2027-01-01T00:00:00Z' })).toBe(
      'tasks_reminders_allowed',
    )
    expect(await insert({ tags: Array.from({ length: 21 }, (_, n) => `${n}`) })).toBe('tasks_tags_count')
    expect(await insert({ repeat: 'FREQ=DAILY' })).toBe('tasks_due_date_and_what_needs_it')
    expect(await insert({ list_id: 2 ** 40 })).toBe('tasks_list_id_fkey')
    expect(await insert({ parent_id: 2 ** 40 })).toBe('tasks_parent_id_exists')
    const own = sql`update tasks set parent_id = id where user_id = 'ann'`
    await expect(own).rejects.toMatchObject({ constraint_name: 'tasks_parent_id_exists' })
    // which would clear it
    await sql`alter table tasks disable trigger tasks_complete`
    const ended = sql`update tasks set ended = true, deleted_at = now() where user_id = 'ann'`
    await expect(ended).rejects.toMatchObject({ constraint_name: 'tasks_ended_has_no_content' })
    await sql`alter table tasks enable trigger tasks_complete`
  })
})

test('nothing of a task that was ended stays behind', async () => {
  const as = newUser()
  const list = await sql<{ id: number }[]>`
    insert into lists (user_id, name, created_at, updated_at, revision)
    select ${as}, 'x', now(), now(), 1 from (
      insert into users (id, revision) values (${as}, 1) returning id
    ) as owner returning id`.catch(async () => {
    await sql`insert into users (id, revision) values (${as}, 1)`
    return sql<{ id: number }[]>`
      insert into lists (user_id, name, created_at, updated_at, revision)
      values (${as}, 'x', now(), now(), 1) returning id`
  })
  const fields = {
    ...DUE,
    reminders: [5],
    repeat: 'FREQ=DAILY',
    repeat_from: 'completion',
    tags: ['é'],
    priority: 'high',
    list_id: list[0]?.id,
  }
  const { id } = await create(as, { ...fields, title: 'É', description: 'y' })
  await call('POST', `${TODOS}/${id}/move`, { as, body: { to: 'last' } })
  await call('PATCH', `${TODOS}/${id}/complete`, { as, body: { completed: true } })
  expect((await call('DELETE', `${TODOS}/${id}?permanent=true`, { as })).status).toBe(204)
  const [row] = await sql<Record<string, unknown>[]>`select * from tasks where id = ${id}`
  const left = Object.entries(row ?? {}).filter(([, value]) => value !== null)
  expect(Object.fromEntries(left)).toEqual({
    user_id: as,
    id,
    title: '',
    completed: true,
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision: expect.any(Number),
    deleted_at: expect.any(String),
    ended: true,
    has_steps: false,
    deleted_with_parent: false,
  })
  expect(await sql`select * from task_tags where task_id = ${id}`).toHaveLength(0)
})

describe('completed_at', () => {
  test('is when the task was last completed, whichever way', async () => {
    const as = newUser()
    const { id, completed_at } = await create(as, {})
    expect(completed_at).toBeNull()
    const path = `${TODOS}/${id}`
    for (const [way, body] of [
      ['', { completed: true }],
      ['/complete', { completed: true }],
      ['/complete', undefined],
    ] as const) {
      const done = (await call('PATCH', path + way, { as, body })).body
      expect(done.completed_at).toBe(done.updated_at)
      // once more changes nothing about it
      const again = (await call('PATCH', path, { as, body: { completed: true, priority: 'high' } })).body
      expect(again.completed_at).toBe(done.completed_at)
      const open = (await call('PATCH', path, { as, body: { completed: false } })).body
      expect(open.completed_at).toBeNull()
    }
  })

  test('is set for a task that is made completed, plain or planned', async () => {
    for (const fields of [{}, { priority: 'low' }]) {
      const task = await create(newUser(), { completed: true, ...fields })
      expect(task.completed_at).toBe(task.created_at)
    }
  })

  test('is kept by the database for a service of the version before', async () => {
    const as = newUser()
    const { id } = await create(as, { tags: ['a'] })
    await sql`update tasks set completed = true, updated_at = now() where id = ${id}`
    const [done] = await sql<
      { is_set: boolean }[]
    >`select completed_at = updated_at as is_set from tasks where id = ${id}`
    expect(done?.is_set).toBe(true)
    await sql`update tasks set title = '', description = null, ended = true, deleted_at = now() where id = ${id}`
    const [ended] = await sql`select completed_at, tags from tasks where id = ${id}`
    expect(ended).toEqual({ completed_at: null, tags: null } as never)
  })
})

describe('tags', () => {
  test('are answered in alphabetical order, each as it was first spelled', async () => {
    const as = newUser()
    expect((await create(as, { tags: ['Zoo', 'éclair', 'Apple'] })).tags).toEqual(['Apple', 'éclair', 'Zoo'])
    expect((await create(as, { tags: ['ÉCLAIR', 'zoo', 'bee'] })).tags).toEqual(['bee', 'éclair', 'Zoo'])
  })

  test('end with their last task, and may then be spelled anew', async () => {
    const as = newUser()
    const { id } = await create(as, { tags: ['Home'] })
    await call('PATCH', `${TODOS}/${id}`, { as, body: { tags: [] } })
    expect((await create(as, { tags: ['HOME'] })).tags).toEqual(['HOME'])
  })

  test('of fifty concurrent tasks have one spelling', async () => {
    const as = newUser()
    const spellings = ['Home', 'HOME', 'home', 'hOME']
    const made = await Promise.all(
      Array.from({ length: 50 }, (_, n) => create(as, { tags: [spellings[n % 4]] })),
    )
    expect(new Set(made.flatMap(({ tags }) => tags)).size).toBe(1)
  })

  test('are the same here and in the database', async () => {
    for (const name of ['Straße', 'STRASSE', 'ΣΊΣΥΦΟΣ', 'σίσυφος', 'İstanbul', 'ﬁn', 'e\u0301', '東京']) {
      const [row] = await sql<{ key: string }[]>`select tag_key(${name}) as key`
      expect(row?.key).toBe(tagKey(name))
    }
  })
})

describe('a due moment', () => {
  const berlin = (due_date: string, due_time: string | null) =>
    momentsOf({ due_date, due_time, time_zone: 'Europe/Berlin', reminders: [] }, '2026-01-01T00:00:00Z')

  test('moves forward by the gap if the clock skips it, and is the first of two', () => {
    expect(berlin('2027-03-28', '02:30')?.due_at).toBe('2027-03-28T01:30:00.000Z')
    expect(berlin('2026-10-25', '02:30')?.due_at).toBe('2026-10-25T00:30:00.000Z')
  })

  test('of a day is its end in the zone, or in UTC', () => {
    expect(berlin('2027-03-28', null)?.overdue_at).toBe('2027-03-28T22:00:00.000Z')
    const utc = { due_date: '2027-03-28', due_time: null, time_zone: null, reminders: [] }
    expect(momentsOf(utc, '')?.overdue_at).toBe('2027-03-29T00:00:00.000Z')
  })

  test('is refused if it cannot be written', async () => {
    const body = { title: 'x', due_date: '9999-12-31', due_time: '23:00', time_zone: 'America/New_York' }
    expect(await refusal('POST', TODOS, 'ann', body)).toEqual(['/due_date'])
    const { due_date, due_at } = await create('ann', {
      due_date: '9999-12-31',
      time_zone: 'America/New_York',
    })
    expect([due_date, due_at]).toEqual(['9999-12-31', null])
    const early = { due_date: '1900-01-01', due_time: '00:00', time_zone: 'Asia/Tokyo' }
    expect((await create('ann', early)).due_at).toBe('1899-12-31T15:00:00.000Z')
  })

  test('follows each of the three fields', async () => {
    const as = newUser()
    const { id } = await create(as, DUE)
    const change = async (body: object) => (await call('PATCH', `${TODOS}/${id}`, { as, body })).body.due_at
    expect(await change({ time_zone: 'Asia/Tokyo' })).toBe('2027-03-01T00:00:00.000Z')
    expect(await change({ due_date: '2027-03-02' })).toBe('2027-03-02T00:00:00.000Z')
    expect(await change({ due_time: '18:30' })).toBe('2027-03-02T09:30:00.000Z')
    expect(await change({ title: 'y', completed: true })).toBe('2027-03-02T09:30:00.000Z')
    expect(await change({ due_time: null })).toBeNull()
  })

  test('of concurrent changes is that of the fields', async () => {
    const as = newUser()
    const { id } = await create(as, DUE)
    const zones = ['Europe/Berlin', 'Asia/Tokyo', 'America/New_York', 'UTC']
    const times = ['09:00', '10:30', '23:59']
    const changes = Array.from({ length: 24 }, (_, n) =>
      n % 2 ? { time_zone: zones[n % 4] } : { due_time: times[n % 3] },
    )
    const answers = await Promise.all(changes.map((body) => call('PATCH', `${TODOS}/${id}`, { as, body })))
    expect(answers.map(({ status }) => status)).toEqual(changes.map(() => 200))
    for (const { body } of answers) expect(body.due_at).toBe(momentsOf(body, '')?.due_at)
    expect(new Set(answers.map(({ body }) => body.revision)).size).toBe(changes.length)
  })

  test.each([
    ['2024-02-29', true],
    ['2023-02-29', false],
    ['1900-01-01', true],
    ['1899-12-31', false],
    ['9999-12-31', true],
    ['2026-13-01', false],
    ['2026-00-10', false],
  ])('%s is a day: %p', (text, isSo) => expect(isDay(text)).toBe(isSo))

  test.each([
    ['Europe/Berlin', true],
    ['UTC', true],
    ['Etc/GMT+5', true],
    ['+01:00', false],
    ['Europe/Nowhere', false],
    ['', false],
  ])('%p is a zone: %p', (name, isSo) => expect(isTimeZone(name)).toBe(isSo))

  test('falls on a day that depends on the zone', () => {
    expect(dayAt('2027-01-01T00:30:00Z', 'America/New_York')).toBe('2026-12-31')
    expect(dayAt('2027-01-01T00:30:00Z', null)).toBe('2027-01-01')
  })
})
