/** An issuer's keys, from servers whose every answer the test decides, by a clock that only the test moves. */
import { afterEach, beforeEach, describe, expect, mock, test } from 'bun:test'
import { errors, exportJWK, generateKeyPair } from 'jose'
import { anyOf, type FindKey, remoteKeys } from '../../src/auth/keys'
import { Problem } from '../../src/http/problems'

const SECOND = 1000
const MINUTE = 60 * SECOND

const publicKey = await exportJWK((await generateKeyPair('EdDSA', { extractable: true })).publicKey)

/** A JWKS document that has a key for each id. */
function keySet(...ids: string[]): string {
  return JSON.stringify({ keys: ids.map((kid) => ({ ...publicKey, alg: 'EdDSA', kid })) })
}

class KeyServer {
  /** How often it was asked for its keys. */
  asked = 0
  /** How often a client went away before it was answered. */
  abandoned = 0
  private nextAsk = Promise.withResolvers<void>()
  private answer = (): Promise<Response> => Promise.resolve(new Response(keySet('first')))

  private readonly listener = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    routes: { '/flush': () => new Response() },
    fetch: (request) => {
      this.asked++
      this.nextAsk.resolve()
      this.nextAsk = Promise.withResolvers()
      request.signal.addEventListener('abort', () => this.abandoned++)
      return this.answer()
    },
  })
  readonly url = new URL('/jwks', this.listener.url).href

  answers(text: string, status = 200): void {
    this.answer = () => Promise.resolve(new Response(text, { status }))
  }
  /** Answers with a key for each id. */
  has(...ids: string[]): void {
    this.answers(keySet(...ids))
  }
  /** Makes it wait with what it answers, until the result is called. */
  hold(): () => void {
    const { answer } = this
    const gate = Promise.withResolvers<void>()
    this.answer = () => gate.promise.then(answer)
    return gate.resolve
  }
  /** Resolves when it has been asked this often. */
  async untilAsked(times: number): Promise<void> {
    while (this.asked < times) await this.nextAsk.promise
  }
  /** A request of our own, after which one that should not have been sent would have been seen. */
  async flush(): Promise<void> {
    await fetch(new URL('/flush', this.url))
  }
  stop(): Promise<void> {
    return this.listener.stop(true)
  }
}

let issuer: KeyServer
let otherIssuer: KeyServer
let clock: number
const onChange = mock(() => {})

// new ones for each test, so that a late request of one is never counted in the next
beforeEach(() => {
  issuer = new KeyServer()
  otherIssuer = new KeyServer()
  otherIssuer.has('second')
  clock = 0
  onChange.mockClear()
})

afterEach(async () => {
  await issuer.stop()
  await otherIssuer.stop()
})

const keysOf = ({ url }: { url: string }) => remoteKeys(url, { onChange, now: () => clock })

const ask = (find: FindKey, kid: string) => find({ alg: 'EdDSA', kid }, { payload: '', signature: '' })

/** What a look-up ends in: `found`, or what it failed with. */
async function lookUp(find: FindKey, kid: string): Promise<string> {
  try {
    const key = await ask(find, kid)
    expect((await exportJWK(key)).x).toBe(publicKey.x)
    return 'found'
  } catch (error) {
    if (error instanceof Problem) return error.code
    if (error instanceof errors.JWKSNoMatchingKey) return 'no such key'
    throw error
  }
}

describe("an issuer's keys", () => {
  test('are not fetched before one is needed, and then all at once', async () => {
    issuer.has('first', 'second')
    const find = keysOf(issuer)
    await issuer.flush()
    expect(issuer.asked).toBe(0)
    expect(await lookUp(find, 'first')).toBe('found')
    expect(await lookUp(find, 'second')).toBe('found')
    expect(issuer.asked).toBe(1)
  })

  test('are fetched once for all who come at the same time', async () => {
    const find = keysOf(issuer)
    const release = issuer.hold()
    const all = Array.from({ length: 20 }, () => lookUp(find, 'first'))
    release()
    expect(new Set(await Promise.all(all))).toEqual(new Set(['found']))
    expect(issuer.asked).toBe(1)
  })

  test('are not fetched again within ten minutes', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    clock = 10 * MINUTE
    expect(await lookUp(find, 'first')).toBe('found')
    await issuer.flush()
    expect(issuer.asked).toBe(1)
  })

  test('are fetched again after ten minutes, while the old ones answer', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    issuer.has('second')
    const release = issuer.hold()
    clock = 10 * MINUTE + 1
    expect(await lookUp(find, 'first')).toBe('found')
    await issuer.untilAsked(2)
    const second = lookUp(find, 'second')
    release()
    expect(await second).toBe('found')
    expect(await lookUp(find, 'first')).toBe('no such key')
  })

  test('stay while the issuer fails, which is asked again at most once in 30 seconds', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    issuer.answers('', 503)
    const release = issuer.hold()
    clock = 10 * MINUTE + 1
    expect(await lookUp(find, 'first')).toBe('found')
    // waits for the fetch under way
    const failed = lookUp(find, 'second')
    release()
    expect(await failed).toBe('no such key')
    expect(issuer.asked).toBe(2)
    clock += 30 * SECOND
    expect(await lookUp(find, 'first')).toBe('found')
    await issuer.flush()
    expect(issuer.asked).toBe(2)
    clock += 1
    expect(await lookUp(find, 'first')).toBe('found')
    await issuer.untilAsked(3)
  })

  test.each([
    ['an error', keySet('second'), 500],
    ['a page', '<!doctype html>', 200],
    ['other JSON', 'null', 200],
    ['an object without keys', '{}', 200],
  ])('stay when the issuer answers with %s', async (_, text, status) => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    issuer.answers(text, status)
    expect(await lookUp(find, 'second')).toBe('no such key')
    expect(issuer.asked).toBe(2)
    expect(await lookUp(find, 'first')).toBe('found')
  })

  test('tell of their first state and of each change, but not of a fetch that brought the same', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    expect(onChange).toHaveBeenCalledTimes(1)
    await lookUp(find, 'second')
    expect(issuer.asked).toBe(2)
    expect(onChange).toHaveBeenCalledTimes(1)
    issuer.has('first', 'second')
    clock = MINUTE
    await lookUp(find, 'second')
    expect(onChange).toHaveBeenCalledTimes(2)
  })
})

