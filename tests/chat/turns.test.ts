/** What becomes of a conversation if messages come at once, clients leave, and processes, models and databases fail. */
import { afterAll, describe, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { openDatabase } from '../../src/database/database'
import { createLog } from '../../src/telemetry/log'
import { type Answer, linesTo, testApp, testSettings, toAnswer } from '../support/app'
import { startFaultProxy } from '../support/fault-proxy'
import { eventually } from '../support/faults'
import { call as callAt, openConnection, requestText, tokenOf } from '../support/http-connection'
import {
  chunk,
  hangs,
  held,
  refuses,
  type Scripted,
  says,
  startScriptedModel,
  streams,
  uses,
} from '../support/scripted-model'
import { endServers, startServer } from '../support/server-process'
import { turns } from '../support/time'

const model = startScriptedModel()
const { app, call, sql, url, database, logged } = await testApp(model.env)
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
const port = Number(app.server?.port)
afterAll(endServers)

const CHAT = '/api/v1/chat'
const newUser = () => crypto.randomUUID()
const outcome = ({ status, body }: Pick<Answer, 'status' | 'body'>) => [status, body?.error_code]
const BROKEN_OFF = 'I could not finish the answer.'
/** After a tool, the words say what was done; each user has tasks of their own numbers. */
const DONE_UNTIL_THEN = expect.stringMatching(
  /^I could not finish the answer\. Done until then: created task \d+\.$/,
)
const WITH_WORDS = expect.stringMatching(
  /^A moment\.\n\nI could not finish the answer\. Done until then: created task \d+\.$/,
)

interface Message {
  role: string
  content: string
  tool_calls: { tool: string; result: object }[]
}

const chat = (as: string, message: string, conversation_id?: number) =>
  call('POST', CHAT, { as, body: { message, ...(conversation_id && { conversation_id }) } })

/** A conversation with one answer. */
async function converse(as: string): Promise<number> {
  model.script(says('Hello'))
  return (await chat(as, 'Hi')).body.conversation_id
}

const messagesOf = async (as: string, id: number): Promise<Message[]> =>
  (await call('GET', `/api/v1/conversations/${id}/messages?limit=100`, { as })).body
const contentsOf = async (as: string, id: number) => (await messagesOf(as, id)).map(({ content }) => content)

/** The conversation of a user who has one. */
const onlyOne = async (as: string): Promise<number> =>
  (await call('GET', '/api/v1/conversations', { as })).body[0].id

const countOf = async (as: string) => (await sql`select from messages where user_id = ${as}`).length

/** Waits until nobody answers the user any more. */
async function untilEnded(as: string): Promise<void> {
  const open = () => sql`select from conversations where user_id = ${as} and lease is not null`
  await eventually(async () => (await open()).length, 0)
}

/** What the model was told before its answer, without the system's line. */
const told = (request: number) =>
  model.requests[request - 1]?.body.messages.slice(1).map(({ content }: Message) => content)

/** Another process on the same database, as far as it can be told. */
const another = (env: Record<string, string> = {}, at = database, lines: string[] = []) => {
  const log = createLog({ logLevel: 'trace', production: true }, linesTo(lines))
  const other = createApp({ settings: testSettings({ ...model.env, ...env }), database: at, log })
  return async (as: string, message: string, conversation_id?: number) => {
    const headers = { authorization: `Bearer ${await tokenOf(as)}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ message, conversation_id })
    const request = new Request(`http://localhost${CHAT}`, { method: 'POST', headers, body })
    return toAnswer(await other.handle(request))
  }
}

describe('two messages at once', () => {
  test.each<[string, () => typeof chat | ReturnType<typeof another>]>([
    ['in one process', () => chat],
    ['in two processes', () => another()],
  ])('in one conversation are answered one after the other, %s', async (_, make) => {
    const second = make()
    const as = newUser()
    const id = await converse(as)
    const first = held(says('first answer'))
    model.script(first.answer, says('second answer'))
    const answers = [chat(as, 'first', id)]
    await model.asked(1)
    answers.push(second(as, 'second', id))
    first.release()
    expect((await Promise.all(answers)).map(({ body }) => body.response)).toEqual([
      'first answer',
      'second answer',
    ])
    expect(told(2)).toEqual(['Hi', 'Hello', 'first', 'first answer', 'second'])
    expect(await contentsOf(as, id)).toEqual([
      'Hi',
      'Hello',
      'first',
      'first answer',
      'second',
      'second answer',
    ])
  })

  test('or ten, are all answered, and never two at a time', async () => {
    const as = newUser()
    const id = await converse(as)
    let atOnce = 0
    let most = 0
    const counted: Scripted = async (asked) => {
      most = Math.max(most, ++atOnce)
      await Bun.sleep(1)
      atOnce--
      return says(`answer to ${asked.body.messages.at(-1).content}`)(asked)
    }
    model.script(...Array(10).fill(counted))
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => chat(as, `${n}`, id)))
    expect(answers.map(({ body }) => body.response)).toEqual(
      Array.from({ length: 10 }, (_, n) => `answer to ${n}`),
    )
    expect(most).toBe(1)
    const contents = await contentsOf(as, id)
    for (let n = 2; n < 22; n += 2) expect(contents[n + 1]).toBe(`answer to ${contents[n]}`)
  })

  test('in two conversations are answered at once', async () => {
    const as = newUser()
    const slow = held(says('slow'))
    model.script(slow.answer, says('fast'))
    const waiting = chat(as, 'one')
    await model.asked(1)
    expect((await chat(as, 'two')).body.response).toBe('fast')
    slow.release()
    expect((await waiting).body.response).toBe('slow')
  })

  test('of which the first fails: the second is answered', async () => {
    const as = newUser()
    const id = await converse(as)
    const first = held(refuses(500))
    model.script(first.answer, says('Hello again'))
    const failing = chat(as, 'first', id)
    await model.asked(1)
    const waiting = chat(as, 'second', id)
    first.release()
    expect(outcome(await failing)).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    expect((await waiting).body.response).toBe('Hello again')
    expect(told(2)).toEqual(['Hi', 'Hello', 'second'])
  })

  test('of which the second waits for too long: it is refused, and not stored', async () => {
    const as = newUser()
    const id = await converse(as)
    await sql`
      update conversations set lease = gen_random_uuid(), leased_until = now() + interval '1 hour' where id = ${id}`
    const late = await another({ AI_TIMEOUT_MS: '300' })(as, 'Late', id)
    expect(outcome(late)).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    expect(late.body.conversation_id).toBe(id)
    expect(await countOf(as)).toBe(2)
  })

  test('of which the second waits for a conversation that is deleted meanwhile: it is not found', async () => {
    const as = newUser()
    const id = await converse(as)
    const first = held(says('Late'))
    model.script(first.answer)
    const answering = chat(as, 'first', id)
    await model.asked(1)
    const waiting = another()(as, 'second', id)
    await call('DELETE', `/api/v1/conversations/${id}`, { as })
    expect(outcome(await waiting)).toEqual([404, 'CONVERSATION_NOT_FOUND'])
    first.release()
    expect((await answering).status).toBe(200)
  })
})

