/** Streams of server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Caller } from '../auth/caller'
import { toReminder } from '../reminders/model'
import type { ToldReminder } from '../reminders/queries'
import type { TaskRow } from '../tasks/model'
import { encodePosition, type Position } from './cursor'
import type { Live } from './live'
import { toChange } from './model'

/** In bytes: if a client has this much left to read, no more changes are read for it. */
const MAX_BUFFERED = 64 * 1024

/** In seconds: how long the client of a stream that has ended may take to read the rest. */
const LAST_WAIT = 10

/** In milliseconds: a random time is added, so that clients do not all reconnect at the same moment. */
const RECONNECT_AFTER = 500
const RECONNECT_SPREAD = 2000

/** In milliseconds: the longest time that `setTimeout` can wait. */
const MAX_DELAY = 2 ** 31 - 1

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // otherwise nginx would buffer the events
  'x-accel-buffering': 'no',
}

interface Connection {
  /** Closes the connection if it is idle for this many seconds; 0: never. */
  limitIdle(seconds: number): void
  /** Called when the stream has stopped, perhaps more than once. */
  onStop(): void
}

/** Where a stream begins. */
interface Start extends Position {
  /** The id of the last reminder that was told before. */
  told: number
}

/** @returns a `Response` typed as text: Elysia trap 24 (docs/elysia.md) */
export function eventStream(live: Live, caller: Caller, begin: Start, connection: Connection): string {
  // a stream is idle most of the time; the beats find a client that has stopped reading
  connection.limitIdle(0)
  let stop = () => {}
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stop = follow(live, caller, begin, controller, connection)
      },
      cancel: () => stop(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_BUFFERED }),
  )
  return new Response(body, { headers: HEADERS }) as unknown as string
}

/** The answer to `HEAD`: Elysia trap 26 (docs/elysia.md). */
export function noStream(): string {
  return new Response(null, { headers: HEADERS }) as unknown as string
}

/** Writes until the token expires, the client stops reading, or the stream is stopped. @returns a function that stops it */
function follow(
  live: Live,
  { id: userId, issuedAt, tokenId, expiresAt }: Caller,
  { revision, begun, told }: Start,
  controller: ReadableStreamDefaultController<Uint8Array>,
  { limitIdle, onStop }: Connection,
): () => void {
  let isOver = false
  let isStalled = false
  const isReady = () => (controller.desiredSize ?? 0) > 0
  const write = (bytes: Uint8Array) => {
    if (!isOver) controller.enqueue(bytes)
  }
  const send = (changes: TaskRow[]) => {
    isStalled = false
    // as in pages of changes, tasks that were deleted before the client began are left out
    const news = changes.filter((change) => change.deleted_at === null || change.revision > begun)
    if (news.length > 0) write(encoder.encode(news.map((change) => eventOf(userId, change, begun)).join('')))
  }
  const remind = (reminders: ToldReminder[]) => write(encoder.encode(reminders.map(reminderEvent).join('')))
  /** Ends the stream at the second beat in a row for which the client has not read what was written. */
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
    // not `error`, which would wait for ever for a client that does not read
    controller.close()
    limitIdle(LAST_WAIT)
  }
  /** Sets the client's reconnection time, https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-reconnection-time */
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
  const position = { userId, issuedAt, tokenId, revision, told }
  const unlisten = live.listen({ ...position, isReady, send, remind, beat, end, reconnect })
  // the headers are sent with the first bytes
  write(BEAT)
  return stop
}

const encoder = new TextEncoder()
const BEAT = encoder.encode(':\n\n')

function eventOf(owner: string, change: TaskRow, begun: number): string {
  const id = encodePosition(owner, { revision: change.revision, begun })
  return `id: ${id}\ndata: ${JSON.stringify(toChange(change))}\n\n`
}

/** Without an `id`: the client's cursor stays at the last change. */
function reminderEvent(reminder: ToldReminder): string {
  return `event: reminder\ndata: ${JSON.stringify(toReminder(reminder))}\n\n`
}
