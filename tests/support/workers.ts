/** The service with several processes, and which of them does what. */
import { readFileSync } from 'node:fs'
import { type HttpConnection, openConnection } from './http-connection'
import type { ServerProcess } from './server-process'

/** The pid of each worker, by its number. */
export function workersOf({ child }: Pick<ServerProcess, 'child'>): Map<number, number> {
  const children = read(`/proc/${child.pid}/task/${child.pid}/children`).trim().split(' ')
  return new Map(
    children.flatMap((pid): [number, number][] => {
      const [, number] = /\0worker\0(\d+)\0\d+\0$/.exec(read(`/proc/${pid}/cmdline`)) ?? []
      return number === undefined ? [] : [[Number(number), Number(pid)]]
    }),
  )
}

/** A variable of a process's environment. */
export function variableOf(pid: number, name: string): string | undefined {
  const line = read(`/proc/${pid}/environ`)
    .split('\0')
    .find((each) => each.startsWith(`${name}=`))
  return line?.slice(name.length + 1)
}

export function isAlive(pid: number): boolean {
  // one that was killed, and that nobody has waited for yet, has no command line any more
  return read(`/proc/${pid}/cmdline`) !== ''
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** Which worker answers on this connection. */
export async function workerAt(server: ServerProcess, connection: HttpConnection): Promise<number> {
  const id = crypto.randomUUID()
  await connection.request('GET', '/health', { headers: { 'x-request-id': id } })
  for (;;) {
    const line = server.log.find(({ request_id }) => request_id === id)
    if (line) return Number(line['worker'])
    await Bun.sleep(1)
  }
}

/** A connection to each of so many workers: the system chooses which one takes a connection, so there are tries. */
export async function connectionToEach(
  server: ServerProcess,
  count: number,
): Promise<Map<number, HttpConnection>> {
  const found = new Map<number, HttpConnection>()
  while (found.size < count) {
    const connection = await openConnection(server.port)
    const worker = await workerAt(server, connection)
    if (found.has(worker)) connection.destroy()
    else found.set(worker, connection)
  }
  return found
}
