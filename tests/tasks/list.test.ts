import { describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call } = await testApp()
const TODOS = '/api/v1/todos'

interface Listed {
  id: number
  title: string
  completed: boolean
}

async function create(user: string, title: string, completed = false): Promise<Listed> {
  return (await call('POST', TODOS, { as: user, body: { title, completed } })).body
}

/** Creates a user with tasks of these titles, in this order. */
async function userWith(...titles: string[]): Promise<string> {
  const user = crypto.randomUUID()
  // every second task is completed
  for (const [index, title] of titles.entries()) await create(user, title, index % 2 === 1)
  return user
}

async function titles(user: string, query = ''): Promise<string[]> {
  const { status, body } = await call('GET', `${TODOS}${query}`, { as: user })
  expect(status).toBe(200)
  return body.map(({ title }: Listed) => title)
}

function nextOf(headers: Headers): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
}

/** Follows the links to the last page; `between` runs before each page but the first. */
async function walk(user: string, path: string, between = async () => {}): Promise<Listed[]> {
  const found: Listed[] = []
  for (let next: string | undefined = path; next !== undefined; ) {
    const { status, headers, body } = await call('GET', next, { as: user })
    expect(status).toBe(200)
    found.push(...body)
    next = nextOf(headers)
    if (next) await between()
  }
  return found
}

describe('a list', () => {
  test('is an empty array for a user without tasks', async () => {
    const { status, headers, body } = await call('GET', TODOS, { as: 'newcomer' })
    expect({ status, body, link: headers.get('link') }).toEqual({ status: 200, body: [], link: null })
  })

  test('has the newest first', async () => {
    expect(await titles(await userWith('a', 'b', 'c'))).toEqual(['c', 'b', 'a'])
  })

  test('has only its owner’s tasks, and no deleted ones', async () => {
    const user = await userWith('a', 'b')
    await userWith('of somebody else')
    const deleted = await create(user, 'deleted')
    await call('DELETE', `${TODOS}/${deleted.id}`, { as: user })
    expect(await titles(user)).toEqual(['b', 'a'])
    expect(await titles(user, '?sort=title')).toEqual(['a', 'b'])
  })

  test('is the same at the address with an owner', async () => {
    const user = await userWith('a', 'b')
    const { body } = await call('GET', TODOS, { as: user })
    for (const name of [user, 'me'])
      expect((await call('GET', `/api/${name}/tasks`, { as: user })).body).toEqual(body)
  })

  test('has the same tasks as reading each of them', async () => {
    const user = await userWith('a', 'b')
    const { body } = await call('GET', TODOS, { as: user })
    for (const task of body)
      expect((await call('GET', `${TODOS}/${task.id}`, { as: user })).body).toEqual(task)
  })

  test('has 100 tasks unless a limit is given', async () => {
    const user = await userWith(...Array.from({ length: 101 }, (_, i) => String(i)))
    expect(await titles(user)).toHaveLength(100)
    expect(await titles(user, '?limit=200')).toHaveLength(101)
  })
})

describe('a filter', () => {
  test.each([
    ['', ['d', 'c', 'b', 'a']],
    ['?status=all', ['d', 'c', 'b', 'a']],
    ['?status=pending', ['c', 'a']],
    ['?status=completed', ['d', 'b']],
    ['?completed=false', ['c', 'a']],
    ['?completed=true', ['d', 'b']],
    ['?status=all&completed=true', ['d', 'b']],
    ['?status=pending&completed=false', ['c', 'a']],
  ])('%s gives %p', async (query, expected) => {
    expect(await titles(await userWith('a', 'b', 'c', 'd'), query)).toEqual(expected)
  })

  test.each(['?status=pending&completed=true', '?status=completed&completed=false'])(
    '%s contradicts itself',
    async (query) => {
      const answer = await call('GET', TODOS + query, { as: 'x' })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'completed' }] } })
    },
  )
})

describe('a sort', () => {
  test.each([
    ['?sort=created', ['Zoo', 'émile', 'Apple', 'apple', 'banana', 'Banana']],
    ['?sort=created&order=asc', ['Banana', 'banana', 'apple', 'Apple', 'émile', 'Zoo']],
    ['?order=asc', ['Banana', 'banana', 'apple', 'Apple', 'émile', 'Zoo']],
    ['?sort=title', ['apple', 'Apple', 'Banana', 'banana', 'émile', 'Zoo']],
    ['?sort=title&order=asc', ['apple', 'Apple', 'Banana', 'banana', 'émile', 'Zoo']],
    ['?sort=title&order=desc', ['Zoo', 'émile', 'banana', 'Banana', 'Apple', 'apple']],
  ])('%s gives %p', async (query, expected) => {
    const user = await userWith('Banana', 'banana', 'apple', 'Apple', 'émile', 'Zoo')
    expect(await titles(user, query)).toEqual(expected)
  })

  test('by title works in every script, independently of the database’s locale', async () => {
    const user = await userWith('Яблоко', 'яблоко', 'Ähre', 'ähre', 'Zoo', '10', 'Ωmega', 'ωmega', '水')
    expect(await titles(user, '?sort=title')).toEqual([
      '10',
      'Ähre',
      'ähre',
      'Zoo',
      'Ωmega',
      'ωmega',
      'Яблоко',
      'яблоко',
      '水',
    ])
  })
})

