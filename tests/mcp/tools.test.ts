/** What assistants can do with tasks, over MCP. */
import { beforeAll, describe, expect, test } from 'bun:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020'
import { SignJWT } from 'jose'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { openDatabase } from '../../src/database/database'
import { freePort } from '../../src/system/free-port'
import { SORTS } from '../../src/tasks/filters'
import { createLog } from '../../src/telemetry/log'
import { createMetrics } from '../../src/telemetry/metrics'
import { linesTo, SECRET, testApp, toAnswer } from '../support/app'
import { blockWrites } from '../support/database'
import { startFaultProxy } from '../support/fault-proxy'
import { initialize, type McpCaller, mcpCaller, message, NEWEST, REVISIONS } from '../support/mcp'

const { app, call, sql, settings, database, logged, url } = await testApp()
const { send, tool, result, words } = mcpCaller(call)
const TODOS = '/api/v1/todos'
const READING = ['list_tasks', 'get_task', 'search', 'fetch']
const WRITING = ['add_task', 'update_task', 'complete_task', 'delete_task', 'restore_task']

/** Arguments that are right, but for the task, which nobody has. */
const GIVEN: Record<string, object> = {
  add_task: { title: 'x' },
  list_tasks: {},
  get_task: { task_id: 999_999_999 },
  update_task: { task_id: 999_999_999, title: 'x' },
  complete_task: { task_id: 999_999_999 },
  delete_task: { task_id: 999_999_999 },
  restore_task: { task_id: 999_999_999 },
  search: { query: 'x' },
  fetch: { id: '999999999' },
}
const NAMES = Object.keys(GIVEN)
const OF_A_TASK = NAMES.filter((name) => JSON.stringify(GIVEN[name]).includes('999999999'))

let users = 0
const newUser = () => `user-${++users}`

async function make(as: string, body: object): Promise<{ id: number }> {
  const made = await call('POST', TODOS, { as, body })
  expect(made.status).toBe(201)
  return made.body
}

async function makeMany(as: string, count: number): Promise<void> {
  await make(as, { title: 'task 1' })
  await sql`
    insert into tasks (user_id, title, revision, created_at, updated_at)
    select ${as}, 'task ' || n, 1, now(), now() from generate_series(2, ${count}) as n`
}

async function tokenOf(user: string, ...scopes: string[]): Promise<string> {
  return (await call('POST', '/api/v1/tokens', { as: user, body: { name: 'assistant', scopes } })).body.token
}

const titlesOf = async (as: string) =>
  (await call('GET', TODOS, { as })).body.map(({ title }: { title: string }) => title)

interface Described {
  name: string
  title: string
  description: string
  annotations: Record<string, boolean>
  inputSchema: { type: string; additionalProperties: boolean; properties: Record<string, object> }
  outputSchema: object
}

let tools: Described[] = []
const validators = new Map<string, { input: ValidateFunction; output: ValidateFunction }>()
beforeAll(async () => {
  tools = (await send('tools/list', {}, { as: 'ann' })).body.result.tools
  const ajv = new Ajv2020({ formats: { date: true } })
  for (const { name, inputSchema, outputSchema } of tools) {
    validators.set(name, { input: ajv.compile(inputSchema), output: ajv.compile(outputSchema) })
  }
})

/** Runs a tool; what goes in and what comes out fits the schemas that are published. */
async function use(as: string, name: string, given: object = {}) {
  const { input, output } = validators.get(name) ?? expect.unreachable(name)
  input(given)
  expect(input.errors).toBeNull()
  const { structuredContent, content, isError } = await tool(name, given, { as })
  expect(isError, content[0].text).toBeUndefined()
  expect(content).toEqual([{ type: 'text', text: JSON.stringify(structuredContent) }])
  output(structuredContent)
  expect(output.errors).toBeNull()
  return structuredContent
}

describe('the list of tools', () => {
  test('is the same in every revision', async () => {
    for (const revision of REVISIONS) {
      const { result } = (await send('tools/list', {}, { as: 'ann', revision })).body
      expect(result.tools).toEqual(tools)
      expect(result.nextCursor).toBeUndefined()
    }
  })

  test('says for people and models what each is for', () => {
    expect(tools.map(({ name }) => name).toSorted()).toEqual(NAMES.toSorted())
    for (const { title, description } of tools) {
      expect(title).toMatch(/^[A-Z]/)
      expect(description).toMatch(/^[A-Z].*\.$/)
    }
  })

  test('has schemas of objects without any other member, and none that tells a user', () => {
    for (const { name, inputSchema } of tools) {
      expect(inputSchema, name).toMatchObject({ type: 'object', additionalProperties: false })
      expect(Object.keys(inputSchema.properties)).not.toContain('user_id')
      expect(JSON.stringify(inputSchema)).not.toContain('"rule"')
    }
  })

  const reads = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
  const writes = { ...reads, readOnlyHint: false }
  test.each(
    Object.entries({
      list_tasks: reads,
      get_task: reads,
      search: reads,
      fetch: reads,
      add_task: { ...writes, idempotentHint: false },
      update_task: { ...writes, destructiveHint: true },
      complete_task: writes,
      delete_task: { ...writes, destructiveHint: true },
      restore_task: writes,
    }),
  )('says what to expect of %s', (name, expected) => {
    expect(tools.find((each) => each.name === name)?.annotations).toEqual(expected)
  })
})

