/** The tools as their runner gives them to whatever speaks with a model. */
import { expect, test } from 'bun:test'
import { createToolRunner } from '../../src/assistants/run'
import { explain, TOOLS } from '../../src/assistants/tools'
import { backgroundContext } from '../../src/database/query-context'
import { Problem } from '../../src/http/problems'
import { createPageCache } from '../../src/tasks/page-cache'
import { createLog } from '../../src/telemetry/log'
import { testDatabase } from '../support/database'

const { database, sql } = await testDatabase()
const TODOS = '/api/v1/todos'
/** Arguments that are right. */
const GIVEN: Record<string, object> = {
  add_task: { title: 'x' },
  list_tasks: {},
  get_task: { task_id: 1 },
  update_task: { task_id: 1, title: 'x' },
  complete_task: { task_id: 1 },
  delete_task: { task_id: 1 },
  restore_task: { task_id: 1 },
  search: { query: 'x' },
  fetch: { id: '1' },
}
const changed: string[] = []
const cache = createPageCache()
const runner = createToolRunner({
  cache,
  onChange: (user) => changed.push(user),
  log: createLog({ logLevel: 'silent', production: true }),
  metrics: undefined,
})

const user = { issuedAt: null, expiresAt: Number.POSITIVE_INFINITY, sessionId: null, tokenId: null }
function contextOf(id: string, scopes: ('tasks:read' | 'tasks:write')[] | null = null) {
  const sql = database.sqlFor(backgroundContext(5000))
  return { caller: { ...user, id, scopes }, sql, address: 'http://localhost', requestId: 'r' }
}

test('a user of everything has every tool', () => {
  expect(runner.toolsFor(contextOf('ann').caller)).toEqual(TOOLS)
})

test('a tool that there is not is answered in words', async () => {
  for (const name of ['nope', 'toString']) {
    expect(await runner.run(contextOf('ann'), name, {})).toEqual({ error: 'There is no such tool.' })
  }
})

test('for a token that may only read there is no tool that writes', async () => {
  const context = contextOf('ann', ['tasks:read'])
  expect(await runner.run(context, 'add_task', { title: 'x' })).toEqual({
    error: 'There is no such tool.',
  })
  expect(await runner.run(context, 'list_tasks', undefined)).toEqual({
    result: { tasks: [], next_cursor: null },
  })
})

test('a token without a scope has no tool', async () => {
  const context = contextOf('ann', [])
  expect(runner.toolsFor(context.caller)).toEqual([])
  for (const { name } of TOOLS) expect(await runner.run(context, name, {})).toHaveProperty('error')
})

test('the pages that were kept of a list are forgotten with a change, and not by reading', async () => {
  const page = { body: '[]', link: undefined, total: null }
  cache.keep('cat', TODOS, page, { revision: 1, version: '1' })
  await runner.run(contextOf('cat'), 'list_tasks', {})
  expect(cache.find('cat', TODOS)).toBeDefined()
  await runner.run(contextOf('cat'), 'add_task', { title: 'x' })
  expect(cache.find('cat', TODOS)).toBeUndefined()
})

test('a change is told of, and reading is none', async () => {
  changed.length = 0
  await runner.run(contextOf('bob'), 'list_tasks', {})
  expect(changed).toEqual([])
  expect(await runner.run(contextOf('bob'), 'add_task', { title: 'x' })).toHaveProperty('result')
  expect(changed).toEqual(['bob'])
})

test('a user who is deleted while a message is under way is told so by every tool, and writes nothing', async () => {
  await sql`insert into users (id, refuse_tokens_until) values ('gone', now())`
  const context = contextOf('gone')
  for (const { name } of TOOLS) {
    expect(await runner.run(context, name, GIVEN[name]), name).toEqual({
      error: 'The user is no longer signed in.',
    })
  }
  expect(await sql`select id from tasks where user_id = 'gone'`).toHaveLength(0)
})

test('null is as good as nothing for an argument that cannot be empty', async () => {
  const as = contextOf('dora')
  const made = await runner.run(as, 'add_task', {
    title: 'x',
    description: 'y',
    tags: null,
    repeat_from: null,
  })
  expect(made).toMatchObject({ result: { title: 'x' } })
  expect(await runner.run(as, 'list_tasks', { status: null, cursor: null, limit: null })).toHaveProperty(
    'result',
  )
})

test('null for an argument that there is not is refused', async () => {
  const outcome = await runner.run(contextOf('dora'), 'add_task', { title: 'x', user_id: null })
  expect(outcome).toEqual({ error: 'The arguments are not right: user_id is not a known argument.' })
})

test.each([null, 'x', 5, [], [{}]])('%j are no arguments', async (given) => {
  const outcome = await runner.run(contextOf('ann'), 'add_task', given)
  expect(outcome).toEqual({ error: expect.stringContaining('The arguments are not right: ') })
})

test('a problem that a model can do nothing about has few words', () => {
  for (const code of ['INTERNAL_ERROR', 'PRECONDITION_FAILED', 'OVERLOADED'] as const) {
    const problem = new Problem(code, { cause: new Error('select secret from tasks') })
    for (const tool of TOOLS) expect(explain(problem, tool)).toBe('The tool has failed.')
  }
})
