/** The ways in which providers differ from OpenAI, and in which they fail. */
import { afterAll, describe, expect, test } from 'bun:test'
import { freePort } from '../../src/system/free-port'
import { type Answer, testApp } from '../support/app'
import { call as callAt } from '../support/http-connection'
import {
  chunk,
  DONE,
  event,
  json,
  KEY,
  type Piece,
  refuses,
  type Scripted,
  says,
  startScriptedModel,
  streams,
  uses,
} from '../support/scripted-model'
import { endServers, startServer } from '../support/server-process'

const model = startScriptedModel()
const NO_OBJECT = 'The arguments must be a JSON object of at most 32000 characters.'
const { call, url, logged } = await testApp(model.env)
afterAll(endServers)
const CHAT = '/api/v1/chat'
const as = 'ann'

const ask = (message = 'List my tasks') => call('POST', CHAT, { as, body: { message } })

/** The arguments of the tools that were run, in their order. */
const inputs = ({ body }: Answer) => body.tool_calls.map((each: { arguments: object }) => each.arguments)

/** What the model was told that its tools have given, in the last request. */
function toldResults(): { tool_call_id: string; content: string }[] {
  return model.requests.at(-1)?.body.messages.filter(({ role }: { role: string }) => role === 'tool')
}

/** The calls as they were sent back to the model, in the last request. */
// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any body
function sentBack(): any[] {
  const messages = model.requests.at(-1)?.body.messages ?? []
  return messages.flatMap(({ tool_calls = [] }: { tool_calls?: object[] }) => tool_calls)
}

/** Pieces of calls of `list_tasks`. */
const calls = (...pieces: object[]) => chunk({ tool_calls: pieces })
const piece = (args: unknown, more: object = {}, name: string | undefined = 'list_tasks') => ({
  ...more,
  function: { ...(name !== undefined && { name }), arguments: args },
})
const rest = (args: string, more: object = {}) => ({ ...more, function: { arguments: args } })

/** A whole answer. */
const whole = (message: object, finish_reason: string | null = 'stop') => ({
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason }],
})

const FIRST = { limit: 1 }
const SECOND = { limit: 2 }
const BOTH = [FIRST, SECOND]
const [ONE, TWO] = ['{"limit":1}', '{"limit":2}']
const FINISH = [chunk({}, 'tool_calls'), DONE]

