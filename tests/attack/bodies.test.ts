/** Bodies that are too large, too deep, cut off, compressed, or not what they say: of every operation that reads one. */
import { describe, expect, test } from 'bun:test'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import {
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  gzipSync,
} from 'node:zlib'
import { type Answer, toAnswer } from '../support/app'
import { type Operation, pathOf, readOpenApi } from '../support/openapi'
import { listen } from './wire'

const { app, call, sql, token, exchange } = await listen('ann')
const TODOS = '/api/v1/todos'
const LIMIT = 65_536

const openApi = await readOpenApi(call)
const operations = openApi.operations.filter(({ body }) => body !== undefined)
const task = (await call('POST', TODOS, { as: 'ann', body: { title: 'as it was' } })).body
const targetOf = (operation: Operation) => pathOf(operation, { user_id: 'me', id: String(task.id) })

const HEAD = `POST ${TODOS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`

interface Sent {
  body: string | Uint8Array<ArrayBuffer>
  headers?: Record<string, string>
}

async function send(operation: Operation, { body, headers = {} }: Sent): Promise<Answer> {
  const request = new Request(`http://localhost${targetOf(operation)}`, {
    method: operation.method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body,
  })
  return toAnswer(await app.handle(request))
}

/** All there is, as text. */
async function stored(): Promise<string> {
  const users = await sql`select id, revision from users order by id`
  const tasks = await sql`select * from tasks order by user_id, id`
  const accounts = await sql`select * from accounts order by user_id`
  return JSON.stringify([users, tasks, accounts])
}

const utf16 = (text: string) => Buffer.from(text, 'utf16le')
const swapped = (bytes: Uint8Array) => Buffer.from(bytes).swap16()