describe('a process that has died', () => {
  test('leaves a conversation that goes on within seconds', async () => {
    const as = newUser()
    const id = await converse(as)
    await sql`
      update conversations set lease = gen_random_uuid(), leased_until = clock_timestamp() + interval '1 s' where id = ${id}`
    model.script(says('Hello again'))
    const { status, body } = await chat(as, 'And now?', id)
    expect([status, body.response]).toEqual([200, 'Hello again'])
  })

  test('in the middle of an answer loses no more than its words: the conversation tells what was done', async () => {
    const as = newUser()
    const server = await startServer({ ...model.env, DATABASE_URL: url })
    model.script(uses([['add_task', { title: 'Milk' }]], 'A moment.'), hangs)
    const lost = callAt(server.port, 'POST', CHAT, { as, body: { message: 'Add milk' } }).catch(() => 'lost')
    await model.asked(2)
    await server.end('SIGKILL')
    expect(await lost).toBe('lost')
    const [task] = (await call('GET', '/api/v1/todos', { as })).body
    const left = `A moment.\n\nI have not finished the answer. Done until then: created task ${task.id}.`
    expect(await messagesOf(as, await onlyOne(as))).toMatchObject([
      { content: 'Add milk' },
      { content: left, tool_calls: [{ tool: 'add_task', result: { task_id: task.id } }] },
    ])
    model.script(says('Here I am.'))
    const { body } = await chat(as, 'Are you there?', await onlyOne(as))
    expect(body.response).toBe('Here I am.')
    expect(told(1)).toEqual(['Add milk', left, 'Are you there?'])
  })

  test('only for a while, such as one that was stopped, stores its answer beside the other', async () => {
    const as = newUser()
    const id = await converse(as)
    const late = held(says('late answer'))
    const next = held(says('next answer'))
    model.script(late.answer, next.answer)
    const sleeping = chat(as, 'first', id)
    await model.asked(1)
    await sql`update conversations set lease = gen_random_uuid(), leased_until = now() where id = ${id}`
    const answering = another()(as, 'second', id)
    await model.asked(2)
    late.release()
    expect((await sleeping).body.response).toBe('late answer')
    // the other one still answers
    const [row] = await sql`select leased_until > now() as is_leased from conversations where id = ${id}`
    expect(row).toEqual({ is_leased: true } as never)
    next.release()
    expect((await answering).body.response).toBe('next answer')
    expect(await contentsOf(as, id)).toEqual(['Hi', 'Hello', 'first', 'second', 'late answer', 'next answer'])
    // each answer belongs to its message
    model.script(says('Both'))
    await chat(as, 'third', id)
    expect(told(1)).toEqual([...['Hi', 'Hello', 'first', 'late answer', 'second', 'next answer', 'third']])
  })
})

