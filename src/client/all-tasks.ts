/** Walking through all tasks, page after page. */
import type { Calls } from './calls'
import { readTasks, type TaskQuery } from './page'
import type { Task } from './schemas'

/**
 * Walks through all tasks, page after page; a page is fetched when its first task is asked for.
 *
 *     for await (const task of allTasks(client, { sort: 'title' })) {
 *       if (task.title.startsWith('b')) break
 *     }
 *
 * @param client what `createClient` gives
 * @throws RequestError if a page is answered with a problem, or not at all, after the tasks of the pages before it; and
 *   whatever a call rejects with
 */
export async function* allTasks(client: Calls, query: TaskQuery = {}): AsyncGenerator<Task, void, undefined> {
  let cursor: string | undefined
  do {
    const { tasks, next } = await readTasks(client.api.v1.todos, query, cursor)
    yield* tasks
    cursor = next
  } while (cursor !== undefined)
}
