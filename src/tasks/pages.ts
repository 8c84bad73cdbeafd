/** A list in HTTP: its order, its pages, and the links between them. */
import { hash } from 'node:crypto'
import type { Caller } from '../auth/caller'
import type { SignedIn } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Batched } from '../database/batch'
import { weightOf } from '../http/accept'
import { type Answer, knownRevision, listTag, notModified } from '../http/etag'
import { invalid } from '../http/problems'
import { queryOf } from '../http/query'
import { contextOf } from '../http/request-context'
import type { Metrics } from '../telemetry/metrics'
import { decodePosition, encodePosition, type List } from './cursor'
import type { Order, Part } from './list-queries'
import { DEFAULT_LIMIT, type ListQuery, PAGE_TYPE, type PageOf, type Task, type TaskRow } from './model'
import { isSame, type Page, type PageCache } from './page-cache'

export function orderOf({ sort = 'created', order }: ListQuery): Order {
  return `${sort} ${order ?? (sort === 'title' ? 'asc' : 'desc')}`
}

/** What makes the pages of a list. */
export interface Pages {
  cache: PageCache
  userState: Batched<string, UserState | null>
  metrics: Metrics | undefined
}

/** What a list is asked with. */
type ListRequest = SignedIn & { query: Pick<ListQuery, 'limit' | 'cursor' | 'skip' | 'count'> }

/** One kind of list: what it is of, and how it is read and answered. */
export interface ListKind<Item> {
  list: List
  read(part: Part): Promise<readonly TaskRow[]>
  count(): Promise<number>
  /** Writes the two forms of an answer: the array and the page object. */
  write: { array(tasks: Item[]): string; page(page: PageOf<Item>): string }
  toItem(row: TaskRow): Item
  /** The number in the list's ETag: it changes with each of its tasks. */
  versionOf(state: UserState): number
}

/**
 * Answers a page: from memory if the user's row is still the same, else it is read. The row is read first, so a page is
 * never older than the state that it is kept with.
 *
 * @returns its JSON, or nothing for 304
 * @throws Problem VALIDATION_ERROR, or TOKEN_INVALID for a user who has been deleted
 */
export async function answerList<Item extends Task>(
  kind: ListKind<Item>,
  { cache, userState, metrics }: Pages,
  asked: ListRequest,
): Promise<Item[]> {
  const { caller, request, set } = asked
  const form = wantsPage(request.headers.get('accept')) ? 'page' : 'array'
  const address = `${form} ${request.url}`
  const kept = cache.find(caller.id, address)
  // a page is only kept for a query that is good
  const part = kept ? undefined : partOf(kind.list, asked)
  const state = (await userState(contextOf(request), caller.id)) ?? NEVER_WROTE
  if (isRefused(caller, state.refuse_tokens_until)) {
    cache.forget(caller.id)
    throw refuseToken('revoked')
  }
  const tagged = `${form}-${digestOf(caller)}`
  const tag = listTag(kind.versionOf(state), tagged)
  set.headers['vary'] = [set.headers['vary'], 'Accept'].filter(Boolean).join(', ')
  const known = knownRevision(request.headers.get('if-none-match'), tagged)
  if (known === kind.versionOf(state)) return notModified(set, tag)
  const isCurrent = kept !== undefined && isSame(kept.state, state)
  metrics?.page(isCurrent ? 'current' : kept ? 'old' : 'none')
  if (isCurrent) return answerPage(kept.page, form, tag, set)
  const page = await readPage(kind, form, part ?? partOf(kind.list, asked), asked)
  cache.keep(caller.id, address, page, state)
  return answerPage(page, form, tag, set)
}

const NEVER_WROTE: UserState = { revision: 0, purged_revision: 0, version: null, refuse_tokens_until: null }

/** @throws Problem VALIDATION_ERROR */
function partOf(list: List, { query }: ListRequest): Part {
  const { limit = DEFAULT_LIMIT, cursor, skip } = query
  if (cursor !== undefined && skip !== undefined) {
    throw invalid({ in: 'query', pointer: 'skip', detail: 'cannot be used with `cursor`' })
  }
  const after = cursor === undefined ? undefined : decodePosition(list, cursor)
  return { after, limit, skip: skip ?? 0 }
}

async function readPage<Item extends Task>(
  { list, read, count, write, toItem }: ListKind<Item>,
  form: Form,
  part: Part,
  { query, path, request }: ListRequest,
): Promise<Page> {
  const { limit } = part
  // one more than asked for tells whether there is a next page
  const rows = await read({ ...part, limit: limit + 1 })
  const total = query.count === 'true' ? await count() : null
  const tasks = rows.slice(0, limit).map(toItem)
  const last = rows.length > limit ? tasks.at(-1) : undefined
  const next = last && encodePosition(list, last)
  const body =
    form === 'array'
      ? write.array(tasks)
      : write.page({ tasks, count: tasks.length, next_cursor: next ?? null })
  return { body, link: next && linkTo(path, request, next), total }
}

/** For a target without a host, because behind a proxy only the client knows which one it asked. */
function linkTo(path: string, request: Request, cursor: string): string {
  const query = queryOf(request)
  query.delete('skip')
  query.set('cursor', cursor)
  return `<${path}?${query}>; rel="next"`
}

type Form = 'array' | 'page'

/** As Elysia has it for what it writes itself. */
const JSON_TYPE = 'application/json;charset=utf-8'

/** @returns the JSON, in the type of `TaskList`, which says why */
function answerPage<Item>({ body, link, total }: Page, form: Form, tag: string, set: Answer): Item[] {
  set.headers['etag'] = tag
  set.headers['content-type'] = form === 'page' ? PAGE_TYPE : JSON_TYPE
  if (link) set.headers['link'] = link
  if (total !== null) set.headers['x-total-count'] = String(total)
  return body as unknown as Item[]
}

/** The same address is another list for the next user who signs in to the same browser, which has kept the last one's. */
function digestOf(caller: Caller): string {
  const digest = digests.get(caller) ?? hash('sha256', caller.id, 'base64url').slice(0, 16)
  digests.set(caller, digest)
  return digest
}

/** For as long as their tokens are remembered. */
const digests = new WeakMap<Caller, string>()

/** Of two types that are wanted alike, the page is sent only to a client that names it. */
function wantsPage(accept: string | null): boolean {
  if (accept === null || accept === '*/*') return false
  const page = weightOf(accept, PAGE_TYPE)
  const array = weightOf(accept, 'application/json')
  const isNamed = accept.toLowerCase().includes(PAGE_TYPE)
  return page > array || (page === array && page > 0 && isNamed)
}
