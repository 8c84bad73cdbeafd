import { expect, test } from 'bun:test'
import { generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'
import { createApp } from '../../src/app'
import { createLog } from '../../src/telemetry/log'
import { createMetrics } from '../../src/telemetry/metrics'
import { linesTo, SECRET, testSettings } from '../support/app'
import { testDatabase } from '../support/database'
import { startIssuer } from '../support/issuer'

const NOW = Math.floor(Date.now() / 1000)
const issuer = startIssuer()
const { session } = await issuer.signUp()
const stranger = await generateKeyPair('EdDSA')
const { database } = await testDatabase()

/** A service that trusts the issuer and a shared secret, with its log and its metrics. */
function service(logLevel = 'debug') {
  const env = { BETTER_AUTH_URL: issuer.url, BETTER_AUTH_SECRET: SECRET, AUTH_AUDIENCE: issuer.url }
  const settings = testSettings({ ...env, LOG_LEVEL: logLevel })
  const lines: string[] = []
  const log = createLog({ ...settings, production: true }, linesTo(lines))
  const metrics = createMetrics()
  const app = createApp({ settings, database, metrics, log })
  return {
    metrics,
    async ask(authorization?: string) {
      const headers = authorization === undefined ? {} : { authorization }
      const request = new Request('http://localhost/api/v1/todos', { headers })
      return (await app.handle(request)).json() as Promise<{ error_code: string; request_id: string }>
    },
    refusals: () => lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'token refused'),
    text: () => lines.join(''),
  }
}

const GOOD = { sub: 'ann', iss: 'anybody', aud: issuer.url, exp: NOW + 600 }

function bySecret(claims: JWTPayload, header: Partial<JWTHeaderParameters> = {}, secret = SECRET) {
  const token = new SignJWT({ ...GOOD, ...claims }).setProtectedHeader({ alg: 'HS256', ...header })
  return token.sign(new TextEncoder().encode(secret))
}

function withoutExpiry() {
  const { exp: _, ...claims } = GOOD
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(SECRET))
}

const byStranger = (header: JWTHeaderParameters) =>
  new SignJWT({ ...GOOD, iss: issuer.url }).setProtectedHeader(header).sign(stranger.privateKey)

const REFUSED: [
  reason: string,
  code: string,
  token: () => Promise<string>,
  found: Record<string, unknown>,
][] = [
  ['audience', 'TOKEN_INVALID', () => bySecret({ aud: ['a', 'b'] }), { audience: '["a","b"]' }],
  [
    'audience',
    'TOKEN_INVALID',
    () => issuer.sign({ sub: 'x', aud: 'https://other' }),
    { audience: 'https://other' },
  ],
  [
    'issuer',
    'TOKEN_INVALID',
    () => issuer.sign({ sub: 'x', iss: 'https://other' }),
    { issuer: 'https://other' },
  ],
  ['expired', 'TOKEN_EXPIRED', () => bySecret({ exp: NOW - 60 }), { algorithm: 'HS256' }],
  ['expiry_missing', 'TOKEN_INVALID', withoutExpiry, {}],
  ['not_yet_valid', 'TOKEN_INVALID', () => bySecret({ nbf: NOW + 600 }), {}],
  ['subject', 'TOKEN_INVALID', () => bySecret({ sub: '' }), {}],
  ['type', 'TOKEN_INVALID', () => bySecret({}, { typ: 'logout+jwt' }), { type: 'logout+jwt' }],
  [
    'algorithm',
    'TOKEN_INVALID',
    () => bySecret({}, { alg: 'HS512' }, SECRET.repeat(2)),
    { algorithm: 'HS512' },
  ],
  ['signature', 'TOKEN_INVALID', () => bySecret({}, {}, `another ${SECRET}`), {}],
  ['unknown_key', 'TOKEN_INVALID', () => byStranger({ alg: 'EdDSA', kid: 'mine' }), { key_id: 'mine' }],
  ['malformed', 'TOKEN_INVALID', async () => 'e30.e30.e30', {}],
  ['malformed', 'TOKEN_INVALID', async () => 'a.b=.c', {}],
  ['not_a_jwt', 'TOKEN_NOT_JWT', async () => session, {}],
]

test.each(REFUSED)(
  'the reason %s is in the log and the metrics, and not in the answer',
  async (reason, code, make, found) => {
    const { ask, refusals, text, metrics } = service()
    const token = await make()
    const answer = await ask(`Bearer ${token}`)
    expect(answer.error_code).toBe(code)
    const [refusal] = refusals()
    expect(refusal).toMatchObject({ level: 20, reason, code, request_id: answer.request_id })
    expect(refusal.found ?? {}).toMatchObject(found)
    expect(await metrics.render()).toContain(`taskwell_tokens_refused_total{reason="${reason}"} 1`)
    for (const part of token.split('.')) if (part.length > 8) expect(text()).not.toContain(part)
  },
)

test('what was expected stands beside what was found', async () => {
  const { ask, refusals } = service()
  await ask(`Bearer ${await issuer.sign({ sub: 'x', aud: 'https://other' })}`)
  expect(refusals()[0].expected).toEqual({
    algorithms: ['HS256', 'EdDSA', 'ES256', 'ES512', 'RS256', 'PS256'],
    issuers: [issuer.url, `${issuer.url}/api/auth`],
    audiences: [issuer.url],
  })
  expect(refusals()[0].found).toMatchObject({
    algorithm: 'EdDSA',
    issuer: issuer.url,
    key_id: expect.any(String),
  })
})

test('a missing token is counted too', async () => {
  const { ask, refusals, metrics } = service()
  await ask()
  expect(refusals()).toMatchObject([{ reason: 'missing', code: 'TOKEN_MISSING' }])
  expect(await metrics.render()).toContain('taskwell_tokens_refused_total{reason="missing"} 1')
})

test('claims of any length and shape make a short line', async () => {
  const { ask, refusals, text } = service()
  await ask(`Bearer ${await bySecret({ aud: 'x'.repeat(3000), iss: { a: '\x9b' } as unknown as string })}`)
  expect(refusals()[0].found).toMatchObject({ audience: 'x'.repeat(200), issuer: '{"a":"\ufffd"}' })
  expect(
    text()
      .split('\n')
      .every((line) => line.length < 1000),
  ).toBe(true)
})

test('a good token is no refusal, and above debug nothing is told', async () => {
  const { ask, refusals, metrics } = service('info')
  await ask(`Bearer ${await bySecret({})}`)
  expect(await metrics.render()).not.toContain('taskwell_tokens_refused_total{')
  await ask('Bearer e30.e30.e30')
  expect(refusals()).toEqual([])
})
