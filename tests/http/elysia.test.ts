/**
 * The traps of Elysia and its plugins, in the order of docs/elysia.md, against the installed versions alone. A test that
 * fails says that a trap is gone: then what we do about it can go, too.
 */
import { describe, expect, spyOn, test } from 'bun:test'
import { cors } from '@elysiajs/cors'
import { swagger } from '@elysiajs/swagger'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type AnyElysia, Elysia, t, ValidationError } from 'elysia'

const strict = { additionalProperties: false } as const

interface Sent {
  method?: string
  body?: string
  headers?: Record<string, string>
  host?: string
}

async function ask(app: AnyElysia, path: string, { host = 'localhost', headers, ...sent }: Sent = {}) {
  const type = sent.body === undefined ? undefined : { 'content-type': 'application/json' }
  const request = new Request(`http://${host}${path}`, { ...sent, headers: { ...type, ...headers } })
  const answer: Response = await app.handle(request)
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

/** What is wrong for a type on purpose, as what comes from a database may be. */
function untyped(value: unknown): never {
  return value as never
}

describe('Elysia trap', () => {
  test('1: a hook does not reach the routes before it', async () => {
    const fail = () => {
      throw new Error('a fault')
    }
    const errors = new Elysia().onError({ as: 'global' }, () => 'handled')
    const app = new Elysia().get('/before', fail).use(errors).get('/after', fail)
    expect((await ask(app, '/before')).text).toBe('a fault')
    expect((await ask(app, '/after')).text).toBe('handled')
  })

  test('2: an unknown field is dropped, unless `normalize` is off', async () => {
    const body = t.Object({ a: t.String() }, strict)
    const sent = { method: 'POST', body: '{"a":"x","b":1}' }
    const app = new Elysia().post('/', ({ body }) => body, { body })
    expect((await ask(app, '/', sent)).text).toBe('{"a":"x"}')
    const exact = new Elysia({ normalize: false }).post('/', ({ body }) => body, { body })
    expect((await ask(exact, '/', sent)).status).toBe(422)
  })

  test('3: a body is parsed before `derive`, even if the route declares none', async () => {
    let asked = 0
    const app = new Elysia()
      .derive(() => {
        asked++
        return {}
      })
      .post('/', ({ body }) => typeof body)
    expect((await ask(app, '/', { method: 'POST', body: '{' })).status).toBe(400)
    expect(asked).toBe(0)
  })

  test('4: `resolve` runs after validation', async () => {
    let asked = 0
    const app = new Elysia()
      .resolve(() => {
        asked++
        return {}
      })
      .get('/', () => '', { query: t.Object({ a: t.String() }) })
    expect((await ask(app, '/')).status).toBe(422)
    expect(asked).toBe(0)
  })

  test('5: validation stops at the first part that is wrong', async () => {
    const schemas = {
      params: t.Object({ id: t.String({ maxLength: 1 }) }),
      query: t.Object({ a: t.String() }),
      body: t.Object({ b: t.String() }),
    }
    const app = new Elysia()
      .onError(({ error }) => (error instanceof ValidationError ? error.type : 'another'))
      .post('/:id', () => '', schemas)
    const { text } = await ask(app, '/xx', { method: 'POST', body: '{}' })
    expect(text).toBe('params')
  })

  test('6: an answer repeats the message of an error, and what was sent', async () => {
    const app = new Elysia()
      .get('/', () => {
        throw new Error('a value of the database')
      })
      .post('/', () => '', { body: t.Object({ password: t.Number() }) })
    expect((await ask(app, '/')).text).toBe('a value of the database')
    const { text } = await ask(app, '/', { method: 'POST', body: '{"password":"hunter2"}' })
    expect(text).toContain('hunter2')
  })

  test('7: an answer that does not fit its schema is 422', async () => {
    const app = new Elysia().get('/', () => untyped({ a: null }), { response: t.Object({ a: t.String() }) })
    expect((await ask(app, '/')).status).toBe(422)
  })

  test('8: a status that is not declared is sent as 200', async () => {
    const app = new Elysia().get('/', ({ status }) => untyped(status(404 as 200, untyped('none'))), {
      response: { 200: t.Object({ a: t.String() }) },
    })
    expect(await ask(app, '/')).toMatchObject({ status: 200, text: 'none' })
  })

  test('9: a nested value grows with the square of its depth in the message of an error', async () => {
    const app = new Elysia({ normalize: false })
      .onError(({ error }) => String(error instanceof ValidationError && error.message.length))
      .post('/', () => '', { body: t.Object({ a: t.String() }) })
    const lengthFor = async (depth: number) => {
      const body = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
      return Number((await ask(app, '/', { method: 'POST', body })).text)
    }
    expect(await lengthFor(400)).toBeGreaterThan(3 * (await lengthFor(200)))
  })

  test('10: a wrong field with a `toString` of its own is no ValidationError', async () => {
    const app = new Elysia({ normalize: false })
      .onError(({ error }) => String(error instanceof ValidationError))
      .post('/', () => '', { body: t.Object({ a: t.String() }) })
    expect((await ask(app, '/', { method: 'POST', body: '{"a":{"x":1}}' })).text).toBe('true')
    expect((await ask(app, '/', { method: 'POST', body: '{"a":{"toString":1}}' })).text).toBe('false')
  })

  test('11: a number may be text, in other notations too, and is rounded', async () => {
    const schema = t.Object({ a: t.Integer() })
    const app = new Elysia({ normalize: false })
      .get('/', ({ query }) => query, { query: schema })
      .post('/', ({ body }) => body, { body: schema })
    const read = async (a: string) => (await ask(app, `/?a=${a}`)).text
    const found = await Promise.all(['1e1', '0x10', '%205', '9007199254740993'].map(read))
    expect(found).toEqual(['{"a":10}', '{"a":16}', '{"a":5}', '{"a":9007199254740992}'])
    expect((await ask(app, '/', { method: 'POST', body: '{"a":"5"}' })).text).toBe('{"a":5}')
  })

  test('12: a transform in a query is decoded twice', async () => {
    const marked = t
      .Transform(t.String())
      .Decode((text) => `${text}!`)
      .Encode((text) => text)
    const app = new Elysia().get('/', ({ query }) => query.a, { query: t.Object({ a: marked }) })
    expect((await ask(app, '/?a=x')).text).toBe('x!!')
  })

  test('13: `t.UnionEnum` fills in its first value', async () => {
    const query = t.Object({ a: t.Optional(t.UnionEnum(['x', 'y'])) })
    const app = new Elysia({ normalize: false }).get('/', ({ query }) => query, { query })
    expect((await ask(app, '/')).text).toBe('{"a":"x"}')
  })

  test('14: of a parameter that is sent twice, the last one counts', async () => {
    const app = new Elysia().get('/', ({ query }) => query, { query: t.Object({ a: t.String() }) })
    expect(await ask(app, '/?a=1&a=2')).toMatchObject({ status: 200, text: '{"a":"2"}' })
  })

  test('15: there is no 405, and a pattern takes the methods that a plain path lacks', async () => {
    const app = new Elysia().get('/trash', () => 'trash').post('/:id', () => 'a task')
    expect((await ask(app, '/trash', { method: 'PUT' })).status).toBe(404)
    expect((await ask(app, '/trash', { method: 'POST' })).text).toBe('a task')
  })

  test('16: a path without parameters has no `params`, which its schema then refuses', async () => {
    const params = t.Object({ a: t.Optional(t.String()) })
    const app = new Elysia({ normalize: false }).get('/', () => '', { params })
    expect((await ask(app, '/')).status).toBe(422)
  })

  test('17: `precompile` compiles every route twice', async () => {
    const compile = spyOn(TypeCompiler, 'Compile')
    const app = new Elysia({ precompile: true }).get('/', () => 'x', { response: t.String({ minLength: 1 }) })
    app.listen({ port: 0 })
    await app.stop(true)
    expect(compile).toHaveBeenCalledTimes(2)
    compile.mockRestore()
  })

  test('18: one schema of an answer is compiled for each route and status', async () => {
    const compile = spyOn(TypeCompiler, 'Compile')
    const response = t.String({ minLength: 2 })
    const app = new Elysia({ precompile: false })
      .get('/a', () => 'xx', { response: { 200: response, 404: response } })
      .get('/b', () => 'xx', { response: { 200: response, 404: response } })
    for (const path of ['/a', '/b']) await ask(app, path)
    expect(compile).toHaveBeenCalledTimes(4)
    compile.mockRestore()
  })

  test('19: the path is looked for behind the fourth letter of the host', async () => {
    const app = new Elysia().get('/a', () => '')
    expect((await ask(app, '/a', { host: 'ab' })).status).toBe(404)
    const exact = new Elysia({ handler: { standardHostname: false } }).get('/a', () => '')
    expect((await ask(exact, '/a', { host: 'ab' })).status).toBe(200)
  })

  test('20: a hook after the answer waits for another turn of the event loop', async () => {
    let hasRun = false
    const app = new Elysia()
      .onAfterResponse(() => {
        hasRun = true
      })
      .get('/', () => '')
    await app.handle(new Request('http://localhost/'))
    expect(hasRun).toBe(false)
    await new Promise(setImmediate)
    expect(hasRun).toBe(true)
  })

  test('21: the source of a hook decides which parts of the context are made', async () => {
    const seen: string[][] = []
    const see = (context: object) => {
      seen.push(Object.keys(context))
    }
    const whole = new Elysia().onBeforeHandle((context) => see(context)).get('/', () => '')
    const hidden = new Elysia().onBeforeHandle((...all) => see(all[0])).get('/', () => '')
    for (const app of [whole, hidden]) await ask(app, '/')
    const parts = seen.map((each) => ['headers', 'query', 'cookie'].filter((part) => each.includes(part)))
    expect(parts).toEqual([['headers', 'query', 'cookie'], []])
  })

  test('22: a header in two spellings is sent twice', async () => {
    const app = new Elysia().headers({ 'cache-control': 'private' }).get('/', ({ set }) => {
      Object.assign(set.headers, { 'Cache-Control': 'no-store' })
      return ''
    })
    expect((await ask(app, '/')).headers.get('cache-control')).toBe('private, no-store')
  })

  test('23: what `wrap` is given has the type of a function, and is an answer', async () => {
    let found: unknown
    const app = new Elysia()
      .wrap((handle) => async (request: Request) => {
        const answer = await handle(request)
        found = answer
        // @ts-expect-error the type says that this is a function
        answer.status
        return answer
      })
      .get('/', () => '')
    await ask(app, '/')
    expect(found).toBeInstanceOf(Response)
  })

  test('24: a 304 without a body passes unchecked, and its type is refused', async () => {
    const nothing = ({ set }: { set: { status?: number | string } }) => {
      set.status = 304
    }
    // @ts-expect-error nothing is no list
    const app = new Elysia().get('/', nothing, { response: t.Array(t.String()) })
    expect((await ask(app, '/')).status).toBe(304)
  })

  test('25: JSON that is text already is refused under a schema, and is no JSON without one', async () => {
    const app = new Elysia({ normalize: false })
      .get('/list', () => untyped('["x"]'), { response: t.Array(t.String()) })
      .get('/any', () => '["x"]', { response: t.Any() })
    expect((await ask(app, '/list')).status).toBe(422)
    expect((await ask(app, '/any')).headers.get('content-type') ?? '').not.toContain('json')
  })

  test('26: HEAD runs the handler of GET', async () => {
    let asked = 0
    const app = new Elysia().get('/', () => {
      asked++
      return ''
    })
    expect((await ask(app, '/', { method: 'HEAD' })).status).toBe(200)
    expect(asked).toBe(1)
  })

  test('27: a schema of one header has all headers read', async () => {
    const headers = t.Object({ 'if-match': t.Optional(t.String()) })
    const app = new Elysia({ normalize: false }).get('/', ({ headers }) => headers, { headers })
    expect((await ask(app, '/', { headers: { 'x-other': '1' } })).text).toBe('{"x-other":"1"}')
  })

  test('28: two servers listen on one port without a word', async () => {
    const first = new Elysia().listen({ port: 0 })
    const second = new Elysia().listen({ port: first.server?.port ?? 0 })
    expect(second.server?.port).toBe(first.server?.port)
    await Promise.all([first.stop(true), second.stop(true)])
  })
})

describe('@elysiajs/cors trap', () => {
  const ORIGIN = { origin: 'http://app.example' }

  test('29: an origin is also compared without its scheme', async () => {
    const app = new Elysia().use(cors({ origin: ['app.example'] })).get('/', () => '')
    const { headers } = await ask(app, '/', { headers: ORIGIN })
    expect(headers.get('access-control-allow-origin')).toBe('http://app.example')
  })

  test('30: every OPTIONS is 204, whether it is a preflight or not, and at any path', async () => {
    const app = new Elysia().use(cors())
    expect((await ask(app, '/nothing', { method: 'OPTIONS' })).status).toBe(204)
  })

  test('31: headers go to requests without an origin too, and cannot be switched off by type', async () => {
    const app = new Elysia().use(cors({ origin: () => false })).get('/', () => '')
    expect((await ask(app, '/')).headers.get('access-control-allow-credentials')).toBe('true')
    // @ts-expect-error `false` is missing from the type
    const quiet = new Elysia().use(cors({ exposeHeaders: false })).get('/', () => '')
    expect((await ask(quiet, '/')).headers.has('access-control-expose-headers')).toBe(false)
  })
})

describe('@elysiajs/swagger trap', () => {
  test('32: an app that is used by another one has no server any more', async () => {
    const app = new Elysia().get('/', ({ server }) => String(server !== null)).listen({ port: 0 })
    const knows = async () => (await fetch(`http://localhost:${app.server?.port}/`)).text()
    expect(await knows()).toBe('true')
    new Elysia().use(app)
    expect(await knows()).toBe('false')
    await app.stop(true)
  })

  const response = t.Object({ a: t.Literal('x') }, strict)
  const document = async () => {
    const app = new Elysia().use(swagger()).get('/x', () => ({ a: 'x' as const }), { response })
    return JSON.parse((await ask(app, '/swagger/json')).text)
  }

  test('33: the document says 3.0, has keywords of 3.1, and forgets that an answer is strict', async () => {
    const { openapi, paths } = await document()
    const { schema } = paths['/x'].get.responses['200'].content['application/json']
    expect(openapi).toStartWith('3.0')
    expect(schema.properties.a.const).toBe('x')
    expect(schema.additionalProperties).toBeUndefined()
  })

  test('34: every body is also form data and plain text', async () => {
    const { content } = (await document()).paths['/x'].get.responses['200']
    expect(Object.keys(content)).toEqual(['application/json', 'multipart/form-data', 'text/plain'])
  })

  test('35: the page loads its script from another host', async () => {
    const { text } = await ask(new Elysia().use(swagger()), '/swagger')
    expect(text).toContain('https://cdn.jsdelivr.net/')
  })
})
