/** Keeps a user signed in: holds the tokens, and renews them in time, once for all requests that wait. */

import { ALONE, type Hold } from './lease'
import { withLock } from './locks'
import { joinOtherTabs } from './other-tabs'
import type { User } from './schemas'
import type { EndReason, Session, SessionEnds } from './session-state'
import { createSessionStore, sessionView, toUser } from './session-store'
import { type KeyValueStorage, parseStored } from './storage'
import { pause } from './wait'

export type { EndReason, SessionEnds } from './session-state'

/** What `register`, `login` and `refresh` answer, as far as the session reads it. */
export interface TokenAnswer {
  access_token: string
  refresh_token: string
  /** In seconds. */
  expires_in: number
  user: User
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
  storage: KeyValueStorage | undefined
}

/** The session of a user who has an account on the server. */
export interface OwnSession extends SessionEnds {
  /** What the app sees of it. */
  view: Session
  /** Takes the tokens of a user who has just signed in. */
  start(answer: TokenAnswer): Promise<void>
  /**
   * Forgets the tokens, here and in the storage.
   *
   * @param endOnServer gets the refresh token, also if the storage cannot remove it
   * @throws what the storage throws; then the next call tries again
   */
  end(endOnServer?: (refreshToken: string) => Promise<unknown>): Promise<void>
  /** @returns an access token that is good for a while, as far as this clock knows; undefined if nobody is signed in */
  accessToken(): Promise<string | undefined>
  /**
   * Renews an access token that the server has refused.
   *
   * @returns a new one; undefined if nobody is signed in any more, or if that one was not this session's
   * @throws NotRenewed if the server could not be asked: the user stays signed in
   */
  renew(access: string): Promise<string | undefined>
  /** Whether an access token is or was this session's. */
  owns(token: string): boolean
  /** Takes what the server has told of a user, if it is the signed-in one. */
  know(user: User): void
}

/** The server could not be asked for new tokens. */
export class NotRenewed extends Error {}

interface Tokens {
  user: User
  access: string
  refresh: string
  /** In milliseconds since 1970, by the clock of this machine, which need not agree with the server's. */
  renewAt: number
}

/** In milliseconds: how long before its end a token is renewed, or a tenth of its life if that is shorter. */
export const MARGIN = 30_000
/**
 * In milliseconds: how long the first try may take, and when the second one follows. For 10 s the server lets a used
 * refresh token try again; after that it takes it for a stolen one, and ends the session.
 */
const REFRESH_DEADLINE = 4000
const RETRY_AFTER = 1000
/** In milliseconds. There is no third try, so the second one may take long. */
const RETRY_DEADLINE = 30_000
/** In milliseconds: for so long after a renewal without an answer, no other one is tried for a refused token. */
const JUST_NOW = 5000

