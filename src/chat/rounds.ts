/** Rounds with a model: it answers, or asks for tools, which are run in its order, and then it is asked again. */
import type { Outcome } from '../assistants/run'
import { type Answer, type Call, newCallId, type Usage } from './fold'
import type { AskModel, Words } from './provider'
import { throwIfAborted } from './unavailable'

const MAX_ROUNDS = 8
const MAX_CALLS = 25

// In characters of JSON. What tools take and give goes to the model, to the client and into the database.
const MAX_ARGUMENTS = 32_000
const MAX_RESULT = 32_000
/** Of all results for one message. */
const MAX_RESULTS = 128_000
/** Those of tools that write are shorter: it must always be told what was done. */
const SHORT_RESULT = 2000

/** Why the model has stopped. */
export type Ending = 'stop' | 'length' | 'refused' | 'filtered' | 'rounds' | 'calls'

export type Part =
  | Words
  | { type: 'call'; id: string; tool: string; input: object }
  | { type: 'result'; id: string; tool: string; input: object; output: object }
  | { type: 'round'; usage: Usage | undefined }
  | { type: 'end'; ending: Ending }

export interface Conversation {
  ask: AskModel
  /** What the model is told first, and what was said so far. */
  messages: readonly object[]
  tools: readonly object[]
  /** Never throws. */
  run(tool: string, input: object): Promise<Outcome>
  signal: AbortSignal
}

/** @throws ModelUnavailable, or what the signal was aborted with: between two tools, and never while one runs */
export async function* rounds({
  ask,
  messages,
  tools,
  run,
  signal,
}: Conversation): AsyncGenerator<Part, void> {
  const said = [...messages]
  const ids = new Set<string>()
  const toolbox = limited(run)

  for (let round = 0; round < MAX_ROUNDS; round++) {
    const answer = yield* ask({ messages: said, tools }, signal)
    yield { type: 'round', usage: answer.usage }
    const ending = endingOf(answer)
    if (ending) return yield { type: 'end', ending }
    const calls = answer.calls.map((call) => withOwnId(call, ids))
    said.push(spoken(answer, calls))
    for (const call of calls) {
      throwIfAborted(signal)
      const { id, name: tool } = call
      const input = inputOf(call) ?? {}
      yield { type: 'call', id, tool, input }
      const output = await toolbox.use(call)
      yield { type: 'result', id, tool, input, output }
      said.push({ role: 'tool', tool_call_id: id, content: JSON.stringify(output) })
    }
    if (toolbox.isSpent()) return yield { type: 'end', ending: 'calls' }
  }
  yield { type: 'end', ending: 'rounds' }
}

/** @returns undefined if tools are to be run */
function endingOf({ isRefused, finish, calls }: Answer): Ending | undefined {
  if (finish === 'content_filter') return 'filtered'
  if (isRefused) return 'refused'
  // the arguments may have been cut, too
  if (finish === 'length') return 'length'
  return calls.length === 0 ? 'stop' : undefined
}

function withOwnId(call: Call, ids: Set<string>): Call {
  const id = ids.has(call.id) ? newCallId() : call.id
  ids.add(id)
  return { ...call, id }
}

/** @returns what the model has said, in a form that each provider takes back */
function spoken({ text, reasoning, reasoningDetails }: Answer, calls: readonly Call[]): object {
  return {
    role: 'assistant',
    content: text.toWellFormed() || null,
    ...(reasoning && { reasoning_content: reasoning.toWellFormed() }),
    ...(reasoningDetails.length > 0 && { reasoning_details: reasoningDetails }),
    tool_calls: calls.map((call) => ({
      id: call.id,
      type: 'function',
      function: {
        name: /^[\w-]{1,64}$/.test(call.name) ? call.name : 'unknown',
        arguments: JSON.stringify(inputOf(call) ?? {}),
      },
      ...(call.extra !== undefined && { extra_content: call.extra }),
    })),
  }
}

/** @returns undefined for arguments that are too long or no object; nothing at all is an empty one */
function inputOf({ arguments: text }: Call): object | undefined {
  if (text.trim() === '') return {}
  if (text.length > MAX_ARGUMENTS) return undefined
  try {
    const value: unknown = JSON.parse(text)
    // JSON within JSON
    const input: unknown = typeof value === 'string' ? JSON.parse(value) : value
    return typeof input === 'object' && input !== null && !Array.isArray(input) ? input : undefined
  } catch {
    return undefined
  }
}

/** Runs tools within the limits of a message. */
function limited(run: Conversation['run']) {
  let called = 0
  let read = 0

  async function use(call: Call): Promise<object> {
    if (called++ >= MAX_CALLS) return { error: 'These are too many tools for one message.' }
    const input = inputOf(call)
    if (!input)
      return { error: `The arguments must be a JSON object of at most ${MAX_ARGUMENTS} characters.` }
    const outcome = await run(call.name, input)
    if ('error' in outcome) return outcome
    const size = JSON.stringify(outcome.result).length
    if (size <= SHORT_RESULT) return outcome.result
    if (size > MAX_RESULT) return { error: 'This is too much at once: ask for less, with limit and cursor.' }
    read += size
    if (read > MAX_RESULTS) return { error: 'This is too much for one message: answer with what is known.' }
    return outcome.result
  }
  return { use, isSpent: () => called > MAX_CALLS }
}
