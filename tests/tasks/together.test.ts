/** Concurrent requests of many users, whose statements are sent as one. */
import { expect, test } from 'bun:test'
import postgres from 'postgres'
import { createTasks } from '../../src/tasks/queries'
import { testApp } from '../support/app'

const TODOS = '/api/v1/todos'
const { call, database, url, logged } = await testApp()

const users = (count: number) => Array.from({ length: count }, () => crypto.randomUUID())
const create = (as: string, title: string) => call('POST', TODOS, { as, body: { title } })

async function made(owners: readonly string[]): Promise<string[]> {
  for (const as of owners) expect((await create(as, 'first')).status).toBe(201)
  return [...owners]
}

/** Counts the requests that took part in a batch, by the lines of the log. */
function partsIn(name: string, lines: readonly string[]): number {
  return lines.filter((line) => line.includes(`"name":"${name}"`)).length
}

test('concurrent creates of many users make each task with its owner and content', async () => {
  const owners = await made(users(30))
  const before = logged.length
  const answers = await Promise.all(owners.map((as) => create(as, `of ${as}`)))
  expect(partsIn('createTasks', logged.slice(before))).toBeGreaterThan(0)
  for (const [n, { status, body }] of answers.entries()) {
    expect(status).toBe(201)
    expect(body).toMatchObject({
      user_id: owners[n],
      title: `of ${owners[n]}`,
      completed: false,
      revision: 2,
    })
    expect((await call('GET', `${TODOS}/${body.id}`, { as: owners[n] })).body).toEqual(body)
  }
})

test('concurrent creates of one user, among those of others, each get their own revision', async () => {
  const [ann = '', ...others] = [...(await made(users(5))), ...users(5)]
  const owners = [ann, ...others, ann, ...others, ann]
  const answers = await Promise.all(owners.map((as, n) => create(as, String(n))))
  expect(answers.map(({ status, body }) => [status, body.title, body.user_id])).toEqual(
    owners.map((as, n) => [201, String(n), as]),
  )
  for (const as of [ann, ...others]) {
    const own = answers.filter(({ body }) => body.user_id === as).map(({ body }) => body)
    const known = (await call('GET', `${TODOS}?limit=200`, { as })).body
    expect(new Set(known.map(({ revision }: { revision: number }) => revision)).size).toBe(known.length)
    // times, ids and revisions have the same order
    const sorted = own.toSorted((a, b) => a.revision - b.revision)
    expect(sorted.map(({ id }) => id)).toEqual(own.map(({ id }) => id).sort((a, b) => a - b))
    expect(sorted.map(({ created_at }) => created_at)).toEqual(own.map(({ created_at }) => created_at).sort())
  }
})

test('a user whose row another write has locked waits, and no other user does', async () => {
  const owners = await made(users(20))
  const [held = ''] = owners
  const holder = postgres(url, { max: 1 })
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: locked, resolve: hasLocked } = Promise.withResolvers<void>()
  const holding = holder.begin(async (tx) => {
    await tx`select from users where id = ${held} for update`
    hasLocked()
    await released
  })
  await locked
  const others = owners.slice(1)
  // one batch includes the locked user and skips that user
  const callers = owners.map((id) => ({
    id,
    issuedAt: null,
    expiresAt: 0,
    sessionId: null,
    tokenId: null,
    scopes: null,
  }))
  const tasks = await createTasks(
    database.sql,
    callers.map((caller) => ({ caller, task: { title: 'x' } })),
  )
  expect(tasks.map(({ user_id }) => user_id).sort()).toEqual(others.toSorted())
  const waiting = create(held, 'late')
  const answers = await Promise.all([...others, ...others].map((as) => create(as, 'x')))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
  // its answer comes after the others
  expect(await Promise.race([waiting, Promise.resolve('waits')])).toBe('waits')
  release()
  await holding
  expect((await waiting).status).toBe(201)
  await holder.end()
})

test('a deleted user is refused, and no other user is', async () => {
  const owners = await made(users(10))
  const [deleted = ''] = owners
  expect((await call('DELETE', '/api/v1/users/me', { as: deleted })).status).toBe(204)
  const answers = await Promise.all([...owners, ...owners].map((as) => create(as, 'x')))
  expect(answers.map(({ status }) => status)).toEqual(
    [...owners, ...owners].map((as) => (as === deleted ? 401 : 201)),
  )
})

test('concurrent reads of many users give each only their own tasks', async () => {
  const owners = await made(users(20))
  const tasks = await Promise.all(owners.map(async (as) => (await create(as, as)).body))
  const shifted = owners.map((_, n) => tasks[(n + 1) % tasks.length])
  const [own, foreign] = await Promise.all(
    [tasks, shifted].map((each) =>
      Promise.all(each.map((task, n) => call('GET', `${TODOS}/${task.id}`, { as: owners[n] }))),
    ),
  )
  expect(own?.map(({ status, body }) => [status, body.title])).toEqual(owners.map((as) => [200, as]))
  expect(foreign?.map(({ status }) => status)).toEqual(owners.map(() => 404))
})