describe('add_task', () => {
  test('creates a task, for which a title is enough', async () => {
    const as = newUser()
    const added = await use(as, 'add_task', { title: 'Buy milk' })
    expect(added).toEqual({ task_id: expect.any(Number), status: 'created', title: 'Buy milk' })
    const task = (await call('GET', `${TODOS}/${added.task_id}`, { as })).body
    expect(task).toMatchObject({ title: 'Buy milk', user_id: as, completed: false })
  })

  test('takes all that a task can have', async () => {
    const as = newUser()
    const list = await call('POST', '/api/v1/lists', { as, body: { name: 'Home' } })
    const parent = await make(as, { title: 'Party' })
    const given = {
      title: 'Bake',
      description: 'with apples',
      priority: 'high',
      due_date: '2026-05-01',
      due_time: '09:30',
      time_zone: 'Europe/Berlin',
      reminders: [10],
      repeat: 'FREQ=WEEKLY',
      repeat_from: 'completion',
      tags: ['kitchen'],
      list_id: list.body.id,
    }
    const { task_id } = await use(as, 'add_task', given)
    expect((await call('GET', `${TODOS}/${task_id}`, { as })).body).toMatchObject(given)
    expect(await use(as, 'get_task', { task_id })).toMatchObject({ ...given, completed: false })
    const step = await use(as, 'add_task', { title: 'Sieve', parent_id: parent.id })
    expect(await use(as, 'get_task', { task_id: step.task_id })).toMatchObject({ parent_id: parent.id })
  })

  test('says in words which fields do not go together', async () => {
    const said = await words('add_task', { title: 'x', due_time: '09:30' }, { as: newUser() })
    expect(said).toStartWith('The arguments are not right: due_')
  })
})

describe('list_tasks', () => {
  test("lists the user's tasks, the newest first, with only what is set", async () => {
    const as = newUser()
    const first = await make(as, { title: 'first' })
    await make(as, { title: 'second', priority: 'low' })
    const { tasks, next_cursor } = await use(as, 'list_tasks')
    expect(next_cursor).toBeNull()
    const times = { created_at: expect.any(String), updated_at: expect.any(String) }
    const common = { description: null, completed: false, ...times }
    expect(tasks).toEqual([
      { id: expect.any(Number), title: 'second', priority: 'low', ...common },
      { id: first.id, title: 'first', ...common },
    ])
  })

  test('finds what its filters say', async () => {
    const as = newUser()
    const list = (await call('POST', '/api/v1/lists', { as, body: { name: 'Home' } })).body.id
    await make(as, { title: 'Café', tags: ['a', 'b'], priority: 'high', due_date: '2026-01-01' })
    await make(as, { title: 'tea', tags: ['a'], priority: 'low', list_id: list, due_date: '2030-01-01' })
    const done = await make(as, { title: 'done', completed: true })
    await make(as, { title: 'step', parent_id: done.id })
    const found = async (given: object) =>
      (await use(as, 'list_tasks', given)).tasks.map(({ title }: { title: string }) => title)
    expect(await found({ status: 'completed' })).toEqual(['done'])
    expect(await found({ status: 'pending', sort: 'title', order: 'asc' })).toEqual(['Café', 'step', 'tea'])
    expect(await found({ status: 'all' })).toHaveLength(4)
    expect(await found({ query: 'cafe' })).toEqual(['Café'])
    expect(await found({ tags: ['a'] })).toEqual(['tea', 'Café'])
    expect(await found({ tags: ['a', 'b'] })).toEqual(['Café'])
    expect(await found({ priority: ['high', 'low'] })).toEqual(['tea', 'Café'])
    expect(await found({ list_id: list })).toEqual(['tea'])
    expect(await found({ parent_id: done.id })).toEqual(['step'])
    expect(await found({ due_from: '2026-06-01' })).toEqual(['tea'])
    expect(await found({ due_to: '2026-06-01' })).toEqual(['Café'])
    expect(await found({ overdue: true })).toEqual(['Café'])
    expect(await found({ sort: 'title', order: 'desc', limit: 2 })).toEqual(['tea', 'step'])
  })

  test('leads through all pages, and every task comes once', async () => {
    const as = newUser()
    await makeMany(as, 121)
    const ids: number[] = []
    let cursor: string | null = null
    do {
      const page: { tasks: { id: number }[]; next_cursor: string | null } = await use(as, 'list_tasks', {
        limit: 50,
        ...(cursor !== null && { cursor }),
      })
      ids.push(...page.tasks.map(({ id }) => id))
      cursor = page.next_cursor
    } while (cursor !== null)
    const rows = await sql<{ id: number }[]>`select id from tasks where user_id = ${as}`
    expect(ids).toHaveLength(121)
    expect(new Set(ids)).toEqual(new Set(rows.map(({ id }) => Number(id))))
  })

  test.each(
    SORTS.flatMap(
      (sort) =>
        [
          [sort, 'asc'],
          [sort, 'desc'],
        ] as const,
    ),
  )('by %s %s has the order of the list that people see, on all pages', async (sort, order) => {
    const as = newUser()
    const [priority, due] = [
      [null, 'high', 'low'],
      [null, '2026-01-01', '2027-01-01', '2026-01-01'],
    ]
    for (let n = 0; n < 12; n++) {
      await make(as, { title: `task ${(n * 5) % 7}`, priority: priority[n % 3], due_date: due[n % 4] })
    }
    const ids: number[] = []
    let cursor: string | null = null
    do {
      const given: object = { sort, order, limit: 5, ...(cursor !== null && { cursor }) }
      const page = await use(as, 'list_tasks', given)
      ids.push(...page.tasks.map(({ id }: { id: number }) => id))
      cursor = page.next_cursor
    } while (cursor !== null)
    const seen = await call('GET', `${TODOS}?sort=${sort}&order=${order}&limit=100`, { as })
    expect(ids).toEqual(seen.body.map(({ id }: { id: number }) => id))
    expect(ids).toHaveLength(12)
  })

  test('takes null as if an argument were left out, as its description says', async () => {
    const as = newUser()
    await make(as, { title: 'Milk' })
    const { properties } =
      tools.find(({ name }) => name === 'list_tasks')?.inputSchema ?? expect.unreachable()
    const nulls = Object.fromEntries(Object.keys(properties).map((name) => [name, null]))
    expect((await result('list_tasks', nulls, { as })).tasks).toHaveLength(1)
    const described = tools.find(({ name }) => name === 'list_tasks')
    expect(described?.description).toContain('null is the same as leaving an argument out')
  })

  test('gives 50 if it is not told how many', async () => {
    const as = newUser()
    await makeMany(as, 61)
    expect((await use(as, 'list_tasks')).tasks).toHaveLength(50)
    expect((await use(as, 'list_tasks', { limit: 100 })).tasks).toHaveLength(61)
  })

  test('says in words that a cursor is not of this list', async () => {
    const as = newUser()
    for (const title of ['a', 'b', 'c']) await make(as, { title })
    const { next_cursor: cursor } = await use(as, 'list_tasks', { limit: 1 })
    for (const given of [{ cursor: 'x' }, { cursor, status: 'completed' }, { cursor, sort: 'title' }]) {
      const said = await words('list_tasks', given, { as })
      expect(said).toStartWith('The arguments are not right: cursor ')
    }
    const foreign = await words('list_tasks', { cursor, limit: 1 }, { as: newUser() })
    expect(foreign).toStartWith('The arguments are not right: cursor ')
  })
})