test('the lease of a conversation is extended as long as the model works', async () => {
  const as = newUser()
  const slow = held(says('Hello'))
  model.script(slow.answer)
  const answering = chat(as, 'Hi')
  await model.asked(1)
  const until = async () => {
    const [row] = await sql<{ leased_until: string }[]>`
      select leased_until from conversations where user_id = ${as}`
    return String(row?.leased_until)
  }
  const first = await until()
  await eventually(async () => (await until()) > first, true)
  slow.release()
  expect((await answering).status).toBe(200)
  const [row] = await sql`select lease, leased_until from conversations where user_id = ${as}`
  expect(row).toEqual({ lease: null, leased_until: null } as never)
})

describe('a model that takes too long', () => {
  const SHORT = { ...model.env, AI_TIMEOUT_MS: '2000' }

  test.each<[string, Scripted, string[]]>([
    ['before its first word', hangs, ['Hi']],
    [
      'after its first word',
      streams([chunk({ content: 'Half' })], { end: 'hang' }),
      ['Hi', `Half\n\n${BROKEN_OFF}`],
    ],
  ])('%s is left: 503', async (_, slow, stored) => {
    const hasty = await testApp(SHORT)
    const as = newUser()
    model.script(slow)
    const answer = await hasty.call('POST', CHAT, { as, body: { message: 'Hi' } })
    expect(outcome(answer)).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    await (await model.asked(1)).left
    const rows = await hasty.sql<{ content: string }[]>`
      select content from messages where user_id = ${as} order by id`
    expect(rows.map(({ content }) => content)).toEqual(stored)
    const line = hasty.logged.map((each) => JSON.parse(each)).find(({ msg }) => msg === 'chat')
    expect(line).toMatchObject({ level: 40, outcome: 'unavailable', reason: 'timeout' })
    const [row] = await hasty.sql`select lease from conversations where user_id = ${as}`
    expect(row).toEqual({ lease: null } as never)
  })

  test('after a tool is left, and the conversation tells what was done', async () => {
    const hasty = await testApp(SHORT)
    const as = newUser()
    model.script(uses([['add_task', { title: 'Milk' }]]), hangs)
    const answer = await hasty.call('POST', CHAT, { as, body: { message: 'Add milk' } })
    expect(outcome(answer)).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
    await (await model.asked(2)).left
    const rows = await hasty.sql<{ content: string; tool_calls: { tool: string }[] }[]>`
      select content, tool_calls from messages where user_id = ${as} and role = 'assistant'`
    expect(rows).toMatchObject([{ content: DONE_UNTIL_THEN, tool_calls: [{ tool: 'add_task' }] }])
  })
})

