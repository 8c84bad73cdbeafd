/** The schemas of tags. */
import { t } from 'elysia'
import { withHeaders } from '../http/operation'
import { answered, integer, namedObject, strict } from '../http/schemas'
import { TagName } from '../tasks/fields'
import { UserId } from '../tasks/model'

export const Tag = namedObject(
  'Tag',
  {
    ...answered({ name: TagName }),
    count: integer({ minimum: 1, description: 'How many tasks have it that are not in the trash' }),
  },
  { description: 'A tag of tasks', examples: [{ name: 'errands', count: 3 }] },
)
export type Tag = typeof Tag.static

export const AllTags = withHeaders(t.Array(Tag, { notModified: true }), 'ETag')

export const TagRename = namedObject(
  'TagRename',
  { name: TagName },
  { description: 'The new name of a tag', examples: [{ name: 'shopping' }] },
)
export type TagRename = typeof TagRename.static

export const TagChange = namedObject(
  'TagChange',
  { changed: integer({ minimum: 0, description: 'How many tasks were changed, those in the trash too' }) },
  { description: 'What came of it', examples: [{ changed: 3 }] },
)
export type TagChange = typeof TagChange.static

const NameInPath = {
  ...TagName,
  documented: { ...TagName['documented'], description: "The tag's name, in any case", examples: ['errands'] },
}
export const TagParams = t.Object({ user_id: UserId, name: NameInPath }, strict)