describe('tools are run if a provider sends them', () => {
  test.each<[string, object[], Piece[]]>([
    [
      'each whole, and all with index 0',
      BOTH,
      [calls(piece(ONE, { index: 0, id: 'a' })), calls(piece(TWO, { index: 0, id: 'b' })), ...FINISH],
    ],
    [
      'in one event, and all with index 0',
      BOTH,
      [calls(piece(ONE, { index: 0, id: 'a' }), piece(TWO, { index: 0, id: 'b' })), ...FINISH],
    ],
    [
      'in pieces, and all with index 0',
      BOTH,
      [
        calls(piece('{"lim', { index: 0, id: 'a' })),
        calls(rest('it":1}', { index: 0, id: 'a' })),
        calls(piece('{"lim', { index: 0, id: 'b' })),
        calls(rest('it":2}', { index: 0, id: 'b' })),
        ...FINISH,
      ],
    ],
    [
      'with index 0 and no arguments',
      [{}, {}],
      [calls(piece('', { index: 0, id: 'a' })), calls(piece('', { index: 0, id: 'b' })), ...FINISH],
    ],
    [
      'with index 0, no ids and different names',
      [{}, { query: 'x' }],
      [calls(piece('', { index: 0 })), calls(piece('{"query":"x"}', { index: 0 }, 'search')), ...FINISH],
    ],
    ['without an index and an id', [FIRST], [calls(piece(ONE)), ...FINISH]],
    ['without indexes and ids, two of them', BOTH, [calls(piece(ONE)), calls(piece(TWO)), ...FINISH]],
    [
      'without indexes and ids, in pieces',
      BOTH,
      [calls(piece('{"lim')), calls(rest('it":1}')), calls(piece('{"lim')), calls(rest('it":2}')), ...FINISH],
    ],
    [
      'with indexes and no ids',
      BOTH,
      [calls(piece(ONE, { index: 0 })), calls(piece(TWO, { index: 1 })), ...FINISH],
    ],
    [
      'with ids and no indexes',
      BOTH,
      [calls(piece(ONE, { id: 'a' })), calls(piece(TWO, { id: 'b' })), ...FINISH],
    ],
    [
      'with one id for two of them',
      BOTH,
      [calls(piece(ONE, { index: 0, id: 'a' })), calls(piece(TWO, { index: 1, id: 'a' })), ...FINISH],
    ],
    [
      'with one id and one index for two of them',
      BOTH,
      [calls(piece(ONE, { index: 0, id: 'a' })), calls(piece(TWO, { index: 0, id: 'a' })), ...FINISH],
    ],
    [
      'in pieces that each repeat the id',
      [FIRST],
      [calls(piece('{"lim', { index: 0, id: 'a' })), calls(rest('it":1}', { index: 0, id: 'a' })), ...FINISH],
    ],
    [
      'in pieces that each have another id',
      BOTH,
      [
        calls(piece('{"lim', { index: 0, id: 'a' })),
        calls(rest('it":1}', { index: 0, id: 'b' })),
        calls(piece('{"lim', { index: 1, id: 'c' })),
        calls(rest('it":2}', { index: 1, id: 'd' })),
        ...FINISH,
      ],
    ],
    [
      'in pieces that each repeat the id and the name',
      [FIRST],
      [
        calls(piece('{"lim', { index: 0, id: 'a' })),
        calls(piece('it":1}', { index: 0, id: 'a' })),
        ...FINISH,
      ],
    ],
    [
      'in pieces that come mixed',
      BOTH,
      [
        calls(piece('{"lim', { index: 0, id: 'a' }), piece('{"lim', { index: 1, id: 'b' })),
        calls(rest('it":2}', { index: 1 })),
        calls(rest('it":1}', { index: 0 })),
        ...FINISH,
      ],
    ],
    [
      'with an empty id and an empty name in later pieces',
      [FIRST],
      [
        calls(piece('{"lim', { index: 0, id: 'a' })),
        calls(piece('it":1}', { index: 0, id: '' }, '')),
        ...FINISH,
      ],
    ],
    [
      'with null for the id and the name in later pieces',
      [FIRST],
      [
        calls(piece('{"lim', { index: 0, id: 'a' })),
        calls({ index: 0, id: null, function: { name: null, arguments: 'it":1}' } }),
        ...FINISH,
      ],
    ],
    [
      'with the name in the second piece',
      [FIRST],
      [calls(rest('', { index: 0, id: 'a' })), calls(piece(ONE, { index: 0 })), ...FINISH],
    ],
    ['that begin with index 5', [FIRST], [calls(piece(ONE, { index: 5, id: 'a' })), ...FINISH]],
    ['with an object for arguments', [FIRST], [calls(piece(FIRST, { index: 0, id: 'a' })), ...FINISH]],
    ['with null for arguments', [{}], [calls(piece(null, { index: 0, id: 'a' })), ...FINISH]],
    ['with JSON within JSON', [FIRST], [calls(piece(JSON.stringify(ONE), { index: 0, id: 'a' })), ...FINISH]],
    ['and no reason to finish', [FIRST], [calls(piece(ONE, { index: 0, id: 'a' })), DONE]],
    [
      'and no word of the end but a reason',
      [FIRST],
      [calls(piece(ONE, { id: 'a' })), chunk({}, 'tool_calls')],
    ],
    ['and stops', [FIRST], [calls(piece(ONE, { index: 0, id: 'a' })), chunk({}, 'stop'), DONE]],
    ['and finishes with an unknown word', [FIRST], [calls(piece(ONE, { id: 'a' })), chunk({}, 'eos'), DONE]],
    [
      'and one without a name',
      [FIRST],
      [calls(rest('{}', { index: 0, id: 'a' })), calls(piece(ONE, { index: 1, id: 'b' })), ...FINISH],
    ],
  ])('%s', async (_, expected, pieces) => {
    model.script(streams(pieces), says('Done.'))
    const answer = await ask()
    expect(answer.body.response).toBe('Done.')
    expect(inputs(answer)).toEqual(expected)
    const ids = sentBack().map(({ id }) => id)
    expect(new Set(ids).size).toBe(expected.length)
    expect(toldResults().map(({ tool_call_id }) => tool_call_id)).toEqual(ids)
    expect(sentBack().map(({ function: { arguments: text } }) => JSON.parse(text))).toEqual(expected)
  })

  test.each<[string, object, object]>([
    ['as text', FIRST, { arguments: ONE }],
    ['as an object', FIRST, { arguments: FIRST }],
    ['as nothing', {}, {}],
  ])('in an answer that is not streamed, with arguments %s', async (_, expected, args) => {
    const made = { function: { name: 'list_tasks', ...args } }
    model.script(
      json(whole({ content: null, tool_calls: [{ id: 'a', ...made }] })),
      json(whole({ content: 'Done.' })),
    )
    const answer = await ask()
    expect(answer.body.response).toBe('Done.')
    expect(inputs(answer)).toEqual([expected])
  })

  test('with words before', async () => {
    model.script(uses([['list_tasks', {}]], 'Let me look. '), says('Nothing there.'))
    expect((await ask()).body.response).toBe('Let me look.\n\nNothing there.')
  })

  test('with the same ids in each round: those sent back are unique', async () => {
    const round = streams([calls(piece('{}', { index: 0, id: 'call_0' })), ...FINISH])
    model.script(round, round, round, says('Done.'))
    expect(inputs(await ask())).toHaveLength(3)
    const ids = sentBack().map(({ id }) => id)
    expect(new Set(ids).size).toBe(3)
    expect(toldResults().map(({ tool_call_id }) => tool_call_id)).toEqual(ids)
  })
})

