/** The handlers of synchronization. */
import type { Services, SignedIn } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import { invalid, Problem } from '../http/problems'
import { findLastTold } from '../reminders/queries'
import { decodePosition, encodePosition, type Position } from './cursor'
import { eventStream, noStream } from './events'
import type { Live } from './live'
import { type Changes, type ChangesQuery, type EventsQuery, MAX_CHANGES, toChange } from './model'
import { readChanges } from './queries'
import type { StreamSlots } from './stream-slots'

export async function readChangesPage({
  query: { since, limit = MAX_CHANGES },
  caller,
  sql,
}: SignedIn & { query: ChangesQuery }): Promise<Changes> {
  const position = positionOf(caller.id, since)
  // one more than the page takes tells whether there are more
  const read = await readChanges(sql, caller, position, limit + 1)
  refuseLost(caller, read, position)
  const page = read.changes.slice(0, limit)
  const has_more = read.changes.length > limit
  const revision = has_more ? (page.at(-1)?.revision ?? 0) : read.revision
  const begun = position?.begun ?? read.revision
  return { changes: page.map(toChange), cursor: encodePosition(caller.id, { revision, begun }), has_more }
}

/** RFC 6750 section 2 allows one method in a request. */
const BESIDE_TOKEN = { in: 'query', pointer: 'ticket', detail: 'must not be sent beside a token' } as const

export function createEventsHandler({ serverState }: Services, live: Live, slots: StreamSlots) {
  return async ({ query, caller, sql, request }: SignedIn & { query: EventsQuery }): Promise<string> => {
    if (query.ticket !== undefined && request.headers.has('authorization')) throw invalid(BESIDE_TOKEN)
    if (live.isClosed()) throw new Problem('SHUTTING_DOWN')
    const position = positionOf(caller.id, query.since, request.headers.get('last-event-id'))
    const told = await findLastTold(sql, 0)
    const read = await readChanges(sql, caller, position, 0)
    refuseLost(caller, read, position)
    const leave = slots.take(caller.id)
    if (leave === undefined) throw new Problem('RATE_LIMITED')
    if (request.method === 'HEAD') {
      leave()
      return noStream()
    }
    const start = { told, ...(position ?? { revision: read.revision, begun: read.revision }) }
    return eventStream(live, caller, start, {
      // Elysia trap 32 (docs/elysia.md)
      limitIdle: (seconds) => serverState.limitIdle(request, seconds),
      onStop: leave,
    })
  }
}

/**
 * `Last-Event-ID` wins over `since`: when `EventSource` reconnects, it sends both.
 *
 * @returns null if there is no cursor
 * @throws Problem VALIDATION_ERROR
 */
function positionOf(owner: string, since?: string, lastEventId?: string | null): Position | null {
  if (lastEventId) return decodePosition(owner, lastEventId, 'header')
  return since === undefined ? null : decodePosition(owner, since, 'query')
}

/** @throws Problem TOKEN_INVALID for a deleted user, CURSOR_EXPIRED if changes since the position are lost */
function refuseLost(
  caller: SignedIn['caller'],
  { revision, purged_revision, refuse_tokens_until }: Omit<UserState, 'version'>,
  position: Position | null,
): void {
  if (isRefused(caller, refuse_tokens_until)) throw refuseToken('revoked')
  if (position === null) return
  // `begun` is ahead of `revision` until a new client has read its first pages to the end
  const known = Math.max(position.revision, position.begun)
  const isPurged = purged_revision > known
  // after a restore from a backup, the database may have less than the client
  const isAhead = known > revision
  if (isPurged || isAhead) throw new Problem('CURSOR_EXPIRED')
}