describe('the time for an answer', () => {
  test('holds for a tool, too: over a connection the client gets its 503', async () => {
    const hasty = await testApp({ ...model.env, AI_TIMEOUT_MS: '1000' })
    hasty.app.listen({ hostname: '127.0.0.1', port: 0 })
    afterAll(() => hasty.app.stop(true))
    const as = newUser()
    const holder = await hasty.sql.reserve()
    await holder`begin`
    await holder`lock table tasks`
    model.script(uses([['list_tasks', {}]]), hangs)
    const answer = await callAt(Number(hasty.app.server?.port), 'POST', CHAT, {
      as,
      body: { message: 'list' },
    })
    await holder`rollback`
    holder.release()
    expect(outcome(answer)).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
  })

  test('ends a stream that its client does not read', async () => {
    const hasty = await testApp({ ...model.env, AI_TIMEOUT_MS: '1000' })
    const as = newUser()
    model.script(streams([chunk({ content: 'Half' }), chunk({ content: ' more' })], { end: 'hang' }))
    const headers = {
      authorization: `Bearer ${await tokenOf(as)}`,
      'content-type': 'application/json',
      accept: 'text/event-stream',
    }
    const init = { method: 'POST', headers, body: '{"message":"Hi"}' }
    const { status, body } = await hasty.app.handle(new Request(`http://localhost${CHAT}`, init))
    expect(status).toBe(200)
    const lease = async () => {
      const [row] = await hasty.sql<{ lease: string | null }[]>`
        select lease from conversations where user_id = ${as}`
      return row?.lease
    }
    await eventually(lease, null)
    // what is read at last says so
    const text = await new Response(body).text()
    expect(text).toContain('"type":"error"')
    expect(text).toEndWith('data: [DONE]\n\n')
  })
})

test('a failure after a tool is 503, and the conversation tells what was done', async () => {
  const as = newUser()
  model.script(uses([['add_task', { title: 'Milk' }]], 'A moment.'), refuses(500))
  expect(outcome(await chat(as, 'Add milk'))).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
  const id = await onlyOne(as)
  expect(await messagesOf(as, id)).toMatchObject([
    { role: 'user', content: 'Add milk', tool_calls: [] },
    {
      role: 'assistant',
      content: WITH_WORDS,
      tool_calls: [{ tool: 'add_task', result: { status: 'created' } }],
    },
  ])
  model.script(says('Yes.'))
  await chat(as, 'Is it done?', id)
  expect(told(1)).toEqual(['Add milk', WITH_WORDS, 'Is it done?'])
})

describe('a client that leaves', () => {
  async function openChat(as: string, accept: string) {
    const connection = await openConnection(port)
    connection.write(
      await requestText('POST', CHAT, { as, headers: { accept }, body: { message: 'Add milk' } }),
    )
    return connection
  }

  test.each(['application/json', 'text/event-stream'])(
    'before the first word ends the question to the model: %s',
    async (accept) => {
      const as = newUser()
      model.script(hangs)
      const connection = await openChat(as, accept)
      const { left } = await model.asked(1)
      connection.destroy()
      await left
      const [{ id }] = (await call('GET', '/api/v1/conversations', { as })).body
      model.script(says('Hello'))
      expect((await chat(as, 'Hi', id)).body.response).toBe('Hello')
      expect(told(1)).toEqual(['Hi'])
    },
  )

  test.each(['application/json', 'text/event-stream'])(
    'after a tool ends the question, and the conversation tells what was done: %s',
    async (accept) => {
      const as = newUser()
      model.script(uses([['add_task', { title: 'Milk' }]]), hangs)
      const connection = await openChat(as, accept)
      const { left } = await model.asked(2)
      connection.destroy()
      await left
      await untilEnded(as)
      expect(await messagesOf(as, await onlyOne(as))).toMatchObject([
        { content: 'Add milk' },
        { content: DONE_UNTIL_THEN, tool_calls: [{ tool: 'add_task', result: { status: 'created' } }] },
      ])
    },
  )

  test('in the middle of the words of a stream ends the question, and what was said is stored', async () => {
    const as = newUser()
    model.script(streams([chunk({ content: 'Half' })], { end: 'hang' }))
    const connection = await openChat(as, 'text/event-stream')
    await connection.until(/"delta":"Half"/)
    connection.destroy()
    await (await model.asked(1)).left
    await untilEnded(as)
    expect(await contentsOf(as, await onlyOne(as))).toEqual(['Add milk', `Half\n\n${BROKEN_OFF}`])
    const lines = () =>
      logged.map((line) => JSON.parse(line)).filter(({ msg, user }) => msg === 'chat' && user === as)
    await eventually(async () => lines().length, 1)
    expect(lines()).toMatchObject([{ level: 30, outcome: 'left' }])
  })
})

