/** Entity tags: that of a resource is its revision, that of a list the revision of its owner (RFC 9110 section 8.8.3). */
import type { Answer } from './request-context'

/** A strong tag: the same revision is the same text, byte for byte. */
export function revisionTag(revision: number): string {
  return `"${revision}"`
}

/** A weak tag: another text with the same tasks may have it, too. @param form tells apart the answers of one address */
export function listTag(revision: number, form: string): string {
  return `W/"${revision}-${form}"`
}

/** RFC 9110 section 8.8.3. */
const TAGS = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g

/** The tags in a header; none if it holds anything else, because `w/"7"` must not be taken for a strong tag. */
function tagsOf(header: string): string[] {
  return /^[\s,]*$/.test(header.replace(TAGS, '')) ? (header.match(TAGS) ?? []) : []
}

/** The revisions that a write may change; null: any revision. */
export type Revisions = number[] | null

/**
 * The revisions that `If-Match` allows. RFC 9110 section 13.1.1 asks for strong comparison, because a weak tag may stand for
 * several states; ours never does. A proxy that compresses turns `"7"` into `W/"7"`: if we refused that, every guarded
 * write behind it would be a 412.
 *
 * @returns null for any revision: there is no such header, or it is `*`. A tag that no task can have allows none
 */
export function matchedRevisions(ifMatch: string | null): Revisions {
  if (ifMatch === null || ifMatch.trim() === '*') return null
  return tagsOf(ifMatch)
    .map((tag) => Number(/^(?:W\/)?"([1-9]\d{0,15})"$/.exec(tag)?.[1]))
    .filter(Number.isSafeInteger)
}

/**
 * Answers 304 (RFC 9110 section 15.4.5).
 *
 * @returns no body; typed as the success: Elysia trap 24 (docs/elysia.md)
 */
export function notModified<T>(set: Answer, tag: string): T {
  set.status = 304
  set.headers['etag'] = tag
  return undefined as T
}

/** Whether `If-None-Match` names the tag, by weak comparison (RFC 9110 section 13.1.2). */
export function isNamed(ifNoneMatch: string | null, tag: string): boolean {
  if (ifNoneMatch === null) return false
  if (ifNoneMatch.trim() === '*') return true
  const opaque = tag.replace(/^W\//, '')
  return tagsOf(ifNoneMatch).some((each) => each.replace(/^W\//, '') === opaque)
}

/** @returns the revision of the list that the client has, or null if `If-None-Match` names none of this form */
export function knownRevision(ifNoneMatch: string | null, form: string): number | null {
  const revisions = tagsOf(ifNoneMatch ?? '')
    .map((tag) => /^(?:W\/)?"(\d{1,15})-(.*)"$/.exec(tag) ?? [])
    .filter(([, , itsForm]) => itsForm === form)
    .map(([, revision]) => Number(revision))
  // only the newest can still be the present one
  return revisions.length === 0 ? null : Math.max(...revisions)
}
