/** Keeps a user signed in: holds the tokens, and renews them in time, once for all requests that wait. */
import { ALONE, type Hold } from './lease'
import { withLock } from './locks'
import { parseStored, type TokenStorage } from './storage'
import { pause } from './wait'

/** What `register`, `login` and `refresh` answer, as far as the session reads it. */
export interface TokenAnswer {
  access_token: string
  refresh_token: string
  /** In seconds. */
  expires_in: number
  user: { id: string }
}

export interface SessionOptions {
  /** The name of what is stored, and of the lock that tabs ask for. */
  key: string
  /**
   * Asks the server for new tokens, and gives up after so many milliseconds.
   *
   * @returns the new tokens, 'refused' if the refresh token is not good, 'unknown' if there was no such answer
   */
  refresh: (refreshToken: string, milliseconds: number) => Promise<TokenAnswer | 'refused' | 'unknown'>
  /** Without one, the tokens are gone with the page. */
  storage: TokenStorage | undefined
}

/** Why a session has ended: here or in another tab, because it could not be renewed, or for another user. */
export type EndReason = 'signed-out' | 'expired' | 'replaced'

/** What `sync` has to know of the session. */
export interface SessionEnds {
  /**
   * @param listener called when a user's session ends, with the user's id; `signOut` waits for a promise that it returns
   * @returns stops that
   */
  onEnd(listener: (reason: EndReason, userKey: string) => unknown): () => void
  /** @returns the id of the signed-in user, which names what is stored for that user; undefined if nobody is signed in */
  userKey(): Promise<string | undefined>
}

export interface Session extends SessionEnds {
  /** Takes the tokens of a user who has just signed in. */
  start(answer: TokenAnswer): Promise<void>
  /** Forgets the tokens, here and in the storage. @returns the refresh token, with which the session ends on the server */
  end(): Promise<string | undefined>
  /** @returns an access token that is good for a while, as far as this clock knows; undefined if nobody is signed in */
  accessToken(): Promise<string | undefined>
  /**
   * Renews an access token that the server has called expired.
   *
   * @returns a new one; undefined if nobody is signed in any more, or if the expired one was not this session's
   * @throws NotRenewed if the server could not be asked: the user stays signed in
   */
  renew(expired: string): Promise<string | undefined>
}

/** The server could not be asked for new tokens. */
export class NotRenewed extends Error {}

interface Tokens {
  /** The user's id. */
  user: string
  access: string
  refresh: string
  /** In milliseconds since 1970, by the clock of this machine, which need not agree with the server's. */
  renewAt: number
}

/** In milliseconds: how long before its end a token is renewed, or a tenth of its life if that is shorter. */
const MARGIN = 30_000
/**
 * In milliseconds: how long the first try may take, and when the second one follows. For 10 s the server lets a used
 * refresh token try again; after that it takes it for a stolen one, and ends the session.
 */
const REFRESH_DEADLINE = 4000
const RETRY_AFTER = 1000
/** In milliseconds. There is no third try, so the second one may take long. */
const RETRY_DEADLINE = 30_000
/** In milliseconds: for so long after a renewal without an answer, no other one is tried for an expired token. */
const JUST_NOW = 5000

