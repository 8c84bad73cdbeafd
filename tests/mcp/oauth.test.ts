/** OAuth tokens at `/mcp`, as a real authorization server gives them out, and how programs find that server. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  Client,
  type OAuthClientInformationMixed,
  type OAuthDiscoveryState,
  type OAuthTokens,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import { Client as EarlierClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as EarlierTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createApp } from '../../src/app'
import { freePort } from '../../src/system/free-port'
import { createLog } from '../../src/telemetry/log'
import { type Answer, SECRET, testSettings, toAnswer } from '../support/app'
import {
  CLIENT_METADATA,
  REDIRECT,
  type SignedInUser,
  startAuthorizationServer,
} from '../support/authorization-server'
import { testDatabase } from '../support/database'
import { mcpCaller, REVISIONS } from '../support/mcp'

const LOCAL = 'http://localhost'
const RESOURCE = `${LOCAL}/mcp`
const TODOS = '/api/v1/todos'
const WELL_KNOWN = '/.well-known/oauth-protected-resource'

const { database } = await testDatabase()
const server = startAuthorizationServer(RESOURCE)

/** The app with these settings, called at an address. */
function appWith(env: Record<string, string>) {
  const log = createLog({ logLevel: 'silent', production: true })
  const app = createApp({ settings: testSettings(env), database, log })
  const callAt =
    (origin: string) =>
    async (method: string, path: string, { headers = {}, body }: { headers?: object; body?: unknown } = {}) =>
      toAnswer(
        await app.handle(
          new Request(origin + path, {
            method,
            headers: { ...headers },
            ...(body !== undefined && { body: JSON.stringify(body) }),
          }),
        ),
      )
  const call = callAt(LOCAL)
  return { app, callAt, call, ...mcpCaller(call) }
}

const app = appWith({ BETTER_AUTH_URL: server.url })
const by = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

const outcome = ({ status, headers, body }: Answer) => [
  status,
  body.error_code,
  headers.get('www-authenticate'),
]
const WHERE = `scope="tasks:read tasks:write", resource_metadata="${LOCAL}${WELL_KNOWN}/mcp"`
const INVALID = [401, 'TOKEN_INVALID', `Bearer error="invalid_token", ${WHERE}`]

let user: SignedInUser
beforeAll(async () => {
  user = await server.signUp()
})
const grant = async (scope: string, resource?: string | null) =>
  (await server.accessToken(user, scope, resource)).access_token

describe('where tokens are to be had', () => {
  const metadata = {
    resource: RESOURCE,
    resource_name: 'Taskwell',
    authorization_servers: [server.issuer],
    scopes_supported: ['tasks:read', 'tasks:write'],
    bearer_methods_supported: ['header'],
  }

  test.each([WELL_KNOWN, `${WELL_KNOWN}/mcp`])('is told at %s', async (path) => {
    const answer = await app.call('GET', path)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    expect(answer.body).toEqual(metadata)
    expect((await app.call('HEAD', path)).status).toBe(200)
    expect((await app.call('POST', path)).status).toBe(405)
  })

  test('is what the authorization server says of itself', async () => {
    const address = `${server.url}/.well-known/oauth-authorization-server/api/auth`
    const { issuer } = (await (await fetch(address)).json()) as { issuer: string }
    expect(metadata.authorization_servers).toEqual([issuer])
  })

  test('is told by a refusal', async () => {
    expect(outcome(await app.call('POST', '/mcp'))).toEqual([401, 'TOKEN_MISSING', `Bearer ${WHERE}`])
    expect(outcome(await app.call('GET', '/mcp', by('a.b.c')))).toEqual(INVALID)
    expect(outcome(await app.call('GET', TODOS))).toEqual([401, 'TOKEN_MISSING', 'Bearer'])
  })

  test('is a page that others may read', async () => {
    const answer = await app.call('GET', WELL_KNOWN, { headers: { origin: 'http://localhost:6274' } })
    expect(answer.headers.get('access-control-allow-origin')).toBe('http://localhost:6274')
  })

  test('is told of each issuer that is set', async () => {
    const AUTH_ISSUER = 'https://one.example, urn:two, https://three.example/realm'
    const { call } = appWith({ BETTER_AUTH_URL: server.url, AUTH_ISSUER })
    expect((await call('GET', WELL_KNOWN)).body.authorization_servers).toEqual([
      'https://one.example',
      'https://three.example/realm',
    ])
  })

  const CLEAN = [404, 'NOT_FOUND']
  const paths = [
    WELL_KNOWN,
    `${WELL_KNOWN}/mcp`,
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/openid-configuration',
    '/mcp/.well-known/openid-configuration',
    '/.well-known/oauth-anything',
  ]
  test.each(paths)('without an authorization server there is no %s', async (path) => {
    const { call } = appWith({ BETTER_AUTH_SECRET: SECRET })
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
      expect((await call(method, path)).status, method).toBe(404)
    }
    const { status, body } = await call('GET', path)
    expect([status, body.error_code]).toEqual(CLEAN)
  })

  test.each(paths.slice(2))('and with one there is no %s either', async (path) => {
    const { status, body } = await app.call('GET', path)
    expect([status, body.error_code]).toEqual(CLEAN)
  })

  test.each<[string, Record<string, string>]>([
    ['no issuer', { BETTER_AUTH_SECRET: SECRET }],
    ['an issuer that is no address', { BETTER_AUTH_SECRET: SECRET, AUTH_ISSUER: 'taskwell' }],
  ])('with %s a refusal says nothing of it', async (_, env) => {
    const { call } = appWith(env)
    expect(outcome(await call('POST', '/mcp'))).toEqual([401, 'TOKEN_MISSING', 'Bearer'])
    expect((await call('GET', WELL_KNOWN)).status).toBe(404)
  })
})

