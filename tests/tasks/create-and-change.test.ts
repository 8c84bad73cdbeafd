import { describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

let users = 0
/** Each test has its own user. */
const newUser = () => `user-${++users}`

async function create(user: string, body: Record<string, unknown> = { title: 'task' }) {
  return (await call('POST', TODOS, { as: user, body })).body
}

describe('creating', () => {
  test('answers 201 with the task and its location', async () => {
    const user = newUser()
    const { status, headers, body } = await call('POST', TODOS, { as: user, body: { title: 'Milk' } })
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`${TODOS}/${body.id}`)
    expect(body).toEqual({
      id: expect.any(Number),
      user_id: user,
      title: 'Milk',
      description: null,
      completed: false,
      priority: null,
      due_date: null,
      due_time: null,
      time_zone: null,
      reminders: [],
      repeat: null,
      repeat_from: 'due',
      tags: [],
      list_id: null,
      parent_id: null,
      completed_at: null,
      due_at: null,
      position: `p${String(body.id).padStart(16, '0')}`,
      next_id: null,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updated_at: body.created_at,
      revision: 1,
    })
  })

  test('keeps every field as it was sent', async () => {
    const sent = {
      title: '  ünïcode 👩‍👩‍👧 "quotes" \\ \n\t ',
      description: '<b>&amp;\u2028',
      completed: true,
    }
    expect(await create(newUser(), sent)).toMatchObject(sent)
  })

  test('creates the user with the first task and counts every write', async () => {
    const user = newUser()
    expect((await create(user)).revision).toBe(1)
    expect((await create(user)).revision).toBe(2)
    expect(await sql`select revision from users where id = ${user}`).toEqual([{ revision: 2 }] as never)
  })

  test('gives fifty concurrent tasks ids, times and revisions in the same order', async () => {
    const user = newUser()
    const made = await Promise.all(Array.from({ length: 50 }, () => create(user)))
    const byId = made.toSorted((a, b) => a.id - b.id)
    expect(byId.map((task) => task.revision)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    expect(byId.map((task) => task.created_at)).toEqual(made.map((task) => task.created_at).toSorted())
  })

  test('at the address with an owner answers with that address', async () => {
    const user = newUser()
    const { status, headers, body } = await call('POST', `/api/${user}/tasks/`, {
      as: user,
      body: { title: 'x' },
    })
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`/api/${user}/tasks/${body.id}`)
    expect((await call('GET', `/api/me/tasks/${body.id}`, { as: user })).body).toEqual(body)
  })
})

describe('a field', () => {
  const TITLE = { in: 'body', pointer: '/title' }
  const DESCRIPTION = { in: 'body', pointer: '/description' }
  const COMPLETED = { in: 'body', pointer: '/completed' }

  test.each([
    ['a title of one character', { title: 'x' }],
    ['a title of 200 characters', { title: 'x'.repeat(200) }],
    ['a title of 200 characters outside the basic plane', { title: '😀'.repeat(200) }],
    ['a description of 1,000 characters', { title: 'x', description: '😀'.repeat(1000) }],
    ['an empty description', { title: 'x', description: '' }],
    ['a null description', { title: 'x', description: null }],
    ['a title that is one zero-width joiner, which is no white space', { title: '\u200d' }],
  ])('may be %s', async (_, body) => {
    const answer = await call('POST', TODOS, { as: newUser(), body })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject(body)
  })

  test.each([
    ['no title', {}, TITLE],
    ['an empty title', { title: '' }, TITLE],
    ['a title of 201 characters', { title: 'x'.repeat(201) }, TITLE],
    ['a title of 201 characters outside the basic plane', { title: '😀'.repeat(201) }, TITLE],
    ['a title of spaces', { title: '   ' }, TITLE],
    ['a title of white space that is not ASCII', { title: '\u00a0\u2003\u3000\u0085\u2028' }, TITLE],
    ['a null title', { title: null }, TITLE],
    ['a title that is a number', { title: 5 }, TITLE],
    ['a title with NUL', { title: 'a\0b' }, TITLE],
    ['a title with a lone surrogate', '{"title":"a\\ud800b"}', TITLE],
    ['a description of 1,001 characters', { title: 'x', description: 'x'.repeat(1001) }, DESCRIPTION],
    ['a description with NUL', { title: 'x', description: '\0' }, DESCRIPTION],
    ['a description with a lone surrogate', '{"title":"x","description":"\\udfff"}', DESCRIPTION],
    ['a description that is a list', { title: 'x', description: [] }, DESCRIPTION],
    ['completed as text', { title: 'x', completed: 'true' }, COMPLETED],
    ['completed as a number', { title: 'x', completed: 1 }, COMPLETED],
    ['null for completed', { title: 'x', completed: null }, COMPLETED],
    ['an unknown field', { title: 'x', priority: 1 }, { in: 'body', pointer: '/priority' }],
    ['an id', { title: 'x', id: 1 }, { in: 'body', pointer: '/id' }],
    ['another owner', { title: 'x', user_id: 'mallory' }, { in: 'body', pointer: '/user_id' }],
    ['a prototype', '{"title":"x","__proto__":{"completed":true}}', { in: 'body', pointer: '/__proto__' }],
    ['an unknown field with a slash', { title: 'x', 'a/b': 1 }, { in: 'body', pointer: '/a~1b' }],
  ])('cannot be %s', async (_, body, error) => {
    const answer = await call('POST', TODOS, { as: newUser(), body })
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_ERROR' } })
    expect(answer.body.errors).toEqual([{ ...error, detail: expect.any(String) }])
  })

  test('is named if it is wrong, without the value that was sent', async () => {
    const body = { title: 7, description: 8, completed: 'hunter2', secret: 'hunter2' }
    const answer = await call('POST', TODOS, { as: newUser(), body })
    const pointers = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
    expect(pointers.toSorted()).toEqual(['/completed', '/description', '/secret', '/title'])
    expect(JSON.stringify(answer.body)).not.toContain('hunter2')
  })
})

