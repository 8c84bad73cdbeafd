/** The operations of synchronization: what each takes, how it answers, and what the document says of it. */
import { t } from 'elysia'
import { OWNER_PROBLEMS } from '../auth/guard'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { OwnerParams } from '../tasks/model'
import { Changes, ChangesQuery, EventsQuery } from './model'

const tag = 'Tasks'

const SYNC_PROBLEMS = [...OWNER_PROBLEMS, 'VALIDATION_ERROR', 'CURSOR_EXPIRED'] as const

export const readChanges = {
  ...input({ params: OwnerParams, query: ChangesQuery }),
  response: { 200: Changes, ...problems(...SYNC_PROBLEMS) },
  detail: operation({
    id: 'readChanges',
    tag,
    summary: 'Read what has changed',
    description:
      'In the order in which it happened: a client that applies page after page has the same tasks as the server, ' +
      'whatever is written meanwhile. Without `since`, all that is there now. After some weeks deletions are ' +
      'forgotten, and a cursor from before is 410: start anew.',
  }),
}

/** Typed as text, which is what arrives; Elysia passes a `Response` on as it is. */
const Events = t.Unsafe<string>(t.Any({ mediaTypes: { 'text/event-stream': { type: 'string' } } }))

export const streamEvents = {
  ...input({ params: OwnerParams, query: EventsQuery }),
  response: { 200: Events, ...problems(...SYNC_PROBLEMS, 'SHUTTING_DOWN') },
  detail: operation({
    id: 'streamEvents',
    tag,
    summary: 'Follow changes as they happen',
    description:
      'Server-sent events: each `data` is a change, its `id` the cursor after it. Begins after `Last-Event-ID` or ' +
      '`since`, or now. Ends when the token expires; at most 20 at a time.',
    headers: ['Last-Event-ID'],
  }),
}
