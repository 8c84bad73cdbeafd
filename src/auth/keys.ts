/** An issuer's public keys: fetched with a deadline, refreshed in the background, kept while the issuer is down. */
import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
} from 'jose'
import { Problem } from '../http/problems'

/** All in milliseconds. */
export const FETCH_DEADLINE = 3000
const MAX_AGE = 600_000
/** Between two fetches for unknown key ids, so that forged ids put no load on the issuer. */
const UNKNOWN_KEY_COOLDOWN = 30_000
/** Between two tries to refresh old keys while the issuer is down. */
const REFRESH_COOLDOWN = 30_000
/** Between two tries while there are no keys yet. It is short, because no token can be verified until then. */
const FIRST_KEYS_COOLDOWN = 1000

export type FindKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>

interface RemoteKeysOptions {
  /** Called when the keys have changed, so that tokens verified with the old ones can be forgotten. */
  onChange: () => void
  /** The clock, in milliseconds. */
  now?: () => number
  /** How long one fetch may take, in milliseconds. */
  deadline?: number
}

/**
 * The keys at one JWKS address (RFC 7517).
 *
 * @returns a function that finds a key. It throws Problem KEYS_UNAVAILABLE until the keys were fetched once, and jose's
 *   `JWKSNoMatchingKey` for a key that the issuer does not have
 */
export function remoteKeys(
  url: string,
  { onChange, now = Date.now, deadline = FETCH_DEADLINE }: RemoteKeysOptions,
): FindKey {
  let find: FindKey | undefined
  let text = ''
  let loadedAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let askedAgainAt = Number.NEGATIVE_INFINITY
  let loading: Promise<FindKey> | undefined

  async function load(): Promise<FindKey> {
    triedAt = now()
    const fetched = await fetchKeys(url, deadline)
    const loaded = createLocalJWKSet(JSON.parse(fetched))
    if (text !== fetched) onChange()
    text = fetched
    loadedAt = now()
    find = loaded
    return loaded
  }
  /** Requests that wait at the same time share one fetch. */
  function loadOnce(): Promise<FindKey> {
    loading ??= load().finally(() => {
      loading = undefined
    })
    return loading
  }
  async function firstKeys(): Promise<FindKey> {
    if (!loading && now() - triedAt < FIRST_KEYS_COOLDOWN) throw new Problem('KEYS_UNAVAILABLE')
    return loadOnce().catch((cause) => {
      throw new Problem('KEYS_UNAVAILABLE', { cause })
    })
  }
  function mayAskAgain(): boolean {
    if (loading) return true
    if (now() - askedAgainAt < UNKNOWN_KEY_COOLDOWN) return false
    askedAgainAt = now()
    return true
  }

  return async (header, token) => {
    if (!find) return (await firstKeys())(header, token)
    const known = find
    const isOld = now() - loadedAt > MAX_AGE && now() - triedAt > REFRESH_COOLDOWN
    // in the background, and a failure leaves the last good keys in place
    if (isOld) loadOnce().catch(() => {})
    try {
      return await known(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !mayAskAgain()) throw error
      const latest = await loadOnce().catch(() => known)
      return latest(header, token)
    }
  }
}

async function fetchKeys(url: string, deadline: number): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(deadline) })
  if (!response.ok) throw new Error(`The keys' address answered ${response.status}`)
  return response.text()
}

/** Asks several addresses at once, so that one that is down or slow does not delay the keys of another. */
export function anyOf(sources: readonly FindKey[]): FindKey {
  return (header, token) =>
    Promise.any(sources.map((find) => find(header, token))).catch(({ errors: failures }: AggregateError) => {
      // one that could not be fetched may have the key that the others lack
      throw failures.find((failure) => failure instanceof Problem) ?? failures[0]
    })
}