describe('a token that the authorization server gives out', () => {
  test('names the resource, and works there', async () => {
    const token = await grant('tasks:read tasks:write')
    expect(decodeProtectedHeader(token)).toMatchObject({ typ: 'at+jwt', alg: 'EdDSA' })
    expect(decodeJwt(token)).toMatchObject({ iss: server.issuer, aud: RESOURCE, sub: user.id })
    for (const revision of REVISIONS) {
      const { tools } = (await app.send('tools/list', {}, { token, revision })).body.result
      expect(tools).toHaveLength(9)
    }
    await app.result('add_task', { title: 'by an assistant' }, { token })
    const session = await server.sessionToken(user)
    const { body } = await app.call('GET', TODOS, by(session))
    expect(body).toMatchObject([{ title: 'by an assistant', user_id: user.id }])
  })

  test('works nowhere else', async () => {
    const token = await grant('tasks:write')
    const refused = [401, 'TOKEN_INVALID', 'Bearer error="invalid_token"']
    expect(outcome(await app.call('GET', TODOS, by(token)))).toEqual(refused)
    expect((await app.send('tools/list', {}, { token })).status).toBe(200)
    // neither after it has worked there
    expect(outcome(await app.call('GET', TODOS, by(token)))).toEqual(refused)
    expect(outcome(await app.call('GET', '/api/v1/users/me', by(token)))).toEqual(refused)
    expect(outcome(await app.call('GET', `/api/${user.id}/tasks`, by(token)))).toEqual(refused)
  })

  test('may be for more than one resource', async () => {
    const token = await grant('openid offline_access tasks:write')
    expect(decodeJwt(token).aud).toEqual([RESOURCE, `${server.issuer}/oauth2/userinfo`])
    expect((await app.send('tools/list', {}, { token })).body.result.tools).toHaveLength(9)
  })

  test('with tasks:read alone only reads', async () => {
    const token = await grant('tasks:read')
    const { tools } = (await app.send('tools/list', {}, { token })).body.result
    expect(tools).toHaveLength(4)
    expect(await app.result('list_tasks', {}, { token })).toMatchObject({ tasks: expect.any(Array) })
    const { body } = await app.send('tools/call', { name: 'add_task', arguments: { title: 'x' } }, { token })
    expect(body.error.code).toBe(-32602)
  })

  test('without a scope of tasks is told which it lacks', async () => {
    const token = await grant('openid profile')
    const answer = await app.send('tools/list', {}, { token })
    expect([answer.status, answer.body.error_code]).toEqual([403, 'INSUFFICIENT_SCOPE'])
    expect(answer.headers.get('www-authenticate')).toMatch(
      /^Bearer error="insufficient_scope", scope="tasks:read", resource_metadata="http:[^"]+"$/,
    )
  })

  test('without a resource is no JWT, and is refused', async () => {
    const token = await grant('tasks:write', null)
    expect(token.split('.')).toHaveLength(1)
    const answer = await app.send('tools/list', {}, { token })
    expect([answer.status, answer.body.error_code]).toEqual([401, 'TOKEN_NOT_JWT'])
  })
})

