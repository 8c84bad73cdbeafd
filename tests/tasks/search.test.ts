/** Lists with filters and orders, alone and together, compared with a model in every page. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Task } from '../../src/tasks/model'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

async function create(as: string, fields: object): Promise<Task> {
  const { status, body } = await call('POST', TODOS, { as, body: { title: 'x', ...fields } })
  expect({ status, body }).toMatchObject({ status: 201 })
  return body
}

/** Reads a list to its end, page by page. */
async function walk(as: string, query: Record<string, string>, limit = 200): Promise<Task[]> {
  const tasks: Task[] = []
  let path: string | undefined = `${TODOS}?${new URLSearchParams({ ...query, limit: String(limit) })}`
  while (path !== undefined) {
    const { status, headers, body } = await call('GET', path, { as })
    expect({ status, body }).toMatchObject({ status: 200 })
    tasks.push(...body)
    path = /<(.*?)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
  }
  return tasks
}
const titlesOf = async (as: string, query: Record<string, string>) =>
  (await walk(as, query)).map(({ title }) => title)

const DAYS = [null, '1999-12-31', '2026-05-01', '2026-05-02', '2099-01-01'] as const
const TIMES = [null, '00:00', '09:30', '23:59'] as const
const ZONES = ['UTC', 'Asia/Tokyo', 'America/New_York'] as const
const TAGS = ['home', 'work', 'éclair'] as const
const PRIORITIES = [null, 'high', 'medium', 'low'] as const

const at = <T>(items: readonly T[], n: number): T => items[n % items.length] as T

/** A user with many tasks, whose fields are spread so that most combinations occur. */
const filled = (async () => {
  const as = 'finder'
  await sql`insert into users (id, revision) values (${as}, 1)`
  const lists = await sql<{ id: number }[]>`
    insert into lists (user_id, name, created_at, updated_at, revision)
    select ${as}, n::text, now(), now(), 1 from generate_series(1, 2) as n returning id`
  const made: Task[] = []
  for (let n = 0; n < 90; n++) {
    const due_date = at(DAYS, n)
    made.push(
      await create(as, {
        title: `${at(['alpha', 'Beta', 'gamma', 'Ölçü'], n * 7)} ${n % 11}`,
        description: at([null, 'Milk for Zürich', 'молоко'], n),
        completed: n % 4 === 0,
        priority: at(PRIORITIES, n * 3),
        due_date,
        time_zone: at(ZONES, n),
        due_time: due_date && at(TIMES, n >> 1),
        tags: TAGS.filter((_, k) => (n >> k) & 1),
        list_id: n % 3 === 0 ? null : at(lists, n).id,
        parent_id: n % 9 === 8 ? made[0]?.id : null,
      }),
    )
  }
  for (let n = 0; n < 20; n++) {
    const { id } = at(made, n * 13)
    await call('POST', `${TODOS}/${id}/move`, { as, body: { after: at(made, n * 7 + 3).id } })
  }
  for (let n = 0; n < 10; n++) {
    await call('PATCH', `${TODOS}/${at(made, n * 17).id}`, { as, body: { description: `changed ${n}` } })
  }
  await call('DELETE', `${TODOS}/${at(made, 40).id}`, { as })
  return { as, tasks: await walk(as, {}), lists: lists.map(({ id }) => id) }
})()

const fold = (text: string) =>
  text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .normalize('NFC')
const rankOf = { high: 3, medium: 2, low: 1 }

/** Which tasks a filter finds. */
const FILTERS: Record<string, (task: Task, value: string) => boolean> = {
  completed: (task, value) => String(task.completed) === value,
  status: ({ completed }, value) => value === 'all' || completed === (value === 'completed'),
  priority: ({ priority }, value) => value.split(',').includes(priority ?? 'none'),
  tag: ({ tags }, value) => value.split(',').every((name) => tags.includes(name.toLowerCase())),
  list_id: ({ list_id }, value) => String(list_id ?? 'none') === value,
  parent_id: ({ parent_id }, value) => String(parent_id ?? 'none') === value,
  due: ({ due_date }, value) => (due_date !== null) === (value === 'any'),
  due_from: ({ due_date }, value) => due_date !== null && due_date >= value,
  due_to: ({ due_date }, value) => due_date !== null && due_date <= value,
  // no task is due near now
  overdue: ({ completed, due_date }, value) =>
    (!completed && due_date !== null && due_date < '2026-11') === (value === 'true'),
  updated_from: ({ updated_at }, value) => updated_at >= value,
  q: ({ title, description }, value) =>
    value
      .split(' ')
      .every((word) => [title, description ?? ''].some((text) => fold(text).includes(fold(word)))),
}

