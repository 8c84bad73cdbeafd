/** Paths that mean one thing to one reader and another to the next; sent as they are, for `URL` would tidy them up. */
import { describe, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { listen } from './wire'

const { call, settings, token, exchange } = await listen('ann')

const TODOS = '/api/v1/todos'
const MARKER = 'the-secret-of-bob'
const bobs = (await call('POST', TODOS, { as: 'bob', body: { title: MARKER } })).body
await call('POST', TODOS, { as: 'ann', body: { title: 'of ann' } })

async function get(path: string, bearer = token, method = 'GET') {
  const { answers } = await exchange(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${bearer}\r\n\r\n`,
  )
  const [answer] = answers
  return { status: answer?.status, headers: answer?.headers, body: answer?.body ?? '' }
}

/** What other readers take for a dot, a slash, a backslash, an end, or nothing. */
const TRICKS = [
  '..',
  '.',
  '%2e%2e',
  '%2E%2e',
  '.%2e',
  '%252e%252e',
  '..%2f',
  '%2e%2e%2f',
  '..%5c',
  '..\\',
  '%2f',
  '%5c',
  '\\',
  '%252f',
  '%00',
  '%2500',
  'me%00',
  'bob%00',
  '%c0%ae%c0%ae',
  '%c0%af',
  '%e0%80%af',
  '%f0%80%80%af',
  '%u002e',
  '%ff',
  '%80',
  '%',
  '%z',
  '%2',
  '%%32%65',
  ';',
  ';a=b',
  '..;',
  'me;',
  'bob;',
  '%3b',
  '%3f',
  '%23',
  '%20',
  '%09',
  '%0d%0aX-Evil:%201',
  '%0a',
  '*',
  '~',
  '%7e',
  '+',
  '@',
  ':',
  ':id',
  ':user_id',
  '{user_id}',
  'ME',
  'Me',
  '%6d%45',
  'BOB',
  'bob%20',
  '%20bob',
  'bob.',
  'bob%2f..%2fann',
  'ann%2f..%2fbob',
  '%ef%bc%8f',
  '\xc2\xa0',
  '\xff',
  'me,bob',
  '[bob]',
  "bob'--",
  'null',
  'undefined',
  '1',
  '-1',
  '0',
  '1e1',
  '0x1',
  `${'9'.repeat(400)}`,
  'a'.repeat(8000),
]

describe.each(TRICKS)('%s in a path', (trick) => {
  const places = [
    ['as the owner', `/api/${trick}/tasks`],
    ['before the owner', `/api/${trick}/bob/tasks`],
    ['behind the owner', `/api/bob/${trick}/tasks`],
    ['as an id', `${TODOS}/${trick}`],
    ['before an id', `${TODOS}/${trick}/${bobs.id}`],
    ['behind an id', `${TODOS}/${bobs.id}/${trick}`],
    ['behind an id, and no slash', `${TODOS}/${bobs.id}${trick}`],
    ["on the way to somebody else's", `/api/ann/tasks/${trick}/${trick}/bob/tasks`],
    ['on the way to a session', `/api/v1/users/me/sessions/${trick}`],
    ['on the way to a file', `/docs/assets/${trick}/${trick}/package.json`],
    ['on the way to a file, and no slash', `/docs/assets/${trick}package.json`],
    ['at the beginning', `/${trick}`],
    ['at the beginning of two', `//${trick}/${trick}/etc/passwd`],
    ['before the address', `/${trick}${TODOS}`],
  ] as const

  test('leads to nothing that is not the sender’s, and to no file', async () => {
    for (const [place, path] of places) {
      const { status, headers, body } = await get(path)
      expect(status, `${place}: ${path}`).toBeOneOf([200, 302, 400, 403, 404, 405, 422, 505])
      expect(body, place).not.toContain(MARKER)
      expect(body, place).not.toMatch(/root:|devDependencies|"scripts"/)
      expect(headers?.has('x-evil'), place).toBe(false)
    }
  })
})

describe('a path', () => {
  test.each([
    [`${TODOS}/`, 200],
    [`${TODOS}//`, 404],
    ['//api/v1/todos', 404],
    ['/api//v1/todos', 404],
    ['/API/v1/todos', 404],
    ['/api/v1/Todos', 404],
    ['/api/v1/todos;a=b', 404],
    ['/api/v1/todos%20', 404],
    ['/api/v1/todos%2f', 404],
    ['/api/v1%2ftodos', 404],
    ['/api/v1/todos.json', 404],
    // the runtime takes segments of dots away, encoded ones too, as https://url.spec.whatwg.org has it
    ['/./api/v1/todos', 200],
    ['/api/v1/x/../todos', 200],
    ['/api/ann/tasks/../../bob/tasks', 403],
    ['/api/v1/x/%2e%2e/todos', 200],
    ['/api/v1/%74odos', 404],
    ['/docs/assets/../../package.json', 404],
    ['/docs/assets/..%2f..%2fpackage.json', 404],
    ['/docs/assets/%2e%2e/%2e%2e/package.json', 404],
    ['/docs/assets//etc/passwd', 404],
    ['/docs/assets/swagger-ui.css%00.html', 404],
    ['/api/me/tasks', 200],
    ['/api/%6d%65/tasks', 200],
    ['/api/ME/tasks', 403],
    ['/api/%62ob/tasks', 403],
    ['/api/ANN/tasks', 403],
    ['/api/ann%00/tasks', 403],
    ['/api/ann%20/tasks', 403],
    ['/api/ann;x/tasks', 403],
    ['/api/ann%2f..%2fbob/tasks', 403],
    ['/api/%2561nn/tasks', 403],
  ])('%s answers %i', async (path, status) => {
    expect((await get(path)).status).toBe(status)
  })
})

describe('an owner in the path', () => {
  test.each([
    ['with a slash', 'auth0/ann'],
    ['with a bar', 'auth0|ann'],
    ['with a per cent sign', '100%'],
    ['that looks encoded', '%2e%2e'],
    ['that looks encoded twice', '%252e'],
    ['with spaces', ' ann smith '],
    ['with letters of many scripts', 'Ånn-Жанна-安-👩‍👩‍👧'],
    ['with marks', `?#&=+;,:@!$'()*[]"<>\\^\`{|}~`],
    ['of dots', '..'],
    ['of a line break', 'ann\r\nX-Evil: 1'],
  ])('%s is the sender if it is encoded', async (_, sub) => {
    const bearer = await signAccessToken(sub, settings)
    const made = await call('POST', TODOS, { as: sub, body: { title: 'own' } })
    expect(made.status).toBe(201)
    const owner = `/api/${encodeURIComponent(sub).replaceAll('.', '%2E')}/tasks`
    const { status, headers, body } = await get(owner, bearer)
    expect(status).toBe(200)
    expect(headers?.has('x-evil')).toBe(false)
    expect(JSON.parse(Buffer.from(body, 'latin1').toString())).toEqual([made.body])
    expect((await get(`${owner}/${made.body.id}`, bearer)).status).toBe(200)
    expect((await get(owner)).status).toBe(403)
  })

  test('leads to where a task was made by an address that works', async () => {
    const sub = 'auth0/ann %'
    const headers = { authorization: `Bearer ${await signAccessToken(sub, settings)}` }
    const owner = `/api/${encodeURIComponent(sub)}/tasks`
    const { headers: answered } = await call('POST', owner, { headers, body: { title: 'x' } })
    const location = answered.get('location') ?? ''
    expect(location).toStartWith(`${owner}/`)
    expect((await call('GET', location, { headers })).status).toBe(200)
  })
})
