/** Ports for what has to come back where it was. */
import { createServer } from 'node:net'

/** Below the ports that systems give to outgoing connections, one of which could otherwise take it meanwhile. */
const FIRST = 10_000
const LAST = 30_000

/**
 * @param count how many ports are needed, one after the other
 * @returns the first; nothing uses them at the moment, and no program that asks for any port is given one of them
 */
export async function quietPort(count = 1): Promise<number> {
  const first = FIRST + Math.floor(Math.random() * (LAST - FIRST))
  const areFree = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)))
  return areFree.includes(false) ? quietPort(count) : first
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer().once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}
