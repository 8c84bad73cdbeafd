/**
 * A real Better Auth server that gives programs OAuth tokens for one resource, and what a browser does there:
 *
 *     const server = startAuthorizationServer('http://localhost/mcp')
 *     const user = await server.signUp()
 *     const { access_token } = await server.accessToken(user, 'tasks:read')
 */
import { afterAll } from 'bun:test'
import { mcp } from '@better-auth/mcp'
import { type BetterAuthPlugin, betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { bearer, jwt } from 'better-auth/plugins'

const MODELS = [
  ...['user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthAccessToken'],
  ...['oauthRefreshToken', 'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion'],
]

/** Where the browser is sent in the end. Nobody listens there. */
export const REDIRECT = 'http://127.0.0.1:1/callback'

/** A client that keeps no secret. */
export const CLIENT_METADATA = {
  client_name: 'Assistant',
  application_type: 'native',
  redirect_uris: [REDIRECT],
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
}

export interface SignedInUser {
  id: string
  /** Of the browser's session. */
  cookie: string
}

export interface Grant {
  access_token: string
  scope: string
  refresh_token?: string
}

export interface AuthorizationServer {
  url: string
  /** As its tokens name it. */
  issuer: string
  signUp(): Promise<SignedInUser>
  /** Opens the address in the user's browser, and consents. @returns where it leads back to, with a code */
  browse(user: SignedInUser, address: URL): Promise<URL>
  /** Registers a client, and lets the user give it a token. @param resource null: the client names none */
  accessToken(user: SignedInUser, scope: string, resource?: string | null): Promise<Grant>
  /** Better Auth's own token of the session. */
  sessionToken(user: SignedInUser): Promise<string>
}

/** Starts it; it stops when the file's tests have ended. */
export function startAuthorizationServer(resource: string): AuthorizationServer {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request): Promise<Response> => auth.handler(request),
  })
  afterAll(() => server.stop(true))
  const url = server.url.origin
  const issuer = `${url}/api/auth`
  const auth = createAuth(url, resource)

  async function call<T>(path: string, init: RequestInit): Promise<T> {
    const response = await fetch(issuer + path, { redirect: 'manual', ...init })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`)
    return JSON.parse(text)
  }
  const post = <T>(path: string, body: unknown, cookie = '') =>
    call<T>(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: url, cookie },
      body: JSON.stringify(body),
    })

  async function signUp(): Promise<SignedInUser> {
    const email = `${crypto.randomUUID()}@example.com`
    const response = await fetch(`${issuer}/sign-up/email`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: url },
      body: JSON.stringify({ name: 'Ann', email, password: 'correct horse battery' }),
    })
    // what Better Auth answers to a sign-up
    const { user } = (await response.json()) as { user: { id: string } }
    const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0])
    return { id: user.id, cookie: cookies.join('; ') }
  }

  async function browse({ cookie }: SignedInUser, address: URL): Promise<URL> {
    const asked = await fetch(address, { headers: { cookie }, redirect: 'manual' })
    const next = new URL(asked.headers.get('location') ?? '', url)
    if (next.pathname !== '/consent') return next
    const answer = { accept: true, oauth_query: next.search.slice(1) }
    return new URL((await post<{ url: string }>('/oauth2/consent', answer, cookie)).url)
  }

  async function accessToken(user: SignedInUser, scope: string, named: string | null = resource) {
    const client = await post<{ client_id: string }>('/oauth2/register', { ...CLIENT_METADATA, scope })
    const { client_id } = client
    const verifier = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
    const common = { client_id, redirect_uri: REDIRECT, ...(named !== null && { resource: named }) }
    const question = new URLSearchParams({
      ...common,
      ...{ response_type: 'code', scope, state: 'state', code_challenge_method: 'S256' },
      code_challenge: new Bun.CryptoHasher('sha256').update(verifier).digest('base64url'),
    })
    const back = await browse(user, new URL(`${issuer}/oauth2/authorize?${question}`))
    const code = back.searchParams.get('code')
    if (code === null) throw new Error(`no code: ${back}`)
    const body = new URLSearchParams({
      ...common,
      ...{ grant_type: 'authorization_code', code, code_verifier: verifier },
    })
    return call<Grant>('/oauth2/token', { method: 'POST', body })
  }

  return {
    url,
    issuer,
    signUp,
    browse,
    accessToken,
    sessionToken: async ({ cookie }) =>
      (await call<{ token: string }>('/token', { headers: { cookie } })).token,
  }
}

function createAuth(baseURL: string, resource: string) {
  const provider = mcp({
    resource,
    loginPage: '/sign-in',
    consentPage: '/consent',
    scopes: ['openid', 'profile', 'offline_access', 'tasks:read', 'tasks:write'],
    allowDynamicClientRegistration: true,
    allowUnauthenticatedClientRegistration: true,
  })
  return betterAuth({
    baseURL,
    secret: 'the-issuers-own-secret-of-32-bytes-and-more',
    database: memoryAdapter(Object.fromEntries(MODELS.map((model) => [model, []]))),
    emailAndPassword: { enabled: true },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: 'error' },
    // its types do not know `exactOptionalPropertyTypes`
    plugins: [jwt(), bearer(), provider as unknown as BetterAuthPlugin],
  })
}
