/**
 * A real Better Auth server in the test process, on a port of its own:
 *
 *     const issuer = startIssuer({ algorithm: 'ES256' })
 *     const { session, userId } = await issuer.signUp()
 *     const token = await issuer.token(session) // for `Authorization: Bearer <token>`
 */
import { afterAll } from 'bun:test'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { bearer, jwt } from 'better-auth/plugins'
import { type JWTPayload, SignJWT } from 'jose'

/** In milliseconds; Better Auth goes on publishing a key for 30 days after it has signed its last token. */
const LONGER_THAN_GRACE = 31 * 24 * 3600 * 1000

export interface IssuerOptions {
  /** HS256 goes through a signer of our own, as Better Auth has none for a shared secret. */
  algorithm?: 'EdDSA' | 'ES256' | 'ES512' | 'RS256' | 'PS256' | 'HS256'
  /** How browsers reach it; unset: the address that it listens on. */
  publicUrl?: string
  /** `iss` and `aud`; unset: the origin of the public address. */
  issuer?: string
  audience?: string
  expirationTime?: string
  secret?: string
  /** Who signs the cookie that holds a copy of the session: the secret, or the keys that also sign tokens. */
  sessionCopy?: 'by secret' | 'by keys'
}

export interface SignedUp {
  /** The subject of the user's tokens. */
  userId: string
  /** Opaque; `token` contexts it for a JWT. */
  session: string
  /** The one in the link that confirms the user's address: a JWT, but no access token. */
  emailToken: string
  /** A JWT too, where `sessionCopy` is set. */
  sessionCopy: string | undefined
}

export interface Issuer {
  /** Where it listens; the same after a restart. */
  url: string
  secret: string
  /** The path of every request so far. */
  requested: string[]
  /** Makes a user, signed in. */
  signUp(): Promise<SignedUp>
  /** @throws Error once the session has ended */
  token(session: string): Promise<string>
  /** Signs claims of your choice with the key in use; `iss`, `aud` and `exp` are added where they are missing. */
  sign(claims: JWTPayload): Promise<string>
  signOut(session: string): Promise<void>
  /** Lets the next token be signed with a new key; says what becomes of all the keys before it. */
  rotateKeys(old?: 'published' | 'withdrawn'): Promise<void>
  stop(): Promise<void>
  /** Listens again after a stop, with the users and keys it had. */
  restart(): void
}

/** Starts it; it stops when the file's tests have ended. */
export function startIssuer(options: IssuerOptions = {}): Issuer {
  const requested: string[] = []
  const listen = (port: number) =>
    Bun.serve({
      hostname: '127.0.0.1',
      port,
      fetch: (request) => {
        requested.push(new URL(request.url).pathname)
        return auth.handler(request)
      },
    })
  let server = listen(0)
  const url = server.url.origin
  const port = Number(server.port)
  const secret = options.secret ?? 'the-issuers-own-secret-of-32-bytes-and-more'
  const publicUrl = options.publicUrl ?? url
  const emailTokens = new Map<string, string>()
  const auth = createAuth({ ...options, publicUrl, secret }, emailTokens)

  async function call(path: string, init: RequestInit): Promise<Response> {
    const response = await fetch(`${url}/api/auth${path}`, init)
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return response
  }
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: publicUrl, ...headers },
      body: JSON.stringify(body),
    })

  const issuer: Issuer = {
    url,
    secret,
    requested,
    async signUp() {
      const email = `${crypto.randomUUID()}@example.com`
      const response = await post('/sign-up/email', { email, password: 'correct horse battery', name: 'Ann' })
      // what Better Auth answers to a sign-up
      const { token, user } = (await response.json()) as { token: string; user: { id: string } }
      const cookies = response.headers.getSetCookie().map((text) => Bun.Cookie.parse(text))
      return {
        userId: user.id,
        session: token,
        emailToken: emailTokens.get(email) ?? '',
        sessionCopy: cookies.find(({ name }) => name.endsWith('session_data'))?.value,
      }
    },
    async token(session) {
      const response = await call('/token', { headers: { authorization: `Bearer ${session}` } })
      const { token } = (await response.json()) as { token: string }
      return token
    },
    async sign(payload) {
      const { token } = await auth.api.signJWT({ body: { payload } })
      return token
    },
    async signOut(session) {
      await post('/sign-out', {}, { authorization: `Bearer ${session}` })
    },
    async rotateKeys(old = 'published') {
      // Better Auth rotates by a date of expiry on each key, and makes a key when none is left
      const expiresAt = new Date(Date.now() - (old === 'published' ? 1000 : LONGER_THAN_GRACE))
      const { adapter } = await auth.$context
      await adapter.updateMany({ model: 'jwks', where: [], update: { expiresAt } })
    },
    stop: () => server.stop(true),
    restart() {
      server = listen(port)
    },
  }
  afterAll(issuer.stop)
  return issuer
}

type AuthOptions = IssuerOptions & Required<Pick<IssuerOptions, 'publicUrl' | 'secret'>>

function createAuth(options: AuthOptions, emailTokens: Map<string, string>) {
  const { algorithm = 'EdDSA', publicUrl, issuer, audience, expirationTime, secret, sessionCopy } = options
  const signWithSecret = (payload: JWTPayload) =>
    new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret))
  return betterAuth({
    baseURL: publicUrl,
    secret,
    database: memoryAdapter({ user: [], session: [], account: [], verification: [], jwks: [] }),
    emailAndPassword: { enabled: true },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: async ({ user, token }) => void emailTokens.set(user.email, token),
    },
    session: { cookieCache: { enabled: sessionCopy !== undefined, strategy: 'jwt' } },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: 'error' },
    plugins: [
      bearer(),
      jwt({
        sessionCookieCache: sessionCopy === 'by keys',
        jwks:
          algorithm === 'HS256'
            ? // a signer of one's own needs an address of keys, which nobody asks here
              { remoteUrl: `${publicUrl}/api/auth/jwks`, keyPairConfig: { alg: 'EdDSA' } }
            : { keyPairConfig: { alg: algorithm } },
        jwt: {
          ...(issuer !== undefined && { issuer }),
          ...(audience !== undefined && { audience }),
          ...(expirationTime !== undefined && { expirationTime }),
          ...(algorithm === 'HS256' && { sign: signWithSecret }),
        },
      }),
    ],
  })
}
