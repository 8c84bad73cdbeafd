/** The schemas of lists of tasks. */
import { t } from 'elysia'
import { withHeaders } from '../http/operation'
import { problemWith } from '../http/problems'
import {
  answered,
  idInPath,
  integer,
  Moment,
  namedObject,
  nullable,
  oneOf,
  POSITIVE,
  strict,
  text,
} from '../http/schemas'
import { UserId } from '../tasks/model'
import { placeOf } from '../tasks/positions'

/** How many lists a user may have. */
export const MAX_LISTS = 500

const fields = {
  name: text('list-name', { min: 1, max: 100, notBlank: true, description: 'Kept as sent, untrimmed' }),
  color: nullable(t.String({ pattern: '^#[0-9a-fA-F]{6}$' }), {
    rule: 'must be a colour such as #1e90ff, or null',
    description: 'Kept as sent; `null`: none',
  }),
  archived: t.Boolean({ rule: 'must be true or false' }),
}

const example = {
  id: 7,
  user_id: '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f',
  name: 'Household',
  color: '#1e90ff',
  archived: false,
  position: 'p0000000000000007',
  open_count: 12,
  created_at: '2026-01-15T09:30:00.000Z',
  updated_at: '2026-01-15T09:30:00.000Z',
  revision: 6,
}

export const List = namedObject(
  'List',
  {
    id: integer(POSITIVE),
    user_id: t.String({ description: 'The owner: the subject of the token' }),
    ...answered(fields),
    position: t.String({ description: 'Sorts lists, byte by byte, as the user has arranged them' }),
    open_count: integer({
      minimum: 0,
      description:
        'How many of its tasks, steps too, are open and not in the trash; not part of the revision',
    }),
    created_at: Moment,
    updated_at: Moment,
    revision: integer({
      ...POSITIVE,
      description: "The owner's count of changes when this list last changed",
    }),
  },
  { description: 'A list of tasks', examples: [example] },
)
export type List = typeof List.static

/** A row of `lists`. */
export interface ListRow extends Omit<List, 'position' | 'open_count'> {
  /** Null until the list is moved. */
  position: string | null
}

/** A row of `lists` with its count, which is null for a list that is new. */
export interface CountedRow extends ListRow {
  open_count: number | null
}

/** @returns the fields of the schema, in its order */
export function toList(row: CountedRow): List {
  const { id, user_id, name, color, archived, open_count, created_at, updated_at, revision } = row
  return {
    ...{ id, user_id, name, color, archived, position: placeOf(row) },
    ...{ open_count: open_count ?? 0, created_at, updated_at, revision },
  }
}

export const TaggedList = withHeaders(List, 'ETag')
export const CreatedList = withHeaders(List, 'ETag', 'Location', 'Idempotency-Replayed')
export const AllLists = withHeaders(t.Array(List, { notModified: true }), 'ETag')

/** A problem with the list as it is now. */
export const ListChanged = problemWith('PRECONDITION_FAILED', 'ListChanged', { current: List })

const change = t.Partial(t.Object(fields)).properties

export const ListCreate = namedObject(
  'ListCreate',
  { ...change, name: fields.name },
  { description: 'A new list', examples: [{ name: 'Household', color: '#1e90ff' }] },
)
export type ListCreate = typeof ListCreate.static

export const ListUpdate = namedObject('ListUpdate', change, {
  minProperties: 1,
  description: 'The fields to change; a field that is left out keeps its value',
  examples: [{ name: 'Garden' }],
})
export type ListUpdate = typeof ListUpdate.static

export const ListParams = t.Object({ user_id: UserId, id: idInPath("The list's id") }, strict)

export const ListDeleteQuery = t.Object(
  {
    tasks: t.Optional(
      oneOf(
        ['inbox', 'trash'],
        'Where its tasks go: to the inbox (the default), or to the trash with their steps',
      ),
    ),
  },
  strict,
)
export type ListDeleteQuery = typeof ListDeleteQuery.static