describe('the model is told what is wrong', () => {
  test.each<[string, string | undefined, string, string]>([
    ['arguments that are no JSON', 'list_tasks', '{"limit": 1', NO_OBJECT],
    ['an array for arguments', 'list_tasks', '[1]', NO_OBJECT],
    ['a number for arguments', 'list_tasks', '1', NO_OBJECT],
    ['null in text for arguments', 'list_tasks', 'null', NO_OBJECT],
    ['text within JSON for arguments', 'list_tasks', '"all of them"', NO_OBJECT],
    ['an unknown tool', 'drop_database', '{}', 'There is no such tool.'],
    ['the tool `constructor`', 'constructor', '{}', 'There is no such tool.'],
    ['the tool `__proto__`', '__proto__', '{}', 'There is no such tool.'],
    ['a tool with a name that no provider takes back', 'list tasks!', '{}', 'There is no such tool.'],
  ])('of %s', async (_, name, args, error) => {
    model.script(streams([calls(piece(args, { index: 0, id: 'a' }, name)), ...FINISH]), says('Sorry.'))
    const { status, body } = await ask()
    expect({ status, ...body }).toMatchObject({
      status: 200,
      response: 'Sorry.',
      tool_calls: [{ tool: name, arguments: {}, result: { error } }],
    })
    expect(toldResults().map(({ content }) => JSON.parse(content))).toEqual([{ error }])
    // what is no JSON is refused by some providers, and so are other names
    expect(JSON.parse(sentBack()[0].function.arguments)).toEqual({})
    expect(sentBack()[0].function.name).toMatch(/^[\w-]+$/)
  })

  test('of a member `__proto__` in its arguments', async () => {
    const args = '{"title":"x","__proto__":{"completed":true}}'
    model.script(streams([calls(piece(args, { id: 'a' }, 'add_task')), ...FINISH]), says('Sorry.'))
    const { body } = await ask()
    expect(body.tool_calls[0].result.error).toContain('__proto__')
    expect(({} as { completed?: boolean }).completed).toBeUndefined()
  })
})

const emoji = new TextEncoder().encode(chunk({ content: 'naïve 🦊' }))
const inTheMiddle = emoji.indexOf(0xf0) + 2
const STOP = [chunk({}, 'stop'), DONE]
const FILTERED = 'The filter of the provider has stopped the answer.'
const crlf = (text: string) => text.replaceAll('\n', '\r\n')

