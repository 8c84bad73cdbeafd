/**
 * Puts the pieces of a model's answer together. It takes what providers send that differs from OpenAI: calls that all have the
 * index 0 or none, no ids, arguments as an object, a whole message in a stream, no reason to finish.
 *
 * @see https://platform.openai.com/docs/api-reference/chat-streaming
 */
import { ModelUnavailable } from './unavailable'

export interface Call {
  id: string
  index: number | undefined
  name: string
  /** JSON, as far as it has come. */
  arguments: string
  /** Gemini wants it back with the call. */
  extra: unknown
}

export interface Usage {
  input: number
  output: number
}

export interface Answer {
  text: string
  /** DeepSeek wants it back with the calls. */
  reasoning: string
  /** OpenRouter wants them back with the calls. */
  reasoningDetails: Json[]
  isRefused: boolean
  finish: string | undefined
  calls: Call[]
  usage: Usage | undefined
}

type Json = Record<string, unknown>

/** In characters. */
const MAX_TEXT = 100_000
const MAX_CALLS = 100
const MAX_NAME = 64

const WORDS_OF_DETAIL = new Set(['text', 'summary'])

export class Fold {
  readonly #answer: Answer = {
    text: '',
    reasoning: '',
    reasoningDetails: [],
    isRefused: false,
    finish: undefined,
    calls: [],
    usage: undefined,
  }
  #isDone = false
  /** Whether nothing of use can follow: a provider may leave its connection open. */
  isOver = false

  /** Takes the data of an event, or a whole answer. @returns the words in it @throws ModelUnavailable */
  take(data: string): string {
    if (/^\s*\[done\]\s*$/i.test(data)) {
      this.#isDone = this.isOver = true
      return ''
    }
    // something else that keeps the connection alive
    if (!data.trimStart().startsWith('{')) return ''
    const chunk = objectIn(data)
    if (chunk['error'] || chunk['object'] === 'error') throw new ModelUnavailable('busy')
    const usage = asObject(chunk['usage'])
    if (usage) this.#answer.usage = usageOf(usage)
    const choices = Array.isArray(chunk['choices']) ? chunk['choices'].map(asObject) : []
    const choice = choices.find((each) => each && !each['index'])
    return choice ? this.#takeChoice(choice) : ''
  }

  #takeChoice(choice: Json): string {
    const answer = this.#answer
    if (isText(choice['finish_reason'])) answer.finish = choice['finish_reason']
    const message = asObject(choice['message'])
    // a whole message needs no reason to finish
    if (message) this.#isDone = true
    const delta = asObject(choice['delta']) ?? message ?? {}
    if (isText(delta['reasoning_content'])) answer.reasoning += delta['reasoning_content']
    if (Array.isArray(delta['reasoning_details'])) delta['reasoning_details'].forEach(this.#takeDetail, this)
    if (Array.isArray(delta['tool_calls'])) for (const piece of delta['tool_calls']) this.#takeCall(piece)
    const refusal = isText(delta['refusal']) ? delta['refusal'] : ''
    if (refusal) answer.isRefused = true
    // PostgreSQL has no NUL
    const words = (textOf(delta['content']) + refusal).replaceAll('\0', '')
    return this.#takeWords(words)
  }

  #takeWords(words: string): string {
    const answer = this.#answer
    const room = MAX_TEXT - answer.text.length
    const isTooMuch = words.length > room
    // not in the middle of a character
    const kept = isTooMuch ? words.slice(0, room).replace(/[\ud800-\udbff]$/, '') : words
    answer.text += kept
    if (isTooMuch) {
      answer.finish = 'length'
      this.isOver = true
    }
    return kept
  }

  /** A thought comes in pieces, which follow one another; its signature comes with the last. */
  #takeDetail(given: unknown): void {
    const piece = asObject(given)
    if (!piece) return
    const last = this.#answer.reasoningDetails.at(-1)
    const isSame = (name: string) => last?.[name] === piece[name]
    const goesOn = last && !last['signature'] && isSame('type') && isSame('index')
    if (!goesOn || piece['type'] === 'reasoning.encrypted') this.#answer.reasoningDetails.push(piece)
    else {
      for (const [name, value] of Object.entries(piece)) {
        if (WORDS_OF_DETAIL.has(name)) last[name] = textOf(last[name]) + textOf(value)
        else if (value !== null) last[name] = value
      }
    }
  }

  #takeCall(given: unknown): void {
    const piece = asObject(given) ?? {}
    const made = asObject(piece['function']) ?? {}
    const id = wordIn(piece['id'])
    const index = typeof piece['index'] === 'number' ? piece['index'] : undefined
    const name = wordIn(made['name'])
    const text = argumentsOf(made['arguments'])
    const call = this.#find(id, index, name, text) ?? this.#add(id, index)
    call.name ||= name.slice(0, MAX_NAME)
    call.arguments += text
    call.extra ??= piece['extra_content']
  }

  #add(id: string, index: number | undefined): Call {
    const { calls } = this.#answer
    const isTaken = id === '' || calls.some((call) => call.id === id)
    const call = { id: isTaken ? newCallId() : id, index, name: '', arguments: '', extra: undefined }
    // so many are never run
    if (calls.length < MAX_CALLS) calls.push(call)
    return call
  }

  /** @returns the call that the piece goes on with; undefined: it begins another one */
  #find(id: string, index: number | undefined, name: string, text: string): Call | undefined {
    const { calls } = this.#answer
    const atIndex = calls.findLast((call) => index === undefined || call.index === index)
    const known = id ? calls.findLast((call) => call.id === id) : atIndex
    // older versions of vLLM give each piece another id
    const last = known ?? (name === '' && index !== undefined ? atIndex : undefined)
    if (!last || name === '' || last.name === '') return last
    const hasOtherIndex = index !== undefined && last.index !== undefined && index !== last.index
    // what is complete does not go on
    const beginsAnew = text.trimStart().startsWith('{') && isJson(last.arguments)
    return name !== last.name || hasOtherIndex || beginsAnew ? undefined : last
  }

  /** Whether the model has said why it has finished: what breaks off afterwards does no harm. */
  get isFinished(): boolean {
    return this.#answer.finish !== undefined || this.#isDone
  }

  /** @returns the whole answer @throws ModelUnavailable if it has broken off: half a call must not run */
  end(): Answer {
    const { finish, calls, text } = this.#answer
    const named = calls.filter(({ name }) => name !== '')
    const isNameless = calls.length > 0 && named.length === 0 && text === ''
    if (!this.isFinished || finish === 'error' || isNameless) throw new ModelUnavailable('broken')
    return { ...this.#answer, calls: named }
  }
}

/** Some providers count from `call_0` again in each round. */
export function newCallId(): string {
  return `call_${crypto.randomUUID()}`
}

function objectIn(data: string): Json {
  try {
    const chunk = asObject(JSON.parse(data))
    if (chunk) return chunk
  } catch {
    // it says nothing of use
  }
  throw new ModelUnavailable('broken')
}

function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function wordIn(value: unknown): string {
  return typeof value === 'string' ? value.trim() : ''
}

function argumentsOf(given: unknown): string {
  if (typeof given === 'string') return given
  return asObject(given) ? JSON.stringify(given) : ''
}

/** Mistral sends an array of parts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map(asObject)
    .map((part) => (part?.['type'] === 'text' && isText(part['text']) ? part['text'] : ''))
    .join('')
}

function usageOf(usage: Json): Usage {
  return { input: Number(usage['prompt_tokens']) || 0, output: Number(usage['completion_tokens']) || 0 }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
