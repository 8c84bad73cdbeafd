/** Requests of many users at once, whose statements are sent together. */
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

/** How many requests of so many lines of the log had a part in such a statement. */
function partsIn(name: string, lines: readonly string[]): number {
  return lines.filter((line) => line.includes(`"name":"${name}"`)).length
}

test('tasks of many users are made at once, each with its owner and content', async () => {
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

test('several of one user have a revision each, among new users and others', async () => {
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
    // times, ids and revisions have one order
    const sorted = own.toSorted((a, b) => a.revision - b.revision)
    expect(sorted.map(({ id }) => id)).toEqual(own.map(({ id }) => id).sort((a, b) => a - b))
    expect(sorted.map(({ created_at }) => created_at)).toEqual(own.map(({ created_at }) => created_at).sort())
  }
})

test('a user whose row is held by another write waits, and nobody else does', async () => {
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
  // one statement has the held user among others, and leaves that user out
  const callers = owners.map((id) => ({ id, issuedAt: null, expiresAt: 0, sessionId: null }))
  const tasks = await createTasks(
    database.sql,
    callers.map((caller) => ({ caller, task: { title: 'x' } })),
  )
  expect(tasks.map(({ user_id }) => user_id).sort()).toEqual(others.toSorted())
  const waiting = create(held, 'late')
  const answers = await Promise.all([...others, ...others].map((as) => create(as, 'x')))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
  // it comes only after them
  expect(await Promise.race([waiting, Promise.resolve('waits')])).toBe('waits')
  release()
  await holding
  expect((await waiting).status).toBe(201)
  await holder.end()
})

test('a deleted user is refused, and nobody else is', async () => {
  const owners = await made(users(10))
  const [deleted = ''] = owners
  expect((await call('DELETE', '/api/v1/users/me', { as: deleted })).status).toBe(204)
  const answers = await Promise.all([...owners, ...owners].map((as) => create(as, 'x')))
  expect(answers.map(({ status }) => status)).toEqual(
    [...owners, ...owners].map((as) => (as === deleted ? 401 : 201)),
  )
})

test('tasks of many users are read at once, and nobody reads what is not theirs', async () => {
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
