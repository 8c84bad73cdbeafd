/** Names that JavaScript itself gives a meaning: as keys at every level, as parameters, headers, ids and owners. */
import { afterEach, describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'
import { type Operation, pathOf, readOpenApi } from '../support/openapi'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

const openApi = await readOpenApi(call)
const withBody = openApi.operations.filter(({ body }) => body !== undefined)
const task = (await call('POST', TODOS, { as: 'ann', body: { title: 'as it was' } })).body

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
]

const PROTOTYPES = {
  Object,
  Array,
  Function,
  String,
  Number,
  Boolean,
  Map,
  Promise,
  Headers,
  Request,
  Response,
  Error,
}

/** What every object has. */
const shared = () =>
  Object.entries(PROTOTYPES).map(([name, { prototype }]) => [name, Reflect.ownKeys(prototype).map(String)])
const clean = shared()

afterEach(() => {
  expect(shared()).toEqual(clean)
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

const POLLUTION = '{"polluted":true,"title":"polluted","prototype":{"polluted":true},"completed":true}'

async function send(operation: Operation, body: string, query = '') {
  const path = pathOf(operation, { user_id: 'me', id: String(task.id) })
  return call(operation.method, path + query, { as: 'ann', body })
}

const dump = () => sql`select to_jsonb(tasks) as row from tasks order by id`

describe.each(withBody)('$method $path', (operation) => {
  const good = JSON.stringify(openApi.bodyOf(operation))

  test.each(NAMES)('refuses %s as a field, and names it', async (name) => {
    const before = await dump()
    for (const body of [
      good.replace('{', `{"${name}":${POLLUTION},`),
      good.replace(/\}$/, `,"${name}":${POLLUTION}}`),
      good.replace('{', `{"${name}":null,`),
      `{"${name}":${POLLUTION}}`,
    ]) {
      const answer = await send(operation, body)
      expect(answer.status, body).toBe(422)
      const named = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
      expect(named, body).toContain(`/${name}`)
      expect(answer.body.errors).toContainEqual({
        in: 'body',
        pointer: `/${name}`,
        detail: 'is not a known field',
      })
    }
    expect(await dump()).toEqual(before)
  })

  test.each(NAMES)('refuses %s in a field, and names that', async (name) => {
    for (const [field] of openApi.fieldsOf(operation)) {
      const inner = `{"${name}":${POLLUTION}}`
      for (const value of [inner, `[${inner}]`, `{"${name}":{"${name}":{"polluted":true}}}`]) {
        const answer = await send(operation, JSON.stringify({ [field]: 0 }).replace(':0', `:${value}`))
        expect(answer.status, value).toBe(422)
        const named = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
        expect(named, value).toContainEqual(expect.stringMatching(new RegExp(`^/${field}(?:/|$)`)))
        expect(JSON.stringify(answer.body), value).not.toContain('polluted')
      }
    }
  })
})

/** Every object in a value, by the JSON pointer to it. */
function objectsIn(value: unknown, pointer = ''): [pointer: string, object: object][] {
  if (typeof value !== 'object' || value === null) return []
  const inner = Object.entries(value).flatMap(([key, each]) => objectsIn(each, `${pointer}/${key}`))
  return Array.isArray(value) ? inner : [[pointer, value], ...inner]
}

/** The same JSON, with one more member in one of its objects. */
function withMember(body: unknown, object: object, name: string): string {
  const member = `"${name}":${POLLUTION}`
  const marked = JSON.stringify(body, (_, each) => (each === object ? { ...each, polluted: 1 } : each))
  return marked.replace('"polluted":1', member)
}

describe.each(withBody)('in every form of its body, $method $path', (operation) => {
  test.each(NAMES)('refuses %s as a field at every depth, and names it', async (name) => {
    const before = await dump()
    for (const body of openApi.bodiesOf(operation)) {
      for (const [pointer, object] of objectsIn(body)) {
        const sent = withMember(body, object, name)
        const answer = await send(operation, sent)
        expect(answer.status, sent).toBe(422)
        const detail = 'is not a known field'
        expect(answer.body.errors, sent).toContainEqual({ in: 'body', pointer: `${pointer}/${name}`, detail })
      }
    }
    expect(await dump()).toEqual(before)
  })
})

describe.each(openApi.operations)('the query of $method $path', (operation) => {
  test.each(NAMES)('has no parameter %s, whole or in parts', async (name) => {
    for (const sent of [
      name,
      `${name}[polluted]`,
      `${name}.polluted`,
      `constructor.${name}.polluted`,
      `x[${name}][polluted]`,
    ]) {
      const path = pathOf(operation, { user_id: 'me', id: String(task.id) })
      const body = operation.body && JSON.stringify(openApi.bodyOf(operation))
      const answer = await call(operation.method, `${path}?${encodeURIComponent(sent)}=1`, {
        as: 'ann',
        body,
      })
      expect(answer.status, sent).toBe(422)
      const named = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)
      expect(named, sent).toContain(sent)
    }
  })
})