export function createSession({ key, refresh, storage }: SessionOptions): OwnSession {
  const state = createSessionStore()
  let tokens: Tokens | undefined
  /** The user's earlier access tokens: requests that are under way may carry them. */
  const superseded = new Set<string>()
  /** What the storage had when it was last read or written here. */
  let seen: string | null = null
  /** This tab's writes that are under way. */
  let writing: Promise<unknown> = Promise.resolve()
  /** Why another tab has ended the session, if it has said so. */
  let word: EndReason | undefined
  /** The tokens of the user whom another one has replaced, or that the storage could not remove: `signOut` ends that session. */
  let left: Tokens | undefined
  let renewing: Promise<boolean> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  /** A refresh token that the server has refused. */
  let refused: string | undefined

  // the part before the first `await` runs at once: with a storage such as `localStorage` the state is known then
  async function load(): Promise<void> {
    const text = storage?.getItem(key) ?? null
    seen = text === null || typeof text === 'string' ? text : await text
    tokens = parse(seen)
    tell()
  }
  let loading: Promise<void> | undefined = load()
  loading.catch(() => {})
  async function ensureLoaded(): Promise<void> {
    loading ??= load()
    const current = loading
    try {
      await current
    } catch (error) {
      if (loading === current) loading = undefined
      throw error
    }
  }
  /** @param reason why there are no tokens any more */
  function tell(reason?: EndReason): void {
    if (tokens) state.signedIn(tokens.user)
    else state.signedOut(reason)
  }
  async function read(): Promise<string | null> {
    return (await storage?.getItem(key)) ?? null
  }
  /** One after the other. What is read of the storage meanwhile does not count. */
  function write<T>(work: () => Promise<T>): Promise<T> {
    const done = writing.then(work)
    writing = done.catch(() => {})
    return done
  }
  async function put(next: Tokens | undefined): Promise<void> {
    const text = next ? toText(next) : null
    if (text === null) await storage?.removeItem(key)
    else await storage?.setItem(key, text)
    seen = text
  }
  /** @param reason why there are no tokens any more */
  async function save(next: Tokens | undefined, reason?: 'expired'): Promise<void> {
    tokens = next
    word = undefined
    tell(reason)
    // before the event `storage`, which gives no reason
    if (reason) tabs.say(reason)
    await write(() => put(next))
    tabs.say()
  }
  /** Takes what another tab has stored: newer tokens, another user's, or none. */
  function take(text: string | null): void {
    const known = tokens
    const stored = parse(text)
    seen = text
    // a page that may still show the earlier user's data gets no tokens of another user
    if (!known && (!stored || state.current.reason === 'replaced')) return
    const isOther = known && stored && stored.user.id !== known.user.id
    if (isOther) left = known
    if (known && known.refresh === stored?.refresh) {
      // in place: a renewal that is under way must not take these for other tokens
      known.user = stored.user
    } else {
      if (known) superseded.add(known.access)
      else superseded.clear()
      tokens = isOther ? undefined : stored
    }
    tell(isOther ? 'replaced' : (word ?? 'signed-out'))
    word = undefined
  }
  /** Looks whether another tab has stored something. */
  async function look(): Promise<void> {
    await ensureLoaded()
    if (!storage) return
    let text: string | null
    let before: unknown
    do {
      before = writing
      await before
      text = await read()
    } while (writing !== before)
    if (text !== seen) take(text)
  }
  const tabs = joinOtherTabs(key, storage, (reason) => {
    word = reason ?? word
    // a fault of the storage comes to light with the next call
    look().catch(() => {})
  })
  /**
   * Takes what another tab has stored meanwhile: renewed tokens, or none.
   *
   * @returns whether this tab has other tokens than the known ones, so that what a renewal has got is out of date
   */
  async function takeNewer(known: Tokens): Promise<boolean> {
    const text = await read()
    if (tokens !== known) return true
    // a storage that could not be written has what it had before
    if (!storage || text === seen || parse(text)?.refresh === known.refresh) return false
    take(text)
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
    if (answer === 'refused') await save(undefined, 'expired')
    else await save(toTokens(answer))
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
  /** Stores what is new about the user, but never tokens that another tab may have renewed. */
  async function storeUser(user: User): Promise<void> {
    const isNeedless = async () => {
      await look()
      return tokens?.user !== user
    }
    const work = async (hold: Hold) => {
      if (!(await hold.isAlone()) || (await isNeedless())) return
      await write(() => put(tokens))
      tabs.say()
    }
    if (storage) await withLock(key, storage, isNeedless, work)
  }

  return {
    view: sessionView(state, ensureLoaded),
    onEnd: state.onEnd,
    async userKey() {
      // another tab may have signed the user out just now
      await look()
      return tokens?.user.id
    },
    async start(answer) {
      // otherwise what is still being read would replace these tokens
      await ensureLoaded()
      superseded.clear()
      left = undefined
      await save(toTokens(answer))
      await state.cleared
    },
    async end(endOnServer = async () => {}) {
      await ensureLoaded()
      const ended = tokens ?? left
      if (!ended) return
      if (tokens) state.signedOut('signed-out')
      tokens = undefined
      left = undefined
      const removed = write(async () => {
        // another user may have signed in in another tab
        if (parse(await read())?.user.id === ended.user.id) await put(undefined)
        tabs.say()
      }).catch((error: unknown) => {
        left = ended
        throw error
      })
      const [outcome] = await Promise.allSettled([removed, state.cleared, endOnServer(ended.refresh)])
      if (outcome.status === 'rejected') throw outcome.reason
    },
    async accessToken() {
      await ensureLoaded()
      if (isDue(tokens)) await renewOnce()
      return tokens?.access
    },
    async renew(access) {
      const hasJustFailed = Date.now() - failedAt < JUST_NOW
      if (tokens?.access === access && (hasJustFailed || !(await renewOnce()))) {
        throw new NotRenewed('the tokens could not be renewed')
      }
      // a token that was never this session's is not replaced
      return superseded.has(access) ? tokens?.access : undefined
    },
    owns: (token) => tokens?.access === token || superseded.has(token),
    know({ id, ...rest }) {
      const user = toUser(id, rest)
      if (tokens?.user.id !== id || JSON.stringify(user) === JSON.stringify(tokens.user)) return
      // in place: a renewal that is under way must not take these for other tokens
      tokens.user = user
      tell()
      // otherwise the next renewal stores it
      storeUser(user).catch(() => {})
    },
  }
}

function isDue(tokens: Tokens | undefined): boolean {
  return tokens !== undefined && tokens.renewAt <= Date.now()
}

function toTokens({ access_token, refresh_token, expires_in, user }: TokenAnswer): Tokens {
  const life = expires_in * 1000
  return {
    user: toUser(user.id, { ...user }),
    access: access_token,
    refresh: refresh_token,
    renewAt: Date.now() + life - Math.min(MARGIN, life / 10),
  }
}

/** The user's id stands for itself, as older versions of the client read it. */
function toText({ user: { id, ...profile }, ...rest }: Tokens): string {
  return JSON.stringify({ user: id, ...rest, ...profile })
}

function parse(text: string | null): Tokens | undefined {
  const { user, access, refresh, renewAt, ...profile } = parseStored(text)
  if (typeof user !== 'string' || typeof access !== 'string' || typeof refresh !== 'string') return undefined
  return typeof renewAt === 'number' ? { user: toUser(user, profile), access, refresh, renewAt } : undefined
}
