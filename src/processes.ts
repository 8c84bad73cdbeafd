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

/**
 * Resolves when the `npx` among a process's ancestors has ended; never without one. npm passes no signal on: killed,
 * `npx … run start` would leave the server behind.
 *
 * @param pid where to begin to look
 */
export async function npxEnded(pid = process.ppid): Promise<void> {
  const npx = findNpx(pid)
  if (npx === undefined) return new Promise(() => {})
  const command = commandOf(npx)
  while (commandOf(npx) === command) await Bun.sleep(POLL_INTERVAL)
}

function findNpx(pid: number): number | undefined {
  if (pid <= 1) return undefined
  // npm's name for its own process
  return commandOf(pid).startsWith('npm exec ') ? pid : findNpx(parentOf(pid))
}
