import { describe, expect, test } from 'bun:test'
import { treaty } from '@elysiajs/eden'
import type { App } from '../../src/app'
import { createCalls } from '../../src/client/calls'
import { RequestError } from '../../src/client/errors'
import type { Send } from '../../src/client/send'

const URL = 'https://tasks.example/below'

/** Calls that are all answered alike; `sent` has the requests. */
function callsTo(answer: () => Response) {
  const sent: { url: string; method: unknown; headers: Record<string, string>; body: unknown }[] = []
  const send = async (url: string, { method, headers, body }: RequestInit) => {
    sent.push({ url, method, headers: Object.fromEntries(new Headers(headers)), body })
    return answer()
  }
  return { sent, send, api: createCalls(URL, send) }
}
const answered = (body: string | null, type: string, status = 200) =>
  callsTo(() => new Response(body, { status, headers: { 'content-type': type } }))

/** The same calls in Eden's types and in ours. */
const CALLS: [string, (api: ReturnType<typeof createCalls>) => Promise<unknown>][] = [
  ['a path', ({ health }) => health.get()],
  ['a query', ({ api }) => api.v1.todos.get({ query: { limit: 3, cursor: 'a&b=ü', sort: undefined } })],
  ['a body', ({ api }) => api.v1.todos.post({ title: 'Buy milk', description: null })],
  ['no body', ({ api }) => api.v1.todos({ id: 4 }).complete.patch()],
  [
    'a body, a query and headers',
    ({ api }) => api.v1.todos({ id: 4 }).patch({ title: 'x' }, { headers: { 'If-Match': '"4"' } }),
  ],
  [
    'two parameters',
    ({ api }) =>
      api({ user_id: 'me' })
        .tasks({ id: '42' })
        .delete(undefined, { query: { permanent: true } }),
  ],
  ['a name like that of a method', ({ api }) => api({ user_id: 'get' }).tasks.get()],
]

describe('a call', () => {
  test.each(CALLS)('with %s is sent as Eden sends it', async (_, call) => {
    const ours = callsTo(() => new Response('{}'))
    await call(ours.api)
    const theirs = callsTo(() => new Response('{}'))
    // Eden only calls it; under Bun, `typeof fetch` has more members
    const fetcher = theirs.send as typeof fetch
    await call(treaty<App>(URL, { fetcher }) as unknown as ReturnType<typeof createCalls>)
    expect(ours.sent).toHaveLength(1)
    // Eden names a type also for a body that is not there
    for (const { headers, body } of theirs.sent) if (body === undefined) delete headers['content-type']
    expect(ours.sent).toEqual(theirs.sent)
  })

  test.each<[string, Record<string, string>]>([
    ['left out', {}],
    ['added', { 'x-app': 'web' }],
  ])('has headers that are %s for fetch, and none that is undefined', async (_, headers) => {
    const { api, sent } = answered('{}', 'application/json')
    const { signal } = new AbortController()
    await api.api.v1.todos.get({ headers: { 'if-none-match': undefined }, fetch: { headers, signal } })
    expect(sent[0]?.headers).toEqual(headers)
  })

  test('puts commas between several values of a parameter', async () => {
    const { api, sent } = answered('[]', 'application/json')
    const query = { tag: ['a', 'b'], none: null } as never
    await api.api.v1.todos.get({ query })
    expect(sent[0]?.url).toBe(`${URL}/api/v1/todos?tag=a%2Cb`)
  })

  test('is no promise before a method is named', async () => {
    const { api, sent } = answered('[]', 'application/json')
    expect(await api.api.v1.todos).toBeFunction()
    expect(`${Bun.inspect(api.api)}`).toBeString()
    expect(sent).toEqual([])
  })

  test('whose body cannot be JSON rejects, and sends nothing', async () => {
    const { api, sent } = answered('{}', 'application/json')
    await expect(api.api.v1.todos.post({ title: 1n } as never)).rejects.toThrow(TypeError)
    expect(sent).toEqual([])
  })

  test('rejects with what its sender throws', async () => {
    const fault = new Error('a fault')
    const send: Send = () => Promise.reject(fault)
    expect(
      await createCalls(URL, send)
        .health.get()
        .catch((error: unknown) => error),
    ).toBe(fault)
  })
})

