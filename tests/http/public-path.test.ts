import { afterAll, describe, expect, test } from 'bun:test'
import { forwardedPrefix } from '../../src/http/public-path'
import { type Call, testApp } from '../support/app'

const ADDRESSES = ['/api/v1/todos', '/api/path/tasks']
const BEHIND_A_PROXY = { TRUSTED_PROXY_HOPS: '1' }
const prefixed = (prefix: string) => ({ 'x-forwarded-prefix': prefix })

const open = await testApp()
const configured = await testApp({ PUBLIC_URL: 'https://example.com/tasks/', ...BEHIND_A_PROXY })
const atRoot = await testApp({ PUBLIC_URL: 'https://example.com', ...BEHIND_A_PROXY })
const forwarded = await testApp(BEHIND_A_PROXY)

const varyOf = (headers: Headers) => (headers.get('vary') ?? '').split(/,\s*/)

/** Which addresses answers have: of a created task, of a next page, of the docs, and in the document. */
async function namedBy(call: Call, headers: Record<string, string> = {}) {
  const first = await call('POST', '/api/v1/todos', { as: 'path', body: { title: 'first' }, headers })
  await call('POST', '/api/v1/todos', { as: 'path', body: { title: 'second' }, headers })
  const list = await call('GET', '/api/v1/todos?limit=1&status=pending', { as: 'path', headers })
  const start = await call('GET', '/', { headers })
  const document = await call('GET', '/openapi.json', { headers })
  return {
    created: String(first.headers.get('location')).replace(/\d+$/, ''),
    next: String(list.headers.get('link')).replace(/\?.*>/, '>'),
    start: start.headers.get('location'),
    servers: document.body.servers,
    varies: [first, list, start, document].map(({ headers: sent }) =>
      varyOf(sent).includes('X-Forwarded-Prefix'),
    ),
  }
}

function below(path: string, { url = path || '/', varies }: { url?: string; varies: boolean }) {
  return {
    created: `${path}/api/v1/todos/`,
    next: `<${path}/api/v1/todos>; rel="next"`,
    start: `${path}/docs`,
    servers: [{ url }],
    varies: Array(4).fill(varies),
  }
}

describe('addresses in answers', () => {
  test('have no path in front of them unless one is known', async () => {
    expect(await namedBy(open.call)).toEqual(below('', { url: 'http://localhost', varies: false }))
    expect(await namedBy(forwarded.call)).toEqual(below('', { varies: true }))
    const url = 'https://example.com'
    expect(await namedBy(atRoot.call, prefixed('/other'))).toEqual(below('', { url, varies: false }))
  })

  test('have the path of PUBLIC_URL, whatever a header says', async () => {
    const expected = below('/tasks', { url: 'https://example.com/tasks', varies: false })
    expect(await namedBy(configured.call)).toEqual(expected)
    expect(await namedBy(configured.call, prefixed('/other'))).toEqual(expected)
  })

  test('have the path that a trusted proxy names, for each request its own', async () => {
    for (const path of ['/one', '/two/three', '']) {
      expect(await namedBy(forwarded.call, prefixed(path))).toEqual(below(path, { varies: true }))
    }
  })

  test('do not have a path that anybody else names', async () => {
    expect(await namedBy(open.call, prefixed('/tasks'))).toEqual(
      below('', { url: 'http://localhost', varies: false }),
    )
  })

  test.each(ADDRESSES)('have it once at %s, in lists and trash', async (address) => {
    const as = 'path'
    for (const title of ['third', 'fourth']) {
      const { headers } = await configured.call('POST', address, { as, body: { title } })
      const location = String(headers.get('location'))
      expect(location).toMatch(new RegExp(`^/tasks${address}/\\d+$`))
      await configured.call('DELETE', location.replace('/tasks', ''), { as })
    }
    await configured.call('POST', address, { as, body: { title: 'fifth' } })
    for (const path of [`${address}?limit=1`, `${address}/trash?limit=1`]) {
      const { headers } = await configured.call('GET', path, { as })
      const [, target] = /^<([^>]+)>; rel="next"$/.exec(String(headers.get('link'))) ?? []
      expect(target).toStartWith(`/tasks${path.split('?')[0]}?`)
      expect(await configured.call('GET', String(target).replace('/tasks', ''), { as })).toMatchObject({
        status: 200,
      })
    }
  })

  test('of a create that is sent again are the same, whatever is in front of them by now', async () => {
    const call = (prefix: string) =>
      forwarded.call('POST', '/api/v1/todos', {
        as: 'again',
        body: { title: 'once' },
        headers: { 'idempotency-key': 'key', ...prefixed(prefix) },
      })
    const [first, second] = [await call('/old'), await call('/new')]
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(first.headers.get('location')).toBe(`/old/api/v1/todos/${first.body.id}`)
    expect(second.headers.get('location')).toBe(`/new/api/v1/todos/${first.body.id}`)
  })

  test('do not survive an error', async () => {
    const { status, headers } = await configured.call('GET', '/api/v1/todos?limit=0', { as: 'path' })
    expect({ status, link: headers.get('link') }).toEqual({ status: 422, link: null })
  })

  test('leave `Vary` of answers without any alone', async () => {
    for (const path of ['/docs', '/health', '/docs/assets/favicon.png', '/api/v1/users/me']) {
      const { headers } = await forwarded.call('GET', path, { headers: prefixed('/tasks') })
      expect(varyOf(headers)).toEqual(['Origin'])
    }
  })

  test('are one header each, on the wire too', async () => {
    forwarded.app.listen({ port: 0, hostname: '127.0.0.1' })
    afterAll(() => forwarded.app.stop(true))
    const url = `http://127.0.0.1:${forwarded.app.server?.port}/`
    const { headers } = await fetch(url, { headers: prefixed('/tasks'), redirect: 'manual' })
    expect(headers.get('location')).toBe('/tasks/docs')
    expect(headers.get('vary')).toBe('Origin, X-Forwarded-Prefix')
  })
})

