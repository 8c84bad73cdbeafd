/**
 * Pages that were answered, to be answered again while the row of their user is the same. They are in memory, titles and
 * descriptions too. The database is asked for the state of the row each time, so they are as current as what it holds.
 */
import { LRUCache } from 'lru-cache'
import type { UserState } from '../auth/queries'

/** A page as it was answered. */
export interface Page {
  body: string
  /** To the next page: the header `Link`. */
  link: string | undefined
  total: number | null
}

/** A user's row as it was when a page was read. */
export type State = Pick<UserState, 'revision' | 'version'>

export interface PageCache {
  /** @param address tells apart all that one user can ask for */
  find(owner: string, address: string): { page: Page; state: State } | undefined
  keep(owner: string, address: string, page: Page, state: State): void
  /** Forgets all pages of a user. */
  forget(owner: string): void
}

/** In bytes, of all users and of one. */
const MAX_BYTES = 16 * 1024 * 1024
const MAX_BYTES_OF_A_USER = 1024 * 1024
/** In milliseconds. */
const KEPT_FOR = 600_000

/** The pages of one user, all of one state. */
interface Shelf {
  state: State
  pages: Map<string, Page>
  size: number
}

/** The user comes first, so that nobody is given another user's page. */
export function createPageCache(): PageCache {
  const shelves = new LRUCache<string, Shelf>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ size }) => size,
    ttl: KEPT_FOR,
    // also if nobody asks for them any more
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

/** Whether nothing has happened to the row, nor to the tasks, in between. */
export function isSame(one: State, other: State): boolean {
  return one.revision === other.revision && one.version === other.version
}

/** At most: two bytes a character, and what the objects around them take. */
function sizeOf(owner: string, address: string, { body, link = '' }: Page): number {
  return 2 * (owner.length + address.length + body.length + link.length) + 500
}
