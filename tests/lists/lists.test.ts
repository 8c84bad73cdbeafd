import { afterAll, describe, expect, test } from 'bun:test'
import postgres from 'postgres'
import { testApp } from '../support/app'

const { call, sql, url } = await testApp()
const LISTS = '/api/v1/lists'
const TODOS = '/api/v1/todos'
const ADDRESSES = [LISTS, '/api/me/lists'] as const

/** A connection for the transactions of these tests. */
const others = postgres(url, { max: 2 })
afterAll(() => others.end())

const newUser = () => crypto.randomUUID()
const create = async (as: string, body: unknown = { name: 'Household' }) =>
  (await call('POST', LISTS, { as, body })).body
const read = async (as: string, id: number) => (await call('GET', `${LISTS}/${id}`, { as })).body
const task = async (as: string, body: object) =>
  (await call('POST', TODOS, { as, body: { title: 'x', ...body } })).body
const readTask = async (as: string, id: number) => (await call('GET', `${TODOS}/${id}`, { as })).body
const namesOf = async (as: string) =>
  (await call('GET', LISTS, { as })).body.map(({ name }: { name: string }) => name)
const tagOf = ({ headers }: { headers: Headers }) => headers.get('etag') ?? ''
const revisionOf = async (as: string) =>
  (await sql<{ revision: number }[]>`select revision from users where id = ${as}`)[0]?.revision

/** All rows of a user's tasks, those in the trash too. */
const rowsOf = (as: string) =>
  sql<
    {
      id: number
      list_id: number | null
      deleted_at: string | null
      deleted_with_parent: boolean
      revision: number
    }[]
  >`select id, list_id, deleted_at, deleted_with_parent, revision from tasks where user_id = ${as} order by id`

/** Refuses all tokens of a user that there are. */
const refuse = (as: string) => sql`update users set refuse_tokens_until = 'infinity' where id = ${as}`