describe('pages by cursor', () => {
  const TITLES = ['b', 'A', 'a', 'B', 'ä', 'same', 'same', 'same', '\uffff', 'z'.repeat(200)]

  test.each([
    '?sort=created',
    '?sort=created&order=asc',
    '?sort=title',
    '?sort=title&order=desc',
    '?status=pending&sort=title&order=desc',
    '?completed=true',
  ])('%s are together the whole list, each task once', async (query) => {
    const user = await userWith(...TITLES)
    const { body } = await call('GET', TODOS + query, { as: user })
    for (const limit of [1, 2, 3, 100]) {
      expect(await walk(user, `${TODOS}${query}&limit=${limit}`)).toEqual(body)
    }
  })

  test.each(['?limit=2', '?limit=2&order=asc', '?limit=2&sort=title', '?limit=2&sort=title&order=desc'])(
    '%s miss and repeat no task, even if tasks are created meanwhile',
    async (query) => {
      const user = await userWith(...TITLES)
      const { body: before } = await call('GET', TODOS, { as: user })
      let made = 0
      const between = async () => {
        if (made++ < 5) await create(user, made % 2 === 0 ? '!first' : 'zzz last')
      }
      const ids = (await walk(user, TODOS + query, between)).map(({ id }) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(ids).toEqual(expect.arrayContaining(before.map(({ id }: Listed) => id)))
    },
  )

  test('continue at the same place after their last task was renamed or deleted', async () => {
    const user = await userWith('a', 'b', 'c', 'd')
    const first = await call('GET', `${TODOS}?sort=title&limit=2`, { as: user })
    const last = first.body[1]
    await call('PATCH', `${TODOS}/${last.id}`, { as: user, body: { title: 'zz' } })
    const rest = await walk(user, nextOf(first.headers) ?? '')
    expect(rest.map(({ title }) => title)).toEqual(['c', 'd', 'zz'])
    await call('DELETE', `${TODOS}/${last.id}`, { as: user })
    expect((await walk(user, nextOf(first.headers) ?? '')).map(({ title }) => title)).toEqual(['c', 'd'])
  })

  test('keep the address, the filter, the limit and the count', async () => {
    const user = await userWith('a', 'b', 'c', 'd', 'e')
    const { headers } = await call('GET', `/api/me/tasks?status=pending&limit=1&count=true&skip=1`, {
      as: user,
    })
    const next = new URL(nextOf(headers) ?? '', 'http://localhost')
    expect(next.pathname).toBe('/api/me/tasks')
    expect(next.searchParams.get('skip')).toBeNull()
    expect(Object.fromEntries(next.searchParams)).toMatchObject({
      status: 'pending',
      limit: '1',
      count: 'true',
    })
    expect((await walk(user, next.pathname + next.search)).map(({ title }) => title)).toEqual(['a'])
  })

  test('refuse a broken cursor and one of another list', async () => {
    const user = await userWith('a', 'b', 'c')
    const other = await userWith('d')
    const { headers } = await call('GET', `${TODOS}?limit=1`, { as: user })
    const cursor = new URL(nextOf(headers) ?? '', 'http://localhost').searchParams.get('cursor') ?? ''
    const swapped = cursor.slice(0, -1) + (cursor.endsWith('A') ? 'B' : 'A')
    const attempts: [string, string][] = [
      [user, 'nonsense'],
      [user, ''],
      [user, cursor.slice(0, -2)],
      [user, `${cursor}x`],
      [user, `${cursor}=`],
      [user, swapped],
      [user, `${cursor}&order=asc`],
      [user, `${cursor}&sort=title`],
      [user, `${cursor}&status=pending`],
      [other, cursor],
    ]
    for (const [as, value] of attempts) {
      const answer = await call('GET', `${TODOS}?cursor=${value}`, { as })
      expect(answer, value).toMatchObject({
        status: 422,
        body: { errors: [{ in: 'query', pointer: 'cursor' }] },
      })
    }
    expect((await call('GET', `${TODOS}?cursor=${cursor}&limit=200&count=true`, { as: user })).status).toBe(
      200,
    )
  })
})

describe('pages by offset', () => {
  test('skip tasks', async () => {
    const user = await userWith('a', 'b', 'c')
    expect(await titles(user, '?skip=1&limit=1')).toEqual(['b'])
    expect(await titles(user, '?skip=0')).toEqual(['c', 'b', 'a'])
    expect(await titles(user, '?skip=10000')).toEqual([])
  })

  test('cannot be combined with a cursor', async () => {
    const user = await userWith('a', 'b')
    const { headers } = await call('GET', `${TODOS}?limit=1`, { as: user })
    const answer = await call('GET', `${nextOf(headers)}&skip=1`, { as: user })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'skip' }] } })
  })
})

