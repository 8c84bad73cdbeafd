/** The operations of synchronization: their input, their answers and their documentation. */
import { t } from 'elysia'
import { OWNER_PROBLEMS } from '../auth/guard'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { Reminder } from '../reminders/model'
import { OwnerParams } from '../tasks/model'
import { Change, Changes, ChangesQuery, EventsQuery, EventTicket } from './model'

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
      'In the order of the changes: a client that applies page after page has the same tasks as the server, even if ' +
      'tasks change meanwhile. Without `since`, the answer begins with all present tasks. Deletions are forgotten ' +
      'after some weeks; an older cursor then gets 410, and the client starts anew.',
  }),
}

const ChangeEvent = {
  type: 'object',
  required: ['id', 'data'],
  properties: {
    id: { type: 'string', description: 'The cursor after the change' },
    data: { type: 'string', contentMediaType: 'application/json', contentSchema: Change },
  },
}

const ReminderEvent = {
  type: 'object',
  required: ['event', 'data'],
  properties: {
    event: { const: 'reminder' },
    data: { type: 'string', contentMediaType: 'application/json', contentSchema: Reminder },
  },
}

/** Typed as text: Elysia trap 24 (docs/elysia.md). */
const Events = t.Unsafe<string>(
  t.Any({
    mediaTypes: {
      'text/event-stream': { type: 'string', itemSchema: { anyOf: [ChangeEvent, ReminderEvent] } },
    },
  }),
)

export const streamEvents = {
  ...input({ params: OwnerParams, query: EventsQuery }),
  response: { 200: Events, ...problems(...SYNC_PROBLEMS, 'TICKET_INVALID', 'SHUTTING_DOWN') },
  detail: operation({
    id: 'streamEvents',
    tag,
    summary: 'Follow changes as they happen',
    description:
      'Server-sent events: each `data` is a change, and its `id` the cursor after it. An event named `reminder` is a ' +
      'reminder that has just fallen due, and has no `id`. The stream begins after `Last-Event-ID` or `since`, or ' +
      'now, and ends when the token expires. A user has at most 20 streams. ' +
      "A browser's `EventSource` sends no token: it gets a `ticket` for each stream.",
    headers: ['Last-Event-ID'],
  }),
}

export const createTicket = {
  ...input({ params: OwnerParams }),
  response: { 200: EventTicket, ...problems(...OWNER_PROBLEMS, 'VALIDATION_ERROR') },
  detail: operation({
    id: 'createEventTicket',
    tag,
    summary: 'Get a ticket for a stream of events',
    description:
      "For a browser's `EventSource`, which cannot send a token. A ticket opens one stream of events within a minute, " +
      'and nothing else. The stream ends when the token of this request expires.',
    // a ticket whose answer was lost expires
    repeatable: 'always',
  }),
}
