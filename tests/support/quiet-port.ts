/** Ports for what has to come back where it was. */
import { createServer } from 'node:net'

/** Below the ports that systems give to outgoing connections, one of which could otherwise take it meanwhile. */
const FIRST = 10_000
const LAST = 30_000

/** @returns a port of 127.0.0.1 that nobody uses at the moment, and that nobody is given who asks for any port */
export async function quietPort(): Promise<number> {
  const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
  return (await isFree(port)) ? port : quietPort()
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer().once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}
