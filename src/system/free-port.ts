import { createServer } from 'node:net'

/**
 * Below the ports that systems give to outgoing connections and to listeners on port 0, one of which could otherwise
 * take it before it is used.
 */
const FIRST = 10_000
const LAST = 30_000

/**
 * @param count how many ports are needed, one after the other
 * @returns the first of them; they are free on 127.0.0.1 at the moment
 */
export async function freePort(count = 1): Promise<number> {
  const first = FIRST + Math.floor(Math.random() * (LAST - FIRST))
  const areFree = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)))
  return areFree.includes(false) ? freePort(count) : first
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer().once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}
