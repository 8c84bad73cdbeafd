/** Entity tags: a task's is its revision, a list's the revision of its owner (RFC 9110 section 8.8.3). */

/** A strong tag: the same revision is the same text, to the byte. */
export function taskTag(revision: number): string {
  return `"${revision}"`
}

/** A weak tag: the same tasks, whatever they look like. @param form tells apart what one address can answer */
export function listTag(revision: number, form: string): string {
  return `W/"${revision}-${form}"`
}

/** RFC 9110 section 8.8.3. */
const TAGS = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g

/** A list of them; one with anything else in it names none, so that half of `w/"7"` is not taken for a strong tag. */
function tagsOf(header: string): string[] {
  return /^[\s,]*$/.test(header.replace(TAGS, '')) ? (header.match(TAGS) ?? []) : []
}

/**
 * The revisions that `If-Match` lets through. RFC 9110 section 13.1.1 asks for strong comparison, because a weak tag may
 * stand for several states; ours never does. Proxies that compress make `W/"7"` of `"7"`, and refusing that would be a 412
 * for every guarded write behind them.
 *
 * @returns null if there is no such header, or it is `*`; a tag that is no task's lets nothing through
 */
export function matchedRevisions(ifMatch: string | null): number[] | null {
  if (ifMatch === null || ifMatch.trim() === '*') return null
  return tagsOf(ifMatch).flatMap((tag) => {
    const [, revision] = /^(?:W\/)?"([1-9]\d{0,15})"$/.exec(tag) ?? []
    return revision === undefined || !Number.isSafeInteger(Number(revision)) ? [] : [Number(revision)]
  })
}

/** What an answer's status and headers are written to. */
export interface Answer {
  status?: number | string
  headers: Record<string, string | number | undefined>
}

/**
 * RFC 9110 section 15.4.5.
 *
 * @returns no body; typed as what would have been answered, so that no other status has to be declared for it
 */
export function notModified<T>(set: Answer, tag: string): T {
  set.status = 304
  set.headers['etag'] = tag
  return undefined as T
}

/** Whether `If-None-Match` names the tag; by weak comparison, as section 13.1.2 has it. */
export function isNamed(ifNoneMatch: string | null, tag: string): boolean {
  if (ifNoneMatch === null) return false
  if (ifNoneMatch.trim() === '*') return true
  const opaque = tag.replace(/^W\//, '')
  return tagsOf(ifNoneMatch).some((each) => each.replace(/^W\//, '') === opaque)
}

/** The revision of the list that the client has, if `If-None-Match` names one of this form. */
export function knownRevision(ifNoneMatch: string | null, form: string): number | null {
  const revisions = tagsOf(ifNoneMatch ?? '').flatMap((tag) => {
    const [, revision, itsForm] = /^(?:W\/)?"(\d{1,15})-(.*)"$/.exec(tag) ?? []
    return revision !== undefined && itsForm === form ? [Number(revision)] : []
  })
  // of several, the newest is the only one that can still be true
  return revisions.length === 0 ? null : Math.max(...revisions)
}