describe('a count', () => {
  test('is the number of tasks that match the filter, on every page, also on an empty one', async () => {
    const user = await userWith('a', 'b', 'c')
    for (const query of [
      '?limit=1',
      '?skip=100',
      '?sort=title&limit=2',
      '?sort=title&order=desc',
      '?order=asc&skip=9',
    ]) {
      const { headers } = await call('GET', `${TODOS}${query}&count=true`, { as: user })
      expect(headers.get('x-total-count'), query).toBe('3')
    }
    const { headers } = await call('GET', `${TODOS}?status=pending&count=true`, { as: user })
    expect(headers.get('x-total-count')).toBe('2')
    expect((await call('GET', `${TODOS}?count=true`, { as: 'nobody' })).headers.get('x-total-count')).toBe(
      '0',
    )
  })

  test('is sent only if it was asked for', async () => {
    for (const query of ['', '?count=false']) {
      expect((await call('GET', TODOS + query, { as: 'nobody' })).headers.get('x-total-count')).toBeNull()
    }
  })
})

describe('the page media type', () => {
  const PAGE = 'application/vnd.taskwell.page+json'

  test('answers an object, with a cursor if there are more', async () => {
    const user = await userWith('a', 'b', 'c')
    const first = await call('GET', `${TODOS}?limit=2`, { as: user, headers: { accept: PAGE } })
    expect(first.headers.get('content-type')).toBe(PAGE)
    expect(first.headers.get('vary')).toContain('Accept')
    expect(first.body).toMatchObject({ tasks: [{ title: 'c' }, { title: 'b' }], count: 2 })
    const second = await call('GET', `${TODOS}?limit=2&cursor=${first.body.next_cursor}`, {
      as: user,
      headers: { accept: PAGE },
    })
    expect(second.body).toEqual({
      tasks: [expect.objectContaining({ title: 'a' })],
      count: 1,
      next_cursor: null,
    })
  })

  test.each([
    [undefined, false],
    ['*/*', false],
    ['application/json', false],
    [`${PAGE};q=0`, false],
    [PAGE.toUpperCase(), true],
    [`text/html, ${PAGE};q=0.5`, true],
    [`application/json, ${PAGE};q=0.1`, false],
    [`application/json;q=0.1, ${PAGE}`, true],
    [`${PAGE}, application/json`, true],
    [`application/json, ${PAGE}`, true],
    [`${PAGE};q=0.4, */*;q=0.5`, false],
    [`${PAGE}, */*;q=0.5`, true],
    [`${PAGE};q=0.5, application/*`, false],
    ['application/*', false],
    ['text/*, */*;q=0.1', false],
    ['application/json;q=0, */*', true],
    [`application/*;q=0, ${PAGE}`, true],
    [`${PAGE};q=0, application/json;q=0`, false],
    [`${PAGE} ; charset=utf-8 ; Q=0.5, application/json ; q=0.6`, false],
    [`${PAGE};q=0.501, application/json;q=0.5`, true],
    [`${PAGE};q=2, application/json;q=0.5`, true],
    [';;q=', false],
  ])('%p is answered as a page: %p', async (accept, isPage) => {
    const { body } = await call('GET', TODOS, { as: 'nobody', ...(accept && { headers: { accept } }) })
    expect(Array.isArray(body)).toBe(!isPage)
  })
})

describe('a parameter', () => {
  test.each([
    ['limit', '0'],
    ['limit', '201'],
    ['limit', '-1'],
    ['limit', '1.5'],
    ['limit', '1e1'],
    ['limit', '0x10'],
    ['limit', '%205'],
    ['limit', ''],
    ['limit', 'ten'],
    ['skip', '-1'],
    ['skip', '10001'],
    ['skip', 'x'],
    ['status', 'done'],
    ['status', ''],
    ['completed', 'yes'],
    ['completed', '1'],
    ['sort', 'id'],
    ['order', 'up'],
    ['count', '1'],
    ['page', '1'],
    ['offset', '1'],
    ['__proto__', '1'],
  ])('cannot be %s=%s', async (name, value) => {
    const answer = await call('GET', `${TODOS}?${name}=${value}`, { as: 'x' })
    expect(answer.status).toBe(422)
    expect(answer.body.errors).toEqual([{ in: 'query', pointer: name, detail: expect.any(String) }])
  })

  test.each(['limit=1&limit=2', 'limit=1&limit=1', 'status=all&sort=title&status=all'])(
    'cannot be repeated: %s',
    async (query) => {
      const answer = await call('GET', `${TODOS}?${query}`, { as: 'x' })
      const [pointer] = query.split('=')
      expect(answer.status).toBe(422)
      expect(answer.body.errors).toEqual([{ in: 'query', pointer, detail: 'must be sent once' }])
    },
  )

  test.each(['limit=200', 'limit=1', 'skip=10000', 'limit=010'])('can be %s', async (query) => {
    expect((await call('GET', `${TODOS}?${query}`, { as: 'x' })).status).toBe(200)
  })
})
