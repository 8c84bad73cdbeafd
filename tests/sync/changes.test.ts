import { describe, expect, test } from 'bun:test'
import type { Change } from '../../src/sync/model'
import type { Task } from '../../src/tasks/model'
import { purgeTombstones } from '../../src/tasks/purge'
import { testApp } from '../support/app'
import { storedTasks } from '../support/stored-tasks'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'
const PATH = `${TODOS}/changes`

interface Page {
  changes: Change[]
  cursor: string
  has_more: boolean
}

const newUser = () => crypto.randomUUID()
const create = async (as: string, title = 'x'): Promise<Task> =>
  (await call('POST', TODOS, { as, body: { title } })).body
const patch = (as: string, id: number) => call('PATCH', `${TODOS}/${id}`, { as, body: { title: 'changed' } })
const complete = (as: string, id: number) => call('PATCH', `${TODOS}/${id}/complete`, { as })
const remove = (as: string, id: number, query = '') => call('DELETE', `${TODOS}/${id}${query}`, { as })
const restore = (as: string, id: number) => call('POST', `${TODOS}/${id}/restore`, { as })

const ask = (as: string, since?: string, limit?: number) => {
  const query = new URLSearchParams({ ...(since && { since }), ...(limit && { limit: String(limit) }) })
  return call('GET', `${PATH}?${query}`, { as })
}
async function changesOf(as: string, since?: string, limit?: number): Promise<Page> {
  const { status, body } = await ask(as, since, limit)
  expect(status).toBe(200)
  return body
}

/** A client: the tasks that it keeps, and its cursor. */
interface Device {
  tasks: Map<number, Task>
  cursor: string | undefined
}
const newDevice = (): Device => ({ tasks: new Map(), cursor: undefined })

/** Reads one page and applies it. @returns whether there is more */
async function pull(as: string, device: Device, limit?: number): Promise<boolean> {
  const { changes, cursor, has_more } = await changesOf(as, device.cursor, limit)
  for (const change of changes) {
    if ('deleted' in change) device.tasks.delete(change.id)
    else device.tasks.set(change.id, change)
  }
  device.cursor = cursor
  return has_more
}

async function expectSame(as: string, { tasks }: Device): Promise<void> {
  const live = (await storedTasks(sql, as)).filter(({ is_deleted }) => !is_deleted)
  const stored = live.map(({ is_deleted, ended, ...task }) => task)
  expect([...tasks.values()].toSorted((a, b) => a.revision - b.revision)).toEqual(stored)
}

const EXPIRED = { status: 410, body: { error_code: 'CURSOR_EXPIRED' } }
/** Purges the present trash of this user. */
async function purge(as: string): Promise<void> {
  await sql`update tasks set deleted_at = now() - interval '31 days' where user_id = ${as} and deleted_at is not null`
  await purgeTombstones(sql, 30)
}