test('a client that leaves while a tool runs: the tool ends, and the conversation tells of it', async () => {
  const as = newUser()
  model.script(uses([['add_task', { title: 'Milk' }]]), hangs)
  const holder = await sql.reserve()
  await holder`begin`
  await holder`lock table tasks`
  const connection = await openConnection(port)
  connection.write(await requestText('POST', CHAT, { as, body: { message: 'Add milk' } }))
  const waiting = () => sql`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  await eventually(async () => (await waiting()).length, 1)
  connection.destroy()
  await holder`commit`
  holder.release()
  await untilEnded(as)
  expect(await messagesOf(as, await onlyOne(as))).toMatchObject([
    { content: 'Add milk' },
    { content: DONE_UNTIL_THEN, tool_calls: [{ tool: 'add_task', result: { status: 'created' } }] },
  ])
})

test('a client that leaves while its message waits: the message is not stored', async () => {
  const as = newUser()
  const id = await converse(as)
  await sql`
    update conversations set lease = gen_random_uuid(), leased_until = now() + interval '1 hour' where id = ${id}`
  model.script(says('Hello'))
  const connection = await openConnection(port)
  const body = { message: 'Lost', conversation_id: id }
  connection.write(await requestText('POST', CHAT, { as, body }))
  await eventually(async () => app.server?.pendingRequests, 1)
  connection.destroy()
  await eventually(async () => app.server?.pendingRequests, 0)
  await sql`update conversations set lease = null, leased_until = null where id = ${id}`
  expect((await chat(as, 'Hi', id)).body.response).toBe('Hello')
  expect(await contentsOf(as, id)).toEqual(['Hi', 'Hello', 'Hi', 'Hello'])
})

test('a client that leaves while another message is answered lets the one behind it pass', async () => {
  const as = newUser()
  const id = await converse(as)
  const first = held(says('first answer'))
  model.script(first.answer, says('third answer'))
  const answering = chat(as, 'first', id)
  await model.asked(1)
  const leaving = new AbortController()
  const headers = { authorization: `Bearer ${await tokenOf(as)}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ message: 'second', conversation_id: id })
  const init = { method: 'POST', headers, body, signal: leaving.signal }
  const lost = app.handle(new Request(`http://localhost${CHAT}`, init))
  await turns()
  const waiting = chat(as, 'third', id)
  leaving.abort()
  expect((await lost).status).toBe(408)
  first.release()
  expect((await answering).body.response).toBe('first answer')
  expect((await waiting).body.response).toBe('third answer')
  expect(await contentsOf(as, id)).toEqual([
    ...['Hi', 'Hello', 'first', 'first answer', 'third', 'third answer'],
  ])
})

test('a stream that nobody begins to read ends, and leaves its conversation free', async () => {
  const as = newUser()
  model.script(streams([chunk({ content: 'Half' })], { end: 'hang' }))
  const headers = {
    authorization: `Bearer ${await tokenOf(as)}`,
    'content-type': 'application/json',
    accept: 'text/event-stream',
  }
  const init = { method: 'POST', headers, body: '{"message":"Hi"}' }
  const response = await app.handle(new Request(`http://localhost${CHAT}`, init))
  await response.body?.cancel()
  await (await model.asked(1)).left
  await untilEnded(as)
  expect(await contentsOf(as, await onlyOne(as))).toEqual(['Hi', `Half\n\n${BROKEN_OFF}`])
  const [row] = await sql`select lease from conversations where user_id = ${as}`
  expect(row).toEqual({ lease: null } as never)
})

