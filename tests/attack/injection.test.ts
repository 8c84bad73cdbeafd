/** Text that is code to somebody else, in every field, parameter and header of every operation of the OpenAPI document. */
import { describe, expect, test } from 'bun:test'
import pLimit from 'p-limit'
import { signAccessToken } from '../../src/auth/token'
import { type Answer, testApp } from '../support/app'
import { type Operation, pathOf, readOpenApi } from '../support/openapi'
import { forgetter } from '../support/owned'
import { says, startScriptedModel } from '../support/scripted-model'

const { env } = startScriptedModel(says('Hello'))
const { call, sql, settings, logged } = await testApp(env)
const forget = await forgetter(sql)
const TODOS = '/api/v1/todos'
const openApi = await readOpenApi(call)

/** In each of them, to be found wherever it comes out. */
const MARKER = 'inj3ct3d'

const CORPUS = {
  'SQL that ends a string': `${MARKER}'; drop table tasks; --`,
  'SQL that is always true': `${MARKER}' or '1'='1`,
  'SQL in dollar quotes': `$$; delete from users; $$ ${MARKER}`,
  'SQL of a union': `${MARKER}' union select password_hash from accounts--`,
  'SQL that waits': `${MARKER}'||pg_sleep(30)||'`,
  'SQL with a backslash': `\\'; truncate tasks cascade; -- ${MARKER}`,
  'a pattern of SQL': `%_${MARKER}%_`,
  'a parameter of SQL': `$1 $2 ${MARKER} ?`,
  'a command': `; touch /tmp/${MARKER} #`,
  'a command in backticks': `\`touch /tmp/${MARKER}\` $(touch /tmp/${MARKER})`,
  'a script': `<script>alert("${MARKER}")</script>`,
  'an event of an image': `"><img src=x onerror=alert('${MARKER}')>`,
  'a script for an address': `javascript:alert('${MARKER}')//`,
  'a template': `{{7*7}}\${7*7}<%= 7*7 %>#{7*7}\${{${MARKER}}}`,
  'a look-up': `\${jndi:ldap://127.0.0.1:1/${MARKER}}`,
  LDAP: `*)(uid=*))(|(uid=${MARKER}`,
  'an entity': `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;${MARKER}`,
  'a header': `${MARKER}\r\nX-Evil: 1\r\n\r\n<html>`,
  'an encoded header': `${MARKER}%0d%0aX-Evil:%201`,
  'a header in wide letters': `${MARKER}\u560d\u560aX-Evil: 1`,
  'a line of the log': `${MARKER}\n{"level":30,"msg":"request","status":200}`,
  'a line by separators': `${MARKER}\u2028\u2029\u0085\v\fend`,
  'a terminal’s colour': `\u001b[31m${MARKER}\u001b]0;x\u0007`,
  JSON: `","user_id":"bob","x":"${MARKER}`,
  'JSON in JSON': `{"$ne":null,"${MARKER}":{"$gt":""}}`,
  formats: `%s%n%x%d%p ${MARKER} %(x)s {0}`,
  'a formula': `=cmd|'/C calc'!A0 ${MARKER}`,
  'a path': `../../../../etc/passwd\\..\\${MARKER}`,
  'text the other way round': `\u202e${MARKER}\u2066\u200f`,
  'letters that look alike': `аdmin\u200b\ufeff${MARKER}\u0301`,
  'letters that grow': `ﬀİßſ${MARKER}ŉΐ`,
  'text that is not NFC': `A\u030a${MARKER}\u1100\u1161`,
  'half a surrogate pair': `${MARKER}\ud800`,
  NUL: `${MARKER}\0`,
} satisfies Record<string, string>
const texts = Object.entries(CORPUS)

/** What may stand in a header's value, as it is or else encoded. */
const inHeader = (text: string) =>
  /^[\t\x20-\x7e]+$/.test(text) ? text : encodeURIComponent(text.toWellFormed())