describe('X-Forwarded-Prefix', () => {
  test.each([
    ['/tasks', 1, '/tasks'],
    ['/tasks/', 1, '/tasks'],
    [' /a/b-c/d_e/f~g/1.2 ', 1, '/a/b-c/d_e/f~g/1.2'],
    ['/...', 1, '/...'],
    ['/', 1, ''],
    ['', 1, ''],
    // Traefik and Spring's gateway leave in front what was there already
    ['/stranger, /tasks', 1, '/tasks'],
    ['"><script>, /tasks', 1, '/tasks'],
    ['/outer, /inner', 2, '/outer/inner'],
    ['/stranger, /outer/, /inner', 2, '/outer/inner'],
    ['/tasks', 2, '/tasks'],
  ])('%p, of %d proxies, is %p', (header, hops, path) => {
    expect(forwardedPrefix(header, hops)).toBe(path)
  })

  test.each([
    'tasks',
    '//host',
    '/\\host',
    '/tasks//host',
    '//',
    '/../tasks',
    '/tasks/..',
    '/./tasks',
    '/tasks/.',
    '/%2e%2e/tasks',
    '/ta%0d%0asks',
    '/ta sks',
    '/"onload="',
    "/'",
    '/<script>',
    '/>; rel="next"',
    '/tasks?a=b',
    '/tasks#a',
    '/tasks;a',
    'https://host/tasks',
    '/täsks',
    '/tasks\u0000',
    '/tasks\r\nset-cookie: a=b',
    '/ta\nsks',
    `/${'x'.repeat(200)}`,
  ])('%p is ignored', (header) => {
    expect(forwardedPrefix(header, 1)).toBe('')
    expect(forwardedPrefix(`/tasks, ${header}`, 2)).toBe('')
  })

  test('that is not there is no path', () => {
    expect(forwardedPrefix(null, 1)).toBe('')
  })

  test('is in no page', async () => {
    for (const path of ['/docs', '/redoc', '/docs/assets/swagger-start.js', '/docs/assets/redoc-start.js']) {
      const bare = await forwarded.call('GET', path)
      const { body } = await forwarded.call('GET', path, { headers: prefixed('/tasks') })
      expect(body).toBe(bare.body)
    }
  })
})

test.each(['', 'Host: \r\n', 'Host: a b\r\n'])(
  'the document is answered also to a request with the host %p',
  async (host) => {
    open.app.listen({ port: 0, hostname: '127.0.0.1' })
    const port = Number(open.app.server?.port)
    const { promise, resolve } = Promise.withResolvers<string>()
    let answer = ''
    const socket = await Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: {
        data(_, bytes) {
          answer += bytes.toString()
        },
        close: () => resolve(answer),
      },
    })
    socket.write(`GET /openapi.json HTTP/1.0\r\n${host}Connection: close\r\n\r\n`)
    expect(await promise).toStartWith('HTTP/1.')
    expect(answer).not.toContain(' 500 ')
    await open.app.stop(true)
  },
)

describe.each(['/docs', '/docs/', '/redoc', '/redoc/'])('what %s links', (path) => {
  test('is beside it, at the root and below a path', async () => {
    const { body } = await open.call('GET', path)
    const links = [...String(body).matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link = '']) => link)
    expect(links.length).toBeGreaterThanOrEqual(4)
    for (const root of ['', '/tasks']) {
      for (const link of links) {
        const { pathname } = new URL(link, `http://localhost${root}${path}`)
        expect(pathname).toStartWith(`${root}/docs/assets/`)
        expect(await open.call('GET', pathname.slice(root.length))).toMatchObject({ status: 200 })
      }
    }
  })
})