test("Better Auth's token of a session works at /mcp, for everything", async () => {
  const token = await server.sessionToken(user)
  expect((await app.send('tools/list', {}, { token })).body.result.tools).toHaveLength(9)
  expect(await app.result('add_task', { title: 'by its user' }, { token })).toMatchObject({
    status: 'created',
  })
})

describe('a token with claims of any kind', async () => {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA')
  const stranger = (await generateKeyPair('EdDSA')).privateKey
  const jwk = { ...(await exportJWK(publicKey)), alg: 'EdDSA', kid: 'own' }
  const keys = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => Response.json({ keys: [jwk] }) })
  afterAll(() => keys.stop(true))
  const origin = keys.url.origin
  const { send, call, callAt } = appWith({ BETTER_AUTH_URL: origin })
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    sub: 'ann',
    iss: `${origin}/api/auth`,
    aud: RESOURCE,
    scope: 'tasks:write',
    iat: now,
    exp: now + 300,
  }
  const sign = (changed = {}, header = {}, key = privateKey) =>
    new SignJWT({ ...claims, ...changed })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'own', typ: 'at+jwt', ...header })
      .sign(key)
  const list = async (token: string) => send('tools/list', {}, { token })

  test('is taken if all are right', async () => {
    expect((await list(await sign())).body.result.tools).toHaveLength(9)
    expect((await list(await sign({}, { typ: 'AT+JWT' }))).status).toBe(200)
    expect((await list(await sign({ aud: ['https://other.example', RESOURCE] }))).status).toBe(200)
    expect((await list(await sign({ iss: origin }))).status).toBe(200)
  })

  test.each<[string, object, object]>([
    ['of another audience', { aud: 'https://other.example/mcp' }, {}],
    ['of this host, but not this path', { aud: LOCAL }, {}],
    ['of a longer path', { aud: `${RESOURCE}/` }, {}],
    ['of another case', { aud: RESOURCE.toUpperCase() }, {}],
    ['of no audience', { aud: [] }, {}],
    ['of another issuer', { iss: 'https://evil.example' }, {}],
    ['without an issuer', { iss: undefined }, {}],
    ['without a subject', { sub: '' }, {}],
    ['that is not yet valid', { nbf: now + 300 }, {}],
    ['without an expiry', { exp: undefined }, {}],
    ['that is no access token', {}, { typ: 'JWT' }],
    ['of no type', {}, { typ: undefined }],
    ['of an unknown key', {}, { kid: 'other' }],
  ])('%s is refused', async (_, changed, header) => {
    expect(outcome(await list(await sign(changed, header)))).toEqual(INVALID)
  })

  test('that has expired is told so', async () => {
    const token = await sign({ iat: now - 600, exp: now - 300 })
    const expected = [401, 'TOKEN_EXPIRED', expect.stringContaining(`, ${WHERE}`)]
    expect(outcome(await list(token))).toEqual(expected)
  })

  test('that somebody else has signed is refused', async () => {
    expect(outcome(await list(await sign({}, {}, stranger)))).toEqual(INVALID)
    const secret = new TextEncoder().encode(SECRET)
    const symmetric = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .sign(secret)
    expect(outcome(await list(symmetric))).toEqual(INVALID)
  })

  test.each<[string, unknown]>([
    ['no scope', undefined],
    ['an empty scope', ''],
    ['other scopes', 'openid tasks tasks:* tasks:readx'],
    ['a list of scopes', ['x']],
  ])('with %s is told which it lacks', async (_, scope) => {
    const answer = await list(await sign({ scope }))
    expect([answer.status, answer.body.error_code]).toEqual([403, 'INSUFFICIENT_SCOPE'])
  })

  test('is no more at /mcp than its scopes, though it was used elsewhere before', async () => {
    const token = await sign({ aud: [origin, RESOURCE], scope: 'tasks:read' })
    expect((await list(token)).body.result.tools).toHaveLength(4)
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    expect((await list(token)).body.result.tools).toHaveLength(4)
  })

  test('for REST that is also used at /mcp goes on for REST', async () => {
    const token = await sign({ aud: [origin, RESOURCE] })
    expect((await list(token)).status).toBe(200)
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
  })

  test('for REST is no more there than its scopes either', async () => {
    const post = async (token: string) =>
      call('POST', TODOS, {
        headers: { ...by(token).headers, 'content-type': 'application/json' },
        body: { title: 'x' },
      })
    const token = await sign({ aud: [origin, RESOURCE], scope: 'openid tasks:read' })
    expect((await call('GET', TODOS, by(token))).status).toBe(200)
    expect((await post(token)).body.error_code).toBe('INSUFFICIENT_SCOPE')
    expect((await call('GET', '/api/v1/tokens', by(token))).body.error_code).toBe('INSUFFICIENT_SCOPE')
    expect((await post(await sign({ aud: origin, scope: 'tasks:write' }))).status).toBe(201)
  })

  test.each(['openid', '', undefined, 'TASKS:READ'])(
    'that is for /mcp as well is good for nothing elsewhere with the scope %p',
    async (scope) => {
      const token = await sign({ aud: [origin, RESOURCE], scope })
      for (const path of [TODOS, '/api/v1/tokens', '/api/v1/users/me']) {
        expect((await call('GET', path, by(token))).body.error_code).toBe('INSUFFICIENT_SCOPE')
      }
    },
  )

  test('whose type does not tell is limited to its scopes all the same', async () => {
    const token = await sign({ aud: [origin, RESOURCE], scope: 'tasks:read' }, { typ: 'JWT' })
    expect((await list(token)).body.result.tools).toHaveLength(4)
    expect((await call('GET', '/api/v1/tokens', by(token))).body.error_code).toBe('INSUFFICIENT_SCOPE')
  })

  test('for REST that names none of the scopes is good for everything, as a session is', async () => {
    const token = await sign({ aud: origin, scope: 'openid profile' })
    expect((await call('GET', '/api/v1/tokens', by(token))).status).toBe(200)
  })

  test('of a deleted user is refused, and told where to get another', async () => {
    const sub = crypto.randomUUID()
    const before = { sub, iat: now - 60 }
    const token = await sign(before)
    const own = await sign({ ...before, aud: origin, scope: undefined }, { typ: 'JWT' })
    await call('POST', TODOS, {
      headers: { ...by(own).headers, 'content-type': 'application/json' },
      body: { title: 'x' },
    })
    expect((await call('DELETE', '/api/v1/users/me', by(own))).status).toBe(204)
    for (const method of ['initialize', 'ping', 'tools/list', 'tools/call']) {
      expect(outcome(await send(method, { name: 'list_tasks' }, { token })), method).toEqual(INVALID)
    }
  })

  describe('without a public address', () => {
    test.each(['http://other.example', 'http://192.0.2.1:8000', 'http://localhost.evil.example'])(
      'is not taken at %s, which is only what the client has sent',
      async (at) => {
        const { send } = mcpCaller(callAt(at))
        const token = await sign({ aud: `${at}/mcp` })
        const refused = [401, 'TOKEN_INVALID', 'Bearer error="invalid_token"']
        expect(outcome(await send('tools/list', {}, { token }))).toEqual(refused)
        const { status, body } = await callAt(at)('GET', WELL_KNOWN)
        expect([status, body.error_code]).toEqual([404, 'NOT_FOUND'])
      },
    )

    test.each(['http://localhost:8000', 'http://127.0.0.1:8000', 'http://[::1]:8000'])(
      'is taken at %s, on this machine',
      async (at) => {
        const { send } = mcpCaller(callAt(at))
        const token = await sign({ aud: `${at}/mcp` })
        expect((await send('tools/list', {}, { token })).status).toBe(200)
        expect((await callAt(at)('GET', WELL_KNOWN)).body.resource).toBe(`${at}/mcp`)
        expect(outcome(await list(token))).toEqual(INVALID)
      },
    )
  })

  describe('with a public address', () => {
    const PUBLIC_URL = 'https://tasks.example/below'
    const { callAt } = appWith({ BETTER_AUTH_URL: origin, PUBLIC_URL })

    test.each([LOCAL, 'http://other.example', 'http://tasks.example'])(
      'is bound to that at %s',
      async (at) => {
        const call = callAt(at)
        const { send } = mcpCaller(call)
        const right = await sign({ aud: `${PUBLIC_URL}/mcp` })
        expect((await send('tools/list', {}, { token: right })).status).toBe(200)
        const wrong = await send('tools/list', {}, { token: await sign({ aud: `${at}/mcp` }) })
        expect(wrong.status).toBe(401)
        const metadata = `${PUBLIC_URL}${WELL_KNOWN}/mcp`
        expect(wrong.headers.get('www-authenticate')).toEndWith(`resource_metadata="${metadata}"`)
        expect((await call('GET', WELL_KNOWN)).body.resource).toBe(`${PUBLIC_URL}/mcp`)
      },
    )
  })
})

