/** Requests that come before the one before them is answered, and what comes behind a body. */
import { describe, expect, test } from 'bun:test'
import { listen } from './wire'

const { sql, token, exchange, stop } = await listen('ann')

const TODOS = '/api/v1/todos'
const POST = `POST ${TODOS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`
const FIRST = JSON.stringify({ title: 'intended' })
const LENGTH = `Content-Length: ${FIRST.length}\r\n`
const TE = 'Transfer-Encoding: chunked\r\n'
const lengthIn16 = (text: string) => text.length.toString(16)
const HIDDEN = `${POST}${LENGTH}\r\n${JSON.stringify({ title: 'smuggled' })}`

async function titlesMade(): Promise<string[]> {
  const made = await sql<{ title: string }[]>`select title from tasks`
  return made.map(({ title }) => title)
}

const statusesOf = (answers: { status: number }[]) => answers.map(({ status }) => status)

describe('requests one behind the other', () => {
  const get = (id: string) => `GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`

  test('are answered in their order, each with its own answer', async () => {
    const { answers } = await exchange(['a', 'b', 'c'].map(get).join(''))
    expect(statusesOf(answers)).toEqual([200, 200, 200])
    expect(answers.map(({ headers }) => headers.get('x-request-id'))).toEqual(['a', 'b', 'c'])
  })

  // the runtime's own defence: an answer that waits can then never be taken for another's
  test.each([
    ['the same sender', HIDDEN],
    ['a stranger', `GET ${TODOS} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['nobody, as it is no request', 'garbage\r\n\r\n'],
  ])('are not read while the first waits for its answer, if the second is of %s', async (_, second) => {
    const { answers, isOpen } = await exchange(`${POST}${LENGTH}\r\n${FIRST}${second}`)
    expect(statusesOf(answers).filter((status) => status < 400)).toEqual([])
    expect(isOpen).toBe(false)
  })

  test('end with one that asked for it', async () => {
    const last = get('last').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
    const { answers, isOpen } = await exchange(last + HIDDEN)
    expect(statusesOf(answers)).toEqual([200])
    expect(isOpen).toBe(false)
  })

  test.each(['', 'Connection: keep-alive\r\n'])('end with one in HTTP/1.0, with %j', async (header) => {
    const { answers, isOpen } = await exchange(`GET /health HTTP/1.0\r\n${header}\r\n${HIDDEN}`)
    expect(statusesOf(answers)).toEqual([200])
    expect(isOpen).toBe(false)
  })
})

describe('trailers', () => {
  // the runtime hands the body over before it comes to them, and then refuses them: a task may have been made
  test.each([
    ['a header', 'X-A: 1\r\n\r\n'],
    ['headers that would count', 'Content-Length: 5\r\nAuthorization: Bearer x\r\n\r\n'],
    ['a request', HIDDEN],
  ])('of %s are refused, and no request is made of them', async (_, trailers) => {
    const bytes = `${POST}${TE}\r\n${lengthIn16(FIRST)}\r\n${FIRST}\r\n0\r\n${trailers}`
    const { answers, isOpen } = await exchange(bytes)
    expect(statusesOf(answers)).toEqual([400])
    expect(isOpen).toBe(false)
  })
})

test('none of them was done: when the server has finished all it had begun, only what was intended is there', async () => {
  // of those above, the runtime may have given up each before its statement was sent
  const { answers } = await exchange(`${POST}${LENGTH}\r\n${FIRST}`)
  expect(statusesOf(answers)).toEqual([201])
  await stop()
  expect(new Set(await titlesMade())).toEqual(new Set(['intended']))
})
