import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import postgres from 'postgres'
import { runningUrl } from '../../src/embedded/server'
import { freePort } from '../../src/system/free-port'
import { SECRET, toAnswer, UNLIMITED } from '../support/app'
import { testDatabase } from '../support/database'

const folder = await mkdtemp(join(tmpdir(), 'taskwell-secrets-'))
const { url: databaseUrl } = await testDatabase()
const MAIN = join(import.meta.dir, '../../src/main.ts')
afterAll(() => rm(folder, { recursive: true }))

const FORMATS = {
  production: { NODE_ENV: 'production', DATABASE_URL: databaseUrl, BETTER_AUTH_SECRET: SECRET },
  development: { DATA_DIR: folder },
}

/** Starts the program as a user would, with the most detailed log. */
async function start(env: Record<string, string>) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = Bun.spawn([process.execPath, '--no-env-file', MAIN, 'serve'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOST: '127.0.0.1',
      PORT: String(port),
      LOG_LEVEL: 'trace',
      ...UNLIMITED,
      ...env,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const output = Promise.all([child.stdout, child.stderr].map((each) => new Response(each).text()))
  const isReady = () =>
    fetch(`${url}/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await isReady())) if (child.exitCode !== null) throw new Error((await output).join('\n'))
  return {
    url,
    async stop(): Promise<string> {
      child.kill('SIGTERM')
      await child.exited
      return (await output).join('\n')
    },
  }
}

interface Answered {
  request: string
  status: number
  /** Headers and body. */
  text: string
}

/** The secrets, by the places in which each may be seen. */
interface Secrets {
  /** May be seen nowhere. */
  passwords: string[]
  /** May be seen in the answers that hold the user. */
  persons: string[]
  /** May be seen in the answers that give tokens. */
  tokens: string[]
  /** May be seen in the list of sessions. */
  agents: string[]
}

const BELONGS: Record<Exclude<keyof Secrets, 'passwords'>, RegExp> = {
  persons: /^(?:POST \/api\/v1\/auth\/(?:register|login|refresh)|(?:GET|PATCH) \/api\/v1\/users\/me)$/,
  tokens: /^POST \/api\/v1\/auth\/(?:register|login|refresh)$/,
  agents: /^GET \/api\/v1\/users\/me\/sessions$/,
}

interface Walk {
  answers: Answered[]
  log: string
  /** The log of the embedded PostgreSQL. */
  databaseLog: string
  secrets: Secrets
}

/** Sends every request of accounts, in every way in which it can succeed or fail. */
async function walk(env: Record<string, string>): Promise<Walk> {
  const server = await start(env)
  const secret = env['BETTER_AUTH_SECRET'] ?? (await readFile(join(folder, 'secret'), 'utf8'))
  const database = new URL(env['DATABASE_URL'] ?? runningUrl(folder) ?? '')
  const sql = postgres(database.href, { max: 1, onnotice: () => {} })

  const [password, nextPassword, wrongPassword] = [
    'hunter2-the-first',
    'hunter2-the-next',
    'hunter2-the-wrong',
  ]
  const [email, nextEmail, takenEmail] = ['Zebra-1@example.com', 'Zebra-2@example.com', 'Zebra-3@example.com']
  const name = 'Zebra Crossing'
  // a name like this could be taken for a line of a stack trace
  const multiline = 'x\n    at quagga (crossing)'
  const secrets: Secrets = {
    passwords: ['hunter2', secret, database.password],
    persons: ['zebra', 'quagga'],
    tokens: [],
    agents: ['Okapi'],
  }
  const answers: Answered[] = []

  async function call(method: string, path: string, body?: unknown, token?: string) {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        'user-agent': 'Okapi/1.0',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const answer = await toAnswer(response)
    const { access_token, refresh_token } = answer.body
    if (access_token) secrets.tokens.push(refresh_token, access_token, ...access_token.split('.').slice(1))
    const text = JSON.stringify([[...response.headers], answer.body])
    answers.push({ request: `${method} ${path}`, status: response.status, text })
    return answer.body
  }
  const auth = (path: string, body: unknown) => call('POST', `/api/v1/auth/${path}`, body)
  const me = (method: string, path: string, token: string, body?: unknown) =>
    call(method, `/api/v1/users/me${path}`, body, token)

  /** Reads the hashes that are stored instead of passwords and tokens. */
  async function noteHashes(): Promise<void> {
    for (const { hash } of await sql`
      select password_hash as hash from accounts
      union select encode(token_hash, 'hex') from refresh_tokens
      union select encode(token_hash, 'base64') from refresh_tokens`) {
      secrets.passwords.push(hash, hash.split('$').at(-1))
    }
  }

  const registered = await auth('register', { email, password, name })
  await noteHashes()
  await auth('register', { email: takenEmail, password, name: multiline })
  await auth('register', { email: email.toUpperCase(), password, name })
  await auth('register', { email: 'zebra@', password: 'hunter2', name: ' ', secret: 'zebra' })
  await auth('register', { email, password: email, name })
  await auth('register', `{"email":"${email}","password":"${password}"`)
  await auth('register', `"${password}${'x'.repeat(70_000)}"`)
  await call('POST', `/api/v1/auth/register?password=${password}`, { email, password })
  await call('POST', `/api/v1/auth/login/${password}`, { email, password })
  await fetch(`${server.url}/api/v1/auth/login`, { method: 'POST', body: `${email} ${password}` })

  await auth('login', { email, password: wrongPassword })
  await auth('login', { email: 'zebra-0@example.com', password: wrongPassword })
  await auth('login', [email, password])
  const other = await auth('login', { email, password })
  const late = await auth('login', { email, password })
  const expired = await auth('login', { email, password })

  await auth('refresh', { refresh_token: late.refresh_token })
  await auth('refresh', { refresh_token: late.refresh_token })
  await auth('refresh', { refresh_token: late.refresh_token })
  await sql`update sessions set rotated_at = rotated_at - interval '11 seconds'`
  await auth('refresh', { refresh_token: late.refresh_token })
  await sql`update refresh_tokens set expires_at = clock_timestamp()
    where token_hash = sha256(${expired.refresh_token}::text::bytea)`
  await auth('refresh', { refresh_token: expired.refresh_token })
  await auth('refresh', { refresh_token: registered.access_token })
  await auth('refresh', { token: expired.refresh_token })

  const { access_token: token } = registered
  const outdated = await new SignJWT({ sub: registered.user.id })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1 hour ago')
    .sign(new TextEncoder().encode(secret))
  secrets.tokens.push(outdated)
  await me('GET', '', token)
  await me('GET', '', outdated)
  await me('GET', '', `${token.slice(0, -2)}AA`)
  await me('GET', '', registered.refresh_token)
  await me('GET', `?token=${token}`, token)
  await me('PATCH', '', token, { name: multiline })
  await me('PATCH', '', token, { name: name.repeat(20), email: 'zebra', current_password: 2 })
  await me('PATCH', '', token, { email: nextEmail, current_password: wrongPassword })
  await me('PATCH', '', token, { email: takenEmail.toUpperCase(), current_password: password })
  await me('PATCH', '', token, { email: nextEmail, current_password: password })
  await me('POST', '/password', token, { current_password: wrongPassword, new_password: nextPassword })
  await me('POST', '/password', token, { current_password: password, new_password: 'hunter2' })
  await me('POST', '/password', token, { current_password: password, new_password: nextEmail })
  await me('POST', '/password', token, { current_password: password, new_password: nextPassword })
  await me('GET', '/sessions', token)
  await me('DELETE', `/sessions/${other.refresh_token}`, token)
  await me('DELETE', `/sessions/${crypto.randomUUID()}`, token)
  await me('DELETE', '/sessions', token)
  await me('GET', '', other.access_token)
  await me('DELETE', '', token, { password: wrongPassword })
  await auth('logout', { refresh_token: expired.refresh_token })
  await auth('logout', { refresh_token: 1 })

  await noteHashes()

  /** Sends each request that writes or reads an account. */
  async function callAll(): Promise<void> {
    await auth('register', { email: 'zebra-4@example.com', password, name: multiline })
    await auth('login', { email: nextEmail, password: nextPassword })
    await auth('refresh', { refresh_token: registered.refresh_token })
    await auth('logout', { refresh_token: registered.refresh_token })
    await me('GET', '', token)
    await me('PATCH', '', token, { name: multiline })
    await me('PATCH', '', token, { email, current_password: nextPassword })
    await me('POST', '/password', token, { current_password: nextPassword, new_password: password })
    await me('GET', '/sessions', token)
    await me('DELETE', '', token, { password: nextPassword })
  }
  await sql`alter table accounts add constraint broken check (false) not valid`
  await sql`alter table sessions add constraint broken check (false) not valid`
  await me('PATCH', '', token, { name: multiline })
  await me('PATCH', '', token, { email, current_password: nextPassword })
  await me('POST', '/password', token, { current_password: nextPassword, new_password: password })
  await auth('login', { email: nextEmail, password: nextPassword })
  await auth('refresh', { refresh_token: registered.refresh_token })
  await auth('register', { email: 'zebra-4@example.com', password, name: multiline })
  await sql`create function tell() returns trigger language plpgsql as 'begin raise ''%'', new.name; end'`
  await sql`create trigger tell before insert or update on accounts for each row execute function tell()`
  await me('PATCH', '', token, { name: multiline })
  await auth('register', { email: 'zebra-4@example.com', password, name: multiline })
  await sql`drop table refresh_tokens`
  await sql`drop table sessions cascade`
  await callAll()
  await sql.end()

  const admin = postgres(new URL('/template1', database).href, { max: 1, onnotice: () => {} })
  const databaseName = database.pathname.slice(1)
  await admin`drop database ${admin(databaseName)} with (force)`
  await callAll()
  await admin`create database ${admin(databaseName)} template template0`
  await admin.end()

  const log = await server.stop()
  const databaseLog = env['DATABASE_URL'] ? '' : await readFile(join(folder, 'postgres.log'), 'utf8')
  return { answers, log, databaseLog, secrets }
}

/** Searches without case. */
function seenIn(text: string, secrets: string[]): string[] {
  const all = text.toLowerCase()
  return [...new Set(secrets)].filter((secret) => all.includes(secret.toLowerCase()))
}

describe.each(Object.entries(FORMATS))('in %s', (format, env) => {
  let walked: Walk
  beforeAll(async () => {
    walked = await walk(env)
  })

  test('every request was sent, and is in the log', () => {
    const statuses = new Set(walked.answers.map(({ status }) => status))
    const expected = [200, 201, 204, 400, 401, 403, 404, 409, 413, 422, 500, 503]
    expect([...statuses].toSorted()).toEqual(expected)
    const logged = [...walked.log.matchAll(/"status":(\d+)/g)].map(([, status]) => Number(status))
    expect([...new Set(logged)].toSorted()).toEqual([...expected, 415].toSorted())
    for (const code of ['23514', 'P0001', '42P01', '3D000']) expect(walked.log).toContain(code)
    expect(walked.log.includes('{"level":')).toBe(format === 'production')
  })

  test('no secret is in the log', () => {
    const { passwords, persons, tokens, agents } = walked.secrets
    expect(tokens.length).toBeGreaterThan(20)
    expect(seenIn(walked.log, [...passwords, ...persons, ...tokens, ...agents])).toEqual([])
    expect(walked.log).not.toMatch(/eyJ|\$argon2/)
  })

  test('an answer holds only the secrets that belong there', () => {
    for (const { request, status, text } of walked.answers) {
      expect(seenIn(text, walked.secrets.passwords), request).toEqual([])
      for (const [kind, where] of Object.entries(BELONGS)) {
        if (status < 300 && where.test(request)) continue
        expect(seenIn(text, walked.secrets[kind as keyof Secrets]), `${request} ${status}`).toEqual([])
      }
    }
  })

  if (env === FORMATS.development) {
    test('no secret is in the log of the embedded database', () => {
      const { passwords, tokens, agents } = walked.secrets
      for (const error of ['accounts_email_key', 'broken', 'quagga']) {
        expect(walked.databaseLog).toContain(error)
      }
      // except the line that the trigger makes it write
      expect(seenIn(walked.databaseLog, ['zebra', ...passwords, ...tokens, ...agents])).toEqual([])
    })
  }
})