describe('update_task', () => {
  test('changes what is given, and null clears', async () => {
    const as = newUser()
    const { id } = await make(as, { title: 'Milk', description: 'two', priority: 'low', tags: ['a'] })
    expect(await use(as, 'update_task', { task_id: id, title: 'Bread' })).toEqual({
      task_id: id,
      status: 'updated',
      title: 'Bread',
    })
    const kept = { title: 'Bread', description: 'two', priority: 'low', tags: ['a'] }
    expect(await use(as, 'get_task', { task_id: id })).toMatchObject(kept)
    await use(as, 'update_task', { task_id: id, description: null, priority: null, tags: [] })
    const task = await use(as, 'get_task', { task_id: id })
    expect(task).toMatchObject({ title: 'Bread', description: null })
    expect(task).not.toHaveProperty('priority')
    expect(task).not.toHaveProperty('tags')
  })

  test.each([
    ['title', 'title must be a string of 1 to 200 characters', 'it cannot be cleared'],
    ['repeat_from', 'repeat_from must be one of due, completion', 'it cannot be cleared'],
    ['tags', 'tags must be at most 20 names', '[] removes all'],
    ['reminders', 'reminders must be at most 5 different whole numbers', '[] removes all'],
  ])('does not take null for %s, and says what will do', async (field, rule, hint) => {
    const as = newUser()
    const zone = { due_date: '2030-01-01', time_zone: 'Europe/Berlin' }
    const task = { title: 'Milk', description: 'two', tags: ['a'], reminders: [10], ...zone }
    const { id: task_id } = await make(as, task)
    const said = await words('update_task', { task_id, description: null, [field]: null }, { as })
    expect(said).toStartWith(`The arguments are not right: ${rule}`)
    expect(said).toEndWith(`: ${hint}.`)
    expect(await use(as, 'get_task', { task_id })).toMatchObject(task)
  })

  test('takes [] for no tags and no reminders, as its description says', async () => {
    const as = newUser()
    const zone = { due_date: '2030-01-01', time_zone: 'Europe/Berlin' }
    const { id: task_id } = await make(as, { title: 'Milk', tags: ['a'], reminders: [10], ...zone })
    await use(as, 'update_task', { task_id, tags: [], reminders: [] })
    const task = await use(as, 'get_task', { task_id })
    expect(task).not.toHaveProperty('tags')
    expect(task).not.toHaveProperty('reminders')
    const described = tools.find(({ name }) => name === 'update_task')
    expect(described?.description).toContain('[] removes all tags or reminders')
  })

  test('needs something to change', async () => {
    const as = newUser()
    const { id } = await make(as, { title: 'Milk' })
    expect(await words('update_task', { task_id: id }, { as })).toContain('at least one field to change')
  })

  test('does not complete', async () => {
    const as = newUser()
    const { id } = await make(as, { title: 'Milk' })
    const said = await words('update_task', { task_id: id, completed: true }, { as })
    expect(said).toBe('The arguments are not right: completed is not a known argument.')
  })
})

