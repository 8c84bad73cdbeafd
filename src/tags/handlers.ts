/** The handlers of tags: each runs statements and makes an answer of their rows. */
import type { Caller } from '../auth/caller'
import type { Services, SignedIn } from '../auth/guard'
import { isRefused, userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Sql } from '../database/sql'
import { Problem } from '../http/problems'
import { untilWritten } from '../tasks/draft'
import { answerWhole } from '../tasks/whole-list'
import type { Tag, TagChange, TagRename } from './model'
import * as queries from './queries'

interface TagContext extends Pick<SignedIn, 'caller' | 'sql'> {
  params: { name: string }
}

export function createHandlers({ database }: Services) {
  const ownerState = database.batch(userState)

  // each handler names what it uses of the context: Elysia trap 21 (docs/elysia.md)
  const list = async ({ caller, sql, request, set }: SignedIn): Promise<Tag[]> =>
    answerWhole('tags', ownerState, { caller, request, set }, () => queries.readTags(sql, caller.id))

  return { list, rename, remove }
}

async function rename({ params, body, caller, sql }: TagContext & { body: TagRename }): Promise<TagChange> {
  return writeTag(sql, caller, params.name, body.name)
}

async function remove({ params, caller, sql }: TagContext): Promise<TagChange> {
  return writeTag(sql, caller, params.name, null)
}

/** @param next the new name; null: the tag is taken away @throws Problem TAG_NOT_FOUND, or TOKEN_INVALID for a deleted user */
async function writeTag(sql: Sql, caller: Caller, given: string, next: string | null): Promise<TagChange> {
  const changed = await untilWritten(caller.id, async () => {
    const { revision, refuse_tokens_until, name, other } = await queries.readTag(sql, caller.id, given, next)
    if (isRefused(caller, refuse_tokens_until)) throw refuseToken('revoked')
    if (name === null) throw new Problem('TAG_NOT_FOUND')
    const spelled = other ?? next
    return spelled === name ? 0 : queries.writeTag(sql, caller, name, spelled, revision)
  })
  return { changed }
}
