/** A stream of server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Caller } from '../auth/verify'
import { encodePosition, type Position } from './cursor'
import type { Live } from './live'
import { toChange } from './model'
import type { ChangedTask } from './queries'

/** In bytes. A reader who is this far behind is dropped: connecting anew, it goes on where it was. */
const MAX_BUFFERED = 1024 * 1024

/** In milliseconds; for how long `setTimeout` can wait. */
const MAX_DELAY = 2 ** 31 - 1

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // nginx would collect them
  'x-accel-buffering': 'no',
}

/** @returns the answer, typed as its text; Elysia passes it on as it is */
export function eventStream(live: Live, caller: Caller, position: Position): string {
  let stop = () => {}
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stop = follow(live, caller, position, controller)
      },
      cancel: () => stop(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_BUFFERED }),
  )
  return new Response(body, { headers: HEADERS }) as unknown as string
}

/** The answer to `HEAD`. */
export function noStream(): string {
  return new Response(null, { headers: HEADERS }) as unknown as string
}

/** Writes until the token expires, the reader is too slow, or the stream is stopped. @returns what stops it */
function follow(
  live: Live,
  { id: userId, issuedAt, expiresAt }: Caller,
  { revision, begun }: Position,
  controller: ReadableStreamDefaultController<Uint8Array>,
): () => void {
  let isOver = false
  const write = (text: string) => {
    if (isOver) return
    controller.enqueue(encoder.encode(text))
    if ((controller.desiredSize ?? 0) > 0) return
    stop()
    controller.error(new Error('the reader is too slow'))
  }
  const end = () => {
    if (isOver) return
    stop()
    controller.close()
  }
  const stop = () => {
    isOver = true
    clearTimeout(timer)
    unlisten()
  }
  const timer = setTimeout(end, Math.min(expiresAt * 1000 - Date.now(), MAX_DELAY))
  const unlisten = live.listen({
    userId,
    issuedAt,
    revision,
    send: (changes) => write(changes.map((change) => eventOf(userId, change, begun)).join('')),
    beat: () => write(BEAT),
    end,
  })
  // the answer's headers leave with its first bytes
  write(BEAT)
  return stop
}

const BEAT = ':\n\n'
const encoder = new TextEncoder()

function eventOf(owner: string, change: ChangedTask, begun: number): string {
  const id = encodePosition(owner, { revision: change.revision, begun })
  return `id: ${id}\ndata: ${JSON.stringify(toChange(change))}\n\n`
}
