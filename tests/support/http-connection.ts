/**
 * HTTP/1.1 over a socket of one's own. `fetch` chooses connections, keeps them and tries again on others by itself;
 * these tests have to know on which connection a request was sent, how often, and how it ended.
 */
import { connect, type Socket } from 'node:net'
import { signAccessToken } from '../../src/auth/token'
import { testSettings } from './app'

/** Nobody listens: nothing was sent. */
export class Refused extends Error {}
/** The connection had ended before anything of the request was sent. */
export class Idle extends Error {}
/** The request was sent, and the connection ended without an answer, or in the middle of one. */
export class Lost extends Error {}

export interface Reply {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any body
  body: any
}

export interface RequestOptions {
  as?: string
  body?: unknown
  headers?: Record<string, string>
}

export interface HttpConnection {
  /** Sends a request and waits for its answer; one at a time. */
  request(method: string, path: string, options?: RequestOptions): Promise<Reply>
  /** Sends what is no request, or not a whole one. */
  write(text: string): void
  /** All that has come. */
  received(): string
  /** Waits until what has come matches. @throws Lost if the connection ends before */
  until(pattern: RegExp): Promise<string>
  isOpen(): boolean
  /** Resolves when the connection has ended, on either side. */
  ended: Promise<void>
  /** Goes away without a word. */
  destroy(): void
}

const tokens = new Map<string, Promise<string>>()

/** A user's token, made once. */
export function tokenOf(user: string): Promise<string> {
  const known = tokens.get(user)
  if (known) return known
  const made = signAccessToken(user, testSettings())
  tokens.set(user, made)
  return made
}

/** @returns a request's bytes as text */
export async function requestText(
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<string> {
  const body = options.body === undefined ? '' : JSON.stringify(options.body)
  const headers = {
    host: 'localhost',
    ...(options.as && { authorization: `Bearer ${await tokenOf(options.as)}` }),
    ...(body && { 'content-type': 'application/json', 'content-length': String(body.length) }),
    ...options.headers,
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body}`
}

/** @throws Refused */
export async function openConnection(port: number): Promise<HttpConnection> {
  const socket = await connected(port)
  const ended = Promise.withResolvers<void>()
  let text = ''
  let isOpen = true
  let notice = () => {}
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1')
    notice()
  })
  socket.on('close', () => {
    isOpen = false
    notice()
    ended.resolve()
  })
  // the other side has said all that it will say
  socket.on('end', () => socket.destroy())

  async function wait<T>(read: () => T | undefined): Promise<T> {
    for (;;) {
      const found = read()
      if (found !== undefined) return found
      if (!isOpen) throw new Lost(`ended after ${JSON.stringify(text.slice(0, 200))}`)
      await new Promise<void>((done) => {
        notice = done
      })
    }
  }
  return {
    async request(method, path, options) {
      const sent = await requestText(method, path, options)
      if (!isOpen) throw new Idle()
      text = ''
      socket.write(sent)
      return wait(() => parseReply(text, method))
    },
    write: (part) => void socket.write(part),
    received: () => text,
    until: (pattern) => wait(() => pattern.exec(text)?.[0]),
    isOpen: () => isOpen && !socket.destroyed,
    ended: ended.promise,
    destroy: () => void socket.destroy(),
  }
}

function connected(port: number): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => {
      socket.off('error', refused)
      // a reset is an end too, and `close` follows
      socket.on('error', () => {})
      done(socket)
    })
    const refused = () => fail(new Refused())
    socket.once('error', refused)
  })
}

/** @returns undefined as long as something is missing */
function parseReply(text: string, method: string): Reply | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
  )
  const status = Number(first.split(' ')[1])
  const rest = text.slice(end + 4)
  const hasBody = method !== 'HEAD' && status !== 204 && status !== 304
  const body = hasBody ? parseBody(rest, headers) : ''
  if (body === undefined) return undefined
  const isJson = /[/+]json/.test(headers.get('content-type') ?? '')
  return { status, headers, body: isJson && body ? JSON.parse(body) : body }
}

function parseBody(rest: string, headers: Headers): string | undefined {
  if (headers.get('transfer-encoding') === 'chunked') return parseChunks(rest)
  const length = Number(headers.get('content-length'))
  return rest.length < length ? undefined : rest.slice(0, length)
}

function parseChunks(rest: string, before = ''): string | undefined {
  const line = rest.indexOf('\r\n')
  if (line === -1) return undefined
  const size = Number.parseInt(rest, 16)
  const start = line + 2
  if (rest.length < start + size + 2) return undefined
  if (size === 0) return before
  return parseChunks(rest.slice(start + size + 2), before + rest.slice(start, start + size))
}

/** One request on a connection of its own. */
export async function call(
  port: number,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Reply> {
  const connection = await openConnection(port)
  try {
    return await connection.request(method, path, options)
  } finally {
    connection.destroy()
  }
}
