import { afterAll, describe, expect, test } from 'bun:test'
import postgres from 'postgres'
import { sortedTags, tagKey } from '../../src/tasks/planning'
import { testApp } from '../support/app'

const { call, sql, url } = await testApp()
const TAGS = '/api/v1/tags'
const TODOS = '/api/v1/todos'
const ADDRESSES = [TAGS, '/api/me/tags'] as const

/** A connection for the transactions of these tests. */
const others = postgres(url, { max: 2 })
afterAll(() => others.end())

const newUser = () => crypto.randomUUID()
const pathOf = (name: string, address: string = TAGS) => `${address}/${encodeURIComponent(name)}`
const create = async (as: string, tags: string[], more: object = {}) => {
  const answer = await call('POST', TODOS, { as, body: { title: 'x', tags, ...more } })
  expect(answer.status).toBe(201)
  return answer.body
}
const trashed = async (as: string, tags: string[]) => {
  const task = await create(as, tags)
  expect((await call('DELETE', `${TODOS}/${task.id}`, { as })).status).toBe(204)
  return task
}
const list = async (as: string) => (await call('GET', TAGS, { as })).body
const rename = (as: string, from: string, name: string) => call('PATCH', pathOf(from), { as, body: { name } })
const remove = (as: string, name: string) => call('DELETE', pathOf(name), { as })
const tagOf = ({ headers }: { headers: Headers }) => headers.get('etag') ?? ''
const revisionOf = async (as: string) =>
  (await sql<{ revision: number }[]>`select revision from users where id = ${as}`)[0]?.revision
const rowsOf = (as: string) =>
  sql<{ id: number; tags: string[]; revision: number }[]>`
    select id, coalesce(tags, '{}') as tags, revision from tasks where user_id = ${as} order by id`
const tagsOf = async (as: string) => (await rowsOf(as)).map(({ tags }) => tags)

/** Compares `task_tags` with the tags of the tasks. */
async function expectIndexed(as: string): Promise<void> {
  const indexed = await sql<{ task_id: number; key: string; name: string }[]>`
    select task_id, key, name from task_tags where user_id = ${as}`
  const expected = (await rowsOf(as)).flatMap(({ id, tags }) =>
    tags.map((name) => ({ task_id: id, key: tagKey(name), name })),
  )
  const sorted = (rows: typeof expected) => rows.map((row) => JSON.stringify(row)).sort()
  expect(sorted(indexed.map(({ task_id, key, name }) => ({ task_id, key, name })))).toEqual(sorted(expected))
}

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
  test('tags are listed with how many tasks have them', async () => {
    const as = newUser()
    await create(as, ['home', 'Errands'])
    await create(as, ['errands'], { completed: true })
    await create(as, [])
    await create(newUser(), ['of another'])
    const answer = await call('GET', address, { as })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual([
      { name: 'Errands', count: 2 },
      { name: 'home', count: 1 },
    ])
  })

  test('a tag is renamed', async () => {
    const as = newUser()
    await create(as, ['home', 'work'])
    const answer = await call('PATCH', pathOf('HOME', address), { as, body: { name: 'zoo' } })
    expect([answer.status, answer.body]).toEqual([200, { changed: 1 }])
    expect(await tagsOf(as)).toEqual([['work', 'zoo']])
  })

  test('a tag is taken from all tasks', async () => {
    const as = newUser()
    await create(as, ['home', 'work'])
    const answer = await call('DELETE', pathOf('HOME', address), { as })
    expect([answer.status, answer.body]).toEqual([200, { changed: 1 }])
    expect(await tagsOf(as)).toEqual([['work']])
  })

  test('what has not changed is 304', async () => {
    const as = newUser()
    await create(as, ['home'])
    const first = await call('GET', address, { as })
    const headers = { 'if-none-match': tagOf(first) }
    expect(tagOf(first)).toStartWith('W/"1-tags-')
    const again = await call('GET', address, { as, headers })
    expect([again.status, again.body, tagOf(again)]).toEqual([304, '', tagOf(first)])
    await create(as, ['home'])
    expect((await call('GET', address, { as, headers })).body).toEqual([{ name: 'home', count: 2 }])
  })

  test('an unknown tag, or one of somebody else, is 404', async () => {
    const [as, stranger] = [newUser(), newUser()]
    await create(as, ['home'])
    await create(stranger, ['work'])
    for (const [method, body] of [['PATCH', { name: 'x' }], ['DELETE']] as const) {
      const answer = await call(method, pathOf('home', address), { as: stranger, body })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'TAG_NOT_FOUND' } })
    }
    expect(await tagsOf(as)).toEqual([['home']])
    expect(await revisionOf(stranger)).toBe(1)
  })
})

