/**
 * Keeps operations until the server has answered them, in a storage that all tabs share.
 *
 * A tab changes the queue at once for itself, and then in the storage while it holds a lock, on what other tabs have made
 * of it meanwhile. It tells them the whole queue, because a browser may show them late what the storage has.
 */
import { withLock } from './locks'
import { isOperation, type Waiting } from './operations'
import type { Told } from './overlay'
import type { Task } from './schemas'
import { type KeyValueStorage, parseStored, removeQuietly } from './storage'

/** How the server has answered an operation, or why it was given up. */
export interface Outcome {
  key: string
  /** The id that it has waited with. */
  id: number
  told: Told[]
  /** What it has made; null if it was a `delete`. */
  task?: Task | null
  /** The status and the problem of a refusal. */
  refusal?: { status: number; value: unknown }
}
/** Must give the same when it is applied to its own result. */
export type Edit = (list: readonly Waiting[]) => readonly Waiting[]

export interface Queue {
  readonly list: readonly Waiting[]
  /** Why the newest changes are in memory only. */
  readonly fault: Error | undefined
  /** Changes the queue for this tab at once. */
  edit(edit: Edit, outcomes?: readonly Outcome[]): void
  /** Resolves once an operation is in the storage, or all changes are, or the storage has failed to take them. */
  saved(key?: string): Promise<void>
  /** Takes what the storage has: at first, and if another tab's message may be late. */
  look(): Promise<void>
  /** Writes what has not been written yet. */
  close(): Promise<void>
  /** Removes what is kept, and writes nothing more. */
  remove(): Promise<void>
}

export interface QueueOptions {
  key: string
  /** Left out: the queue is gone with the page. */
  storage: KeyValueStorage | undefined
  /** Names the channel of the tabs that share the storage; undefined: there are none. */
  tabs: string | undefined
  /** Finds out whether the user has signed out meanwhile in another tab; then `remove` is called. */
  look: () => Promise<unknown>
  /** Called when another tab has changed the queue, and when the storage fails or works again. */
  heard: (outcomes: readonly Outcome[]) => void
}

/** What is stored. Of two, the one with the higher number is newer. */
interface State {
  number: number
  list: readonly Waiting[]
}

type Message = State & { outcomes: readonly Outcome[] }

/** The format; a queue of another one is ignored. */
const VERSION = 1

export function createQueue({ key, storage, tabs, look, heard }: QueueOptions): Queue {
  const channel = tabs === undefined ? undefined : new BroadcastChannel(tabs)
  /** As it is in the storage, as far as this tab knows. */
  let state: State = { number: 0, list: [] }
  /** What is not in the storage yet. */
  let edits: { edit: Edit; outcomes: readonly Outcome[] }[] = []
  let list: readonly Waiting[] = []
  /** What the storage had when this tab last looked. */
  let text: string | null | undefined
  let fault: Error | undefined
  let saving: Promise<void> | undefined
  let isOver = false

  const edited = (before: readonly Waiting[]) => edits.reduce((each, { edit }) => edit(each), before)
  function become(next: State): void {
    state = next
    list = edited(next.list)
  }
  function fail(error: unknown): void {
    fault = error instanceof Error ? error : new Error(String(error))
  }
  /** @returns what the storage has, or what this tab knows if that is newer or the storage fails */
  async function read(): Promise<State> {
    try {
      const found = await storage?.getItem(key)
      // tabs that wait for the lock look often
      if (found === text) return state
      text = found
      const stored = parse(found)
      return stored.number > state.number ? stored : state
    } catch (error) {
      fail(error)
      return state
    }
  }
  async function write(next: State): Promise<void> {
    // a full storage still lets go of what it has
    if (next.list.length === 0) await storage?.removeItem(key)
    else await storage?.setItem(key, JSON.stringify({ version: VERSION, ...next }))
  }
  async function saveOnce(): Promise<void> {
    const before = await read()
    await look()
    if (isOver) return
    const taken = edits
    const next = { number: Math.max(before.number + 1, Date.now()), list: edited(before.list) }
    const failed = fault
    fault = undefined
    await write(next).catch(fail)
    edits = edits.slice(taken.length)
    become(next)
    channel?.postMessage({ ...next, outcomes: taken.flatMap(({ outcomes }) => outcomes) } satisfies Message)
    if (failed !== fault) heard([])
    await look()
  }
  async function saveAll(): Promise<void> {
    const isNeedless = async () => isOver || edits.length === 0
    while (!(await isNeedless())) {
      if (storage && channel) await withLock(`${key} change`, storage, isNeedless, saveOnce)
      else await saveOnce()
    }
  }
  function save(): void {
    saving ??= saveAll()
      .catch(fail)
      .then(() => {
        saving = undefined
        // an edit may have come just now
        if (edits.length > 0 && !fault && !isOver) save()
      })
  }
  function end(): void {
    isOver = true
    channel?.close()
  }
  if (channel) {
    channel.onmessage = ({ data }: { data: Message }) => {
      if (data.number > state.number) become(data)
      heard(data.outcomes)
    }
  }

  return {
    get list() {
      return list
    },
    get fault() {
      return fault
    },
    edit(edit, outcomes = []) {
      edits = [...edits, { edit, outcomes }]
      list = edit(list)
      save()
    },
    async saved(wanted) {
      while (saving && !state.list.some((each) => each.key === wanted)) await saving
    },
    async look() {
      const newest = await read()
      if (newest !== state) become(newest)
    },
    async close() {
      while (saving) await saving
      end()
    },
    async remove() {
      end()
      await saving
      if (storage) await removeQuietly(storage, key)
    },
  }
}

function parse(text: string | null | undefined): State {
  const { version, number, list } = parseStored(text)
  if (version !== VERSION || typeof number !== 'number' || !Array.isArray(list))
    return { number: 0, list: [] }
  return { number, list: list.filter(isWaiting) }
}

function isWaiting(value: unknown): value is Waiting {
  const { key, id, operation } = (value ?? {}) as Partial<Waiting>
  return typeof key === 'string' && typeof id === 'number' && isOperation(operation)
}
