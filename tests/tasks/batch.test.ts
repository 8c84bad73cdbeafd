/** Several operations in one request. */
import { describe, expect, test } from 'bun:test'
import { openDatabase } from '../../src/database/database'
import { runBatch } from '../../src/tasks/batch'
import { type Draft, saveDraftOnce } from '../../src/tasks/draft'
import type { Task } from '../../src/tasks/model'
import { onlyOnce } from '../../src/tasks/once'
import { testApp } from '../support/app'

const { call, sql, url } = await testApp()
const limited = await testApp({ RATE_LIMIT_PER_MINUTE: '20' })
const TODOS = '/api/v1/todos'

async function create(as: string, fields: object = {}): Promise<Task> {
  return (await call('POST', TODOS, { as, body: { title: 'x', ...fields } })).body
}
const batch = (as: string, operations: object[], headers = {}) =>
  call('POST', `${TODOS}/batch`, { as, body: { operations }, headers })
const revisionOf = async (as: string) => {
  const [user] = await sql<{ revision: number }[]>`select revision from users where id = ${as}`
  return user?.revision ?? 0
}

test('each kind is done, in order, and answers its task', async () => {
  const as = crypto.randomUUID()
  const [a, b, c] = [await create(as), await create(as), await create(as)]
  await call('DELETE', `${TODOS}/${c.id}`, { as })
  const { status, body } = await batch(as, [
    { op: 'create', body: { title: 'new', tags: ['Home'] } },
    { op: 'update', id: a.id, body: { title: 'changed', tags: ['HOME'] } },
    { op: 'complete', id: a.id },
    { op: 'complete', id: b.id, completed: false },
    { op: 'restore', id: c.id },
    { op: 'move', id: c.id, to: 'first' },
    { op: 'delete', id: b.id, if_match: 6 },
  ])
  expect({ status, body }).toMatchObject({ status: 412 })
  const done = await batch(as, [
    { op: 'create', body: { title: 'new', tags: ['Home'] } },
    { op: 'update', id: a.id, body: { title: 'changed', tags: ['HOME'] } },
    { op: 'complete', id: a.id },
    { op: 'complete', id: b.id, completed: false },
    { op: 'restore', id: c.id },
    { op: 'move', id: c.id, to: 'first' },
    { op: 'delete', id: b.id },
  ])
  expect(done.status).toBe(200)
  const { results } = done.body
  expect(results).toMatchObject([
    { title: 'new', tags: ['Home'] },
    { id: a.id, title: 'changed', tags: ['Home'], completed: false },
    { id: a.id, completed: true },
    { id: b.id, completed: false },
    { id: c.id },
    { id: c.id },
    null,
  ])
  const stored = (await call('GET', `${TODOS}?sort=position`, { as })).body
  expect(stored.map(({ id }: Task) => id)).toEqual([c.id, a.id, results[0].id])
  expect(stored[1]).toEqual(results[2])
  const { changes } = (await call('GET', `${TODOS}/changes`, { as })).body
  expect(new Set(changes.map(({ revision }: Task) => revision)).size).toBe(changes.length)
  expect(Math.max(...changes.map(({ revision }: Task) => revision))).toBeLessThanOrEqual(await revisionOf(as))
})

describe('the first problem', () => {
  test.each([
    [{ op: 'update', id: 2 ** 40, body: { title: 'y' } }, 404, 'TASK_NOT_FOUND', '/operations/1'],
    [
      { op: 'create', body: { title: 'y', due_time: '09:00' } },
      422,
      'VALIDATION_ERROR',
      '/operations/1/body/due_time',
    ],
    [{ op: 'create', body: { title: '' } }, 422, 'VALIDATION_ERROR', '/operations/1/body/title'],
    [{ op: 'create', body: {} }, 422, 'VALIDATION_ERROR', '/operations/1/body/title'],
    [
      { op: 'create', body: { title: 'x', list_id: 2 ** 40 } },
      422,
      'VALIDATION_ERROR',
      '/operations/1/body/list_id',
    ],
    [{ op: 'update', id: 1, body: {} }, 422, 'VALIDATION_ERROR', '/operations/1/body'],
    [{ op: 'update', id: '1', body: { title: 'y' } }, 422, 'VALIDATION_ERROR', '/operations/1/id'],
    [{ op: 'complete', id: 1, body: {} }, 422, 'VALIDATION_ERROR', '/operations/1/body'],
    [{ op: 'erase', id: 1 }, 422, 'VALIDATION_ERROR', '/operations/1'],
    [{ id: 1 }, 422, 'VALIDATION_ERROR', '/operations/1'],
    [7, 422, 'VALIDATION_ERROR', '/operations/1'],
  ])('of %j is answered, and nothing is done', async (wrong, status, code, pointer) => {
    const as = crypto.randomUUID()
    const { id } = await create(as)
    const before = (await call('GET', TODOS, { as })).body
    const good = { op: 'update', id, body: { title: 'changed' } }
    const answer = await batch(as, [good, wrong as object, good])
    expect([answer.status, answer.body.error_code]).toEqual([status, code])
    expect(answer.body.errors.map((each: { pointer: string }) => each.pointer)).toEqual([pointer])
    expect((await call('GET', TODOS, { as })).body).toEqual(before)
    expect(await revisionOf(as)).toBe(1)
  })

  test('of a move names it', async () => {
    const as = crypto.randomUUID()
    const { id } = await create(as)
    const pointersOf = async (operation: object) =>
      (await batch(as, [{ op: 'move', id, ...operation }])).body.errors.map(
        (each: { pointer: string }) => each.pointer,
      )
    expect(await pointersOf({ after: 2 ** 40 })).toEqual(['/operations/0/after'])
    expect(await pointersOf({})).toEqual(['/operations/0'])
    expect(await pointersOf({ after: 1, to: 'first' })).toEqual(['/operations/0'])
  })

  test('of If-Match has the task as it is', async () => {
    const as = crypto.randomUUID()
    const task = await create(as)
    const answer = await batch(as, [
      { op: 'complete', id: task.id },
      { op: 'update', id: task.id, body: { title: 'y' }, if_match: 9 },
    ])
    expect([answer.status, answer.body.error_code]).toEqual([412, 'PRECONDITION_FAILED'])
    expect(answer.body.errors[0].pointer).toBe('/operations/1')
    // not as the first operation would have left it
    expect(answer.body.current).toEqual(task)
    expect(answer.headers.get('etag')).toBe(`"${task.revision}"`)
  })
})

