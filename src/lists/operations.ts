/** The operations on lists: their input, their answers and their documentation. */
import { t } from 'elysia'
import { OWNER_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { Move, OwnerParams } from '../tasks/model'
import {
  AllLists,
  CreatedList,
  ListChanged,
  ListCreate,
  ListDeleteQuery,
  ListParams,
  ListUpdate,
  MAX_LISTS,
  TaggedList,
} from './model'

const tag = 'Lists'

const ALL_PROBLEMS = [...OWNER_PROBLEMS, 'VALIDATION_ERROR'] as const
const LIST_PROBLEMS = [...ALL_PROBLEMS, 'LIST_NOT_FOUND'] as const

const changedList = {
  200: TaggedList,
  412: ListChanged,
  ...problems(...LIST_PROBLEMS, ...BODY_PROBLEMS),
}

export const listLists = {
  ...input({ params: OwnerParams }),
  response: { 200: AllLists, ...problems(...ALL_PROBLEMS) },
  detail: operation({
    id: 'listLists',
    tag,
    summary: 'List the lists',
    description: 'All of them, archived ones too, as the user has arranged them.',
    headers: ['If-None-Match'],
  }),
}

export const createList = {
  ...input({ params: OwnerParams, body: ListCreate }),
  response: {
    201: CreatedList,
    ...problems(...ALL_PROBLEMS, ...BODY_PROBLEMS, 'TOO_MANY', 'IDEMPOTENCY_KEY_REUSED'),
  },
  detail: operation({
    id: 'createList',
    tag,
    summary: 'Create a list',
    description: `A new list comes last. A user has at most ${MAX_LISTS}. With an \`Idempotency-Key\`, the same request within 24 hours gets the first answer again.`,
    headers: ['Idempotency-Key'],
    repeatable: 'with-key',
  }),
}

export const readList = {
  ...input({ params: ListParams }),
  response: { 200: { ...TaggedList, notModified: true }, ...problems(...LIST_PROBLEMS) },
  detail: operation({
    id: 'readList',
    tag,
    summary: 'Read a list',
    description:
      'The list of another user gets the same answer as a list that does not exist. `open_count` is not part of the ETag.',
    headers: ['If-None-Match'],
  }),
}

export const patchList = {
  ...input({ params: ListParams, body: ListUpdate }),
  response: changedList,
  detail: operation({
    id: 'patchList',
    tag,
    summary: 'Change a list',
    description: 'Changes only the fields that are sent; `null` clears the colour.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const moveList = {
  ...input({ params: ListParams, body: Move }),
  response: changedList,
  detail: operation({
    id: 'moveList',
    tag,
    summary: 'Move a list',
    description: 'Changes the `position` of this list alone.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}

export const deleteList = {
  ...input({ params: ListParams, query: ListDeleteQuery }),
  response: { 204: t.Void(), 412: ListChanged, ...problems(...LIST_PROBLEMS) },
  detail: operation({
    id: 'deleteList',
    tag,
    summary: 'Delete a list',
    description:
      'For good. Its tasks go to the inbox, or with `tasks=trash` to the trash, with their steps. A second `DELETE` answers 404.',
    headers: ['If-Match'],
    repeatable: 'always',
  }),
}