test('another user in the path is refused', async () => {
  const answer = await call('GET', `/api/${newUser()}/tags`, { as: newUser() })
  expect(answer).toMatchObject({ status: 403, body: { error_code: 'OWNER_MISMATCH' } })
})

test('a new user has no tags', async () => {
  const as = newUser()
  expect(await list(as)).toEqual([])
  expect((await rename(as, 'home', 'x')).status).toBe(404)
})

test('the ETag of the list is another one for another user', async () => {
  const [as, other] = [newUser(), newUser()]
  await create(as, ['home'])
  await create(other, ['home'])
  const headers = { 'if-none-match': tagOf(await call('GET', TAGS, { as })) }
  expect((await call('GET', TAGS, { as: other, headers })).status).toBe(200)
})

test.each([
  ['an untrimmed name in the path', 'PATCH', ' home', { name: 'x' }, 'path', 'name'],
  ['the same in a deletion', 'DELETE', 'home ', undefined, 'path', 'name'],
  ['a comma in the path', 'DELETE', 'a,b', undefined, 'path', 'name'],
  ['a name of 51 characters in the path', 'DELETE', 'x'.repeat(51), undefined, 'path', 'name'],
  ['an untrimmed new name', 'PATCH', 'home', { name: 'x ' }, 'body', '/name'],
  ['an empty new name', 'PATCH', 'home', { name: '' }, 'body', '/name'],
  ['a comma in the new name', 'PATCH', 'home', { name: 'a,b' }, 'body', '/name'],
  ['a new name of 51 characters', 'PATCH', 'home', { name: 'x'.repeat(51) }, 'body', '/name'],
  ['no new name', 'PATCH', 'home', {}, 'body', '/name'],
  ['an unknown member', 'PATCH', 'home', { name: 'x', color: null }, 'body', '/color'],
])('%s is 422', async (_what, method, name, body, place, pointer) => {
  const as = newUser()
  await create(as, ['home'])
  const answer = await call(method, pathOf(name), { as, body })
  expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: place, pointer }] } })
  expect(await revisionOf(as)).toBe(1)
})

test.each(['a/b', 'a b', '100%', '?#', 'é', 'ÀÉ', 'straße', '日本', '🥛', '..x', "'; --"])(
  'a name is decoded: %s',
  async (name) => {
    const as = newUser()
    await create(as, [name])
    expect(await list(as)).toEqual([{ name, count: 1 }])
    expect((await rename(as, name.toUpperCase(), 'y')).body).toEqual({ changed: 1 })
    expect((await rename(as, 'Y', name)).body).toEqual({ changed: 1 })
    expect(await tagsOf(as)).toEqual([[name]])
    expect((await remove(as, name.toLowerCase())).body).toEqual({ changed: 1 })
    expect(await list(as)).toEqual([])
  },
)

describe('a tag that only tasks in the trash have', () => {
  test('is not listed, and comes back with them', async () => {
    const as = newUser()
    const { id } = await trashed(as, ['home'])
    await create(as, ['work'])
    expect(await list(as)).toEqual([{ name: 'work', count: 1 }])
    await call('POST', `${TODOS}/${id}/restore`, { as })
    expect(await list(as)).toEqual([
      { name: 'home', count: 1 },
      { name: 'work', count: 1 },
    ])
  })

  test('is renamed and taken away like others', async () => {
    const as = newUser()
    await trashed(as, ['home'])
    expect((await rename(as, 'home', 'house')).body).toEqual({ changed: 1 })
    expect(await tagsOf(as)).toEqual([['house']])
    expect((await remove(as, 'house')).body).toEqual({ changed: 1 })
    expect((await remove(as, 'house')).status).toBe(404)
  })

  test('keeps its spelling when another one is merged into it', async () => {
    const as = newUser()
    await trashed(as, ['Home'])
    await create(as, ['work'])
    await rename(as, 'work', 'HOME')
    expect(await tagsOf(as)).toEqual([['Home'], ['Home']])
    await expectIndexed(as)
  })

  test('has ended when they are deleted for good', async () => {
    const as = newUser()
    const { id } = await trashed(as, ['home'])
    await call('DELETE', `${TODOS}/${id}?permanent=true`, { as })
    expect((await remove(as, 'home')).status).toBe(404)
  })
})