describe('complete_task', () => {
  test('completes, and takes it back', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Milk' })
    const completed = { task_id, status: 'completed', title: 'Milk' }
    expect(await use(as, 'complete_task', { task_id })).toEqual(completed)
    expect(await use(as, 'complete_task', { task_id, completed: true })).toEqual(completed)
    expect(await use(as, 'get_task', { task_id })).toMatchObject({
      completed: true,
      completed_at: expect.any(String),
    })
    const reopened = { task_id, status: 'reopened', title: 'Milk' }
    expect(await use(as, 'complete_task', { task_id, completed: false })).toEqual(reopened)
    expect(await use(as, 'get_task', { task_id })).toMatchObject({ completed: false })
  })

  test('names the task that follows a repeating one', async () => {
    const as = newUser()
    const { task_id } = await use(as, 'add_task', {
      title: 'Water the plants',
      due_date: '2026-01-05',
      repeat: 'FREQ=DAILY',
    })
    const completed = await use(as, 'complete_task', { task_id })
    expect(completed).toEqual({
      task_id,
      status: 'completed',
      title: 'Water the plants',
      next_task_id: expect.any(Number),
    })
    expect(await use(as, 'get_task', { task_id: completed.next_task_id })).toMatchObject({
      title: 'Water the plants',
      completed: false,
      repeat: 'FREQ=DAILY',
    })
    // a second time it is the same, and no third task is made
    expect(await use(as, 'complete_task', { task_id })).toEqual(completed)
    expect((await use(as, 'list_tasks')).tasks).toHaveLength(2)
    // only to complete is to go on to it
    const changed = await use(as, 'update_task', { task_id, title: 'Water them' })
    expect(changed).toEqual({ task_id, status: 'updated', title: 'Water them' })
  })
})

describe('delete_task and restore_task', () => {
  test('move a task to the trash, and back', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Milk', description: 'two' })
    expect(await use(as, 'delete_task', { task_id })).toEqual({ task_id, status: 'deleted', title: 'Milk' })
    expect((await use(as, 'list_tasks')).tasks).toEqual([])
    expect((await call('GET', `${TODOS}/trash`, { as })).body).toMatchObject([{ id: task_id }])
    for (const name of ['get_task', 'complete_task', 'delete_task']) {
      expect(await words(name, { task_id }, { as })).toContain('comes back with restore_task')
    }
    expect(await use(as, 'restore_task', { task_id })).toEqual({ task_id, status: 'restored', title: 'Milk' })
    expect(await use(as, 'get_task', { task_id })).toMatchObject({ title: 'Milk', description: 'two' })
  })

  test('take the steps of a task along', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Party' })
    await make(as, { title: 'step', parent_id: task_id })
    await use(as, 'delete_task', { task_id })
    expect((await use(as, 'list_tasks')).tasks).toEqual([])
    await use(as, 'restore_task', { task_id })
    expect((await use(as, 'list_tasks')).tasks).toHaveLength(2)
  })

  test('do no harm a second time', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Milk' })
    expect(await use(as, 'restore_task', { task_id })).toMatchObject({ status: 'restored' })
    await use(as, 'delete_task', { task_id })
    expect(await words('delete_task', { task_id }, { as })).toStartWith('There is no such task')
    await use(as, 'restore_task', { task_id })
    expect(await use(as, 'restore_task', { task_id })).toMatchObject({ status: 'restored' })
  })

  test('say of a task that never was that it is not deleted either', async () => {
    const said = await words('restore_task', { task_id: 999_999_999 }, { as: newUser() })
    expect(said).toStartWith('There is no such task, deleted or not: ')
    expect(said).not.toContain('restore_task')
  })

  test('do not bring back what was ended for good', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Milk' })
    await call('DELETE', `${TODOS}/${task_id}?permanent=true`, { as })
    expect(await words('restore_task', { task_id }, { as })).toStartWith('There is no such task')
  })
})

