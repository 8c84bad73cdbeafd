/** Changes of tasks that are guarded against lost updates. */
import type { TaskCalls, TasksCalls } from './calls'
import { isUncertain } from './retries'
import type { Task, TaskUpdate } from './schemas'

/** How many times a change is made anew because another device was quicker. */
const MAX_CONFLICTS = 10

/** Changes a task unless it has changed since it was read; see `Client.update`. */
export async function updateTask(
  todos: TasksCalls,
  task: Task,
  change: TaskUpdate | ((current: Task) => TaskUpdate),
): Promise<Awaited<ReturnType<TaskCalls['patch']>>> {
  let current = task
  for (let conflicts = 0; ; conflicts++) {
    const body = typeof change === 'function' ? change(current) : change
    const headers = { 'if-match': `"${current.revision}"` }
    const answer = await todos({ id: task.id }).patch(body, { headers })
    // a proxy may answer 412 too
    if (answer.error?.status !== 412 || answer.error.code !== 'PRECONDITION_FAILED') return answer
    current = answer.error.value.current
    // An object that the task equals already is done. What a function gives may be equal and still another device's
    // change, such as a count that both have raised: that is done only if an answer to this call may have been lost.
    const mayBeOurs = typeof change !== 'function' || isUncertain(answer.response)
    if (mayBeOurs && isLike(current, body)) return { ...answer, data: current, error: null, status: 200 }
    if (typeof change !== 'function' || conflicts === MAX_CONFLICTS) return answer
  }
}

/** Whether a task has these values. A field that is left out may have any. */
export function isLike(task: Task, wanted: TaskUpdate): boolean {
  const hasValue = (field: string, value: unknown) =>
    comparable(task[field as keyof TaskUpdate]) === comparable(value)
  return Object.entries(wanted).every(([field, value]) => value === undefined || hasValue(field, value))
}

/** The server sorts tags, and keeps the first spelling. */
function comparable(value: unknown): string {
  const isNames = Array.isArray(value) && value.every((each) => typeof each === 'string')
  return JSON.stringify(isNames ? value.map((name) => name.toLowerCase()).sort() : value)
}
