/** The handlers of lists: each runs statements and makes an answer of their rows. */
import type { Caller } from '../auth/caller'
import { refuseDeleted, type Services, type SignedIn } from '../auth/guard'
import { isRefused, userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { isNamed, matchedRevisions, notModified, type Revisions, revisionTag } from '../http/etag'
import { idempotencyKey } from '../http/idempotency'
import { Problem } from '../http/problems'
import { untilWritten } from '../tasks/draft'
import type { Move } from '../tasks/model'
import { onlyOnce } from '../tasks/once'
import { answerWhole } from '../tasks/whole-list'
import { positionAt } from './arrange'
import {
  type CountedRow,
  type List,
  type ListCreate,
  type ListDeleteQuery,
  type ListUpdate,
  MAX_LISTS,
  toList,
} from './model'
import * as queries from './queries'

interface ListContext extends SignedIn {
  params: { id: number }
}
type WriteContext = Omit<ListContext, 'path'>

export function createHandlers({ database }: Services) {
  const ownerState = database.batch(userState)

  // each handler names what it uses of the context: Elysia trap 21 (docs/elysia.md)
  const list = async ({ caller, sql, request, set }: SignedIn): Promise<List[]> =>
    answerWhole('lists', ownerState, { caller, request, set }, async () =>
      (await queries.readLists(sql, caller.id)).map(toList),
    )

  return { list, create, read, change, move, remove }
}

async function create({ body, caller, sql, path, request, set }: SignedIn & { body: ListCreate }) {
  const key = idempotencyKey(request, path, body)
  const createList = () =>
    untilWritten(caller.id, async () => {
      const { revision, lists } = await readForWrite(sql, caller)
      if (lists.length >= MAX_LISTS) throw new Problem('TOO_MANY')
      return queries.createList(sql, caller, body, revision, key)
    })
  const { answer, isReplay } = await onlyOnce(sql, caller, key, createList)
  if (isReplay) set.headers['idempotency-replayed'] = 'true'
  set.status = 201
  set.headers['location'] = `${path.replace(/\/$/, '')}/${answer.id}`
  return tagged(set, { ...answer, open_count: 0 })
}

async function read({ params, caller, sql, request, set }: ListContext): Promise<List> {
  const list = await findList(sql, caller, params.id)
  const tag = revisionTag(list.revision)
  return isNamed(request.headers.get('if-none-match'), tag) ? notModified(set, tag) : tagged(set, list)
}

async function change({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: WriteContext & { body: ListUpdate }): Promise<List> {
  const list = await queries.updateList(sql, caller, params.id, body, ifMatchOf(request))
  // there is no such list, or it has another revision
  if (!list) throw await conflict(sql, caller, params.id)
  return tagged(set, list)
}

async function move({
  params,
  body,
  caller,
  sql,
  request,
  set,
}: WriteContext & { body: Move }): Promise<List> {
  const list = await untilWritten(caller.id, async () => {
    const { revision, lists } = await readMatching(sql, caller, params.id, ifMatchOf(request))
    const position = positionAt(lists, params.id, body)
    return queries.moveList(sql, caller, params.id, position, revision)
  })
  return tagged(set, list)
}

async function remove({
  params,
  query,
  caller,
  sql,
  request,
  set,
}: WriteContext & { query: ListDeleteQuery }): Promise<void> {
  await untilWritten(caller.id, async () => {
    const { revision } = await readMatching(sql, caller, params.id, ifMatchOf(request))
    const toTrash = query.tasks === 'trash'
    return (await queries.deleteList(sql, caller, params.id, toTrash, revision)) || 'stale'
  })
  set.status = 204
}

/** @throws Problem TOKEN_INVALID for a deleted user */
async function readForWrite(sql: Sql, caller: Caller): Promise<queries.ListsRead> {
  const found = await queries.readForWrite(sql, caller.id)
  if (isRefused(caller, found.refuse_tokens_until)) throw refuseToken('revoked')
  return found
}

/** @throws Problem TOKEN_INVALID, LIST_NOT_FOUND or PRECONDITION_FAILED */
async function readMatching(
  sql: Sql,
  caller: Caller,
  id: number,
  ifMatch: Revisions,
): Promise<queries.ListsRead> {
  const found = await readForWrite(sql, caller)
  const list = found.lists.find((each) => each.id === id)
  if (!list) throw new Problem('LIST_NOT_FOUND')
  if (ifMatch?.includes(list.revision) === false) throw await conflict(sql, caller, id)
  return found
}

/** @throws Problem LIST_NOT_FOUND, or TOKEN_INVALID for a deleted user */
async function findList(sql: Sql, caller: Caller, id: number): Promise<CountedRow> {
  const list = await queries.findList(sql, caller, id)
  if (list) return list
  await refuseDeleted(sql, caller)
  throw new Problem('LIST_NOT_FOUND')
}

/** @returns the problem of a list that has another revision @throws as `findList` does */
async function conflict(sql: Sql, caller: Caller, id: number): Promise<Problem> {
  const current = toList(await findList(sql, caller, id))
  return new Problem('PRECONDITION_FAILED', { current, headers: { etag: revisionTag(current.revision) } })
}

function tagged(set: SignedIn['set'], row: CountedRow): List {
  set.headers['etag'] = revisionTag(row.revision)
  return toList(row)
}

function ifMatchOf({ headers }: Request): Revisions {
  return matchedRevisions(headers.get('if-match'))
}