describe('a rename', () => {
  test('gives every task a revision of its own, those in the trash too', async () => {
    const as = newUser()
    const [first, second] = [await create(as, ['home']), await trashed(as, ['a', 'home'])]
    const untouched = await create(as, ['work'])
    const third = await create(as, ['home', 'work'])
    const cursor = (await call('GET', `${TODOS}/changes`, { as })).body.cursor
    const revision = (await revisionOf(as)) ?? 0
    expect((await rename(as, 'home', 'house')).body).toEqual({ changed: 3 })
    expect(await rowsOf(as)).toMatchObject([
      { id: first.id, tags: ['house'], revision: revision + 1 },
      { id: second.id, tags: ['a', 'house'], revision: revision + 2 },
      { id: untouched.id, tags: ['work'], revision: untouched.revision },
      { id: third.id, tags: ['house', 'work'], revision: revision + 3 },
    ])
    expect(await revisionOf(as)).toBe(revision + 3)
    await expectIndexed(as)
    const { changes } = (await call('GET', `${TODOS}/changes?since=${cursor}`, { as })).body
    expect(changes.map(({ id }: { id: number }) => id)).toEqual([first.id, second.id, third.id])
    expect(changes[0].updated_at > first.updated_at).toBe(true)
  })

  test('into a tag that exists merges them, in its spelling', async () => {
    const as = newUser()
    await create(as, ['Work', 'zoo'])
    await create(as, ['job'])
    await create(as, ['job', 'Work', 'alone'])
    expect((await rename(as, 'job', 'wORK')).body).toEqual({ changed: 2 })
    expect(await tagsOf(as)).toEqual([['Work', 'zoo'], ['Work'], ['alone', 'Work']])
    expect(await list(as)).toEqual([
      { name: 'alone', count: 1 },
      { name: 'Work', count: 3 },
      { name: 'zoo', count: 1 },
    ])
    await expectIndexed(as)
    expect((await remove(as, 'job')).status).toBe(404)
  })

  test('that changes only the case changes the spelling', async () => {
    const as = newUser()
    await create(as, ['home'])
    await trashed(as, ['home', 'work'])
    expect((await rename(as, 'HOME', 'Home')).body).toEqual({ changed: 2 })
    expect(await tagsOf(as)).toEqual([['Home'], ['Home', 'work']])
    await expectIndexed(as)
    expect((await create(as, ['hOmE'])).tags).toEqual(['Home'])
  })

  test('to the very same name changes nothing', async () => {
    const as = newUser()
    await create(as, ['Home'])
    expect(await rename(as, 'home', 'Home')).toMatchObject({ status: 200, body: { changed: 0 } })
    expect(await revisionOf(as)).toBe(1)
  })

  test('of a task with twenty tags leaves twenty', async () => {
    const as = newUser()
    const names = Array.from({ length: 20 }, (_, n) => `tag ${n + 10}`)
    await create(as, names)
    await rename(as, 'tag 10', 'zoo')
    expect(await tagsOf(as)).toEqual([[...names.slice(1), 'zoo']])
  })

  test('shows in a list of tasks that is asked for again, and in a filter', async () => {
    const as = newUser()
    await create(as, ['home'])
    const tagsIn = async (query = '') =>
      (await call('GET', `${TODOS}${query}`, { as })).body.map(({ tags }: { tags: string[] }) => tags)
    expect(await tagsIn()).toEqual([['home']])
    await rename(as, 'home', 'house')
    expect(await tagsIn()).toEqual([['house']])
    expect([await tagsIn('?tag=House'), await tagsIn('?tag=home')]).toEqual([[['house']], []])
  })

  test('leaves the trigger to tasks that are written one by one', async () => {
    const as = newUser()
    const { id } = await create(as, ['home'])
    for (let n = 0; n < 20; n++) await rename(as, n % 2 ? 'house' : 'home', n % 2 ? 'home' : 'house')
    // on whichever connection
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        call('PATCH', `${TODOS}/${id}`, { as, body: { tags: [`t${n}`, 'x'] } }),
      ),
    )
    await expectIndexed(as)
  })
})

