/**
 * Another user's everything: every operation of the OpenAPI document, called by somebody who knows all of ann's ids,
 * cursors, ETags and keys. What is added to the document is tried too.
 */
import { afterEach, describe, expect, test } from 'bun:test'
import pLimit from 'p-limit'
import { type Answer, testApp } from '../support/app'
import { makes, type Operation, type Parameter, pathOf, readOpenApi } from '../support/openapi'
import { forgetter, numberFrom, ownedTables } from '../support/owned'
import { says, startScriptedModel } from '../support/scripted-model'

const { env } = startScriptedModel(says('Hello'))
const { call, sql } = await testApp(env)
const TODOS = '/api/v1/todos'
const AUTH = '/api/v1/auth'

const openApi = await readOpenApi(call)

interface User {
  id: string
  email: string
  password: string
  token: string
  refreshToken: string
  sessions: string[]
}

async function signUp(name: string): Promise<User> {
  const account = { email: `${name}.who.is.known@example.com`, password: `the password of ${name}` }
  const headers = { 'user-agent': `browser of ${name}` }
  const { body } = await call('POST', `${AUTH}/register`, {
    body: { ...account, name: `name of ${name}` },
    headers,
  })
  await call('POST', `${AUTH}/login`, { body: account, headers })
  const sessions = await sql<{ id: string }[]>`select id from sessions where user_id = ${body.user.id}`
  return {
    ...account,
    id: body.user.id,
    token: body.access_token,
    refreshToken: body.refresh_token,
    sessions: sessions.map(({ id }) => id),
  }
}

const bearer = ({ token }: User) => ({ authorization: `Bearer ${token}` })

const forget = await forgetter(sql)

// far from all other numbers, so that one in an answer can only be hers
await numberFrom(sql, 7000000001)
const ann = await signUp('ann')
const asAnn = (method: string, path: string, body?: unknown, headers = {}) =>
  call(method, path, { headers: { ...bearer(ann), ...headers }, body })
const KEY = 'key-of-ann'
const TAG = 'tag of ann'
await sql`
  insert into lists (user_id, name, created_at, updated_at, revision) values (${ann.id}, 'list of ann', now(), now(), 1)`
const [list] = await sql<{ id: number }[]>`select id from lists where user_id = ${ann.id}`
const kept = (
  await asAnn('POST', TODOS, {
    title: 'title of ann',
    description: 'description of ann',
    tags: [TAG],
    list_id: list?.id,
    due_date: '2026-01-16',
    due_time: '18:00',
    time_zone: 'Europe/Berlin',
    reminders: [30],
    repeat: 'FREQ=DAILY',
  })
).body
// by hand, since no reminder falls due while this test runs
await sql`
  insert into told_reminders (user_id, task_id, due_at, minutes) values (${ann.id}, ${kept.id}, ${kept.due_at}, 30)`
const step = (await asAnn('POST', TODOS, { title: 'step title of ann', parent_id: kept.id })).body
const keyed = (await asAnn('POST', TODOS, { title: 'keyed title of ann' }, { 'idempotency-key': KEY })).body
const trashed = (await asAnn('POST', TODOS, { title: 'trashed title of ann' })).body
await asAnn('POST', TODOS, { title: 'last title of ann', completed: true, tags: [TAG] })
for (const id of [trashed.id, keyed.id]) await asAnn('DELETE', `${TODOS}/${id}`)
await asAnn('POST', `${TODOS}/events/ticket`)
await asAnn('POST', '/api/v1/chat', { message: 'message of ann' })
const cursorIn = ({ headers }: Answer) => /cursor=([^&>]+)/.exec(headers.get('link') ?? '')?.[1] ?? ''
const CURSORS = [
  cursorIn(await asAnn('GET', `${TODOS}?limit=1`)),
  cursorIn(await asAnn('GET', `${TODOS}?limit=1&sort=title`)),
  cursorIn(await asAnn('GET', `${TODOS}/trash?limit=1`)),
  (await asAnn('GET', `${TODOS}/changes`)).body.cursor,
]