describe('the name', () => {
  test.each(NAMES)('%s is an owner like any other', async (name) => {
    const body = { title: name, description: name }
    const headers = { 'idempotency-key': name, 'x-request-id': name }
    const made = await call('POST', `/api/${name}/tasks`, { as: name, body, headers })
    expect(made).toMatchObject({ status: 201, body: { ...body, user_id: name } })
    expect(made.headers.get('x-request-id')).toBe(name)
    expect((await call('POST', `/api/${name}/tasks`, { as: name, body, headers })).body).toEqual(made.body)
    for (const path of [TODOS, `/api/${name}/tasks`]) {
      expect((await call('GET', path, { as: name })).body).toEqual([made.body])
    }
    expect((await call('GET', `${TODOS}/events`, { as: name })).status).toBe(200)
    expect((await call('GET', '/api/v1/users/me', { as: name })).body.id).toBe(name)
  })

  test.each(NAMES)('%s is no id, no owner of others, no path, no cursor and no choice', async (name) => {
    const statusOf = async (path: string, method = 'GET') => (await call(method, path, { as: 'ann' })).status
    expect(await statusOf(`${TODOS}/${name}`)).toBe(422)
    expect(await statusOf(`/api/v1/users/me/sessions/${name}`, 'DELETE')).toBe(422)
    expect(await statusOf(`/api/${name}/tasks`)).toBe(403)
    expect(await statusOf(`/${name}`)).toBe(404)
    expect(await statusOf(`/docs/assets/${name}`)).toBe(404)
    for (const [path, parameter] of [
      ['', 'cursor'],
      ['', 'sort'],
      ['', 'order'],
      ['', 'status'],
      ['', 'limit'],
      ['/changes', 'since'],
    ]) {
      expect(await statusOf(`${TODOS}${path}?${parameter}=${name}`), parameter).toBe(422)
    }
  })

  test.each(NAMES)('%s is a header that says nothing', async (name) => {
    const headers = { [name]: '{"polluted":true}', 'content-type': 'application/json' }
    const answer = await call('POST', TODOS, { as: 'ann', body: { title: 'x' }, headers })
    expect(answer.status).toBe(201)
    expect(answer.headers.get(name)).toBeNull()
  })

  test.each(NAMES)('%s is no type of a body, nor a form of a list', async (name) => {
    const body = '{"title":"x"}'
    const headers = { 'content-type': name }
    expect((await call('POST', TODOS, { as: 'ann', body, headers })).status).toBe(415)
    const list = await call('GET', TODOS, { as: 'ann', headers: { accept: name, 'if-none-match': name } })
    expect(list.body).toBeArray()
  })
})

describe('a parameter that is sent twice', () => {
  test.each([
    'permanent=false&permanent=true',
    'permanent=false&%70ermanent=true',
    'permanent=false?&permanent=true',
    'permanent=true&permanent=false?',
    'permanent=false%3f&permanent=true',
    'permanent[]=false&permanent=true',
    'permanent=false;permanent=true',
    'permanent=false&Permanent=true',
    'permanent=false&permanent%00=true',
  ])('is refused, whatever one reader may take for its end: %s', async (query) => {
    const { body } = await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })
    expect((await call('DELETE', `${TODOS}/${body.id}?${query}`, { as: 'ann' })).status).toBe(422)
    expect((await call('GET', `${TODOS}/${body.id}`, { as: 'ann' })).body).toEqual(body)
  })
})
