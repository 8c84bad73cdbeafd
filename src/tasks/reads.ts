/** How tasks are listed, whatever asks for it: by requests with a query, and by assistants. */
import type { Caller } from '../auth/caller'
import { isRefused, userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { filterOf, isPlain, type ListQuery, orderOf } from './filters'
import { countFound, countTasks, listByTitle, listTasks, searchTasks } from './list-queries'
import { type Task, toTask, writeTasks } from './model'
import { type ListKind, partOf, readItems } from './pages'

/** @returns how the list that a query asks for is read @throws Problem VALIDATION_ERROR */
export function listOf(sql: Sql, caller: Caller, query: ListQuery): ListKind<Task> {
  const filter = filterOf(query)
  const order = orderOf(query)
  const hasIndex = isPlain(filter, order)
  const read = !hasIndex ? searchTasks : order.startsWith('title') ? listByTitle : listTasks
  return {
    list: { owner: caller.id, filter, order },
    read: (part) => read(sql, caller, filter, order, part),
    count: () => (hasIndex ? countTasks : countFound)(sql, caller, filter),
    write: writeTasks,
    toItem: toTask,
    versionOf: ({ revision }) => revision,
    changesWithTime: filter.overdue !== undefined,
  }
}

/** Reads a page of a list. @throws Problem VALIDATION_ERROR, or TOKEN_INVALID for a deleted user */
export async function pageOfTasks(
  sql: Sql,
  caller: Caller,
  query: ListQuery,
): Promise<{ tasks: Task[]; next_cursor: string | null }> {
  const kind = listOf(sql, caller, query)
  const part = partOf(kind.list, query)
  // after the page: a user who is deleted and made again in between must not get the new rows with the old token
  const { items, next } = await readItems(kind, part)
  const state = await userState.forOne(sql, caller.id)
  if (state && isRefused(caller, state.refuse_tokens_until)) throw refuseToken('revoked')
  return { tasks: items, next_cursor: next ?? null }
}