const LAST = Number.POSITIVE_INFINITY
/** What a list is sorted by; what has none comes last in either direction. */
const SORTS: Record<string, (task: Task) => string | number> = {
  created: ({ id }) => id,
  title: ({ title }) => title.toLowerCase(),
  due: ({ due_date, due_time }) =>
    due_date === null ? LAST : Date.parse(`${due_date}T00:00Z`) + minutes(due_time),
  priority: ({ priority }) => (priority === null ? LAST : rankOf[priority]),
  updated: ({ revision }) => revision,
  position: ({ position }) => position,
}
const minutes = (time: string | null) =>
  time === null ? 0 : 1 + Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
const DOWN = new Set(['created', 'priority', 'updated'])
const collator = new Intl.Collator('en')

function sorted(tasks: Task[], sort: string, order: string | undefined): Task[] {
  const keyOf = SORTS[sort] ?? expect.unreachable()
  const sign = (order ?? (DOWN.has(sort) ? 'desc' : 'asc')) === 'asc' ? 1 : -1
  return tasks.toSorted((a, b) => {
    const [one, other] = [keyOf(a), keyOf(b)]
    if (one === LAST || other === LAST) if (one !== other) return one === LAST ? 1 : -1
    const isWords = sort === 'title'
    const compared = isWords
      ? collator.compare(String(one), String(other))
      : one < other
        ? -1
        : one > other
          ? 1
          : 0
    return sign * (compared || a.id - b.id)
  })
}

test('any filters in any order find what a simple model finds, in every page and in the count', async () => {
  const { as, tasks, lists } = await filled
  const moments = tasks.map(({ updated_at }) => updated_at)
  const some = (values: readonly string[]) =>
    fc.option(fc.constantFrom(...values), { nil: undefined, freq: 3 })
  const Query = fc.record({
    completed: some(['true', 'false']),
    priority: some(['high', 'none', 'low,none', 'high,medium,low']),
    tag: some(['home', 'HOME,work', 'ÉCLAIR', 'nothing']),
    list_id: some([...lists.map(String), 'none', '999999']),
    parent_id: some([String(tasks.find(({ parent_id }) => parent_id !== null)?.parent_id), 'none', '999999']),
    due: some(['any', 'none']),
    due_from: some(['2026-05-01', '2030-01-01']),
    due_to: some(['2026-05-01', '1990-01-01']),
    overdue: some(['true', 'false']),
    updated_from: some([moments[10] ?? '', moments[60] ?? '']),
    q: some(['a', 'ALPHA', 'olcu', 'milk zur', 'МОЛОКО', 'changed', 'zzz']),
    sort: some(Object.keys(SORTS)),
    order: some(['asc', 'desc']),
  })
  await fc.assert(
    fc.asyncProperty(Query, fc.constantFrom(3, 7, 50), async (sent, limit) => {
      const query = Object.fromEntries(
        Object.entries(sent).filter((entry): entry is [string, string] => entry[1] !== undefined),
      )
      const { sort = 'created', order, ...filters } = query
      const found = Object.entries(filters).reduce(
        (left, [name, value]) => left.filter((task) => FILTERS[name]?.(task, value)),
        tasks,
      )
      const expected = sorted(found, sort, order).map(({ id }) => id)
      expect((await walk(as, query, limit)).map(({ id }) => id)).toEqual(expected)
      const counted = await call(
        'GET',
        `${TODOS}?${new URLSearchParams({ ...query, count: 'true', limit: '1' })}`,
        { as },
      )
      expect(counted.headers.get('x-total-count')).toBe(String(expected.length))
      expect(
        (
          await call('GET', `${TODOS}?${new URLSearchParams({ ...query, skip: '2', limit: '5' })}`, { as })
        ).body.map(({ id }: Task) => id),
      ).toEqual(expected.slice(2, 7))
    }),
    { numRuns: 150 },
  )
}, 60_000)

