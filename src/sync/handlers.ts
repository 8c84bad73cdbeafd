/** What each route of synchronization does. */
import type { Services, SignedIn } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import { Problem } from '../http/problems'
import { decodePosition, encodePosition, type Position } from './cursor'
import { eventStream, noStream } from './events'
import type { Live } from './live'
import { type Changes, type ChangesQuery, type EventsQuery, MAX_CHANGES, toChange } from './model'
import { readChanges } from './queries'
import type { StreamSlots } from './stream-slots'

export async function changes({
  query: { since, limit = MAX_CHANGES },
  caller,
  sql,
}: SignedIn & { query: ChangesQuery }): Promise<Changes> {
  const position = since === undefined ? null : decodePosition(caller.id, since, 'query')
  // one more than asked for tells whether there are more
  const read = await readChanges(sql, caller, position, limit + 1)
  refuseLost(caller, read, position)
  const page = read.changes.slice(0, limit)
  const has_more = read.changes.length > limit
  const revision = has_more ? (page.at(-1)?.revision ?? 0) : read.revision
  const begun = position?.begun ?? read.revision
  return { changes: page.map(toChange), cursor: encodePosition(caller.id, { revision, begun }), has_more }
}

export function createEventsHandler({ serverState }: Services, live: Live, slots: StreamSlots) {
  return async ({ query, caller, sql, request }: SignedIn & { query: EventsQuery }): Promise<string> => {
    if (live.isClosed()) throw new Problem('SHUTTING_DOWN')
    const position = positionOf(caller.id, request.headers.get('last-event-id'), query.since)
    const read = await readChanges(sql, caller, position, 0)
    refuseLost(caller, read, position)
    const leave = slots.take(caller.id)
    if (leave === undefined) throw new Problem('RATE_LIMITED')
    if (request.method === 'HEAD') {
      leave()
      return noStream()
    }
    const start = position ?? { revision: read.revision, begun: read.revision }
    return eventStream(live, caller, start, {
      // not by the context's `server`, which is another app's once this one is mounted there
      limitIdle: (seconds) => serverState.limitIdle(request, seconds),
      onStop: leave,
    })
  }
}

/** The header wins: `EventSource` sends it, with the same address, when it reconnects. */
function positionOf(owner: string, lastEventId: string | null, since: string | undefined): Position | null {
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
  // while a client still reads what was there when it began, `begun` is ahead of its revision
  const known = Math.max(position.revision, position.begun)
  const isPurged = purged_revision > known
  // a database that was restored from a backup knows less than its clients
  const isAhead = known > revision
  if (isPurged || isAhead) throw new Problem('CURSOR_EXPIRED')
}
