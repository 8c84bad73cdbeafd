/** What a client, a proxy or an attacker gets wrong: one change each to a request that was valid. */
import fc, { type Arbitrary } from 'fast-check'
import type { Operation } from '../support/openapi'
import type { Contract } from './contract'
import { type Change, type Draft, encoded, headerText, kindInPath } from './drafts'
import { repeatParameter, rulesOf, setField, setFieldWithin, setParameter } from './rules'

const MAX_BODY = 64 * 1024

const TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\udc00x',
  '\u200b',
  '\u2003',
  '𝒳',
  'e\u0301',
  '٣',
  '%00',
  "';--",
]
const NUMBERS = [0, -0, -1, 1.5, 1e21, 1e308, 2 ** 31, 2 ** 53, 2 ** 63, -(2 ** 63)]
const NAMES = [
  'nope',
  '__proto__',
  'constructor',
  'toString',
  '',
  'id',
  'user_id',
  'Title',
  'title ',
  'a\0b',
  'limit',
]

/** Any value that JSON can hold. */
const anything: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, [], {}, [[]], ...TEXTS, ...NUMBERS),
  fc.constantFrom(...TEXTS, 'x'.repeat(5000)).map((text) => `text ${text}`),
  fc.string({ unit: 'binary' }),
  fc.jsonValue({ maxDepth: 2 }),
)
const anyText = fc.oneof(
  fc.constantFrom(
    ...TEXTS,
    ...NUMBERS.map(String),
    '1e1',
    '0x10',
    '007',
    ' 5',
    '+5',
    'null',
    'TRUE',
    'x'.repeat(4097),
  ),
  fc.string({ unit: 'binary' }),
)
const anyName = fc.oneof(fc.constantFrom(...NAMES), fc.string({ maxLength: 8 }))
const pick = fc.nat({ max: 9999 })

/** Percent-encoded, rightly or not; none is another path. */
const ENCODED_IDS = [
  ...['0', '-1', '1.5', '1e3', '0x1', '007', 'abc', '%20', '%00', '1%00', '%F0%9F%98%80', '%', '%zz', '%ff'],
  ...['%c0%af', '1%2F2', '1%3F', '2147483648', '9007199254740992', '9007199254740993', '9223372036854775808'],
  ...['9'.repeat(300), '00000000-0000-0000-0000-000000000000', 'undefined', '__proto__', '1;a=b', '~'],
]

const AUTHORIZATIONS = [
  '',
  'Bearer',
  'Bearer ',
  'Basic YTpi',
  'Bearer a.b.c',
  'Bearer opaque',
  'Token x',
  'Bearer é',
]

const MEDIA_TYPES = [
  'text/plain',
  'multipart/form-data',
  'application/x-www-form-urlencoded',
  'application',
  '',
  '*/*',
]
const OTHER_MEDIA_TYPES = [
  ...[
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/merge-patch+json',
    'application/json;',
  ],
  ...['application/json; charset=latin1', 'application/json, text/plain'],
]

/** Headers that may hold anything; what is wrong with them is not always a reason to refuse. */
const ODD: Record<string, readonly string[]> = {
  'If-Match': ['*', '"', '"1"', 'W/"1"', '"1", "2"', '1', '', ',', '"é"', `"${'9'.repeat(30)}"`],
  'If-None-Match': ['*', '"', 'W/"0-array"', 'W/"1-page"', '"1", W/"1-array"', '', ',,'],
  'Idempotency-Key': ['one', '"quoted"', 'a b', 'é', '', 'x'.repeat(255), 'x'.repeat(256)],
  'Last-Event-ID': ['', '0', 'AAAA', 'é', 'x'.repeat(5000)],
  accept: [
    'application/vnd.taskwell.page+json',
    '*/*',
    'text/html',
    '',
    ';;q=',
    'application/vnd.taskwell.page+json;q=0',
  ],
  'content-length': ['0', '-1', 'x', '1'],
  'x-request-id': ['', 'mine', 'not one', 'x'.repeat(129)],
  origin: ['http://localhost:3000', 'null', 'http://evil.example'],
  range: ['bytes=0-1'],
  expect: ['100-continue'],
  'x-http-method-override': ['DELETE'],
  cookie: ['a=b; __proto__=c'],
}

function change<T>(
  name: string,
  values: Arbitrary<T>,
  apply: (draft: Draft, value: T) => void,
): Arbitrary<Change> {
  return values.map((value) => ({ name, apply: (draft) => apply(draft, value) }))
}

