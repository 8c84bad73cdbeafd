/** Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html. */
import { createParser, type EventSourceMessage } from 'eventsource-parser'

/**
 * @param heard is called at every sign of life
 * @returns the events, those together that came together; breaking off ends the stream
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  heard?: () => void,
): AsyncGenerator<EventSourceMessage[], void, undefined> {
  let events: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => events.push(event) })
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      heard?.()
      parser.feed(decoder.decode(next.value, { stream: true }))
      if (events.length > 0) yield events
      events = []
    }
  } finally {
    // one that has failed cannot be cancelled
    reader.cancel().catch(() => {})
  }
}