describe('words are read if a provider sends', () => {
  test.each<[string, string, Piece[]]>([
    ['no reason to finish', 'Hello', [chunk({ content: 'Hello' }), DONE]],
    ['no word of the end', 'Hello', [chunk({ content: 'Hello' }), chunk({}, 'stop')]],
    ['an unknown reason to finish', 'Hello', [chunk({ content: 'Hello' }), chunk({}, 'eos_token'), DONE]],
    ['a whole message in an event', 'Hello', [event(whole({ content: 'Hello' })), DONE]],
    [
      'lines that end with CRLF, and comments',
      'Hello',
      [crlf(': hello\n\n'), crlf(chunk({ content: 'Hello' })), ':PROCESSING\r\n\r\n', ...STOP.map(crlf)],
    ],
    ['a byte order mark', 'Hello', [`\uFEFF${chunk({ content: 'Hello' })}`, ...STOP]],
    ['half a character', 'naïve 🦊', [emoji.slice(0, inTheMiddle), emoji.slice(inTheMiddle), ...STOP]],
    [
      'halves of a character in two events',
      '🦊',
      [chunk({ content: '\ud83e' }), chunk({ content: '\udd8a' }), ...STOP],
    ],
    [
      'no delta at the end',
      'Hello',
      [chunk({ content: 'Hello' }), event({ choices: [{ finish_reason: 'stop' }] })],
    ],
    [
      'two answers',
      'Hello',
      [
        event({
          choices: [
            { index: 0, delta: { content: 'Hello' } },
            { index: 1, delta: { content: 'Hi' } },
          ],
        }),
        ...STOP,
      ],
    ],
    ['single bytes', 'naïve 🦊', [...[...emoji].map((byte) => Uint8Array.of(byte)), ...STOP]],
    ['slowly', 'a b', [chunk({ content: 'a' }), Bun.sleep(50), chunk({ content: ' b' }), ...STOP]],
    [
      'no empty line after the last event',
      'Hello',
      [chunk({ content: 'Hello' }), chunk({}, 'stop').trimEnd()],
    ],
    [
      'an array of parts',
      'Hello',
      [
        chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] }),
        chunk({ content: [{ type: 'text', text: 'Hel' }, { type: 'text', text: 'lo' }, null] }),
        ...STOP,
      ],
    ],
    [
      'null for words',
      'Hello',
      [chunk({ content: null }), chunk({ content: 'Hello' }), chunk({ content: null }, 'stop'), DONE],
    ],
    ['another role', 'Hello', [chunk({ role: 'model', content: 'Hello' }), ...STOP]],
    ['an event without choices', 'Hello', [event({ id: '' }), chunk({ content: 'Hello' }), ...STOP]],
    ['null for choices', 'Hello', [event({ choices: null }), chunk({ content: 'Hello' }), ...STOP]],
    [
      'null for what it could leave out',
      'Hello',
      [
        event({ choices: [{ delta: null, finish_reason: null }], usage: null, error: null }),
        chunk({ content: 'Hello', refusal: null, tool_calls: null, reasoning_content: null }),
        ...STOP,
      ],
    ],
    ['its thoughts', 'Hello', [chunk({ reasoning_content: 'Hm.' }), chunk({ content: 'Hello' }), ...STOP]],
    [
      'a refusal',
      'I cannot do that.',
      [chunk({ refusal: 'I cannot ' }), chunk({ refusal: 'do that.' }), ...STOP],
    ],
    [
      'a part, and filters the rest',
      `Half\n\n${FILTERED}`,
      [chunk({ content: 'Half' }), chunk({}, 'content_filter'), DONE],
    ],
    ['nothing, because of a filter', FILTERED, [chunk({}, 'content_filter'), DONE]],
    ['white space', 'I have nothing to say to that.', [chunk({ content: '\n\n' }), ...STOP]],
    ['nothing more after the end', 'Hello', [chunk({ content: 'Hello' }), ...STOP, chunk({ content: '!' })]],
    [
      'events that are no part of the answer',
      'Hello',
      [
        'data:\n\n',
        chunk({ content: 'Hel' }),
        'data: ping\n\ndata: null\n\n',
        chunk({ content: 'lo' }),
        ...STOP,
      ],
    ],
    ['its end in small letters', 'Hello', [chunk({ content: 'Hello' }), 'data: [done]\n\n']],
    [
      'another answer in an event of its own',
      'Hello',
      [chunk({ content: 'Hello' }), chunk({ content: 'Hi' }, null, { index: 1 }), ...STOP],
    ],
    ['nothing at all', 'I have nothing to say to that.', [chunk({ content: '' }), ...STOP]],
    ['only thoughts', 'I have nothing to say to that.', [chunk({ reasoning_content: 'Hm.' }), ...STOP]],
    [
      'too long an answer for the model',
      'Half\n\nThe answer was cut off, because it was too long.',
      [chunk({ content: 'Half' }), chunk({}, 'length'), DONE],
    ],
  ])('%s', async (_, response, pieces) => {
    model.script(streams(pieces))
    const { status, body } = await ask()
    expect({ status, ...body }).toMatchObject({ status: 200, response, tool_calls: [] })
  })

  test.each<[string, Scripted]>([
    ['events that are called text', streams([chunk({ content: 'Hello' }), ...STOP], { type: 'text/plain' })],
    ['JSON instead of a stream', json(whole({ content: 'Hello' }))],
    ['JSON without a reason to finish', json(whole({ content: 'Hello' }, null))],
    [
      'JSON that is called a stream',
      json(whole({ content: 'Hello' }), { headers: { 'content-type': 'text/event-stream' } }),
    ],
    [
      'a stream that is called JSON',
      streams([chunk({ content: 'Hello' }), ...STOP], { type: 'application/json' }),
    ],
    ['the end, and stays', streams([chunk({ content: 'Hello' }), ...STOP], { end: 'hang' })],
    [
      'the end, and breaks off',
      // what was sent has to arrive before the connection is cut
      (asked) =>
        streams([chunk({ content: 'Hello' }), chunk({}, 'stop'), Bun.sleep(100)], { end: 'cut' })(asked),
    ],
    [
      'a reason to finish, and stays',
      streams([chunk({ content: 'Hello' }), chunk({}, 'stop')], { end: 'hang' }),
    ],
    [
      'an error after the end',
      streams([`${chunk({ content: 'Hello' })}${chunk({}, 'stop')}${DONE}event: error\n${event({})}`]),
    ],
    ['JSON with parts', json(whole({ content: [{ type: 'text', text: 'Hello' }] }))],
  ])('%s', async (_, answer) => {
    model.script(answer)
    expect((await ask()).body.response).toBe('Hello')
  })

  test('how many tokens it has counted', async () => {
    logged.length = 0
    const usage = { prompt_tokens: 11, completion_tokens: 7 }
    model.script(
      streams([
        calls(piece('{}', { id: 'a' })),
        chunk({}, 'tool_calls'),
        event({ choices: [], usage }),
        DONE,
      ]),
      says('Done.', { usage }),
    )
    expect((await ask()).body.response).toBe('Done.')
    const line = logged.map((each) => JSON.parse(each)).find(({ msg }) => msg === 'chat')
    expect(line).toMatchObject({ input_tokens: 22, output_tokens: 14, rounds: 2, tools: 1 })
  })
})

