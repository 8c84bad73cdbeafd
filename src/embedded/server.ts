/** The embedded PostgreSQL, which runs if `DATABASE_URL` is not set: a real server, from npm, in a folder. */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { codeOf } from '../system/errors'
import { freePort } from '../system/free-port'
import { type Binaries, createLauncher, findBinaries, type Launcher } from './account'
import {
  createCluster,
  endLeftover,
  exists,
  POLL_INTERVAL,
  readPassword,
  readPidFile,
  STOP_DEADLINE,
  spawnLogged,
  startFailure,
} from './cluster'
import { lockFolder } from './lock'

interface EmbeddedDatabase {
  url: string
  /** Ends the server; all that was committed is on disk. */
  stop(): Promise<void>
}

/**
 * Starts PostgreSQL in `<dataDir>/postgres`, on a free port of 127.0.0.1, and waits until it answers. The first start
 * makes the folder. A server that a killed process left behind is ended first; PostgreSQL then recovers by itself. If
 * the server ends without having been stopped, it is started again on the same port.
 *
 * @param onLoss called when it has ended so
 * @throws FolderInUse if another process has the folder
 */
export async function startEmbedded(dataDir: string, onLoss?: () => void): Promise<EmbeddedDatabase> {
  // before anything is written: without the server's programs there may be no folder to write to either
  const binaries = await findBinaries()
  const folder = resolve(dataDir)
  try {
    await mkdir(folder, { recursive: true })
  } catch (cause) {
    throw new Error(`DATA_DIR: the folder cannot be made or used (${codeOf(cause)})`)
  }
  const unlock = lockFolder(folder)
  try {
    const cluster = join(folder, 'postgres')
    const launcher = await createLauncher(binaries, cluster)
    const isLeftover = existsSync(join(cluster, 'postmaster.pid'))
    if (existsSync(cluster)) await endLeftover(cluster)
    else await createCluster(folder, cluster, launcher, binaries.initdb)
    const port = await freePort()
    const start = () => startServer({ folder, cluster, launcher, binaries, port })
    const first = await (isLeftover ? startAfterLeftover(start) : start())
    const end = keepRunning(first, start, onLoss)
    const stop = async () => {
      await end()
      unlock()
    }
    return { url: urlOf(folder, port), stop }
  } catch (error) {
    unlock()
    throw error
  }
}

/** @returns the URL of the server that another process runs in this folder, or undefined if none runs */
export function runningUrl(dataDir: string): string | undefined {
  const folder = resolve(dataDir)
  const { pid, port, isReady } = readPidFile(join(folder, 'postgres'))
  // a server that was killed has left its file
  return isReady && exists(pid) ? urlOf(folder, port) : undefined
}

function urlOf(folder: string, port: number): string {
  return `postgres://postgres:${readPassword(folder)}@127.0.0.1:${port}/postgres?sslmode=disable`
}

interface ServerOptions {
  folder: string
  cluster: string
  launcher: Launcher
  binaries: Binaries
  port: number
}

/** In milliseconds; recovery after a crash may take a while. */
const START_DEADLINE = 60_000

async function startServer({
  folder,
  cluster,
  launcher,
  binaries,
  port,
}: ServerOptions): Promise<Bun.Subprocess> {
  const options = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    // an error's detail holds the values of the row: titles, e-mail addresses
    'log_error_verbosity=terse',
  ]
  const command = [binaries.postgres, '-D', cluster, ...options.flatMap((option) => ['-c', option])]
  const server = spawnLogged(folder, launcher, command)
  // for an unplanned end of this process, such as an uncaught exception; PostgreSQL recovers at the next start
  const endAtOnce = quit.bind(null, server)
  process.on('exit', endAtOnce)
  void server.exited.then(() => process.off('exit', endAtOnce))
  const deadline = Date.now() + START_DEADLINE
  while (!isReady(cluster, server.pid)) {
    if (server.exitCode !== null) throw startFailure(folder, `it ended with ${server.exitCode}`)
    if (Date.now() > deadline) {
      endAtOnce()
      throw startFailure(folder, 'it was not ready in time')
    }
    await Bun.sleep(POLL_INTERVAL)
  }
  return server
}

function isReady(cluster: string, pid: number): boolean {
  const file = readPidFile(cluster)
  return file.pid === pid && file.isReady
}

/** In milliseconds; no server starts while child processes of a killed one still run, and they take a moment to end. */
const RESTART_INTERVAL = 500

/** @throws the error of the last try, after ten seconds */
async function startAfterLeftover(start: () => Promise<Bun.Subprocess>): Promise<Bun.Subprocess> {
  const deadline = Date.now() + STOP_DEADLINE
  for (;;) {
    try {
      return await start()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await Bun.sleep(RESTART_INTERVAL)
    }
  }
}

/** @returns a function that ends the server for good */
function keepRunning(
  first: Bun.Subprocess,
  start: () => Promise<Bun.Subprocess>,
  onLoss: (() => void) | undefined,
): () => Promise<void> {
  let isStopping = false
  let server = first
  async function watch(): Promise<void> {
    for (;;) {
      await server.exited
      if (isStopping) return
      onLoss?.()
      await restart()
      if (isStopping) return
    }
  }
  async function restart(): Promise<void> {
    const lost = server
    while (!isStopping && server === lost) {
      await Bun.sleep(RESTART_INTERVAL)
      if (!isStopping) server = await start().catch(() => lost)
    }
  }
  const watching = watch()
  return async () => {
    isStopping = true
    await endServer(server)
    await watching
    // one that was just being started
    await endServer(server)
  }
}

/** SIGQUIT ends PostgreSQL at once; it recovers at the next start. */
function quit(server: Bun.Subprocess): void {
  server.kill('SIGQUIT')
}

/** SIGINT is PostgreSQL's fast shutdown: clients are cut off, everything is written, recovery is not needed. */
async function endServer(server: Bun.Subprocess): Promise<void> {
  server.kill('SIGINT')
  const timer = setTimeout(quit, STOP_DEADLINE, server)
  await server.exited
  clearTimeout(timer)
}
