/** What the user changes through `sync`: shown at once, kept, and sent in order when there is a connection. */
import { attempt, neverCreated, type Verdict } from './attempt'
import type { TasksCalls } from './calls'
import { RequestError } from './errors'
import { withLock } from './locks'
import { ifMatchOf, relevantOf, type Waiting, withId } from './operations'
import type { Overlay, Told } from './overlay'
import { createQueue, type Edit, type Outcome, type Queue, type QueueOptions } from './queue'
import { append, remove, replace, settle } from './queue-edits'
import { rest } from './rest'
import type { Operation, Task } from './schemas'
import type { SyncOptions } from './sync-handle'
import { uuid } from './uuid'
import { backoff } from './wait'

export interface Writes extends Pick<Queue, 'close' | 'remove'> {
  /** See `Sync.write`. */
  write(operation: Operation): Promise<Task | null>
  /** Reads what an earlier page has left, and shows it. */
  load(): Promise<void>
  /** Sends until the signal is aborted. @throws what the app's functions throw, and RequestError if the server refuses the user */
  send(): Promise<void>
}

export interface WritesOptions
  extends Pick<SyncOptions, 'onConflict' | 'onPending'>,
    Omit<QueueOptions, 'heard'> {
  /** Calls that repeat nothing by themselves. */
  todos: TasksCalls
  overlay: Overlay
  signal: AbortSignal
  /** Gets what the app's functions throw. */
  fail: (error: unknown) => void
}

/** In milliseconds, after a failure. */
const FIRST_DELAY = 200
const LONGEST_DELAY = 5000
/** How many times the app can replace an operation that is refused. */
const MAX_CONFLICTS = 10

