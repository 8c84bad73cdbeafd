/** A list in HTTP: its order, its pages, and the links between them. */
import { hash } from 'node:crypto'
import { refuseToken } from '../auth/refusal'
import type { Caller } from '../auth/verify'
import type { Sql } from '../database/sql'
import { weightOf } from '../http/accept'
import { type Answer, knownRevision, listTag, notModified } from '../http/etags'
import { invalid } from '../http/problems'
import { sentQuery } from '../http/query'
import { numberOf } from '../http/validation'
import { decodeCursor, encodeCursor, type Order } from './cursor'
import type { List } from './list-queries'
import { DEFAULT_LIMIT, type ListQuery, PAGE_TYPE, type Task, type TaskPage } from './model'

/** @throws Problem VALIDATION_ERROR for parameters that contradict one another */
export function orderOf(
  owner: string,
  { status = 'all', completed, sort = 'created', order }: ListQuery,
): Order & { sort: 'created' | 'title' } {
  const byStatus = { all: null, pending: false, completed: true }[status]
  const byField = completed === undefined ? null : completed === 'true'
  if (byStatus !== null && byField !== null && byStatus !== byField) {
    throw invalid({ in: 'query', pointer: 'completed', detail: 'contradicts `status`' })
  }
  return { owner, completed: byField ?? byStatus, sort, order: order ?? (sort === 'title' ? 'asc' : 'desc') }
}

interface ListRequest {
  sql: Sql
  caller: Caller
  query: Pick<ListQuery, 'limit' | 'cursor' | 'skip' | 'count'>
  path: string
  request: Request
  set: Answer
}

/**
 * Reads a page and writes its headers.
 *
 * @returns the tasks, or the page object in their type (`TaskList` says why), or 304
 * @throws Problem VALIDATION_ERROR, or TOKEN_INVALID for a user who has been deleted
 */
export async function answerList<Item extends Task>(
  list: List<Item>,
  order: Order,
  { sql, caller, query, path, request, set }: ListRequest,
): Promise<Item[]> {
  const { cursor, skip = 0, count } = query
  const limit = numberOf(query.limit ?? DEFAULT_LIMIT)
  const sent = sentQuery(request)
  if (cursor !== undefined && query.skip !== undefined) {
    throw invalid({ in: 'query', pointer: 'skip', detail: 'cannot be used with `cursor`' })
  }
  const form = wantsPage(request.headers.get('accept')) ? 'page' : 'array'
  const tagged = `${form}-${digestOf(caller)}`
  const { is_refused, revision, total, tasks } = await list(sql, caller, {
    completed: order.completed,
    after: cursor === undefined ? undefined : decodeCursor(order, cursor),
    // one more than asked for tells whether there is a next page
    limit: limit + 1,
    skip: numberOf(skip),
    count: count === 'true',
    known: knownRevision(request.headers.get('if-none-match'), tagged),
  })
  if (is_refused) throw refuseToken('revoked')
  const tag = listTag(revision, tagged)
  set.headers['vary'] = [set.headers['vary'], 'Accept'].filter(Boolean).join(', ')
  if (tasks === null) return notModified(set, tag)
  set.headers['etag'] = tag
  const last = tasks.length > limit ? tasks[limit - 1] : undefined
  const next = last && encodeCursor(order, last)
  if (next) set.headers['link'] = `<${path}?${nextQuery(sent, next)}>; rel="next"`
  if (total !== null) set.headers['x-total-count'] = String(total)
  const page = tasks.slice(0, limit)
  if (form === 'array') return page
  set.headers['content-type'] = PAGE_TYPE
  return pageOf(page, next)
}

/** The same address is another list for whoever signs in next to the same browser, which has kept the last one's. */
function digestOf(caller: Caller): string {
  const digest = digests.get(caller) ?? hash('sha256', caller.id, 'base64url').slice(0, 16)
  digests.set(caller, digest)
  return digest
}

/** For as long as their tokens are remembered. */
const digests = new WeakMap<Caller, string>()

/** For a target without a host, because behind a proxy only the client knows which one it asked. */
function nextQuery(sent: URLSearchParams, cursor: string): URLSearchParams {
  sent.delete('skip')
  sent.set('cursor', cursor)
  return sent
}

/** Of two types that are wanted alike, the page is sent only to a client that names it. */
function wantsPage(accept: string | null): boolean {
  if (accept === null || accept === '*/*') return false
  const page = weightOf(accept, PAGE_TYPE)
  const array = weightOf(accept, 'application/json')
  const isNamed = accept.toLowerCase().includes(PAGE_TYPE)
  return page > array || (page === array && page > 0 && isNamed)
}

/** In the type of `TaskList`, which says why. */
function pageOf<Item extends Task>(tasks: Item[], cursor: string | undefined): Item[] {
  const page: TaskPage = { tasks, count: tasks.length, next_cursor: cursor ?? null }
  return page as unknown as Item[]
}
