/** What other processes of this machine are, from `/proc` or from `ps`. */
import { readFileSync } from 'node:fs'

/** @returns the command line of a process, or nothing if it has ended */
export function commandOf(pid: number): string {
  if (process.platform !== 'linux') return ps(pid, 'command=')
  // a zombie's is empty
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
}

function parentOf(pid: number): number {
  if (process.platform !== 'linux') return Number(ps(pid, 'ppid='))
  return Number(/^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)
}

function ps(pid: number, column: string): string {
  return Bun.spawnSync(['ps', '-ww', '-o', column, '-p', String(pid)])
    .stdout.toString()
    .trim()
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

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
