import { expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call } = await testApp()

test('a created task can be read', async () => {
  const created = await call('POST', '/api/v1/todos', { as: 'ann', body: { title: 'x' } })
  expect(created.status).toBe(201)
  const read = await call('GET', created.headers.get('location') ?? '', { as: 'ann' })
  expect(read.body).toEqual(created.body)
})