// one of each kind, also of kinds that nothing above makes; her first one of each has the number of `kept`
for (const operation of openApi.operations.filter(makes)) {
  await asAnn(operation.method, pathOf(operation, { user_id: 'me' }), openApi.bodyOf(operation))
}

// far from the numbers in samples too, which are to name nothing
await numberFrom(sql, 1000001)
const bob = await signUp('bob')
let bobs: { id: number }
await leaveBobOneTask()

async function leaveBobOneTask(): Promise<void> {
  await forget(bob.id)
  bobs = (await call('POST', TODOS, { headers: bearer(bob), body: { title: 'of bob' } })).body
}

// a user who signed up, and what bob has written with ann's words, must not be taken for hers
afterEach(async () => {
  await sql`delete from users where id not in (${ann.id}, ${bob.id})`
  await leaveBobOneTask()
  await sql`update accounts set name = 'name of bob' where user_id = ${bob.id}`
})

/** What names something of ann's, by what it names; and beside each what names nothing at all. */
const TASKS = [kept.id, trashed.id, keyed.id, step.id].map(String)
const NAMED = {
  ids: [...TASKS, ...ann.sessions, ann.id, ann.email, TAG],
  words: ['title of ann'],
  cursors: CURSORS,
  tags: [`"${kept.revision}"`, `W/"${kept.revision}-array"`, '*'],
  keys: [KEY],
}
const NOTHING: Record<string, string> = {
  ...Object.fromEntries(TASKS.map((id) => [id, '7999999999'])),
  ...Object.fromEntries(ann.sessions.map((id) => [id, '00000000-0000-4000-8000-000000000000'])),
  ...Object.fromEntries(CURSORS.map((cursor) => [cursor, `${cursor.slice(0, -4)}AAAA`])),
  [ann.id]: '00000000-0000-7000-8000-000000000000',
  [ann.email]: 'nobody.who.is.known@example.com',
  [KEY]: 'key-of-nobody',
  [TAG]: 'tag of nobody',
  'title of ann': 'title of nobody',
}

/** Whatever of hers could be in an answer to somebody else. */
const MARKERS = [...NAMED.ids, ...CURSORS, ann.refreshToken, ann.token, 'of ann', KEY]

/** Stands for the number of bob's task. */
const BOBS = 4242424242

interface Try {
  path: string
  headers: Record<string, string>
  body: unknown
}

