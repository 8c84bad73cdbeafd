/** Sends an operation once, and judges the answer. */
import type { TasksCalls } from './calls'
import { RequestError } from './errors'
import { fieldsOf, ifMatchOf, send, type Waiting } from './operations'
import type { Task } from './schemas'
import { isTask } from './task-storage'
import { isLike } from './tasks'

/**
 * - `done`: the server has what the user wanted. `isSeen`: nothing has changed in between that the user has not seen.
 * - `later`: the server may do it later, in `delay` milliseconds at the earliest.
 * - `merge`: another device has changed other fields only. It can be sent again, of the task as it is now.
 * - `refused`: sending it again cannot help.
 * - `signed-out`: the server takes nothing from this user now.
 */
export type Verdict =
  | { kind: 'done'; task: Task | null; isSeen: boolean }
  | { kind: 'later'; delay: number }
  | { kind: 'merge'; current: Task }
  | { kind: 'refused'; error: RequestError; current?: Task }
  | { kind: 'signed-out'; error: RequestError }

/** In milliseconds: the longest that a server can ask to wait. */
const LONGEST_DELAY = 60_000

export async function attempt(todos: TasksCalls, waiting: Waiting, signal: AbortSignal): Promise<Verdict> {
  // a create of this id was given up, or is forgotten
  if (waiting.id < 0 && waiting.operation.op !== 'create') return { kind: 'refused', error: neverCreated() }
  try {
    const { data, error, response } = await send(todos, waiting, signal)
    if (error) return judge(waiting, error, response)
    if (waiting.operation.op === 'delete') return { kind: 'done', task: null, isSeen: true }
    return isTask(data) ? { kind: 'done', task: data, isSeen: true } : { kind: 'later', delay: 0 }
  } catch {
    // the app's function for a token may fail without a connection
    return { kind: 'later', delay: 0 }
  }
}

function judge(waiting: Waiting, error: RequestError, { headers }: Response): Verdict {
  const { status, code } = error
  const isTaskwell = code !== undefined && code !== 'NO_ANSWER'
  if (status >= 500 || status === 429 || status === 408 || !isTaskwell) {
    const asked = Number(headers.get('retry-after')) * 1000 || 0
    return { kind: 'later', delay: Math.min(asked, LONGEST_DELAY) }
  }
  if (status === 401) return { kind: 'signed-out', error }
  // deleted already, maybe by this operation, whose answer was lost
  if (status === 404 && waiting.operation.op === 'delete') return { kind: 'done', task: null, isSeen: false }
  const current = currentOf(error)
  return current ? compare(waiting, current, error) : { kind: 'refused', error }
}

/** The task has changed since the user saw it, maybe by this operation, whose answer was lost. */
function compare({ operation, before }: Waiting, current: Task, error: RequestError): Verdict {
  const fields = fieldsOf(operation)
  if (fields && isLike(current, fields)) return { kind: 'done', task: current, isSeen: false }
  if (before && ifMatchOf(operation) === undefined && isLike(current, before))
    return { kind: 'merge', current }
  return { kind: 'refused', error, current }
}

function currentOf({ status, value }: RequestError): Task | undefined {
  const { current } = value as { current?: unknown }
  return status === 412 && isTask(current) ? current : undefined
}

export function neverCreated(): RequestError {
  const detail = 'The task was not created'
  return new RequestError(404, { status: 404, error_code: 'TASK_NOT_FOUND', title: detail, detail })
}
