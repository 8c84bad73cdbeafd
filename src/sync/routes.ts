/** HTTP for staying in step: changes since a moment, and changes as they happen. Mounted at both addresses. */
import { Elysia, t } from 'elysia'
import { type Gate, OWNER_PROBLEMS, signedInOwner } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Caller } from '../auth/verify'
import { documentedHeaders } from '../docs/document'
import { Problem, problems } from '../http/problems'
import { sentQuery } from '../http/query'
import type { ServerState } from '../http/server-state'
import { numberOf } from '../http/validation'
import { OwnerParams } from '../tasks/model'
import { decodePosition, encodePosition, type Position } from './cursor'
import { eventStream, noStream } from './events'
import type { Live } from './live'
import { Changes, ChangesQuery, EventsQuery, MAX_CHANGES, toChange } from './model'
import { readChanges } from './queries'
import type { StreamSlots } from './stream-slots'

const tags = ['Tasks']

const OWN = [...OWNER_PROBLEMS, 'VALIDATION_ERROR', 'CURSOR_EXPIRED'] as const

export function syncRoutes(gate: Gate, live: Live, places: StreamSlots, serverState: ServerState) {
  return new Elysia()
    .use(signedInOwner(gate))
    .get(
      '/changes',
      async ({ query: { since, ...query }, caller, sql, request }) => {
        sentQuery(request)
        const limit = numberOf(query.limit ?? MAX_CHANGES)
        const position = since === undefined ? null : decodePosition(caller.id, since, 'query')
        // one more than asked for tells whether there are more
        const read = await readChanges(sql, caller, position, limit + 1)
        refuseLost(caller, read, position)
        const changes = read.changes.slice(0, limit)
        const has_more = read.changes.length > limit
        const revision = has_more ? (changes.at(-1)?.revision ?? 0) : read.revision
        const begun = position?.begun ?? read.revision
        return {
          changes: changes.map(toChange),
          cursor: encodePosition(caller.id, { revision, begun }),
          has_more,
        }
      },
      {
        params: OwnerParams,
        query: ChangesQuery,
        response: { 200: Changes, ...problems(...OWN) },
        detail: {
          tags,
          operationId: 'readChanges',
          summary: 'Read what has changed',
          description:
            'In the order in which it happened: whoever applies page after page has the same tasks as the server, ' +
            'whatever is written meanwhile. Without `since`, all that is there now. After some weeks deletions are ' +
            'forgotten, and a cursor from before is 410: start anew.',
        },
      },
    )
    .get(
      '/events',
      async ({ query: { since }, caller, sql, request }) => {
        sentQuery(request)
        if (live.isClosed()) throw new Problem('SHUTTING_DOWN')
        const position = positionOf(caller, request.headers.get('last-event-id'), since)
        const read = await readChanges(sql, caller, position, 0)
        refuseLost(caller, read, position)
        const leave = await places.take(caller.id)
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
      },
      {
        params: OwnerParams,
        query: EventsQuery,
        response: { 200: EVENTS, ...problems(...OWN, 'SHUTTING_DOWN') },
        detail: {
          tags,
          operationId: 'streamEvents',
          summary: 'Follow changes as they happen',
          description:
            'Server-sent events: each `data` is a change, its `id` the cursor after it. Begins after `Last-Event-ID` ' +
            'or `since`, or now. Ends when the token expires; at most 20 at a time.',
          ...documentedHeaders('Last-Event-ID'),
        },
      },
    )
}

/** Typed as text, which is what arrives; Elysia passes a `Response` on as it is. */
const EVENTS = t.Unsafe<string>(t.Any({ mediaTypes: { 'text/event-stream': { type: 'string' } } }))

/** The header wins: `EventSource` sends it, with the same address, when it connects anew. */
function positionOf({ id }: Caller, lastEventId: string | null, since: string | undefined): Position | null {
  if (lastEventId) return decodePosition(id, lastEventId, 'header')
  return since === undefined ? null : decodePosition(id, since, 'query')
}

/** @throws Problem TOKEN_INVALID for a deleted user, CURSOR_EXPIRED where changes since the position are lost */
function refuseLost(
  caller: Caller,
  { revision, purged_revision, refuse_tokens_until }: Omit<UserState, 'version'>,
  position: Position | null,
): void {
  if (isRefused(caller, refuse_tokens_until)) throw refuseToken('revoked')
  if (position === null) return
  // while a client still walks through what was there when it began, that is ahead of where it has come
  const known = Math.max(position.revision, position.begun)
  const isPurged = purged_revision > known
  // a database that was restored from a backup knows less than its clients
  const isAhead = known > revision
  if (isPurged || isAhead) throw new Problem('CURSOR_EXPIRED')
}