export function createWrites(options: WritesOptions): Writes {
  const { todos, overlay, signal, key, storage, tabs, look, fail } = options
  const { onConflict = () => {}, onPending = () => {} } = options
  const queue = createQueue({ ...options, heard: takeOutcomes })
  const callers = new Map<string, { resolve(task: Task | null): void; reject(error: Error): void }>()
  /** The ids of tasks that had one below zero. */
  const ids = new Map<number, number>()
  let pending: readonly Operation[] = []
  let lastFault: Error | undefined
  let wake = () => {}
  // what waits for something that may never come waits for this as well
  const stopped = new Promise<never>((_, stop) => {
    signal.addEventListener('abort', () => stop(new Error(ENDED)))
  })
  stopped.catch(() => {})

  function showAll(told: readonly Told[]): void {
    const { list, fault } = queue
    overlay.show(list, told)
    if (pending.length + list.length === 0 && fault === lastFault) return
    pending = list.map(({ operation }) => operation)
    lastFault = fault
    onPending(pending, fault)
  }
  /** Shows what waits now, and tells who waits for it. */
  function takeOutcomes(outcomes: readonly Outcome[]): void {
    for (const { id, task } of outcomes) if (id < 0 && task) ids.set(id, task.id)
    try {
      // a stopped store is the app's
      if (!signal.aborted) showAll(outcomes.flatMap(({ told }) => told))
    } catch (error) {
      fail(error)
    }
    for (const { key, task, refusal } of outcomes) {
      if (refusal) callers.get(key)?.reject(new RequestError(refusal.status, refusal.value))
      else if (task !== undefined) callers.get(key)?.resolve(task)
    }
    wake()
  }
  function edit(work: Edit, outcomes: Outcome[] = []): void {
    queue.edit(work, outcomes)
    takeOutcomes(outcomes)
  }
  /** @param current what the user has seen, if it is not what is shown */
  function toWaiting(given: Operation, current?: Task): Waiting {
    // the app may change its object later; fields that are undefined are not sent
    const copy: Operation = JSON.parse(JSON.stringify(given))
    const id = copy.op === 'create' ? temporaryId() : (ids.get(copy.id) ?? copy.id)
    const operation = withId(copy, id)
    const shown = current ?? overlay.shown(id)
    return {
      key: uuid(),
      operation,
      id,
      at: new Date().toISOString(),
      newest: overlay.newest,
      seen: ifMatchOf(operation) ?? (current ?? overlay.base(id))?.revision,
      before: shown && relevantOf(operation, shown),
      conflicts: 0,
    }
  }
  async function write(given: Operation): Promise<Task | null> {
    if (signal.aborted) throw new Error(ENDED)
    const waiting = toWaiting(given)
    const { id, operation } = waiting
    if (id < 0 && operation.op !== 'create' && !queue.list.some((each) => each.id === id))
      throw neverCreated()
    const answered = new Promise<Task | null>((resolve, reject) => {
      callers.set(waiting.key, { resolve, reject })
    })
    edit(append(waiting))
    return answered.finally(() => callers.delete(waiting.key))
  }

  function finish(waiting: Waiting, { task, isSeen }: Verdict & { kind: 'done' }): void {
    const { key, id, seen } = waiting
    const isDeleted = task === null && seen !== undefined
    const told: Told[] = task ? [{ task }] : isDeleted ? [{ id, deleted: seen }] : []
    edit(settle(waiting, task, isSeen), [{ key, id, told, task }])
  }
  /** The operations on a new task go with it: without it they are nothing. */
  async function refuse(waiting: Waiting, error: RequestError, current?: Task): Promise<void> {
    const told = current ? [{ task: current }] : []
    const replacement = await ask(waiting, error, current)
    if (replacement) {
      const next = toReplacement(waiting, replacement, current)
      return edit(replace(next), [{ key: waiting.key, id: waiting.id, told }])
    }
    const { status, value } = error
    const isNew = waiting.operation.op === 'create'
    const lost = queue.list.filter(({ key, id }) => key === waiting.key || (isNew && id === waiting.id))
    edit(
      remove(lost),
      lost.map(({ key, id }) => ({ key, id, told, refusal: { status, value } })),
    )
    for (const each of lost) if (each.key !== waiting.key) await ask(each, error)
  }
  async function ask({ operation, conflicts }: Waiting, error: RequestError, current?: Task) {
    const answer = await Promise.race([onConflict(operation, error, current), stopped])
    return conflicts < MAX_CONFLICTS ? answer : undefined
  }
  function toReplacement(waiting: Waiting, operation: Operation, current?: Task): Waiting {
    const next = toWaiting(operation, current)
    const { key, conflicts } = waiting
    const isStillNew = operation.op === 'create' && waiting.operation.op === 'create'
    return { ...next, key, conflicts: conflicts + 1, id: isStillNew ? waiting.id : next.id }
  }

  /** @returns how many milliseconds to wait before the next one is sent */
  async function sendOne(waiting: Waiting): Promise<number | undefined> {
    await queue.saved(waiting.key)
    // another user may have signed in meanwhile
    await Promise.race([look(), stopped])
    const verdict = await attempt(todos, waiting, signal)
    if (verdict.kind === 'later') return verdict.delay
    if (verdict.kind === 'signed-out') {
      if (signal.aborted) return 0
      throw verdict.error
    }
    if (verdict.kind === 'done') finish(waiting, verdict)
    else if (verdict.kind === 'refused') await refuse(waiting, verdict.error, verdict.current)
    else edit(replace({ ...waiting, seen: verdict.current.revision }))
    return undefined
  }
  async function sendAll(): Promise<void> {
    let failures = 0
    for (let [next] = queue.list; next && !signal.aborted; [next] = queue.list) {
      const delay = await sendOne(resolved(next))
      if (delay === undefined) failures = 0
      else await rest(Math.max(delay, backoff(failures++, FIRST_DELAY, LONGEST_DELAY)), signal)
    }
    // before another tab sends
    await queue.saved()
  }
  /** Another tab may have added an operation on a new task after the task had got its id. */
  function resolved(waiting: Waiting): Waiting {
    const id = waiting.operation.op === 'create' ? undefined : ids.get(waiting.id)
    return id === undefined ? waiting : { ...waiting, id, operation: withId(waiting.operation, id) }
  }
  /** Sends the waiting operations, in one tab at a time. */
  async function sendShared(): Promise<void> {
    if (!storage || tabs === undefined) return sendAll()
    const isNeedless = async () => {
      await queue.look()
      return signal.aborted || queue.list.length === 0
    }
    await Promise.race([withLock(`${key} send`, storage, isNeedless, sendAll), stopped])
  }
  async function send(): Promise<void> {
    while (!signal.aborted) {
      if (queue.list.length > 0) await sendShared()
      else await Promise.race([woken(), stopped])
    }
  }
  function woken(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve
    })
  }

  return {
    write,
    async load() {
      await queue.look()
      if (signal.aborted) return
      overlay.clean()
      takeOutcomes([])
    },
    async send() {
      try {
        await send()
      } catch (error) {
        if (!signal.aborted) throw error
      }
    },
    async close() {
      for (const { reject } of callers.values()) reject(new Error(ENDED))
      await queue.close()
    },
    async remove() {
      for (const { reject } of callers.values()) reject(new Error(ENDED))
      await queue.remove()
    },
  }
}

const ENDED = 'The synchronization has ended before the change was sent'

let lastId = 0

/** Below zero, different in all tabs, and the further below the later. */
function temporaryId(): number {
  lastId = Math.max(lastId + 1, Date.now() * 1000 + Math.floor(Math.random() * 1000))
  return -lastId
}