export function createSession({ key, refresh, storage }: SessionOptions): Session {
  let tokens: Tokens | undefined
  /** The user's earlier access tokens: requests that are under way may carry them. */
  const superseded = new Set<string>()
  let loading: Promise<void> | undefined
  let renewing: Promise<boolean> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  /** A refresh token that the server has refused. */
  let refused: string | undefined
  const endListeners = new Set<(reason: EndReason, userKey: string) => unknown>()

  async function load(): Promise<void> {
    tokens = parse(await storage?.getItem(key))
  }
  function ensureLoaded(): Promise<void> {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
  async function save(next: Tokens | undefined): Promise<void> {
    tokens = next
    if (next) await storage?.setItem(key, JSON.stringify(next))
    else await storage?.removeItem(key)
  }
  /**
   * Takes what another tab has stored meanwhile: renewed tokens, or none.
   *
   * @returns whether this tab has other tokens than the known ones, so that what a renewal has got is out of date
   */
  async function takeNewer(known: Tokens): Promise<boolean> {
    const stored = parse(await storage?.getItem(key))
    if (tokens !== known) return true
    if (!storage || stored?.refresh === known.refresh) return false
    superseded.add(known.access)
    // if another user has signed in there, this page still shows the previous user's data: it gets no tokens
    tokens = stored?.user === known.user ? stored : undefined
    return true
  }
  /** @returns whether the server could be asked; 'contested' if it refused while another tab may be getting new tokens */
  async function renewLocked(hold: Hold): Promise<boolean | 'contested'> {
    const before = tokens
    if (!before) return true
    const answer = before.refresh === refused ? 'refused' : await refreshTwice(before)
    if (await takeNewer(before)) return true
    if (answer === 'unknown') {
      failedAt = Date.now()
      return false
    }
    if (answer === 'refused') {
      refused = before.refresh
      // if several tabs send the same token at once, the server accepts two of them and refuses the others
      if (!(await hold.isAlone())) return 'contested'
      if (await takeNewer(before)) return true
    }
    superseded.add(before.access)
    await save(answer === 'refused' ? undefined : toTokens(answer))
    return true
  }
  /** A lost answer has used the token up, but for some seconds the server accepts it once more. */
  async function refreshTwice(before: Tokens) {
    const answer = await refresh(before.refresh, REFRESH_DEADLINE)
    if (answer !== 'unknown') return answer
    await pause(RETRY_AFTER)
    // a tab that has slept meanwhile would send a token that was used long ago, and end the session of all tabs
    if (await takeNewer(before)) return answer
    return refresh(before.refresh, RETRY_DEADLINE)
  }
  async function renewShared(): Promise<boolean> {
    const known = tokens
    if (!storage) return (await renewLocked(ALONE)) !== false
    const isRenewed = async () => {
      if (tokens) await takeNewer(tokens)
      // after a long sleep, the tokens that another tab has stored may be due as well
      return tokens !== known && !isDue(tokens)
    }
    for (;;) {
      const outcome = await withLock(key, storage, isRenewed, renewLocked)
      if (outcome !== 'contested') return outcome !== false
    }
  }
  /** All requests that wait share one renewal, also those of other tabs. */
  function renewOnce(): Promise<boolean> {
    renewing ??= renewShared().finally(() => {
      renewing = undefined
    })
    return renewing
  }

  return {
    async start(answer) {
      // otherwise what is still being read would replace these tokens
      await ensureLoaded()
      superseded.clear()
      await save(toTokens(answer))
    },
    async end() {
      await ensureLoaded()
      const ended = tokens
      if (!ended) return undefined
      tokens = undefined
      const stored = parse(await storage?.getItem(key))
      // another user may have signed in in another tab
      if (stored?.user === ended.user) await storage?.removeItem(key)
      await Promise.all([...endListeners].map((listener) => listener('signed-out', ended.user)))
      return ended.refresh
    },
    onEnd(listener) {
      endListeners.add(listener)
      return () => endListeners.delete(listener)
    },
    async userKey() {
      await ensureLoaded()
      return tokens?.user
    },
    async accessToken() {
      await ensureLoaded()
      if (isDue(tokens)) await renewOnce()
      return tokens?.access
    },
    async renew(expired) {
      const hasJustFailed = Date.now() - failedAt < JUST_NOW
      if (tokens?.access === expired && (hasJustFailed || !(await renewOnce()))) {
        throw new NotRenewed('the tokens could not be renewed')
      }
      // a token that was never this session's is not replaced
      return superseded.has(expired) ? tokens?.access : undefined
    },
  }
}

function isDue(tokens: Tokens | undefined): boolean {
  return tokens !== undefined && tokens.renewAt <= Date.now()
}

function toTokens({ access_token, refresh_token, expires_in, user }: TokenAnswer): Tokens {
  const life = expires_in * 1000
  return {
    user: user.id,
    access: access_token,
    refresh: refresh_token,
    renewAt: Date.now() + life - Math.min(MARGIN, life / 10),
  }
}

function parse(text: string | null | undefined): Tokens | undefined {
  const { user, access, refresh, renewAt } = parseStored(text)
  if (typeof user !== 'string' || typeof access !== 'string' || typeof refresh !== 'string') return undefined
  return typeof renewAt === 'number' ? { user, access, refresh, renewAt } : undefined
}
