/** What can be done to the queue. Each gives the same when it is applied to its own result. */
import { type Waiting, withId } from './operations'
import type { Edit } from './queue'
import type { Task } from './schemas'

export function append(waiting: Waiting): Edit {
  return (list) => (hasKey(list, waiting.key) ? list : [...list, waiting])
}

/** Puts an operation in the place of the one with the same key. */
export function replace(next: Waiting): Edit {
  return (list) => list.map((each) => (each.key === next.key ? next : each))
}

export function remove(lost: readonly Waiting[]): Edit {
  return (list) => list.filter(({ key }) => !hasKey(lost, key))
}

/**
 * Removes an operation that is done; those behind it on the same task go on from what it has made.
 *
 * @param isSeen whether the user has seen all that had changed before
 */
export function settle(done: Waiting, task: Task | null, isSeen: boolean): Edit {
  const goOn = (each: Waiting) => (task && each.id === done.id ? follow(each, done, task, isSeen) : each)
  return (list) => (hasKey(list, done.key) ? remove([done])(list).map(goOn) : list)
}

function follow(waiting: Waiting, done: Waiting, task: Task, isSeen: boolean): Waiting {
  // the done operation has raised the revision; what the user has not seen still counts as a change of others
  const seen = isSeen && waiting.seen === done.seen ? task.revision : waiting.seen
  return { ...waiting, id: task.id, operation: withId(waiting.operation, task.id), seen }
}

function hasKey(list: readonly Waiting[], key: string): boolean {
  return list.some((each) => each.key === key)
}
