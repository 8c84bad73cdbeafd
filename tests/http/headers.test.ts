import { afterAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { createLog } from '../../src/telemetry/log'
import { testApp, testSettings } from '../support/app'

const { app, call, settings, sql, database } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
afterAll(() => app.stop(true))

const TODOS = '/api/v1/todos'
const PRIVATE = 'private, no-cache'
const SECRET = 'no-store'
const PAGE = 'no-cache'
const ASSET = 'public, max-age=86400'
const DATA_ONLY = "default-src 'none'; frame-ancestors 'none'"

interface Sent {
  as?: string
  body?: unknown
  headers?: Record<string, string>
}

/** Every line of an answer's head, so that a header that is sent twice is there twice. */
type Head = { status: number; lines: (readonly [name: string, value: string])[] }

async function headersOf({ as, body, headers }: Sent): Promise<Record<string, string>> {
  return {
    ...(as && { authorization: `Bearer ${await signAccessToken(as, settings)}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...headers,
  }
}

async function handled(method: string, path: string, sent: Sent): Promise<Head> {
  const { status, headers } = await call(method, path, sent)
  return { status, lines: [...headers] }
}

async function fromTheServer(method: string, path: string, sent: Sent): Promise<Head> {
  const body = sent.body === undefined ? '' : JSON.stringify(sent.body)
  const headers = { host: 'localhost', ...(await headersOf(sent)), 'content-length': String(body.length) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connect(Number(app.server?.port), '127.0.0.1')
  let text = ''
  socket.on('data', (data) => {
    text += data.toString('latin1')
    if (text.includes('\r\n\r\n')) resolve(text.slice(0, text.indexOf('\r\n\r\n')))
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error(`no answer but ${text}`)))
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
  const [first = '', ...rest] = (await promise).split('\r\n')
  socket.destroy()
  const split = (line: string) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1),
  ]
  return {
    status: Number(first.split(' ')[1]),
    lines: rest.map(split).map(([name = '', value = '']) => [name, value.trim()] as const),
  }
}

const valuesOf = ({ lines }: Head, name: string) =>
  lines.filter(([each]) => each === name).map(([, value]) => value)

const NAMES = [
  'x-content-type-options',
  'referrer-policy',
  'content-security-policy',
  'cache-control',
  'strict-transport-security',
]

const protecting = (head: Head) => Object.fromEntries(NAMES.map((name) => [name, valuesOf(head, name)]))

// kim changes nothing after that
await call('POST', TODOS, { as: 'kim', body: { title: 'Kept' } })
const tagOfList = String((await call('GET', TODOS, { as: 'kim' })).headers.get('etag'))
const created = () => call('POST', TODOS, { as: 'ann', body: { title: 'To be deleted' } })
const addressOf = async () => `${TODOS}/${(await created()).body.id}`
const preflight = { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' }
const account = () => ({ email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' })

type Case = [
  what: string,
  status: number,
  cacheControl: string,
  method: string,
  path: () => unknown,
  sent: () => Sent,
]

const ANN = () => ({ as: 'ann' })
const NOBODY = () => ({})
const at = (path: string) => () => path

const CASES: Case[] = [
  ['a health check', 200, PRIVATE, 'GET', at('/health'), NOBODY],
  ['tasks', 200, PRIVATE, 'GET', at(TODOS), ANN],
  [
    'tasks that have not changed',
    304,
    PRIVATE,
    'GET',
    at('/api/kim/tasks'),
    () => ({ as: 'kim', headers: { 'if-none-match': tagOfList } }),
  ],
  ['HEAD', 200, PRIVATE, 'HEAD', at(TODOS), ANN],
  ['a new task', 201, PRIVATE, 'POST', at(TODOS), () => ({ as: 'ann', body: { title: 'New' } })],
  ['a deleted task', 204, PRIVATE, 'DELETE', addressOf, ANN],
  ['a preflight', 204, PRIVATE, 'OPTIONS', at(TODOS), () => ({ headers: preflight })],
  ['a redirect', 302, PRIVATE, 'GET', at('/'), NOBODY],
  ['a new account', 201, SECRET, 'POST', at('/api/v1/auth/register'), () => ({ body: account() })],
  ['a stream', 200, SECRET, 'GET', at(`${TODOS}/events`), ANN],
  ['HEAD of a stream', 200, SECRET, 'HEAD', at(`${TODOS}/events`), ANN],
  ['a missing token', 401, SECRET, 'GET', at(TODOS), NOBODY],
  ['a path with nothing there', 404, SECRET, 'GET', at('/nothing'), NOBODY],
  ['a missing task', 404, SECRET, 'GET', at(`${TODOS}/999999`), ANN],
  ['a wrong method', 405, SECRET, 'DELETE', at(TODOS), NOBODY],
  ['an invalid body', 422, SECRET, 'POST', at(TODOS), () => ({ as: 'ann', body: {} })],
  ['the OpenAPI document', 200, PAGE, 'GET', at('/openapi.json'), NOBODY],
  ['an asset', 200, ASSET, 'GET', at('/docs/assets/swagger-ui.css'), NOBODY],
  ['an image', 200, ASSET, 'GET', at('/docs/assets/favicon.png'), NOBODY],
]

describe.each([
  ['handled without a network', handled],
  ['from a listening server', fromTheServer],
])('an answer %s', (_, send) => {
  test.each(CASES)(
    'has each header once: %s (%i)',
    async (_what, status, cacheControl, method, path, sent) => {
      const head = await send(method, String(await path()), sent())
      expect(head.status).toBe(status)
      expect(protecting(head)).toEqual({
        'x-content-type-options': ['nosniff'],
        'referrer-policy': ['no-referrer'],
        'content-security-policy': [DATA_ONLY],
        'cache-control': [cacheControl],
        'strict-transport-security': [],
      })
    },
  )

  test.each(['/docs', '/redoc'])('has each header once: the page %s', async (path) => {
    expect(protecting(await send('GET', path, {}))).toEqual({
      'x-content-type-options': ['nosniff'],
      'referrer-policy': ['no-referrer'],
      'content-security-policy': [expect.stringContaining("script-src 'self';")],
      'cache-control': [PAGE],
      'strict-transport-security': [],
    })
  })

  test('does not say what made it', async () => {
    const head = await send('GET', '/health', {})
    expect([...valuesOf(head, 'server'), ...valuesOf(head, 'x-powered-by')]).toEqual([])
  })
})

test('a fault inside has them too', async () => {
  await sql`alter table tasks rename to gone`
  const head = await handled('GET', TODOS, { as: 'ann' })
  await sql`alter table gone rename to tasks`
  expect(head.status).toBe(500)
  expect(protecting(head)).toMatchObject({
    'content-security-policy': [DATA_ONLY],
    'cache-control': [SECRET],
  })
})

describe('every route that is there', () => {
  const routes = app.routes.filter(({ method }) => method !== 'ALL')
  const isOfTheDocs = (path: string) => /^\/(?:docs|redoc|openapi\.json|client\.tgz)/.test(path)

  test.each(routes.map(({ method, path }) => [method, path] as const))(
    'has them: %s %s',
    async (method, path) => {
      const concrete = path.replace(':user_id', 'me').replaceAll(/:\w+/g, '1')
      const head = await handled(method, concrete, { as: 'walker' })
      const { 'cache-control': cacheControl, ...others } = protecting(head)
      const isPage = ['/docs', '/redoc'].includes(path)
      expect(others).toEqual({
        'x-content-type-options': ['nosniff'],
        'referrer-policy': ['no-referrer'],
        'content-security-policy': [isPage ? expect.stringContaining("default-src 'none'; ") : DATA_ONLY],
        'strict-transport-security': [],
      })
      expect(cacheControl).toHaveLength(1)
      expect(isOfTheDocs(path) ? [PAGE, ASSET] : [PRIVATE, SECRET]).toContain(String(cacheControl))
    },
  )
})

describe.each(['/docs', '/redoc'])('the policy of %s', async (path) => {
  const [policy = ''] = valuesOf(await handled('GET', path, {}), 'content-security-policy')
  const directives = new Map(
    policy.split('; ').map((each) => [each.slice(0, each.indexOf(' ')), each.slice(each.indexOf(' ') + 1)]),
  )

  test.each([
    ['default-src', "'none'"],
    ['script-src', "'self'"],
    ['connect-src', "'self'"],
    ['img-src', "'self' data:"],
    ['base-uri', "'none'"],
    ['form-action', "'none'"],
    ['frame-ancestors', "'none'"],
  ])('lets %s be %s', (name, sources) => {
    expect(directives.get(name)).toBe(sources)
  })

  test('trusts nothing inline and nothing evaluated', () => {
    expect(policy).not.toContain('unsafe')
  })
})

describe('Strict-Transport-Security', () => {
  const log = createLog({ logLevel: 'silent', production: true })
  const behind = (hops: number) =>
    createApp({ settings: testSettings({ TRUSTED_PROXY_HOPS: String(hops) }), database, log })
  const apps = [0, 1, 2].map(behind)

  async function answer(hops: number, path: string, proto: string | undefined, method = 'GET', headers = {}) {
    const sent = { ...headers, ...(proto !== undefined && { 'x-forwarded-proto': proto }) }
    const request = new Request(`http://localhost${path}`, { method, headers: sent })
    const response = await apps[hops]?.handle(request)
    return response?.headers.get('strict-transport-security')
  }

  test.each([
    [1, 'https'],
    [1, 'HTTPS'],
    [1, 'http, https'],
    [1, 'http,https '],
    [2, 'https'],
  ])('is sent behind %i trusted proxies that say %p', async (hops, proto) => {
    expect(await answer(hops, '/health', proto)).toBe('max-age=31536000')
  })

  test.each([
    [0, 'https'],
    [1, undefined],
    [1, ''],
    [1, 'http'],
    [1, 'https, http'],
    [1, 'https,'],
    [1, 'xhttps'],
    [2, 'https, http'],
  ])('is not sent behind %i trusted proxies that say %p', async (hops, proto) => {
    expect(await answer(hops, '/health', proto)).toBeNull()
  })

  test.each([
    ['a problem', 'GET', TODOS, {}],
    ['a path with nothing there', 'GET', '/nothing', {}],
    ['a preflight', 'OPTIONS', TODOS, preflight],
    ['a page', 'GET', '/docs', {}],
    ['an asset', 'GET', '/docs/assets/redoc.css', {}],
  ])('is on %s as well', async (_, method, path, headers) => {
    expect(await answer(1, path, 'https', method, headers)).toBe('max-age=31536000')
  })
})
