import { describe, expect, test } from 'bun:test'
import { purgeTombstones } from '../../src/tasks/purge'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'
const PAGE = 'application/vnd.taskwell.page+json'
const NOT_FOUND = { status: 404, body: { error_code: 'TASK_NOT_FOUND' } }

interface Listed {
  id: number
  title: string
}

const newUser = () => crypto.randomUUID()
const create = async (as: string, title: string) =>
  (await call('POST', TODOS, { as, body: { title, description: 'd' } })).body
const remove = (as: string, id: number, query = '') => call('DELETE', `${TODOS}/${id}${query}`, { as })
const restore = (as: string, id: number) => call('POST', `${TODOS}/${id}/restore`, { as })
const read = (as: string, id: number) => call('GET', `${TODOS}/${id}`, { as })
const trashOf = async (as: string): Promise<Listed[]> => (await call('GET', `${TODOS}/trash`, { as })).body
const titlesOf = (tasks: Listed[]) => tasks.map(({ title }) => title)

/** Creates a user with tasks of these titles in this order, and deletes them in the reverse order. */
async function userWithTrash(...titles: string[]) {
  const as = newUser()
  const tasks = []
  for (const title of titles) tasks.push(await create(as, title))
  for (const { id } of tasks.toReversed()) await remove(as, id)
  return { as, tasks }
}

async function aTask(where: 'alive' | 'in the trash') {
  const as = newUser()
  const task = await create(as, 'x')
  if (where === 'in the trash') await remove(as, task.id)
  return { as, task, id: task.id }
}

const revisionOf = async (as: string) =>
  (await sql<{ revision: number }[]>`select revision from users where id = ${as}`)[0]?.revision

function nextOf(headers: Headers): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
}

async function walk(as: string, path: string): Promise<Listed[]> {
  const found: Listed[] = []
  for (let next: string | undefined = path; next !== undefined; ) {
    const { status, headers, body } = await call('GET', next, { as })
    expect(status).toBe(200)
    found.push(...body)
    next = nextOf(headers)
  }
  return found
}

describe('a deletion', () => {
  test('moves the whole task to the trash, with the time of its deletion', async () => {
    const { as, task, id } = await aTask('alive')
    expect(await remove(as, id)).toMatchObject({ status: 204, body: '' })
    expect(await read(as, id)).toMatchObject(NOT_FOUND)
    const [trashed] = await sql<
      { at: string }[]
    >`select rfc3339(deleted_at) as at from tasks where id = ${id}`
    const deleted_at = trashed?.at ?? ''
    expect(deleted_at >= task.updated_at).toBeTrue()
    expect(await trashOf(as)).toEqual([{ ...task, revision: 2, updated_at: deleted_at, deleted_at }])
  })

  test('happens once', async () => {
    const { as, id } = await aTask('in the trash')
    expect(await remove(as, id)).toMatchObject(NOT_FOUND)
    expect(await revisionOf(as)).toBe(2)
  })

  test.each(['maybe', '', 'TRUE', '1'])('cannot be permanent=%s', async (permanent) => {
    const { as, id } = await aTask('alive')
    const answer = await remove(as, id, `?permanent=${permanent}`)
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'permanent' }] } })
    expect((await read(as, id)).status).toBe(200)
  })

  test('can be sent with permanent=false', async () => {
    const { as, id } = await aTask('alive')
    expect((await remove(as, id, '?permanent=false')).status).toBe(204)
    expect(await trashOf(as)).toHaveLength(1)
    expect(await remove(as, id, '?permanent=false')).toMatchObject(NOT_FOUND)
  })
})