/** Whether it can be sent again safely, with a key. */
export function hasKey({ parameters }: Operation): boolean {
  return parameters.some(({ name }) => name === KEY)
}

/** Those that the operation has a place for. */
export function changesTo(contract: Contract, operation: Operation): Arbitrary<Change> {
  const rules = fc.constantFrom(...rulesOf(contract, operation))
  return fc.oneof(
    { arbitrary: rules, weight: 6 },
    ...ofAll,
    hasKey(operation) ? { arbitrary: sentAgainWithKey, weight: 4 } : sentAgain,
    ...(operation.needsToken ? ofTokens : []),
    ...(operation.parameters.some((each) => each.in === 'path') ? ofPaths : []),
    ...(operation.parameters.some((each) => each.in === 'query') ? ofQueries(operation) : []),
    ...(operation.body ? ofBodies(contract, operation) : [unwantedBody]),
  )
}

const ofAll: Arbitrary<Change>[] = [
  change('an unknown parameter', fc.tuple(anyName, anyText), (draft, [name, value]) => {
    draft.query.push([name, value])
  }),
  change(
    'an odd header',
    fc.constantFrom(
      ...Object.entries(ODD).flatMap(([name, all]) => all.map((value) => [name, value] as const)),
    ),
    (draft, [name, value]) => {
      draft.headers[name] = value
    },
  ),
  change('any header', fc.tuple(fc.constantFrom(...Object.keys(ODD)), anyText), (draft, [name, value]) => {
    draft.headers[name] = headerText(value)
  }),
  change('a slash at the end', fc.constant(null), (draft) => {
    draft.suffix = '/'
  }),
]

const SENT_AGAIN = 'sent again'
const KEY = 'Idempotency-Key'
const sentAgain = change(SENT_AGAIN, fc.constant(null), (draft) => {
  draft.times = 2
})
/** Whose second answer is the first one again. */
const sentAgainWithKey = change(SENT_AGAIN, fc.uuid(), (draft, key) => {
  draft.times = 2
  draft.headers[KEY] = key
})

const ofTokens: Arbitrary<Change>[] = [
  change('no token', fc.constant(null), (draft) => {
    delete draft.headers['authorization']
  }),
  change('another header than a token', fc.constantFrom(...AUTHORIZATIONS), (draft, value) => {
    draft.headers['authorization'] = value
    draft.flaws.push('no token')
  }),
  change('a broken token', pick, (draft, n) => {
    const { token } = draft.user
    draft.headers['authorization'] = `Bearer ${token.slice(0, n % token.length)}`
    draft.flaws.push('a broken token')
  }),
  change('the scheme in capitals', fc.constant(null), (draft) => {
    draft.headers['authorization'] = `BEARER ${draft.user.token}`
  }),
  pick.map((n) => ({
    name: 'a bad token',
    apply: (draft, { badTokens }) => {
      draft.headers['authorization'] = `Bearer ${badTokens[n % badTokens.length]}`
      draft.flaws.push('a bad token')
    },
  })),
]

const ofPaths: Arbitrary<Change>[] = [
  change('any value in the path', fc.tuple(pick, fc.constantFrom(...ENCODED_IDS)), changePath),
  change('any text in the path', fc.tuple(pick, anyText.map(encoded)), changePath),
  fc.tuple(pick, pick, pick).map(([which, who, n]) => ({
    name: "somebody else's",
    apply: (draft, world) => {
      // a tag's name does not say whose it is
      const names = Object.keys(draft.path).filter((each) => each !== 'name')
      const name = pickOf(names, which)
      if (name === undefined) return
      const others = world.users.filter((each) => each !== draft.user)
      const other = pickOf(others, who) ?? draft.user
      const value = name === 'user_id' ? other.id : world.valueOf(other, kindInPath(draft.operation, name), n)
      if (value === undefined) return
      draft.path[name] = encoded(value)
      draft.flaws.push(`somebody else's ${name}`)
    },
  })),
]

function changePath(draft: Draft, [n, value]: [number, string]): void {
  const name = pickOf(Object.keys(draft.path), n) ?? ''
  draft.path[name] = value
  if (name === 'user_id' && value !== encoded(draft.user.id) && value !== 'me')
    draft.flaws.push('another owner')
}