describe('search and fetch', () => {
  test('have the form that ChatGPT asks for', async () => {
    const as = newUser()
    const { id } = await make(as, { title: 'Straße fegen', description: 'mit dem Besen', priority: 'high' })
    await make(as, { title: 'other' })
    const url = `http://localhost${TODOS}/${id}`
    const found = await use(as, 'search', { query: 'STRASSE besen' })
    expect(found).toEqual({ results: [{ id: String(id), title: 'Straße fegen', url }] })
    const document = await use(as, 'fetch', { id: found.results[0].id })
    expect(document).toEqual({
      id: String(id),
      title: 'Straße fegen',
      text: 'mit dem Besen',
      url,
      metadata: {
        completed: 'false',
        priority: 'high',
        created_at: expect.any(String),
        updated_at: expect.any(String),
        id: String(id),
      },
    })
    expect((await call('GET', new URL(url).pathname, { as })).body).toMatchObject({ id })
  })

  test('give the title as the text of a task without a description', async () => {
    const as = newUser()
    const { id } = await make(as, { title: 'Milk' })
    expect(await use(as, 'fetch', { id: String(id) })).toMatchObject({ title: 'Milk', text: 'Milk' })
  })

  test('find nothing, and at most 20', async () => {
    const as = newUser()
    await makeMany(as, 30)
    expect(await use(as, 'search', { query: 'nothing' })).toEqual({ results: [] })
    expect((await use(as, 'search', { query: 'task' })).results).toHaveLength(20)
  })

  test.each(['', '0', '-1', '1.5', '1e3', ' 1', 'abc', '0x1'])('take no id such as %j', async (id) => {
    expect(await words('fetch', { id }, { as: newUser() })).toContain('must be an id that search has given')
  })

  test('have no task of an id that is too large', async () => {
    expect(await words('fetch', { id: '9'.repeat(30) }, { as: newUser() })).toStartWith(
      'There is no such task',
    )
  })

  test.each([' ', '\u3000', '', 'x'.repeat(201)])('have no results for %j', async (query) => {
    expect(await words('search', { query }, { as: newUser() })).toStartWith(
      'The arguments are not right: query ',
    )
  })

  test('name the public address', async () => {
    const { call } = await testApp({ PUBLIC_URL: 'https://tasks.example/below' })
    const { result } = mcpCaller(call)
    const { task_id } = await result('add_task', { title: 'Milk' }, { as: 'ann' })
    expect(await result('fetch', { id: String(task_id) }, { as: 'ann' })).toMatchObject({
      url: `https://tasks.example/below/api/v1/todos/${task_id}`,
    })
  })
})

describe('arguments', () => {
  const unknown = ['user_id', 'confirm', 'constructor', 'hasOwnProperty', 'Title']
  test.each(NAMES.flatMap((name) => unknown.map((field) => [name, field])))(
    '%s takes no %s, and says so',
    async (name, field) => {
      const as = newUser()
      const said = await words(name, { ...GIVEN[name], [field]: 'bob' }, { as })
      expect(said).toBe(`The arguments are not right: ${field} is not a known argument.`)
      expect(await titlesOf(as)).toEqual([])
    },
  )

  test.each([
    ['', '""'],
    ['/', '/'],
    ['a/b', 'a/b'],
    ['a~b', 'a~b'],
    ['a~1b', 'a~1b'],
  ])('named %j are called %s', async (name, called) => {
    const said = await words('add_task', { title: 'x', [name]: 1 }, { as: newUser() })
    expect(said).toBe(`The arguments are not right: ${called} is not a known argument.`)
  })

  test.each([
    ['search', 'query', '1 to 8 words, all of which'],
    ['list_tasks', 'query', '1 to 8 words, all of which'],
    [
      'list_tasks',
      'tags',
      '1 to 50 characters, trimmed and without comma; upper and lower case are the same',
    ],
    [
      'add_task',
      'tags',
      'At most 20 different names of 1 to 50 characters, trimmed and without comma; upper and lower',
    ],
    [
      'update_task',
      'tags',
      'Replaces all; [] removes all. At most 20 different names of 1 to 50 characters, trimmed',
    ],
    ['fetch', 'id', 'as text'],
  ])('of %s: the description of %s has the limits', (name, field, limits) => {
    const { properties } = tools.find((each) => each.name === name)?.inputSchema ?? expect.unreachable()
    expect(properties[field]).toMatchObject({ description: expect.stringContaining(limits) })
  })

  test('that are tags are the same in upper and lower case, also in a filter', async () => {
    const as = newUser()
    await use(as, 'add_task', { title: 'x', tags: ['Home'] })
    const { tasks } = await use(as, 'list_tasks', { tags: ['HOME'] })
    expect(tasks).toMatchObject([{ tags: ['Home'] }])
  })

  test.each(REVISIONS)('named __proto__ are refused like all that are unknown, in %s', async (revision) => {
    const as = newUser()
    const given = JSON.parse('{ "title": "x", "__proto__": { "completed": true } }')
    const said = await words('add_task', given, { as, revision })
    expect(said).toBe('The arguments are not right: __proto__ is not a known argument.')
    expect(await titlesOf(as)).toEqual([])
  })

  test('named toString reach no tool', async () => {
    const as = newUser()
    const given = { title: 'x', toString: 'y' }
    const { status, body } = await send('tools/call', { name: 'add_task', arguments: given }, { as })
    expect(status).toBe(422)
    expect(body.errors).toEqual([
      { in: 'body', pointer: '/params/arguments/toString', detail: 'is not a known field' },
    ])
    expect(await titlesOf(as)).toEqual([])
  })

  test.each<[string, object, string]>([
    ['add_task', {}, 'title is required'],
    ['add_task', { title: 5 }, 'title must be '],
    ['add_task', { title: '' }, 'title must '],
    ['add_task', { title: ' \u3000' }, 'title must '],
    ['add_task', { title: 'x'.repeat(201) }, 'title must '],
    ['add_task', { title: 'x', description: 'x'.repeat(1001) }, 'description must '],
    ['add_task', { title: 'a\u0000b' }, 'title must '],
    ['add_task', { title: 'x', due_date: 'tomorrow' }, 'due_date must be a day YYYY-MM-DD'],
    ['add_task', { title: 'x', priority: 'urgent' }, 'priority must be one of high, medium, low'],
    ['add_task', { title: 'x', tags: 'a' }, 'tags must be at most 20 names'],
    ['add_task', { title: 'x', due_date: '2026-01-01', repeat: 'FREQ=SECONDLY' }, 'repeat must '],
    ['add_task', { title: 'x', list_id: 999_999_999 }, 'list_id '],
    ['get_task', {}, 'task_id is required'],
    ['get_task', { task_id: '1' }, 'task_id must be '],
    ['get_task', { task_id: 1.5 }, 'task_id must be '],
    ['get_task', { task_id: 0 }, 'task_id must be '],
    ['get_task', { task_id: 2 ** 60 }, 'task_id must be '],
    ['get_task', { task_id: null }, 'task_id is required'],
    ['get_task', { task_id: [1] }, 'task_id must be '],
    ['complete_task', { task_id: 1, completed: 'yes' }, 'completed must be true or false'],
    ['list_tasks', { limit: 0 }, 'limit must be a whole number from 1 to 100'],
    ['list_tasks', { limit: 101 }, 'limit must be a whole number from 1 to 100'],
    ['list_tasks', { limit: '10' }, 'limit must be a whole number from 1 to 100'],
    ['list_tasks', { status: 'open' }, 'status must be one of all, pending, completed'],
    ['list_tasks', { priority: 'high' }, 'priority must be '],
    ['list_tasks', { tags: 'home' }, 'tags must be an array'],
    ['list_tasks', { overdue: 'true' }, 'overdue must be true or false'],
    ['search', { query: 5 }, 'query must '],
    ['fetch', { id: 5 }, 'id must be an id that search has given, as text such as "42"'],
  ])('%s %j is refused: %s', async (name, given, expected) => {
    const as = newUser()
    const said = await words(name, given, { as })
    expect(said).toContain(expected)
    expect(said).toStartWith('The arguments are not right: ')
    expect(said).not.toMatch(/typebox|expected|\/[a-z]/i)
    expect(await titlesOf(as)).toEqual([])
  })

  test('may be left out where none is needed', async () => {
    const { body } = await send('tools/call', { name: 'list_tasks' }, { as: newUser() })
    expect(body.result.structuredContent.tasks).toEqual([])
  })

  test('with many faults are told all of them', async () => {
    const said = await words('add_task', { description: 5, user_id: 'bob' }, { as: newUser() })
    for (const field of ['title', 'description', 'user_id']) expect(said).toContain(`${field} `)
  })

  test('never are code', async () => {
    const as = newUser()
    const title = "'; drop table tasks; -- $1 <script>"
    const { task_id } = await use(as, 'add_task', { title })
    expect(await use(as, 'get_task', { task_id })).toMatchObject({ title })
    expect((await use(as, 'search', { query: title })).results).toHaveLength(1)
  })
})

