/** The answer of the assistant as the AI SDK's UI message stream. */
import { afterAll, describe, expect, jest, test } from 'bun:test'
import { DefaultChatTransport, readUIMessageStream, type UIMessage } from 'ai'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { uiStream } from '../../src/chat/ui-stream'
import { testApp } from '../support/app'
import { tokenOf } from '../support/http-connection'
import {
  chunk,
  DONE,
  event,
  held,
  KEY,
  type Piece,
  refuses,
  says,
  startScriptedModel,
  streams,
  type ToolUse,
  uses,
} from '../support/scripted-model'

const model = startScriptedModel()
const { app, call, logged } = await testApp(model.env)
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
const url = `${app.server?.url}api/v1/chat`
const EVENTS = 'text/event-stream'
const FAILED = 'The assistant cannot answer at the moment'

const newUser = () => crypto.randomUUID()

async function ask(body: object, { as = newUser(), accept = EVENTS } = {}): Promise<Response> {
  const headers = {
    authorization: `Bearer ${await tokenOf(as)}`,
    'content-type': 'application/json',
    accept,
  }
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
}

/** The data of each event. */
function events(response: Response) {
  return (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream())
}

/** The parts until the end, which has to be told. */
// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any part
async function partsOf(response: Response): Promise<any[]> {
  const data: string[] = []
  for await (const each of events(response)) data.push(each.data)
  expect(data.pop()).toBe('[DONE]')
  return data.map((part) => JSON.parse(part))
}

const start = { type: 'start', messageMetadata: { conversation_id: expect.any(Number) } }
const finish = (finishReason: string) => ({ type: 'finish', finishReason })
const text = (id: string, ...deltas: string[]) => [
  { type: 'text-start', id },
  ...deltas.map((delta) => ({ type: 'text-delta', id, delta })),
  { type: 'text-end', id },
]

describe('the parts', () => {
  test('of words come one by one', async () => {
    model.script(says('Hello dear friend'))
    expect(await partsOf(await ask({ message: 'Hi' }))).toEqual([
      start,
      { type: 'start-step' },
      ...text('text-1', 'Hello ', 'dear ', 'friend'),
      { type: 'finish-step' },
      finish('stop'),
    ])
  })

  test('of tools are between those of words, each round in a step of its own', async () => {
    const as = newUser()
    model.script(
      uses(
        [
          ['add_task', { title: 'Milk' }],
          ['nothing', {}],
        ],
        'A moment.',
      ),
      says('Done.'),
    )
    const parts = await partsOf(await ask({ message: 'Add milk' }, { as }))
    const [task] = (await call('GET', '/api/v1/todos', { as })).body
    const [first, second] = parts.filter((part) => 'toolName' in part)
    expect(first?.toolCallId).not.toBe(second?.toolCallId)
    expect(parts).toEqual([
      start,
      { type: 'start-step' },
      ...text('text-1', 'A moment.'),
      {
        type: 'tool-input-available',
        toolCallId: first?.toolCallId,
        toolName: 'add_task',
        input: { title: 'Milk' },
      },
      {
        type: 'tool-output-available',
        toolCallId: first?.toolCallId,
        output: { task_id: task.id, status: 'created', title: 'Milk' },
      },
      { type: 'tool-input-available', toolCallId: second?.toolCallId, toolName: 'nothing', input: {} },
      {
        type: 'tool-output-available',
        toolCallId: second?.toolCallId,
        output: { error: 'There is no such tool.' },
      },
      { type: 'finish-step' },
      { type: 'start-step' },
      ...text('text-2', 'Done.'),
      { type: 'finish-step' },
      finish('stop'),
    ])
  })

  test('come while the model still speaks', async () => {
    const later = Promise.withResolvers<void>()
    model.script(
      streams([chunk({ content: 'Half' }), later.promise, chunk({ content: ' more' }, 'stop'), DONE]),
    )
    const reader = events(await ask({ message: 'Hi' })).getReader()
    const read = async () => (await reader.read()).value?.data
    expect(await read()).toContain('"start"')
    while (!(await read())?.includes('"Half"'));
    later.resolve()
    while (!(await read())?.includes('" more"'));
    while ((await read()) !== '[DONE]');
    expect(await reader.read()).toMatchObject({ done: true })
  })

  test.each<[string, string, string, string]>([
    ['that was cut off', 'length', 'length', 'Half\n\nThe answer was cut off, because it was too long.'],
    [
      'that was filtered',
      'content_filter',
      'content-filter',
      'Half\n\nThe filter of the provider has stopped the answer.',
    ],
  ])('of an answer %s say so', async (_, reason, told, whole) => {
    model.script(streams([chunk({ content: 'Half' }), chunk({}, reason), DONE]))
    const parts = await partsOf(await ask({ message: 'Hi' }))
    expect(parts.at(-1)).toEqual(finish(told))
    expect(parts.map((part) => ('delta' in part ? part.delta : '')).join('')).toBe(whole)
  })

  test('of an answer with nothing in it are words all the same', async () => {
    model.script(streams([chunk({ content: '' }), chunk({}, 'stop'), DONE]))
    expect(await partsOf(await ask({ message: 'Hi' }))).toEqual([
      start,
      { type: 'start-step' },
      ...text('text-1', 'I have nothing to say to that.'),
      { type: 'finish-step' },
      finish('stop'),
    ])
  })

  test('of an answer that took too many tools end with words', async () => {
    const many = Array.from({ length: 26 }, (): ToolUse => ['list_tasks', {}])
    model.script(uses(many))
    const parts = await partsOf(await ask({ message: 'Hi' }))
    expect(parts.slice(-7)).toEqual([
      { type: 'finish-step' },
      { type: 'start-step' },
      ...text('text-1', 'I have stopped here, because this took too many tools.'),
      { type: 'finish-step' },
      finish('other'),
    ])
  })
})