describe.each(['alive', 'in the trash'] as const)('for good, a task that is %s', (where) => {
  test('is deleted from the list and the trash, once', async () => {
    const { as, id } = await aTask(where)
    const before = await revisionOf(as)
    expect(await remove(as, id, '?permanent=true')).toMatchObject({ status: 204, body: '' })
    expect(await trashOf(as)).toEqual([])
    expect(await read(as, id)).toMatchObject(NOT_FOUND)
    expect((await call('GET', TODOS, { as })).body).toEqual([])
    for (const attempt of [restore(as, id), remove(as, id), remove(as, id, '?permanent=true')]) {
      expect(await attempt).toMatchObject(NOT_FOUND)
    }
    expect(await revisionOf(as)).toBe((before ?? 0) + 1)
  })

  test('leaves only a tombstone, which other devices get', async () => {
    const { as, id } = await aTask(where)
    const path = `${TODOS}/changes`
    const since = (await call('GET', path, { as })).body.cursor
    await remove(as, id, '?permanent=true')
    const rows = await sql`select title, description, ended from tasks where user_id = ${as}`
    expect([...rows]).toEqual([{ title: '', description: null, ended: true }])
    const { body } = await call('GET', `${path}?since=${since}`, { as })
    expect(body.changes).toEqual([{ id, revision: await revisionOf(as), deleted: true }])
  })
})

describe('a restore', () => {
  test('brings a task back as it was, with a new revision', async () => {
    const { as, task, id } = await aTask('in the trash')
    const { status, body } = await restore(as, id)
    expect([status, body]).toEqual([200, { ...task, revision: 3, updated_at: expect.any(String) }])
    expect(body.updated_at >= task.updated_at).toBeTrue()
    expect((await read(as, id)).body).toEqual(body)
    expect((await call('GET', TODOS, { as })).body).toEqual([body])
    expect(await trashOf(as)).toEqual([])
  })

  test('of a task that is not in the trash answers it and changes nothing', async () => {
    const { as, id } = await aTask('in the trash')
    const never = await create(as, 'y')
    const first = await restore(as, id)
    expect(await restore(as, id)).toMatchObject({ status: 200, body: first.body })
    expect(await restore(as, never.id)).toMatchObject({ status: 200, body: never })
    expect(await revisionOf(as)).toBe(4)
  })

  test('and a deletion can follow each other again and again', async () => {
    const { as, id } = await aTask('in the trash')
    for (const _ of [1, 2, 3]) {
      expect((await restore(as, id)).status).toBe(200)
      expect((await remove(as, id)).status).toBe(204)
    }
    expect(await trashOf(as)).toMatchObject([{ id, revision: 8 }])
  })
})

describe('for another user', () => {
  test.each([
    ['POST', '/restore'],
    ['DELETE', ''],
    ['DELETE', '?permanent=true'],
  ])('a task answers %s %s with 404, like an unknown one', async (method, route) => {
    const { as: owner, id } = await aTask('in the trash')
    const { id: alive } = await create(owner, 'y')
    const as = newUser()
    await create(as, 'z')
    for (const each of [id, alive, 2 ** 52]) {
      expect(await call(method, `${TODOS}/${each}${route}`, { as })).toMatchObject(NOT_FOUND)
    }
    expect([await revisionOf(as), await revisionOf(owner)]).toEqual([1, 3])
    expect((await trashOf(owner)).map((task) => task.id)).toEqual([id])
    expect(await trashOf(as)).toEqual([])
  })

  test('an address is 403', async () => {
    const { as, id } = await aTask('in the trash')
    for (const [method, path] of [
      ['GET', 'trash'],
      ['POST', `${id}/restore`],
      ['DELETE', `${id}?permanent=true`],
    ] as const) {
      expect((await call(method, `/api/${as}/tasks/${path}`, { as: newUser() })).status).toBe(403)
    }
  })
})

