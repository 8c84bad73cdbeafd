/** Users whose tasks, sessions and secrets are known, so that requests can reach what is really there. */
import { decodeJwt, SignJWT } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { type Answer, SECRET, type TestApp } from '../support/app'
import { collectionOf, type Operation } from '../support/openapi'

/** What a user has, by the name of the parameter or field that it is for; the newest last. */
type Belongings = Record<string, Value[]>
/** As it was answered: an id of a task is a number. */
export type Value = string | number

export interface User {
  id: string
  token: string
  /** Undefined for one of another issuer. */
  account: { email: string; password: string } | undefined
  has: Belongings
}

/** How many values of a kind are kept for each user. */
const KEPT = 12
const ACCOUNTS = 4
const FOREIGNERS = 3
const PASSWORD = 'correct horse battery staple'

export class World {
  users: User[] = []
  /** Tokens that are good for nothing. */
  badTokens: string[] = []
  readonly #app: Pick<TestApp, 'call' | 'settings'>
  #made = 0

  constructor(app: Pick<TestApp, 'call' | 'settings'>) {
    this.#app = app
  }

  async begin(): Promise<this> {
    for (let n = 0; n < ACCOUNTS; n++) this.users.push(await this.#makeAccount())
    for (let n = 0; n < FOREIGNERS; n++) this.users.push(await this.#makeForeigner())
    const { token, id } = await this.#makeForeigner()
    await this.#app.call('DELETE', '/api/v1/users/me', { headers: { authorization: `Bearer ${token}` } })
    this.badTokens = [token, await signed(id, SECRET, -60), await signed(id, `${SECRET}, but another`, 60)]
    return this
  }

  /** A value of a user's; undefined if there is none. */
  valueOf(user: User, kind: string, n: number): Value | undefined {
    const values = this.#valuesOf(user, kind)
    return values.at(-1 - (n % Math.max(1, values.length)))
  }

  /** Keeps what a successful answer has told. */
  async learn(
    user: User,
    { operationId, path }: Operation,
    sent: unknown,
    { headers, body }: Answer,
  ): Promise<void> {
    visit(body, (found) => {
      if ('revision' in found || 'last_used_at' in found) keep(user, collectionOf(path), found['id'])
      keep(user, 'conversation_id', found['conversation_id'])
      keep(user, 'conversations', found['conversation_id'])
      if (found['parent_id'] === null && !('deleted_at' in found)) keep(user, 'parent_id', found['id'])
      if (Array.isArray(found['tags'])) for (const tag of found['tags']) keep(user, 'tags', tag)
      this.#learnSession(found)
      if (Array.isArray(found['tags'])) for (const name of found['tags']) keep(user, 'tag name', name)
      keep(user, 'cursor', found['next_cursor'])
      keep(user, 'since', found['cursor'])
    })
    const tag = headers.get('etag')
    keep(user, tag?.startsWith('W/') ? 'list tag' : 'tag', tag)
    keep(user, 'cursor', /[?&]cursor=([^&>]*)/.exec(headers.get('link') ?? '')?.[1])
    const {
      email,
      new_password: password,
      refresh_token: used,
    } = (sent ?? {}) as Record<string, string | undefined>
    if (used !== undefined) this.#forget(used)
    if (operationId === 'updateUser' && user.account && email) user.account.email = email
    if (operationId === 'changePassword' && user.account && password) user.account.password = password
    if (operationId === 'deleteUser') await this.replace(user)
  }

  /** For one who is deleted or signed out. */
  async replace(user: User): Promise<void> {
    if (!this.users.includes(user)) return
    this.users = this.users.filter((each) => each !== user)
    const next = await (user.account ? this.#makeAccount() : this.#makeForeigner())
    this.users.push(next)
  }

  /** Of whomever it is: who refreshes says by the token who they are. */
  #learnSession({ user, access_token: token, refresh_token: refreshToken }: Record<string, unknown>): void {
    const owner = this.users.find(({ id }) => id === (user as { id?: unknown } | undefined)?.id)
    if (!owner || typeof token !== 'string') return
    keep(owner, 'refresh_token', refreshToken)
    keep(owner, 'sessions', decodeJwt(token)['sid'])
  }

  /** Another use would end the session. */
  #forget(refreshToken: string): void {
    for (const { has } of this.users) has['refresh_token'] = without(has['refresh_token'], refreshToken)
  }

  #valuesOf(user: User, kind: string): Value[] {
    const [{ email, password } = { email: 'nobody@example.com', password: PASSWORD }] = [
      user,
      ...this.users,
    ].flatMap(({ account }) => account ?? [])
    const known: Belongings = {
      user_id: ['me', user.id],
      // of any user: the refresh token itself says whose it is
      refresh_token: this.users.flatMap(({ has }) => has['refresh_token'] ?? []),
      email: [email],
      password: [password],
      current_password: [password],
      'If-Match': ['*', ...(user.has['tag'] ?? [])],
      'Last-Event-ID': user.has['since'] ?? [],
    }
    return known[kind] ?? user.has[kind] ?? []
  }

  async #makeAccount(): Promise<User> {
    const account = { email: `known.${++this.#made}@example.com`, password: PASSWORD }
    const { body } = await this.#app.call('POST', '/api/v1/auth/register', { body: account })
    // every other one with a token that no session belongs to, and that survives all of them
    const isFree = this.#made % 2 === 0
    const token = isFree ? await signAccessToken(body.user.id, this.#app.settings) : body.access_token
    const session = String(decodeJwt(body.access_token)['sid'])
    const has = { refresh_token: [body.refresh_token], sessions: [session] }
    return { id: body.user.id, token, account, has }
  }

  async #makeForeigner(): Promise<User> {
    const id = `foreigner ${++this.#made}/é`
    return { id, token: await signed(id, SECRET, 3600), account: undefined, has: {} }
  }
}

function signed(subject: string, secret: string, seconds: number): Promise<string> {
  const expiry = Math.floor(Date.now() / 1000) + seconds
  const token = new SignJWT({ sub: subject }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(expiry)
  return token.sign(new TextEncoder().encode(secret))
}

function keep({ has }: User, kind: string, value: unknown): void {
  if (typeof value !== 'string' && typeof value !== 'number') return
  has[kind] = [...without(has[kind], value), value].slice(-KEPT)
}

function without(values: Value[] = [], unwanted: Value): Value[] {
  return values.filter((each) => each !== unwanted)
}

/** Every object in a body. */
function visit(value: unknown, see: (found: Record<string, unknown>) => void): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) see(value as Record<string, unknown>)
  for (const each of Object.values(value)) visit(each, see)
}
