/** Keeps a user of the typed client signed in: holds the tokens, and renews them in time, once for all who wait. */
import { ALONE, type Hold, withLock } from './lease'
import { pause } from './pause'

/** What `register`, `login` and `refresh` answer, as far as it matters here. */
export interface TokenAnswer {
  access_token: string
  refresh_token: string
  /** In seconds. */
  expires_in: number
  user: { id: string }
}

/**
 * Where tokens outlive the page: `localStorage`, or anything like it that all tabs share. Not `sessionStorage`: a
 * duplicated tab gets a copy, and once one of the two has renewed, the other's tokens end the session of both.
 */
export interface TokenStorage {
  getItem(key: string): string | null | Promise<string | null>
  setItem(key: string, value: string): unknown
  removeItem(key: string): unknown
}

export interface SessionOptions {
  /** Names what is kept, and the lock that other tabs ask for. */
  key: string
  /**
   * Calls `refresh`, and gives up after so many milliseconds.
   *
   * @returns the new tokens, 'refused' if the token is not good, 'unknown' if there was no such answer
   */
  refresh: (refreshToken: string, milliseconds: number) => Promise<TokenAnswer | 'refused' | 'unknown'>
  /** None: the tokens are gone with the page. */
  storage: TokenStorage | undefined
}

export interface Session {
  /** Takes the tokens of a user who has just signed in. */
  start(answer: TokenAnswer): Promise<void>
  /** Forgets the tokens, here and in the storage. @returns the refresh token, with which to tell the server */
  end(): Promise<string | undefined>
  /** @returns an access token that is good for a while, as far as can be known; undefined if nobody is signed in */
  accessToken(): Promise<string | undefined>
  /**
   * Renews an access token that the server has called expired.
   *
   * @returns another one; undefined if nobody is signed in any more, or it was none of this session's
   * @throws NotRenewed if the server could not be asked: the user stays signed in
   */
  renew(expired: string): Promise<string | undefined>
}

/** The server could not be asked for new tokens. */
export class NotRenewed extends Error {}

interface Tokens {
  /** Whose they are. */
  user: string
  access: string
  refresh: string
  /** In milliseconds since 1970, by the clock of this machine alone: it need not agree with the server's. */
  renewAt: number
}

/** In milliseconds: how long before its end a token is renewed, or a tenth of its life if that is shorter. */
const MARGIN = 30_000
/** In milliseconds. The second try comes before the server takes a token that comes back for a stolen one, after 10 s. */
const REFRESH_DEADLINE = 4000
const RETRY_AFTER = 1000
/** In milliseconds. The pair that the second try gets is the last there is: worth waiting for. */
const RETRY_DEADLINE = 30_000
/** In milliseconds: for how long a renewal that got no answer stands for another one. */
const JUST_NOW = 5000

export function createSession({ key, refresh, storage }: SessionOptions): Session {
  let tokens: Tokens | undefined
  /** Access tokens of the same user before, which requests under way may have been sent with. */
  const superseded = new Set<string>()
  let loading: Promise<void> | undefined
  let renewing: Promise<boolean> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  /** A refresh token that the server has refused. */
  let refused: string | undefined

  async function load(): Promise<void> {
    tokens = parse(await storage?.getItem(key))
  }
  function loaded(): Promise<void> {
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
   * Whoever signed in or out here meanwhile knows better than a renewal; so does another tab, which may have renewed,
   * or ended, what both had.
   */
  async function isOvertaken(known: Tokens): Promise<boolean> {
    const stored = parse(await storage?.getItem(key))
    if (tokens !== known) return true
    if (!storage || stored?.refresh === known.refresh) return false
    superseded.add(known.access)
    // if another user has signed in, this page still shows the previous one
    tokens = stored?.user === known.user ? stored : undefined
    return true
  }
  /** @returns whether the server could be asked; 'contested' if it refused, but another tab may be getting new tokens */
  async function renewLocked(hold: Hold): Promise<boolean | 'contested'> {
    const before = tokens
    if (!before) return true
    const answer = before.refresh === refused ? 'refused' : await refreshTwice(before)
    if (await isOvertaken(before)) return true
    if (answer === 'unknown') {
      failedAt = Date.now()
      return false
    }
    if (answer === 'refused') {
      refused = before.refresh
      // of tabs that send one token at once, the server refuses all but two
      if (!(await hold.isAlone())) return 'contested'
      if (await isOvertaken(before)) return true
    }
    superseded.add(before.access)
    await save(answer === 'refused' ? undefined : toTokens(answer))
    return true
  }
  /** An answer that got lost has used the token up, but for the next seconds the server lets it try again. */
  async function refreshTwice(before: Tokens) {
    const answer = await refresh(before.refresh, REFRESH_DEADLINE)
    if (answer !== 'unknown') return answer
    await pause(RETRY_AFTER)
    // a tab that has slept meanwhile would send a token that is long used, and end the session of all
    if (await isOvertaken(before)) return answer
    return refresh(before.refresh, RETRY_DEADLINE)
  }
  async function renewShared(): Promise<boolean> {
    const known = tokens
    if (!storage) return (await renewLocked(ALONE)) !== false
    const isRenewed = async () => {
      if (tokens) await isOvertaken(tokens)
      // of a tab that has slept for long, the tokens that another one has left may be due as well
      return tokens !== known && !isDue(tokens)
    }
    for (;;) {
      const outcome = await withLock(key, storage, isRenewed, renewLocked)
      if (outcome !== 'contested') return outcome !== false
    }
  }
  /** All who wait share one call, in other tabs too. */
  function renewOnce(): Promise<boolean> {
    renewing ??= renewShared().finally(() => {
      renewing = undefined
    })
    return renewing
  }

  return {
    async start(answer) {
      // or what is still being read would take the place of these
      await loaded()
      superseded.clear()
      await save(toTokens(answer))
    },
    async end() {
      await loaded()
      const ended = tokens
      if (!ended) return undefined
      tokens = undefined
      const stored = parse(await storage?.getItem(key))
      // in another tab somebody else may have signed in
      if (stored?.user === ended.user) await storage?.removeItem(key)
      return ended.refresh
    },
    async accessToken() {
      await loaded()
      if (isDue(tokens)) await renewOnce()
      return tokens?.access
    },
    async renew(expired) {
      const hasJustFailed = Date.now() - failedAt < JUST_NOW
      if (tokens?.access === expired && (hasJustFailed || !(await renewOnce()))) {
        throw new NotRenewed('the tokens could not be renewed')
      }
      // one that was never ours is none of our business
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

/** A storage holds whatever was put there. */
function parse(text: string | null | undefined): Tokens | undefined {
  try {
    const stored = JSON.parse(text ?? '')
    const { user, access, refresh, renewAt } = stored
    const areTexts = [user, access, refresh].every((each) => typeof each === 'string')
    return areTexts && typeof renewAt === 'number' ? stored : undefined
  } catch {
    return undefined
  }
}