describe('the trash', () => {
  test('has the newest deletion first, without tasks that live or were deleted for good', async () => {
    const { as, tasks } = await userWithTrash('a', 'b', 'c', 'd')
    await create(as, 'alive')
    await restore(as, tasks[1].id)
    await remove(as, tasks[2].id, '?permanent=true')
    expect(titlesOf(await trashOf(as))).toEqual(['a', 'd'])
    await remove(as, tasks[1].id)
    expect(titlesOf(await trashOf(as))).toEqual(['b', 'a', 'd'])
  })

  test('is the same at the address with an owner, also with a slash at its end', async () => {
    const { as } = await userWithTrash('a', 'b')
    const body = await trashOf(as)
    for (const path of [`/api/${as}/tasks/trash`, '/api/me/tasks/trash/', `${TODOS}/trash/`]) {
      expect((await call('GET', path, { as })).body).toEqual(body)
    }
  })

  test('is an empty array for a user without tasks', async () => {
    expect(await trashOf(newUser())).toEqual([])
  })

  test.each([1, 2, 3, 200])('in pages of %d is the whole trash, each task once', async (limit) => {
    const { as } = await userWithTrash('a', 'b', 'c', 'd', 'e')
    const all = await trashOf(as)
    expect(titlesOf(all)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await walk(as, `${TODOS}/trash?limit=${limit}`)).toEqual(all)
  })

  test('continues where a page ended, even if tasks are deleted or restored meanwhile', async () => {
    const { as, tasks } = await userWithTrash('a', 'b', 'c', 'd', 'e')
    const first = await call('GET', `${TODOS}/trash?limit=2`, { as })
    await remove(as, (await create(as, 'new')).id)
    await restore(as, tasks[1].id)
    await restore(as, tasks[2].id)
    expect(titlesOf(await walk(as, nextOf(first.headers) ?? ''))).toEqual(['d', 'e'])
  })

  test('has a new ETag after a purge, which raises no revision', async () => {
    const { as, tasks } = await userWithTrash('a', 'b')
    const first = await call('GET', `${TODOS}/trash`, { as })
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' }
    await sql`update tasks set deleted_at = now() - interval '31 days' where id = ${tasks[1].id}`
    await purgeTombstones(sql, 30)
    const { status, body } = await call('GET', `${TODOS}/trash`, { as, headers })
    expect([status, titlesOf(body), await revisionOf(as)]).toEqual([200, ['a'], 4])
  })

  test('skips and counts', async () => {
    const { as } = await userWithTrash('a', 'b', 'c')
    await create(as, 'alive')
    const { headers, body } = await call('GET', `${TODOS}/trash?skip=1&limit=1&count=true`, { as })
    expect([titlesOf(body), headers.get('x-total-count')]).toEqual([['b'], '3'])
    expect(nextOf(headers)).toStartWith(`${TODOS}/trash?limit=1&count=true&cursor=`)
    expect(titlesOf(await walk(as, nextOf(headers) ?? ''))).toEqual(['c'])
  })

  test('can be asked for as page objects', async () => {
    const { as } = await userWithTrash('a', 'b', 'c')
    const page = (query: string) =>
      call('GET', `${TODOS}/trash?limit=2${query}`, { as, headers: { accept: PAGE } })
    const first = await page('')
    expect(first.headers.get('content-type')).toBe(PAGE)
    expect([titlesOf(first.body.tasks), first.body.count]).toEqual([['a', 'b'], 2])
    expect(first.body.tasks[0].deleted_at).toBeString()
    const second = await page(`&cursor=${first.body.next_cursor}`)
    expect(second.body).toMatchObject({ tasks: [{ title: 'c' }], count: 1, next_cursor: null })
  })

  test('refuses the cursor of another list, and other lists refuse its cursor', async () => {
    const { as } = await userWithTrash('a', 'b')
    for (const title of ['c', 'd']) await create(as, title)
    const other = await userWithTrash('e', 'f')
    const cursorOf = async (who: string, path: string) =>
      new URLSearchParams(
        nextOf((await call('GET', `${path}?limit=1`, { as: who })).headers)?.split('?')[1],
      ).get('cursor')
    for (const [path, cursor] of [
      [`${TODOS}/trash`, await cursorOf(as, TODOS)],
      [`${TODOS}/trash`, await cursorOf(other.as, `${TODOS}/trash`)],
      [`${TODOS}/trash`, 'nonsense'],
      [TODOS, await cursorOf(as, `${TODOS}/trash`)],
    ]) {
      expect(cursor).toBeString()
      const answer = await call('GET', `${path}?cursor=${cursor}`, { as })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'cursor' }] } })
    }
  })

  test.each(['limit=0', 'limit=201', 'skip=-1', 'count=1', 'sort=title', 'status=all'])(
    'cannot be asked for with %s',
    async (query) => {
      const { status, body } = await call('GET', `${TODOS}/trash?${query}`, { as: newUser() })
      expect([status, body.errors?.[0].pointer]).toEqual([422, query.split('=')[0]])
    },
  )
})