describe.each(['PUT', 'PATCH'])('%s', (method) => {
  test('changes only the fields that are sent', async () => {
    const user = newUser()
    const task = await create(user, { title: 'old', description: 'kept', completed: true })
    const { status, body } = await call(method, `${TODOS}/${task.id}`, { as: user, body: { title: 'new' } })
    expect(status).toBe(200)
    expect(body).toEqual({ ...task, title: 'new', updated_at: body.updated_at, revision: 2 })
    expect((await call('GET', `${TODOS}/${task.id}`, { as: user })).body).toEqual(body)
  })

  test('clears the description with null', async () => {
    const user = newUser()
    const task = await create(user, { title: 'x', description: 'gone soon' })
    const { body } = await call(method, `${TODOS}/${task.id}`, { as: user, body: { description: null } })
    expect(body).toMatchObject({ title: 'x', description: null })
  })

  test.each([
    ['{}', '', 'must have at least one field'],
    ['{"title":null}', '/title', expect.any(String)],
    ['{"completed":null}', '/completed', expect.any(String)],
    ['{"title":"x","due":1}', '/due', 'is not a known field'],
    ['[]', '', 'must be a JSON object'],
    ['null', '', 'must be a JSON object'],
  ])('refuses %s', async (body, pointer, detail) => {
    const user = newUser()
    const task = await create(user)
    const answer = await call(method, `${TODOS}/${task.id}`, { as: user, body })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer, detail }] } })
    expect((await call('GET', `${TODOS}/${task.id}`, { as: user })).body).toEqual(task)
  })
})

describe('completing', () => {
  test('without a body toggles', async () => {
    const user = newUser()
    const { id } = await create(user)
    const path = `${TODOS}/${id}/complete`
    expect(await call('PATCH', path, { as: user })).toMatchObject({
      status: 200,
      body: { completed: true, revision: 2 },
    })
    expect((await call('PATCH', path, { as: user })).body).toMatchObject({ completed: false, revision: 3 })
  })

  test('with a body sets, so that a retry is safe', async () => {
    const user = newUser()
    const { id } = await create(user)
    for (const completed of [true, true, false, false]) {
      const { body } = await call('PATCH', `/api/${user}/tasks/${id}/complete`, {
        as: user,
        body: { completed },
      })
      expect(body.completed).toBe(completed)
    }
  })

  test.each(['{}', '{"completed":null}', '{"completed":"yes"}', '{"completed":true,"title":"x"}', '5', '[]'])(
    'refuses the body %s',
    async (body) => {
      const user = newUser()
      const { id } = await create(user)
      expect((await call('PATCH', `${TODOS}/${id}/complete`, { as: user, body })).status).toBe(422)
    },
  )

  test('an odd number of concurrent toggles ends completed', async () => {
    const user = newUser()
    const { id } = await create(user)
    await Promise.all(
      Array.from({ length: 25 }, () => call('PATCH', `${TODOS}/${id}/complete`, { as: user })),
    )
    expect((await call('GET', `${TODOS}/${id}`, { as: user })).body).toMatchObject({
      completed: true,
      revision: 26,
    })
  })
})

