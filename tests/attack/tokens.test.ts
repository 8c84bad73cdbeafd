/** Forgeries of tokens that are more than a wrong claim, each beside the good token that it pretends to be. */

import { afterAll, describe, expect, test } from 'bun:test'
import { createHash, createHmac } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { signAccessToken } from '../../src/auth/token'
import { Problem } from '../../src/http/problems'
import { SECRET, testApp } from '../support/app'
import { pathOf, readOpenApi } from '../support/openapi'
import { verifyJwts } from '../support/verify'

const { call, settings, sql } = await testApp()

const SOON = Math.floor(Date.now() / 1000) + 3600
const GOOD = { sub: 'ann', exp: SOON }

const base64url = (text: string | Uint8Array) => Buffer.from(text).toString('base64url')

/** Header and claims as text, for JSON has more than objects can say. */
function forge(header: string, claims = JSON.stringify(GOOD), key: string | Uint8Array = SECRET): string {
  const signed = `${base64url(header)}.${base64url(claims)}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}

const HS256 = '{"alg":"HS256"}'
const verifySecret = verifyJwts({ secret: SECRET, jwks: undefined, issuers: [], audiences: [] })

/** Who is calling, or the code of the refusal. */
async function answerTo(token: string, verify = verifySecret): Promise<string> {
  try {
    return (await verify(`Bearer ${token}`)).id
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

test('what the forgeries pretend to be is good', async () => {
  expect(await answerTo(forge(HS256))).toBe('ann')
})

describe('a secret that is near the real one', () => {
  test.each([
    ['empty', ''],
    ['a space', ' '],
    ['one NUL', '\0'],
    ['"secret"', 'secret'],
    ['the real one and a line break', `${SECRET}\n`],
    ['the real one and a space', `${SECRET} `],
    ['all but the last letter of it', SECRET.slice(0, -1)],
    ['the real one in capitals', SECRET.toUpperCase()],
    ['the real one in base64', Buffer.from(SECRET).toString('base64')],
    ['the real one in base64url', base64url(SECRET)],
    ['the real one in hex', Buffer.from(SECRET).toString('hex')],
    ['what the real one is as base64', Buffer.from(SECRET, 'base64')],
    ['its SHA-256', createHash('sha256').update(SECRET).digest()],
    ['"undefined"', 'undefined'],
    ['"null"', 'null'],
    ['"[object Object]"', '[object Object]'],
  ])('is none: %s', async (_, key) => {
    expect(await answerTo(forge(HS256, JSON.stringify(GOOD), key))).toBe('TOKEN_INVALID')
  })
})

describe('a header', () => {
  const oct = { kty: 'oct', k: base64url('of the forger'), alg: 'HS256' }

  test.each([
    ['that brings its own secret', `{"alg":"HS256","jwk":${JSON.stringify(oct)}}`],
    ['with a path for a key id', '{"alg":"HS256","kid":"../../../../dev/null"}'],
    ['with SQL for a key id', `{"alg":"HS256","kid":"x' union select 'of the forger'--"}`],
    ['with a command for a key id', '{"alg":"HS256","kid":"x|echo of the forger"}'],
    ['with a prototype for a key id', '{"alg":"HS256","kid":"__proto__"}'],
    ['with a certificate of its own', '{"alg":"HS256","x5c":["b2YgdGhlIGZvcmdlcg=="]}'],
    ['with addresses of its own', '{"alg":"HS256","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"}'],
  ])('%s does not make another secret good', async (_, header) => {
    for (const key of ['of the forger', '', '\0', 'null']) {
      expect(await answerTo(forge(header, JSON.stringify(GOOD), key))).toBe('TOKEN_INVALID')
    }
  })

  test.each([
    ['with the algorithm none behind the real one', '{"alg":"HS256","alg":"none"}'],
    ['with the algorithm in a prototype', '{"__proto__":{"alg":"HS256"}}'],
    ['with its parameters in a list', '[{"alg":"HS256"}]'],
    ['of nothing', '{}'],
    ['of null', 'null'],
    ['with something behind it', `${HS256}{}`],
    ['with a mark of byte order twice', `\ufeff\ufeff${HS256}`],
    ['that asks for what is not there', '{"alg":"HS256","crit":[]}'],
    ['that asks for the algorithm', '{"alg":"HS256","crit":["alg"]}'],
    ['that asks with no list', '{"alg":"HS256","crit":"exp"}'],
    ['of an algorithm with a space', '{"alg":"HS256 "}'],
    ['of an algorithm with NUL', '{"alg":"HS256\\u0000"}'],
    ['of an encryption', '{"alg":"dir","enc":"A256GCM"}'],
  ])('%s is refused, though the signature is good', async (_, header) => {
    expect(await answerTo(forge(header))).toBe('TOKEN_INVALID')
    const [first = '', second = ''] = forge(header).split('.')
    expect(await answerTo(`${first}.${second}.`)).toBe('TOKEN_INVALID')
  })
})

describe('claims', () => {
  test.each([
    ['in a list', `[${JSON.stringify(GOOD)}]`],
    ['with all in a prototype', `{"__proto__":${JSON.stringify(GOOD)}}`],
    ['with the subject in a prototype', `{"__proto__":{"sub":"ann"},"exp":${SOON}}`],
    ['with the end in a prototype', '{"sub":"ann","__proto__":{"exp":9999999999}}'],
    ['that are cut off', JSON.stringify(GOOD).slice(0, -1)],
    ['that are compressed', Buffer.from(Bun.gzipSync(JSON.stringify(GOOD))).toString('latin1')],
    ['that are null', 'null'],
    ['that never end, by a negative number', '{"sub":"ann","exp":-1e999}'],
    ['that end in the past, by a fraction', '{"sub":"ann","exp":1e-9}'],
    ['that end in a list', `{"sub":"ann","exp":[${SOON}]}`],
    ['that end at true', '{"sub":"ann","exp":true}'],
    ['whose second end is past', `{"sub":"ann","exp":${SOON},"exp":1}`],
    ['that begin past every time', `{"sub":"ann","exp":${SOON},"nbf":1e999}`],
  ])('%s are refused', async (_, claims) => {
    expect(await answerTo(forge(HS256, claims))).toMatch(/^TOKEN_(?:INVALID|EXPIRED)$/)
  })

  test.each(['1e300', '9007199254740993', '1e16'])(
    'that end at %s are good, and harm nothing',
    async (exp) => {
      const headers = { authorization: `Bearer ${forge(HS256, `{"sub":"ann","exp":${exp}}`)}` }
      for (const path of ['/api/v1/todos', '/api/v1/todos/events', '/api/v1/users/me']) {
        expect((await call('GET', path, { headers })).status, path).toBe(200)
      }
    },
  )

  const issuedAt = (iat: string) => ({
    authorization: `Bearer ${forge(HS256, `{"sub":"issued ${iat.replaceAll('"', '')}","exp":${SOON},"iat":${iat}}`)}`,
  })

  test.each(['1e300', '-1e300', '-1', '9007199254740993', '0.1'])(
    'that were issued at %s are good, and harm nothing',
    async (iat) => {
      const headers = issuedAt(iat)
      expect((await call('POST', '/api/v1/todos', { headers, body: { title: 'x' } })).status).toBe(201)
      expect((await call('GET', '/api/v1/todos', { headers })).body).toHaveLength(1)
    },
  )

  test.each(['"x"', 'null', '[]', 'true'])('that were issued at %s are refused', async (iat) => {
    const headers = issuedAt(iat)
    expect((await call('POST', '/api/v1/todos', { headers, body: { title: 'x' } })).status).toBe(401)
    expect((await call('GET', '/api/v1/todos', { headers })).status).toBe(401)
  })

  test.each(['__proto__', 'x', '0', "' or true--", '../../x', 'null'])(
    'whose session is %s name none',
    async (sid) => {
      const headers = { authorization: `Bearer ${forge(HS256, JSON.stringify({ ...GOOD, sid }))}` }
      expect((await call('GET', '/api/v1/users/me', { headers })).status).toBe(200)
    },
  )
})

describe('a token in another form', () => {
  const [header = '', claims = '', signature = ''] = forge(HS256).split('.')
  const parts = { protected: header, payload: claims, signature }

  test.each([
    ['as JSON', JSON.stringify(parts)],
    ['as JSON with signatures', JSON.stringify({ payload: claims, signatures: [parts] })],
    ['with its claims detached', `${header}..${signature}`],
    ['with a part before it', `e30.${header}.${claims}.${signature}`],
    ['with a dot behind it', `${header}.${claims}.${signature}.`],
    ['with a dot before it', `.${header}.${claims}.${signature}`],
    ['with padding', `${header}=.${claims}.${signature}`],
    ['in base64 with a plus', `${header}.${claims}.${signature.slice(0, -1)}+`],
    ['with an encoded dot', `${header}%2e${claims}.${signature}`],
    ['with NUL behind it', `${header}.${claims}.${signature}\0`],
    ['in quotes', `"${header}.${claims}.${signature}"`],
    ['in angle brackets', `<${header}.${claims}.${signature}>`],
    ['as a parameter', `token=${header}.${claims}.${signature}`],
  ])('is refused: %s', async (_, token) => {
    expect(await answerTo(token)).toMatch(/^TOKEN_(?:INVALID|NOT_JWT)$/)
  })
})

describe("a signature of nothing under an issuer's key", async () => {
  const pairs = {
    EdDSA: await generateKeyPair('EdDSA', { extractable: true }),
    ES256: await generateKeyPair('ES256', { extractable: true }),
    ES512: await generateKeyPair('ES512', { extractable: true }),
    RS256: await generateKeyPair('RS256', { extractable: true }),
  }
  const keys = await Promise.all(
    Object.entries(pairs).map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid })),
  )
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => Response.json({ keys }) })
  afterAll(() => server.stop(true))
  const jwks = { urls: [server.url.href], issuers: [], audiences: [] }
  const verify = verifyJwts({ secret: SECRET, jwks, issuers: [], audiences: [] })

  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const identity = Buffer.concat([Buffer.of(1), Buffer.alloc(63)])

  test.each(Object.keys(pairs) as (keyof typeof pairs)[])(
    'is refused for %s, where a real one is taken',
    async (alg) => {
      const real = new SignJWT(GOOD).setProtectedHeader({ alg, kid: alg })
      expect(await answerTo(await real.sign(pairs[alg].privateKey), verify)).toBe('ann')
      const signed = `${base64url(JSON.stringify({ alg, kid: alg }))}.${base64url(JSON.stringify(GOOD))}`
      const nothings = [0, 1, 63, 64, 65, 132, 256].map((length) => Buffer.alloc(length))
      for (const nothing of [...nothings, identity, Buffer.concat([order, order]), Buffer.alloc(256, 255)]) {
        expect(await answerTo(`${signed}.${base64url(nothing)}`, verify)).toBe('TOKEN_INVALID')
      }
    },
  )

  test.each([
    ['EdDSA', 'ES256'],
    ['ES256', 'ES512'],
    ['ES256', 'EdDSA'],
    ['RS256', 'ES256'],
    ['ES512', 'RS256'],
  ] as const)('a real one by %s is refused under the key id of %s', async (alg, kid) => {
    const token = new SignJWT(GOOD).setProtectedHeader({ alg, kid })
    expect(await answerTo(await token.sign(pairs[alg].privateKey), verify)).toBe('TOKEN_INVALID')
  })

  test.each(['RS256', 'PS256'])('is refused for %s under every key that is published', async (alg) => {
    for (const kid of Object.keys(pairs)) {
      const signed = `${base64url(JSON.stringify({ alg, kid }))}.${base64url(JSON.stringify(GOOD))}`
      expect(await answerTo(`${signed}.${base64url(Buffer.alloc(256))}`, verify)).toBe('TOKEN_INVALID')
    }
  })
})

describe('every operation that needs a token', async () => {
  const openApi = await readOpenApi(call)
  const operations = openApi.operations.filter(({ needsToken }) => needsToken)
  const good = await signAccessToken('ann', settings)
  await call('POST', '/api/v1/todos', { as: 'ann', body: { title: 'as it was' } })
  const [header = '', , signature = ''] = good.split('.')
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const forged: [string, Record<string, string>, string][] = [
    ['no token', {}, 'TOKEN_MISSING'],
    ['a forged token', bearer(forge(HS256, JSON.stringify(GOOD), 'of the forger')), 'TOKEN_INVALID'],
    [
      'a token without a signature',
      bearer(`${base64url('{"alg":"none"}')}.${base64url(JSON.stringify(GOOD))}.`),
      'TOKEN_INVALID',
    ],
    [
      'a token with other claims',
      bearer(`${header}.${base64url(JSON.stringify(GOOD))}.${signature}`),
      'TOKEN_INVALID',
    ],
    ['a token that has expired', bearer(forge(HS256, '{"sub":"ann","exp":1}')), 'TOKEN_EXPIRED'],
    ['a token that never ends', bearer(forge(HS256, '{"sub":"ann"}')), 'TOKEN_INVALID'],
    ['an opaque token', bearer('opaque'), 'TOKEN_NOT_JWT'],
    ['a token as a password', { authorization: `Basic ${btoa(`ann:${good}`)}` }, 'TOKEN_MISSING'],
    ['a token in a cookie', { cookie: `token=${good}; better-auth.session_token=${good}` }, 'TOKEN_MISSING'],
    [
      'a token for the proxy',
      { 'proxy-authorization': `Bearer ${good}`, 'x-authorization': `Bearer ${good}` },
      'TOKEN_MISSING',
    ],
    [
      'a name from a proxy',
      { 'x-forwarded-user': 'ann', 'x-user-id': 'ann', 'remote-user': 'ann' },
      'TOKEN_MISSING',
    ],
  ]

  test.each(operations)(
    '$method $path refuses requests without a good one, and changes nothing',
    async (operation) => {
      const { method } = operation
      const before = await sql`select to_jsonb(tasks) as row from tasks order by id`
      const path = pathOf(operation, { user_id: 'ann', id: '1' })
      for (const [name, headers, code] of forged) {
        const body = operation.body && '{}'
        const answer = await call(method, path, { headers, body })
        expect(answer, name).toMatchObject({ status: 401, body: { error_code: code } })
        expect(answer.headers.get('www-authenticate'), name).toStartWith('Bearer')
        const asked = await call(method, `${path}?access_token=${good}&token=${good}`, { headers, body })
        expect(asked.status, name).toBe(401)
      }
      expect(await sql`select to_jsonb(tasks) as row from tasks order by id`).toEqual(before)
    },
  )
})
