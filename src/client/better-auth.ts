/** Tokens of Better Auth: kept as long as they are good, instead of asked for before every request. */
import { claimsOf } from './claims'
import type { TokenFunction } from './given-token'
import { MARGIN, NotRenewed } from './session'

/** What `createAuthClient` of `better-auth` 1 gives, with or without its `jwtClient` plugin, as far as it is used here. */
export interface BetterAuthClient {
  $fetch(path: string): Promise<unknown>
  $store?: {
    listen?(signal: '$sessionSignal', listener: () => void): unknown
    /** The session, if the app uses it. Reading `value` does not ask the server for it. */
    atoms?: Record<string, { value?: unknown } | undefined>
  }
}

interface Kept {
  token: string
  /** In milliseconds since 1970, by this clock. */
  until: number
  /** The id of the Better Auth session; undefined until it is known. */
  session: unknown
}

/**
 * Makes a `token` for `createClient` from a client of Better Auth, whose server needs the `jwt` plugin.
 *
 *     const authClient = createAuthClient({ plugins: [jwtClient()] })
 *     const client = createClient('https://tasks.example', { token: betterAuthToken(authClient) })
 *
 * A token is kept until 30 seconds before its end, and asked for once for all requests that wait for it. It is dropped when
 * the user signs in or out, or is another one, and when the server refuses it.
 *
 * @returns a function that gives undefined if nobody is signed in there. If Better Auth cannot be asked, the call that
 *   needs the token answers `NO_ANSWER`; without the `jwt` plugin it rejects
 */
export function betterAuthToken(
  authClient: BetterAuthClient,
): ((options?: { expired?: string | undefined }) => Promise<string | undefined>) &
  Pick<TokenFunction, 'onChange'> {
  let kept: Kept | undefined
  let asking: Promise<string | undefined> | undefined

  function drop(): void {
    kept = undefined
    // what is under way may be the token of the earlier session
    asking = undefined
  }
  function ask(): Promise<string | undefined> {
    const mine: Promise<string | undefined> = requestToken(authClient)
      .then((token) => {
        // the session has changed meanwhile
        if (asking !== mine) return asking ?? ask()
        if (token !== undefined) {
          kept = { token, until: Date.now() + lifeOf(token), session: sessionOf(authClient) }
        }
        return token
      })
      .finally(() => {
        if (asking === mine) asking = undefined
      })
    asking = mine
    return mine
  }

  const listeners = new Set<() => void>()
  authClient.$store?.listen?.('$sessionSignal', () => {
    drop()
    for (const listener of listeners) listener()
  })
  const token = async ({ expired }: { expired?: string | undefined } = {}) => {
    const session = sessionOf(authClient)
    if (kept && session !== undefined) {
      // the session that becomes known after the token is the token's own
      if (kept.session === undefined && session !== null) kept.session = session
      if (kept.session !== session) drop()
    }
    if (kept && kept.token !== expired && Date.now() < kept.until) return kept.token
    return asking ?? ask()
  }
  return Object.assign(token, { onChange: (listener: () => void) => listeners.add(listener) })
}

/** @returns undefined if the user is signed out. @throws NotRenewed if Better Auth cannot be asked */
async function requestToken({ $fetch }: BetterAuthClient): Promise<string | undefined> {
  // with its option `throw`, Better Auth gives the data alone, and throws the error
  const answer: { data?: unknown; error?: unknown } = await $fetch('/token').then(
    toObject,
    (error: unknown) => ({
      error,
    }),
  )
  const { token } = toObject(answer.data ?? answer)
  if (typeof token === 'string') return token
  const { status } = toObject(answer.error)
  if (status === 401) return undefined
  if (typeof status === 'number' && status < 500 && status !== 429) {
    const hint = status === 404 ? ': its server needs the plugin jwt()' : ''
    throw new Error(`Better Auth answered ${status} to /token${hint}`)
  }
  throw new NotRenewed('Better Auth gave no token', { cause: answer.error })
}

/** In milliseconds, by the token's own times: this clock need not agree with the issuer's. 0 if it does not say. */
function lifeOf(token: string): number {
  const { exp, iat } = claimsOf(token) ?? {}
  if (typeof exp !== 'number') return 0
  const life = exp * 1000 - (typeof iat === 'number' ? iat * 1000 : Date.now())
  return life - Math.min(MARGIN, life / 10)
}

/** @returns the id of the session; null without one; undefined if the app has not asked for it */
function sessionOf({ $store }: BetterAuthClient): unknown {
  const { data, isPending } = toObject($store?.atoms?.['session']?.value)
  if (isPending !== false) return undefined
  return toObject(toObject(data)['session'])['id'] ?? null
}

function toObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
