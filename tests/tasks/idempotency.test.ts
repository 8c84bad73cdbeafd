import { afterAll, describe, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { openPool, type Pool } from '../../src/database/pool'
import { idempotencyKey } from '../../src/http/idempotency'
import { toTask } from '../../src/tasks/model'
import { createTask } from '../../src/tasks/queries'
import { testApp } from '../support/app'

const { app, call, settings, sql, url } = await testApp()
const TODOS = '/api/v1/todos'
const TASK = { title: 'Buy "milk"\u2028\u{1f95b}', description: null, completed: true }

/** A connection for the transactions of these tests. */
const others = openPool({ url, poolSize: 2 })
afterAll(() => others.end())

const newUser = () => crypto.randomUUID()

interface Sent {
  as: string
  key?: string
  path?: string
  body?: unknown
}

/** Sends a POST and keeps the bytes of its answer. */
async function post({ as, key = 'k', path = TODOS, body = TASK }: Sent) {
  const response = await app.handle(
    new Request(`http://localhost${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await signAccessToken(as, settings)}`,
        'content-type': 'application/json',
        'idempotency-key': key,
      },
      body: JSON.stringify(body),
    }),
  )
  return {
    status: response.status,
    location: response.headers.get('location'),
    etag: response.headers.get('etag'),
    type: response.headers.get('content-type'),
    replayed: response.headers.get('idempotency-replayed'),
    text: await response.text(),
  }
}

type Answer = Awaited<ReturnType<typeof post>>
const idOf = ({ text }: Answer): number => JSON.parse(text).id
const codeOf = ({ text }: Answer): string => JSON.parse(text).error_code
const again = (first: Answer): Answer => ({ ...first, replayed: 'true' })

const tasksOf = async (as: string) =>
  (await sql`select id from tasks where user_id = ${as} order by id`).map(({ id }) => id)
const revisionOf = async (as: string) =>
  (await sql<{ revision: number }[]>`select revision from users where id = ${as}`)[0]?.revision

