import { afterEach, describe, expect, mock, spyOn, test } from 'bun:test'
import { availableParallelism } from 'node:os'
import { dictionary } from '@zxcvbn-ts/language-common'
import commonPasswords from '../../src/accounts/common-passwords.json'
import {
  hashPassword,
  isOutdated,
  isSame,
  refuseGuessable,
  verifyPassword,
} from '../../src/accounts/passwords'
import { Problem } from '../../src/http/problems'

afterEach(() => {
  mock.restore()
})

const PASSWORD = 'correct horse battery staple'

/** Replaces the bits of salt and digest, so that hashes of one kind and length are the same. */
const shapeOf = (hash: string) => hash.replace(/[^$]+\$[^$]+$/, (bits) => bits.replaceAll(/[^$]/g, '.'))

async function argon2id(memoryCost: number, timeCost: number): Promise<string> {
  return Bun.password.hash(PASSWORD, { algorithm: 'argon2id', memoryCost, timeCost })
}

/** A hash that is cheap to verify, for tests in which only the number of checks matters. */
const cheapHash = await argon2id(8, 1)

describe('a hash', () => {
  test('is argon2id in the PHC format, with 19 MiB, two passes and one lane', async () => {
    expect(await hashPassword(PASSWORD)).toMatch(
      /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22,}\$[\w+/]{43}$/,
    )
  })

  test('verifies its password and no other', async () => {
    const hash = await hashPassword(PASSWORD)
    expect(await verifyPassword(PASSWORD, hash)).toBe(true)
    for (const other of [PASSWORD.toUpperCase(), `${PASSWORD} `, PASSWORD.slice(0, -1), hash]) {
      expect(await verifyPassword(other, hash), other).toBe(false)
    }
  })

  test('has its own salt', async () => {
    expect(await hashPassword(PASSWORD)).not.toBe(await hashPassword(PASSWORD))
  })

  test('tells apart two passwords that differ after 72 bytes', async () => {
    const hash = await hashPassword('x'.repeat(128))
    expect(await verifyPassword('x'.repeat(128), hash)).toBe(true)
    expect(await verifyPassword(`${'x'.repeat(127)}y`, hash)).toBe(false)
  })

  test.each([
    ['composed', 'decomposed', 'pässwörd é', 'NFC', 'NFD'],
    ['decomposed', 'composed', 'pässwörd é', 'NFD', 'NFC'],
    ['composed', 'decomposed', '한국어 비밀번호', 'NFC', 'NFD'],
  ])('of a password typed %s verifies it typed %s: %s', async (_, __, password, one, other) => {
    expect(password.normalize(one)).not.toBe(password.normalize(other))
    const hash = await hashPassword(password.normalize(one))
    expect(await verifyPassword(password.normalize(other), hash)).toBe(true)
  })

  test('tells apart passwords that only look the same', async () => {
    const hash = await hashPassword('ﬁle № Ⅸ')
    expect(await verifyPassword('ﬁle № Ⅸ'.normalize('NFKC'), hash)).toBe(false)
  })
})

describe('without an account', () => {
  test('no password is right', async () => {
    for (const password of [PASSWORD, '', '\0'.repeat(32)]) expect(await verifyPassword(password)).toBe(false)
  })

  test('a hash is checked nevertheless, with the kind, parameters and lengths of a new one', async () => {
    const verify = spyOn(Bun.password, 'verify')
    await verifyPassword(PASSWORD)
    const [[, checked] = []] = verify.mock.calls
    expect(verify).toHaveBeenCalledTimes(1)
    expect(shapeOf(String(checked))).toBe(shapeOf(await hashPassword(PASSWORD)))
  })
})

