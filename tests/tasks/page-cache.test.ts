import { describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { createPageCache } from '../../src/tasks/page-cache'
import { createLog } from '../../src/telemetry/log'
import { createMetrics } from '../../src/telemetry/metrics'
import { linesTo, testApp } from '../support/app'

const TODOS = '/api/v1/todos'
const { call, database, settings, sql, logged } = await testApp()

/** The statements that a request ran, from the last line of the log. */
function lastRan(): string[] {
  const { statements = [] } = JSON.parse(logged.at(-1) ?? '{}')
  return statements.map(({ name }: { name: string }) => name)
}

async function userWith(...titles: string[]): Promise<string> {
  const as = crypto.randomUUID()
  for (const title of titles) await call('POST', TODOS, { as, body: { title } })
  return as
}

/** The titles of a list, and the statements that were run for it. */
async function list(as: string, path = TODOS): Promise<{ titles: string[]; ran: string[] }> {
  const { status, body } = await call('GET', path, { as })
  expect(status).toBe(200)
  return { titles: body.map(({ title }: { title: string }) => title), ran: lastRan() }
}

const READ = ['findUsers', 'listTasks']
const KEPT = ['findUsers']

describe('a list', () => {
  test('is read once, and again after each change', async () => {
    const as = await userWith('a')
    expect(await list(as)).toEqual({ titles: ['a'], ran: READ })
    expect(await list(as)).toEqual({ titles: ['a'], ran: KEPT })
    const { body } = await call('POST', TODOS, { as, body: { title: 'b' } })
    expect(await list(as)).toEqual({ titles: ['b', 'a'], ran: READ })
    expect(await list(as)).toEqual({ titles: ['b', 'a'], ran: KEPT })
    await call('DELETE', `${TODOS}/${body.id}`, { as })
    expect(await list(as)).toEqual({ titles: ['a'], ran: READ })
  })

  test('is read again after a change by another process', async () => {
    const as = await userWith('a')
    const other = createApp({ settings, database, log: createLog({ logLevel: 'silent', production: true }) })
    await list(as)
    const headers = {
      authorization: `Bearer ${await signAccessToken(as, settings)}`,
      'content-type': 'application/json',
    }
    const request = new Request(`http://localhost${TODOS}`, {
      method: 'POST',
      headers,
      body: '{"title":"b"}',
    })
    expect((await other.handle(request)).status).toBe(201)
    expect(await list(as)).toEqual({ titles: ['b', 'a'], ran: READ })
  })

  test('is read again if the same revision has other tasks, as after a restore from a backup', async () => {
    const as = await userWith('a')
    await list(as)
    await sql.begin(async (tx) => {
      await tx`update tasks set title = 'restored' where user_id = ${as}`
      await tx`update users set revision = revision where id = ${as}`
    })
    expect(await list(as)).toEqual({ titles: ['restored'], ran: READ })
  })

  test('is kept apart for each address, form and user', async () => {
    const [ann, bob] = [await userWith('a', 'b'), await userWith('c', 'd')]
    for (const _ of [1, 2]) {
      expect((await list(ann)).titles).toEqual(['b', 'a'])
      expect((await list(bob)).titles).toEqual(['d', 'c'])
      expect((await list(ann, `${TODOS}?limit=1`)).titles).toEqual(['b'])
      expect((await list(ann, `${TODOS}?order=asc`)).titles).toEqual(['a', 'b'])
      expect((await list(ann, `${TODOS}/trash`)).titles).toEqual([])
      expect((await list(ann, '/api/me/tasks?limit=1')).titles).toEqual(['b'])
      const page = await call('GET', TODOS, {
        as: ann,
        headers: { accept: 'application/vnd.taskwell.page+json' },
      })
      expect(page.body).toMatchObject({ count: 2, next_cursor: null })
    }
  })

  test('has the same headers if it comes from memory', async () => {
    const as = await userWith('a', 'b')
    const path = `${TODOS}?limit=1&count=true`
    const [first, again] = [await call('GET', path, { as }), await call('GET', path, { as })]
    expect(lastRan()).toEqual(KEPT)
    for (const name of ['etag', 'link', 'x-total-count', 'content-type', 'vary', 'cache-control']) {
      expect([name, again.headers.get(name)]).toEqual([name, first.headers.get(name)])
    }
    expect(first.headers.get('x-total-count')).toBe('2')
    expect(first.headers.get('link')).toContain('rel="next"')
    const link = again.headers.get('link')?.slice(1).split('>')[0] ?? ''
    expect((await list(as, link)).titles).toEqual(['a'])
  })

  test('of a deleted user is never answered', async () => {
    const as = await userWith('a')
    await list(as)
    expect((await call('DELETE', '/api/v1/users/me', { as })).status).toBe(204)
    expect(await call('GET', TODOS, { as })).toMatchObject({
      status: 401,
      body: { error_code: 'TOKEN_INVALID' },
    })
  })

  test('of a user who was deleted by another process is never answered', async () => {
    const as = await userWith('a')
    await list(as)
    await sql`update users set refuse_tokens_until = 'infinity' where id = ${as}`
    expect(await call('GET', TODOS, { as })).toMatchObject({
      status: 401,
      body: { error_code: 'TOKEN_INVALID' },
    })
  })

  test('that the client already has is not read', async () => {
    const as = await userWith('a')
    const etag = (await call('GET', TODOS, { as })).headers.get('etag') ?? ''
    for (const path of [TODOS, `${TODOS}?limit=7`]) {
      expect((await call('GET', path, { as, headers: { 'if-none-match': etag } })).status).toBe(304)
      expect(lastRan()).toEqual(KEPT)
    }
  })

  test('with a broken cursor is refused, even if the client’s ETag matches', async () => {
    const as = await userWith('a')
    const etag = (await call('GET', TODOS, { as })).headers.get('etag') ?? ''
    const answer = await call('GET', `${TODOS}?cursor=x`, { as, headers: { 'if-none-match': etag } })
    expect(answer.status).toBe(422)
  })

  test('is counted in the metrics by its source', async () => {
    const metrics = createMetrics()
    const log = createLog({ logLevel: 'silent', production: true }, linesTo([]))
    const counting = createApp({ settings, database, log, metrics })
    const as = await userWith('a')
    const headers = { authorization: `Bearer ${await signAccessToken(as, settings)}` }
    const get = () => counting.handle(new Request(`http://localhost${TODOS}`, { headers }))
    for (const _ of [1, 2, 3]) await get()
    await call('POST', TODOS, { as, body: { title: 'b' } })
    await get()
    const lines = (await metrics.render())
      .split('\n')
      .filter((line) => line.startsWith('taskwell_pages_total{'))
    expect(lines.sort()).toEqual([
      'taskwell_pages_total{kept="current"} 2',
      'taskwell_pages_total{kept="none"} 1',
      'taskwell_pages_total{kept="old"} 1',
    ])
  })
})

describe('the cache', () => {
  const state = { revision: 1, version: '1' }
  const page = (kilobytes: number) => ({ body: 'x'.repeat(512 * kilobytes), link: undefined, total: null })

  test('keeps pages of only one state of a user', () => {
    const cache = createPageCache()
    cache.keep('ann', '/a', page(1), state)
    cache.keep('ann', '/b', page(2), { revision: 2, version: '2' })
    expect(cache.find('ann', '/a')).toBeUndefined()
    expect(cache.find('ann', '/b')).toEqual({ page: page(2), state: { revision: 2, version: '2' } })
  })

  test('forgets the pages of one user and no other', () => {
    const cache = createPageCache()
    for (const owner of ['ann', 'bob']) cache.keep(owner, '/a', page(1), state)
    cache.forget('ann')
    expect(cache.find('ann', '/a')).toBeUndefined()
    expect(cache.find('bob', '/a')).toBeDefined()
  })

  test('drops the pages of the least recently used user first', () => {
    const cache = createPageCache()
    const owners = Array.from({ length: 40 }, (_, n) => `user-${n}`)
    for (const owner of owners) {
      cache.keep(owner, '/a', page(500), state)
      cache.find('user-0', '/a')
    }
    const kept = owners.filter((owner) => cache.find(owner, '/a'))
    expect(kept).toEqual(['user-0', ...owners.slice(-31)])
  })

  test('keeps at most a megabyte of each user', () => {
    const cache = createPageCache()
    for (const n of [1, 2, 3]) cache.keep('ann', `/${n}`, page(400), state)
    expect([1, 2, 3].filter((n) => cache.find('ann', `/${n}`))).toEqual([3])
  })
})
