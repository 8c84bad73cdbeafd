/** Walking through all tasks, page after page. */
import type { Calls } from './calls'
import { RequestError } from './errors'
import type { ListTasksQuery, Task } from './schemas'

/** Which tasks, in which order; `limit` is how many are fetched at a time. */
export type TaskQuery = Omit<ListTasksQuery, 'cursor' | 'skip' | 'count'>

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
    const { data, error, response } = await client.api.v1.todos.get({
      query: { ...query, ...(cursor !== undefined && { cursor }) },
    })
    if (error) throw new RequestError(error.status, error.value)
    yield* data
    cursor = nextCursor(response.headers.get('link'))
  } while (cursor !== undefined)
}

/** Reads the header `Link` (RFC 8288), as far as this server uses it. */
function nextCursor(link: string | null): string | undefined {
  const [, target] = /<([^>]*)>;\s*rel="next"/.exec(link ?? '') ?? []
  // React Native's `URL` cannot read a query
  const [, cursor] = /[?&]cursor=([^&#]+)/.exec(target ?? '') ?? []
  return cursor && decodeURIComponent(cursor)
}
