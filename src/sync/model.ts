/** What a change looks like. */
import { t } from 'elysia'
import { component, strict, wholeNumber } from '../http/schemas'
import { Task, type TaskRow, toTask } from '../tasks/model'

export const Tombstone = component(
  'Tombstone',
  t.Object(
    {
      id: t.Number({ documented: { type: 'integer' } }),
      revision: t.Number({ documented: { type: 'integer' } }),
      deleted: t.Literal(true),
    },
    { ...strict, description: 'The end of a task', examples: [{ id: 42, revision: 8, deleted: true }] },
  ),
)

export const Change = component(
  'Change',
  t.Union([Task, Tombstone], { description: 'A task as it is now, or its end' }),
)
export type Change = typeof Change.static

export const Changes = component(
  'Changes',
  t.Object(
    {
      changes: t.Array(Change),
      cursor: t.String({ description: 'What to ask with next: for more now, or for news later' }),
      has_more: t.Boolean(),
    },
    { ...strict, description: 'Changes in their order' },
  ),
)

export type Changes = typeof Changes.static

export const MAX_CHANGES = 500

const since = t.Optional(
  t.String({
    maxLength: 4096,
    rule: 'must be a cursor of these changes',
    description: 'The `cursor` of the answer before; left out: all that is there now',
  }),
)

export const ChangesQuery = t.Object(
  {
    since,
    limit: t.Optional(
      wholeNumber(
        '^0*(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$',
        `must be a whole number from 1 to ${MAX_CHANGES}`,
        {
          minimum: 1,
          maximum: MAX_CHANGES,
          default: MAX_CHANGES,
          description: 'How many changes at most',
        },
      ),
    ),
  },
  strict,
)

export type ChangesQuery = typeof ChangesQuery.static

export const EventsQuery = t.Object({ since }, strict)
export type EventsQuery = typeof EventsQuery.static

/** From a row to what is answered: of a tombstone, nothing but that it is one. */
export function toChange(row: TaskRow): Change {
  return row.deleted_at === null ? toTask(row) : { id: row.id, revision: row.revision, deleted: true }
}