function ofQueries({ parameters }: Operation): Arbitrary<Change>[] {
  const queries = parameters.filter((each) => each.in === 'query')
  const parameter = fc.constantFrom(...queries)
  const cursors = queries.filter(({ name }) => name === 'cursor' || name === 'since')
  return [
    change('any value of a parameter', fc.tuple(parameter, anyText), (draft, [{ name }, value]) =>
      setParameter(draft, name, value),
    ),
    change('a parameter twice', parameter, (draft, { name }) => repeatParameter(draft, name)),
    ...cursors.map(({ name }) =>
      fc.tuple(pick, pick, fc.boolean()).map(
        ([who, n, isCut]): Change => ({
          name: isCut ? 'a cut cursor' : "somebody else's cursor",
          apply: (draft, world) => {
            const others = world.users.filter((each) => each !== draft.user)
            const user = isCut ? draft.user : pickOf(others, who)
            const known = user && world.valueOf(user, name, n)
            if (known === undefined) return
            const value = String(known)
            setParameter(draft, name, isCut ? value.slice(0, n % value.length) : value)
            // a header of the same meaning wins
            delete draft.headers['Last-Event-ID']
            draft.flaws.push('a cursor that was not given')
          },
        }),
      ),
    ),
  ]
}

function ofBodies(contract: Contract, operation: Operation): Arbitrary<Change>[] {
  const field = fc.constantFrom(...contract.fieldsOf(operation).map(([name]) => name))
  const raw = (draft: Draft, bytes: Uint8Array | string, flaw?: string) => {
    draft.bytes = Buffer.from(bytes)
    draft.headers['content-type'] ??= 'application/json'
    if (flaw) draft.flaws.push(flaw)
  }
  const textOf = (draft: Draft) => JSON.stringify(draft.json ?? {})
  return [
    change('a field added', fc.tuple(anyName, anything), (draft, [name, value]) =>
      setField(draft, name, value),
    ),
    change('any value of a field', fc.tuple(field, anything), (draft, [name, value]) =>
      setField(draft, name, value),
    ),
    change('a field added somewhere', fc.tuple(pick, anyName, anything), (draft, [n, name, value]) =>
      setFieldWithin(draft, n, () => name, value),
    ),
    change('any value somewhere', fc.tuple(pick, pick, anything), (draft, [n, which, value]) =>
      setFieldWithin(draft, n, (names) => pickOf(names, which) ?? 'nope', value),
    ),
    change('any body', anything, (draft, value) => {
      draft.json = value
      draft.headers['content-type'] ??= 'application/json'
    }),
    change('no body', fc.constant(null), (draft) => {
      draft.json = undefined
    }),
    change('a cut body', pick, (draft, n) => {
      const text = textOf(draft)
      raw(draft, text.slice(0, 1 + (n % Math.max(1, text.length - 1))), 'a cut body')
    }),
    change('a body that is not UTF-8', fc.constant(null), (draft) =>
      raw(
        draft,
        Buffer.concat([Buffer.from('{"title":"'), Buffer.from([0xc0, 0xaf, 0xff]), Buffer.from('"}')]),
        'not UTF-8',
      ),
    ),
    change('a body that is not JSON', fc.string({ minLength: 1 }), (draft, text) =>
      raw(draft, `${text}{`, 'no JSON'),
    ),
    change('a deep body', fc.constantFrom(33, 1000, 30_000), (draft, depth) =>
      raw(draft, '['.repeat(depth) + ']'.repeat(depth), 'a deep body'),
    ),
    change('a body of the largest size', fc.constantFrom(-1, 0, 1), (draft, more) =>
      raw(draft, textOf(draft).padEnd(MAX_BODY + more), more > 0 ? 'a large body' : undefined),
    ),
    change('a compressed body', fc.constantFrom('gzip', 'deflate', 'br', 'x'), (draft, coding) => {
      raw(draft, Bun.gzipSync(textOf(draft)), 'a compressed body')
      draft.headers['content-encoding'] = coding
    }),
    change('another media type', fc.constantFrom(...MEDIA_TYPES), (draft, type) => {
      draft.headers['content-type'] = type
      if (draft.json !== undefined) draft.flaws.push('another media type')
    }),
    change('an odd media type', fc.constantFrom(...OTHER_MEDIA_TYPES), (draft, type) => {
      draft.headers['content-type'] = type
    }),
  ]
}

/** Where no body belongs. */
const unwantedBody = change('a body', fc.oneof(fc.string(), fc.jsonValue()), (draft, value) => {
  draft.json = value
})

function pickOf<T>(all: readonly T[], n: number): T | undefined {
  return all[n % Math.max(1, all.length)]
}