describe('changes', () => {
  test('begin with the present tasks, in the order of their last change', async () => {
    const as = newUser()
    const [a, b, c, d] = [await create(as), await create(as), await create(as), await create(as)]
    await remove(as, b.id)
    await remove(as, d.id, '?permanent=true')
    const changed = (await patch(as, a.id)).body
    const { status, headers, body } = await ask(as)
    expect(status).toBe(200)
    expect(body).toEqual({ changes: [c, changed], cursor: expect.any(String), has_more: false })
    expect(headers.get('content-type')).toStartWith('application/json')
    expect(encodeURIComponent(body.cursor)).toBe(body.cursor)
  })

  test('are none for a user without tasks, and later the tasks that were created', async () => {
    const as = newUser()
    const { cursor, ...rest } = await changesOf(as)
    expect(rest).toEqual({ changes: [], has_more: false })
    const task = await create(as)
    expect((await changesOf(as, cursor)).changes).toEqual([task])
  })

  test.each([`/api/%s/tasks/changes`, '/api/me/tasks/changes', `${PATH}/`])(
    'are the same at %s',
    async (path) => {
      const as = newUser()
      await create(as)
      expect((await call('GET', path.replace('%s', as), { as })).body).toEqual(await changesOf(as))
    },
  )

  test('are the tasks that have changed since, each once, as it is now', async () => {
    const as = newUser()
    const [a, b, c] = [await create(as), await create(as), await create(as)]
    const { cursor } = await changesOf(as)
    await patch(as, a.id)
    await remove(as, b.id)
    const completed = (await complete(as, a.id)).body
    const page = await changesOf(as, cursor)
    expect(page.changes).toEqual([{ id: b.id, revision: 5, deleted: true }, completed])
    expect(await changesOf(as, page.cursor)).toEqual({ changes: [], cursor: page.cursor, has_more: false })
    const restored = (await restore(as, b.id)).body
    expect((await changesOf(as, page.cursor)).changes).toEqual([restored])
    expect((await changesOf(as, cursor)).changes).toEqual([completed, restored])
    expect((await changesOf(as)).changes).toEqual([c, completed, restored])
  })

  test('of a task that was created and deleted since have its tombstone', async () => {
    const as = newUser()
    const { cursor } = await changesOf(as)
    const { id } = await create(as)
    await remove(as, id)
    expect((await changesOf(as, cursor)).changes).toEqual([{ id, revision: 2, deleted: true }])
  })

  test.each([1, 2, 3, 7, 500])('in pages of %d are all of them, in order', async (limit) => {
    const as = newUser()
    const device = newDevice()
    const tasks = []
    for (let count = 0; count < 7; count++) tasks.push(await create(as))
    for (const { id } of tasks.slice(0, 2)) await complete(as, id)
    let pages = 1
    while (await pull(as, device, limit)) pages++
    expect(pages).toBe(Math.ceil(7 / limit))
    await expectSame(as, device)
    const revisions = [...device.tasks.values()].map(({ revision }) => revision)
    expect(revisions).toEqual([3, 4, 5, 6, 7, 8, 9])
  })

  test('in pages leave out tasks deleted before the first page, and have tombstones of later deletions', async () => {
    const as = newUser()
    const [a, b, c] = [await create(as), await create(as), await create(as)]
    await remove(as, b.id)
    const first = await changesOf(as, undefined, 1)
    expect([first.changes, first.has_more]).toEqual([[a], true])
    expect((await changesOf(as, first.cursor)).changes).toEqual([c])
    await remove(as, a.id)
    expect((await changesOf(as, first.cursor)).changes).toEqual([c, { id: a.id, revision: 5, deleted: true }])
  })

  test('of another user are left out', async () => {
    const as = newUser()
    const { cursor } = await changesOf(as)
    await create(newUser())
    expect((await changesOf(as, cursor)).changes).toEqual([])
    expect((await call('GET', `/api/${as}/tasks/changes`, { as: newUser() })).status).toBe(403)
  })

  test('have 500 a page unless a limit is given', async () => {
    const as = newUser()
    await create(as)
    await sql`
      insert into tasks (user_id, title, created_at, updated_at, revision)
      select ${as}, 'x', now(), now(), 1 from generate_series(1, 500)`
    const { changes, has_more } = await changesOf(as)
    expect([changes.length, has_more]).toEqual([500, true])
  })

  test.each(['0', '501', '-1', 'abc', '', '1.5'])('cannot have the limit %p', async (limit) => {
    const answer = await call('GET', `${PATH}?limit=${limit}`, { as: newUser() })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'limit' }] } })
  })

  test('refuse a cursor that was not made for them', async () => {
    const as = newUser()
    for (const title of ['a', 'b']) await create(as, title)
    const { cursor } = await changesOf(as)
    const list = await call('GET', `${TODOS}?limit=1`, { as })
    const foreign = [
      (await changesOf(newUser())).cursor,
      /cursor=([^>]+)>/.exec(list.headers.get('link') ?? '')?.[1],
      '',
      'nonsense',
      cursor.slice(0, -1),
      `${cursor}x`,
      `${cursor}=`,
      cursor.toUpperCase(),
    ]
    for (const since of foreign) {
      const answer = await call('GET', `${PATH}?since=${since}`, { as })
      expect(answer, since).toMatchObject({
        status: 422,
        body: { errors: [{ in: 'query', pointer: 'since' }] },
      })
    }
    expect((await call('GET', `${TODOS}?cursor=${cursor}`, { as })).status).toBe(422)
    expect((await ask(as, cursor)).status).toBe(200)
  })
})

