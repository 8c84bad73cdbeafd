/** Keeps tasks in a storage that outlives the page, with the cursor that belongs to them. */

import { onPage, pageIsHidden } from './page-events'
import type { Change, Task } from './schemas'
import { type KeyValueStorage, parseStored, removeQuietly } from './storage'

/** What the server had told at one moment. */
export interface Snapshot {
  tasks: Task[]
  cursor: string
  /** The newest revision that had arrived. */
  revision: number
}

export interface TaskStorage {
  /** @returns undefined if there is none, or none that can be read */
  load(): Promise<Snapshot | undefined>
  /** Forgets the tasks: what follows is complete. */
  clear(): void
  /** Takes a change; it is not written before `moveTo`. */
  take(change: Change): void
  /** The changes up to this cursor are complete: they will be written within a second. */
  moveTo(cursor: string, revision: number): void
  /** Writes what has not been written yet. */
  close(): Promise<void>
  /** Removes what is kept, and writes nothing more. */
  remove(): Promise<void>
}

/** The format; a snapshot of another one is ignored. */
const VERSION = 2
/** In milliseconds: while changes come, they are written this often. */
const WRITE_EVERY = 1000

/**
 * It keeps what the server has told, not what the app has made of it.
 *
 * Several tabs write under one key. Each writes whole snapshots, and from an older one only more changes have to be read.
 *
 * @param isCurrent whether the user to whom the key belongs is still signed in
 */
export function createTaskStorage(
  storage: KeyValueStorage,
  key: string,
  isCurrent: () => Promise<boolean>,
): TaskStorage {
  /** As JSON, so that a write is quick, and an app that changes its tasks does not change these. */
  const texts = new Map<number, string>()
  let position: { cursor: string; revision: number } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isDirty = false
  let isOver = false
  let writing: Promise<void> = Promise.resolve()

  function toText(): string {
    const head = JSON.stringify({ version: VERSION, ...position }).slice(0, -1)
    return `${head},"tasks":[${[...texts.values()].join()}]}`
  }
  function drop(): Promise<void> {
    isOver = true
    return removeQuietly(storage, key)
  }
  async function write(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (!isDirty || isOver || !position || !(await isCurrent()) || isOver) return
    isDirty = false
    await storage.setItem(key, toText())
    // the user may have signed out in another tab while that was written
    if (!(await isCurrent())) await drop()
  }
  /** One write at a time. A full storage gets its room back: the tokens may need it. */
  function save(): Promise<void> {
    writing = writing.then(write).catch(drop)
    return writing
  }
  const stopListening = [
    onPage('pagehide', () => void save()),
    onPage('visibilitychange', () => pageIsHidden() && void save()),
  ]
  function end(): void {
    clearTimeout(timer)
    for (const stop of stopListening) stop()
  }

  return {
    async load() {
      const snapshot = await read(storage, key).catch(() => {
        isOver = true
      })
      if (!snapshot) return undefined
      const { tasks, cursor, revision } = snapshot
      for (const task of tasks) texts.set(task.id, JSON.stringify(task))
      position = { cursor, revision }
      return snapshot
    },
    clear() {
      texts.clear()
      position = undefined
    },
    take(change) {
      if ('deleted' in change) texts.delete(change.id)
      else texts.set(change.id, JSON.stringify(change))
    },
    moveTo(cursor, revision) {
      if (isOver || cursor === position?.cursor) return
      position = { cursor, revision }
      isDirty = true
      timer ??= setTimeout(save, WRITE_EVERY)
    },
    async close() {
      end()
      await save()
    },
    async remove() {
      end()
      isOver = true
      writing = writing.then(drop)
      await writing
    },
  }
}

async function read(storage: KeyValueStorage, key: string): Promise<Snapshot | undefined> {
  const { version, cursor, revision, tasks } = parseStored(await storage.getItem(key))
  if (version !== VERSION || typeof cursor !== 'string' || typeof revision !== 'number') return undefined
  return Array.isArray(tasks) && tasks.every(isTask) ? { tasks, cursor, revision } : undefined
}

export function isTask(value: unknown): value is Task {
  const { id, revision, title } = (value ?? {}) as Partial<Task>
  return typeof id === 'number' && typeof revision === 'number' && typeof title === 'string'
}