/** Those that somebody on the way, or a library, may read. */
const COMMON_HEADERS = [
  'accept',
  'accept-language',
  'cookie',
  'forwarded',
  'origin',
  'referer',
  'traceparent',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-original-url',
  'x-real-ip',
  'x-request-id',
  'x-rewrite-url',
]

const PASSWORD = 'the password of mallory'
const { body: mallory } = await call('POST', '/api/v1/auth/register', {
  body: { email: 'mallory@example.com', password: PASSWORD },
})
const OWN = { authorization: `Bearer ${mallory.access_token}` }
await call('POST', TODOS, { as: 'ann', body: { title: 'of ann' } })

interface Attempt {
  place: string
  path: string
  headers?: Record<string, string>
  body?: unknown
  /** The field that has the text. */
  field?: string
}

/** One for each place of a request that a text can stand in. */
async function attemptsOf(operation: Operation, text: string): Promise<Attempt[]> {
  const { path, parameters } = operation
  const isOfTask = path.includes('{id}') && !path.includes('/sessions/')
  const task = isOfTask ? (await call('POST', TODOS, { headers: OWN, body: { title: 'x' } })).body : undefined
  const ids = { user_id: 'me', id: String(task?.id ?? crypto.randomUUID()) }
  const good = openApi.bodyOf(operation)
  const target = pathOf(operation, ids)
  const encoded = encodeURIComponent(text.toWellFormed())
  return [
    ...parameters
      .filter((each) => each.in === 'path')
      .map(({ name }) => ({
        place: `path ${name}`,
        path: pathOf(operation, { ...ids, [name]: text.toWellFormed() }),
        body: good,
      })),
    ...parameters
      .filter((each) => each.in === 'query')
      .map(({ name }) => ({ place: `query ${name}`, path: `${target}?${name}=${encoded}`, body: good })),
    { place: 'query', path: `${target}?${encoded}=${encoded}`, body: good },
    ...parameters
      .filter((each) => each.in === 'header')
      .map(({ name }) => ({ place: name, path: target, headers: { [name]: inHeader(text) }, body: good })),
    {
      place: 'authorization',
      path: target,
      headers: { authorization: `Bearer ${inHeader(text)}` },
      body: good,
    },
    { place: 'content-type', path: target, headers: { 'content-type': inHeader(text) }, body: good },
    {
      place: 'headers',
      path: target,
      headers: Object.fromEntries(COMMON_HEADERS.map((name) => [name, inHeader(text)])),
      body: good,
    },
    ...openApi.fieldsOf(operation).map(([name]) => ({
      place: `body ${name}`,
      path: target,
      body: { ...(good as object), [name]: text },
      field: name,
    })),
    ...(operation.body ? [{ place: 'body', path: target, body: { ...(good as object), [text]: text } }] : []),
  ]
}

function judge({ status, headers, body }: Answer, { place, field }: Attempt, text: string): void {
  expect(status, place).toBeLessThan(500)
  const said = [...headers].map((pair) => pair.join(': ')).join('\n')
  expect(said, place).not.toMatch(/inj3ct3d|evil/i)
  if (status >= 400) {
    expect(headers.get('content-type'), place).toBe('application/problem+json')
    // the name of an unknown field or parameter is the sender's own, and said in JSON
    const { errors = [], ...problem } = body
    const details = errors.map(({ detail }: { detail: string }) => detail)
    expect(JSON.stringify([problem, details]), place).not.toContain(MARKER)
    return
  }
  const answered = body?.user ?? body
  if (field !== undefined && answered && field in answered) expect(answered[field], place).toBe(text)
  else expect(JSON.stringify(body), place).not.toContain(MARKER)
}

