/** Sending a request: with a token that is renewed when it is refused, and with a problem for an answer that never came. */
import { subjectOf } from './claims'
import { isProblem, noAnswer } from './errors'
import { NotRenewed } from './session'

/** As `fetch`, but an answer that never came is a 503. */
export type Send = (url: string, init: RequestInit) => Promise<Response>

export type Token = string | null | undefined

/** Where the tokens of requests come from. Both functions throw NotRenewed if no token can be had at the moment. */
export interface TokenSource {
  accessToken(): Promise<Token>
  /** @returns another token than the refused one; the same or none if there is no other */
  renew(refused: string): Promise<Token>
}

const SIGN_IN_PATH = '/api/v1/auth/'
/** In milliseconds: for so long a token is not renewed that was refused as soon as it was new. */
const IN_VAIN = 60_000

/** @returns the path and query of a URL, without the path that the server's own address has */
export function pathBelow(root: string, url: string): string {
  const withoutSlash = root.replace(/\/$/, '')
  return url.slice(url.indexOf(withoutSlash) + withoutSlash.length)
}

/**
 * One user's tokens: for the attempts of one call, which must not go on as another user's.
 *
 * @param wanted the user; left out: whose token is the first one
 */
export function forOneUser({ accessToken, renew }: TokenSource, wanted?: string): TokenSource {
  let first = wanted
  function ofSameUser(token: Token): Token {
    const user = subjectOf(token) ?? wanted
    first ??= user
    return user === first ? token : undefined
  }
  return {
    accessToken: () => accessToken().then(ofSameUser),
    renew: (refused) => renew(refused).then(ofSameUser),
  }
}

/**
 * Adds a token to requests that have none of their own, and sends them again with a new one if the server refuses it.
 *
 * @param send must answer also if no answer came
 */
export function withToken(root: string, send: Send) {
  let vain: { token: string; until: number } | undefined

  return async (source: TokenSource, url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers)
    const sendWith = (token: Token) => {
      // the caller has its answer already: a fetcher that ignores the signal must not send the request
      if (init.signal?.aborted) throw init.signal.reason
      if (token) headers.set('authorization', `Bearer ${token}`)
      return send(url, { ...init, headers })
    }
    if (headers.has('authorization') || pathBelow(root, url).startsWith(SIGN_IN_PATH)) return sendWith(null)
    try {
      const token = await source.accessToken()
      const response = await sendWith(token)
      const isVain = token === vain?.token && Date.now() < (vain?.until ?? 0)
      if (!token || isVain || !(await isRefused(response))) return response
      const renewed = await source.renew(token)
      if (!renewed || renewed === token) return response
      const second = await sendWith(renewed)
      if (await isRefused(second)) vain = { token: renewed, until: Date.now() + IN_VAIN }
      return second
    } catch (cause) {
      if (!(cause instanceof NotRenewed)) throw cause
      // a 401 would say that the user is signed out
      return noAnswer(cause)
    }
  }
}

/** Whether the server has said that the token is over: expired, or that of a session or a user that is gone. */
async function isRefused(response: Response): Promise<boolean> {
  if (response.status !== 401) return false
  const problem: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return isProblem(problem) && ['TOKEN_EXPIRED', 'TOKEN_INVALID'].includes(problem.error_code)
}

/** Answers with a problem if `send` rejects, so that a call without a connection is answered as any other. */
export function withNoAnswer(send: Send): Send {
  return (url, init) => send(url, init).catch(noAnswer)
}
