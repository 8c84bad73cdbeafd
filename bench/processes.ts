/** What processes use of the machine; NaN, or what changes nothing, where there is no `/proc` to tell. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** https://man7.org/linux/man-pages/man5/proc.5.html: times are in hundredths of a second. */
const TICK = 10

const hasProc = existsSync('/proc/stat')

interface Process {
  pid: number
  parent: number
  /** In milliseconds, with that of its children that have ended. */
  cpu: number
}

/** @returns undefined for one that has ended meanwhile */
function readProcess(pid: number): Process | undefined {
  try {
    // a name may have spaces and parentheses of its own
    const [, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
      .map(Number)
    const [parent = 0] = fields
    const ticks = fields.slice(10, 14).reduce((sum, each) => sum + each, 0)
    return { pid, parent, cpu: ticks * TICK }
  } catch {
    return undefined
  }
}

/** A process, its children, theirs, and so on. */
function treeOf(root: number): Process[] {
  const all = readdirSync('/proc')
    .map((name) => (/^\d+$/.test(name) ? readProcess(Number(name)) : undefined))
    .filter((each) => each !== undefined)
  const tree = all.filter(({ pid }) => pid === root)
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid))
  return tree
}

/** What a process and all below it have used of a processor so far, in milliseconds. */
export function cpuOf(root: number): number {
  return hasProc ? treeOf(root).reduce((sum, { cpu }) => sum + cpu, 0) : Number.NaN
}

/** In MB, of a process and all below it. */
export interface Memory {
  processes: number
  /** Resident; pages that they share are counted for each. */
  resident: number
  /** The same with shared pages divided among those that share them. */
  proportional: number
  /** The highest that each has had, though not all at one time. */
  peak: number
}

export function memoryOf(root: number): Memory {
  const pids = hasProc ? treeOf(root).map(({ pid }) => pid) : []
  const sum = (file: string, name: string) =>
    hasProc ? pids.reduce((total, pid) => total + megabytes(`/proc/${pid}/${file}`, name), 0) : Number.NaN
  return {
    processes: pids.length,
    resident: sum('status', 'VmRSS'),
    proportional: sum('smaps_rollup', 'Pss'),
    peak: sum('status', 'VmHWM'),
  }
}

function megabytes(file: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(file, 'utf8'))?.[1]) / 1024
}

/** The state of a listening socket in `/proc/net/tcp`. */
const LISTENS = '0A'

/** How many sockets listen on a port of IPv4; each process that shares a port has one. */
export function listenersOn(port: number): number {
  if (!hasProc) return Number.POSITIVE_INFINITY
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, address = '', , state]) => address.endsWith(local) && state === LISTENS).length
}

/** What all processors together have had of time so far, in milliseconds. */
export interface Processors {
  all: number
  idle: number
}

export function readProcessors(): Processors {
  if (!hasProc) return { all: Number.NaN, idle: Number.NaN }
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  // what guests use is in what users use
  const ticks = line.split(/\s+/).slice(1, 9).map(Number)
  const [, , , idle = 0, waiting = 0] = ticks
  return { all: ticks.reduce((sum, each) => sum + each, 0) * TICK, idle: (idle + waiting) * TICK }
}
