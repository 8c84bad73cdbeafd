/** How much is under way in this process, and whether it is about to stop. */
import type { Server } from 'bun'

export interface Traffic {
  /** Set once a stop has begun. */
  isStopping: boolean
  /** On the clock of `performance.now()`, in milliseconds. */
  lastRequestAt: number
  /** Whether there are more requests under way than there may be; streams are requests that last. */
  isFull(server: Server<unknown> | null): boolean
}

/** What an answer says while a stop is under way: who keeps connections makes another one, elsewhere if there is one. */
export const LAST_ANSWER = { connection: 'close' }

/** @param maxConnections how many requests and streams may be under way */
export function createTraffic(maxConnections: number): Traffic {
  return {
    isStopping: false,
    lastRequestAt: Number.NEGATIVE_INFINITY,
    isFull: (server) => server !== null && server.pendingRequests > maxConnections,
  }
}