test('clients that leave at any moment leave no conversation occupied', async () => {
  const users = Array.from({ length: 60 }, newUser)
  const piece = chunk({ content: 'word ' })
  const answer: Scripted = (asked) =>
    asked.body.messages.at(-1).role === 'tool'
      ? streams([piece, Bun.sleep(3), piece, Bun.sleep(3), piece], { end: 'hang' })(asked)
      : uses([['list_tasks', {}]])(asked)
  model.script(...Array(2 * users.length).fill(answer))
  await Promise.all(
    users.map(async (as, n) => {
      const connection = await openConnection(port)
      const accept = n % 3 === 0 ? 'application/json' : 'text/event-stream'
      connection.write(await requestText('POST', CHAT, { as, headers: { accept }, body: { message: 'Hi' } }))
      await Bun.sleep(n)
      connection.destroy()
    }),
  )
  await eventually(async () => app.server?.pendingRequests, 0)
  const occupied = () => sql`select from conversations where user_id = any(${users}) and lease is not null`
  await eventually(async () => (await occupied()).length, 0)
})

describe('a database', () => {
  test('with one connection answers others while the model works', async () => {
    const narrow = openDatabase({ url, poolSize: 1, requestTimeout: 10_000 })
    const log = createLog({ logLevel: 'silent', production: true })
    const own = createApp({ settings: testSettings(model.env), database: narrow, log })
    const ask = async (method: string, path: string, as: string, body?: object) => {
      const headers = { authorization: `Bearer ${await tokenOf(as)}`, 'content-type': 'application/json' }
      const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
      return toAnswer(await own.handle(new Request(`http://localhost${path}`, init)))
    }
    const slow = [held(says('one')), held(says('two')), held(says('three'))]
    model.script(...slow.map(({ answer }) => answer))
    const waiting = slow.map(() => ask('POST', CHAT, newUser(), { message: 'Hi' }))
    await model.asked(3)
    const as = newUser()
    expect((await ask('POST', '/api/v1/todos', as, { title: 'x' })).status).toBe(201)
    expect((await ask('GET', '/api/v1/todos', as)).body).toHaveLength(1)
    for (const { release } of slow) release()
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200])
    await narrow.end()
  })

  test.each([
    ['beginConversation', false],
    ['continueConversation', true],
    ['readHistory', true],
  ])('that is lost while a turn begins (%s) leaves the conversation free', async (statement, goesOn) => {
    const proxy = await startFaultProxy(() => Number(new URL(url).port))
    const broken = openDatabase({ url: proxy.url(url), poolSize: 2, requestTimeout: 10_000 })
    const say = another({}, broken)
    const as = newUser()
    const id = goesOn ? await converse(as) : undefined
    proxy.loseAnswers(statement, 1)
    model.script(says('Hello'))
    expect(outcome(await say(as, 'Lost', id))).toEqual([503, 'DATABASE_UNAVAILABLE'])
    expect(model.requests).toEqual([])
    expect(outcome(await say(as, 'Hi', id))).toEqual([200, undefined])
    expect(told(1).at(-1)).toBe('Hi')
    await broken.end()
    await proxy.close()
  })

  test('that is lost while a lease is extended loses no lease', async () => {
    const proxy = await startFaultProxy(() => Number(new URL(url).port))
    const broken = openDatabase({ url: proxy.url(url), poolSize: 2, requestTimeout: 10_000 })
    const as = newUser()
    const tries = proxy.count('extendLease')
    proxy.loseAnswers('extendLease', 1)
    const slow = held(says('Hello'))
    model.script(slow.answer)
    const answering = another({}, broken)(as, 'Hi')
    await model.asked(1)
    const isLeased = async () => {
      const [row] =
        await sql`select leased_until > clock_timestamp() as is_leased from conversations where user_id = ${as}`
      return row?.['is_leased']
    }
    await eventually(async () => tries(), 2)
    expect(await isLeased()).toBe(true)
    slow.release()
    expect((await answering).status).toBe(200)
    await broken.end()
    await proxy.close()
  })

  test('that is lost while an answer is stored has it in the end, and once', async () => {
    const proxy = await startFaultProxy(() => Number(new URL(url).port))
    const broken = openDatabase({ url: proxy.url(url), poolSize: 2, requestTimeout: 10_000 })
    const as = newUser()
    // the database has done it, and nobody was told
    // what was done is stored after the tool, too
    proxy.loseAnswers('storeAnswer', 3)
    model.script(uses([['add_task', { title: 'Milk' }]]), says('Done'))
    expect(outcome(await another({}, broken)(as, 'Add milk'))).toEqual([200, undefined])
    expect(await contentsOf(as, await onlyOne(as))).toEqual(['Add milk', 'Done'])
    await broken.end()
    await proxy.close()
  })

  test('that goes away in the middle costs no words: the model is told, and the user', async () => {
    const proxy = await startFaultProxy(() => Number(new URL(url).port))
    const broken = openDatabase({ url: proxy.url(url), poolSize: 2, requestTimeout: 1000 })
    const lines: string[] = []
    const say = another({ REQUEST_TIMEOUT_MS: '1000' }, broken, lines)
    const as = newUser()
    const tool = held(uses([['add_task', { title: 'never' }]]))
    model.script(tool.answer, says('I cannot reach your tasks.'))
    const answering = say(as, 'Add a task')
    await model.asked(1)
    await proxy.refuse()
    proxy.cut()
    tool.release()
    const answer = await answering
    expect(outcome(answer)).toEqual([200, undefined])
    expect(answer.body).toMatchObject({
      response: 'I cannot reach your tasks.',
      tool_calls: [{ result: { error: expect.stringMatching(/cannot be reached|do not answer/) } }],
    })
    expect(lines.map((line) => JSON.parse(line).msg)).toContain('answer could not be stored')
    const next = await say(as, 'And now?')
    expect(outcome(next)).toEqual([503, 'DATABASE_UNAVAILABLE'])
    await proxy.listen()
    await broken.end()
    await proxy.close()
    expect(await countOf(as)).toBe(1)
  })
})