describe('a bcrypt hash', () => {
  // made by libxcrypt, `crypt(password, '$2b$04$abcdefghijklmnopqrstuu')`
  const SALT = '04$abcdefghijklmnopqrstuu'
  const DIGITS = '0123456789'.repeat(10)
  const DIGEST_OF_DIGITS = 'm2G75IXDN/xsgbNa/hCiPSKyIHQd70S'
  /** The 72 bytes end in the middle of a character. */
  const CUT = `${'a'.repeat(71)}étail`

  const MADE_ELSEWHERE = [
    ['a password', 'correct horse battery', 'qREtd3VJD2QVZbuFskFSLk6eRIrQoOS'],
    ['one beyond ASCII', 'pässwörd ßeta', 'HKiNFX4z.luCSjQcLte4eZOG7Gi5Zae'],
    ['one of 100 bytes', DIGITS, DIGEST_OF_DIGITS],
    ['one that 72 bytes cut within a character', CUT, 'oVx8RufeJl2sf6nnK3ltb8OHjZZZsny'],
  ] as const

  test.each(['2a', '2b', '2y'].flatMap((kind) => MADE_ELSEWHERE.map((made) => [kind, ...made] as const)))(
    'of kind $%s$ made elsewhere verifies %s',
    async (kind, _, password, digest) => {
      const hash = `$${kind}$${SALT}${digest}`
      expect(await verifyPassword(password, hash)).toBe(true)
      expect(await verifyPassword(`x${password}`, hash)).toBe(false)
    },
  )

  test('uses only the first 72 bytes', async () => {
    const hash = `$2b$${SALT}${DIGEST_OF_DIGITS}`
    expect(await verifyPassword(DIGITS.slice(0, 72), hash)).toBe(true)
    expect(await verifyPassword(`${DIGITS.slice(0, 72)}something else`, hash)).toBe(true)
    expect(await verifyPassword(DIGITS.slice(0, 71), hash)).toBe(false)
  })
})

describe('a hash is outdated', () => {
  test.each([
    ['of less memory', () => argon2id(8192, 2)],
    ['of more memory', () => argon2id(65_536, 2)],
    ['of another number of passes', () => argon2id(19_456, 3)],
    [
      'of argon2i',
      () => Bun.password.hash(PASSWORD, { algorithm: 'argon2i', memoryCost: 19_456, timeCost: 2 }),
    ],
    ['of bcrypt', () => Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })],
  ])('if it is %s', async (_, hash) => {
    expect(isOutdated(await hash())).toBe(true)
  })

  test('unless it has the present parameters', async () => {
    expect(isOutdated(await hashPassword(PASSWORD))).toBe(false)
  })
})

describe('hashing', () => {
  const CORES = availableParallelism()
  const FAR_TOO_MANY = 200 * CORES
  const BROKEN = '$2b$04$broken'

  /** Counts how many hashes are checked at the same time, and how many have been checked. */
  function watch() {
    const verify = Bun.password.verify
    const seen = { atOnce: 0, mostAtOnce: 0, done: 0 }
    spyOn(Bun.password, 'verify').mockImplementation(async (...given) => {
      seen.mostAtOnce = Math.max(seen.mostAtOnce, ++seen.atOnce)
      return verify(...given).finally(() => {
        seen.atOnce--
        seen.done++
      })
    })
    return seen
  }

  const start = (count: number, hash = cheapHash) =>
    Promise.allSettled(Array.from({ length: count }, () => verifyPassword(PASSWORD, hash)))

  test('serves the first requests and refuses the rest', async () => {
    const outcomes = await start(FAR_TOO_MANY)
    const served = outcomes.findIndex(({ status }) => status === 'rejected')
    expect(served).toBeGreaterThan(10 * CORES)
    expect(served).toBeLessThan(100 * CORES)
    expect(outcomes.slice(0, served)).toEqual(Array(served).fill({ status: 'fulfilled', value: true }))
    for (const outcome of outcomes.slice(served)) {
      expect(outcome).toMatchObject({
        reason: {
          code: 'OVERLOADED',
          status: 503,
          headers: { 'retry-after': expect.stringMatching(/^\d+$/) },
        },
      })
    }
  })

  test('refuses at once, before a waiting request is served', async () => {
    const seen = watch()
    const waiting = start(FAR_TOO_MANY)
    expect(await verifyPassword(PASSWORD, cheapHash).catch((error) => error)).toBeInstanceOf(Problem)
    expect(seen.done).toBe(0)
    await waiting
    expect(seen.done).toBeGreaterThan(0)
  })

  test('never runs more hashes at a time than there are cores', async () => {
    const seen = watch()
    await start(FAR_TOO_MANY)
    expect(seen.mostAtOnce).toBe(CORES)
  })

  test('has one bound for new passwords, known ones and unknown users', async () => {
    const waiting = start(FAR_TOO_MANY)
    const outcomes = await Promise.allSettled([hashPassword(PASSWORD), verifyPassword(PASSWORD)])
    expect(outcomes).toMatchObject([{ reason: { code: 'OVERLOADED' } }, { reason: { code: 'OVERLOADED' } }])
    await waiting
  })

  test('continues after too many requests, and after failures', async () => {
    await start(FAR_TOO_MANY)
    const broken = await start(3 * CORES, BROKEN)
    expect(broken.every(({ status }) => status === 'rejected')).toBe(true)
    expect(await verifyPassword(PASSWORD, await hashPassword(PASSWORD))).toBe(true)
  })
})

