/** The session of an app that gives the tokens of another issuer itself. */
import { claimsOf, subjectOf } from './claims'
import type { Token } from './send'
import type { Session, SessionEnds } from './session-state'
import { createSessionStore, sessionView, toUser } from './session-store'

/** A function that gives a token; see `ClientOptions.token`. */
export interface TokenFunction {
  (options: { expired?: string | undefined }): Token | Promise<Token>
  /** Calls a function whenever another token may be given, such as after the user has signed in. */
  onChange?: (listener: () => void) => unknown
}

/** A token, or a function that gives one. */
export type GivenToken = Token | TokenFunction

export interface GivenSession extends SessionEnds {
  view: Session
  /** Stops what belongs to the user. A function's next token begins a session again; a token given as text is not sent any more. */
  end(): Promise<void>
  /** @throws what the function throws */
  accessToken(): Promise<Token>
  /** Asks for another token than one that the server has refused. @throws what the function throws */
  renew(expired: string): Promise<Token>
}

/** A function is not called before a token is needed, or somebody wants to know who is signed in. */
export function createGivenSession(given: Exclude<GivenToken, undefined>): GivenSession {
  const state = createSessionStore()
  /** How often the function was asked, and the newest of those whose answer has counted, or cannot count any more. */
  let asked = 0
  let answered = 0
  let hasEnded = false
  let last: Token
  /** The token that the user has signed out with: a function that keeps its token has to ask for another one. */
  let ended: string | undefined

  function take(token: Token): Token {
    last = token
    const id = subjectOf(token)
    if (id !== undefined) state.signedIn(toUser(id, { ...claimsOf(token), created_at: null }))
    else state.signedOut(state.current.user ? 'signed-out' : state.current.reason)
    return token
  }
  async function ask(options: { expired?: string }): Promise<Token> {
    if (typeof given !== 'function') return hasEnded ? undefined : given
    const number = ++asked
    const token = await given({ expired: ended, ...options })
    if (token !== ended) ended = undefined
    // not one that was asked for before the user signed out
    if (number > answered) {
      answered = number
      take(token)
    }
    return token
  }
  // a fault comes to light with the next request
  const watch = () => void ask({}).catch(() => {})

  if (typeof given !== 'function') take(given)
  // if nobody has asked yet, nobody waits for the answer
  else given.onChange?.(() => state.current.status !== 'loading' && watch())
  return {
    view: sessionView(
      state,
      async () => {
        if (state.current.status === 'loading') await ask({})
      },
      () => {
        if (state.current.status === 'loading') watch()
      },
    ),
    onEnd: state.onEnd,
    async userKey() {
      // without a connection the function may fail: then the user is the one who is known
      await ask({}).catch(() => {})
      return state.current.user?.id
    },
    async end() {
      hasEnded = true
      ended = last ?? undefined
      answered = asked
      state.signedOut('signed-out')
      await state.cleared
    },
    accessToken: () => ask({}),
    renew: (expired) => ask({ expired }),
  }
}
