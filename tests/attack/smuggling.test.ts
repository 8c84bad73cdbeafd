/** Requests whose end one reader sees elsewhere than another: read in exactly one way, or refused and hung up on. */
import { describe, expect, test } from 'bun:test'
import { listen } from './wire'

const { sql, token, exchange, stop } = await listen('ann')

const TODOS = '/api/v1/todos'
const OWN = `Host: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`

const bodyOf = (title: string) => JSON.stringify({ title })
const lengthIn16 = (text: string) => text.length.toString(16)
const chunked = (text: string) => `${lengthIn16(text)}\r\n${text}\r\n0\r\n\r\n`

const POST = `POST ${TODOS} HTTP/1.1\r\n${OWN}`
const FIRST = bodyOf('intended')
const LENGTH = `Content-Length: ${FIRST.length}\r\n`
/** What must never be taken for a request of its own: complete, and with a good token. */
const HIDDEN = `${POST}${LENGTH}\r\n${bodyOf('smuggled')}`
const TE = 'Transfer-Encoding: chunked\r\n'

type Shape = [name: string, bytes: string]

/** Those that are answered here are well formed, or read as every reader has to. */
const READ: [...Shape, statuses: number[], titles: string[]][] = [
  ['a length', `${POST}${LENGTH}\r\n${FIRST}`, [201], ['intended']],
  ['a length twice, the same', `${POST}${LENGTH}${LENGTH}\r\n${FIRST}`, [201], ['intended']],
  [
    'a length with zeros before it',
    `${POST}Content-Length: 000${FIRST.length}\r\n\r\n${FIRST}`,
    [201],
    ['intended'],
  ],
  ['chunks', `${POST}${TE}\r\n${chunked(FIRST)}`, [201], ['intended']],
  ['chunks, in capitals', `${POST}Transfer-Encoding: CHUNKED\r\n\r\n${chunked(FIRST)}`, [201], ['intended']],
  [
    'chunks, with a tab before and a space behind',
    `${POST}Transfer-Encoding:\tchunked \r\n\r\n${chunked(FIRST)}`,
    [201],
    ['intended'],
  ],
  [
    'a chunk with an extension',
    `${POST}${TE}\r\n${chunked(FIRST).replace('\r\n', ';a="b"\r\n')}`,
    [201],
    ['intended'],
  ],
  [
    'a chunk with zeros before its size',
    `${POST}${TE}\r\n${'0'.repeat(20)}${chunked(FIRST)}`,
    [201],
    ['intended'],
  ],
  [
    'a last chunk of two zeros',
    `${POST}${TE}\r\n${chunked(FIRST).replace('\r\n0\r\n', '\r\n00\r\n')}`,
    [201],
    ['intended'],
  ],
  [
    'a request in the body of a GET',
    `GET ${TODOS}/1 HTTP/1.1\r\n${OWN}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [404],
    [],
  ],
  [
    'a request in the chunks of a GET',
    `GET ${TODOS}/1 HTTP/1.1\r\n${OWN}${TE}\r\n${chunked(HIDDEN)}`,
    [404],
    [],
  ],
  [
    'a request in a body that no route asked for',
    `POST ${TODOS}/1/restore HTTP/1.1\r\n${OWN}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [404],
    [],
  ],
  [
    'a request in the body of a stranger',
    `POST ${TODOS} HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [401],
    [],
  ],
  [
    'a request in the chunks of a stranger',
    `POST ${TODOS} HTTP/1.1\r\nHost: x\r\n${TE}\r\n${chunked(HIDDEN)}`,
    [401],
    [],
  ],
  [
    'a request in a body at no path',
    `POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [404],
    [],
  ],
  [
    'a request in a body of a wrong method',
    `POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [405],
    [],
  ],
  [
    'a request in a body of a wrong type',
    `${POST.replace('application/json', 'text/plain')}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [415],
    [],
  ],
  [
    'a request at the start of a body that is too large',
    `${POST}Content-Length: 70000\r\n\r\n${HIDDEN.padEnd(70_000, 'x')}`,
    [413],
    [],
  ],
  [
    'a request at the end of a body that is too large',
    `${POST}Content-Length: 70000\r\n\r\n${HIDDEN.padStart(70_000, '\n')}`,
    [413],
    [],
  ],
  [
    'a request in the second of chunks that are too large',
    `${POST}${TE}\r\n11170\r\n${'x'.repeat(70_000)}\r\n${chunked(HIDDEN)}`,
    [413],
    [],
  ],
  [
    'a request with a method in a header',
    `POST ${TODOS}/1 HTTP/1.1\r\n${OWN}X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n`,
    [405],
    [],
  ],
  ['a target with a scheme and a host', `GET http://localhost${TODOS}/1 HTTP/1.1\r\n${OWN}\r\n`, [404], []],
  ['a target of another host', `GET http://evil.example/no HTTP/1.1\r\n${OWN}\r\n`, [404], []],
  ['a target with a fragment', `GET /no#${TODOS} HTTP/1.1\r\n${OWN}\r\n`, [404], []],
  ['TRACE', `TRACE ${TODOS} HTTP/1.1\r\n${OWN}\r\n`, [405], []],
  [
    'an upgrade to HTTP/2',
    `GET /health HTTP/1.1\r\n${OWN}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    [200],
    [],
  ],
  [
    'an upgrade to a WebSocket',
    `GET /health HTTP/1.1\r\n${OWN}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    [200],
    [],
  ],
  ['an expectation', `${POST}Expect: 100-continue\r\n${LENGTH}\r\n${FIRST}`, [100, 201], ['intended']],
  ['an expectation that nobody knows', `${POST}Expect: 200-ok\r\n${LENGTH}\r\n${FIRST}`, [201], ['intended']],
  ['a path of 8,000 bytes', `GET /${'a'.repeat(8000)} HTTP/1.1\r\n${OWN}\r\n`, [404], []],
  ['a hundred headers', `GET /health HTTP/1.1\r\n${OWN}${'X-A: 1\r\n'.repeat(97)}\r\n`, [200], []],
]