describe('a guessable password', () => {
  const EMAIL = 'ann@example.com'

  function refusal(password: string, email = EMAIL, pointer = '/password'): Problem | undefined {
    try {
      refuseGuessable(password, email, pointer)
    } catch (error) {
      if (error instanceof Problem) return error
      throw error
    }
    return undefined
  }

  test('is one of the hundred most common that are long enough', () => {
    const longEnough = dictionary['passwords-common'].filter((password) => password.length >= 8)
    expect(commonPasswords).toEqual(longEnough.slice(0, 100))
  })

  test('is refused in any case, with one sentence for all of them', () => {
    const title = (password: string) => password.charAt(0).toUpperCase() + password.slice(1)
    const refusals = commonPasswords
      .flatMap((password) => [password, password.toUpperCase(), title(password)])
      .map((password) => refusal(password))
    expect(refusals).toHaveLength(300)
    for (const problem of refusals) {
      expect(problem).toMatchObject({ code: 'VALIDATION_ERROR', status: 422 })
      expect(problem?.errors).toEqual([
        { in: 'body', pointer: '/password', detail: 'is one of the passwords that are tried first' },
      ])
    }
  })

  test.each([
    ['as it is', 'ann@example.com', 'ann@example.com'],
    ['in another case', 'ANN@Example.com', 'ann@example.com'],
    ['with ß spelt out', 'STRASSE@example.com', 'straße@example.com'],
    ['with the capital ß', 'GRO\u1e9e@example.com', 'groß@example.com'],
    ['with the final sigma', 'ΟΔΟΣ@example.com', 'οδος@example.com'],
    ['with letters that are more in upper case', '\u0399\u0308\u0301ta@example.com', '\u0390ta@example.com'],
    ['composed otherwise', 'zoe\u0308@example.com', 'zo\u00eb@example.com'],
  ])('is the e-mail address %s', (_, password, email) => {
    expect(isSame(password, email)).toBe(true)
    const [error, ...others] = refusal(password, email)?.errors ?? []
    expect(error).toEqual({
      in: 'body',
      pointer: '/password',
      detail: 'must be another than the e-mail address',
    })
    expect(others).toEqual([])
  })

  test('is refused in the field that it was sent in', () => {
    for (const password of ['password', EMAIL]) {
      expect(refusal(password, EMAIL, '/new_password')?.errors).toMatchObject([{ pointer: '/new_password' }])
    }
  })

  test.each(['password2026x', 'ann@example.co', 'ann@example.comm', ' password', PASSWORD])(
    'is not %p',
    (password) => {
      expect(refusal(password)).toBeUndefined()
    },
  )
})
