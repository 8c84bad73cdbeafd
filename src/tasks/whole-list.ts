/** Lists that are answered whole, without pages. */
import { hash } from 'node:crypto'
import type { SignedIn } from '../auth/guard'
import { isRefused, type UserState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import type { Batched } from '../database/batch'
import { knownRevision, listTag, notModified } from '../http/etag'
import { contextOf } from '../http/request-context'

/**
 * Answers a list whose ETag is its owner's revision. The revision is read before the list, so a list is never older than its
 * tag says.
 *
 * @param name tells the tags of this list from those of others
 * @returns what `read` gives, or nothing for 304
 * @throws Problem TOKEN_INVALID for a deleted user
 */
export async function answerWhole<Item>(
  name: string,
  userState: Batched<string, UserState | null>,
  { caller, request, set }: Pick<SignedIn, 'caller' | 'request' | 'set'>,
  read: () => Promise<readonly Item[]>,
): Promise<Item[]> {
  const { revision = 0, refuse_tokens_until = null } = (await userState(contextOf(request), caller.id)) ?? {}
  if (isRefused(caller, refuse_tokens_until)) throw refuseToken('revoked')
  // another user may sign in to a browser that has kept the last user's list of the same address
  const form = `${name}-${hash('sha256', caller.id, 'base64url').slice(0, 16)}`
  const tag = listTag(revision, form)
  if (knownRevision(request.headers.get('if-none-match'), form) === revision) return notModified(set, tag)
  set.headers['etag'] = tag
  // Elysia does not take the driver's own kind of array for JSON
  return [...(await read())]
}
