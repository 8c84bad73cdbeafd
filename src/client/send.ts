/** Sending a request: with a token that is renewed when it has expired, and with a problem for an answer that never came. */
import { isProblem, noAnswer } from './errors'
import { NotRenewed, type Session } from './session'

/** As `fetch`, but an answer that never came is a 503. */
export type Send = (url: string, init: RequestInit) => Promise<Response>

export type Token = string | null | undefined

const SIGN_IN_PATH = '/api/v1/auth/'

/** @returns the path and query of a URL, without the path that the server's own address has */
export function pathBelow(root: string, url: string): string {
  const withoutSlash = root.replace(/\/$/, '')
  return url.slice(url.indexOf(withoutSlash) + withoutSlash.length)
}

/** Adds the token to requests that have none of their own. */
export function withToken(root: string, currentToken: () => Promise<Token>, send: Send): Send {
  return async (url, init) => {
    const headers = new Headers(init.headers)
    const token = pathBelow(root, url).startsWith(SIGN_IN_PATH) ? undefined : await currentToken()
    // the caller has its answer already: a fetcher that ignores the signal must not send the request
    if (init.signal?.aborted) throw init.signal.reason
    if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`)
    return send(url, { ...init, headers })
  }
}

/** Sends a request again with a new token if the server calls the session's token expired. */
export function withRenewal(session: Session, send: Send): Send {
  return async (url, init) => {
    const response = await send(url, init)
    if (response.status !== 401) return response
    const headers = new Headers(init.headers)
    const [, sent] = /^Bearer (.*)$/.exec(headers.get('authorization') ?? '') ?? []
    if (sent === undefined || !(await isExpired(response))) return response
    try {
      const renewed = await session.renew(sent)
      if (renewed === undefined) return response
      headers.set('authorization', `Bearer ${renewed}`)
      return await send(url, { ...init, headers })
    } catch (cause) {
      if (!(cause instanceof NotRenewed)) throw cause
      // a 401 would say that the user is signed out
      return noAnswer(cause)
    }
  }
}

async function isExpired(response: Response): Promise<boolean> {
  const problem: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return isProblem(problem) && problem.error_code === 'TOKEN_EXPIRED'
}

/** Answers with a problem if `send` rejects: otherwise Eden resolves with an `Error`, against its own types. */
export function withNoAnswer(send: Send): Send {
  return (url, init) => send(url, init).catch(noAnswer)
}