test('tags have the same order here and in the database', async () => {
  const odd = [
    ...['a', 'B', 'c', 'Z', 'ä', 'Ä-x', 'æ', 'é', 'e\u0301x', 'ß', 'st', 'ø', 'ñ', 'n', 'o', 'z1', 'z10'],
    ...[
      'z2',
      '1',
      '10',
      '2',
      '-',
      '_',
      '#1',
      '@home',
      '!',
      '(x)',
      'a b',
      'a-b',
      'ab',
      'a_b',
      "a'b",
      '…',
      '€',
    ],
    ...[
      '日本',
      '中文',
      'かな',
      'カナ',
      'Ω',
      'ω1',
      'Я',
      'я1',
      'א',
      'ع',
      '🥛',
      '👩‍👩‍👧',
      '🇩🇪',
      'İ',
      'ı',
      'ǆ',
      'ﬀ',
    ],
    ...['½', 'ⅷ', '①', 'ａ1', 'a\u00adb2', '\u{1d49c}', 'ꙮ', '\u{10400}', 'co-op', 'coop2', 'CO OP'],
  ]
  const as = newUser()
  for (let from = 0; from < odd.length; from += 19) {
    const names = odd.slice(from, from + 19)
    const made = await create(as, ['zz last', ...names])
    await rename(as, 'zz last', '0 renamed')
    const { tags } = (await call('GET', `${TODOS}/${made.id}`, { as })).body
    expect(tags).toEqual(sortedTags([...names, '0 renamed']))
    await rename(as, '0 renamed', 'zz last')
  }
  const listed = (await list(as)).map(({ name }: { name: string }) => name)
  expect(listed).toEqual(sortedTags([...odd, 'zz last']))
  await expectIndexed(as)
})

describe('at once', () => {
  test('tasks are tagged while their tag is renamed: each has one of the two names', async () => {
    const as = newUser()
    await create(as, ['home'])
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => {
        if (n % 3 === 0) return call('POST', TODOS, { as, body: { title: 'x', tags: ['HOME', 'b'] } })
        if (n % 3 === 1) return rename(as, 'home', 'house')
        return rename(as, 'house', 'Home')
      }),
    )
    expect(answers.every(({ status }) => [200, 201, 404].includes(status))).toBe(true)
    await expectIndexed(as)
    const rows = await rowsOf(as)
    expect(rows).toHaveLength(11)
    expect(new Set(rows.map(({ revision }) => revision)).size).toBe(11)
    // all tasks have the same spelling of a tag
    const spellings = new Set(rows.flatMap(({ tags }) => tags))
    expect(new Set([...spellings].map(tagKey)).size).toBe(spellings.size)
  })

  test.each([
    ['PATCH', { name: 'house' }, ['house']],
    ['DELETE', undefined, []],
  ])('%s also finds a task that another process has just tagged', async (method, body, tags) => {
    const as = newUser()
    await create(as, ['home'])
    const { id } = await create(as, [])
    const answer = await during(
      async (holder) => {
        await holder`update users set revision = 3 where id = ${as}`
        await holder`update tasks set tags = '{home}', revision = 3 where user_id = ${as} and id = ${id}`
      },
      () => call(method, pathOf('home'), { as, body }),
    )
    expect(answer).toMatchObject({ status: 200, body: { changed: 2 } })
    expect(await rowsOf(as)).toMatchObject([
      { tags, revision: 4 },
      { tags, revision: 5 },
    ])
    await expectIndexed(as)
  })

  test('of ten deletions one takes the tag away', async () => {
    const as = newUser()
    for (let n = 0; n < 5; n++) await create(as, ['home'])
    const answers = await Promise.all(Array.from({ length: 10 }, () => remove(as, 'home')))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(9).fill(404)])
    expect(await revisionOf(as)).toBe(10)
  })
})

describe('of a deleted user, tokens from before', () => {
  const tries = [
    ['GET', '', undefined],
    ['PATCH', '/home', { name: 'x' }],
    ['DELETE', '/home', undefined],
  ] as const

  test.each(tries)('are refused by %s %s, also when the user has come back', async (method, rest, body) => {
    const as = newUser()
    await create(as, ['home'])
    await sql`update users set refuse_tokens_until = 'infinity' where id = ${as}`
    const answer = await call(method, TAGS + rest, { as, body })
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect(await tagsOf(as)).toEqual([['home']])
  })

  test.each(tries.slice(1))(
    'are refused by %s %s that waits for the deletion',
    async (method, rest, body) => {
      const as = newUser()
      await create(as, ['home'])
      const answer = await during(
        (holder) => holder`update users set refuse_tokens_until = 'infinity' where id = ${as}`,
        () => call(method, TAGS + rest, { as, body }),
      )
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
      expect(await tagsOf(as)).toEqual([['home']])
      await expectIndexed(as)
    },
  )
})