test.each([[[]], [Array.from({ length: 101 }, () => ({ op: 'create', body: { title: 'x' } }))]])(
  'takes 1 to 100 operations',
  async (operations) => {
    const answer = await batch('ann', operations)
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/operations'])
  },
)

test('with a key is done once, and answered again', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as)
  const operations = [
    { op: 'create', body: { title: 'new' } },
    { op: 'delete', id },
  ]
  const headers = { 'idempotency-key': 'k' }
  const answers = await Promise.all(Array.from({ length: 8 }, () => batch(as, operations, headers)))
  const [first] = answers
  for (const answer of answers) expect([answer.status, answer.body]).toEqual([200, first?.body])
  expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).toHaveLength(7)
  expect((await call('GET', TODOS, { as })).body).toHaveLength(1)
  expect((await batch(as, [{ op: 'create', body: { title: 'other' } }], headers)).status).toBe(422)
})

test('with a key that fails because the same request has just been done is answered as that one', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as)
  const database = openDatabase({ url, poolSize: 1, requestTimeout: 10_000 })
  const now = Date.now() / 1000
  const caller = {
    id: as,
    issuedAt: now,
    expiresAt: now + 3600,
    sessionId: null,
    tokenId: null,
    scopes: null,
  }
  const key = { key: 'k', fingerprint: Buffer.alloc(32) }
  const work = (draft: Draft) => runBatch(draft, { operations: [{ op: 'delete', id }] })
  const send = () => saveDraftOnce(database.sql, caller, { ids: [id], work }, key)
  const answer = await onlyOnce(database.sql, caller, key, async () => {
    await send()
    return send()
  })
  expect(answer).toEqual({ answer: { results: [null] }, isReplay: true })
  const other = { ...key, key: 'other' }
  const again = onlyOnce(database.sql, caller, other, () =>
    saveDraftOnce(database.sql, caller, { ids: [id], work }, other),
  )
  await expect(again).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' })
  await database.end()
})

test('with a key that changes nothing is answered again, too', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as)
  const headers = { 'idempotency-key': 'k' }
  const restore = () => batch(as, [{ op: 'restore', id }], headers)
  const first = await restore()
  await call('DELETE', `${TODOS}/${id}`, { as })
  const again = await restore()
  expect([again.status, again.body, again.headers.get('idempotency-replayed')]).toEqual([
    200,
    first.body,
    'true',
  ])
  expect((await call('GET', `${TODOS}/${id}`, { as })).status).toBe(404)
  expect(await revisionOf(as)).toBe(2)
})

test('a tag ends when the last task that has it loses it, also within a batch', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as, { tags: ['Home'] })
  const { body } = await batch(as, [
    { op: 'update', id, body: { tags: [] } },
    { op: 'create', body: { title: 'new', tags: ['HOME'] } },
    { op: 'update', id, body: { tags: ['home'] } },
  ])
  expect(body.results.map(({ tags }: Task) => tags)).toEqual([[], ['HOME'], ['HOME']])
})

test('a hundred operations of a new user count as a hundred revisions', async () => {
  const as = crypto.randomUUID()
  const operations = Array.from({ length: 100 }, (_, n) => ({ op: 'create', body: { title: String(n) } }))
  const { status, body } = await batch(as, operations)
  expect(status).toBe(200)
  expect(body.results.map(({ revision }: Task) => revision)).toEqual(operations.map((_, n) => n + 1))
  expect((await call('GET', `${TODOS}?limit=200`, { as })).body).toHaveLength(100)
})

test('batches at once are all done', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      n % 2
        ? call('POST', TODOS, { as, body: { title: `plain ${n}` } })
        : batch(as, [
            { op: 'create', body: { title: `one of ${n}` } },
            { op: 'update', id, body: { title: `changed by ${n}` } },
          ]),
    ),
  )
  expect(answers.every(({ status }) => status < 300)).toBe(true)
  const { changes } = (await call('GET', `${TODOS}/changes`, { as })).body
  expect(changes).toHaveLength(21)
  expect(new Set(changes.map(({ revision }: Task) => revision)).size).toBe(21)
})

test('counts as its number of operations', async () => {
  const operations = Array.from({ length: 15 }, () => ({ op: 'create', body: { title: 'x' } }))
  const send = () => limited.call('POST', `${TODOS}/batch`, { as: 'bob', body: { operations } })
  const first = await send()
  expect([first.status, first.headers.get('ratelimit')?.split(';')[1]]).toEqual([200, 'r=5'])
  expect((await send()).status).toBe(429)
  const listed = await limited.call('GET', TODOS, { as: 'carl' })
  expect(listed.status).toBe(200)
})