describe('a key id that is not known', () => {
  test('is looked up at once, since the key may be new', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    issuer.has('first', 'second')
    expect(await lookUp(find, 'second')).toBe('found')
    expect(issuer.asked).toBe(2)
  })

  test('is looked up at most once in 30 seconds, whichever it is', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    for (const kid of ['second', 'third', 'second']) expect(await lookUp(find, kid)).toBe('no such key')
    expect(issuer.asked).toBe(2)
    clock = 30 * SECOND - 1
    await lookUp(find, 'fourth')
    expect(issuer.asked).toBe(2)
    clock = 30 * SECOND
    await lookUp(find, 'fifth')
    expect(issuer.asked).toBe(3)
  })

  test('is looked up once for all who come at the same time', async () => {
    const find = keysOf(issuer)
    await lookUp(find, 'first')
    issuer.has('first', 'second')
    const all = Array.from({ length: 20 }, () => lookUp(find, 'second'))
    expect(new Set(await Promise.all(all))).toEqual(new Set(['found']))
    expect(issuer.asked).toBe(2)
  })
})

describe('while no keys were ever had', () => {
  test.each([
    ['fails', keySet('first'), 500],
    ['answers with a page', '<!doctype html>', 200],
    ['answers with other JSON', 'null', 200],
  ])(
    'and the issuer %s, look-ups fail with KEYS_UNAVAILABLE and say when to retry',
    async (_, text, status) => {
      issuer.answers(text, status)
      const failure = await ask(keysOf(issuer), 'first').catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'KEYS_UNAVAILABLE', headers: { 'retry-after': '1' } })
    },
  )

  test('and nobody listens at the address, look-ups fail with KEYS_UNAVAILABLE', async () => {
    await issuer.stop()
    expect(await lookUp(keysOf(issuer), 'first')).toBe('KEYS_UNAVAILABLE')
  })

  test('and the issuer never answers, look-ups are given up', async () => {
    issuer.hold()
    const find = remoteKeys(issuer.url, { onChange, deadline: 20 })
    expect(await lookUp(find, 'first')).toBe('KEYS_UNAVAILABLE')
  })

  test('the issuer is asked at most once in a second, until it has them', async () => {
    issuer.answers('', 503)
    const find = keysOf(issuer)
    for (const time of [0, 1, SECOND - 1]) {
      clock = time
      expect(await lookUp(find, 'first')).toBe('KEYS_UNAVAILABLE')
      expect(issuer.asked).toBe(1)
    }
    issuer.has('first')
    clock = SECOND
    expect(await lookUp(find, 'first')).toBe('found')
    expect(issuer.asked).toBe(2)
  })
})

describe('the keys of two issuers', () => {
  const both = () => anyOf([keysOf(issuer), keysOf(otherIssuer)])

  test('are all found', async () => {
    const find = both()
    expect(await lookUp(find, 'first')).toBe('found')
    expect(await lookUp(find, 'second')).toBe('found')
  })

  test('lack what neither has', async () => {
    expect(await lookUp(both(), 'third')).toBe('no such key')
  })

  test.each([
    ['first', () => issuer, 'second'],
    ['second', () => otherIssuer, 'first'],
  ])('are found while the %s is down, and what may be there is unavailable', async (_, down, present) => {
    down().answers('', 503)
    const find = both()
    expect(await lookUp(find, present)).toBe('found')
    expect(await lookUp(find, 'third')).toBe('KEYS_UNAVAILABLE')
  })

  test('do not wait for one another', async () => {
    issuer.hold()
    expect(await lookUp(both(), 'second')).toBe('found')
    await issuer.untilAsked(1)
    await issuer.flush()
    expect(issuer.abandoned).toBe(0)
  })
})