describe('deleting', () => {
  test('answers 204 without a body or a tag, and 404 the second time', async () => {
    const user = newUser()
    const { id } = await create(user)
    const deleted = await call('DELETE', `${TODOS}/${id}`, { as: user })
    expect(deleted).toMatchObject({ status: 204, body: '' })
    expect(deleted.headers.has('etag')).toBe(false)
    expect(await call('DELETE', `${TODOS}/${id}`, { as: user })).toMatchObject({ status: 404 })
  })

  test('leaves a tombstone with a new revision', async () => {
    const user = newUser()
    const { id } = await create(user)
    await call('DELETE', `${TODOS}/${id}`, { as: user })
    const rows =
      await sql`select revision, deleted_at is not null as deleted from tasks where user_id = ${user}`
    expect(rows).toEqual([{ revision: 2, deleted: true }] as never)
  })

  test.each([
    ['GET', ''],
    ['PUT', ''],
    ['PATCH', ''],
    ['PATCH', '/complete'],
    ['DELETE', ''],
  ])('makes %s %s answer 404 without a new revision', async (method, suffix) => {
    const user = newUser()
    const { id } = await create(user)
    await call('DELETE', `${TODOS}/${id}`, { as: user })
    const body = method === 'PUT' || (method === 'PATCH' && suffix === '') ? { title: 'x' } : undefined
    const answer = await call(method, `${TODOS}/${id}${suffix}`, { as: user, body })
    expect(answer).toMatchObject({ status: 404, body: { error_code: 'TASK_NOT_FOUND' } })
    expect(await sql`select revision from users where id = ${user}`).toEqual([{ revision: 2 }] as never)
  })

  test('by twenty concurrent requests succeeds once', async () => {
    const user = newUser()
    const { id } = await create(user)
    const all = await Promise.all(
      Array.from({ length: 20 }, () => call('DELETE', `${TODOS}/${id}`, { as: user })),
    )
    expect(all.map(({ status }) => status).toSorted()).toEqual([204, ...Array(19).fill(404)])
  })
})

describe("a task's id", () => {
  test.each(['0', '-1', 'abc', '1.5', '1e3', '0x10', '%20', '１'])('cannot be %s', async (id) => {
    const answer = await call('GET', `${TODOS}/${id}`, { as: newUser() })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'path', pointer: 'id' }] } })
  })

  test.each(['1', '9007199254740991', '9007199254740992', '9223372036854775808', '9'.repeat(300)])(
    'that no task has is 404: %s',
    async (id) => {
      const answer = await call('GET', `${TODOS}/${id}`, { as: newUser() })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'TASK_NOT_FOUND' } })
    },
  )
})

describe("another user's task", () => {
  test.each([
    ['GET', '', undefined],
    ['PUT', '', { title: 'mine' }],
    ['PATCH', '', { title: 'mine' }],
    ['PATCH', '/complete', undefined],
    ['DELETE', '', undefined],
  ])('answers %s %s like a task that does not exist', async (method, suffix, body) => {
    const [owner, stranger] = [newUser(), newUser()]
    const task = await create(owner)
    await create(stranger)
    const answers = await Promise.all(
      [task.id, Number.MAX_SAFE_INTEGER].map((id) =>
        call(method, `${TODOS}/${id}${suffix}`, { as: stranger, body }),
      ),
    )
    const [theirs, none] = answers.map((answer) => ({
      ...answer.body,
      request_id: '',
      status: answer.status,
    }))
    expect(theirs).toEqual(none)
    expect(theirs.status).toBe(404)
    expect((await call('GET', `${TODOS}/${task.id}`, { as: owner })).body).toEqual(task)
  })

  test('is 403 at its owner’s address, before anything is read', async () => {
    const [owner, stranger] = [newUser(), newUser()]
    const { id } = await create(owner)
    for (const path of [
      `/api/${owner}/tasks`,
      `/api/${owner}/tasks/${id}`,
      '/api/nobody/tasks',
      '/api/nobody/tasks/x',
    ]) {
      const answer = await call('GET', path, { as: stranger })
      expect(answer).toMatchObject({ status: 403, body: { error_code: 'OWNER_MISMATCH' } })
    }
  })
})

test.each(['a/b', 'ü 50%', 'me', 'v1', 'v1x', 'x'.repeat(255), '😀'.repeat(255), "'; drop table tasks; --"])(
  'a user may be called %s',
  async (user) => {
    const path = `/api/${encodeURIComponent(user)}/tasks`
    const created = await call('POST', path, { as: user, body: { title: 'x' } })
    expect(created).toMatchObject({ status: 201, body: { user_id: user } })
    expect((await call('GET', created.headers.get('location') ?? '', { as: user })).body).toEqual(
      created.body,
    )
  },
)
