/** Tickets open event streams in place of tokens. */
import { afterAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { SignJWT } from 'jose'
import { createApp } from '../../src/app'
import { openDatabase } from '../../src/database/database'
import { createLog } from '../../src/telemetry/log'
import { createMetrics } from '../../src/telemetry/metrics'
import { type Answer, linesTo, SECRET, testApp } from '../support/app'
import { left, limitedApp, times } from '../support/limited-app'
import { collector, tracingTo } from '../support/traces'

const { sql, url: databaseUrl, app, call, settings } = await testApp()

/** Another process on the same database. */
const otherDatabase = openDatabase({
  url: databaseUrl,
  poolSize: 2,
  requestTimeout: settings.requestTimeoutMs,
})
afterAll(() => otherDatabase.end())
const silent = createLog({ logLevel: 'silent', production: true })
const otherApp = createApp({ settings, database: otherDatabase, log: silent })

const TODOS = '/api/v1/todos'
const EVENTS = `${TODOS}/events`
const TICKET = `${EVENTS}/ticket`
const ME = '/api/v1/users/me'
const PASSWORD = 'correct horse battery staple'
const newUser = () => crypto.randomUUID()
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const withTicket = (ticket: string, events = EVENTS) => `${events}?ticket=${ticket}`
const REFUSED = { status: 401, body: { error_code: 'TICKET_INVALID' } }

async function ticketOf(as: string, path = TICKET): Promise<string> {
  const { status, body } = await call('POST', path, { as })
  expect(status).toBe(200)
  return body.ticket
}

async function ticketBy(token: string): Promise<string> {
  return (await call('POST', TICKET, { headers: bearer(token) })).body.ticket
}

async function signUp() {
  const account = { email: `${newUser()}@example.com`, password: PASSWORD }
  const { body } = await call('POST', '/api/v1/auth/register', { body: account })
  const again = await call('POST', '/api/v1/auth/login', { body: account })
  return { first: body.access_token as string, second: again.body.access_token as string }
}

/** A token of another issuer. */
function sign(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(SECRET))
}

const seconds = () => Math.floor(Date.now() / 1000)
const streams = (answers: Answer[]) => answers.filter(({ status }) => status === 200)

