/** The pieces of answers, put together, however a provider cuts them. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Answer, Fold } from '../../src/chat/fold'
import { chunk } from '../support/scripted-model'

interface Made {
  name: string
  input: object
  /** Where its JSON is cut. */
  cuts: number[]
}

const calls = fc.array(
  fc.record({
    name: fc.constantFrom('add_task', 'list_tasks', 'search'),
    input: fc.dictionary(fc.string(), fc.jsonValue()),
    cuts: fc.array(fc.nat(), { maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 4 },
)

type Piece = { isFirst: boolean; call: number }
let ids = 0

/** How providers mark the pieces of calls. The name comes with the first. */
const MARKS: Record<string, (piece: Piece) => object> = {
  'an index, and an id at first': ({ isFirst, call }) => ({
    index: call,
    ...(isFirst && { id: `id${call}` }),
  }),
  'an index, and an id that is empty later': ({ isFirst, call }) => ({
    index: call,
    id: isFirst ? `id${call}` : '',
  }),
  'an index and an id': ({ call }) => ({ index: call, id: `id${call}` }),
  'an index, and another id each': ({ call }) => ({ index: call, id: `id${++ids}` }),
  'index 0 and an id': ({ call }) => ({ index: 0, id: `id${call}` }),
  'index 0, and an id at first': ({ isFirst, call }) => ({ index: 0, ...(isFirst && { id: `id${call}` }) }),
  'an index alone': ({ call }) => ({ index: call }),
  'index 0 alone': () => ({ index: 0 }),
  'an id alone': ({ call }) => ({ id: `id${call}` }),
  'an id at first': ({ isFirst, call }) => (isFirst ? { id: `id${call}` } : {}),
  nothing: () => ({}),
}

function piecesOf({ name, input, cuts }: Made, call: number, mark: (piece: Piece) => object): object[] {
  const json = JSON.stringify(input)
  // a first piece without anything in it could belong to the call before
  const at = [0, ...cuts.map((cut) => 1 + (cut % json.length)).toSorted((a, b) => a - b), json.length]
  return at.slice(1).map((end, n) => {
    const isFirst = n === 0
    const text = json.slice(at[n], end)
    return { ...mark({ isFirst, call }), function: { ...(isFirst && { name }), arguments: text } }
  })
}

function foldAll(chunks: readonly string[]): Answer {
  const fold = new Fold()
  for (const each of chunks) fold.take(each.replace(/^data: /, ''))
  return fold.end()
}

describe('calls are as the model has made them if their pieces have', () => {
  test.each(Object.entries(MARKS))('%s', (_, mark) => {
    fc.assert(
      fc.property(calls, fc.boolean(), (made, isTogether) => {
        const pieces = made.flatMap((call, n) => piecesOf(call, n, mark))
        const sent = isTogether
          ? [chunk({ tool_calls: pieces })]
          : pieces.map((piece) => chunk({ tool_calls: [piece] }))
        const answer = foldAll([...sent, chunk({}, 'tool_calls')])
        expect(answer.calls.map((call) => [call.name, JSON.parse(call.arguments)])).toEqual(
          made.map(({ name, input }) => [name, JSON.parse(JSON.stringify(input))]),
        )
        expect(new Set(answer.calls.map(({ id }) => id)).size).toBe(made.length)
      }),
    )
  })
})

test('whatever a provider sends, it is an answer or a failure that is told', () => {
  const anything = fc.letrec((tie) => ({
    value: fc.oneof(fc.jsonValue(), tie('choices'), tie('call')),
    call: fc.record(
      {
        id: fc.jsonValue(),
        index: fc.jsonValue(),
        function: fc.oneof(fc.jsonValue(), fc.record({ name: fc.jsonValue(), arguments: fc.jsonValue() })),
      },
      { requiredKeys: [] },
    ),
    choices: fc.record(
      {
        delta: fc.oneof(
          fc.jsonValue(),
          fc.record(
            {
              content: fc.jsonValue(),
              refusal: fc.jsonValue(),
              reasoning_content: fc.jsonValue(),
              tool_calls: fc.oneof(fc.jsonValue(), fc.array(tie('call'))),
            },
            { requiredKeys: [] },
          ),
        ),
        finish_reason: fc.jsonValue(),
        message: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
  }))
  const event = fc.oneof(
    fc.string(),
    fc
      .record(
        { choices: fc.oneof(fc.jsonValue(), fc.array(anything['choices'])), usage: fc.jsonValue() },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
  )
  fc.assert(
    fc.property(fc.array(event), (events) => {
      try {
        const { text, calls: found, usage } = foldAll([...events, '[DONE]'])
        expect(typeof text).toBe('string')
        for (const { id, name, arguments: json } of found)
          expect([id, name, json].every((each) => typeof each === 'string')).toBe(true)
        if (usage) expect(Number.isNaN(usage.input + usage.output)).toBe(false)
      } catch (error) {
        expect((error as Error).message).toStartWith('The model is not available')
      }
    }),
    { numRuns: 500 },
  )
})
