/** How a list is answered: its order, its pages, and the links between them. */
import { hash } from 'node:crypto'
import type { SignedIn } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Batched } from '../database/batch'
import { prefers } from '../http/accept'
import { knownRevision, listTag, notModified } from '../http/etag'
import { appendHeader } from '../http/headers'
import { invalid } from '../http/problems'
import { nextLink } from '../http/query'
import { type Answer, contextOf } from '../http/request-context'
import { DEFAULT_LIMIT } from '../http/schemas'
import type { Metrics } from '../telemetry/metrics'
import { decodePosition, encodePosition, type List, type ListedRow } from './cursor'
import type { ListQuery } from './filters'
import type { Part } from './list-queries'
import { PAGE_TYPE, type PageOf, type Task, type TaskRow } from './model'
import { isSame, type Page, type PageCache } from './page-cache'

interface PageDeps {
  cache: PageCache
  userState: Batched<string, UserState | null>
  metrics: Metrics | undefined
}

type ListContext = Omit<SignedIn, 'sql'> & { query: Pick<ListQuery, 'limit' | 'cursor' | 'skip' | 'count'> }

/** What differs between the list of tasks and the trash. */
export interface ListKind<Item> {
  list: List
  read(part: Part): Promise<readonly ListedRow[]>
  count(): Promise<number>
  /** Writes the answer as JSON, in its two forms. */
  write: { array(tasks: Item[]): string; page(page: PageOf<Item>): string }
  toItem(row: TaskRow): Item
  /** @returns the number in the list's ETag, which rises when a task of the list changes */
  versionOf(state: UserState): number
  /** Whether its tasks may become others without a change. */
  changesWithTime: boolean
}

/**
 * Answers a page: the kept one if the user's row is still the same, else it is read. The row is read before the page, so a
 * page is never older than the state that it is kept with.
 *
 * @returns the page's JSON, or nothing for 304
 * @throws Problem VALIDATION_ERROR, or TOKEN_INVALID for a deleted user
 */
export async function answerList<Item extends Task>(
  kind: ListKind<Item>,
  { cache, userState, metrics }: PageDeps,
  context: ListContext,
): Promise<Item[]> {
  const { caller, request, set } = context
  const part = partOf(kind.list, context.query)
  const form = prefers(request.headers.get('accept'), PAGE_TYPE) ? 'page' : 'array'
  const address = `${form} ${request.url}`
  const kept = cache.find(caller.id, address)
  const state = (await userState(contextOf(request), caller.id)) ?? NEVER_WROTE
  if (isRefused(caller, state.refuse_tokens_until)) {
    cache.forget(caller.id)
    throw refuseToken('revoked')
  }
  const version = kind.versionOf(state)
  appendHeader(set.headers, 'vary', 'Accept')
  const fresh = kind.changesWithTime ? await readPage(kind, form, part, context) : undefined
  // another user may sign in to a browser that has kept the last user's list of the same address
  const mark = hash('sha256', caller.id + (fresh ? fresh.body : ''), 'base64url').slice(0, 16)
  const taggedForm = `${form}-${mark}`
  const tag = listTag(version, taggedForm)
  const known = knownRevision(request.headers.get('if-none-match'), taggedForm)
  if (known === version) return notModified(set, tag)
  if (fresh) return answerPage(fresh, form, tag, set)
  const isCurrent = kept !== undefined && isSame(kept.state, state)
  metrics?.page(isCurrent ? 'current' : kept ? 'old' : 'none')
  if (isCurrent) return answerPage(kept.page, form, tag, set)
  const page = await readPage(kind, form, part, context)
  cache.keep(caller.id, address, page, state)
  return answerPage(page, form, tag, set)
}

const NEVER_WROTE: UserState = { revision: 0, purged_revision: 0, version: null, refuse_tokens_until: null }

/** @returns which part of a list a query asks for @throws Problem VALIDATION_ERROR */
export function partOf(list: List, { limit = DEFAULT_LIMIT, cursor, skip }: ListContext['query']): Part {
  if (cursor !== undefined && skip !== undefined) {
    throw invalid({ in: 'query', pointer: 'skip', detail: 'cannot be used with `cursor`' })
  }
  const after = cursor === undefined ? undefined : decodePosition(list, cursor)
  return { after, limit, skip: skip ?? 0 }
}

/** Reads a part of a list. @returns its items, and a cursor if there are more */
export async function readItems<Item>(
  { list, read, toItem }: Pick<ListKind<Item>, 'list' | 'read' | 'toItem'>,
  part: Part,
): Promise<{ items: Item[]; next: string | undefined }> {
  const { limit } = part
  // one more than the page takes tells whether there is a next page
  const rows = await read({ ...part, limit: limit + 1 })
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return { items: rows.slice(0, limit).map(toItem), next: last && encodePosition(list, last) }
}

async function readPage<Item extends Task>(
  kind: ListKind<Item>,
  form: Form,
  part: Part,
  { query, path, request }: ListContext,
): Promise<Page> {
  const { count, write } = kind
  const { items: tasks, next } = await readItems(kind, part)
  const total = query.count ? await count() : null
  const body =
    form === 'array'
      ? write.array(tasks)
      : write.page({ tasks, count: tasks.length, next_cursor: next ?? null })
  return { body, link: next && nextLink(path, request, next), total }
}

type Form = 'array' | 'page'

/** The same text as Elysia sets for other answers. */
const JSON_TYPE = 'application/json;charset=utf-8'

/** @returns the JSON text, typed as its items: Elysia trap 25 (docs/elysia.md) */
function answerPage<Item>({ body, link, total }: Page, form: Form, tag: string, set: Answer): Item[] {
  set.headers['etag'] = tag
  set.headers['content-type'] = form === 'page' ? PAGE_TYPE : JSON_TYPE
  if (link) set.headers['link'] = link
  if (total !== null) set.headers['x-total-count'] = String(total)
  return body as unknown as Item[]
}