describe('a ticket', () => {
  test.each([
    [TICKET, EVENTS],
    ['/api/me/tasks/events/ticket', '/api/me/tasks/events'],
    [TICKET, '/api/me/tasks/events'],
  ])('from %s opens a stream at %s without a token, once', async (path, events) => {
    const answer = await call('POST', path, { as: newUser() })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.body).toEqual({ ticket: expect.stringMatching(/^[\w-]{43}$/), expires_in: 60 })
    const opened = await call('GET', withTicket(answer.body.ticket, events))
    expect(opened.status).toBe(200)
    expect(opened.headers.get('content-type')).toBe('text/event-stream')
    expect(await call('GET', withTicket(answer.body.ticket, events))).toMatchObject(REFUSED)
  })

  test('is stored as a hash, and is gone once it is used', async () => {
    const ann = newUser()
    const ticket = await ticketOf(ann)
    const rows = () => sql<{ hash: Buffer; row: string }[]>`
      select ticket_hash as hash, to_jsonb(event_tickets)::text as row from event_tickets where user_id = ${ann}`
    const [stored] = await rows()
    expect(stored?.hash).toEqual(createHash('sha256').update(ticket).digest())
    expect(stored?.row).not.toContain(ticket)
    await call('GET', withTicket(ticket))
    expect(await rows()).toHaveLength(0)
  })

  test('of a hundred uses at once opens one stream, in two processes together', async () => {
    const ticket = await ticketOf(newUser())
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const request = new Request(`http://localhost${withTicket(ticket)}`)
        const response = await (n % 2 === 0 ? app : otherApp).handle(request)
        await response.body?.cancel()
        return response.status
      }),
    )
    expect(answers.toSorted()).toEqual([200, ...Array.from({ length: 99 }, () => 401)])
  })

  test('is good for any process on the same database', async () => {
    const ticket = await ticketOf(newUser())
    const response = await otherApp.handle(new Request(`http://localhost${withTicket(ticket)}`))
    expect(response.status).toBe(200)
    await response.body?.cancel()
  })

  test('begins where `since` says', async () => {
    const ann = newUser()
    const { cursor } = (await call('GET', `${TODOS}/changes`, { as: ann })).body
    await call('POST', TODOS, { as: ann, body: { title: 'missed' } })
    const url = `http://localhost${withTicket(await ticketOf(ann))}&since=${cursor}`
    const response = await app.handle(new Request(url))
    const reader = response.body?.pipeThrough(new TextDecoderStream() as never).getReader()
    let text = ''
    while (!text.includes('missed')) text += (await reader?.read())?.value
    await reader?.cancel()
  })

  test('is made for one who has never written, by many requests at once', async () => {
    const ann = newUser()
    const answers = await Promise.all(Array.from({ length: 20 }, () => call('POST', TICKET, { as: ann })))
    expect(streams(answers)).toHaveLength(20)
    expect(new Set(answers.map(({ body }) => body.ticket)).size).toBe(20)
    const [user] = await sql<{ revision: number }[]>`select revision from users where id = ${ann}`
    expect(user).toEqual({ revision: 0 })
  })

  test('is used up by HEAD as by GET', async () => {
    const ticket = await ticketOf(newUser())
    expect((await call('HEAD', withTicket(ticket))).status).toBe(200)
    expect(await call('GET', withTicket(ticket))).toMatchObject(REFUSED)
  })

  test('works with the slash at the end of a path', async () => {
    const { body } = await call('POST', `${TICKET}/`, { as: newUser() })
    expect((await call('GET', withTicket(body.ticket, `${EVENTS}/`))).status).toBe(200)
  })

  test('keeps what the token said, whatever it was', async () => {
    const ann = newUser()
    const claims = { sub: ann, iat: 1_700_000_000.25, exp: 1e300, sid: newUser() }
    const ticket = await ticketBy(await sign(claims))
    const [stored] = await sql<{ issued_at: number; token_expires_at: number; session_id: string }[]>`
      select issued_at, token_expires_at, session_id from event_tickets where user_id = ${ann}`
    expect(stored).toEqual({ issued_at: claims.iat, token_expires_at: claims.exp, session_id: claims.sid })
    expect((await call('GET', withTicket(ticket))).status).toBe(200)
  })
})

