/** Looks at other processes of this machine, to end when the `npx` that started us has ended. */
import { readFileSync } from 'node:fs'

interface ProcessTable {
  /** @returns the command line of a process; empty if it has ended */
  commandOf(pid: number): string
  /** @returns the parent's process id, or 0 */
  parentOf(pid: number): number
}

/** On Linux, where small images have no `ps`. https://man7.org/linux/man-pages/man5/proc.5.html */
export const procfs: ProcessTable = {
  // empty for a zombie, too
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

/** On every other POSIX system. */
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

/** npm's name for its process. */
const NPX = /^npm exec /
/** npx starts a shell and `bun run` between itself and us. */
const LAUNCHER = /^(?:sh -c '?|\S*\/)?bun(?:\.exe)?'? run /
/** The parent of an orphaned process, if that is not process 1. */
const INIT = /^(?:\S*\/)?(?:systemd|init|tini|dumb-init)(?: |$)/

/**
 * Resolves when the `npx` among a process's ancestors has ended, also if it already has; never if there was none. npm
 * passes on no signals, so a killed `npx … run start` would leave the server running.
 *
 * @param pid the first ancestor to look at
 * @param bun the program that runs us; npx installs it below a folder `_npx`
 */
export async function npxEnded(pid = process.ppid, bun = process.execPath): Promise<void> {
  const isOrphan = bun.includes('/_npx/') && LAUNCHER.test(commandOf(pid)) && isInit(launchedBy(pid))
  if (!isOrphan && !hasAncestor(pid, NPX)) return new Promise(() => {})
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
