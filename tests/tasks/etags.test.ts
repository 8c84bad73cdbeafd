import { describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { openDatabase } from '../../src/database/database'
import { createLog } from '../../src/telemetry/log'
import { linesTo, testApp, testSettings, toAnswer } from '../support/app'

const { call, sql, url } = await testApp()
const TODOS = '/api/v1/todos'
const PAGE = 'application/vnd.taskwell.page+json'

const newUser = () => crypto.randomUUID()
const create = async (as: string, body: unknown = { title: 'x' }) =>
  (await call('POST', TODOS, { as, body })).body
const change = (as: string, id: number) => call('PATCH', `${TODOS}/${id}`, { as, body: { title: 'y' } })
const tagOf = ({ headers }: { headers: Headers }) => headers.get('etag') ?? ''

/** Creates a user with a task of revision 3: another task was created before its change. */
async function aTask() {
  const as = newUser()
  const { id } = await create(as)
  await create(as)
  return { as, task: (await change(as, id)).body, id, path: `${TODOS}/${id}` }
}

/** Reads everything that a user owns, with the count of changes. */
const stateOf = async (as: string) => [
  await sql`select revision from users where id = ${as}`,
  await sql`select to_jsonb(tasks) as row from tasks where user_id = ${as} order by id`,
]

async function waiting(): Promise<number> {
  const rows = await sql`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return rows.length
}

/** Every write of a task; a task to be restored is in the trash. */
const WRITES = [
  ['PUT', '', { title: 'z' }],
  ['PATCH', '', { title: 'z' }],
  ['PATCH', '/complete', undefined],
  ['PATCH', '/complete', { completed: true }],
  ['DELETE', '', undefined],
  ['DELETE', '?permanent=true', undefined],
  ['POST', '/restore', undefined],
] as const

describe.each([TODOS, '/api/me/tasks'])('at %s the answer', (address) => {
  test.each([
    ['to POST', 'POST', '', { title: 'z' }],
    ['to GET', 'GET', '/id', undefined],
    ['to PUT', 'PUT', '/id', { title: 'z' }],
    ['to PATCH', 'PATCH', '/id', { title: 'z' }],
    ['to complete', 'PATCH', '/id/complete', undefined],
    ['to restore of one in the trash', 'POST', '/id/restore', undefined],
    ['to restore of one that is not', 'POST', '/id/restore', undefined],
  ] as const)('%s has the revision as a strong tag', async (what, method, route, body) => {
    const { as, id } = await aTask()
    if (what.includes('in the trash')) await call('DELETE', `${TODOS}/${id}`, { as })
    const answer = await call(method, address + route.replace('id', String(id)), { as, body })
    expect(answer.body.title).toBeString()
    expect(tagOf(answer)).toBe(`"${answer.body.revision}"`)
    const read = await call('GET', `${TODOS}/${answer.body.id}`, { as })
    expect([tagOf(read), read.body]).toEqual([tagOf(answer), answer.body])
  })
})

describe('a read', () => {
  test.each([
    ['"3"', 304],
    ['W/"3"', 304],
    ['"1", "3"', 304],
    [' "1" ,, W/"3"', 304],
    ['*', 304],
    ['"1"', 200],
    ['"33"', 200],
    ['3', 200],
    ['"3', 200],
    ['', 200],
  ])('with If-None-Match %s is %d', async (tag, status) => {
    const { as, task, path } = await aTask()
    for (const method of ['GET', 'HEAD']) {
      const answer = await call(method, path, { as, headers: { 'if-none-match': tag } })
      expect([answer.status, tagOf(answer)]).toEqual([status, '"3"'])
      expect(answer.body).toEqual(status === 304 || method === 'HEAD' ? '' : task)
      if (status === 304) expect(answer.headers.get('content-type')).toBeNull()
      expect(answer.headers.get('x-request-id')).toBeString()
    }
  })

  test('of a changed task answers the whole task', async () => {
    const { as, id, path } = await aTask()
    await change(as, id)
    const answer = await call('GET', path, { as, headers: { 'if-none-match': '"3"' } })
    expect([answer.status, tagOf(answer)]).toEqual([200, '"4"'])
  })

  test('of a task that does not exist is 404 with any If-None-Match', async () => {
    for (const tag of ['*', '"1"']) {
      const answer = await call('GET', `${TODOS}/1`, { as: newUser(), headers: { 'if-none-match': tag } })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'TASK_NOT_FOUND' } })
    }
  })
})

describe.each(WRITES)('%s %s with %p', (method, route, body) => {
  async function subject() {
    const { as, id, path, task } = await aTask()
    if (route !== '/restore') return { as, path: path + route, id, current: task }
    await call('DELETE', path, { as })
    const [row] = await sql<{ updated_at: string; revision: number }[]>`
      select rfc3339(updated_at) as updated_at, revision from tasks where user_id = ${as} and id = ${id}`
    return { as, path: path + route, id, current: { ...task, ...row } }
  }

  // a proxy that compresses makes the tag weak
  const matching = ['"now"', '"1", "now"', ' "now" ,"99"', '*', ' * ', 'W/"now"', 'W/"1", W/"now"']
  test.each(matching)('happens if it matches %s', async (tags) => {
    const { as, path, current } = await subject()
    const headers = { 'if-match': tags.replace('now', current.revision) }
    expect((await call(method, path, { as, body, headers })).status).toBe(method === 'DELETE' ? 204 : 200)
    expect(await sql`select from users where id = ${as} and revision = ${current.revision + 1}`).toHaveLength(
      1,
    )
  })

  test.each([
    '"1"',
    '"1", "2"',
    'W/"1"',
    'W/"now-array"',
    'w/"now"',
    'W/ "now"',
    'now',
    '"now',
    '""',
    '',
    '"now" or so',
    '"0now"',
  ])('does nothing if it does not match: %s', async (tags) => {
    const { as, path, current } = await subject()
    const before = await stateOf(as)
    const headers = { 'if-match': tags.replace('now', current.revision) }
    const answer = await call(method, path, { as, body, headers })
    expect([answer.status, answer.body.error_code]).toEqual([412, 'PRECONDITION_FAILED'])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.body.current).toEqual(current)
    expect(tagOf(answer)).toBe(`"${current.revision}"`)
    expect(await stateOf(as)).toEqual(before)
  })

  test('is 404 before 412 for an unknown task, and for one of another user', async () => {
    const { id, current } = await subject()
    const as = newUser()
    await create(as)
    for (const tag of ['"99"', `"${current.revision}"`, '*']) {
      const headers = { 'if-match': tag }
      const answer = await call(method, `${TODOS}/${id}${route}`, { as, body, headers })
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'TASK_NOT_FOUND' } })
      expect(answer.body).not.toHaveProperty('current')
    }
  })

  test.each([
    ['changes it', 'completed = completed', 412],
    ['ends it', `title = '', ended = true, deleted_at = now()`, 404],
  ])('that waits for one that %s does nothing', async (_what, set, status) => {
    const { as, path, id, current } = await subject()
    const holder = await sql.reserve()
    await holder`begin`
    await holder`update users set revision = revision + 1 where id = ${as}`
    await holder.unsafe(`update tasks set ${set}, revision = revision + 1 where id = ${id}`)
    const headers = { 'if-match': `"${current.revision}"` }
    const answer = call(method, path, { as, body, ...(status === 412 && { headers }) })
    while ((await waiting()) === 0);
    const before = await holder`select * from tasks where user_id = ${as} order by id`
    await holder`commit`
    holder.release()
    expect((await answer).status).toBe(status)
    expect([...(await sql`select * from tasks where user_id = ${as} order by id`)]).toEqual([...before])
  })

  test('by fifty concurrent requests for one revision happens once', async () => {
    const { as, path, current } = await subject()
    const headers = { 'if-match': `"${current.revision}"` }
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => call(method, path, { as, body, headers })),
    )
    const isGone = method === 'DELETE'
    expect(answers.filter(({ status }) => status === (isGone ? 204 : 200))).toHaveLength(1)
    expect(answers.filter(({ status }) => status === (isGone ? 404 : 412))).toHaveLength(49)
  })
})

test.each([
  ['PATCH', '', {}],
  ['PUT', '', { title: ' ' }],
  ['PATCH', '/complete', {}],
  ['DELETE', '?permanent=maybe', undefined],
])('%s %s with %p is not valid, whether it matches or not', async (method, route, body) => {
  const { as, path } = await aTask()
  const answer = await call(method, path + route, { as, body, headers: { 'if-match': '"99"' } })
  expect(answer).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_ERROR' } })
})

test('without a revision, a task that is deleted and restored meanwhile is never a 412', async () => {
  const { as, path } = await aTask()
  const actions = [
    () => call('DELETE', path, { as }),
    () => call('POST', `${path}/restore`, { as }),
    () => call('PATCH', path, { as, body: { completed: true } }),
    () => call('PATCH', `${path}/complete`, { as, headers: { 'if-match': '*' } }),
  ]
  const rounds = Array.from({ length: 100 }, () => actions).flat()
  const statuses = (await Promise.all(rounds.map((action) => action()))).map(({ status }) => status)
  expect([...new Set(statuses)].filter((status) => ![200, 204, 404].includes(status))).toEqual([])
})

describe('a list', () => {
  const LISTS = ['', '?order=asc', '?sort=title', '?sort=title&order=desc', '?count=true&limit=1', '/trash']
  const poll = (as: string, path: string, tag: string, accept = '*/*') =>
    call('GET', path, { as, headers: { 'if-none-match': tag, accept } })

  async function aList(route: string) {
    const { as, id } = await aTask()
    const { id: trashed } = await create(as)
    await call('DELETE', `${TODOS}/${trashed}`, { as })
    const path = TODOS + route
    return { as, id, trashed, path, tag: tagOf(await call('GET', path, { as })) }
  }

  test.each(LISTS)('%s has a weak tag, and is 304 while nothing has changed', async (route) => {
    const { as, path, tag } = await aList(route)
    expect(tag).toMatch(/^W\/"[^"]+"$/)
    for (const sent of [tag, tag.replace('W/', ''), `"x", ${tag}`, `W/"0-array", ${tag}`]) {
      const answer = await poll(as, path, sent)
      expect([answer.status, answer.body, tagOf(answer)]).toEqual([304, '', tag])
      expect(answer.headers.get('vary')).toContain('Accept')
    }
    for (const sent of ['"x"', 'x', '', `x${tag}`, tag.replace(/\d+/, '0')]) {
      expect((await poll(as, path, sent)).status, sent).toBe(200)
    }
    expect((await call('HEAD', path, { as, headers: { 'if-none-match': tag } })).status).toBe(304)
  })

  test.each(LISTS)(
    '%s has another tag after each change, but not after changes of other users',
    async (route) => {
      const { as, id, trashed, path, tag } = await aList(route)
      const other = await aTask()
      await call('DELETE', other.path, { as: other.as })
      expect((await poll(as, path, tag)).status).toBe(304)
      let last = tag
      for (const act of [
        () => create(as),
        () => change(as, id),
        () => call('PATCH', `${TODOS}/${id}/complete`, { as }),
        () => call('DELETE', `${TODOS}/${id}`, { as }),
        () => call('POST', `${TODOS}/${id}/restore`, { as }),
        () => call('DELETE', `${TODOS}/${trashed}?permanent=true`, { as }),
      ]) {
        await act()
        const answer = await poll(as, path, last)
        expect(answer.status).toBe(200)
        last = tagOf(answer)
        expect((await poll(as, path, last)).status).toBe(304)
      }
    },
  )

  test.each(['', '/trash'])('%s has another tag as a page than as an array', async (route) => {
    const { as, path, tag } = await aList(route)
    const page = await poll(as, path, tag, PAGE)
    expect([page.status, page.body.count]).toEqual([200, route === '' ? 2 : 1])
    expect((await poll(as, path, tagOf(page), PAGE)).status).toBe(304)
    expect((await poll(as, path, tagOf(page))).status).toBe(200)
  })

  test.each(LISTS)('%s is never 304 for the tag of another user', async (route) => {
    const ann = await aList(route)
    const bob = await aList(route)
    // the same number of changes, at the same address
    expect(ann.tag.split('-')[0]).toBe(bob.tag.split('-')[0] ?? '')
    expect((await poll(bob.as, bob.path, ann.tag)).status).toBe(200)
  })

  test('has a tag on the page after a cursor, too', async () => {
    const { as, path } = await aList('?limit=1')
    const next = /<(.+)>/.exec((await call('GET', path, { as })).headers.get('link') ?? '')?.[1] ?? ''
    const { headers } = await call('GET', next, { as })
    expect((await poll(as, next, tagOf({ headers }))).status).toBe(304)
  })

  test('of a user without tasks is 304 until there is one', async () => {
    const as = newUser()
    const tag = tagOf(await call('GET', TODOS, { as }))
    expect((await poll(as, TODOS, tag)).status).toBe(304)
    await create(as)
    expect((await poll(as, TODOS, tag)).status).toBe(200)
  })

  test.each(LISTS)('%s reads no task if nothing has changed', async (route) => {
    const { as, path, tag } = await aList(route)
    // on a pool of one connection, PostgreSQL counts what a statement has read before the next one
    const one = openDatabase({ url, poolSize: 1, requestTimeout: 10_000 })
    const log = createLog({ logLevel: 'silent', production: true }, linesTo([]))
    const settings = testSettings()
    const app = createApp({ settings, database: one, log })
    const authorization = `Bearer ${await signAccessToken(as, settings)}`
    async function scansOf(headers: Record<string, string>): Promise<number> {
      const before = await scans()
      const request = new Request(`http://localhost${path}`, { headers: { authorization, ...headers } })
      await toAnswer(await app.handle(request))
      return (await scans()) - before
    }
    async function scans(): Promise<number> {
      await one.sql`
        -- flush
        select pg_stat_force_next_flush()`
      const [row] = await one.sql<{ scans: number }[]>`
        -- countScans
        select seq_scan + idx_scan as scans from pg_stat_user_tables where relname = 'tasks'`
      return row?.scans ?? 0
    }
    expect(await scansOf({})).toBeGreaterThan(0)
    expect(await scansOf({ 'if-none-match': tag })).toBe(0)
    await one.end()
  })
})