describe("another user's task", () => {
  test.each(OF_A_TASK)('is no task for %s', async (name) => {
    const [owner, stranger] = [newUser(), newUser()]
    const { id } = await make(owner, { title: 'private' })
    if (name === 'restore_task') await call('DELETE', `${TODOS}/${id}`, { as: owner })
    const given = JSON.parse(JSON.stringify(GIVEN[name]).replace('999999999', String(id)))
    const said = await words(name, given, { as: stranger })
    expect(said).toBe(await words(name, GIVEN[name], { as: stranger }))
    expect(said).toStartWith('There is no such task')
    if (name === 'restore_task') return
    expect((await call('GET', `${TODOS}/${id}`, { as: owner })).body).toMatchObject({
      title: 'private',
      completed: false,
    })
  })

  test('is not listed, searched or named as a parent', async () => {
    const [owner, stranger] = [newUser(), newUser()]
    const { id } = await make(owner, { title: 'private' })
    expect(await use(stranger, 'list_tasks')).toEqual({ tasks: [], next_cursor: null })
    expect(await use(stranger, 'search', { query: 'private' })).toEqual({ results: [] })
    expect(await words('add_task', { title: 'x', parent_id: id }, { as: stranger })).toContain('parent_id ')
  })

  test('is not seen when many users ask at once', async () => {
    const all = Array.from({ length: 40 }, newUser)
    await Promise.all(all.map((as) => result('add_task', { title: `of ${as}` }, { as })))
    const seen = await Promise.all(
      all.map((as, n) => result('list_tasks', {}, { as, revision: REVISIONS[n % 3] ?? NEWEST })),
    )
    for (const [n, { tasks }] of seen.entries()) expect(tasks).toMatchObject([{ title: `of ${all[n]}` }])
  })
})

