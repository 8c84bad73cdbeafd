/** Which tokens say who is calling, and what the others are answered; the tokens are made by hand. */

import {
  afterAll,
  afterEach,
  beforeEach,
  describe,
  expect,
  type Mock,
  mock,
  setSystemTime,
  spyOn,
  test,
} from 'bun:test'
import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { exportJWK, exportSPKI, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { Problem } from '../../src/http/problems'
import { SECRET, testApp } from '../support/app'
import { verifyJwts } from '../support/verify'

const NOW = Date.UTC(2030, 0, 1) / 1000
const HOUR = 3600
const ISSUER = 'https://issuer.example'
const AUDIENCE = 'https://tasks.example'

/** Claims that lack nothing. */
const GOOD = { sub: 'ann', exp: NOW + HOUR }

type Part = Record<string, unknown>

const encode = (part: Part) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** An HMAC token of any header and claims, the impossible ones too; `undefined` leaves a claim out. */
function hmacToken(claims: Part = {}, header: Part = {}, key: string = SECRET, hash = 'sha256'): string {
  const signed = `${encode({ alg: 'HS256', ...header })}.${encode({ ...GOOD, ...claims })}`
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`
}

/** Who is calling, or the code of the refusal. */
async function answerTo(
  authorization: string | null,
  verify: ReturnType<typeof verifyJwts> = bySecret,
): Promise<string> {
  try {
    const { id } = await verify(authorization)
    return id
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

const answerToToken = (token: string, verify?: ReturnType<typeof verifyJwts>) =>
  answerTo(`Bearer ${token}`, verify)

const bySecret = verifyJwts({ secret: SECRET, jwks: undefined, issuers: [], audiences: [] })

// a stopped clock makes every limit exact
beforeEach(() => {
  setSystemTime(NOW * 1000)
})

afterEach(() => {
  setSystemTime()
})

describe('the header', () => {
  const token = hmacToken()

  test.each(['Bearer', 'bearer', 'BEARER', 'bEaReR'])(
    'is taken with the scheme written %s',
    async (scheme) => {
      expect(await answerTo(`${scheme} ${token}`)).toBe('ann')
    },
  )

  test('is taken with more spaces than needed, before, between and after', async () => {
    expect(await answerTo(`  Bearer   ${token}  `)).toBe('ann')
  })

  test.each([
    ['is missing', null],
    ['is empty', ''],
    ['has a scheme and no token', 'Bearer'],
    ['has a scheme and spaces', 'Bearer   '],
    ['has another scheme', 'Basic YW5uOnNlY3JldA=='],
    ['has another scheme and a good token', `Basic ${token}`],
    ['has a good token and no scheme', token],
    ['has a scheme that only begins as the right one', `Bearers ${token}`],
    ['has no space after the scheme', `Bearer${token}`],
  ])('that %s is TOKEN_MISSING', async (_, authorization) => {
    expect(await answerTo(authorization)).toBe('TOKEN_MISSING')
  })

  test.each([
    ['twice, joined by a comma', `Bearer ${token}, Bearer ${token}`],
    ['twice, joined by a comma alone', `Bearer ${token},Bearer ${token}`],
    ['with a comma behind it', `Bearer ${token},`],
    ['with another word behind it', `Bearer ${token} more`],
  ])('with a good token %s is TOKEN_INVALID', async (_, authorization) => {
    expect(await answerTo(authorization)).toBe('TOKEN_INVALID')
  })

  test('with another scheme before a good token is refused', async () => {
    expect(await answerTo(`Basic YW5uOnNlY3JldA==, Bearer ${token}`)).toBe('TOKEN_MISSING')
  })

  test.each([
    ['an opaque word', 'oTMTDMjW8V5YR3Xu0nWk7rJ9yJ2xQvkK'],
    ['a word with a signature, as in a session cookie', 'oTMTDMjW8V5YR3Xu0nWk7rJ9yJ2xQvkK.c2lnbmF0dXJl'],
    ['a token in five parts, which is encrypted', 'e30.a.b.c.d'],
  ])('with %s is TOKEN_NOT_JWT', async (_, word) => {
    expect(await answerToToken(word)).toBe('TOKEN_NOT_JWT')
  })

  test.each([
    ['words', 'a.b.c'],
    ['nothing', '..'],
    ['a header that is no JSON', `${Buffer.from('{').toString('base64url')}.e30.e30`],
    ['a header that is JSON but no object', `${Buffer.from('null').toString('base64url')}.e30.e30`],
    ['characters that are no base64url', '§.§.§'],
  ])('with three parts of %s is TOKEN_INVALID', async (_, garbage) => {
    expect(await answerToToken(garbage)).toBe('TOKEN_INVALID')
  })

  test('takes tokens of up to 8,192 characters', async () => {
    const longest = tokenOfLength(8192)
    expect(await answerToToken(longest)).toBe('ann')
    expect(await answerToToken(tokenOfLength(8193))).toBe('TOKEN_INVALID')
  })

  /** Base64url makes four characters of three bytes, so two paddings, in header and claims, reach any length. */
  function tokenOfLength(length: number): string {
    for (const header of [{}, { a: '' }, { a: 'a' }]) {
      const spare = length - hmacToken({ pad: '' }, header).length
      for (let pad = Math.floor(spare * 0.75) - 2; pad < spare * 0.75 + 2; pad++) {
        const token = hmacToken({ pad: 'x'.repeat(pad) }, header)
        if (token.length === length) return token
      }
    }
    throw new Error(`No token of ${length} characters can be made`)
  }
})

describe('a refusal', () => {
  const challengeOf = async (authorization: string | null) => {
    const problem = await Promise.try(() => bySecret(authorization)).catch((error: unknown) => error)
    if (!(problem instanceof Problem)) throw new Error('It was not refused')
    return problem.headers['www-authenticate']
  }

  test.each([
    ['no header', null],
    ['another scheme', 'Basic YW5uOnNlY3JldA=='],
  ])('of %s asks for a bearer token and names no error', async (_, authorization) => {
    expect(await challengeOf(authorization)).toBe('Bearer')
  })

  test.each([
    ['an opaque', 'opaque'],
    ['a forged', hmacToken({}, {}, 'another-secret-of-at-least-32-bytes')],
    ['an expired', hmacToken({ exp: NOW - HOUR })],
    ['a doubled', `${hmacToken()}, Bearer ${hmacToken()}`],
  ])('of %s token says that it is not valid', async (_, token) => {
    expect(await challengeOf(`Bearer ${token}`)).toBe('Bearer error="invalid_token"')
  })
})

describe('a token', () => {
  test.each([
    ['ends in an hour', { exp: NOW + HOUR }],
    ['ended less than five seconds ago', { exp: NOW - 4 }],
    ['begins in five seconds', { nbf: NOW + 5 }],
    ['began long ago', { nbf: NOW - HOUR }],
    ['was issued in the future, which is for the issuer to know', { iat: NOW + HOUR }],
  ])('that %s is accepted', async (_, claims) => {
    expect(await answerToToken(hmacToken(claims))).toBe('ann')
  })

  test.each([
    ['ended five seconds ago', { exp: NOW - 5 }],
    ['ended an hour ago', { exp: NOW - HOUR }],
    ['ended in 1970', { exp: 0 }],
  ])('that %s is TOKEN_EXPIRED', async (_, claims) => {
    expect(await answerToToken(hmacToken(claims))).toBe('TOKEN_EXPIRED')
  })

  test.each([
    ['never ends', { exp: undefined }],
    ['ends at null', { exp: null }],
    ['ends at a text', { exp: String(NOW + HOUR) }],
    ['begins in six seconds', { nbf: NOW + 6 }],
    ['begins at a text', { nbf: String(NOW) }],
  ])('that %s is TOKEN_INVALID', async (_, claims) => {
    expect(await answerToToken(hmacToken(claims))).toBe('TOKEN_INVALID')
  })

  test('whose claims are no object is TOKEN_INVALID', async () => {
    const signed = `${encode({ alg: 'HS256' })}.${Buffer.from('"ann"').toString('base64url')}`
    const signature = createHmac('sha256', SECRET).update(signed).digest('base64url')
    expect(await answerToToken(`${signed}.${signature}`)).toBe('TOKEN_INVALID')
  })
})

describe('the subject', () => {
  test.each([
    ['of 255 characters', 'a'.repeat(255)],
    ['of 255 characters outside the basic plane', '😀'.repeat(255)],
    ['of one digit', '1'],
    ['with spaces and marks', ' ann/../%00?#" '],
  ])('%s is taken as it is', async (_, sub) => {
    expect(await answerToToken(hmacToken({ sub }))).toBe(sub)
  })

  test.each([
    ['that is missing', undefined],
    ['that is empty', ''],
    ['that is null', null],
    ['that is a number', 7],
    ['that is a list', ['ann']],
    ['that is an object', { id: 'ann' }],
    ['that is true', true],
    ['of 256 characters', 'a'.repeat(256)],
    ['of 256 characters outside the basic plane', '😀'.repeat(256)],
    ['with NUL', 'ann\0'],
    ['with half a surrogate pair', 'ann\ud800'],
  ])('%s is TOKEN_INVALID', async (_, sub) => {
    expect(await answerToToken(hmacToken({ sub }))).toBe('TOKEN_INVALID')
  })

  test.each([
    ['missing', undefined],
    ['empty', ''],
  ])('is `userId` where `sub` is %s', async (_, sub) => {
    expect(await answerToToken(hmacToken({ sub, userId: 'bob' }))).toBe('bob')
  })

  test('is `sub` where there is a `userId` too', async () => {
    expect(await answerToToken(hmacToken({ sub: 'ann', userId: 'bob' }))).toBe('ann')
  })

  test.each([
    ['empty', ''],
    ['a number', 7],
    ['too long', 'a'.repeat(256)],
    ['text with NUL', 'bob\0'],
  ])('is TOKEN_INVALID where `sub` is missing and `userId` is %s', async (_, userId) => {
    expect(await answerToToken(hmacToken({ sub: undefined, userId }))).toBe('TOKEN_INVALID')
  })

  test('is not `userId` where `sub` is of the wrong type', async () => {
    expect(await answerToToken(hmacToken({ sub: 7, userId: 'bob' }))).toBe('TOKEN_INVALID')
  })

  test('is never an e-mail address or an `id`', async () => {
    const claims = { sub: undefined, email: 'ann@example.com', id: 'ann', user: { id: 'ann' } }
    expect(await answerToToken(hmacToken(claims))).toBe('TOKEN_INVALID')
  })
})

describe("the token's header", () => {
  test('may lack a type', async () => {
    expect(await answerToToken(hmacToken({}, { typ: undefined }))).toBe('ann')
  })

  test.each(['JWT', 'jwt', 'at+jwt', 'AT+JWT'])('may give the type %s', async (typ) => {
    expect(await answerToToken(hmacToken({}, { typ }))).toBe('ann')
  })

  test.each([
    'logout+jwt',
    'better-auth.session-cache+jwt',
    'secevent+jwt',
    'JWS',
    'jwt+at',
    'JWT\n',
    '',
    null,
    7,
    [['JWT']],
  ])('may not give the type %j', async (typ) => {
    expect(await answerToToken(hmacToken({}, { typ }))).toBe('TOKEN_INVALID')
  })

  test.each([
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ])('may not name %s, though the signature is good', async (alg, hash) => {
    expect(await answerToToken(hmacToken({}, { alg }, SECRET, hash))).toBe('TOKEN_INVALID')
  })

  test.each(['none', 'None', 'NONE', '', 'hs256', 'HS', null, 7, [['HS256']]])(
    'may not name the algorithm %j',
    async (alg) => {
      expect(await answerToToken(hmacToken({}, { alg }))).toBe('TOKEN_INVALID')
    },
  )

  test('must name an algorithm', async () => {
    expect(await answerToToken(hmacToken({}, { alg: undefined }))).toBe('TOKEN_INVALID')
  })

  test('may not name the algorithm none, with no signature', async () => {
    expect(await answerToToken(`${encode({ alg: 'none' })}.${encode(GOOD)}.`)).toBe('TOKEN_INVALID')
  })

  test('may not ask for an extension to be understood', async () => {
    const header = { crit: ['http://example.com/extension'], 'http://example.com/extension': true }
    expect(await answerToToken(hmacToken({}, header))).toBe('TOKEN_INVALID')
  })

  test('may not ask for claims that are not encoded', async () => {
    expect(await answerToToken(hmacToken({}, { crit: ['b64'], b64: false }))).toBe('TOKEN_INVALID')
  })
})

describe('the signature of a token', () => {
  const [header = '', claims = '', signature = ''] = hmacToken().split('.')

  test('by another secret is refused', async () => {
    const forged = hmacToken({}, {}, 'another-secret-of-at-least-32-bytes')
    expect(await answerToToken(forged)).toBe('TOKEN_INVALID')
  })

  test('does not hold for other claims', async () => {
    expect(await answerToToken(`${header}.${encode({ ...GOOD, sub: 'bob' })}.${signature}`)).toBe(
      'TOKEN_INVALID',
    )
  })

  test('does not hold for another header', async () => {
    const other = encode({ alg: 'HS256', kid: 'other' })
    expect(await answerToToken(`${other}.${claims}.${signature}`)).toBe('TOKEN_INVALID')
  })

  test.each([
    ['left out', ''],
    ['cut short', signature.slice(0, -4)],
    ['made longer', `${signature}AAAA`],
    ['changed in its first character', `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`],
  ])('may not be %s', async (_, changed) => {
    expect(await answerToToken(`${header}.${claims}.${changed}`)).toBe('TOKEN_INVALID')
  })

  test('is told from a late one: a forged token that has expired is TOKEN_INVALID', async () => {
    const forged = hmacToken({ exp: NOW - HOUR }, {}, 'another-secret-of-at-least-32-bytes')
    expect(await answerToToken(forged)).toBe('TOKEN_INVALID')
  })
})

describe('issuer and audience of a shared-secret token', () => {
  const bound = verifyJwts({
    secret: SECRET,
    jwks: undefined,
    issuers: [ISSUER, 'https://second.example'],
    audiences: [AUDIENCE, 'second'],
  })
  const good = { iss: ISSUER, aud: AUDIENCE }

  test('are not asked for where none is set', async () => {
    expect(await answerToToken(hmacToken({ iss: 'anybody', aud: 'anything' }))).toBe('ann')
  })

  test.each([
    ['the first of each', {}],
    ['the second of each', { iss: 'https://second.example', aud: 'second' }],
    ['one audience among others', { aud: ['x', AUDIENCE] }],
  ])('may be %s of those that are set', async (_, claims) => {
    expect(await answerToToken(hmacToken({ ...good, ...claims }), bound)).toBe('ann')
  })

  test.each([
    ['a missing issuer', { iss: undefined }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['an issuer with a slash behind it', { iss: `${ISSUER}/` }],
    ['issuers in a list', { iss: [ISSUER] }],
    ['a missing audience', { aud: undefined }],
    ['another audience', { aud: 'x' }],
    ['an empty list of audiences', { aud: [] }],
  ])('may not be %s where they are set', async (_, claims) => {
    expect(await answerToToken(hmacToken({ ...good, ...claims }), bound)).toBe('TOKEN_INVALID')
  })
})

describe("a token of an issuer's key", async () => {
  const ed25519 = await generateKeyPair('EdDSA', { extractable: true })
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const p384 = await generateKeyPair('ES384', { extractable: true })
  const strange = await generateKeyPair('EdDSA', { extractable: true })
  const publicJwks = {
    ed25519: await exportJWK(ed25519.publicKey),
    rsa: await exportJWK(rsa.publicKey),
    p384: await exportJWK(p384.publicKey),
  }
  const keys = Object.entries(publicJwks).map(([kid, jwk]) => ({ ...jwk, kid }))

  let asked: string[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request) => {
      asked.push(new URL(request.url).pathname)
      return Response.json({ keys })
    },
  })
  afterAll(() => server.stop(true))
  beforeEach(() => {
    asked = []
  })

  const jwks = { urls: [new URL('/jwks', server.url).href], issuers: [ISSUER], audiences: [AUDIENCE] }
  const verifiers = {
    'keys alone': verifyJwts({ secret: undefined, jwks, issuers: [], audiences: [] }),
    'keys and a secret': verifyJwts({ secret: SECRET, jwks, issuers: [], audiences: [] }),
  }
  const byKeys = verifiers['keys alone']
  const byBoth = verifiers['keys and a secret']

  const claims = { ...GOOD, iss: ISSUER, aud: AUDIENCE }
  const sign = (key: CryptoKey, header: JWTHeaderParameters, changed: Part = {}) =>
    new SignJWT({ ...claims, ...changed }).setProtectedHeader(header).sign(key)

  test.each([
    ['EdDSA', 'ed25519', ed25519.privateKey],
    ['RS256', 'rsa', rsa.privateKey],
    ['PS256', 'rsa', await asPss(rsa.privateKey)],
  ])('by %s is accepted', async (alg, kid, key) => {
    expect(await answerToToken(await sign(key, { alg, kid }), byKeys)).toBe('ann')
  })

  test.each([
    ['ES384', 'p384', p384.privateKey],
    ['RS512', 'rsa', await asHash(rsa.privateKey, 'SHA-512')],
  ])('by %s is refused, though its key is published', async (alg, kid, key) => {
    expect(await answerToToken(await sign(key, { alg, kid }), byKeys)).toBe('TOKEN_INVALID')
  })

  test('may lack a key id where one key alone fits', async () => {
    expect(await answerToToken(await sign(ed25519.privateKey, { alg: 'EdDSA' }), byKeys)).toBe('ann')
  })

  test('that is not published is refused', async () => {
    const token = await sign(strange.privateKey, { alg: 'EdDSA', kid: 'strange' })
    expect(await answerToToken(token, byKeys)).toBe('TOKEN_INVALID')
  })

  test('that is not published is refused under the id of one that is', async () => {
    const token = await sign(strange.privateKey, { alg: 'EdDSA', kid: 'ed25519' })
    expect(await answerToToken(token, byKeys)).toBe('TOKEN_INVALID')
  })

  test.each([
    ['another issuer', { iss: 'https://evil.example' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'https://evil.example' }],
    ['no audience', { aud: undefined }],
    ['no end', { exp: undefined }],
  ])('with %s is TOKEN_INVALID', async (_, changed) => {
    const token = await sign(ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' }, changed)
    expect(await answerToToken(token, byKeys)).toBe('TOKEN_INVALID')
  })

  test('that has expired is TOKEN_EXPIRED', async () => {
    const token = await sign(ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' }, { exp: NOW - HOUR })
    expect(await answerToToken(token, byKeys)).toBe('TOKEN_EXPIRED')
  })

  test('is refused where the secret alone is trusted', async () => {
    expect(await answerToToken(await sign(ed25519.privateKey, { alg: 'EdDSA' }))).toBe('TOKEN_INVALID')
  })

  test('is not looked for at an address, nor taken from where, its header says', async () => {
    await answerToToken(await sign(ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' }), byKeys)
    asked = []
    const jku = new URL('/elsewhere', server.url).href
    const jwk = await exportJWK(strange.publicKey)
    const header = { alg: 'EdDSA', kid: 'ed25519', jku, x5u: jku, jwk }
    expect(await answerToToken(await sign(strange.privateKey, header), byKeys)).toBe('TOKEN_INVALID')
    expect(asked).toEqual([])
  })

  const publicTexts = {
    'PEM text': await exportSPKI(rsa.publicKey),
    'PEM text without its last line break': (await exportSPKI(rsa.publicKey)).trimEnd(),
    'JWK text': JSON.stringify(publicJwks.rsa),
    'JWK text as it is published': JSON.stringify(keys[1]),
    modulus: publicJwks.rsa.n ?? '',
  }
  const confusions = Object.entries(publicTexts).flatMap(([name, key]) =>
    Object.entries(verifiers).map(([trusted, verify]) => ({ name, key, trusted, verify })),
  )

  test.each(confusions)(
    'cannot serve as a secret: HS256 by its $name, with $trusted trusted',
    async ({ key, verify }) => {
      for (const kid of [undefined, 'rsa']) {
        expect(await answerToToken(hmacToken(claims, { kid }, key), verify)).toBe('TOKEN_INVALID')
      }
    },
  )

  test('costs the issuer no request where its algorithm is not allowed', async () => {
    const verify = verifyJwts({ secret: undefined, jwks, issuers: [], audiences: [] })
    for (const alg of ['none', 'HS256', 'ES384', 'RS512', 'garbage']) {
      expect(await answerToToken(hmacToken(claims, { alg, kid: 'rsa' }), verify)).toBe('TOKEN_INVALID')
    }
    expect(asked).toEqual([])
  })

  test('is accepted beside tokens of the secret, which need not name the same issuer', async () => {
    const token = await sign(ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' })
    expect(await answerToToken(token, byBoth)).toBe('ann')
    expect(await answerToToken(hmacToken({ sub: 'bob', iss: 'taskwell' }), byBoth)).toBe('bob')
  })

  test('is unavailable while the issuer is down, and tokens of the secret are accepted', async () => {
    const gone = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() })
    await gone.stop(true)
    const unreachable = { ...jwks, urls: [gone.url.href] }
    const verify = verifyJwts({ secret: SECRET, jwks: unreachable, issuers: [], audiences: [] })
    const token = await sign(ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' })
    expect(await answerToToken(token, verify)).toBe('KEYS_UNAVAILABLE')
    expect(await answerToToken(hmacToken(), verify)).toBe('ann')
  })
})

/** The same RSA key for another algorithm: a CryptoKey is bound to one. */
async function reimport(key: CryptoKey, algorithm: RsaHashedImportParams): Promise<CryptoKey> {
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', key)
  return crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
}
const asPss = (key: CryptoKey) => reimport(key, { name: 'RSA-PSS', hash: 'SHA-256' })
const asHash = (key: CryptoKey, hash: string) => reimport(key, { name: 'RSASSA-PKCS1-v1_5', hash })

describe('a token that was verified', () => {
  // calls through: it only counts how often a signature is checked
  let checks: Mock<SubtleCrypto['verify']>
  beforeEach(() => {
    checks = spyOn(crypto.subtle, 'verify')
  })
  afterEach(() => {
    mock.restore()
  })

  const verifier = () => verifyJwts({ secret: SECRET, jwks: undefined, issuers: [], audiences: [] })

  test('is remembered: its signature is checked once', async () => {
    const verify = verifier()
    for (let time = 0; time < 3; time++) expect(await answerToToken(hmacToken(), verify)).toBe('ann')
    expect(checks).toHaveBeenCalledTimes(1)
  })

  test('is remembered once, however it is written', async () => {
    const verify = verifier()
    const token = hmacToken()
    for (const scheme of ['bearer ', 'Bearer ', 'BEARER  ', ' Bearer ']) {
      for (let time = 0; time < 2; time++) expect((await verify(scheme + token)).id).toBe('ann')
    }
    expect(checks).toHaveBeenCalledTimes(1)
  })

  test('is refused when it has expired, though it is remembered', async () => {
    const verify = verifier()
    const token = hmacToken({ exp: NOW + 60 })
    expect(await answerToToken(token, verify)).toBe('ann')
    setSystemTime((NOW + 64) * 1000)
    expect(await answerToToken(token, verify)).toBe('ann')
    expect(checks).toHaveBeenCalledTimes(1)
    setSystemTime((NOW + 65) * 1000)
    expect(await answerToToken(token, verify)).toBe('TOKEN_EXPIRED')
  })

  test('is checked again after ten minutes', async () => {
    const verify = verifier()
    await answerToToken(hmacToken(), verify)
    setSystemTime((NOW + 599) * 1000)
    await answerToToken(hmacToken(), verify)
    expect(checks).toHaveBeenCalledTimes(1)
    setSystemTime((NOW + 600) * 1000)
    expect(await answerToToken(hmacToken(), verify)).toBe('ann')
    expect(checks).toHaveBeenCalledTimes(2)
  })

  test('does not vouch for another that differs in its signature alone', async () => {
    const verify = verifier()
    const token = hmacToken()
    await answerToToken(token, verify)
    const forged = token.slice(0, -8) + token.slice(-8).split('').reverse().join('')
    expect(await answerToToken(forged, verify)).toBe('TOKEN_INVALID')
  })

  test('is forgotten when 10,000 others have come after it', async () => {
    const verify = verifier()
    const first = hmacToken({ sub: 'first' })
    await answerToToken(first, verify)
    for (let other = 1; other < 10_000; other++)
      await answerToToken(hmacToken({ sub: `user-${other}` }), verify)
    await answerToToken(first, verify)
    expect(checks).toHaveBeenCalledTimes(10_000)
    await answerToToken(hmacToken({ sub: 'one too many' }), verify)
    await answerToToken(first, verify)
    expect(checks).toHaveBeenCalledTimes(10_002)
  })

  test('and refused is not remembered', async () => {
    const verify = verifier()
    const forged = hmacToken({}, {}, 'another-secret-of-at-least-32-bytes')
    for (let time = 0; time < 2; time++) expect(await answerToToken(forged, verify)).toBe('TOKEN_INVALID')
    expect(checks).toHaveBeenCalledTimes(2)
  })
})

describe('a token whose key the issuer has withdrawn', async () => {
  const pairs = { old: await generateKeyPair('EdDSA'), next: await generateKeyPair('EdDSA') }
  let published: keyof typeof pairs = 'old'
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async () =>
      Response.json({ keys: [{ ...(await exportJWK(pairs[published].publicKey)), kid: published }] }),
  })
  afterAll(() => server.stop(true))
  beforeEach(() => {
    published = 'old'
  })
  afterEach(() => {
    mock.restore()
  })

  const verifier = () => {
    const jwks = { urls: [server.url.href], issuers: [], audiences: [] }
    return verifyJwts({ secret: undefined, jwks, issuers: [], audiences: [] })
  }
  const sign = (kid: keyof typeof pairs) =>
    new SignJWT(GOOD).setProtectedHeader({ alg: 'EdDSA', kid }).sign(pairs[kid].privateKey)

  test('is refused once the new keys are known, though it was remembered', async () => {
    const verify = verifier()
    const token = await sign('old')
    for (let time = 0; time < 2; time++) expect(await answerToToken(token, verify)).toBe('ann')
    published = 'next'
    expect(await answerToToken(await sign('next'), verify)).toBe('ann')
    expect(await answerToToken(token, verify)).toBe('TOKEN_INVALID')
  })

  test('is refused then also if it was being checked when they came', async () => {
    const verify = verifier()
    const token = await sign('old')
    await answerToToken(token, verify)
    const { subtle } = crypto
    const check = subtle.verify.bind(subtle)
    const gate = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    spyOn(subtle, 'verify').mockImplementationOnce(async (...input) => {
      started.resolve()
      await gate.promise
      return check(...input)
    })
    const other = new SignJWT({ ...GOOD, sub: 'bob' }).setProtectedHeader({ alg: 'EdDSA', kid: 'old' })
    const late = await other.sign(pairs.old.privateKey)
    const answer = answerToToken(late, verify)
    await started.promise
    published = 'next'
    expect(await answerToToken(await sign('next'), verify)).toBe('ann')
    gate.resolve()
    expect(await answer).toBe('bob')
    expect(await answerToToken(late, verify)).toBe('TOKEN_INVALID')
  })
})

describe('over a socket', async () => {
  const { app, settings } = await testApp()
  app.listen({ hostname: '127.0.0.1', port: 0, reusePort: false })
  afterAll(() => app.server?.stop(true))

  /** @returns the status line and all that follows */
  async function request(...headers: string[]): Promise<string> {
    const socket = connect(app.server?.port ?? 0, '127.0.0.1')
    const lines = ['GET /api/v1/todos HTTP/1.1', 'Host: localhost', 'Connection: close', ...headers, '', '']
    socket.write(lines.join('\r\n'))
    return text(socket)
  }
  const token = await signAccessToken('ann', settings)

  beforeEach(() => {
    setSystemTime()
  })

  test('one header with a token is accepted, its name and scheme in any case', async () => {
    expect(await request(`authorization: bearer ${token}`)).toStartWith('HTTP/1.1 200')
    expect(await request(`AUTHORIZATION: BEARER   ${token}  `)).toStartWith('HTTP/1.1 200')
  })

  test('the same good header twice answers 401', async () => {
    const answer = await request(`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`)
    expect(answer).toStartWith('HTTP/1.1 401')
    expect(answer.toLowerCase()).toContain('www-authenticate: bearer error="invalid_token"')
  })

  test.each([
    ['before', ['Authorization: Basic YW5uOnNlY3JldA==', `Authorization: Bearer ${token}`]],
    ['after', [`Authorization: Bearer ${token}`, 'Authorization: Basic YW5uOnNlY3JldA==']],
  ])('a good header with another scheme %s it answers 401', async (_, headers) => {
    expect(await request(...headers)).toStartWith('HTTP/1.1 401')
  })

  test('no header answers 401 with a bare challenge', async () => {
    const answer = await request()
    expect(answer).toStartWith('HTTP/1.1 401')
    expect(answer.toLowerCase()).toContain('www-authenticate: bearer\r\n')
  })
})
