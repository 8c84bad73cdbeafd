/**
 * Keeps answered pages of lists in memory, titles and descriptions included. A page is answered again as long as its
 * user's row is the same. That row is read for each request, so a page is never older than the database.
 */
import { LRUCache } from 'lru-cache'
import type { UserState } from '../auth/queries'

/** A page as it was answered. */
export interface Page {
  body: string
  /** The header `Link`, which leads to the next page. */
  link: string | undefined
  total: number | null
}

/** The state of a user's row when a page was read. */
export type State = Pick<UserState, 'revision' | 'version'>

export interface PageCache {
  /** @param address a different one for each list, page and form that a user can ask for */
  find(owner: string, address: string): { page: Page; state: State } | undefined
  keep(owner: string, address: string, page: Page, state: State): void
  /** Forgets all pages of a user. */
  forget(owner: string): void
}

/** In bytes: for all users together, and for one user. */
const MAX_BYTES = 16 * 1024 * 1024
const MAX_BYTES_OF_A_USER = 1024 * 1024
/** In milliseconds. */
const KEPT_FOR = 600_000

/** The pages of one user, all read in the same state. */
interface Shelf {
  state: State
  pages: Map<string, Page>
  size: number
}

/** Pages are found by user first, so that no user gets a page of another. */
export function createPageCache(): PageCache {
  const shelves = new LRUCache<string, Shelf>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ size }) => size,
    ttl: KEPT_FOR,
    // without it, expired pages would stay until they are asked for
    ttlAutopurge: true,
  })
  return {
    find(owner, address) {
      const { pages, state } = shelves.get(owner) ?? {}
      const page = pages?.get(address)
      return page && state && { page, state }
    },
    keep(owner, address, page, state) {
      const size = sizeOf(owner, address, page)
      if (size > MAX_BYTES_OF_A_USER) return
      const known = shelves.peek(owner)
      const hasRoom = known && isSame(known.state, state) && known.size + size <= MAX_BYTES_OF_A_USER
      const pages = hasRoom ? known.pages.set(address, page) : new Map([[address, page]])
      shelves.set(owner, { state, pages, size: size + (hasRoom ? known.size : 0) })
    },
    forget(owner) {
      shelves.delete(owner)
    },
  }
}

/** Whether neither the row nor the user's tasks have changed between the two. */
export function isSame(one: State, other: State): boolean {
  return one.revision === other.revision && one.version === other.version
}

/** An upper bound in bytes: two for each character, and 500 for the objects around the text. */
function sizeOf(owner: string, address: string, { body, link = '' }: Page): number {
  return 2 * (owner.length + address.length + body.length + link.length) + 500
}