describe('a token that may only read', () => {
  test.each(REVISIONS)('has only the tools that read, in %s', async (revision) => {
    const token = await tokenOf(newUser(), 'tasks:read')
    const { result } = (await send('tools/list', {}, { token, revision })).body
    expect(result.tools.map(({ name }: Described) => name)).toEqual(READING)
  })

  test('reads', async () => {
    const user = newUser()
    const { id } = await make(user, { title: 'Milk' })
    const token = await tokenOf(user, 'tasks:read')
    expect((await result('list_tasks', {}, { token })).tasks).toMatchObject([{ id }])
    expect(await result('get_task', { task_id: id }, { token })).toMatchObject({ id })
    expect((await result('search', { query: 'milk' }, { token })).results).toHaveLength(1)
    expect(await result('fetch', { id: String(id) }, { token })).toMatchObject({ title: 'Milk' })
  })

  test.each(WRITING)('cannot call %s, and nothing is written', async (name) => {
    const user = newUser()
    const { id } = await make(user, { title: 'Milk' })
    const before = (await call('GET', `${TODOS}/${id}`, { as: user })).body
    const token = await tokenOf(user, 'tasks:read')
    for (const revision of REVISIONS) {
      const given = name === 'add_task' ? GIVEN[name] : { ...GIVEN[name], task_id: id }
      const { body } = await send('tools/call', { name, arguments: given }, { token, revision })
      expect(body.error).toMatchObject({ code: -32602 })
    }
    expect((await call('GET', TODOS, { as: user })).body).toEqual([before])
  })
})

test('a token that may write has every tool', async () => {
  for (const scopes of [['tasks:write'], ['tasks:read', 'tasks:write']]) {
    const user = newUser()
    const token = await tokenOf(user, ...scopes)
    expect((await send('tools/list', {}, { token })).body.result.tools).toHaveLength(9)
    await result('add_task', { title: 'by an assistant' }, { token })
    expect(await titlesOf(user)).toEqual(['by an assistant'])
  }
})

describe('what a tool writes', () => {
  test('reaches those who ask for changes', async () => {
    const as = newUser()
    const { task_id } = await use(as, 'add_task', { title: 'Milk' })
    const start = (await call('GET', `${TODOS}/changes`, { as })).body
    expect(JSON.stringify(start)).toContain('Milk')
    await use(as, 'complete_task', { task_id })
    const more = (await call('GET', `${TODOS}/changes?since=${start.next_cursor ?? start.cursor}`, { as }))
      .body
    expect(JSON.stringify(more)).toContain('"completed":true')
  })

  test('is in lists that were kept', async () => {
    const as = newUser()
    const { id: task_id } = await make(as, { title: 'Milk' })
    const listed = async () => {
      await titlesOf(as)
      return titlesOf(as)
    }
    expect(await listed()).toEqual(['Milk'])
    await use(as, 'update_task', { task_id, title: 'Bread' })
    expect(await listed()).toEqual(['Bread'])
    await use(as, 'delete_task', { task_id })
    expect(await listed()).toEqual([])
    await use(as, 'restore_task', { task_id })
    expect(await listed()).toEqual(['Bread'])
  })

  test('is told to those who listen', async () => {
    const as = newUser()
    const token = await tokenOf(as, 'tasks:write')
    const headers = { authorization: `Bearer ${token}` }
    const stream = await app.handle(new Request(`http://localhost${TODOS}/events`, { headers }))
    const reader = stream.body?.getReader() ?? expect.unreachable()
    await result('add_task', { title: 'Told' }, { token })
    let heard = ''
    while (!heard.includes('"title":"Told"')) {
      const { value, done } = await reader.read()
      if (done) expect.unreachable(heard)
      heard += new TextDecoder().decode(value)
    }
    await reader.cancel()
  })
})

/** The same app with other parts. */
function appWith(parts: Partial<Parameters<typeof createApp>[0]>): McpCaller & { lines: string[] } {
  const lines: string[] = []
  const log = createLog({ logLevel: 'trace', production: true }, linesTo(lines))
  const other = createApp({ settings, database, log, ...parts })
  const caller = mcpCaller(async (method, path, { headers = {}, body } = {}) =>
    toAnswer(
      await other.handle(
        new Request(`http://localhost${path}`, { method, headers, body: JSON.stringify(body) }),
      ),
    ),
  )
  return { ...caller, lines }
}

/** What a tool says whose write got no answer. */
const unsure = (name: string) =>
  `The tasks do not answer at the moment. It may have been done all the same: look with ${name === 'add_task' ? 'list_tasks' : 'get_task'} before you try again.`