describe('a client that follows page after page has the same tasks as the server', () => {
  /** Random numbers, the same for the same seed. */
  function dice(seed: number) {
    let state = seed
    return (sides: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
      return (state >>> 8) % sides
    }
  }

  /** One write on any task, deleted ones too. */
  async function write(as: string, ids: number[], roll: (sides: number) => number): Promise<void> {
    const id = ids[roll(ids.length)] ?? 0
    const kind = roll(8)
    if (kind <= 1 || ids.length === 0) ids.push((await create(as)).id)
    else if (kind === 2) await patch(as, id)
    else if (kind === 3) await complete(as, id)
    else if (kind <= 5) await remove(as, id)
    else if (kind === 6) await restore(as, id)
    else await remove(as, id, '?permanent=true')
  }

  test.each(Array.from({ length: 40 }, (_, index) => [index + 1]))(
    'if tasks change between the pages: %d',
    async (seed) => {
      const as = newUser()
      const roll = dice(seed)
      const ids: number[] = []
      const devices: Device[] = []
      for (let step = 0; step < 60; step++) {
        for (let writes = roll(4); writes > 0; writes--) await write(as, ids, roll)
        // some clients begin late, and some take long for their first pages
        if (step % 15 === 0) devices.push(newDevice())
        const device = devices[roll(devices.length)]
        if (device && (await ask(as, device.cursor)).status === 200) await pull(as, device, 1 + roll(3))
      }
      for (const device of devices) {
        while (await pull(as, device, 1 + roll(5)));
        await expectSame(as, device)
      }
    },
  )

  test('during two hundred concurrent writes', async () => {
    const as = newUser()
    const device = newDevice()
    let isOver = false
    const storm = Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const { id } = await create(as)
        await complete(as, id)
        if (index % 2 === 0) await remove(as, id)
        if (index % 4 === 0) await restore(as, id)
      }),
    ).then(() => {
      isOver = true
    })
    let pulls = 0
    for (; !isOver; pulls++) await pull(as, device, 7)
    await storm
    expect(pulls).toBeGreaterThan(1)
    while (await pull(as, device, 7));
    expect(device.tasks.size).toBe(150)
    await expectSame(as, device)
  })
})

describe('a cursor', () => {
  test('from before a purged deletion has expired, and a newer one has not', async () => {
    const as = newUser()
    const [a, b] = [await create(as), await create(as)]
    const old = await changesOf(as)
    await remove(as, a.id)
    const current = await changesOf(as, old.cursor)
    await purge(as)
    expect(await ask(as, old.cursor)).toMatchObject(EXPIRED)
    const changed = (await patch(as, b.id)).body
    expect(await ask(as, old.cursor)).toMatchObject(EXPIRED)
    expect((await changesOf(as, current.cursor)).changes).toEqual([changed])
    expect((await changesOf(as)).changes).toEqual([changed])
  })

  test('is valid unless a deletion has been purged that it has not passed', async () => {
    const as = newUser()
    const { id } = await create(as)
    const { cursor } = await changesOf(as)
    await remove(as, id)
    await purgeTombstones(sql, 30)
    expect((await changesOf(as, cursor)).changes).toEqual([{ id, revision: 2, deleted: true }])
  })

  test('of a client that began after a purge is valid to the last page, and of one that began before has expired', async () => {
    const as = newUser()
    const [, , c, d] = [await create(as), await create(as), await create(as), await create(as)]
    await remove(as, d.id)
    await purge(as)
    const first = await changesOf(as, undefined, 1)
    const second = await changesOf(as, first.cursor, 1)
    expect([second.changes.length, second.has_more]).toEqual([1, true])
    await remove(as, c.id)
    expect((await changesOf(as, second.cursor)).changes).toEqual([{ id: c.id, revision: 6, deleted: true }])
    await purge(as)
    expect(await ask(as, second.cursor)).toMatchObject(EXPIRED)
  })

  test('that is ahead of a database restored from a backup has expired', async () => {
    const as = newUser()
    for (const _ of [1, 2, 3]) await create(as)
    const walking = await changesOf(as, undefined, 1)
    const current = await changesOf(as)
    await sql`delete from tasks where user_id = ${as} and revision = 3`
    await sql`update users set revision = 2 where id = ${as}`
    expect(await ask(as, current.cursor)).toMatchObject(EXPIRED)
    // its revision is in the backup, but it began at a revision that is lost
    expect(await ask(as, walking.cursor)).toMatchObject(EXPIRED)
    expect((await changesOf(as)).changes).toHaveLength(2)
  })

  test('of a user who was deleted and came back has expired', async () => {
    const as = newUser()
    const { cursor: before } = await changesOf(as)
    await create(as)
    const { cursor } = await changesOf(as)
    await call('DELETE', '/api/v1/users/me', { as })
    expect(await ask(as, cursor)).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect((await ask(as)).status).toBe(401)
    // as if the token had been issued after the deletion
    await sql`update users set refuse_tokens_until = refuse_tokens_until - interval '1 hour' where id = ${as}`
    for (const since of [before, cursor]) expect(await ask(as, since)).toMatchObject(EXPIRED)
    const task = await create(as)
    for (const since of [before, cursor]) expect(await ask(as, since)).toMatchObject(EXPIRED)
    expect((await changesOf(as)).changes).toEqual([task])
  })
})
