import { describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PROBLEMS } from '../../src/http/problems'
import { testApp } from '../support/app'
import { readDocument } from '../support/openapi'

const { call, app } = await testApp()
const { body: document } = await call('GET', '/openapi.json')
const { paths } = await readDocument(call)

interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description: string
  security: unknown[]
  parameters?: { name: string; in: string; description?: string; required: boolean; schema: object }[]
  responses: Record<
    string,
    { description: string; content?: Record<string, { schema: unknown; examples?: object }> }
  >
}

const operations: [string, Operation][] = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item as unknown as Record<string, Operation>).map(
    ([method, operation]): [string, Operation] => [`${method.toUpperCase()} ${path}`, operation],
  ),
)

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'taskwell-openapi-'))
    const file = join(folder, 'openapi.json')
    await Bun.write(file, JSON.stringify(document))
    const lint = Bun.spawn(
      ['node_modules/.bin/redocly', 'lint', file, '--config', 'tests/support/redocly.yaml'],
      {
        stdout: 'pipe',
        stderr: 'pipe',
      },
    )
    const output = (
      await Promise.all([lint.stdout, lint.stderr].map((each) => new Response(each).text()))
    ).join('')
    await rm(folder, { recursive: true })
    expect(await lint.exited, output).toBe(0)
  })

  test('has every route that is not a page', () => {
    const shown = operations.map(([name]) => name).toSorted()
    const routes = app.routes
      .filter(({ method, hooks }) => method !== 'ALL' && hooks.detail?.hide !== true)
      .map(({ method, path }) => `${method} ${path.replace(/\/$/, '').replaceAll(/:(\w+)/g, '{$1}')}`)
    expect(shown).toEqual(routes.toSorted())
    expect(shown).toContain('PATCH /api/{user_id}/tasks/{id}/complete')
  })

  test('describes each tag that an operation has', () => {
    const described = document.tags.map(({ name }: { name: string }) => name)
    const used = new Set(operations.flatMap(([, { tags }]) => tags))
    expect([...used].toSorted()).toEqual(described.toSorted())
  })

  test('names each operation once', () => {
    const ids = operations.map(([, { operationId }]) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toContain('listTasks')
    expect(ids).toContain('listTasksOfUser')
  })

  test.each(operations)('describes %s', (name, operation) => {
    expect(operation.summary).toBeTruthy()
    expect(operation.description).toBeTruthy()
    const isOpen = /\/(?:health|ready|api\/v1\/auth\/\w+)$/.test(name)
    const security = [{ bearer: [] }]
    expect(operation.security).toEqual(isOpen ? [] : security)
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    expect(inPath.map((parameter) => `{${parameter.name}}`)).toEqual(name.match(/\{\w+\}/g) ?? [])
    for (const parameter of operation.parameters ?? [])
      expect(parameter.description, parameter.name).toBeTruthy()
    for (const [status, response] of Object.entries(operation.responses)) {
      if (Number(status) < 400) continue
      const problem = response.content?.['application/problem+json']
      // a 412 has the resource as it is now
      const schema = status === '412' ? /schemas\/\w+Changed$/ : /schemas\/Problem$/
      expect(problem?.schema).toEqual({ $ref: expect.stringMatching(schema) })
      for (const code of Object.keys(problem?.examples ?? {})) {
        expect(PROBLEMS[code as keyof typeof PROBLEMS].status).toBe(Number(status) as never)
      }
    }
  })

  test.each([
    ['GET /api/v1/todos', 'count', 'boolean'],
    ['GET /api/v1/todos', 'completed', 'boolean'],
    ['DELETE /api/v1/todos/{id}', 'permanent', 'boolean'],
    ['GET /api/v1/todos', 'limit', 'integer'],
  ])('of %s says that %s is of the type %s', (name, parameter, type) => {
    const { parameters = [] } = Object.fromEntries(operations)[name] ?? {}
    expect(parameters.find((each) => each.name === parameter)?.schema).toMatchObject({ type })
  })

  test('says what an event of the stream holds', () => {
    const { content } = Object.fromEntries(operations)['GET /api/v1/todos/events']?.responses['200'] ?? {}
    const event = content?.['text/event-stream'] as unknown as {
      'x-item-schema': { anyOf: { properties: object }[] }
    }
    const dataOf = (name: string) => ({
      contentMediaType: 'application/json',
      contentSchema: { $ref: `#/components/schemas/${name}` },
    })
    expect(event['x-item-schema'].anyOf.map(({ properties }) => properties)).toMatchObject([
      { id: {}, data: dataOf('Change') },
      { event: { enum: ['reminder'] }, data: dataOf('Reminder') },
    ])
  })

  test('has no keyword of our own left in it', () => {
    expect(JSON.stringify(document)).not.toMatch(
      /"(rule|documented|convertTo|component|codes|mediaTypes|itemSchema|responseHeaders|requestHeaders|notModified)"/,
    )
  })
})

describe('the pages', () => {
  test.each(['/docs', '/docs/', '/redoc', '/redoc/'])('%s is HTML that names no other host', async (path) => {
    const { status, headers, body } = await call('GET', path)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(body).not.toMatch(/https?:/)
  })

  test.each([
    ['swagger-ui.js', 'text/javascript; charset=utf-8'],
    ['swagger-ui.css', 'text/css; charset=utf-8'],
    ['swagger-start.js', 'text/javascript; charset=utf-8'],
    ['redoc.js', 'text/javascript; charset=utf-8'],
    ['redoc-start.js', 'text/javascript; charset=utf-8'],
    ['favicon.png', 'image/png'],
  ])('come with %s', async (file, type) => {
    const { status, headers, body } = await call('GET', `/docs/assets/${file}`)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe(type)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(body.length).toBeGreaterThan(50)
  })

  test('begin at /', async () => {
    const answer = await call('GET', '/')
    expect(answer.status).toBe(302)
    expect(answer.headers.get('location')).toBe('/docs')
  })
})
