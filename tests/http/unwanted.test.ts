import { describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call } = await testApp()
const TODOS = '/api/v1/todos'

const BODIES: [string, string, string][] = [
  ['broken JSON', 'application/json', '{bad'],
  ['far too much', 'application/json', 'a'.repeat(70_000)],
  ['a broken form', 'multipart/form-data', 'zz'],
  ['a form', 'application/x-www-form-urlencoded', 'a=1'],
  ['text', 'text/plain', 'hello'],
]

describe('a body that no route asked for', () => {
  const ROUTES = [
    ['POST', (id: number) => `${TODOS}/${id}/restore`, 200],
    ['POST', (id: number) => `/api/me/tasks/${id}/restore`, 200],
    ['DELETE', (id: number) => `${TODOS}/${id}`, 204],
    ['DELETE', (id: number) => `${TODOS}/${id}?permanent=true`, 204],
    ['DELETE', () => '/api/v1/users/me/sessions', 404],
  ] as const

  test.each(BODIES)('is not read: %s', async (_, type, body) => {
    const headers = { 'content-type': type }
    for (const [method, pathOf, status] of ROUTES) {
      const { body: task } = await call('POST', TODOS, { as: 'ann', body: { title: 'x' } })
      expect((await call(method, pathOf(task.id), { body, headers })).status).toBe(401)
      expect((await call(method, pathOf(task.id), { as: 'ann', body, headers })).status).toBe(status)
    }
  })
})

describe('a parameter that is sent twice', () => {
  test.each([
    ['DELETE', `${TODOS}/1?permanent=false&permanent=true`, 'permanent'],
    ['DELETE', `${TODOS}/1?permanent=true&permanent=true`, 'permanent'],
    ['GET', `${TODOS}/changes?limit=1&limit=2`, 'limit'],
    ['GET', `${TODOS}/trash?limit=1&limit=2`, 'limit'],
    ['GET', `${TODOS}?limit=1&limit=2`, 'limit'],
  ])('%s %s is 422, named', async (method, path, pointer) => {
    const { status, body } = await call(method, path, { as: 'ann' })
    expect(status).toBe(422)
    expect(body.errors).toEqual([{ in: 'query', pointer, detail: 'must be sent once' }])
  })
})