describe('a search finds', () => {
  test.each([
    ['Überweisung an Müller', 'weisung mull'],
    ['東京タワー', 'タワー'],
    ['х\u0483лѣбъ', 'хлѣбъ'],
    ['ق\u064fر\u06e1ءان', 'قرءان'],
    ['ܫܠ\u0735ܡܐ', 'ܫܠܡܐ'],
    ['ガギグ', 'ガ'],
    ['Позвонить маме', 'ПОЗВОНИТЬ'],
    ['Ångström', 'angstrom'],
    ['İstanbul', 'istanbul'],
    ['Straße', 'STRASSE'],
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['crème brûlée', 'brulee creme'],
    ['e\u0301te\u0301', 'été'],
    ['ﬁnal', 'final'],
    ['हिन्दी पाठ', 'हिन्दी'],
    ['한국어', '한국'],
    ['100% sure_thing \\o/', '100% sure_ \\o'],
    ['smørrebrød', 'smorrebrod'],
  ])('%s by %s', async (title, q) => {
    const as = crypto.randomUUID()
    await create(as, { title: 'another one' })
    await create(as, { title })
    await create(as, { title: 'in the text', description: title })
    expect(await titlesOf(as, { q, sort: 'title' })).toEqual([title, 'in the text'].sort(collator.compare))
  })

  test.each([
    ['カ', 'ガ'],
    ['sure-thing', 'sure_thing'],
    ['100 sure', '100%sure'],
    ['ab', 'a b c'],
  ])('not %s by %s', async (title, q) => {
    const as = crypto.randomUUID()
    await create(as, { title })
    expect(await titlesOf(as, { q })).toEqual([])
  })

  test('a word in the title and another in the description, but no word across both', async () => {
    const as = crypto.randomUUID()
    await create(as, { title: 'left', description: 'right' })
    expect(await titlesOf(as, { q: 'left right' })).toEqual(['left'])
    expect(await titlesOf(as, { q: 'leftright' })).toEqual([])
  })

  test('what was changed, also by a service of the version before', async () => {
    const as = crypto.randomUUID()
    const { id } = await create(as, { title: 'é one' })
    await call('PATCH', `${TODOS}/${id}`, { as, body: { title: 'plain' } })
    expect(await titlesOf(as, { q: 'one' })).toEqual([])
    await sql`update tasks set title = 'Größe' where id = ${id}`
    expect(await titlesOf(as, { q: 'grosse' })).toEqual(['Größe'])
  })
})

test.each([
  'priority=urgent',
  'priority=',
  'tag=',
  'tag=a,,b',
  'list_id=x',
  'list_id=0',
  'parent_id=-1',
  'due=some',
  'due_from=2026-02-30',
  'due_to=tomorrow',
  'overdue=1',
  'updated_from=2026-01-01',
  'updated_from=2026-02-30T00:00:00Z',
  'q=',
  'q=%20',
  'q=a+b+c+d+e+f+g+h+i',
  `q=${'x'.repeat(201)}`,
  'q=%00',
  'sort=color',
])('%s is refused, and named', async (query) => {
  const answer = await call('GET', `${TODOS}?${query}`, { as: 'ann' })
  expect(answer.status).toBe(422)
  expect(answer.body.errors).toMatchObject([{ in: 'query', pointer: query.split('=')[0] }])
})

test('a moment may have an offset, and any year', async () => {
  const as = crypto.randomUUID()
  await create(as, {})
  expect(await walk(as, { updated_from: '0001-01-01T00:00:00+02:00' })).toHaveLength(1)
  expect(await walk(as, { updated_from: '9999-12-31T23:59:59-12:00' })).toHaveLength(0)
})

test('due days are sorted up to the last one', async () => {
  const as = crypto.randomUUID()
  for (const due_date of ['9999-12-31', '1900-01-01', '5980-04-01'])
    await create(as, { due_date, title: due_date })
  expect(await titlesOf(as, { sort: 'due' })).toEqual(['1900-01-01', '5980-04-01', '9999-12-31'])
})

test('a cursor belongs to its filter and its order', async () => {
  const { as } = await filled
  const first = await call('GET', `${TODOS}?sort=due&priority=high&limit=2`, { as })
  const [, cursor = ''] = /cursor=([^>&]*)/.exec(first.headers.get('link') ?? '') ?? []
  expect((await call('GET', `${TODOS}?sort=due&priority=high&cursor=${cursor}`, { as })).status).toBe(200)
  for (const other of [
    'sort=due',
    'sort=due&priority=low',
    'sort=priority&priority=high',
    'sort=due&order=desc&priority=high',
  ]) {
    expect((await call('GET', `${TODOS}?${other}&cursor=${cursor}`, { as })).status).toBe(422)
  }
})

test('what becomes overdue is listed without a change, and a list that was kept is not answered for it', async () => {
  const as = crypto.randomUUID()
  const { id } = await create(as, { due_date: '2099-01-01', due_time: '10:00', time_zone: 'UTC' })
  const before = await call('GET', `${TODOS}?overdue=true`, { as })
  expect(before.body).toEqual([])
  const headers = { 'if-none-match': before.headers.get('etag') ?? '' }
  expect((await call('GET', `${TODOS}?overdue=true`, { as, headers })).status).toBe(304)
  await sql`update tasks set overdue_at = now() where id = ${id}`
  const after = await call('GET', `${TODOS}?overdue=true`, { as, headers })
  expect([after.status, after.body.length]).toEqual([200, 1])
  await call('PATCH', `${TODOS}/${id}/complete`, { as })
  expect((await call('GET', `${TODOS}?overdue=true`, { as })).body).toEqual([])
})