test('a tool is run if a provider gives a reason to finish, and stays', async () => {
  model.script(
    streams([calls(piece('{}', { index: 0, id: 'a' })), chunk({}, 'tool_calls')], { end: 'hang' }),
    says('Done.'),
  )
  expect((await ask()).body).toMatchObject({ response: 'Done.', tool_calls: [{ tool: 'list_tasks' }] })
})

describe('goes back to the provider with the results of tools', () => {
  test('what the model has thought', async () => {
    model.script(
      streams([
        chunk({ reasoning_content: 'Let me ' }),
        chunk({ reasoning_content: 'see.' }),
        chunk({ content: 'One moment.' }),
        calls(piece('{}', { index: 0, id: 'a' })),
        ...FINISH,
      ]),
      says('Done.'),
    )
    await ask()
    const { messages } = (await model.asked(2)).body
    expect(messages.at(-2)).toEqual({
      role: 'assistant',
      content: 'One moment.',
      reasoning_content: 'Let me see.',
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'list_tasks', arguments: '{}' } }],
    })
  })

  test('what OpenRouter tells of thoughts, each in one piece', async () => {
    const detail = (more: object) => chunk({ reasoning_details: [{ index: 0, format: 'x', ...more }] })
    const thought = { type: 'reasoning.text', index: 0, format: 'x', text: 'Let me see.', signature: 'c2ln' }
    const secret = { type: 'reasoning.encrypted', index: 0, format: 'x' }
    model.script(
      streams([
        detail({ type: 'reasoning.text', text: 'Let me ', signature: null }),
        detail({ type: 'reasoning.text', text: 'see.' }),
        detail({ type: 'reasoning.text', signature: 'c2ln' }),
        detail({ type: 'reasoning.text', text: 'Now.', signature: 'bmV4dA==' }),
        detail({ type: 'reasoning.encrypted', data: 'YQ==' }),
        detail({ type: 'reasoning.encrypted', data: 'Yg==' }),
        calls(piece('{}', { index: 0, id: 'a' })),
        ...FINISH,
      ]),
      says('Done.'),
    )
    await ask()
    expect((await model.asked(2)).body.messages.at(-2).reasoning_details).toEqual([
      thought,
      { ...thought, text: 'Now.', signature: 'bmV4dA==' },
      { ...secret, data: 'YQ==' },
      { ...secret, data: 'Yg==' },
    ])
  })

  test('what Gemini has added to the call', async () => {
    const extra_content = { google: { thought_signature: 'c2ln' } }
    model.script(
      streams([calls(piece('{}', { index: 0, id: 'a', extra_content })), ...FINISH]),
      says('Done.'),
    )
    await ask()
    expect(sentBack()).toEqual([
      { id: 'a', type: 'function', function: { name: 'list_tasks', arguments: '{}' }, extra_content },
    ])
  })

  test('nothing that it has not sent', async () => {
    model.script(uses([['list_tasks', {}]]), says('Done.'))
    await ask()
    const spoken = (await model.asked(2)).body.messages.at(-2)
    expect(Object.keys(spoken)).toEqual(['role', 'content', 'tool_calls'])
    expect(spoken.content).toBeNull()
  })
})

