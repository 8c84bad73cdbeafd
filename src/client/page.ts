/** Reading the list of tasks page by page. */
import type { TasksCalls } from './calls'
import type { ListTasksQuery, Task } from './schemas'

/** Which tasks, in which order; `limit` is how many are fetched at a time. */
export type TaskQuery = Omit<ListTasksQuery, 'cursor' | 'skip' | 'count'>

/** A page of the list of tasks. */
export interface Page {
  tasks: Task[]
  /** How many tasks fit the query, on all pages, at the time of this one. */
  total: number
  hasNext: boolean
  /**
   * Reads the next page, whatever was created or deleted meanwhile.
   *
   * @returns undefined after the last page
   * @throws RequestError
   */
  next(): Promise<Page | undefined>
}

/** Reads a page of tasks; see `Client.page`. */
export async function readPage(todos: TasksCalls, query: TaskQuery = {}, cursor?: string): Promise<Page> {
  const { tasks, total, next } = await readTasks(todos, { ...query, count: true }, cursor)
  return {
    tasks,
    total,
    hasNext: next !== undefined,
    next: async () => (next === undefined ? undefined : readPage(todos, query, next)),
  }
}

/**
 * @returns the tasks, the cursor of the next page if there is one, and how many there are if `count` is asked for
 * @throws RequestError
 */
export async function readTasks(
  todos: TasksCalls,
  query: TaskQuery & Pick<ListTasksQuery, 'count'>,
  cursor: string | undefined,
): Promise<{ tasks: Task[]; next: string | undefined; total: number }> {
  const { data, error, response } = await todos.get({
    query: { ...query, ...(cursor !== undefined && { cursor }) },
  })
  if (error) throw error
  const { headers } = response
  return { tasks: data, next: nextCursor(headers.get('link')), total: Number(headers.get('x-total-count')) }
}

/** Reads the header `Link` (RFC 8288), as far as this server uses it. */
function nextCursor(link: string | null): string | undefined {
  const [, target] = /<([^>]*)>;\s*rel="next"/.exec(link ?? '') ?? []
  // React Native's `URL` cannot read a query
  const [, cursor] = /[?&]cursor=([^&#]+)/.exec(target ?? '') ?? []
  return cursor && decodeURIComponent(cursor)
}
