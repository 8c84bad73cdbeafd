/** A provider of a model over HTTP, which answers Chat Completions as a test has told it to. */
import { afterAll } from 'bun:test'

/** A request for an answer. */
export interface Asked {
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any body
  body: any
  /** Resolves if the client leaves before the end of the answer. */
  left: Promise<void>
}

export type Scripted = (asked: Asked) => Response | Promise<Response>

export interface ScriptedModel {
  /** For `AI_BASE_URL`. */
  url: string
  /** The settings of a service that asks it. */
  env: Record<string, string>
  /** The requests since the last `script`. */
  requests: Asked[]
  /** Sets what is answered next, one after the other. */
  script(...answers: Scripted[]): void
  /** Waits for a request since the last `script`. @param count which one; 1 is the first */
  asked(count: number): Promise<Asked>
}

export const KEY = 'sk-0123456789abcdef'

/** Starts it, and stops it after the file's tests. @param usual what is answered to those who ask more often */
export function startScriptedModel(usual: Scripted = refuses(500)): ScriptedModel {
  const requests: Asked[] = []
  const waiting = new Set<() => void>()
  let answers: Scripted[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const left = new Promise<void>((done) => request.signal.addEventListener('abort', () => done()))
      const asked = { headers: request.headers, body: await request.json(), left }
      requests.push(asked)
      for (const each of waiting) each()
      const answer = answers.shift() ?? usual
      return new URL(request.url).pathname === '/v1/chat/completions' ? answer(asked) : refuses(404)(asked)
    },
  })
  afterAll(() => server.stop(true))
  const url = `http://127.0.0.1:${server.port}/v1`
  return {
    url,
    env: {
      AI_BASE_URL: url,
      AI_MODEL: 'scripted',
      AI_API_KEY: KEY,
      CHAT_RATE_LIMIT_PER_MINUTE: '1000000',
    },
    requests,
    script(...next) {
      answers = next
      requests.length = 0
    },
    async asked(count) {
      for (;;) {
        const found = requests[count - 1]
        if (found) return found
        await new Promise<void>((done) => waiting.add(done))
      }
    },
  }
}

/** A part of a stream; a promise is waited for before the rest is sent. */
export type Piece = string | Uint8Array | Promise<unknown>

export interface StreamOptions {
  /** How the stream ends, after its pieces. */
  end?: 'close' | 'cut' | 'hang'
  type?: string
}

/** Sends the pieces as they are. */
export function streams(pieces: readonly Piece[], { end = 'close', type }: StreamOptions = {}): Scripted {
  return () => {
    const left = [...pieces]
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        while (left[0] instanceof Promise) await left.shift()
        const piece = left.shift()
        if (piece instanceof Uint8Array) controller.enqueue(piece)
        else if (typeof piece === 'string') controller.enqueue(new TextEncoder().encode(piece))
        else if (end === 'close') controller.close()
        // without a reason Bun does not tell of it
        else if (end === 'cut') controller.error()
        else await forever
      },
    })
    return new Response(body, { headers: { 'content-type': type ?? 'text/event-stream' } })
  }
}

const forever = new Promise<never>(() => {})

/** An event with a piece of an answer. */
export function chunk(delta: object, finish_reason: string | null = null, more: object = {}): string {
  return event({ object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason, ...more }] })
}

export function event(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

export const DONE = 'data: [DONE]\n\n'

/** A provider that does not stream, or answers an error. */
export function json(body: unknown, init: ResponseInit = {}): Scripted {
  return () => Response.json(body, init)
}

/** A whole answer, as OpenAI streams it: words, each in an event. */
export function says(text: string, { finish = 'stop', usage }: { finish?: string; usage?: object } = {}) {
  const words = text.match(/\S+\s*/g) ?? []
  return streams([
    chunk({ role: 'assistant', content: '' }),
    ...words.map((content) => chunk({ content })),
    chunk({}, finish),
    ...(usage ? [event({ choices: [], usage })] : []),
    DONE,
  ])
}

/** A call of a tool. */
export type ToolUse = [tool: string, input: object]

/** An answer that asks for tools, as OpenAI streams it. @param text what is said before */
export function uses(calls: readonly ToolUse[], text = ''): Scripted {
  return streams([
    ...(text ? [chunk({ content: text })] : []),
    ...calls.flatMap(([name, input], index) => [
      chunk({ tool_calls: [{ index, id: newId(), type: 'function', function: { name, arguments: '' } }] }),
      chunk({ tool_calls: [{ index, function: { arguments: JSON.stringify(input) } }] }),
    ]),
    chunk({}, 'tool_calls'),
    DONE,
  ])
}

let ids = 0
const newId = () => `call_of_model_${++ids}`

/** An error. What it says must not be shown to anybody: it repeats the key. */
export function refuses(status: number, headers: Record<string, string> = {}): Scripted {
  return json({ error: { message: `Incorrect API key provided: ${KEY}`, code: status } }, { status, headers })
}

/** Takes the question and does not answer. */
export const hangs: Scripted = () => forever

/** Answers once it is let go. */
export function held(answer: Scripted): { answer: Scripted; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { answer: async (asked) => promise.then(() => answer(asked)), release: resolve }
}