const MAX = 8 * 1024 * 1024

describe('503, and no tool has run, if a provider', () => {
  const add = piece('{"title":"never"}', { index: 0, id: 'a' }, 'add_task')
  const half = chunk({ content: 'Half' })
  test.each<[string, Scripted]>([
    ['stops in the middle of its words', streams([half])],
    ['stops after a call, without a word of the end', streams([calls(add)])],
    ['is cut off in the middle of its words', streams([half], { end: 'cut' })],
    ['is cut off after a call', streams([calls(add)], { end: 'cut' })],
    ['sends nothing', streams([])],
    ['sends a page', streams(['<html>Sign in</html>'], { type: 'text/html' })],
    ['sends JSON that is none', streams(['{"choices":'], { type: 'application/json' })],
    ['sends an error as JSON', json({ error: { message: `Bad key ${KEY}` } })],
    ['sends JSON without choices', json({ choices: [] })],
    ['sends an event that is no JSON', streams([half, 'data: {"choices":[{"del\n\n', ...STOP])],
    ['sends no object', streams(['data: 1\n\n'])],
    ['sends an object `error`', streams([half, event({ object: 'error', message: KEY }), ...STOP])],
    ['sends an error in place of words', streams([event({ error: { message: KEY } }), DONE])],
    ['sends an error after a call', streams([calls(add), event({ error: { message: KEY } }), DONE])],
    ['sends an error as text', streams([half, event({ error: `Bad key ${KEY}` })])],
    ['sends an event `error`', streams([half, `event: error\n${event({ message: KEY })}`])],
    ['finishes with `error`', streams([calls(add), chunk({}, 'error'), DONE])],
    ['only sends a call without a name', streams([calls(rest('{}', { id: 'a' })), ...FINISH])],
    [
      'sends more than 8 MB',
      streams([
        ...Array.from({ length: 129 }, () => chunk({ reasoning_content: 'x'.repeat(MAX / 128) })),
        ...STOP,
      ]),
    ],
    ['sends more than 8 MB that are no event', streams([`data: ${'x'.repeat(MAX)}`], { end: 'hang' })],
    ['sends more than 8 MB of JSON', streams([`"${'x'.repeat(MAX)}"`], { type: 'application/json' })],
  ])('%s', async (_, answer) => {
    logged.length = 0
    model.script(answer, says('never asked for'))
    const { status, headers, body } = await ask()
    expect([status, body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    expect(headers.get('retry-after')).toBeNull()
    expect(model.requests).toHaveLength(1)
    expect((await call('GET', '/api/v1/todos', { as })).body).toEqual([])
    expect(JSON.stringify(body) + logged.join('')).not.toContain(KEY)
  })

  test('sends tools that were cut off by their length: the answer says so', async () => {
    model.script(streams([calls(add), chunk({}, 'length'), DONE]))
    const { status, body } = await ask()
    expect([status, body.tool_calls]).toEqual([200, []])
    expect(body.response).toBe('The answer was cut off, because it was too long.')
    expect((await call('GET', '/api/v1/todos', { as })).body).toEqual([])
  })

  test('filters an answer with tools: the answer says so', async () => {
    model.script(streams([calls(add), chunk({}, 'content_filter'), DONE]))
    expect((await ask()).body).toMatchObject({ response: FILTERED, tool_calls: [] })
    expect((await call('GET', '/api/v1/todos', { as })).body).toEqual([])
  })

  test('refuses in the words of a refusal, with tools: none runs', async () => {
    model.script(streams([chunk({ refusal: 'No.' }), calls(add), ...FINISH]))
    expect((await ask()).body).toMatchObject({ response: 'No.', tool_calls: [] })
  })
})

const later = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString()

describe('a provider that refuses', () => {
  test.each<[string, number, Record<string, string>, RegExp | undefined]>([
    ['400', 400, {}, undefined],
    ['401', 401, {}, undefined],
    ['403', 403, {}, undefined],
    ['404', 404, {}, undefined],
    ['408', 408, {}, undefined],
    ['422', 422, {}, undefined],
    ['429 for some seconds', 429, { 'retry-after': '7' }, /^7$/],
    ['429 and does not say how long', 429, {}, undefined],
    ['429 for no time', 429, { 'retry-after': '0' }, /^1$/],
    ['429 for days', 429, { 'retry-after': '999999' }, /^3600$/],
    ['429 until no date', 429, { 'retry-after': 'soon' }, undefined],
    ['500', 500, {}, undefined],
    ['503 until a date', 503, { 'retry-after': later(600) }, /^(?:600|59\d)$/],
    ['503 until a date that is over', 503, { 'retry-after': later(-600) }, /^1$/],
  ])('with %s is not available', async (_, status, headers, retryAfter) => {
    logged.length = 0
    model.script(says('Hello'))
    await ask()
    model.script(refuses(status, headers))
    const refused = await ask()
    expect([refused.status, refused.body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    const told = refused.headers.get('retry-after')
    if (retryAfter) expect(told).toMatch(retryAfter)
    else expect(told).toBeNull()
    expect(model.requests).toHaveLength(1)
    const line = logged.map((each) => JSON.parse(each)).findLast(({ msg }) => msg === 'chat')
    expect(line).toMatchObject({ outcome: 'unavailable', provider_status: status })
    expect(JSON.stringify(refused.body) + logged.join('')).not.toContain(KEY)
  })

  test('with a page is not available', async () => {
    model.script(
      () => new Response(`<h1>${KEY}</h1>`, { status: 502, headers: { 'content-type': 'text/html' } }),
    )
    const { status, body } = await ask()
    expect([status, body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    expect(JSON.stringify(body)).not.toContain(KEY)
  })
})

describe('a provider that cannot count tokens while it streams', () => {
  const refusesOptions =
    (answer: Scripted, status = 400): Scripted =>
    (asked) =>
      'stream_options' in asked.body ? refuses(status)(asked) : answer(asked)
  const options = () => model.requests.map(({ body }) => body.stream_options)
  const counting = { include_usage: true }

  test.each([400, 422])('and answers %d is asked again without it, and from then on', async (status) => {
    const fresh = await testApp(model.env)
    const say = () => fresh.call('POST', CHAT, { as, body: { message: 'x' } })
    const answer = () => refusesOptions(says('Hello'), status)
    model.script(answer(), answer(), answer())
    expect((await say()).body.response).toBe('Hello')
    expect(options()).toEqual([counting, undefined])
    expect((await say()).body.response).toBe('Hello')
    expect(options()).toEqual([counting, undefined, undefined])
  })

  test('and has no tools either is asked with it the next time, too', async () => {
    const fresh = await testApp(model.env)
    const say = () => fresh.call('POST', CHAT, { as, body: { message: 'x' } })
    model.script(refuses(400), refuses(400), says('Hello'))
    expect((await say()).body.error_code).toBe('ASSISTANT_UNAVAILABLE')
    expect((await say()).body.response).toBe('Hello')
    expect(options()).toEqual([counting, undefined, counting])
  })
})

describe('the question', () => {
  test('is as Chat Completions take it', async () => {
    model.script(says('Hello'))
    await ask('Hi there')
    const { headers, body } = await model.asked(1)
    expect(headers.get('authorization')).toBe(`Bearer ${KEY}`)
    expect(headers.get('content-type')).toBe('application/json')
    expect(Object.keys(body).toSorted()).toEqual(['messages', 'model', 'stream', 'stream_options', 'tools'])
    expect(body).toMatchObject({ model: 'scripted', stream: true })
    expect(body.messages.at(0).role).toBe('system')
    expect(body.messages.at(-1)).toEqual({ role: 'user', content: 'Hi there' })
    expect(body.tools.map((tool: { function: { name: string } }) => tool.function.name)).toEqual([
      'add_task',
      'list_tasks',
      'get_task',
      'update_task',
      'complete_task',
      'delete_task',
      'restore_task',
      'search',
      'fetch',
    ])
    for (const { type, function: made } of body.tools) {
      expect(type).toBe('function')
      expect(made.parameters).toMatchObject({ type: 'object', additionalProperties: false })
      expect(JSON.stringify(made)).not.toMatch(/user_id|confirm|"format"/)
    }
  })

  test('has no key where none is set, as on one’s own machine', async () => {
    const { AI_BASE_URL = '', AI_MODEL = '' } = model.env
    const fresh = await testApp({ AI_BASE_URL: `${AI_BASE_URL}/`, AI_MODEL })
    model.script(says('Hello'))
    expect((await fresh.call('POST', CHAT, { as, body: { message: 'x' } })).body.response).toBe('Hello')
    expect((await model.asked(1)).headers.has('authorization')).toBe(false)
  })

  test.each([301, 302, 303, 307, 308])('does not follow a %d to another host', async (status) => {
    const seen: string[] = []
    const elsewhere = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch(request) {
        seen.push(request.url)
        return new Response()
      },
    })
    const location = `${elsewhere.url}v1/chat/completions`
    model.script(() => new Response(null, { status, headers: { location } }))
    const { status: answered, body } = await ask()
    await elsewhere.stop(true)
    expect([answered, body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    expect(seen).toEqual([])
  })

  test('goes to no proxy of the environment', async () => {
    const seen: string[] = []
    const proxy = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch(request) {
        seen.push(request.url)
        return new Response()
      },
    })
    const HTTP_PROXY = `http://127.0.0.1:${proxy.port}`
    const server = await startServer({ ...model.env, DATABASE_URL: url, HTTP_PROXY, http_proxy: HTTP_PROXY })
    model.script(says('Hello'))
    const { body } = await callAt(server.port, 'POST', CHAT, { as, body: { message: 'x' } })
    await server.end('SIGTERM')
    await proxy.stop(true)
    expect(body.response).toBe('Hello')
    expect(seen).toEqual([])
  })

  test('goes to nobody where nobody listens', async () => {
    const AI_BASE_URL = `http://127.0.0.1:${await freePort()}/v1`
    const fresh = await testApp({ ...model.env, AI_BASE_URL })
    const { status, body } = await fresh.call('POST', CHAT, { as, body: { message: 'x' } })
    expect([status, body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    const line = fresh.logged.map((each) => JSON.parse(each)).find(({ msg }) => msg === 'chat')
    expect(line).toMatchObject({ reason: 'unreachable' })
  })
})