describe('a repeated request', () => {
  test('gets the first answer, byte for byte, and creates nothing', async () => {
    const as = newUser()
    const first = await post({ as })
    expect(first).toMatchObject({ status: 201, etag: '"1"', location: `${TODOS}/${idOf(first)}` })
    expect([first.replayed, JSON.parse(first.text)]).toEqual([null, expect.objectContaining(TASK)])
    for (const _ of [1, 2]) expect(await post({ as })).toEqual(again(first))
    expect([await tasksOf(as), await revisionOf(as)]).toEqual([[idOf(first)], 1])
  })

  test.each([
    ['changed', 'PATCH', '', { title: 'y', completed: false }],
    ['deleted', 'DELETE', '', undefined],
    ['deleted for good', 'DELETE', '?permanent=true', undefined],
  ])('gets it also after the task was %s', async (_what, method, query, body) => {
    const as = newUser()
    const first = await post({ as })
    const { status } = await call(method, `${first.location}${query}`, { as, body })
    expect(status).toBeLessThan(300)
    expect(await post({ as })).toEqual(again(first))
    expect([await tasksOf(as), await revisionOf(as)]).toEqual([[idOf(first)], 2])
  })

  test.each([TODOS, '/api/me/tasks'])('%s is the same with a slash at its end', async (path) => {
    const as = newUser()
    const first = await post({ as, path: `${path}/` })
    expect(first.location).toBe(`${path}/${idOf(first)}`)
    expect(await post({ as, path })).toEqual(again(first))
  })

  test.each([
    ['another body', { body: { ...TASK, title: 'y' } }],
    ['a body that says less', { body: { title: TASK.title, completed: true } }],
    ['another address', { path: '/api/me/tasks' }],
  ])('with %s is a different request, and is refused', async (_what, other) => {
    const as = newUser()
    const first = await post({ as })
    const answer = await post({ as, ...other })
    expect([answer.status, codeOf(answer)]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    expect([answer.replayed, answer.location, answer.etag]).toEqual([null, null, null])
    expect([await tasksOf(as), await revisionOf(as)]).toEqual([[idOf(first)], 1])
    expect(await post({ as })).toEqual(again(first))
  })

  test('with another key, or none, creates another task', async () => {
    const as = newUser()
    await post({ as })
    expect(await post({ as, key: 'K' })).toMatchObject({ status: 201, replayed: null })
    for (const _ of [1, 2]) await call('POST', TODOS, { as, body: TASK })
    expect(await tasksOf(as)).toHaveLength(4)
  })

  test('with the key of another user creates another task', async () => {
    const [first, second] = [await post({ as: newUser() }), await post({ as: newUser() })]
    expect([second.status, second.replayed]).toEqual([201, null])
    expect(idOf(second)).not.toBe(idOf(first))
  })

  test('is not answered for a token issued before its user was deleted', async () => {
    const as = newUser()
    await post({ as })
    await sql`update users set refuse_tokens_until = 'infinity' where id = ${as}`
    const answer = await post({ as })
    expect([answer.status, codeOf(answer)]).toEqual([401, 'TOKEN_INVALID'])
  })

  test('is stored in the form that the previous version answers', async () => {
    const as = newUser()
    const first = await post({ as })
    const { id, title, description, completed, created_at, updated_at } = JSON.parse(first.text)
    const [kept] = await sql<{ answer: unknown }[]>`select answer from idempotency_keys where user_id = ${as}`
    const known = { id, user_id: as, title, description, completed, created_at, updated_at, revision: 1 }
    expect(kept?.answer).toMatchObject(known)
  })

  test('gets the default of a field that was added after its first answer', async () => {
    const as = newUser()
    const first = await post({ as })
    await sql`
      update idempotency_keys set answer = (answer::jsonb - 'description' - 'tags' - 'position')::json
      where user_id = ${as}`
    expect(JSON.parse((await post({ as })).text)).toEqual(JSON.parse(first.text))
  })

  test('after a day creates another task, and from then on gets that one', async () => {
    const as = newUser()
    const first = await post({ as })
    await sql`update idempotency_keys set expires_at = clock_timestamp() where user_id = ${as}`
    const second = await post({ as, body: { title: 'y' } })
    expect([second.status, second.replayed]).toEqual([201, null])
    expect(await post({ as, body: { title: 'y' } })).toEqual(again(second))
    expect(await tasksOf(as)).toEqual([idOf(first), idOf(second)])
  })

  test('within a day gets the first answer', async () => {
    const as = newUser()
    const first = await post({ as })
    const rows = await sql`
      update idempotency_keys set expires_at = expires_at - interval '23 hours 59 minutes'
      where user_id = ${as} and expires_at <= clock_timestamp() + interval '1 day' returning key`
    expect(rows).toHaveLength(1)
    expect(await post({ as })).toEqual(again(first))
  })
})

describe('a key', () => {
  test.each(['!', '~', 'k'.repeat(255), '"quoted"', 'a,b'])('can be %s', async (key) => {
    const as = newUser()
    const first = await post({ as, key })
    expect(first.status).toBe(201)
    expect(await post({ as, key })).toEqual(again(first))
  })

  test.each(['', 'k'.repeat(256), 'a b', 'a\tb', 'k, k', 'é', '\u007f'])('cannot be %p', async (key) => {
    const as = newUser()
    const answer = await post({ as, key })
    expect([answer.status, codeOf(answer)]).toEqual([422, 'VALIDATION_ERROR'])
    expect(JSON.parse(answer.text).errors).toEqual([
      { in: 'header', pointer: 'Idempotency-Key', detail: expect.any(String) },
    ])
    expect(await tasksOf(as)).toEqual([])
  })

  test('cannot be sent twice', async () => {
    const request = new Request('http://localhost/', { method: 'POST' })
    for (const _ of [1, 2]) request.headers.append('idempotency-key', 'k')
    expect(() => idempotencyKey(request, TODOS, TASK)).toThrow('not valid')
  })
})

describe('a request that fails does not use up its key:', () => {
  test.each([
    ['one that is not valid', { as: 'fails-1', body: { title: '' } }, 422],
    ['one without a token', {}, 401],
    ['one for somebody else', { as: 'fails-1', path: '/api/somebody-else/tasks' }, 403],
    ['one that is not JSON', { as: 'fails-1', body: '{' }, 400],
  ])(
    '%s',
    async (_what, { path = TODOS, ...options }: { path?: string; as?: string; body?: unknown }, status) => {
      const headers = { 'idempotency-key': crypto.randomUUID() }
      expect((await call('POST', path, { body: TASK, headers, ...options })).status).toBe(status)
      expect(await post({ as: 'fails-1', key: headers['idempotency-key'] })).toMatchObject({
        status: 201,
        replayed: null,
      })
    },
  )

  test('one that fails in the database', async () => {
    const as = newUser()
    await post({ as, key: 'other' })
    for (const table of ['tasks', 'idempotency_keys']) {
      const key = `refused by ${table}`.replaceAll(' ', '-')
      await sql`alter table ${sql(table)} add constraint refuses check (false) not valid`
      expect((await post({ as, key })).status).toBe(500)
      await sql`alter table ${sql(table)} drop constraint refuses`
      expect(await post({ as, key })).toMatchObject({ status: 201, replayed: null })
    }
    expect([(await tasksOf(as)).length, await revisionOf(as)]).toEqual([3, 3])
  })
})

describe('concurrently', () => {
  test('a thousand requests with one key create one task and get one answer', async () => {
    const as = newUser()
    const answers = await Promise.all(Array.from({ length: 1000 }, () => post({ as })))
    const first = answers.find(({ replayed }) => replayed === null)
    expect(first?.status).toBe(201)
    const others = answers.filter((answer) => answer !== first)
    expect(others).toHaveLength(999)
    expect(new Set(others.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ ...first, replayed: 'true' })]),
    )
    expect([(await tasksOf(as)).length, await revisionOf(as)]).toEqual([1, 1])
  })

  test('a hundred requests with an expired key create one task', async () => {
    const as = newUser()
    await post({ as })
    await sql`update idempotency_keys set expires_at = clock_timestamp() where user_id = ${as}`
    const answers = await Promise.all(Array.from({ length: 100 }, () => post({ as })))
    expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1)
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
    expect([(await tasksOf(as)).length, await revisionOf(as)]).toEqual([2, 2])
  })

  test('of a hundred bodies with one key, one creates a task and the others are refused', async () => {
    const as = newUser()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => post({ as, body: { title: `${index}` } })),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 422).map(codeOf)).toEqual(
      Array(99).fill('IDEMPOTENCY_KEY_REUSED'),
    )
    expect([(await tasksOf(as)).length, await revisionOf(as)]).toEqual([1, 1])
  })

  /** Creates the task in a transaction, sends the same request, and ends the transaction once the request waits for it. */
  async function during(as: string, end: (holder: Pool) => Promise<unknown>) {
    const holder = await others.reserve()
    const key = idempotencyKey(
      new Request('http://localhost/', { method: 'POST', headers: { 'idempotency-key': 'k' } }),
      TODOS,
      TASK,
    )
    await holder`begin`
    const caller = { id: as, issuedAt: null, expiresAt: 0, sessionId: null, tokenId: null, scopes: null }
    const made = await createTask(holder, caller, TASK, key)
    const answer = post({ as })
    while (
      (
        await others`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      ).length === 0
    );
    await end(holder)
    holder.release()
    return { made, answer: await answer }
  }

  describe.each([
    ['a user', async (as: string) => void (await call('POST', TODOS, { as, body: { title: 'before' } }))],
    ['a user who is new', async () => {}],
  ])('of %s', (_who, before) => {
    test('the second request waits for the first and gets its answer', async () => {
      const as = newUser()
      await before(as)
      const { made, answer } = await during(as, (holder) => holder`commit`)
      expect(answer).toMatchObject({
        status: 201,
        replayed: 'true',
        text: JSON.stringify(made && toTask(made)),
      })
      expect((await tasksOf(as)).at(-1)).toBe(made?.id)
    })

    test('the second request creates the task if the first was rolled back', async () => {
      const as = newUser()
      await before(as)
      const { made, answer } = await during(as, (holder) => holder`rollback`)
      expect(answer).toMatchObject({ status: 201, replayed: null })
      expect(idOf(answer)).not.toBe(made?.id)
      expect((await tasksOf(as)).at(-1)).toBe(idOf(answer))
      expect(await post({ as })).toEqual(again(answer))
    })
  })
})

describe('of a deleted user', () => {
  test('a repeated request gets no answer, and after coming back the user has no keys', async () => {
    const as = newUser()
    const first = await post({ as })
    await call('DELETE', '/api/v1/users/me', { as })
    // as if all of this happened within a second: a token that is issued in the next one is newer than the deletion
    await sql`update users set refuse_tokens_until = refuse_tokens_until + interval '1 hour' where id = ${as}`
    expect([await post({ as })].map(({ status, replayed }) => [status, replayed])).toEqual([[401, null]])
    // as if the token had been issued after the deletion
    await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '2 hours' where id = ${as}`
    const second = await post({ as })
    expect(second).toMatchObject({ status: 201, replayed: null })
    expect(idOf(second)).not.toBe(idOf(first))
  })
})
