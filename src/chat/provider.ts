/**
 * Asks a model: Chat Completions, which all providers have, with `fetch`. Not a provider's library: each that was tried fails
 * answers that some providers give (docs/decisions.md, D126).
 */
import { createParser } from 'eventsource-parser'
import pLimit from 'p-limit'
import type { AssistantSettings } from '../settings'
import { type Answer, Fold } from './fold'
import { abortOf, inTime, ModelUnavailable } from './unavailable'

export interface Question {
  messages: readonly object[]
  tools: readonly object[]
}

export interface Words {
  type: 'text'
  words: string
}

/** Yields the words of the answer as they come. @throws ModelUnavailable, or what the signal was aborted with */
export type AskModel = (question: Question, signal: AbortSignal) => AsyncGenerator<Words, Answer>

/** Bun has 256 requests under way in a process; the keys of issuers and traces need some. */
const MAX_AT_ONCE = 200

/** In milliseconds: how long the end is waited for once the model has finished; how many tokens were used comes after that. */
const WAIT_FOR_END = 1000

/** In bytes, as they are sent: a word takes about 300. */
const MAX_ANSWER = 8 * 1024 * 1024

export function createAskModel(settings: AssistantSettings): AskModel {
  const send = createSend(settings)
  const limit = pLimit(MAX_AT_ONCE)
  const enter = () =>
    new Promise<() => void>((entered) => {
      void limit(() => new Promise<void>((leave) => entered(leave)))
    })
  return async function* ask(question, signal) {
    // ends the request, too, if the reader leaves
    const left = new AbortController()
    const either = AbortSignal.any([signal, left.signal])
    const leave = await inTime(enter(), signal)
    const fold = new Fold()
    let ending: Timer | undefined
    try {
      const response = await send(question, either)
      for await (const data of eventsOf(response)) {
        const words = fold.take(data)
        if (words) yield { type: 'text', words }
        if (fold.isOver) break
        if (fold.isFinished) ending ??= setTimeout(() => left.abort(), WAIT_FOR_END)
      }
      return fold.end()
    } catch (error) {
      if (fold.isFinished) return fold.end()
      if (error instanceof ModelUnavailable) throw error
      throw abortOf(signal) ?? new ModelUnavailable('broken')
    } finally {
      clearTimeout(ending)
      left.abort()
      leave()
    }
  }
}

function createSend({ baseUrl, apiKey, model }: AssistantSettings) {
  const url = new URL(baseUrl)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream, application/json',
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
  }
  /** Mistral and older servers refuse to be asked how many tokens were used. */
  let countsTokens: boolean | undefined

  async function post(question: Question, signal: AbortSignal, withUsage: boolean): Promise<Response> {
    const options = withUsage ? { stream_options: { include_usage: true } } : {}
    const response = await fetch(url, {
      method: 'POST',
      headers,
      signal,
      body: JSON.stringify({ model, ...question, stream: true, ...options }),
      // the question must not be sent to another host
      redirect: 'manual',
      // a proxy of the environment is another host, too
      proxy: false,
    }).catch(() => {
      throw abortOf(signal) ?? new ModelUnavailable('unreachable')
    })
    if (!response.ok) await response.body?.cancel()
    return response
  }

  return async (question: Question, signal: AbortSignal): Promise<Response> => {
    let response = await post(question, signal, countsTokens !== false)
    if (response.ok) countsTokens ??= true
    const mayBeTheOptions = response.status === 400 || response.status === 422
    if (mayBeTheOptions && countsTokens === undefined) {
      response = await post(question, signal, false)
      if (response.ok) countsTokens = false
    }
    if (response.ok) return response
    const { status } = response
    const isBusy = status === 408 || status === 429 || status >= 500
    throw new ModelUnavailable(
      isBusy ? 'busy' : 'refused',
      status,
      secondsUntil(response.headers.get('retry-after')),
    )
  }
}

/** RFC 9110 section 10.2.3. @returns from a second to an hour */
function secondsUntil(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined
  const isNumber = /^\d+$/.test(retryAfter.trim())
  const seconds = isNumber ? Number(retryAfter) : Math.ceil((Date.parse(retryAfter) - Date.now()) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 1), 3600)
}

/** @returns the data of each event; of a provider that does not stream, the whole answer */
async function* eventsOf({ body }: Response): AsyncGenerator<string> {
  // told by its first character: some providers name the type of the other
  let isWhole: boolean | undefined
  const decoder = new TextDecoder()
  let events: string[] = []
  let whole = ''
  let size = 0
  const parser = createParser({
    onEvent: ({ event, data }) => events.push(event === 'error' ? '{"error":true}' : data),
  })
  for await (const chunk of body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER) throw new ModelUnavailable('too_large')
    const text = decoder.decode(chunk, { stream: true })
    if (text.trim() !== '') isWhole ??= text.trimStart().startsWith('{')
    if (isWhole) whole += text
    else parser.feed(text)
    yield* events
    events = []
  }
  // the last event may lack its empty line
  if (isWhole) yield whole
  else parser.feed('\n\n')
  yield* events
}
