/** What other processes of this machine are. */
import { readFileSync } from 'node:fs'

interface ProcessTable {
  /** @returns the command line of a process, or nothing if it has ended */
  commandOf(pid: number): string
  /** @returns the process that it belongs to, or 0 */
  parentOf(pid: number): number
}

/** Linux's own, https://man7.org/linux/man-pages/man5/proc.5.html: small images have no `ps`. */
export const procfs: ProcessTable = {
  // a zombie's is empty
  commandOf: (pid) => read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim(),
  parentOf: (pid) => Number(/^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0),
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** POSIX's, for every other system. */
export const ps: ProcessTable = {
  commandOf: (pid) => column(pid, 'args='),
  parentOf: (pid) => Number(column(pid, 'ppid=')),
}

function column(pid: number, name: string): string {
  return Bun.spawnSync(['ps', '-ww', '-o', name, '-p', String(pid)])
    .stdout.toString()
    .trim()
}

export const { commandOf, parentOf } = process.platform === 'linux' ? procfs : ps

/** In milliseconds. */
const POLL_INTERVAL = 500

/** As npm names its process. */
const NPX = /^npm exec /
/** What npx puts between itself and us: a shell of its own, and `bun run`. */
const LAUNCHER = /^(?:sh -c '?|\S*\/)?bun(?:\.exe)?'? run /
/** What a process that was left behind belongs to, where that is not process 1. */
const INIT = /^(?:\S*\/)?(?:systemd|init|tini|dumb-init)(?: |$)/

/**
 * Resolves when the `npx` among a process's ancestors has ended, also if it has already; never without one. npm passes
 * no signal on: killed, `npx … run start` would leave the server behind.
 *
 * @param pid where to begin to look
 * @param bun the program that runs us; npx keeps its own in a folder `_npx`
 */
export async function npxEnded(pid = process.ppid, bun = process.execPath): Promise<void> {
  const isLeftBehind = bun.includes('/_npx/') && LAUNCHER.test(commandOf(pid)) && isInit(launchedBy(pid))
  if (!isLeftBehind && !hasAncestor(pid, NPX)) return new Promise(() => {})
  while (hasAncestor(pid, NPX)) await Bun.sleep(POLL_INTERVAL)
}

function hasAncestor(pid: number, command: RegExp): boolean {
  return pid > 0 && (command.test(commandOf(pid)) || hasAncestor(parentOf(pid), command))
}

function launchedBy(pid: number): number {
  return LAUNCHER.test(commandOf(pid)) ? launchedBy(parentOf(pid)) : pid
}

function isInit(pid: number): boolean {
  return pid <= 1 || INIT.test(commandOf(pid))
}