describe('no stream is opened by a ticket', () => {
  test.each(['', 'x', 'A'.repeat(43), 'A'.repeat(5000), '%00', "';--"])(
    'that is unknown: %p',
    async (ticket) => {
      const answer = await call('GET', withTicket(ticket))
      expect(answer).toMatchObject(REFUSED)
      expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    },
  )

  test('after its minute', async () => {
    const ann = newUser()
    const [ticket, other] = [await ticketOf(ann), await ticketOf(ann)]
    const age = (hash: Buffer, by: number) => sql`
      update event_tickets set expires_at = expires_at - make_interval(secs => ${by}) where ticket_hash = ${hash}`
    const hashOf = (text: string) => createHash('sha256').update(text).digest()
    await age(hashOf(ticket), 61)
    await age(hashOf(other), 30)
    expect(await call('GET', withTicket(ticket))).toMatchObject(REFUSED)
    expect((await call('GET', withTicket(other))).status).toBe(200)
  })

  test('after its token has expired, which is told by `expires_in`', async () => {
    const ann = newUser()
    // within the tolerance of 5 seconds
    const token = await sign({ sub: ann, exp: seconds() + 10 })
    const { body } = await call('POST', TICKET, { headers: bearer(token) })
    expect(body.expires_in).toBeWithin(13, 16)
    const [row] = await sql<{ left: number }[]>`
      select extract(epoch from expires_at - clock_timestamp())::double precision as left
      from event_tickets where user_id = ${ann}`
    expect(row?.left).toBeLessThanOrEqual(body.expires_in)
  })

  test('with another owner in the path, and the ticket is used up', async () => {
    const ticket = await ticketOf('ann')
    const mismatch = { status: 403, body: { error_code: 'OWNER_MISMATCH' } }
    expect(await call('GET', withTicket(ticket, '/api/bob/tasks/events'))).toMatchObject(mismatch)
    expect(await call('GET', withTicket(ticket))).toMatchObject(REFUSED)
    expect((await call('GET', withTicket(await ticketOf('ann'), '/api/ann/tasks/events'))).status).toBe(200)
    expect(await call('POST', '/api/bob/tasks/events/ticket', { as: 'ann' })).toMatchObject(mismatch)
  })

  test('of a deleted account, or a deleted user of another issuer', async () => {
    const { first } = await signUp()
    const foreign = await sign({ sub: newUser(), iat: seconds() - 60, exp: seconds() + 600 })
    for (const [token, body] of [[first, { password: PASSWORD }], [foreign]] as const) {
      const ticket = await ticketBy(token)
      expect((await call('DELETE', ME, { headers: bearer(token), body })).status).toBe(204)
      expect(await call('GET', withTicket(ticket))).toMatchObject(REFUSED)
      const answer = await call('POST', TICKET, { headers: bearer(token) })
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    }
  })

  test('that was made just as the user was deleted', async () => {
    const ann = newUser()
    const token = await sign({ sub: ann, iat: seconds() - 60, exp: seconds() + 600 })
    await call('DELETE', ME, { headers: bearer(token) })
    const ticket = 'B'.repeat(43)
    await sql`
      insert into event_tickets (ticket_hash, user_id, issued_at, token_expires_at, expires_at)
      values (sha256(${ticket}::bytea), ${ann}, ${seconds() - 60}, ${seconds() + 600}, now() + interval '1 minute')`
    expect(await call('GET', withTicket(ticket))).toMatchObject(REFUSED)
  })

  test('of a session that a new password has ended; that of the other session still does', async () => {
    const { first, second } = await signUp()
    const [ended, kept] = [await ticketBy(first), await ticketBy(second)]
    const change = { current_password: PASSWORD, new_password: `${PASSWORD}!` }
    const changed = await call('POST', `${ME}/password`, { headers: bearer(second), body: change })
    expect(changed.status).toBe(204)
    expect(await call('GET', withTicket(ended))).toMatchObject(REFUSED)
    expect((await call('GET', withTicket(kept))).status).toBe(200)
    const answer = await call('POST', TICKET, { headers: bearer(first) })
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
  })

  test('beside a token: that is 422, or the refusal of the token, and the ticket stays good', async () => {
    const ann = newUser()
    const ticket = await ticketOf(ann)
    const both = await call('GET', withTicket(ticket), { as: ann })
    expect(both).toMatchObject({ status: 422, body: { errors: [{ in: 'query', pointer: 'ticket' }] } })
    const headers = bearer('a.b.c')
    const bad = await call('GET', withTicket(ticket), { headers })
    expect(bad).toMatchObject({ status: 401, body: { error_code: 'TOKEN_INVALID' } })
    expect((await call('GET', withTicket(ticket))).status).toBe(200)
  })

  test('that is sent twice', async () => {
    const [one, two] = [await ticketOf('ann'), await ticketOf('ann')]
    expect((await call('GET', `${withTicket(one)}&ticket=${two}`)).status).toBe(422)
  })
})

test('a ticket is good for nothing but the stream', async () => {
  const ticket = await ticketOf('ann')
  const missing = { status: 401, body: { error_code: 'TOKEN_MISSING' } }
  const routes = [
    ['GET', TODOS],
    ['POST', TODOS],
    ['GET', `${TODOS}/changes`],
    ['GET', `${TODOS}/trash`],
    ['GET', `${TODOS}/1`],
    ['POST', TICKET],
    ['GET', ME],
    ['DELETE', ME],
    ['GET', '/api/ann/tasks'],
    ['GET', '/api/ann/tasks/changes'],
  ] as const
  for (const [method, path] of routes) {
    expect(await call(method, `${path}?ticket=${ticket}`), path).toMatchObject(missing)
  }
  const asToken = await call('GET', EVENTS, { headers: bearer(ticket) })
  expect(asToken).toMatchObject({ status: 401, body: { error_code: 'TOKEN_NOT_JWT' } })
  expect((await call('GET', withTicket(ticket))).status).toBe(200)
})

describe('a stream that a ticket has opened', () => {
  test('ends when the token expires that the ticket was made with', async () => {
    const ann = newUser()
    const ticket = await ticketBy(await sign({ sub: ann, exp: seconds() + 60 }))
    await sql`update event_tickets set token_expires_at = ${seconds()} where user_id = ${ann}`
    const response = await app.handle(new Request(`http://localhost${withTicket(ticket)}`))
    expect(response.status).toBe(200)
    expect(await response.text()).toMatch(/^(?::\n\n)+$/)
  })

  test('ends when the user is deleted', async () => {
    const ann = newUser()
    const token = await sign({ sub: ann, iat: seconds() - 60, exp: seconds() + 600 })
    const response = await app.handle(new Request(`http://localhost${withTicket(await ticketBy(token))}`))
    expect((await call('DELETE', ME, { headers: bearer(token) })).status).toBe(204)
    await response.text()
  })
})

