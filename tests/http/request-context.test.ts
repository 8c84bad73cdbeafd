import { expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { testApp } from '../support/app'
import { blockWrites } from '../support/database'

const { app, call, settings, sql, url } = await testApp()
const hasty = await testApp({ REQUEST_TIMEOUT_MS: '200' })

test('a client that goes away takes its statement with it', async () => {
  await call('POST', '/api/v1/todos', { as: 'ann', body: { title: 'x' } })
  const writes = await blockWrites(url)
  const gone = new AbortController()
  const request = new Request('http://localhost/api/v1/todos', {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await signAccessToken('ann', settings)}`,
      'content-type': 'application/json',
    },
    body: '{"title":"y"}',
    signal: gone.signal,
  })
  const answer = app.handle(request)
  await writes.reached()
  gone.abort()
  expect((await answer).status).toBe(408)
  const waiting = () =>
    sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  while ((await waiting()).length > 0);
  await writes.release()
  expect((await call('GET', '/api/v1/todos', { as: 'ann' })).body).toHaveLength(1)
})

test('a body that does not arrive in time is a 408, and the last of its connection', async () => {
  const request = new Request('http://localhost/api/v1/todos', {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await signAccessToken('ann', settings)}`,
      'content-type': 'application/json',
    },
    body: new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"title":')),
    }),
  })
  const answer = await hasty.app.handle(request)
  expect(answer.status).toBe(408)
  expect(answer.headers.get('connection')).toBe('close')
  expect(await answer.json()).toMatchObject({ error_code: 'REQUEST_TIMEOUT' })
})