/** Of a body that is good in itself. */
const REFUSED: [string, (good: string) => Sent, status: number, code: string][] = [
  ['cut off', (good) => ({ body: good.slice(0, -1) }), 400, 'MALFORMED_JSON'],
  ['cut off in its first string', (good) => ({ body: good.slice(0, 4) }), 400, 'MALFORMED_JSON'],
  ['with another behind it', (good) => ({ body: good + good }), 400, 'MALFORMED_JSON'],
  ['with a comma too many', (good) => ({ body: good.replace('}', ',}') }), 400, 'MALFORMED_JSON'],
  ['with a comment', (good) => ({ body: `/**/${good}` }), 400, 'MALFORMED_JSON'],
  ['with NUL behind it', (good) => ({ body: `${good}\0` }), 400, 'MALFORMED_JSON'],
  ['in single quotes', (good) => ({ body: good.replaceAll('"', "'") }), 400, 'MALFORMED_JSON'],
  ['of NaN', () => ({ body: 'NaN' }), 400, 'MALFORMED_JSON'],
  ['of white space', () => ({ body: ' \n' }), 400, 'MALFORMED_JSON'],
  ['of brackets without end', () => ({ body: '['.repeat(60_000) }), 400, 'MALFORMED_JSON'],
  ['in UTF-16', (good) => ({ body: utf16(good) }), 400, 'MALFORMED_JSON'],
  ['in UTF-16 with its mark', (good) => ({ body: utf16(`\ufeff${good}`) }), 400, 'MALFORMED_JSON'],
  ['in UTF-16, the other way round', (good) => ({ body: swapped(utf16(good)) }), 400, 'MALFORMED_JSON'],
  [
    'with an overlong slash',
    () => ({ body: Buffer.from('{"title":"\xc0\xaf"}', 'latin1') }),
    400,
    'MALFORMED_JSON',
  ],
  [
    'with an encoded surrogate',
    () => ({ body: Buffer.from('"\xed\xa0\x80"', 'latin1') }),
    400,
    'MALFORMED_JSON',
  ],
  ['compressed, and silent about it', (good) => ({ body: gzipSync(good) }), 400, 'MALFORMED_JSON'],
  ['that is a list', (good) => ({ body: `[${good}]` }), 422, 'VALIDATION_ERROR'],
  ['that is null', () => ({ body: 'null' }), 422, 'VALIDATION_ERROR'],
  ['that is a number past every range', () => ({ body: '1e999' }), 422, 'VALIDATION_ERROR'],
  ['that is a number of 60,000 digits', () => ({ body: '9'.repeat(60_000) }), 422, 'VALIDATION_ERROR'],
  ['that is a text', () => ({ body: '"title"' }), 422, 'VALIDATION_ERROR'],
  [
    'of lists in lists, as deep as is read',
    () => ({ body: '['.repeat(32) + ']'.repeat(32) }),
    422,
    'VALIDATION_ERROR',
  ],
  [
    'of lists in lists in lists',
    () => ({ body: '['.repeat(30_000) + ']'.repeat(30_000) }),
    422,
    'VALIDATION_ERROR',
  ],
  [
    'of objects in objects in objects',
    () => ({ body: `${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}` }),
    422,
    'VALIDATION_ERROR',
  ],
  ['of 7,000 unknown fields', () => ({ body: manyFields(7_000) }), 422, 'VALIDATION_ERROR'],
  [
    'of one unknown field 5,000 times',
    () => ({ body: `{${'"x":1,'.repeat(5000)}"x":1}` }),
    422,
    'VALIDATION_ERROR',
  ],
  [
    'of a name that is 60,000 letters long',
    () => ({ body: `{"${'x'.repeat(60_000)}":1}` }),
    422,
    'VALIDATION_ERROR',
  ],
  ['of one byte too many', (good) => ({ body: good.padEnd(LIMIT + 1) }), 413, 'PAYLOAD_TOO_LARGE'],
  ['of ten million bytes', (good) => ({ body: good.padEnd(10_000_000) }), 413, 'PAYLOAD_TOO_LARGE'],
  ...['utf-16', 'utf-7', 'iso-8859-1', 'x', 'utf-8x', 'utf-8, latin1'].map(
    (charset): (typeof REFUSED)[number] => [
      `in the charset ${charset}`,
      (good) => ({ body: good, headers: { 'content-type': `application/json; charset=${charset}` } }),
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  ),
  ...['', 'text/json', 'json', 'application/json, text/plain', 'application/xml', 'multipart/form-data'].map(
    (type): (typeof REFUSED)[number] => [
      `of the type "${type}"`,
      (good) => ({ body: good, headers: { 'content-type': type } }),
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  ),
  ...[
    'gzip',
    'GZIP',
    'x-gzip',
    'deflate',
    'br',
    'zstd',
    'compress',
    'gzip, gzip',
    'identity, gzip',
    'aes128gcm',
  ].map((coding): (typeof REFUSED)[number] => [
    `that says it is in ${coding}`,
    (good) => ({ body: good, headers: { 'content-encoding': coding } }),
    415,
    'UNSUPPORTED_MEDIA_TYPE',
  ]),
]

function manyFields(count: number): string {
  const fields = Array.from({ length: count }, (_, i) => `"${i.toString(36)}":1`)
  return `{${fields.join()}}`
}

// first of all, for it is the peak of this process's memory that tells
describe('what would become large', async () => {
  const SIZE = 60 * 1024 * 1024
  const zeros = Array.from({ length: 60 }, () => Buffer.alloc(1024 * 1024))
  const bombs = await Promise.all(
    Object.entries({
      gzip: createGzip(),
      deflate: createDeflate(),
      br: createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
      zstd: createZstdCompress(),
    }).map(async ([coding, compressor]) => ({
      coding,
      bomb: await buffer(Readable.from(zeros).pipe(compressor)),
    })),
  )

  test.each(bombs)('in $coding is never unpacked', async ({ coding, bomb }) => {
    expect(bomb.length).toBeLessThan(LIMIT)
    const peak = process.resourceUsage().maxRSS
    const length = `Content-Encoding: ${coding}\r\nContent-Length: ${bomb.length}\r\n\r\n`
    const { answers } = await exchange(HEAD + length + bomb.toString('latin1'))
    expect(answers.map(({ status }) => status)).toEqual([415])
    // in KiB
    expect((process.resourceUsage().maxRSS - peak) * 1024).toBeLessThan(SIZE / 2)
  })
})

test('there are operations that read a body', () => {
  expect(operations.length).toBeGreaterThan(10)
})

describe.each(operations)('$method $path', (operation) => {
  const good = JSON.stringify(openApi.bodyOf(operation))

  test('refuses what is no good body, says why, and changes nothing', async () => {
    const before = await stored()
    for (const [name, make, status, code] of REFUSED) {
      const answer = await send(operation, make(good))
      expect(answer.status, name).toBe(status)
      expect(answer.headers.get('content-type'), name).toBe('application/problem+json')
      expect(answer.body.error_code, name).toBe(code)
      expect(JSON.stringify(answer.body).length, name).toBeLessThan(80_000)
    }
    expect(await stored()).toBe(before)
  })
})

describe('one thing said twice', () => {
  test.each([
    ['a field', '{"title":"first","title":"last"}', 'last'],
    ['a field, once in escapes', '{"title":"first","\\u0074itle":"last"}', 'last'],
    ['a mark of byte order, which says nothing', '\ufeff{"title":"marked"}', 'marked'],
  ])('%s has one meaning, that of JSON.parse', async (_, body, title) => {
    expect((await call('POST', TODOS, { as: 'ann', body })).body.title).toBe(title)
  })

  test('is no way around the check of a field', async () => {
    const body = '{"title":"good","title":""}'
    expect((await call('POST', TODOS, { as: 'ann', body })).status).toBe(422)
  })
})

describe('on the wire', () => {
  const padded = (size: number) => '{"title":"x"}'.padEnd(size)
  const inChunks = (text: string, size: number) => {
    const chunks = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
    return [...chunks, ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
  }
  const tasks = async () => (await sql`select from tasks`).length

  test.each([
    [LIMIT, 1, 201],
    [LIMIT + 1, 1, 413],
    [LIMIT, LIMIT, 201],
    [LIMIT + 1, LIMIT, 413],
    [1_000_000, 4096, 413],
  ])('%i bytes in chunks of %i are %i', async (size, each, status) => {
    const before = await tasks()
    const { answers } = await exchange(
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n${inChunks(padded(size), each)}`,
    )
    expect(answers.map((answer) => answer.status)).toEqual([status])
    expect(await tasks()).toBe(before + (status === 201 ? 1 : 0))
  })

  test.each([[LIMIT + 1], [2 ** 31], [2 ** 32 + 13], [2 ** 53 - 1], [999_999_999_999_999]])(
    'a length of %d is refused before the first byte',
    async (length) => {
      const { answers } = await exchangeHead(`${HEAD}Content-Length: ${length}\r\n\r\n`)
      expect(answers).toMatchObject([{ status: 413 }])
      expect(answers[0]?.body).toContain('PAYLOAD_TOO_LARGE')
    },
  )

  /** What is sent behind the head is taken for the body: it is never answered. */
  const exchangeHead = (head: string) => exchange(head.replace('Host: x', 'Host: x\r\nConnection: close'))

  test('what is left over where the length is too small is no part of the body, and makes nothing', async () => {
    const before = await tasks()
    const { answers, isOpen } = await exchange(`${HEAD}Content-Length: 5\r\n\r\n{"title":"x"}\r\n\r\n`)
    expect(answers.filter(({ status }) => status < 400)).toEqual([])
    expect(isOpen).toBe(false)
    expect(await tasks()).toBe(before)
  })
})
