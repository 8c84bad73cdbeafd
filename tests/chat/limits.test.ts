/** How much a message may take: of the model, of the tools, of the database. */
import { expect, test } from 'bun:test'
import { testApp } from '../support/app'
import {
  chunk,
  DONE,
  held,
  json,
  refuses,
  says,
  startScriptedModel,
  streams,
  type ToolUse,
  uses,
} from '../support/scripted-model'

const model = startScriptedModel()
const { call } = await testApp(model.env)
const CHAT = '/api/v1/chat'
const newUser = () => crypto.randomUUID()
const chat = (as: string, message: string, more: object = {}) =>
  call('POST', CHAT, { as, body: { message, ...more } })

/** Tasks whose text is as long as it may be. */
async function makeLongTasks(as: string, count: number): Promise<void> {
  const body = { title: '長'.repeat(200), description: '長'.repeat(1000) }
  for (let number = 0; number < count; number++) {
    expect((await call('POST', '/api/v1/todos', { as, body })).status).toBe(201)
  }
}

test('a result that is too long is kept from the model, which is told to ask for less', async () => {
  const as = newUser()
  await makeLongTasks(as, 50)
  model.script(uses([['list_tasks', {}]]), uses([['list_tasks', { limit: 10 }]]), says('Done'))
  const { body } = await chat(as, 'list')
  expect(body.tool_calls.map(({ result }: { result: object }) => Object.keys(result))).toEqual([
    ['error'],
    ['tasks', 'next_cursor'],
  ])
  expect(body.tool_calls[0].result.error).toContain('ask for less')
})

test('all results of a message together are limited, and what is written is told all the same', async () => {
  const as = newUser()
  await makeLongTasks(as, 20)
  const list = () => uses([['list_tasks', { limit: 20 }]])
  model.script(
    list(),
    list(),
    list(),
    list(),
    list(),
    list(),
    uses([['add_task', { title: 'Milk' }]]),
    says('Done'),
  )
  const { body } = await chat(as, 'list')
  const results = body.tool_calls.map(({ result }: { result: object }) => Object.keys(result)[0])
  expect(results).toContain('error')
  expect(results.slice(0, 4)).toEqual(Array(4).fill('tasks'))
  expect(body.tool_calls.at(-1).result).toMatchObject({ status: 'created', title: 'Milk' })
  expect(JSON.stringify(body).length).toBeLessThan(200_000)
})

test('arguments that are too long are not read', async () => {
  model.script(uses([['add_task', { title: 'x'.repeat(40_000) }]]), says('Sorry'))
  const { body } = await chat(newUser(), 'add')
  expect(body.tool_calls).toEqual([
    {
      tool: 'add_task',
      arguments: {},
      result: { error: 'The arguments must be a JSON object of at most 32000 characters.' },
    },
  ])
})

test.each([
  ['in words', says('x '.repeat(50_001))],
  ['in words, which never end', streams([chunk({ content: 'x '.repeat(50_001) })], { end: 'hang' })],
  ['at once', json({ choices: [{ message: { content: 'x '.repeat(50_001) } }] })],
])('an answer of more than 100,000 characters is cut off: %s', async (_, answer) => {
  model.script(answer)
  const { status, body } = await chat(newUser(), 'hello')
  expect(status).toBe(200)
  expect(body.response).toBe(`${'x '.repeat(50_000)}\n\nThe answer was cut off, because it was too long.`)
})

test('an answer is not cut off in the middle of a character', async () => {
  model.script(says(`x${'🦊'.repeat(50_000)}`))
  const { body } = await chat(newUser(), 'hello')
  expect(body.response).toStartWith(`x${'🦊'.repeat(49_999)}\n\n`)
})

test('of a hundred tools and more the first 25 are run, and the answer says so', async () => {
  model.script(uses(Array.from({ length: 200 }, (_, n) => ['add_task', { title: `${n}` }])))
  const as = newUser()
  const { status, body } = await chat(as, 'hello')
  expect([status, body.response]).toEqual([200, 'I have stopped here, because this took too many tools.'])
  expect((await call('GET', '/api/v1/todos?limit=100', { as })).body).toHaveLength(25)
})

test('a tool has a name of 64 characters at most', async () => {
  model.script(uses([['x'.repeat(100_000), {}]]), says('Sorry'))
  const { body } = await chat(newUser(), 'hello')
  expect(body.tool_calls).toEqual([
    { tool: 'x'.repeat(64), arguments: {}, result: { error: 'There is no such tool.' } },
  ])
})

