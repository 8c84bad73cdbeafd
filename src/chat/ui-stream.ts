/**
 * The AI SDK's UI message stream, which `useChat` reads: server-sent events, each a part of a message.
 *
 * @see https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol#data-stream-protocol
 */
import type { Ending, Part } from './rounds'

/** In the words of the AI SDK. */
const FINISH: Record<Ending, string> = {
  stop: 'stop',
  length: 'length',
  refused: 'content-filter',
  filtered: 'content-filter',
  rounds: 'other',
  calls: 'other',
}

/** A part, with words that are added to those of the model. */
export interface StreamedPart {
  part: Part
  note: string
}

const FAILED = 'The assistant cannot answer at the moment'

/** @param told ends with a part `end`, or throws; what it throws is not told */
export async function* uiParts(
  told: AsyncIterable<StreamedPart>,
  conversationId: number,
): AsyncGenerator<object> {
  yield { type: 'start', messageMetadata: { conversation_id: conversationId } }
  yield { type: 'start-step' }
  const text = textParts()
  let isAfterTools = false
  let hasEnded = false
  try {
    for await (const { part, note } of told) {
      const words = part.type === 'text' ? part.words : note
      if (words && isAfterTools) yield* [{ type: 'finish-step' }, { type: 'start-step' }]
      if (words) isAfterTools = false
      yield* text.write(words)
      if (part.type === 'call') {
        yield* text.close()
        yield { type: 'tool-input-available', toolCallId: part.id, toolName: part.tool, input: part.input }
      }
      if (part.type === 'result') {
        yield { type: 'tool-output-available', toolCallId: part.id, output: part.output }
        isAfterTools = true
      }
      if (part.type === 'end') {
        yield* text.close()
        yield* [{ type: 'finish-step' }, { type: 'finish', finishReason: FINISH[part.ending] }]
        hasEnded = true
      }
    }
  } catch {
    // it has been logged
  }
  if (!hasEnded) yield* [...text.close(), { type: 'error', errorText: FAILED }]
}

/** Words between two tools are one text. */
function textParts() {
  let count = 0
  let isOpen = false
  return {
    write(delta: string): object[] {
      if (delta === '') return []
      const start = isOpen ? [] : [{ type: 'text-start', id: `text-${++count}` }]
      isOpen = true
      return [...start, { type: 'text-delta', id: `text-${count}`, delta }]
    },
    close(): object[] {
      const end = isOpen ? [{ type: 'text-end', id: `text-${count}` }] : []
      isOpen = false
      return end
    },
  }
}

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-vercel-ai-ui-message-stream': 'v1',
  // otherwise nginx would buffer the events
  'x-accel-buffering': 'no',
}

/** In milliseconds: proxies close connections that are silent for longer. */
const BEAT_INTERVAL = 5000

/**
 * Takes the parts as they come, however slowly the client reads, so that the answer is stored in time. An answer is limited, and
 * so is what waits here.
 *
 * @param onLeave called if the client leaves before the end
 */
export function uiStream(parts: AsyncIterable<object>, onLeave: () => void): Response {
  const encoder = new TextEncoder()
  let hasLeft = false
  let beats: Timer
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (text: string) => {
        if (!hasLeft) controller.enqueue(encoder.encode(text))
      }
      beats = setInterval(() => send(':\n\n'), BEAT_INTERVAL)
      const sendAll = async () => {
        for await (const part of parts) send(`data: ${JSON.stringify(part)}\n\n`)
        send('data: [DONE]\n\n')
        if (!hasLeft) controller.close()
      }
      sendAll()
        .catch((error) => hasLeft || controller.error(error))
        .finally(() => clearInterval(beats))
    },
    cancel() {
      hasLeft = true
      clearInterval(beats)
      onLeave()
    },
  })
  return new Response(body, { headers: HEADERS })
}