const refusedHeader = (header: string) => `${POST}${header}\r\n\r\n${FIRST}`
const refusedChunks = (chunks: string) => `${POST}${TE}\r\n${chunks}`

/** Refused, each with this status, before any route is reached; where none is given, without a word. */
const REFUSED: [...Shape, status: number | null][] = [
  ['CL.TE', `${POST}Content-Length: ${5 + HIDDEN.length}\r\n${TE}\r\n0\r\n\r\n${HIDDEN}`, 400],
  ['TE.CL', `${POST}${TE}Content-Length: 4\r\n\r\n${chunked(HIDDEN)}`, 400],
  ['TE.0', `${POST}${TE}Content-Length: 0\r\n\r\n${chunked(HIDDEN)}`, 400],
  ...[
    'xchunked',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    'chunked;x=1',
    '"chunked"',
    '\x0bchunked',
    'chunked\x00',
    '',
  ].flatMap((coding): [string, string, number][] => [
    [
      `the coding ${JSON.stringify(coding)}`,
      `${POST}Transfer-Encoding: ${coding}\r\n\r\n${chunked(FIRST)}`,
      400,
    ],
    [
      `the coding ${JSON.stringify(coding)} beside a length`,
      `${POST}Transfer-Encoding: ${coding}\r\n${LENGTH}\r\n${FIRST}`,
      400,
    ],
  ]),
  ['two codings, the same', `${POST}${TE}${TE}\r\n${chunked(FIRST)}`, 400],
  ['two codings, the second unknown', `${POST}${TE}Transfer-Encoding: x\r\n\r\n${chunked(FIRST)}`, 400],
  ['two codings, the first unknown', `${POST}Transfer-Encoding: x\r\n${TE}\r\n${chunked(FIRST)}`, 400],
  ['a folded coding', `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n${chunked(FIRST)}`, 400],
  [
    'a coding behind a space before the colon',
    `${POST}Transfer-Encoding : chunked\r\n\r\n${chunked(FIRST)}`,
    400,
  ],
  [
    'two lengths, the second longer',
    `${POST}${LENGTH}Content-Length: ${FIRST.length + HIDDEN.length}\r\n\r\n${FIRST}${HIDDEN}`,
    400,
  ],
  [
    'two lengths, the first longer',
    `${POST}Content-Length: ${FIRST.length + HIDDEN.length}\r\n${LENGTH}\r\n${FIRST}${HIDDEN}`,
    400,
  ],
  [
    'two lengths, the first 0',
    `${POST}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    400,
  ],
  ...[
    '20, 20',
    '20, 300',
    '-20',
    '-0',
    '0x14',
    '+20',
    '20.0',
    '2_0',
    '2 0',
    '',
    'abc',
    '"20"',
    '20\0',
    '18446744073709551636',
    '20;',
  ].map((length): [string, string, number] => [
    `the length ${JSON.stringify(length)}`,
    refusedHeader(`Content-Length: ${length}`),
    400,
  ]),
  ['a length behind a space before the colon', refusedHeader(`Content-Length : ${FIRST.length}`), 400],
  ['a length behind a tab before the colon', refusedHeader(`Content-Length\t: ${FIRST.length}`), 400],
  ['a folded length', refusedHeader(`Content-Length:\r\n ${FIRST.length}`), 400],
  ['a length on an indented line', refusedHeader(` Content-Length: ${FIRST.length}`), 400],
  ['a folded header', refusedHeader('X-A: 1\r\n 2'), 400],
  ['a header with a space in its name', refusedHeader('X A: 1'), 400],
  ['a header without a colon', refusedHeader('XA'), 400],
  ['a header without a name', refusedHeader(': 1'), 400],
  ['a header with a line feed alone', refusedHeader(`X-A: 1\n${LENGTH}`.trimEnd()), 400],
  ['a header with a carriage return alone', refusedHeader(`X-A: 1\r${LENGTH}`.trimEnd()), 400],
  ['headers that end with two line feeds', `GET /health HTTP/1.1\r\n${OWN}X-A: 1\n\n${HIDDEN}`, 400],
  ['headers that end with two carriage returns', `GET /health HTTP/1.1\r\n${OWN}X-A: 1\r\r${HIDDEN}`, 400],
  ['lines that all end with a line feed alone', `GET /health HTTP/1.1\nHost: x\n\n${HIDDEN}`, 505],
  ['NUL in a header', refusedHeader('X-A: 1\x002'), 400],
  ['NUL in a name', refusedHeader('X\0A: 1'), 400],
  ['a control character in a header', refusedHeader('X-A: \x01\x7f'), 400],
  ['NUL in the path', `GET /health\0 HTTP/1.1\r\n${OWN}\r\n`, 505],
  ['a space in the path', `GET /health x HTTP/1.1\r\n${OWN}\r\n`, 505],
  ['no host', 'GET /health HTTP/1.1\r\n\r\n', 400],
  ['the target *', `OPTIONS * HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['a target without a slash', `GET api/v1/todos HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['no target', `GET  HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['chunks in HTTP/1.0', `${POST.replace('HTTP/1.1', 'HTTP/1.0')}${TE}\r\n${chunked(FIRST)}`, 400],
  [
    'chunks and a length in HTTP/1.0',
    `${POST.replace('HTTP/1.1', 'HTTP/1.0')}${TE}${LENGTH}\r\n${FIRST}`,
    400,
  ],
  ['HTTP/0.9', `GET /health\r\n${HIDDEN}`, 505],
  ['HTTP/1.2', `GET /health HTTP/1.2\r\n${OWN}\r\n`, 505],
  ['HTTP/2 without TLS', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${HIDDEN}`, 400],
  ['http in small letters', `GET /health http/1.1\r\n${OWN}\r\n`, 505],
  [
    'a chunk whose line ends with a line feed alone',
    refusedChunks(`${lengthIn16(FIRST)};a\n${FIRST}\r\n0\r\n\r\n`),
    400,
  ],
  [
    'a chunk with an endless extension',
    refusedChunks(`14;${'a'.repeat(100_000)}\r\n${FIRST}\r\n0\r\n\r\n`),
    413,
  ],
  ...['10000000000000014', '-14', '0x14', '14 ', ' 14', '+14', '', 'zz', '14,'].map(
    (size): [string, string, number] => [
      `a chunk of the size ${JSON.stringify(size)}`,
      refusedChunks(`${size}\r\n${FIRST}\r\n0\r\n\r\n`),
      400,
    ],
  ),
  [
    'a chunk that is shorter than its size',
    refusedChunks(`${lengthIn16(`${FIRST}x`)}\r\n${FIRST}\r\n0\r\n\r\n`),
    400,
  ],
  [
    'a chunk that is longer than its size',
    refusedChunks(`${lengthIn16(FIRST.slice(1))}\r\n${FIRST}\r\n0\r\n\r\n`),
    400,
  ],
  [
    'a chunk with something else behind it',
    refusedChunks(`${lengthIn16(FIRST)}\r\n${FIRST}XX0\r\n\r\n`),
    400,
  ],
  ['a header of 20,000 bytes', `GET /health HTTP/1.1\r\n${OWN}X-A: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ['a header of a million bytes', `GET /health HTTP/1.1\r\n${OWN}X-A: ${'a'.repeat(1_000_000)}\r\n\r\n`, 431],
  ['a header without end', `GET /health HTTP/1.1\r\n${OWN}X-A: ${'a'.repeat(1_000_000)}`, 431],
  ['a name of 20,000 bytes', `GET /health HTTP/1.1\r\n${OWN}${'a'.repeat(20_000)}: 1\r\n\r\n`, 431],
  ['a path of a million bytes', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\n${OWN}\r\n`, 431],
  ['1,000 headers', `GET /health HTTP/1.1\r\n${OWN}${'X-A: 1\r\n'.repeat(1000)}\r\n`, 431],
  [
    'a length after 300 headers',
    `${POST}${'X-A: 1\r\n'.repeat(300)}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    431,
  ],
  ['a method in small letters', `get /health HTTP/1.1\r\n${OWN}\r\n`, null],
  ['a method of 5,000 letters', `${'A'.repeat(5000)} /health HTTP/1.1\r\n${OWN}\r\n`, null],
  ['a method with a control character', `GE\x01T /health HTTP/1.1\r\n${OWN}\r\n`, 505],
  ['a method with @', `G@T /health HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['a method behind a space', ` GET /health HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['a method behind an empty line', `\r\n\r\nGET /health HTTP/1.1\r\n${OWN}\r\n`, 400],
  ['tabs for spaces', `GET\t/health\tHTTP/1.1\r\n${OWN}\r\n`, 505],
  ['the first bytes of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
]

/** Takes them away, so that each test begins with none. */
async function titlesMade(): Promise<string[]> {
  const made = await sql<{ title: string }[]>`delete from tasks returning title`
  return made.map(({ title }) => title)
}

const statusesOf = (answers: { status: number }[]) => answers.map(({ status }) => status)

describe('is read in one way, and what follows is a request of its own:', () => {
  test.each(READ)('%s', async (_, bytes, statuses, titles) => {
    const { answers, isOpen } = await exchange(bytes)
    expect(statusesOf(answers)).toEqual(statuses)
    expect(isOpen).toBe(true)
    expect(await titlesMade()).toEqual(titles)
  })
})

/** In bytes: what is longer may still be on its way when the server hangs up, and its answer is lost then. */
const AT_ONCE = 10_000

describe('is refused, and the server hangs up:', () => {
  test.each(REFUSED)('%s', async (_, bytes, status) => {
    const { answers, isOpen } = await exchange(bytes)
    const statuses = statusesOf(answers)
    if (bytes.length < AT_ONCE || statuses.length > 0)
      expect(statuses).toEqual(status === null ? [] : [status])
    expect(isOpen).toBe(false)
    expect(await titlesMade()).toEqual([])
  })
})

test('nothing was smuggled: when the server has finished all it had begun, only what was intended is there', async () => {
  await stop()
  expect((await titlesMade()).filter((title) => title !== 'intended')).toEqual([])
})
