/** A server that really listens, and bytes sent to it as they are. */
import { afterAll } from 'bun:test'
import { connect } from 'node:net'
import { signAccessToken } from '../../src/auth/token'
import { serve } from '../../src/server'
import { createLog } from '../../src/telemetry/log'
import { linesTo, type TestApp, testApp } from '../support/app'

export interface WireAnswer {
  status: number
  /** By name in lower case. */
  headers: Map<string, string>
  body: string
}

export interface Wire extends TestApp {
  token: string
  /** Every line of the listening server's log. */
  lines: string[]
  /**
   * Sends latin1 text byte by byte, and once it is answered a well-formed request.
   *
   * @returns all answers until the server hangs up, or has answered that last request, which is not among them
   */
  exchange(request: string): Promise<{ answers: WireAnswer[]; isOpen: boolean }>
  /** Lets the server finish what it has begun, and ends it. */
  stop(): Promise<void>
}

const SENTINEL = 'GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: sentinel\r\n\r\n'

/** In milliseconds; nothing here takes a hundredth of it. */
const DEADLINE = 20_000

/** @param as whose token is given */
export async function listen(as: string): Promise<Wire> {
  const test = await testApp()
  const lines: string[] = []
  const log = createLog({ logLevel: 'trace', production: true }, linesTo(lines))
  const settings = { ...test.settings, databaseUrl: test.url, host: '127.0.0.1', port: 0 }
  const server = await serve(settings, log)
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= server.stop()
    return stopped
  }
  afterAll(stop)
  const port = Number(new URL(server.url).port)
  const exchange = (request: string) => exchangeWith(port, request)
  return { ...test, token: await signAccessToken(as, test.settings), lines, exchange, stop }
}

function exchangeWith(port: number, request: string): ReturnType<Wire['exchange']> {
  return new Promise((done, fail) => {
    let received = ''
    let isAsked = false
    const socket = connect(port, '127.0.0.1', () => socket.write(request, 'latin1'))
    socket.setEncoding('latin1').on('data', (chunk) => {
      received += chunk
      const answers = answersIn(received)
      if (isSentinels(answers.at(-1))) socket.destroy()
      // not at once: the runtime hangs up on who sends a request before the one before it is answered
      if (isAsked || !answers.some(({ status }) => status >= 200)) return
      isAsked = true
      socket.write(SENTINEL)
    })
    socket.setTimeout(DEADLINE, () => {
      fail(new Error(`Neither hung up nor answered: ${JSON.stringify(request.slice(0, 200))}`))
      socket.destroy()
    })
    // a server that refuses a request while it is being sent may reset the connection
    socket.on('error', () => {})
    socket.on('close', () => {
      const answers = answersIn(received)
      const isOpen = isSentinels(answers.at(-1))
      done({ answers: isOpen ? answers.slice(0, -1) : answers, isOpen })
    })
  })
}

function isSentinels(answer: WireAnswer | undefined): boolean {
  return answer?.headers.get('x-request-id') === 'sentinel'
}

/** Those that are complete. Answers to `HEAD` are not understood: their length says nothing of their body. */
function answersIn(text: string): WireAnswer[] {
  const answers: WireAnswer[] = []
  for (let rest = text; rest.includes('\r\n\r\n'); ) {
    const [head = ''] = rest.split('\r\n\r\n', 1)
    const [first = '', ...fields] = head.split('\r\n')
    const headers = new Map(fields.map((field) => nameAndValue(field)))
    const start = head.length + 4
    const end = start + Number(headers.get('content-length') ?? 0)
    if (rest.length < end) break
    answers.push({ status: Number(first.split(' ')[1]), headers, body: rest.slice(start, end) })
    rest = rest.slice(end)
  }
  return answers
}

function nameAndValue(field: string): [string, string] {
  const colon = field.indexOf(':')
  return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
}