describe('limits', () => {
  test('count a bad ticket for the address, and a good one for its user', async () => {
    const limited = await limitedApp({ RATE_LIMIT_PER_MINUTE: '5' })
    const bad = (address: string) => limited.from(address, 'GET', withTicket('A'.repeat(43)))
    expect(left(await bad('192.0.2.1'))).toEqual({ address: 4 })
    await times(4, () => bad('192.0.2.1'))
    expect((await bad('192.0.2.1')).body.error_code).toBe('RATE_LIMITED')
    const made = await limited.from('192.0.2.1', 'POST', TICKET, { as: 'ann' })
    expect(left(made)).toEqual({ user: 4 })
    expect(left(await limited.from('192.0.2.1', 'GET', withTicket(made.body.ticket)))).toEqual({ user: 3 })
    await times(3, () => limited.from('192.0.2.2', 'POST', TICKET, { as: 'ann' }))
    expect((await limited.from('192.0.2.2', 'POST', TICKET, { as: 'ann' })).status).toBe(429)
  })
})

describe('a ticket does not stand', () => {
  test('in the log, the metrics, a trace, or the answer; good, bad or beside a fault', async () => {
    const lines: string[] = []
    const log = createLog({ logLevel: 'trace', production: true }, linesTo(lines))
    const metrics = createMetrics()
    const shared = collector()
    const tracing = await tracingTo(shared.url)
    const watched = createApp({ settings, database: otherDatabase, log, metrics, tracing })
    const tickets = [await ticketOf('ann'), await ticketOf('ann'), 'C'.repeat(43), await ticketOf('ann')]
    const [good, wrong, bad, failing] = tickets as [string, string, string, string]
    const ask = async (path: string) => {
      const response = await watched.handle(new Request(`http://localhost${path}`))
      if (response.status === 200) await response.body?.cancel()
      return {
        status: response.status,
        headers: response.headers,
        text: response.ok ? '' : await response.text(),
      }
    }
    const answers = [
      await ask(withTicket(good)),
      await ask(`${withTicket(wrong)}&since=x`),
      await ask(withTicket(bad)),
    ]
    await sql`alter table event_tickets rename to gone`
    answers.push(await ask(withTicket(failing)))
    await sql`alter table gone rename to event_tickets`
    expect(answers.map(({ status }) => status)).toEqual([200, 422, 401, 500])
    await shared.until(4)
    await tracing.stop()
    const lineOfRequest = lines.filter((line) => line.includes('"msg":"request"'))
    expect(lineOfRequest.map((line) => JSON.parse(line).route)).toEqual(Array(4).fill(EVENTS))
    expect(lines.join('')).toContain('"reason":"ticket"')
    expect(lines.join('')).toContain('request failed')
    const told = [
      lines.join(''),
      await metrics.render(),
      JSON.stringify(shared.told()),
      ...answers.map(({ text, headers }) => text + JSON.stringify([...headers])),
    ]
    for (const text of told) for (const ticket of tickets) expect(text).not.toContain(ticket)
    for (const { headers } of answers) expect(headers.get('referrer-policy')).toBe('no-referrer')
  })
})

test('a page of an allowed origin may read the stream, and no other', async () => {
  const allow = async (origin: string) => {
    const url = `http://localhost${withTicket(await ticketOf('ann'))}`
    const response = await app.handle(new Request(url, { headers: { origin } }))
    await response.body?.cancel()
    return response.headers.get('access-control-allow-origin')
  }
  expect(await allow('http://localhost:3000')).toBe('http://localhost:3000')
  expect(await allow('https://evil.example')).toBeNull()
})

test('a user may have several tickets, and the use of one leaves the others', async () => {
  const ann = newUser()
  const tickets = await Promise.all(Array.from({ length: 5 }, () => ticketOf(ann)))
  for (const ticket of tickets) expect((await call('GET', withTicket(ticket))).status).toBe(200)
})
