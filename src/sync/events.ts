/** A stream of server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Caller } from '../auth/caller'
import type { TaskRow } from '../tasks/model'
import { encodePosition, type Position } from './cursor'
import type { Live } from './live'
import { toChange } from './model'

/** In bytes. Until a reader has taken what lies above this, nothing more is read for it. */
const MAX_BUFFERED = 64 * 1024

/** In seconds: for how long a stream that has ended waits for its reader. Connecting anew, it goes on where it was. */
const LAST_WAIT = 10

/** In milliseconds. */
const RECONNECT_AFTER = 500
const RECONNECT_SPREAD = 2000

/** In milliseconds; for how long `setTimeout` can wait. */
const MAX_DELAY = 2 ** 31 - 1

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // nginx would collect them
  'x-accel-buffering': 'no',
}

interface Connection {
  /** Closes the connection once nothing has been taken for that many seconds; 0: never. */
  limitIdle(seconds: number): void
  /** The stream is no more; may be told more than once. */
  onStop(): void
}

/** @returns the answer, typed as its text; Elysia passes it on as it is */
export function eventStream(
  live: Live,
  caller: Caller,
  position: Position,
  { limitIdle, onStop }: Connection,
): string {
  // a stream is idle most of the time; who takes nothing is found by the beats
  limitIdle(0)
  let stop = () => {}
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stop = follow(live, caller, position, controller, { onEnd: () => limitIdle(LAST_WAIT), onStop })
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

/** Writes until the token expires, the reader takes nothing, or the stream is stopped. @returns what stops it */
function follow(
  live: Live,
  { id: userId, issuedAt, expiresAt }: Caller,
  { revision, begun }: Position,
  controller: ReadableStreamDefaultController<Uint8Array>,
  { onEnd, onStop }: { onEnd(): void; onStop(): void },
): () => void {
  let isOver = false
  let isStalled = false
  const isReady = () => (controller.desiredSize ?? 0) > 0
  const write = (bytes: Uint8Array) => {
    if (!isOver) controller.enqueue(bytes)
  }
  const send = (changes: TaskRow[]) => {
    isStalled = false
    // as with pages of changes: what had ended when the client began, it never knew
    const news = changes.filter((change) => change.deleted_at === null || change.revision > begun)
    if (news.length > 0) write(encoder.encode(news.map((change) => eventOf(userId, change, begun)).join('')))
  }
  /** Who is not ready at two of these in a row, and took nothing in between, is dropped. */
  const beat = () => {
    if (isReady()) {
      isStalled = false
      write(BEAT)
    } else if (isStalled) end()
    else isStalled = true
  }
  const end = () => {
    if (isOver) return
    stop()
    // not `error`, which would wait without end for a reader who takes nothing
    controller.close()
    onEnd()
  }
  /** Not all at the same moment, https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-reconnection-time */
  const reconnect = () => {
    write(encoder.encode(`retry: ${RECONNECT_AFTER + Math.floor(Math.random() * RECONNECT_SPREAD)}\n\n`))
    end()
  }
  const stop = () => {
    isOver = true
    clearTimeout(timer)
    unlisten()
    onStop()
  }
  const timer = setTimeout(end, Math.min(expiresAt * 1000 - Date.now(), MAX_DELAY))
  const unlisten = live.listen({ userId, issuedAt, revision, isReady, send, beat, end, reconnect })
  // the answer's headers leave with its first bytes
  write(BEAT)
  return stop
}

const encoder = new TextEncoder()
const BEAT = encoder.encode(':\n\n')

function eventOf(owner: string, change: TaskRow, begun: number): string {
  const id = encodePosition(owner, { revision: change.revision, begun })
  return `id: ${id}\ndata: ${JSON.stringify(toChange(change))}\n\n`
}