describe('an answer', () => {
  test.each([
    ['application/json', '{"a":"2026-01-15"}', { a: '2026-01-15' }],
    ['Application/JSON; charset=utf-8', '[1]', [1]],
    ['application/vnd.taskwell.page+json', '{"a":1}', { a: 1 }],
  ])('of %s is %p read as %p', async (type, body, data) => {
    const { api } = answered(body, type)
    expect(await api.health.get()).toMatchObject({ status: 200, data, error: null })
  })

  test.each(['', 'application/json'])('without a body is empty text, with the type %p', async (type) => {
    const { api } = answered(null, type, 204)
    expect(await api.api.v1.todos({ id: 1 }).delete()).toMatchObject({ status: 204, data: '', error: null })
  })

  test('of a problem is an error that can be thrown', async () => {
    const { api } = answered(
      '{"error_code":"TASK_NOT_FOUND","detail":"gone"}',
      'application/problem+json',
      404,
    )
    const { data, error } = await api.api.v1.todos({ id: 1 }).get()
    expect(data).toBeNull()
    expect(error).toBeInstanceOf(RequestError)
    const value = { error_code: 'TASK_NOT_FOUND', detail: 'gone' }
    expect({ ...error }).toMatchObject({ status: 404, code: 'TASK_NOT_FOUND', value })
  })

  test.each<[number, string, string | null, number]>([
    [200, 'text/html', '<h1>Welcome to the hotel</h1>', 503],
    [200, 'application/json', '<h1>Welcome to the hotel</h1>', 503],
    [200, 'application/json', '', 503],
    [200, 'application/json', 'null', 503],
    [200, 'application/jsonl', '{}', 503],
    [502, 'text/html', '<h1>Bad gateway</h1>', 502],
    [502, 'application/json', '<h1>Bad gateway</h1>', 502],
    [404, 'text/plain', 'Cannot GET', 404],
  ])('of %i, %s and %p is of something else: an error of status %i', async (given, type, body, status) => {
    const { api } = answered(body, type, given)
    const { data, error, response } = await api.api.v1.todos({ id: 1 }).get()
    expect([data, response.status, Number(error?.status), error?.code]).toEqual([
      null,
      given,
      status,
      'NO_ANSWER',
    ])
    expect(error?.value.detail).toContain(`not an answer of Taskwell: status ${given}, ${type}`)
  })
})

describe('a stream of events', () => {
  const change = (id: number) => ({ id, revision: id, deleted: true })
  const text = (id: number) => `id: c${id}\ndata: ${JSON.stringify(change(id))}\n\n`

  /** `cancelled` tells whether the stream was broken off. */
  function streamOf(...chunks: string[]) {
    const stream = { isCancelled: false }
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = chunks.shift()
        if (chunk === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(chunk))
      },
      cancel() {
        stream.isCancelled = true
      },
    })
    const headers = { 'content-type': 'text/event-stream' }
    return { stream, ...callsTo(() => new Response(body, { headers })) }
  }

  test('gives each change with the cursor after it, however it is cut', async () => {
    const all = `: hello\n\n${text(1)}${text(2)}${text(3)}`
    const { api } = streamOf(...(all.match(/[\s\S]{1,7}/g) ?? []))
    const { data } = await api.api.v1.todos.events.get()
    const seen: unknown[] = []
    for await (const event of data ?? []) seen.push(event)
    expect(seen).toEqual([1, 2, 3].map((id) => ({ id: `c${id}`, data: change(id) })))
  })

  test('gives reminders by their name, and nothing of other names', async () => {
    const reminder = { task_id: 1, due_at: '2026-01-16T17:00:00.000Z', minutes: 30 }
    const named = (name: string) => `event: ${name}\ndata: ${JSON.stringify(reminder)}\n\n`
    const { api } = streamOf(text(1), named('reminder'), named('later'), text(2))
    const { data } = await api.api.v1.todos.events.get()
    const seen: unknown[] = []
    for await (const event of data ?? []) {
      if (event.event === 'reminder') seen.push(event.data.task_id)
      else seen.push(event.data.id)
    }
    expect(seen).toEqual([1, 1, 2])
  })

  test('is ended by breaking off', async () => {
    const { api, stream } = streamOf(text(1), text(2), text(3))
    const { data } = await api.api.v1.todos.events.get()
    for await (const event of data ?? []) if (event.id === 'c1') break
    expect(stream.isCancelled).toBe(true)
  })

  test('is left to the app that reads the body itself', async () => {
    const { api } = streamOf(text(1))
    const { response } = await api.api.v1.todos.events.get()
    expect(await response.text()).toBe(text(1))
  })
})
