/** Clients that never rest, and what became of each of their requests. */
import { type HttpConnection, Idle, Lost, openConnection } from './http-connection'

export interface Load {
  /** Titles whose creation was answered with 201. */
  acknowledged: Set<string>
  /**
   * How many requests ended how: by status; `refused`, nobody listened; `idle`, a kept connection had ended before;
   * `unheard`, the system took the connection and nobody ever answered on it; `lost`, one that had been answered before.
   */
  outcomes: Map<string, number>
  /** Titles whose creation was not heard, or was lost. */
  unanswered: Set<string>
  /** In milliseconds: the longest that one has taken. */
  slowest(): number
  /** Waits for so many more that are answered well. */
  succeed(count: number): Promise<void>
  /** Lets each end what it has begun. */
  stop(): Promise<void>
}

interface LoadOptions {
  /** Each a user of its own; every second one reads between its writes. */
  clients: number
  /** Whether each request comes on a new connection. */
  reconnect?: boolean
  /** Milliseconds between an answer and the next request. */
  pause?: number
  /** Whether a client goes for good once it is told that its connection ends, as to another replica. */
  heeds?: boolean
}

export function startLoad(port: number, { clients, reconnect, pause = 0, heeds }: LoadOptions): Load {
  const acknowledged = new Set<string>()
  const unanswered = new Set<string>()
  const outcomes = new Map<string, number>()
  const run = crypto.randomUUID().slice(0, 8)
  let isOver = false
  let slowest = 0
  let succeeded = 0
  let notice = () => {}

  async function client(n: number): Promise<void> {
    let connection: HttpConnection | undefined
    let isTold = false
    for (let step = 0; !isOver && !(heeds && isTold); step++) {
      if (reconnect) connection?.destroy()
      if (!connection?.isOpen()) connection = await openConnection(port).catch(() => undefined)
      const begun = performance.now()
      const outcome = connection ? await ask(connection, `${run}-${n}`, step) : 'refused'
      slowest = Math.max(slowest, performance.now() - begun)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      if (outcome.startsWith('2')) succeeded++
      notice()
      isTold = connection?.isOpen() === false
      if (pause > 0 || outcome === 'refused') await Bun.sleep(Math.max(pause, 5))
    }
    connection?.destroy()
  }
  async function ask(connection: HttpConnection, as: string, step: number): Promise<string> {
    const title = `${as}-${step}`
    const isRead = step % 2 === 1
    const isNew = connection.received() === ''
    try {
      const answer = isRead
        ? await connection.request('GET', '/api/v1/todos?limit=5', { as })
        : await connection.request('POST', '/api/v1/todos', { as, body: { title } })
      if (answer.status === 201) acknowledged.add(title)
      // as HTTP has it: a client that is told so sends nothing more there
      if (answer.headers.get('connection')?.toLowerCase() === 'close') connection.destroy()
      return String(answer.status)
    } catch (error) {
      if (error instanceof Idle) return 'idle'
      if (!(error instanceof Lost)) throw error
      if (!isRead) unanswered.add(title)
      return isNew && connection.received() === '' ? 'unheard' : 'lost'
    }
  }
  const all = Array.from({ length: clients }, (_, n) => client(n))
  return {
    acknowledged,
    unanswered,
    outcomes,
    slowest: () => slowest,
    async succeed(count) {
      const goal = succeeded + count
      while (succeeded < goal) {
        await new Promise<void>((done) => {
          notice = done
        })
      }
    },
    async stop() {
      isOver = true
      await Promise.all(all)
    },
  }
}