describe('a failure', () => {
  test('before the first word is the answer of the request', async () => {
    model.script(refuses(429, { 'retry-after': '7' }))
    const response = await ask({ message: 'Hi' })
    expect(response.status).toBe(503)
    expect(response.headers.get('content-type')).toStartWith('application/problem+json')
    expect(response.headers.get('retry-after')).toBe('7')
    expect(await response.json()).toMatchObject({ error_code: 'ASSISTANT_UNAVAILABLE' })
  })

  test.each<[string, Piece[], 'close' | 'cut']>([
    ['the connection is cut', [], 'cut'],
    ['an error', [event({ error: { message: `Bad key ${KEY}` } })], 'close'],
  ])('after the first word (%s) is a part, and what was said is stored', async (_, rest, end) => {
    logged.length = 0
    const as = newUser()
    const arrived = Promise.withResolvers<void>()
    model.script(streams([chunk({ content: 'Half' }), arrived.promise, ...rest], { end }))
    const response = await ask({ message: 'Hi' }, { as })
    expect(response.status).toBe(200)
    arrived.resolve()
    const parts = await partsOf(response)
    expect(parts).toEqual([
      start,
      { type: 'start-step' },
      ...text('text-1', 'Half'),
      { type: 'error', errorText: FAILED },
    ])
    const [{ messageMetadata }] = parts
    const path = `/api/v1/conversations/${messageMetadata.conversation_id}/messages`
    const { body } = await call('GET', path, { as })
    expect(body[1]).toMatchObject({ role: 'assistant', content: 'Half\n\nI could not finish the answer.' })
    expect(JSON.stringify(parts) + logged.join('')).not.toContain(KEY)
  })

  test('after a tool is a part', async () => {
    model.script(uses([['add_task', { title: 'Milk' }]]), refuses(500))
    const parts = await partsOf(await ask({ message: 'Hi' }))
    expect(parts.at(-2)).toMatchObject({ type: 'tool-output-available', output: { status: 'created' } })
    expect(parts.at(-1)).toEqual({ type: 'error', errorText: FAILED })
  })

  test('of the request is no stream', async () => {
    const response = await ask({ message: '' })
    expect(response.status).toBe(422)
    expect(response.headers.get('content-type')).toStartWith('application/problem+json')
  })
})

describe('the answer', () => {
  test.each<[string, boolean]>([
    ['text/event-stream', true],
    ['TEXT/EVENT-STREAM', true],
    ['application/json, text/event-stream', true],
    ['text/event-stream, */*;q=0.1', true],
    ['application/json, text/event-stream;q=0.5', false],
    ['*/*', false],
    ['application/json', false],
    ['text/html', false],
    ['text/event-stream;q=0', false],
  ])('with Accept %s: a stream is %p', async (accept, isStream) => {
    model.script(says('Hello'))
    const response = await ask({ message: 'Hi' }, { accept })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toStartWith(isStream ? EVENTS : 'application/json')
    await response.text()
  })

  test('is JSON without Accept', async () => {
    model.script(says('Hello'))
    const { status, body } = await call('POST', '/api/v1/chat', { as: newUser(), body: { message: 'Hi' } })
    expect([status, body.response]).toEqual([200, 'Hello'])
  })

  test('has headers that keep it from caches and buffers', async () => {
    model.script(says('Hello'))
    const { headers, body } = await ask({ message: 'Hi' })
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': EVENTS,
      'cache-control': 'no-store',
      'x-vercel-ai-ui-message-stream': 'v1',
      'x-accel-buffering': 'no',
      'x-request-id': expect.any(String),
      ratelimit: expect.stringContaining('"chat"'),
    })
    expect(headers.has('content-encoding')).toBe(false)
    await body?.cancel()
  })
})

type Message = UIMessage<{ conversation_id?: number }>