test('a model may be silent for longer than requests and idle connections last', async () => {
  const server = await startServer({
    ...model.env,
    DATABASE_URL: url,
    REQUEST_TIMEOUT_MS: '1000',
    KEEP_ALIVE_SECONDS: '1',
  })
  // Bun looks for idle connections every four seconds
  model.script(streams([Bun.sleep(5000), chunk({ content: 'Hello' }, 'stop')]))
  const { status, body } = await callAt(server.port, 'POST', CHAT, { as: newUser(), body: { message: 'Hi' } })
  expect([status, body.response]).toEqual([200, 'Hello'])
  expect(await server.end('SIGTERM')).toBe(0)
})

describe('a server that is stopped', () => {
  test('finishes the answers that are under way', async () => {
    const as = newUser()
    const server = await startServer({ ...model.env, DATABASE_URL: url })
    const slow = held(says('Hello'))
    model.script(slow.answer)
    const answering = callAt(server.port, 'POST', CHAT, { as, body: { message: 'Hi' } })
    await model.asked(1)
    const ended = server.end('SIGTERM')
    await server.logged(/stopping/)
    slow.release()
    const { status, body } = await answering
    expect([status, body.response]).toEqual([200, 'Hello'])
    expect(await ended).toBe(0)
    expect(server.faults()).toEqual([])
    expect(await contentsOf(as, await onlyOne(as))).toEqual(['Hi', 'Hello'])
  })

  test('cuts an answer off after a while: the client is told, and the conversation tells what was done', async () => {
    const users = [newUser(), newUser()]
    const server = await startServer({ ...model.env, DATABASE_URL: url })
    const leaving = ['application/json', 'text/event-stream'].map(async (accept, n) => {
      const connection = await openConnection(server.port)
      const asking = { as: users[n] ?? '', headers: { accept }, body: { message: 'Add milk' } }
      connection.write(await requestText('POST', CHAT, asking))
      return connection.until(
        n === 0 ? /"error_code":"ASSISTANT_UNAVAILABLE"/ : /"type":"error"[\s\S]*\[DONE\]/,
      )
    })
    // both ask for a tool first
    const add = uses([['add_task', { title: 'Milk' }]])
    const answer: Scripted = (asked) => (asked.body.messages.length === 2 ? add(asked) : hangs(asked))
    model.script(answer, answer, answer, answer)
    await model.asked(4)
    expect(await server.end('SIGTERM')).toBe(0)
    await Promise.all(leaving)
    expect(server.faults()).toEqual([])
    for (const as of users) {
      expect(await messagesOf(as, await onlyOne(as))).toMatchObject([
        { content: 'Add milk' },
        { content: DONE_UNTIL_THEN, tool_calls: [{ tool: 'add_task', result: { status: 'created' } }] },
      ])
    }
  })
})