test('behind a trusted proxy the address is the one that the client has asked', async () => {
  const { callAt } = appWith({ BETTER_AUTH_URL: server.url, TRUSTED_PROXY_HOPS: '1' })
  const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-prefix': '/below' }
  const { body } = await callAt(LOCAL)('GET', WELL_KNOWN, { headers })
  expect(body.resource).toBe('https://localhost/below/mcp')
  // a proxy that nobody trusts is a client like others
  expect((await app.call('GET', WELL_KNOWN, { headers })).body.resource).toBe(RESOURCE)
  expect((await callAt('http://other.example')('GET', WELL_KNOWN, { headers })).status).toBe(404)
})

test('as long as the keys cannot be had, a token is neither taken nor refused', async () => {
  const { send } = appWith({ BETTER_AUTH_URL: `http://127.0.0.1:${await freePort()}` })
  const answer = await send('tools/list', {}, { token: await grant('tasks:write') })
  expect([answer.status, answer.body.error_code]).toEqual([503, 'KEYS_UNAVAILABLE'])
  expect(answer.headers.has('www-authenticate')).toBe(false)
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
})

describe('a client that knows nothing but the address', async () => {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const own = startAuthorizationServer(`${origin}/mcp`)
  const { app } = appWith({ BETTER_AUTH_URL: own.url })
  app.listen({ hostname: '127.0.0.1', port })
  afterAll(() => app.stop(true))

  /** What a client keeps of its way to a token. */
  interface Kept {
    client?: OAuthClientInformationMixed
    tokens?: OAuthTokens
    verifier?: string
    address?: URL
    discovery?: OAuthDiscoveryState
  }

  function provider() {
    const kept: Kept = {}
    const keep =
      <Name extends keyof Kept>(name: Name) =>
      (value: NonNullable<Kept[Name]>) => {
        kept[name] = value
      }
    return {
      kept,
      redirectUrl: REDIRECT,
      clientMetadata: CLIENT_METADATA,
      state: () => 'state',
      clientInformation: () => kept.client,
      saveClientInformation: keep('client'),
      tokens: () => kept.tokens,
      saveTokens: keep('tokens'),
      redirectToAuthorization: keep('address'),
      saveCodeVerifier: keep('verifier'),
      codeVerifier: () => kept.verifier ?? '',
      saveDiscoveryState: keep('discovery'),
      discoveryState: () => kept.discovery,
    }
  }

  async function comeBack(address: URL | undefined): Promise<URLSearchParams> {
    const back = await own.browse(await own.signUp(), address ?? expect.unreachable())
    return back.searchParams
  }

  test('finds the authorization server, and works with the token that it gets there', async () => {
    const authProvider = provider()
    const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } })
    const transport = () => new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), { authProvider })
    const first = transport()
    await expect(client.connect(first)).rejects.toThrow()
    await first.finishAuth(await comeBack(authProvider.kept.address))
    await client.connect(transport())
    expect((await client.listTools()).tools).toHaveLength(9)
    expect(authProvider.kept.tokens?.scope).toStartWith('tasks:read tasks:write')
    await client.close()
  })

  test('of the earlier revisions does so too', async () => {
    const authProvider = provider()
    const client = new EarlierClient({ name: 'test', version: '1' })
    const transport = () => new EarlierTransport(new URL(`${origin}/mcp`), { authProvider })
    const first = transport()
    await expect(client.connect(first)).rejects.toThrow()
    await first.finishAuth((await comeBack(authProvider.kept.address)).get('code') ?? '')
    await client.connect(transport())
    expect((await client.listTools()).tools).toHaveLength(9)
    await client.close()
  })
})