/** A page that uses the AI SDK as the documentation says. */
function page(as: string) {
  const transport = new DefaultChatTransport<Message>({
    api: url,
    headers: async () => ({ Accept: EVENTS, Authorization: `Bearer ${await tokenOf(as)}` }),
    prepareSendMessagesRequest: ({ messages }) => ({
      body: {
        conversation_id:
          messages.findLast((each) => each.metadata?.conversation_id)?.metadata?.conversation_id ?? null,
        message: messages
          .at(-1)
          ?.parts.map((part) => (part.type === 'text' ? part.text : ''))
          .join(''),
      },
    }),
  })
  const messages: Message[] = []
  return {
    messages,
    /** @returns the answer, and what the SDK says is wrong */
    async send(
      words: string,
      onBegin = () => {},
    ): Promise<{ answer: Message | undefined; errors: string[] }> {
      messages.push({ id: `user-${messages.length}`, role: 'user', parts: [{ type: 'text', text: words }] })
      const stream = await transport.sendMessages({
        chatId: 'chat',
        trigger: 'submit-message',
        messageId: undefined,
        messages,
        abortSignal: undefined,
      })
      onBegin()
      const errors: string[] = []
      const onError = (error: unknown) =>
        void errors.push(error instanceof Error ? error.message : String(error))
      let answer: Message | undefined
      for await (const message of readUIMessageStream<Message>({ stream, onError })) answer = message
      if (answer) messages.push(answer)
      return { answer, errors }
    },
  }
}

describe('the AI SDK', () => {
  test('reads words and tools, and goes on with the conversation', async () => {
    const { send } = page(newUser())
    model.script(uses([['add_task', { title: 'Milk' }]], 'A moment.'), says('I have added "Milk".'))
    const { answer, errors } = await send('Add milk')
    expect(errors).toEqual([])
    expect(answer?.metadata).toEqual({ conversation_id: expect.any(Number) })
    expect(answer?.parts).toMatchObject([
      { type: 'step-start' },
      { type: 'text', text: 'A moment.', state: 'done' },
      {
        type: 'tool-add_task',
        state: 'output-available',
        input: { title: 'Milk' },
        output: { status: 'created', title: 'Milk' },
      },
      { type: 'step-start' },
      { type: 'text', text: 'I have added "Milk".', state: 'done' },
    ])
    model.script(says('Yes.'))
    const next = await send('Really?')
    expect(next.answer?.metadata).toEqual(answer?.metadata)
    expect(model.requests[0]?.body.messages.slice(1)).toEqual([
      { role: 'user', content: 'Add milk' },
      { role: 'assistant', content: 'A moment.\n\nI have added "Milk".' },
      { role: 'user', content: 'Really?' },
    ])
  })

  test('is told of a failure in the middle', async () => {
    const arrived = Promise.withResolvers<void>()
    model.script(streams([chunk({ content: 'Half' }), arrived.promise], { end: 'cut' }))
    const { answer, errors } = await page(newUser()).send('Hi', arrived.resolve)
    expect(errors).toEqual([FAILED])
    expect(answer?.parts).toMatchObject([{ type: 'step-start' }, { type: 'text', text: 'Half' }])
  })

  test('is told of a failure before the first word', async () => {
    model.script(refuses(500))
    await expect(page(newUser()).send('Hi')).rejects.toThrow('ASSISTANT_UNAVAILABLE')
  })

  test('is not disturbed by the beats that keep a connection open', async () => {
    jest.useFakeTimers()
    try {
      const silence = Promise.withResolvers<void>()
      async function* parts() {
        yield* [{ type: 'start' }, ...text('text-1', 'Hello')]
        await silence.promise
        yield* [...text('text-2', 'again'), finish('stop')]
      }
      const response = uiStream(parts(), () => {})
      const transport = new DefaultChatTransport<Message>({
        api: url,
        fetch: Object.assign(async () => response, { preconnect: () => {} }),
      })
      const options = {
        chatId: 'chat',
        trigger: 'submit-message',
        messageId: undefined,
        messages: [],
      } as const
      const stream = await transport.sendMessages({ ...options, messages: [], abortSignal: undefined })
      const seen: string[] = []
      for await (const message of readUIMessageStream<Message>({ stream })) {
        const words = message.parts.map((part) => (part.type === 'text' ? part.text : '')).join(' ')
        if (words === 'Hello') {
          jest.advanceTimersByTime(60_000)
          silence.resolve()
        }
        seen.push(words)
      }
      expect(seen.at(-1)).toBe('Hello again')
      expect(jest.getTimerCount()).toBe(0)
    } finally {
      jest.useRealTimers()
    }
  })
})

test('beats come while the model is silent, and end with the stream', async () => {
  jest.useFakeTimers()
  try {
    let hasLeft = false
    async function* parts() {
      yield { type: 'start' }
      await new Promise(() => {})
    }
    const reader = uiStream(parts(), () => {
      hasLeft = true
    }).body?.getReader()
    const read = async () => new TextDecoder().decode((await reader?.read())?.value)
    expect(await read()).toBe('data: {"type":"start"}\n\n')
    jest.advanceTimersByTime(5000)
    expect(await read()).toBe(':\n\n')
    void reader?.cancel()
    expect(hasLeft).toBe(true)
    expect(jest.getTimerCount()).toBe(0)
  } finally {
    jest.useRealTimers()
  }
})

test('a stream that waits holds up nobody else', async () => {
  const later = held(says('Late'))
  model.script(later.answer)
  const waiting = ask({ message: 'Hi' })
  await model.asked(1)
  expect((await call('GET', '/api/v1/todos', { as: newUser() })).status).toBe(200)
  later.release()
  expect(await partsOf(await waiting)).toHaveLength(7)
})
