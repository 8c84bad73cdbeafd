/** The operations on tags: their input, their answers and their documentation. */
import { OWNER_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { OwnerParams } from '../tasks/model'
import { AllTags, TagChange, TagParams, TagRename } from './model'

const tag = 'Tags'

const ALL_PROBLEMS = [...OWNER_PROBLEMS, 'VALIDATION_ERROR'] as const
const TAG_PROBLEMS = [...ALL_PROBLEMS, 'TAG_NOT_FOUND'] as const

export const listTags = {
  ...input({ params: OwnerParams }),
  response: { 200: AllTags, ...problems(...ALL_PROBLEMS) },
  detail: operation({
    id: 'listTags',
    tag,
    summary: 'List tags',
    description: 'In alphabetical order: those of tasks that are not in the trash.',
    headers: ['If-None-Match'],
  }),
}

export const renameTag = {
  ...input({ params: TagParams, body: TagRename }),
  response: { 200: TagChange, ...problems(...TAG_PROBLEMS, ...BODY_PROBLEMS) },
  detail: operation({
    id: 'renameTag',
    tag,
    summary: 'Rename a tag, or merge it into another one',
    description:
      'Changes all tasks that have the tag, those in the trash too. The name in the path may be in any case. If there is a ' +
      'tag of the new name, its spelling stays; if only the case is another, the spelling changes.',
    // the second time, there is no tag of the old name
    repeatable: 'always',
  }),
}

export const deleteTag = {
  ...input({ params: TagParams }),
  response: { 200: TagChange, ...problems(...TAG_PROBLEMS) },
  detail: operation({
    id: 'deleteTag',
    tag,
    summary: 'Take a tag from all tasks',
    description: 'Also from those in the trash. A second `DELETE` answers 404.',
    repeatable: 'always',
  }),
}
