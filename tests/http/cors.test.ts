import { describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { call } = await testApp({ CORS_ORIGINS: 'https://app.example,http://localhost:3000' })
const TODOS = '/api/v1/todos'
const EXPOSED = [
  'Link',
  'X-Total-Count',
  'Location',
  'ETag',
  'Retry-After',
  'X-Request-Id',
  'RateLimit',
  'RateLimit-Policy',
  'Idempotency-Replayed',
]

test('a preflight is answered where there is nothing too, so that the 404 can be read', async () => {
  const headers = { origin: 'https://app.example', 'access-control-request-method': 'DELETE' }
  expect((await call('OPTIONS', '/nothing', { headers })).status).toBe(204)
})

describe('an allowed origin', () => {
  test.each([
    ['a success', 'GET', '/health'],
    ['a missing token', 'GET', TODOS],
    ['no such path', 'GET', '/nothing'],
    ['a wrong method', 'DELETE', TODOS],
  ])('is named in the answer to %s', async (_, method, path) => {
    const { headers } = await call(method, path, { headers: { origin: 'https://app.example' } })
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(headers.get('access-control-allow-credentials')).toBe('true')
    expect(headers.get('vary')).toContain('Origin')
    expect(headers.get('access-control-expose-headers')?.split(', ')).toEqual(EXPOSED)
  })

  test('gets a preflight that allows every method and header of the API', async () => {
    const { status, headers } = await call('OPTIONS', `${TODOS}/1`, {
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': 'authorization,content-type',
      },
    })
    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(headers.get('access-control-max-age')).toBe('600')
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      expect(headers.get('access-control-allow-methods')).toContain(method)
    }
    for (const name of ['Authorization', 'Content-Type', 'If-Match', 'Idempotency-Key']) {
      expect(headers.get('access-control-allow-headers')).toContain(name)
    }
  })
})

test.each([
  'https://evil.example',
  'http://app.example',
  'https://app.example.evil.example',
  'https://app.example:8443',
  'https://sub.app.example',
  'app.example',
  'null',
])('the origin %s is never named', async (origin) => {
  for (const [method, path] of [
    ['GET', '/health'],
    ['GET', TODOS],
    ['OPTIONS', TODOS],
  ] as const) {
    const { headers } = await call(method, path, {
      headers: { origin, 'access-control-request-method': 'GET' },
    })
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect(headers.get('vary')).toContain('Origin')
  }
})