describe('when the database fails', () => {
  test('every tool says in words that it cannot be reached', async () => {
    const url = `postgres://nobody@127.0.0.1:${await freePort()}/none`
    const unreachable = openDatabase({ url, poolSize: 1, requestTimeout: 500 })
    const { words, lines } = appWith({ database: unreachable })
    const token = await new SignJWT({ sub: 'ann' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(SECRET))
    for (const name of NAMES) {
      expect(await words(name, GIVEN[name], { token }), name).toBe(
        'The tasks cannot be reached at the moment: try again later.',
      )
    }
    expect(lines.join('')).not.toContain(token)
    await unreachable.end()
  })

  test('programs can connect all the same, and see the tools', async () => {
    const url = `postgres://nobody@127.0.0.1:${await freePort()}/none`
    const unreachable = openDatabase({ url, poolSize: 1, requestTimeout: 500 })
    const { send } = appWith({ database: unreachable })
    const token = await signAccessToken('ann', settings)
    const revision = '2025-11-25'
    expect((await send('initialize', initialize(revision), { token, revision })).status).toBe(200)
    for (const revision of REVISIONS) {
      expect((await send('tools/list', {}, { token, revision })).body.result.tools).toHaveLength(9)
    }
    await unreachable.end()
  })

  test('while a tool writes, it says that it may have been done, and where to look', async () => {
    const proxy = await startFaultProxy(() => Number(new URL(url).port))
    const broken = openDatabase({ url: proxy.url(url), poolSize: 1, requestTimeout: 10_000 })
    const { words } = appWith({ database: broken })
    const as = newUser()
    const token = await signAccessToken(as, settings)
    // what a statement is given goes to the database with its second message, after which it is done
    proxy.loseAnswers('Milk', 1)
    expect(await words('add_task', { title: 'Milk' }, { token })).toBe(unsure('add_task'))
    const [{ id: task_id }] = (await use(as, 'list_tasks')).tasks
    proxy.loseAnswers('Bread', 1)
    expect(await words('update_task', { task_id, title: 'Bread' }, { token })).toBe(unsure('update_task'))
    expect(await use(as, 'get_task', { task_id })).toMatchObject({ title: 'Bread' })
    for (const name of ['complete_task', 'delete_task', 'restore_task']) {
      proxy.loseAnswers('writeTask', 1)
      expect(await words(name, { task_id }, { token }), name).toBe(unsure(name))
    }
    await broken.end()
    await proxy.close()
  })

  test('a statement that fails is told to the log, and no one else', async () => {
    const broken = await testApp()
    const { words, tool } = mcpCaller(broken.call)
    await tool('add_task', { title: 'x' }, { as: 'ann' })
    await broken.sql`alter table tasks rename to gone`
    for (const [n, name] of NAMES.entries()) {
      broken.logged.length = 0
      const revision = REVISIONS[n % 3] ?? NEWEST
      expect(await words(name, GIVEN[name], { as: 'ann', revision }), name).toBe('The tool has failed.')
      const line = broken.logged.map((each) => JSON.parse(each)).find(({ msg }) => msg === 'tool failed')
      expect(line).toMatchObject({ level: 50, tool: name, err: { code: expect.any(String) } })
    }
  })
})

describe('a tool that waits', async () => {
  test('ends with the deadline of its request, in words', async () => {
    const slow = await testApp({ REQUEST_TIMEOUT_MS: '500' })
    const { words } = mcpCaller(slow.call)
    const block = await blockWrites(slow.url)
    expect(await words('add_task', { title: 'x' }, { as: 'ann' })).toBe(unsure('add_task'))
    await block.release()
  })

  const slow = await testApp({ REQUEST_TIMEOUT_MS: '20000' })
  test.each(REVISIONS)('ends when its client has gone, in %s', async (revision) => {
    const block = await blockWrites(slow.url)
    const { body, headers } = message('tools/call', { name: 'add_task', arguments: { title: 'x' } }, revision)
    const authorization = `Bearer ${await signAccessToken('ann', slow.settings)}`
    const leaving = new AbortController()
    const answer = slow.app.handle(
      new Request('http://localhost/mcp', {
        method: 'POST',
        headers: { ...headers, authorization },
        body: JSON.stringify(body),
        signal: leaving.signal,
      }),
    )
    await block.reached()
    const left = performance.now()
    leaving.abort()
    await answer
    // long before the deadline
    expect(performance.now() - left).toBeLessThan(5000)
    await block.release()
  })
})

test('what a tool takes and gives is not in the log, and neither is the token', async () => {
  const user = newUser()
  const token = await tokenOf(user, 'tasks:write')
  logged.length = 0
  const { task_id } = await result('add_task', { title: 'Surprise', description: 'Balloons' }, { token })
  await result('search', { query: 'surprise balloons' }, { token })
  await result('fetch', { id: String(task_id) }, { token })
  await words('add_task', { title: 'Surprise', user_id: 'Balloons' }, { token })
  await send('tools/call', { name: 'Surprise', arguments: { title: 'Balloons' } }, { token })
  await send('tools/call', { name: 'add_task', arguments: 'Balloons' }, { token })
  await send('tools/list', { Surprise: 1 }, { token, headers: { 'mcp-method': 'Balloons' } })
  const log = logged.join('')
  expect(log).toContain('"route":"/mcp"')
  expect(log).not.toMatch(/surprise|balloons/i)
  expect(log).not.toContain(token)
})

test('the tools that are run are counted, by their outcome', async () => {
  const metrics = createMetrics()
  const { result, words, send } = appWith({ metrics })
  const token = await tokenOf(newUser(), 'tasks:write')
  await result('list_tasks', {}, { token })
  await result('list_tasks', {}, { token })
  await words('get_task', {}, { token })
  await send('tools/call', { name: 'made_up', arguments: {} }, { token })
  const samples = (await metrics.render())
    .split('\n')
    .filter((line) => line.startsWith('taskwell_tools_total'))
  expect(samples.toSorted()).toEqual([
    'taskwell_tools_total{tool="get_task",outcome="error"} 1',
    'taskwell_tools_total{tool="list_tasks",outcome="ok"} 2',
  ])
})