/** All that is not bob's: of a table that names no user, that is everything. */
async function rowsOfOthers(): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by table_name`
  const isBobs = (row: string) => [bob.id, ...bob.sessions].some((id) => row.includes(id))
  const rows: string[] = []
  for (const { name } of tables) {
    const found = await sql<
      { row: string }[]
    >`select to_jsonb(t)::text as row from ${sql(name)} as t order by 1`
    rows.push(...found.filter(({ row }) => !isBobs(row)).map(({ row }) => `${name} ${row}`))
  }
  return rows
}

/** For each place of a request that ann's things fit in, a request with each of them; all else is bob's. */
function triesOf(operation: Operation): Try[] {
  const { parameters } = operation
  const of = (place: Parameter['in']) => parameters.filter((each) => each.in === place)
  const paths = pathsOf(operation)
  const own = paths[0] ?? operation.path
  const sample = openApi.bodyOf(operation)
  const inQuery = of('query')
    .filter(({ schema }) => schema.enum === undefined)
    .flatMap(({ name }) =>
      [...CURSORS, ...NAMED.ids, ...NAMED.words].map(
        (value) => `${own}?${name}=${encodeURIComponent(value)}`,
      ),
    )
  const inHeaders = of('header').flatMap(({ name }) =>
    [...NAMED.tags, ...NAMED.keys, ...CURSORS].map((value) => ({ [name]: value })),
  )
  const inBody = openApi.fieldsOf(operation).flatMap(([name]) =>
    [kept.id, ann.sessions[0], ann.id, ann.email, ann.password, [TAG]].map((value) => ({
      ...(sample as object),
      [name]: value,
    })),
  )
  const inForms = openApi.bodiesOf(operation).flatMap(withNumbers)
  const ofBob = pathOf(operation, { user_id: 'me', id: String(BOBS) })
  return [
    ...[...paths, ...inQuery].map((path) => ({ path, headers: {}, body: sample })),
    ...paths.flatMap((path) => inHeaders.map((headers) => ({ path, headers, body: sample }))),
    ...[...inBody, ...inForms].map((body) => ({ path: ofBob, headers: {}, body })),
  ]
}

/** The same body with ann's numbers in it: each in each place of a number. What else is an id is of bob's task. */
function withNumbers(body: unknown): unknown[] {
  const withNumber = (place: number, number: number) => {
    let passed = 0
    const changed = JSON.parse(JSON.stringify(body), (name, value) => {
      if (!Number.isInteger(value)) return value
      if (passed++ === place) return number
      return name === 'id' ? BOBS : value
    })
    return { changed, count: passed }
  }
  const places = [...Array(withNumber(-1, 0).count).keys()]
  return places.flatMap((place) =>
    [kept.id, trashed.id, step.id].map((number) => withNumber(place, number).changed),
  )
}

/** Every way to put ann's ids into the path; the first has bob for the owner. */
function pathsOf(operation: Operation): string[] {
  const names = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => name)
  const others = names.filter((name) => name !== 'user_id')
  const owners = names.includes('user_id') ? ['me', bob.id, ann.id] : ['me']
  const ids = others.length === 0 ? [''] : NAMED.ids
  return owners.flatMap((owner) =>
    ids.map((id) =>
      pathOf(operation, { user_id: owner, ...Object.fromEntries(others.map((name) => [name, id])) }),
    ),
  )
}

/** The same request about nothing. */
function aboutNothing({ path, headers, body }: Try): Try {
  return {
    path: replaced(path),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, replaced(value)])),
    body: body && JSON.parse(replaced(JSON.stringify(body))),
  }
}

function replaced(text: string): string {
  return Object.entries(NOTHING).reduce(
    (all, [known, unknown]) =>
      all.replaceAll(known, unknown).replaceAll(encodeURIComponent(known), encodeURIComponent(unknown)),
    text,
  )
}

function send(method: string, { path, headers, body }: Try) {
  const ofBob = (text: string) => text.replaceAll(String(BOBS), String(bobs.id))
  return call(method, ofBob(path), {
    headers: { ...bearer(bob), ...headers },
    body: body && ofBob(JSON.stringify(body)),
  })
}

/** What an answer tells; when and about which request is left out, and what bob has himself. */
function told({ status, body }: Answer) {
  if (status < 400) return { status }
  const { request_id: _, current: __, ...problem } = body
  return { status, ...problem }
}

function textOf({ headers, body }: Answer): string {
  return JSON.stringify([...headers]) + JSON.stringify(body)
}

test('ann has something of every kind', async () => {
  expect(CURSORS.filter((cursor) => cursor.length > 16)).toHaveLength(4)
  expect(ann.sessions).toHaveLength(2)
  const rows = await rowsOfOthers()
  const tables = new Set(rows.map((row) => row.split(' ')[0]))
  const owned = await ownedTables(sql)
  expect(owned).toEqual(expect.arrayContaining(['tasks', 'lists', 'task_tags', 'idempotency_keys']))
  for (const table of [...owned, 'users', 'accounts', 'sessions', 'refresh_tokens']) {
    expect(tables).toContain(table)
  }
})

/** The answer tells anybody that an address is taken. */
const TELLS = new Set(['register'])

/** Whether it leaves behind what a later answer could tell: something new, or words in bob's task. */
function leaves(operation: Operation): boolean {
  const { path, body, parameters } = operation
  const isChange = body !== undefined && path.includes('{id}')
  return isChange || makes(operation) || parameters.some(({ name }) => name === 'Idempotency-Key')
}

/** What one of them leaves behind, no other can see: nobody finds a key, a task or a name in another's request. */
const together = pLimit(4)
/** For what bob makes: a name that is to be unique must not be in use from the try before. */
const alone = pLimit(1)

async function probe(operation: Operation, each: Try): Promise<void> {
  const { method, operationId } = operation
  const label = `${each.path} ${JSON.stringify([each.headers, each.body])}`
  const answer = await send(method, each)
  expect(answer.status, label).toBeLessThan(500)
  // what bob has sent may come back to him as his own
  const sent = JSON.stringify([each.body, each.headers])
  const said = textOf(answer)
  expect(
    MARKERS.filter((text) => said.includes(text) && !sent.includes(text)),
    label,
  ).toEqual([])
  if (TELLS.has(operationId)) return
  if (leaves(operation)) await leaveBobOneTask()
  expect(told(await send(method, aboutNothing(each))), label).toEqual(told(answer))
  if (leaves(operation)) await leaveBobOneTask()
}

describe.each(openApi.operations)('$method $path by a stranger', (operation) => {
  const { method, path } = operation
  const tries = triesOf(operation)

  test('reads and changes nothing of ann’s, and cannot tell it from what is not there', async () => {
    const before = await rowsOfOthers()
    await (leaves(operation) ? alone : together).map(tries, (each) => probe(operation, each))
    const after = await rowsOfOthers()
    // who signs up is neither bob nor ann
    expect(TELLS.has(operation.operationId) ? after.filter((row) => before.includes(row)) : after).toEqual(
      before,
    )
  })

  if (path.includes('{id}')) {
    test('finds no id of ann’s', async () => {
      for (const target of pathsOf(operation)) {
        const { status } = await send(method, { path: target, headers: {}, body: openApi.bodyOf(operation) })
        expect(status, target).toBeOneOf(target.startsWith(`/api/${ann.id}/`) ? [403] : [404, 422])
      }
    })
  }
})

describe('what is ann’s alone', () => {
  test('are her tokens: none is good as another, or for bob', async () => {
    const statusOf = async (token: string) =>
      (await call('GET', TODOS, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await statusOf(ann.refreshToken)).toBe(401)
    for (const token of [ann.token, ...ann.sessions, ann.id, bob.token]) {
      const answer = await call('POST', `${AUTH}/refresh`, { body: { refresh_token: token } })
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    }
  })

  test('is how she spells a tag', async () => {
    const tags = [TAG.toUpperCase()]
    const made = await call('POST', TODOS, { headers: bearer(bob), body: { title: 'x', tags } })
    expect(made.body.tags).toEqual(tags)
    const found = await call('GET', `${TODOS}?tag=${encodeURIComponent(TAG)}`, { headers: bearer(bob) })
    expect(found.body).toEqual([made.body])
  })

  test('is the order of her tasks: bob’s first place is not before hers', async () => {
    const before = await rowsOfOthers()
    const path = `${TODOS}/${bobs.id}/move`
    const moved = await call('POST', path, { headers: bearer(bob), body: { to: 'last' } })
    // as if bob’s task were the only one
    expect(moved.body.position < `p${String(kept.id).padStart(16, '0')}`).toBe(true)
    expect(await rowsOfOthers()).toEqual(before)
  })

  test('are her changes: bob hears of his own only', async () => {
    const since = (await call('GET', `${TODOS}/changes`, { headers: bearer(bob) })).body.cursor
    await asAnn('PATCH', `${TODOS}/${kept.id}`, { description: 'changed description of ann' })
    await call('PATCH', `${TODOS}/${bobs.id}`, { headers: bearer(bob), body: { title: 'changed by bob' } })
    const { body } = await call('GET', `${TODOS}/changes?since=${since}`, { headers: bearer(bob) })
    expect(body.changes).toMatchObject([{ title: 'changed by bob' }])
  })

  test('is there for her still', async () => {
    expect((await asAnn('GET', `${TODOS}/${kept.id}`)).body.title).toBe('title of ann')
    expect((await asAnn('GET', `${TODOS}/trash`)).body).toHaveLength(2)
    expect((await asAnn('GET', '/api/v1/users/me/sessions')).body).toHaveLength(2)
    const { email, password } = ann
    expect((await call('POST', `${AUTH}/login`, { body: { email, password } })).status).toBe(200)
    const body = { refresh_token: ann.refreshToken }
    expect((await call('POST', `${AUTH}/refresh`, { body })).status).toBe(200)
  })
})
