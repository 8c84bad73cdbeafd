/** How much is under way in this process, and whether it is about to stop. */
import type { Server } from 'bun'

export interface ServerState {
  /** Set once the app listens; null if the app is only called within the process, and has no connections. */
  server: Server<unknown> | null
  /** Set once a stop has begun. */
  isStopping: boolean
  /** On the clock of `performance.now()`, in milliseconds. */
  lastRequestAt: number
  /** Whether there are more requests under way than there may be; streams are requests that last. */
  isFull(): boolean
  /** Closes the request's connection once nothing has been sent over it for that many seconds; 0: never. */
  limitIdle(request: Request, seconds: number): void
  /**
   * Has a stop wait for what must be stored, also after its connection was cut.
   *
   * @param hurry called before connections are cut, so that there is an answer
   */
  awaitAtStop(work: Promise<void>, hurry: () => void): void
  /** Hurries what a stop waits for. */
  hurry(): void
  /** Resolves once that is done. */
  settled(): Promise<unknown>
}

/** @param maxConnections how many requests and streams may be under way */
export function createServerState(maxConnections: number): ServerState {
  const awaited = new Map<Promise<void>, () => void>()
  const serverState: ServerState = {
    server: null,
    isStopping: false,
    lastRequestAt: Number.NEGATIVE_INFINITY,
    isFull: () => serverState.server !== null && serverState.server.pendingRequests > maxConnections,
    // without a server there is no connection; the start of a service makes sure that there is one
    limitIdle: (request, seconds) => serverState.server?.timeout(request, seconds),
    awaitAtStop(work, hurry) {
      awaited.set(work, hurry)
      void work.finally(() => awaited.delete(work))
    },
    hurry() {
      for (const hurry of awaited.values()) hurry()
    },
    settled: () => Promise.all(awaited.keys()),
  }
  return serverState
}
