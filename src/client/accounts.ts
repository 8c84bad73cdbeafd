/** The calls that sign users up, in and out, and that renew their tokens. */
import type { Call, SignInCalls } from './calls'
import type { User } from './schemas'
import { pathBelow, type Send } from './send'
import type { OwnSession, TokenAnswer } from './session'

const ME = '/api/v1/users/me'

/** @param endGiven ends the session of a user of another issuer */
export function accountCalls(auth: SignInCalls, session: OwnSession, endGiven = async () => {}) {
  const signUp: Call<SignInCalls['register']['post']> = async (registration, options) => {
    const answer = await auth.register.post(registration, options)
    if (hasTokens(answer.data)) await session.start(answer.data)
    return answer
  }
  const signIn: Call<SignInCalls['login']['post']> = async (credentials, options) => {
    const answer = await auth.login.post(credentials, options)
    if (hasTokens(answer.data)) await session.start(answer.data)
    return answer
  }
  async function signOut(): Promise<void> {
    await endGiven()
    await session.end((refresh_token) => auth.logout.post({ refresh_token }))
  }
  return { signUp, signIn, signOut }
}

/** @returns the new tokens, 'refused' if the refresh token is not good, 'unknown' if there was no such answer */
export async function refreshTokens(
  auth: SignInCalls,
  refresh_token: string,
): Promise<TokenAnswer | 'refused' | 'unknown'> {
  const { data, error } = await auth.refresh.post({ refresh_token })
  if (hasTokens(data)) return data
  return error?.code === 'TOKEN_INVALID' ? 'refused' : 'unknown'
}

/** Keeps the session's user as the server has told, and ends the session of a user who has deleted the account. */
export function withAccount(root: string, session: OwnSession, send: Send): Send {
  return async (url, init) => {
    const response = await send(url, init)
    const [, token = ''] = /^Bearer (.*)$/.exec(new Headers(init.headers).get('authorization') ?? '') ?? []
    if (!response.ok || pathBelow(root, url) !== ME || !session.owns(token)) return response
    if (init.method === 'DELETE') await session.end()
    // an answer that has broken off is no answer for the caller either
    else {
      const user: User | null = await response
        .clone()
        .json()
        .catch(() => null)
      if (user) session.know(user)
    }
    return response
  }
}

/** Another server at this address may answer JSON of its own. */
function hasTokens(data: TokenAnswer | null): data is TokenAnswer {
  return typeof data?.access_token === 'string' && typeof data.user?.id === 'string'
}