test('200 questions are asked at once, and the others wait', async () => {
  const users = Array.from({ length: 210 }, newUser)
  const answers = users.map(() => held(says('Hello')))
  model.script(...answers.map(({ answer }) => answer))
  const asked = users.map((as) => chat(as, 'Hi'))
  await model.asked(200)
  // a request of another kind is not held up
  const keys = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('keys') })
  expect(await (await fetch(keys.url)).text()).toBe('keys')
  await keys.stop(true)
  expect(model.requests).toHaveLength(200)
  for (const { release } of answers) release()
  const statuses = (await Promise.all(asked)).map(({ status }) => status)
  expect(statuses).toEqual(Array(210).fill(200))
})

test('a problem names the conversation that has the message, and the next message goes on there', async () => {
  const as = newUser()
  model.script(uses([['add_task', { title: 'Milk' }]]), refuses(500))
  const { status, body } = await chat(as, 'add milk')
  expect([status, body.error_code]).toEqual([503, 'ASSISTANT_UNAVAILABLE'])
  model.script(says('It is there already'))
  const next = await chat(as, 'add milk', { conversation_id: body.conversation_id })
  expect(next.body.conversation_id).toBe(body.conversation_id)
  const told = model.requests[0]?.body.messages.map(({ content }: { content: string }) => content)
  expect(told.slice(1)).toEqual([
    'add milk',
    expect.stringContaining('Done until then: created task'),
    'add milk',
  ])
})

test('messages of one conversation are answered in the order in which they came', async () => {
  const as = newUser()
  model.script(says('Hello'))
  const { conversation_id } = (await chat(as, 'Hi')).body
  const first = held(says('answer 0'))
  model.script(first.answer, ...[1, 2, 3, 4].map((number) => says(`answer ${number}`)))
  const answers: Promise<{ body: { response: string } }>[] = []
  for (const number of [0, 1, 2, 3, 4]) answers.push(chat(as, `message ${number}`, { conversation_id }))
  await model.asked(1)
  first.release()
  expect((await Promise.all(answers)).map(({ body }) => body.response)).toEqual([
    'answer 0',
    'answer 1',
    'answer 2',
    'answer 3',
    'answer 4',
  ])
  const { body } = await call('GET', `/api/v1/conversations/${conversation_id}/messages`, { as })
  expect(body.map(({ content }: { content: string }) => content).slice(2)).toEqual(
    [0, 1, 2, 3, 4].flatMap((number) => [`message ${number}`, `answer ${number}`]),
  )
})

test('messages without an answer, however many, do not make the model forget', async () => {
  const as = newUser()
  model.script(says('I will remember'))
  const { conversation_id } = (await chat(as, 'The word is teapot')).body
  for (let number = 0; number < 90; number++) {
    model.script(refuses(400))
    await chat(as, `lost ${number}`, { conversation_id })
  }
  model.script(says('teapot'))
  await chat(as, 'What is the word?', { conversation_id })
  const told = model.requests[0]?.body.messages.map(({ content }: { content: string }) => content)
  expect(told.slice(1)).toEqual(['The word is teapot', 'I will remember', 'What is the word?'])
})

test('the model is told what time it is for the user', async () => {
  const said = async (more: object) => {
    model.script(says('Hello'))
    expect((await chat(newUser(), 'Hi', more)).status).toBe(200)
    return String(model.requests[0]?.body.messages[0].content)
  }
  expect(await said({ time_zone: 'Asia/Kathmandu' })).toMatch(
    /\d{4}-\d\d-\d\dT\d\d:\d\d\+05:45\[Asia\/Kathmandu\]/,
  )
  expect(await said({})).toMatch(/\+00:00\[UTC\]/)
  const { status, body } = await chat(newUser(), 'Hi', { time_zone: 'Mars/Olympus' })
  expect([status, body.errors[0].pointer]).toEqual([422, '/time_zone'])
})

test('a model that says nothing after a tool is spoken for', async () => {
  const nothing = streams([chunk({}, 'stop'), DONE])
  model.script(uses([['add_task', { title: 'Milk' }]]), nothing)
  expect((await chat(newUser(), 'add milk')).body.response).toBe('Done.')
  model.script(uses([['complete_task', { task_id: 1 }]]), nothing)
  expect((await chat(newUser(), 'complete it')).body.response).toBe('That did not work.')
  const both: ToolUse[] = [
    ['complete_task', { task_id: 1 }],
    ['add_task', { title: 'Milk' }],
  ]
  model.script(uses(both), nothing)
  expect((await chat(newUser(), 'complete and add')).body.response).toBe(
    'Some of that is done, and some did not work.',
  )
})