/** Everything that is not mallory's, and the schema itself. */
async function others(): Promise<unknown> {
  const schema = await sql`
    select table_name, column_name, data_type from information_schema.columns where table_schema = 'public'
    union all select routine_name, null, null from information_schema.routines where routine_schema = 'public'
    order by 1, 2`
  return [
    schema,
    await sql`select to_jsonb(users) as row from users where id = 'ann'`,
    await sql`select to_jsonb(tasks) as row from tasks where user_id = 'ann'`,
    await sql`select to_jsonb(accounts) - 'name' as row from accounts where user_id = ${mallory.user.id}`,
    await sql`select id from users where id <> ${mallory.user.id} order by 1`,
    await sql`select version from schema_migrations order by 1`,
  ]
}
const untouched = await others()
const isExpensive = ({ operationId }: Operation) =>
  ['register', 'login', 'changePassword', 'deleteUser'].includes(operationId)

/** Texts do not meet: each has a task of its own, and an answer to a change says what that change has made. */
const limit = pLimit(8)

async function sendEverywhere(operation: Operation, name: string, text: string): Promise<void> {
  for (const attempt of await attemptsOf(operation, text)) {
    const { path, body, headers } = attempt
    const answer = await call(operation.method, path, { headers: { ...OWN, ...headers }, body })
    judge(answer, { ...attempt, place: `${name} in ${attempt.place}` }, text)
  }
}

describe.each(openApi.operations)('$method $path', (operation) => {
  test('stores as sent or refuses whatever is code elsewhere, and repeats it nowhere', async () => {
    // a password costs a tenth of a second each time
    const sent = isExpensive(operation) ? texts.filter((_each, i) => i % 4 === 0) : texts
    await limit.map(sent, ([name, text]) => sendEverywhere(operation, name, text))
    // kept out of the next answers
    await sql`update accounts set name = null where user_id = ${mallory.user.id}`
    await forget(mallory.user.id)
    await sql`delete from users where id not in ('ann', ${mallory.user.id})`
    expect(await others()).toEqual(untouched)
  })
})

describe('a task', () => {
  test.each(texts.filter(([, text]) => text.isWellFormed() && !text.includes('\0')))(
    'of %s is the same wherever it is read',
    async (_, text) => {
      const made = await call('POST', TODOS, { headers: OWN, body: { title: text, description: text } })
      expect(made.body).toMatchObject({ title: text, description: text })
      const read = await call('GET', `${TODOS}/${made.body.id}`, { headers: OWN })
      expect(read.body).toEqual(made.body)
      expect(read.headers.get('content-type')).toStartWith('application/json')
      for (const list of [TODOS, `${TODOS}?sort=title`, `${TODOS}/changes`]) {
        const { body } = await call('GET', list, { headers: OWN })
        expect(body.changes ?? body).toContainEqual(made.body)
      }
    },
  )
})

describe('the log of all that', () => {
  test('has a line of JSON for each thing it says, and none of what was sent', () => {
    expect(logged.length).toBeGreaterThan(1000)
    for (const line of logged) {
      expect(line).toMatch(/^[^\n]+\n$/)
      expect(() => JSON.parse(line)).not.toThrow()
    }
    expect(logged.filter((line) => line.includes(MARKER))).toEqual([])
  })
})

describe('a user', () => {
  test.each(texts.filter(([, text]) => text.isWellFormed() && !text.includes('\0')))(
    'whose id is %s has tasks like any other',
    async (_, id) => {
      const headers = { authorization: `Bearer ${await signAccessToken(id, settings)}` }
      const owner = `/api/${encodeURIComponent(id)}/tasks`
      const made = await call('POST', owner, { headers, body: { title: 'x' } })
      expect(made.headers.get('location')).toMatch(/^[\x21-\x7e]+$/)
      expect(made.headers.has('x-evil')).toBe(false)
      expect((await call('GET', owner, { headers })).body).toEqual([made.body])
      expect(made.body.user_id).toBe(id)
      expect((await call('DELETE', '/api/v1/users/me', { headers })).status).toBe(204)
    },
  )
})