/** Runs a request while another transaction of the same user is under way, which ends once the request waits for it. */
async function during<T>(
  hold: (holder: postgres.ReservedSql) => Promise<unknown>,
  request: () => Promise<T>,
) {
  const holder = await others.reserve()
  await holder`begin`
  await hold(holder)
  const answer = request()
  const waiting = () =>
    others`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  while ((await waiting()).length === 0);
  await holder`commit`
  holder.release()
  return answer
}

describe.each(ADDRESSES)('at %s', (address) => {
  test('a list that is created is answered, read and listed', async () => {
    const as = newUser()
    const { status, headers, body } = await call('POST', address, { as, body: { name: ' Home ' } })
    expect(status).toBe(201)
    expect(body).toEqual({
      id: expect.any(Number),
      user_id: as,
      name: ' Home ',
      color: null,
      archived: false,
      position: `p${String(body.id).padStart(16, '0')}`,
      open_count: 0,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updated_at: body.created_at,
      revision: 1,
    })
    expect(headers.get('etag')).toBe('"1"')
    expect(headers.get('location')).toBe(`${address}/${body.id}`)
    const found = await call('GET', `${address}/${body.id}`, { as })
    expect([found.status, found.body, tagOf(found)]).toEqual([200, body, '"1"'])
    expect((await call('GET', address, { as })).body).toEqual([body])
  })

  test('a change keeps what is left out', async () => {
    const as = newUser()
    const made = (await call('POST', address, { as, body: { name: 'a', color: '#1E90ff', archived: true } }))
      .body
    expect(made).toMatchObject({ color: '#1E90ff', archived: true })
    const path = `${address}/${made.id}`
    const steps = [
      [{ name: 'b' }, { name: 'b', color: '#1E90ff', archived: true, revision: 2 }],
      [{ color: null }, { name: 'b', color: null, archived: true, revision: 3 }],
      [{ archived: false }, { name: 'b', color: null, archived: false, revision: 4 }],
    ] as const
    for (const [body, expected] of steps) {
      const answer = await call('PATCH', path, { as, body })
      expect(answer).toMatchObject({ status: 200, body: { ...expected, created_at: made.created_at } })
      expect(tagOf(answer)).toBe(`"${expected.revision}"`)
    }
  })

  test('a list is moved, and deleted', async () => {
    const as = newUser()
    const [first, second] = [await create(as, { name: 'a' }), await create(as, { name: 'b' })]
    const moved = await call('POST', `${address}/${second.id}/move`, { as, body: { before: first.id } })
    expect(moved).toMatchObject({ status: 200, body: { id: second.id, revision: 3 } })
    expect(tagOf(moved)).toBe('"3"')
    expect(moved.body.position < first.position).toBe(true)
    expect((await call('GET', address, { as })).body).toEqual([moved.body, first])
    const deleted = await call('DELETE', `${address}/${first.id}`, { as })
    expect([deleted.status, deleted.body]).toEqual([204, ''])
    expect((await call('GET', address, { as })).body).toEqual([moved.body])
    expect((await call('DELETE', `${address}/${first.id}`, { as })).status).toBe(404)
  })

  test('a list of somebody else is 404 for everything, and stays as it is', async () => {
    const [as, stranger] = [newUser(), newUser()]
    const list = await create(as)
    await create(stranger)
    const tries = [
      ['GET', '', undefined],
      ['PATCH', '', { name: 'x' }],
      ['POST', '/move', { to: 'first' }],
      ['DELETE', '', undefined],
      ['DELETE', '?tasks=trash', undefined],
    ] as const
    for (const [method, rest, body] of tries) {
      const answer = await call(method, `${address}/${list.id}${rest}`, { as: stranger, body })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'LIST_NOT_FOUND' } })
    }
    expect(await read(as, list.id)).toEqual(list)
    expect(await revisionOf(stranger)).toBe(1)
  })
})

test('another user in the path is refused', async () => {
  const answer = await call('GET', `/api/${newUser()}/lists`, { as: newUser() })
  expect(answer).toMatchObject({ status: 403, body: { error_code: 'OWNER_MISMATCH' } })
})

test('a new user has no lists', async () => {
  const answer = await call('GET', LISTS, { as: newUser() })
  expect([answer.status, answer.body]).toEqual([200, []])
})

test.each([
  ['no name', 'POST', '', {}, '/name'],
  ['an empty name', 'POST', '', { name: '' }, '/name'],
  ['a blank name', 'POST', '', { name: ' \u2003' }, '/name'],
  ['a name of 101 characters', 'POST', '', { name: '🥛'.repeat(101) }, '/name'],
  ['a colour by its name', 'POST', '', { name: 'x', color: 'red' }, '/color'],
  ['a short colour', 'PATCH', '', { color: '#fff' }, '/color'],
  ['null for archived', 'PATCH', '', { archived: null }, '/archived'],
  ['a member that is read only', 'PATCH', '', { position: 'p' }, '/position'],
  ['a count', 'POST', '', { name: 'x', open_count: 1 }, '/open_count'],
  ['an empty change', 'PATCH', '', {}, ''],
  ['a move to nowhere', 'POST', '/move', {}, ''],
  ['a move behind an unknown list', 'POST', '/move', { after: 9007199254740991 }, '/after'],
  ['a move before an unknown list', 'POST', '/move', { before: 9007199254740991 }, '/before'],
])('%s is 422', async (_what, method, rest, body, pointer) => {
  const as = newUser()
  const list = await create(as)
  const path = method === 'POST' && rest === '' ? LISTS : `${LISTS}/${list.id}${rest}`
  const answer = await call(method, path, { as, body })
  expect(answer).toMatchObject({
    status: 422,
    body: { error_code: 'VALIDATION_ERROR', errors: [{ in: 'body', pointer }] },
  })
  expect(await revisionOf(as)).toBe(1)
})

test('a list is moved neither behind itself nor behind that of somebody else', async () => {
  const [as, stranger] = [newUser(), newUser()]
  const [list, other] = [await create(as), await create(stranger)]
  for (const neighbour of [list.id, other.id]) {
    const answer = await call('POST', `${LISTS}/${list.id}/move`, { as, body: { after: neighbour } })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/after' }] } })
  }
})

test('another place for the tasks of a deleted list is 422', async () => {
  const as = newUser()
  const list = await create(as)
  const answer = await call('DELETE', `${LISTS}/${list.id}?tasks=nowhere`, { as })
  expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'tasks' }] } })
})

test('a name has 1 to 100 characters, whatever characters', async () => {
  const as = newUser()
  for (const name of ['x', '🥛'.repeat(100)]) {
    expect(await call('POST', LISTS, { as, body: { name } })).toMatchObject({ status: 201, body: { name } })
  }
})

describe('the order', () => {
  async function three() {
    const as = newUser()
    const [a, b, c] = [
      await create(as, { name: 'a' }),
      await create(as, { name: 'b' }),
      await create(as, { name: 'c' }),
    ]
    const move = async (list: { id: number }, body: object) =>
      expect((await call('POST', `${LISTS}/${list.id}/move`, { as, body })).status).toBe(200)
    return { as, a, b, c, move }
  }

  test('is that of creation until a list is moved', async () => {
    const { as, a, b, c, move } = await three()
    expect(await namesOf(as)).toEqual(['a', 'b', 'c'])
    await move(c, { to: 'first' })
    expect(await namesOf(as)).toEqual(['c', 'a', 'b'])
    await move(a, { to: 'last' })
    expect(await namesOf(as)).toEqual(['c', 'b', 'a'])
    await move(c, { after: b.id })
    expect(await namesOf(as)).toEqual(['b', 'c', 'a'])
    await move(a, { before: c.id })
    expect(await namesOf(as)).toEqual(['b', 'a', 'c'])
    await create(as, { name: 'd' })
    expect(await namesOf(as)).toEqual(['b', 'a', 'c', 'd'])
  })

  test('stays when a list is moved to where it is', async () => {
    const { as, a, c, move } = await three()
    await move(a, { to: 'first' })
    await move(c, { to: 'last' })
    expect(await namesOf(as)).toEqual(['a', 'b', 'c'])
  })

  test('is kept when the newest list is deleted behind which another one was moved', async () => {
    const { as, a, b, c, move } = await three()
    await move(a, { after: c.id })
    await call('DELETE', `${LISTS}/${c.id}`, { as })
    await move(b, { to: 'last' })
    expect(await namesOf(as)).toEqual(['a', 'b'])
    await create(as, { name: 'd' })
    expect(await namesOf(as)).toEqual(['a', 'b', 'd'])
  })

  test('of a hundred moves at once all are made, to places of their own', async () => {
    const { as, a, b, c } = await three()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        call('POST', `${LISTS}/${[a, b][n % 2].id}/move`, { as, body: { after: c.id } }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200))
    expect(new Set(answers.map(({ body }) => body.revision)).size).toBe(100)
    const lists = (await call('GET', LISTS, { as })).body
    expect(lists[0].name).toBe('c')
    expect(new Set(lists.map(({ position }: { position: string }) => position)).size).toBe(3)
  })

  test('of a move that waits for another one heeds it', async () => {
    const { as, a, b, c } = await three()
    const answer = await during(
      async (holder) => {
        await holder`update users set revision = revision + 1 where id = ${as}`
        await holder`update lists set position = ${`${c.position}V`}, revision = 4 where user_id = ${as} and id = ${a.id}`
      },
      () => call('POST', `${LISTS}/${b.id}/move`, { as, body: { after: c.id } }),
    )
    expect([answer.status, answer.body.revision]).toEqual([200, 5])
    // between the two, though the other move was not committed when the place was first worked out
    expect(await namesOf(as)).toEqual(['c', 'b', 'a'])
    expect(answer.body.position < `${c.position}V`).toBe(true)
  })
})

describe('at most 500 lists', () => {
  async function almostAll() {
    const as = newUser()
    await sql`insert into users (id, revision) values (${as}, 1)`
    await sql`insert into lists (user_id, name, created_at, updated_at, revision)
      select ${as}, 'x', now(), now(), 1 from generate_series(1, 499)`
    return as
  }

  test('are kept: one more is 409, until one is deleted', async () => {
    const as = await almostAll()
    const last = await create(as)
    expect(last.revision).toBe(2)
    const refused = await call('POST', LISTS, { as, body: { name: 'x' } })
    expect(refused).toMatchObject({ status: 409, body: { error_code: 'TOO_MANY' } })
    expect(await revisionOf(as)).toBe(2)
    await call('DELETE', `${LISTS}/${last.id}`, { as })
    expect((await call('POST', LISTS, { as, body: { name: 'x' } })).status).toBe(201)
    expect((await call('GET', LISTS, { as })).body).toHaveLength(500)
  })

  test('are kept also when several are created at once', async () => {
    const as = await almostAll()
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call('POST', LISTS, { as, body: { name: 'x' } })),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ body }) => body.error_code === 'TOO_MANY')).toHaveLength(9)
  })

  test('are kept when another process creates one meanwhile', async () => {
    const as = await almostAll()
    const answer = await during(
      async (holder) => {
        await holder`update users set revision = revision + 1 where id = ${as}`
        await holder`insert into lists (user_id, name, created_at, updated_at, revision) values (${as}, 'x', now(), now(), 2)`
      },
      () => call('POST', LISTS, { as, body: { name: 'x' } }),
    )
    expect(answer.body.error_code).toBe('TOO_MANY')
  })
})

describe('open_count', () => {
  test('counts open tasks and steps that are not in the trash', async () => {
    const as = newUser()
    const list = await create(as)
    const other = await create(as)
    const open = await task(as, { list_id: list.id })
    await task(as, { list_id: list.id, parent_id: open.id })
    await task(as, { list_id: list.id, completed: true })
    await task(as, { list_id: other.id })
    await task(as, {})
    const trashed = await task(as, { list_id: list.id })
    await call('DELETE', `${TODOS}/${trashed.id}`, { as })
    expect(await read(as, list.id)).toEqual({ ...list, open_count: 2 })
    const counts = (await call('GET', LISTS, { as })).body.map(
      ({ open_count }: { open_count: number }) => open_count,
    )
    expect(counts).toEqual([2, 1])
    await call('PATCH', `${TODOS}/${open.id}/complete`, { as })
    const changed = await call('PATCH', `${LISTS}/${list.id}`, { as, body: { name: 'y' } })
    expect(changed.body.open_count).toBe(1)
    const moved = await call('POST', `${LISTS}/${list.id}/move`, { as, body: { to: 'last' } })
    expect(moved.body.open_count).toBe(1)
  })

  test('is no part of the ETag of the list, but of that of all lists', async () => {
    const as = newUser()
    const list = await create(as)
    const path = `${LISTS}/${list.id}`
    const all = await call('GET', LISTS, { as })
    await task(as, { list_id: list.id })
    expect((await call('GET', path, { as, headers: { 'if-none-match': '"1"' } })).status).toBe(304)
    const headers = { 'if-none-match': tagOf(all) }
    const now = await call('GET', LISTS, { as, headers })
    expect([now.status, now.body[0].open_count]).toEqual([200, 1])
  })
})

describe('what has not changed is 304', () => {
  test.each(ADDRESSES)('at %s', async (address) => {
    const as = newUser()
    const list = await create(as)
    for (const path of [address, `${address}/${list.id}`]) {
      const tag = tagOf(await call('GET', path, { as }))
      const again = await call('GET', path, { as, headers: { 'if-none-match': tag } })
      expect([again.status, again.body, tagOf(again)]).toEqual([304, '', tag])
      await call('PATCH', `${LISTS}/${list.id}`, { as, body: { name: 'x' } })
      expect((await call('GET', path, { as, headers: { 'if-none-match': tag } })).status).toBe(200)
    }
  })

  test('but not for another user with a list of the same revision', async () => {
    const [as, other] = [newUser(), newUser()]
    await create(as)
    await create(other)
    const tag = tagOf(await call('GET', LISTS, { as }))
    expect(tag).toStartWith('W/"1-')
    expect((await call('GET', LISTS, { as: other, headers: { 'if-none-match': tag } })).status).toBe(200)
  })

  test('also for a new user', async () => {
    const as = newUser()
    const tag = tagOf(await call('GET', LISTS, { as }))
    expect((await call('GET', LISTS, { as, headers: { 'if-none-match': tag } })).status).toBe(304)
  })
})

describe('with If-Match', () => {
  test('only the known revision is changed, moved or deleted', async () => {
    const as = newUser()
    const list = await create(as)
    const path = `${LISTS}/${list.id}`
    const old = { 'if-match': '"1"' }
    const changed = await call('PATCH', path, { as, headers: old, body: { name: 'x' } })
    expect(changed.status).toBe(200)
    await task(as, { list_id: list.id })
    const current = { ...changed.body, open_count: 1 }
    for (const [method, rest, body] of [
      ['PATCH', '', { name: 'y' }],
      ['POST', '/move', { to: 'first' }],
      ['DELETE', '', undefined],
    ] as const) {
      const late = await call(method, path + rest, { as, headers: old, body })
      expect(late).toMatchObject({ status: 412, body: { error_code: 'PRECONDITION_FAILED', current } })
      expect(tagOf(late)).toBe('"2"')
    }
    expect(await revisionOf(as)).toBe(3)
    const moved = await call('POST', `${path}/move`, {
      as,
      headers: { 'if-match': tagOf(changed) },
      body: { to: 'first' },
    })
    expect(moved.status).toBe(200)
    expect((await call('DELETE', path, { as, headers: { 'if-match': tagOf(moved) } })).status).toBe(204)
    expect((await call('DELETE', path, { as, headers: { 'if-match': '*' } })).status).toBe(404)
  })

  test.each([
    ['PATCH', '', { name: 'y' }],
    ['POST', '/move', { to: 'first' }],
  ])('of ten %s%s at once one happens', async (method, rest, body) => {
    const as = newUser()
    const list = await create(as)
    const headers = { 'if-match': '"1"' }
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call(method, `${LISTS}/${list.id}${rest}`, { as, headers, body })),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(9).fill(412)])
  })
})

describe('with an Idempotency-Key', () => {
  const headers = { 'idempotency-key': 'k' }
  const body = { name: 'x', color: '#1e90ff', archived: true }

  test('the same request gets the first answer again, and makes nothing', async () => {
    const as = newUser()
    const first = await call('POST', LISTS, { as, headers, body })
    expect([first.status, first.headers.get('idempotency-replayed')]).toEqual([201, null])
    await call('PATCH', `${LISTS}/${first.body.id}`, { as, body: { name: 'y' } })
    const again = await call('POST', LISTS, { as, headers, body })
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true'])
    expect([again.body, tagOf(again)]).toEqual([first.body, '"1"'])
    expect(again.headers.get('location')).toBe(first.headers.get('location'))
    expect((await call('GET', LISTS, { as })).body).toHaveLength(1)
  })

  test.each([
    ['another body', LISTS, { name: 'y' }],
    ['another address', '/api/me/lists', body],
    ['a task', TODOS, { title: 'x' }],
  ])('%s is refused', async (_what, path, other) => {
    const as = newUser()
    await call('POST', LISTS, { as, headers, body })
    const answer = await call('POST', path, { as, headers, body: other })
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'IDEMPOTENCY_KEY_REUSED' } })
  })

  test('a hundred requests at once make one list', async () => {
    const as = newUser()
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => call('POST', LISTS, { as, headers, body })),
    )
    expect(new Set(answers.map((answer) => JSON.stringify([answer.status, answer.body]))).size).toBe(1)
    expect(answers.filter((answer) => answer.headers.get('idempotency-replayed') === null)).toHaveLength(1)
    expect((await call('GET', LISTS, { as })).body).toHaveLength(1)
  })

  test('a request that fails does not use up its key', async () => {
    const as = newUser()
    expect((await call('POST', LISTS, { as, headers, body: { name: '' } })).status).toBe(422)
    expect((await call('POST', LISTS, { as, headers, body })).status).toBe(201)
  })
})

describe('a deleted list', () => {
  /** A list with a task and its step, a completed task, one in the trash, and what is elsewhere. */
  async function furnished() {
    const as = newUser()
    const list = await create(as)
    const other = await create(as)
    const list_id = list.id
    const parent = await task(as, { list_id })
    const step = await task(as, { list_id, parent_id: parent.id })
    const stepElsewhere = await task(as, { list_id: other.id, parent_id: parent.id })
    const stepInInbox = await task(as, { parent_id: parent.id })
    const completed = await task(as, { list_id, completed: true })
    const trashed = await task(as, { list_id })
    await call('DELETE', `${TODOS}/${trashed.id}`, { as })
    const outside = await task(as, { list_id: other.id })
    const stepOfOutside = await task(as, { list_id, parent_id: outside.id })
    const ids = { parent, step, stepElsewhere, stepInInbox, completed, trashed, outside, stepOfOutside }
    return { as, list, other, ...ids, before: await rowsOf(as) }
  }
  type Furnished = Awaited<ReturnType<typeof furnished>>

  /** The rows that have another revision now, in the order of their revisions. */
  async function changedSince({ as, before }: Furnished) {
    const known = new Set(before.map(({ revision }) => revision))
    return (await rowsOf(as))
      .filter(({ revision }) => !known.has(revision))
      .sort((a, b) => a.revision - b.revision)
  }

  test.each(['', '?tasks=inbox'])('leaves its tasks in the inbox: %s', async (query) => {
    const all = await furnished()
    const { as, list, parent, step, completed, trashed, stepOfOutside, before } = all
    const cursor = (await call('GET', `${TODOS}/changes`, { as })).body.cursor
    const revision = (await revisionOf(as)) ?? 0
    expect((await call('DELETE', `${LISTS}/${list.id}${query}`, { as })).status).toBe(204)
    const changed = await changedSince(all)
    const ids = [parent, step, completed, trashed, stepOfOutside].map(({ id }) => id)
    expect(changed.map(({ id }) => id)).toEqual(ids)
    // each has a revision of its own, and so has the end of the list
    expect(changed.map((row) => row.revision)).toEqual(ids.map((_, n) => revision + n + 1))
    expect(await revisionOf(as)).toBe(revision + ids.length + 1)
    const expected = before
      .filter(({ id }) => ids.includes(id))
      .map(({ revision: _, ...row }) => ({ ...row, list_id: null }))
    expect(changed.map(({ revision: _, ...row }) => row)).toEqual(expected)
    const { changes } = (await call('GET', `${TODOS}/changes?since=${cursor}`, { as })).body
    expect(changes.map(({ id }: { id: number }) => id)).toEqual(ids)
    expect(await readTask(as, parent.id)).toMatchObject({ list_id: null, parent_id: null })
    expect((await readTask(as, parent.id)).updated_at > parent.updated_at).toBe(true)
  })

  test('with tasks=trash takes its tasks with it, and their steps wherever they are', async () => {
    const all = await furnished()
    const { as, list, other, parent, step, stepElsewhere, stepInInbox, completed, trashed, stepOfOutside } =
      all
    const trashedAt = all.before.find(({ id }) => id === trashed.id)?.deleted_at
    const revision = (await revisionOf(as)) ?? 0
    expect((await call('DELETE', `${LISTS}/${list.id}?tasks=trash`, { as })).status).toBe(204)
    const changed = await changedSince(all)
    const now = expect.any(String)
    const gone = { list_id: null, deleted_at: now, deleted_with_parent: false }
    expect(changed).toMatchObject([
      { ...gone, id: parent.id },
      { ...gone, id: step.id, deleted_with_parent: true },
      // the other list is still there, and has its step again when that is restored
      { ...gone, id: stepElsewhere.id, deleted_with_parent: true, list_id: other.id },
      { ...gone, id: stepInInbox.id, deleted_with_parent: true },
      { ...gone, id: completed.id },
      { ...gone, id: trashed.id, deleted_at: trashedAt },
      { ...gone, id: stepOfOutside.id },
    ])
    expect(changed.map((row) => row.revision)).toEqual(changed.map((_, n) => revision + n + 1))
    expect(await revisionOf(as)).toBe(revision + changed.length + 1)
    const left = (await call('GET', TODOS, { as })).body.map(({ id }: { id: number }) => id)
    expect(left).toEqual([all.outside.id])
  })

  test('gives back a task with its steps when it is restored', async () => {
    const { as, list, other, parent, step, stepElsewhere, stepInInbox } = await furnished()
    await call('DELETE', `${LISTS}/${list.id}?tasks=trash`, { as })
    const restored = await call('POST', `${TODOS}/${parent.id}/restore`, { as })
    expect(restored).toMatchObject({ status: 200, body: { list_id: null } })
    for (const [{ id }, list_id] of [
      [step, null],
      [stepElsewhere, other.id],
      [stepInInbox, null],
    ] as const) {
      expect(await readTask(as, id)).toMatchObject({ list_id, parent_id: parent.id })
    }
  })

  test('is in no kept page of tasks any more', async () => {
    const { as, list, parent } = await furnished()
    const listed = async () =>
      (await call('GET', TODOS, { as })).body.find(({ id }: { id: number }) => id === parent.id)
    expect((await listed()).list_id).toBe(list.id)
    await call('DELETE', `${LISTS}/${list.id}`, { as })
    expect((await listed()).list_id).toBeNull()
  })

  test('without tasks is one change', async () => {
    const as = newUser()
    const list = await create(as)
    await call('DELETE', `${LISTS}/${list.id}?tasks=trash`, { as })
    expect(await revisionOf(as)).toBe(2)
  })

  test('changes nothing of other lists and other users', async () => {
    const [mine, theirs] = [await furnished(), await furnished()]
    await call('DELETE', `${LISTS}/${mine.list.id}?tasks=trash`, { as: mine.as })
    expect(await changedSince(theirs)).toEqual([])
    expect(await read(mine.as, mine.other.id)).toMatchObject({ ...mine.other, open_count: 1 })
  })

  test('has no new tasks: those created meanwhile are in the inbox, or refused', async () => {
    const as = newUser()
    const list = await create(as)
    const answers = await Promise.all([
      ...Array.from({ length: 10 }, () =>
        call('POST', TODOS, { as, body: { title: 'x', list_id: list.id } }),
      ),
      call('DELETE', `${LISTS}/${list.id}`, { as }),
      ...Array.from({ length: 10 }, () =>
        call('POST', TODOS, { as, body: { title: 'x', list_id: list.id } }),
      ),
    ])
    expect(answers[10]?.status).toBe(204)
    const created = answers.filter(({ status }) => status === 201)
    const refused = answers.filter(({ status }) => status === 422)
    expect(created.length + refused.length).toBe(20)
    const rows = await rowsOf(as)
    expect(rows.map(({ list_id }) => list_id)).toEqual(created.map(() => null))
    expect(new Set(rows.map(({ revision }) => revision)).size).toBe(rows.length)
  })

  test('takes a task along that another process has just put into it', async () => {
    const as = newUser()
    const list = await create(as)
    const { id } = await task(as, {})
    const answer = await during(
      async (holder) => {
        await holder`update users set revision = 3 where id = ${as}`
        await holder`update tasks set list_id = ${list.id}, revision = 3 where user_id = ${as} and id = ${id}`
      },
      () => call('DELETE', `${LISTS}/${list.id}?tasks=trash`, { as }),
    )
    expect(answer.status).toBe(204)
    expect(await rowsOf(as)).toMatchObject([{ list_id: null, deleted_at: expect.any(String), revision: 4 }])
    expect(await revisionOf(as)).toBe(5)
  })

  test('of ten deletions at once one happens', async () => {
    const { as, list } = await furnished()
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call('DELETE', `${LISTS}/${list.id}`, { as })),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, ...Array(9).fill(404)])
  })
})

describe('of a deleted user, tokens from before', () => {
  const tries = [
    ['GET', '', undefined],
    ['POST', '', { name: 'x' }],
    ['GET', '/:id', undefined],
    ['PATCH', '/:id', { name: 'x' }],
    ['POST', '/:id/move', { to: 'first' }],
    ['DELETE', '/:id', undefined],
  ] as const

  test.each(tries)('are refused by %s %s, also when the user has come back', async (method, rest, body) => {
    const as = newUser()
    const { id } = await create(as)
    await refuse(as)
    const answer = await call(method, `${LISTS}${rest.replace(':id', String(id))}`, { as, body })
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await sql`select name, revision from lists where user_id = ${as}`).toMatchObject([
      { name: 'Household', revision: 1 },
    ])
  })

  test.each(tries.slice(1).filter(([method]) => method !== 'GET'))(
    'are refused by %s %s that waits for the deletion',
    async (method, rest, body) => {
      const as = newUser()
      const { id } = await create(as)
      const answer = await during(
        (holder) => holder`update users set refuse_tokens_until = 'infinity' where id = ${as}`,
        () => call(method, `${LISTS}${rest.replace(':id', String(id))}`, { as, body }),
      )
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
      expect(await sql`select name, revision from lists where user_id = ${as}`).toMatchObject([
        { name: 'Household', revision: 1 },
      ])
    },
  )
})
