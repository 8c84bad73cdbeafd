/** Tasks that repeat: what follows when one is completed, whichever way. */
import { describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

let users = 0
const newUser = () => `repeater-${++users}`
const today = new Date().toISOString().slice(0, 10)
const daysFromNow = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

async function create(as: string, fields: object) {
  const { status, body } = await call('POST', TODOS, { as, body: { title: 'x', ...fields } })
  expect({ status, body }).toMatchObject({ status: 201 })
  return body
}
const read = async (as: string, id: number) => (await call('GET', `${TODOS}/${id}`, { as })).body
const complete = async (as: string, id: number, completed: boolean | undefined = true) =>
  (await call('PATCH', `${TODOS}/${id}/complete`, { as, body: { completed } })).body
const listed = async (as: string, query = '') => (await call('GET', `${TODOS}${query}`, { as })).body

const WAYS: [name: string, complete: (as: string, id: number) => Promise<{ status: number }>][] = [
  ['PATCH', (as, id) => call('PATCH', `${TODOS}/${id}`, { as, body: { completed: true } })],
  ['PUT', (as, id) => call('PUT', `${TODOS}/${id}`, { as, body: { completed: true, title: 'y' } })],
  ['complete', (as, id) => call('PATCH', `${TODOS}/${id}/complete`, { as, body: { completed: true } })],
  ['toggle', (as, id) => call('PATCH', `${TODOS}/${id}/complete`, { as })],
  [
    'batch',
    (as, id) => call('POST', `${TODOS}/batch`, { as, body: { operations: [{ op: 'complete', id }] } }),
  ],
]

test.each(WAYS)('completing by %s makes one successor', async (_, finish) => {
  const as = newUser()
  const task = await create(as, {
    due_date: daysFromNow(3),
    repeat: 'FREQ=DAILY;COUNT=3',
    tags: ['a'],
    priority: 'low',
  })
  expect((await finish(as, task.id)).status).toBe(200)
  const done = await read(as, task.id)
  expect(done).toMatchObject({ completed: true, due_date: daysFromNow(3), repeat: 'FREQ=DAILY;COUNT=3' })
  const next = await read(as, done.next_id)
  expect(next).toMatchObject({
    title: done.title,
    completed: false,
    completed_at: null,
    due_date: daysFromNow(4),
    repeat: 'FREQ=DAILY;COUNT=2',
    tags: ['a'],
    priority: 'low',
    next_id: null,
  })
  expect(next.revision).toBeGreaterThan(task.revision)
  expect((await listed(as, '?sort=position')).at(-1).id).toBe(next.id)
})

test('a hundred completions at once make one successor', async () => {
  const as = newUser()
  const { id } = await create(as, { due_date: daysFromNow(1), repeat: 'FREQ=DAILY' })
  const answers = await Promise.all(Array.from({ length: 100 }, () => complete(as, id)))
  expect(new Set(answers.map(({ next_id }) => next_id)).size).toBe(1)
  expect(await listed(as)).toHaveLength(2)
  const [row] = await sql<{ revision: number }[]>`select revision from users where id = ${as}`
  expect(new Set(answers.map(({ revision }) => revision)).size).toBe(100)
  expect(row?.revision).toBeGreaterThanOrEqual(102)
})

test('a rule ends with the last moment that can be written', async () => {
  const as = newUser()
  const last = {
    due_date: '9999-12-30',
    due_time: '23:59',
    time_zone: 'Pacific/Honolulu',
    repeat: 'FREQ=DAILY',
  }
  const { id } = await create(as, last)
  expect(await complete(as, id)).toMatchObject({ completed: true, next_id: null })
})

test('a task that is made completed has no successor', async () => {
  const as = newUser()
  const task = await create(as, { completed: true, due_date: today, repeat: 'FREQ=DAILY' })
  expect(task.next_id).toBeNull()
  expect(await listed(as)).toHaveLength(1)
})

test('the rule that comes with the completion counts', async () => {
  const as = newUser()
  const { id } = await create(as, { due_date: daysFromNow(5), repeat: 'FREQ=DAILY' })
  const without = await call('PATCH', `${TODOS}/${id}`, { as, body: { completed: true, repeat: null } })
  expect(without.body.next_id).toBeNull()
  const other = await create(as, { due_date: daysFromNow(5) })
  const body = { completed: true, repeat: 'FREQ=DAILY;INTERVAL=2' }
  const done = (await call('PATCH', `${TODOS}/${other.id}`, { as, body })).body
  expect((await read(as, done.next_id)).due_date).toBe(daysFromNow(7))
})

describe('the next day', () => {
  const nextOf = async (fields: object) => {
    const as = newUser()
    const { next_id } = await complete(as, (await create(as, fields)).id)
    return next_id === null ? null : (await read(as, next_id)).due_date
  }

  test('is the first of the rule that is not before today', async () => {
    expect(await nextOf({ due_date: '1970-01-01', repeat: 'FREQ=DAILY', time_zone: 'UTC' })).toBe(today)
    const weekly = await nextOf({ due_date: daysFromNow(-15), repeat: 'FREQ=WEEKLY', time_zone: 'UTC' })
    expect(weekly).toBe(daysFromNow(6))
  })

  test('is counted from the completion if the task says so', async () => {
    const rule = { repeat: 'FREQ=DAILY;INTERVAL=3', repeat_from: 'completion', time_zone: 'UTC' }
    expect(await nextOf({ due_date: daysFromNow(-10), ...rule })).toBe(daysFromNow(3))
    expect(await nextOf({ due_date: daysFromNow(10), ...rule })).toBe(daysFromNow(3))
  })

  test('skips days that a month lacks', async () => {
    expect(await nextOf({ due_date: '2099-01-31', repeat: 'FREQ=MONTHLY' })).toBe('2099-03-31')
  })

  test.each(['FREQ=DAILY;COUNT=1', 'FREQ=DAILY;UNTIL=20990101', 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30'])(
    'of %s is none',
    async (repeat) => expect(await nextOf({ due_date: '2099-01-01', repeat })).toBeNull(),
  )

  test('has the same time on the clock, and reminders that count from it', async () => {
    const as = newUser()
    const due = { due_date: '2099-03-28', due_time: '02:30', time_zone: 'Europe/Berlin', reminders: [60] }
    const { next_id } = await complete(as, (await create(as, { ...due, repeat: 'FREQ=DAILY' })).id)
    const next = await read(as, next_id)
    expect(next).toMatchObject({
      due_date: '2099-03-29',
      due_time: '02:30',
      due_at: '2099-03-29T01:30:00.000Z',
    })
    const [row] = await sql<{ remind_at: string }[]>`select remind_at from tasks where id = ${next_id}`
    expect(row?.remind_at).toBe('2099-03-29T00:30:00.000Z')
  })

  test.each([
    ['FREQ=HOURLY', 'FREQ'],
    ['FREQ=DAILY;BYHOUR=3', 'BYHOUR'],
    ['FREQ=DAILY;INTERVAL=0', 'INTERVAL'],
    ['FREQ=DAILY;INTERVAL=1000', 'INTERVAL'],
    ['FREQ=WEEKLY;BYDAY=1MO', 'BYDAY'],
    ['FREQ=DAILY;COUNT=2;UNTIL=20300101', 'COUNT'],
    ['DTSTART=20270101;FREQ=DAILY', 'DTSTART'],
    ['INTERVAL=2', 'FREQ'],
  ])('%s is refused, and %s is named', async (repeat, part) => {
    const answer = await call('POST', TODOS, { as: 'ann', body: { title: 'x', due_date: today, repeat } })
    expect(answer.status).toBe(422)
    expect(answer.body.errors).toMatchObject([{ in: 'body', pointer: '/repeat' }])
    expect(answer.body.errors[0].detail).toContain(part)
  })
})

describe('taking a completion back', () => {
  const REPEATING = { due_date: daysFromNow(1), repeat: 'FREQ=DAILY' }

  test.each(WAYS.slice(0, 4))('moves an untouched successor to the trash, after %s', async (_, finish) => {
    const as = newUser()
    const { id } = await create(as, REPEATING)
    await finish(as, id)
    const { next_id } = await read(as, id)
    expect(await complete(as, id, false)).toMatchObject({ completed: false, next_id: null })
    expect((await call('GET', `${TODOS}/${next_id}`, { as })).status).toBe(404)
    expect((await listed(as, '/trash')).map((task: { id: number }) => task.id)).toEqual([next_id])
    const again = await complete(as, id)
    expect(again.next_id).toBeGreaterThan(next_id)
  })

  test('leaves a successor that was changed in any way, and completing again makes no second one', async () => {
    const touches: ((as: string, id: number) => Promise<unknown>)[] = [
      (as, id) => call('PATCH', `${TODOS}/${id}`, { as, body: { title: 'y' } }),
      (as, id) => call('POST', `${TODOS}/${id}/move`, { as, body: { to: 'first' } }),
      (as, id) => create(as, { parent_id: id }),
      (as, id) => complete(as, id),
    ]
    for (const touch of touches) {
      const as = newUser()
      const { id } = await create(as, REPEATING)
      const { next_id } = await complete(as, id)
      // its times are in milliseconds, so that a change within the same one looks like none
      await Bun.sleep(2)
      await touch(as, next_id)
      expect((await complete(as, id, false)).next_id).toBe(next_id)
      expect((await complete(as, id)).next_id).toBe(next_id)
      expect((await call('GET', `${TODOS}/${next_id}`, { as })).status).toBe(200)
    }
  })
})

test('the successor has copies of the living steps, not completed', async () => {
  const as = newUser()
  const { id } = await create(as, { due_date: daysFromNow(1), repeat: 'FREQ=DAILY' })
  const steps = []
  for (const title of ['one', 'two', 'gone'])
    steps.push(await create(as, { title, parent_id: id, tags: [title] }))
  await complete(as, steps[0].id)
  await call('POST', `${TODOS}/${steps[1].id}/move`, { as, body: { to: 'first' } })
  await call('DELETE', `${TODOS}/${steps[2].id}`, { as })
  const { next_id } = await complete(as, id)
  const copies = await listed(as, `?parent_id=${next_id}&sort=position`)
  expect(copies).toMatchObject([
    { title: 'two', completed: false, tags: ['two'] },
    { title: 'one', completed: false, tags: ['one'] },
  ])
  expect(await listed(as, `?parent_id=${id}`)).toHaveLength(2)
  // the copies go with the successor
  await complete(as, id, false)
  expect(await listed(as, '/trash')).toHaveLength(4)
})
