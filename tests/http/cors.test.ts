import { describe, expect, test } from 'bun:test'
import { SECRET, testApp } from '../support/app'

const LISTED = 'https://app.example,capacitor://localhost'
const { call } = await testApp({ CORS_ORIGINS: LISTED })
const production = await testApp({ NODE_ENV: 'production', BETTER_AUTH_SECRET: SECRET, CORS_ORIGINS: LISTED })
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

describe('the origins of this machine', () => {
  test.each([
    'http://localhost:5173',
    'http://localhost',
    'https://localhost:8443',
    'http://127.0.0.1:3000',
    'http://[::1]:8081',
    'tauri://localhost',
  ])('%s may call in development only', async (origin) => {
    const headers = { origin }
    const inDevelopment = await call('GET', TODOS, { headers })
    expect(inDevelopment.headers.get('access-control-allow-origin')).toBe(origin)
    const inProduction = await production.call('GET', TODOS, { headers })
    expect(inProduction.headers.get('access-control-allow-origin')).toBeNull()
    expect(inProduction.headers.get('vary')).toContain('Origin')
  })

  test.each(['https://app.example', 'capacitor://localhost'])(
    '%s may call wherever it is listed',
    async (origin) => {
      const { headers } = await production.call('GET', TODOS, { headers: { origin } })
      expect(headers.get('access-control-allow-origin')).toBe(origin)
    },
  )
})

test.each([
  'http://localhost.evil.example',
  'http://evil.example:3000',
  'http://127.0.0.1.evil.example',
  'http://localhost:3000.evil.example',
  'http://user@localhost',
  'localhost',
  'http://localhost:3000, http://localhost:3001',
  'toString',
  'evil://app.example',
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

test('an answer to a request without an origin has no header for pages of other origins', async () => {
  const { headers } = await call('GET', '/health')
  expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
  expect(headers.get('vary')).toContain('Origin')
})
