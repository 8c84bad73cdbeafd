/** The schemas of changes, and of the queries for them. */
import { t } from 'elysia'
import { component, integer, namedObject, strict, wholeNumber } from '../http/schemas'
import { Task, type TaskRow, toTask } from '../tasks/model'

const Tombstone = namedObject(
  'Tombstone',
  { id: integer(), revision: integer(), deleted: t.Literal(true) },
  { description: 'A task was deleted', examples: [{ id: 42, revision: 8, deleted: true }] },
)

export const Change = component(
  'Change',
  t.Union([Task, Tombstone], { description: 'A task as it is now, or the fact that it was deleted' }),
)
export type Change = typeof Change.static

export const Changes = namedObject(
  'Changes',
  {
    changes: t.Array(Change),
    cursor: t.String({
      description: 'The `since` of the next request: for more pages now, or for new changes later',
    }),
    has_more: t.Boolean(),
  },
  { description: 'A page of changes, in their order' },
)

export type Changes = typeof Changes.static

export const MAX_CHANGES = 500

function since(leftOut: string) {
  const description = `The \`cursor\` of the previous answer; left out: ${leftOut}`
  return t.Optional(t.String({ maxLength: 4096, rule: 'must be a cursor of these changes', description }))
}

export const ChangesQuery = t.Object(
  {
    since: since('begins with all present tasks'),
    limit: t.Optional(
      wholeNumber(
        '^0*(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$',
        `must be a whole number from 1 to ${MAX_CHANGES}`,
        {
          minimum: 1,
          maximum: MAX_CHANGES,
          default: MAX_CHANGES,
          description: 'How many changes the answer has at most',
        },
      ),
    ),
  },
  strict,
)

export type ChangesQuery = typeof ChangesQuery.static

export const EventsQuery = t.Object(
  {
    since: since('begins now'),
    ticket: t.Optional(
      t.String({ description: 'Instead of a token, for `EventSource`: from `POST …/events/ticket`' }),
    ),
  },
  strict,
)
export type EventsQuery = typeof EventsQuery.static

export const EventTicket = namedObject(
  'EventTicket',
  {
    ticket: t.String({ description: 'Opens one stream: `GET …/events?ticket=<ticket>`' }),
    expires_in: integer({ description: 'How long the ticket is valid, in seconds' }),
  },
  {
    description: 'A ticket for a stream of events',
    examples: [{ ticket: 'Vb0oTnpJ6YpjTgkzB2wYbUeLAJQ5q2s3Xf1mC8dRk7E', expires_in: 60 }],
  },
)
export type EventTicket = typeof EventTicket.static

/** @returns the task, or only its id and revision if it was deleted */
export function toChange(row: TaskRow): Change {
  return row.deleted_at === null ? toTask(row) : { id: row.id, revision: row.revision, deleted: true }
}
