/** Finds out whose token for programs a request has. */
import { LRUCache } from 'lru-cache'
import { type Caller, knownScopes } from '../auth/caller'
import { hashOf } from '../auth/random-secret'
import { refuseToken } from '../auth/refusal'
import type { FindByApiToken } from '../auth/verify'
import type { Database } from '../database/database'
import { grant, noteUse } from './queries'

/** In milliseconds. So long may a token be used that another process has ended. */
const REMEMBERED_FOR = 500
/** How many tokens are remembered. */
const MAX_REMEMBERED = 10_000

export interface TokenFinder {
  find: FindByApiToken
  /** Called when tokens have ended: in this process, they end at once. */
  forget(): void
}

export function createTokenFinder(database: Pick<Database, 'batch' | 'sqlFor'>): TokenFinder {
  const findGrant = database.batch(grant)
  let remembered = newMemory()

  return {
    async find(token, context) {
      const known = remembered.get(token)
      if (known && known.expiresAt > Date.now() / 1000) return known
      // if tokens end meanwhile, the outcome goes into a memory that is no longer read
      const memory = remembered
      const start = performance.now()
      const found = await findGrant(context, hashOf(token).toString('hex'))
      if (!found) throw refuseToken('unknown_token')
      if (found.expires_at !== null && found.expires_at <= Date.now() / 1000) throw refuseToken('expired')
      if (found.is_due) await noteUse(database.sqlFor(context), found)
      const caller: Caller = {
        id: found.user_id,
        issuedAt: found.issued_at,
        expiresAt: found.expires_at ?? Number.POSITIVE_INFINITY,
        sessionId: null,
        tokenId: found.id,
        scopes: knownScopes(found.scopes),
      }
      memory.set(token, caller, { start })
      return caller
    },
    forget() {
      remembered = newMemory()
    },
  }
}

function newMemory() {
  return new LRUCache<string, Caller>({ max: MAX_REMEMBERED, ttl: REMEMBERED_FOR, ttlResolution: 0 })
}
