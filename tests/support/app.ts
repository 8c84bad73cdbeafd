/** The whole app on a database of its own, and requests to it without a network. */
import { Writable } from 'node:stream'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { loadSettings, type Settings } from '../../src/settings'
import { createLog } from '../../src/telemetry/log'
import { type TestDatabase, testDatabase } from './database'

export const SECRET = 'a-shared-secret-of-at-least-32-bytes'

/** As good as none, for tests that are about something else. */
export const UNLIMITED = { RATE_LIMIT_PER_MINUTE: '1000000', AUTH_RATE_LIMIT_PER_MINUTE: '1000000' }

/** Settings as the given environment makes them. */
export function testSettings(env: Record<string, string> = {}): Settings {
  return loadSettings({ ...UNLIMITED, ...env }, () => SECRET)
}

export interface CallOptions {
  /** Whose token to send; undefined sends none. */
  as?: string | undefined
  body?: unknown
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any body
  body: any
}

export type Call = (method: string, path: string, options?: CallOptions) => Promise<Answer>

export interface TestApp extends TestDatabase {
  app: ReturnType<typeof createApp>
  settings: Settings
  call: Call
  /** Every line of the log. */
  logged: string[]
}

export async function testApp(env: Record<string, string> = {}): Promise<TestApp> {
  const database = await testDatabase()
  const settings = testSettings(env)
  const logged: string[] = []
  const log = createLog({ logLevel: 'trace', production: true }, linesTo(logged))
  const app = createApp({ settings, database: database.database, log })
  const tokenOf = tokensBy(settings)
  const call: Call = async (method, path, options = {}) =>
    toAnswer(await app.handle(await toRequest(tokenOf, method, path, options)))
  return { ...database, app, settings, call, logged }
}

/** Where a log can write, to be read. */
export function linesTo(lines: string[]): Writable {
  return new Writable({
    write(line, _encoding, done) {
      lines.push(String(line))
      done()
    },
  })
}

type TokenOf = (user: string) => Promise<string>

/** A user keeps the first token: one that was issued after a deletion would bring the user back. */
function tokensBy(settings: Settings): TokenOf {
  const tokens = new Map<string, Promise<string>>()
  return (user) => {
    const token = tokens.get(user) ?? signAccessToken(user, settings)
    tokens.set(user, token)
    return token
  }
}

async function toRequest(tokenOf: TokenOf, method: string, path: string, { as, body, headers }: CallOptions) {
  const token = as === undefined ? undefined : await tokenOf(as)
  return new Request(`http://localhost${path}`, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

/** JSON is parsed; anything else stays text, and of a stream, which has no end, nothing is read. */
export async function toAnswer(response: Response): Promise<Answer> {
  const isStream = response.headers.get('content-type') === 'text/event-stream'
  if (isStream) await response.body?.cancel()
  const text = isStream ? '' : await response.text()
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text ? JSON.parse(text) : text,
  }
}
