/** The folder that PostgreSQL serves: how it is made, its pid file, and a server that was left running in it. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { keptSecret } from '../system/kept-secret'
import { commandOf } from '../system/processes'
import { type Launcher, spawn } from './account'

/** In milliseconds. */
export const POLL_INTERVAL = 10
/** In milliseconds: how long a server may take to stop. */
export const STOP_DEADLINE = 10_000

/** The password of PostgreSQL's user `postgres`; made once. */
export function readPassword(folder: string): string {
  return keptSecret(folder, 'database-password')
}

/**
 * Makes the cluster beside its place and then moves it there, so that an interrupted start leaves nothing half made.
 *
 * @throws Error if `initdb` fails
 */
export async function createCluster(
  folder: string,
  cluster: string,
  launcher: Launcher,
  initdb: string,
): Promise<void> {
  const unfinished = `${cluster}.new`
  const passwordFile = `${unfinished}.password`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { mode: 0o700 })
  await writeFile(passwordFile, readPassword(folder), { mode: 0o600 })
  const { owner } = launcher
  if (owner) for (const path of [unfinished, passwordFile]) await chown(path, owner.uid, owner.gid)
  const options = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C']
  const command = [initdb, `--pgdata=${unfinished}`, `--pwfile=${passwordFile}`, ...options]
  const code = await spawnLogged(folder, launcher, command).exited
  if (code !== 0) throw startFailure(folder, `initdb ended with ${code}`)
  await rm(passwordFile)
  await rename(unfinished, cluster)
}

/** Runs a program that writes to the folder's `postgres.log`. */
export function spawnLogged(folder: string, launcher: Launcher, command: readonly string[]): Bun.Subprocess {
  const output = openSync(logFile(folder), 'a', 0o600)
  try {
    return spawn(launcher, command, output)
  } finally {
    // the child has its own copy of the open file
    closeSync(output)
  }
}

function logFile(folder: string): string {
  return join(folder, 'postgres.log')
}

export function startFailure(folder: string, what: string): Error {
  return new Error(`The embedded PostgreSQL did not start: ${what}. See ${logFile(folder)}.`)
}

interface PidFile {
  pid: number
  port: number
  isReady: boolean
}

/** https://www.postgresql.org/docs/current/storage-file-layout.html: pid, port and state are lines 1, 4 and 8 */
export function readPidFile(cluster: string): PidFile {
  try {
    const [pid, , , port, , , , state] = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')
    return { pid: Number(pid), port: Number(port), isReady: state?.trim() === 'ready' }
  } catch {
    return { pid: 0, port: 0, isReady: false }
  }
}

/**
 * Ends a server that still runs in the cluster. We hold the folder's lock, so its Taskwell has ended.
 *
 * @throws Error if it does not end within ten seconds
 */
export async function endLeftover(cluster: string): Promise<void> {
  const { pid } = readPidFile(cluster)
  const command = commandOf(pid)
  // it has ended without removing the file, or there is no file: PostgreSQL handles both
  if (command === '') return untilReaped(pid)
  // another program has the id now; PostgreSQL would take that program for a server and refuse to start
  if (!command.includes(` -D ${cluster} `)) return rm(join(cluster, 'postmaster.pid'))
  process.kill(pid, 'SIGINT')
  const deadline = Date.now() + STOP_DEADLINE
  while (commandOf(pid) === command) {
    if (Date.now() > deadline) throw new Error(`A PostgreSQL left behind (process ${pid}) does not end`)
    await Bun.sleep(POLL_INTERVAL)
  }
}

/** A killed process keeps its id until its parent reaps it, and PostgreSQL would take it for alive. */
async function untilReaped(pid: number): Promise<void> {
  const deadline = Date.now() + STOP_DEADLINE
  while (pid > 0 && exists(pid) && Date.now() < deadline) await Bun.sleep(POLL_INTERVAL)
}

export function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
