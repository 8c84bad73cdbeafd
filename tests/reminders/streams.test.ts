import { afterAll, expect, test } from 'bun:test'
import { createApp } from '../../src/app'
import { signAccessToken } from '../../src/auth/token'
import { tellDueReminders } from '../../src/reminders/tell'
import { createLive } from '../../src/sync/live'
import { createLog } from '../../src/telemetry/log'
import { testApp } from '../support/app'
import { createDue, createTask, dueIn, pass } from '../support/reminders'

const { sql, database, call, settings } = await testApp()
const log = createLog({ logLevel: 'silent', production: true })

/** Two processes on one database; what tells is a third one. */
const origins = [1, 2].map(() => {
  const app = createApp({ settings, database, log, live: createLive(database.sql, log, { pollInterval: 5 }) })
  app.listen({ hostname: '127.0.0.1', port: 0 })
  afterAll(() => app.stop(true))
  return String(app.server?.url.origin)
})
const [origin = '', other = ''] = origins

const newUser = () => crypto.randomUUID()

async function follow(as: string, at = origin) {
  const headers = { authorization: `Bearer ${await signAccessToken(as, settings)}` }
  const { body } = await fetch(`${at}/api/v1/todos/events`, { headers })
  const reader = (body ?? expect.unreachable())
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader()
  let text = ''
  return {
    /** @returns all that was sent, without beats, once it has this */
    async until(part: string): Promise<string> {
      while (!text.includes(part)) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`the stream has ended after ${text}`)
        text += value
      }
      return text.replaceAll(':\n\n', '')
    },
    leave: () => reader.cancel(),
  }
}

async function tellAll(): Promise<void> {
  while (await tellDueReminders(sql));
}

async function eventOf(as: string, id: number, minutes = 30): Promise<string> {
  const { due_at } = (await call('GET', `/api/v1/todos/${id}`, { as })).body
  return `event: reminder\ndata: {"task_id":${id},"due_at":"${due_at}","minutes":${minutes}}\n\n`
}

test('a reminder reaches each stream of its user once, at every process, and none of others', async () => {
  const [ann, bob] = [newUser(), newUser()]
  const task = await createTask(call, ann, { ...dueIn(60), reminders: [30, 10] })
  const ofBob = await createTask(call, bob, { ...dueIn(60), reminders: [30] })
  const [one, two, bobs] = [await follow(ann), await follow(ann, other), await follow(bob)]
  for (const id of [task, ofBob]) await pass(sql, id, 31)
  await tellAll()
  const first = await eventOf(ann, task)
  for (const stream of [one, two]) expect(await stream.until('}\n\n')).toBe(first)
  await pass(sql, task, 20)
  await tellAll()
  const second = await eventOf(ann, task, 10)
  for (const stream of [one, two]) expect(await stream.until('"minutes":10}\n\n')).toBe(first + second)
  expect(await bobs.until('}\n\n')).toBe(await eventOf(bob, ofBob))
  await Promise.all([one, two, bobs].map((stream) => stream.leave()))
})

test('a stream that begins later does not get it, and its cursor stays at the last change', async () => {
  const ann = newUser()
  await createDue(call, sql, ann)
  await tellAll()
  const id = await createDue(call, sql, ann)
  const stream = await follow(ann)
  await tellAll()
  const reminder = await eventOf(ann, id)
  expect(await stream.until('}\n\n')).toBe(reminder)
  await call('PATCH', `/api/v1/todos/${id}`, { as: ann, body: { title: 'y' } })
  const [, change] = (await stream.until('id: ')).split(reminder)
  expect(change).toStartWith('id: ')
  await stream.leave()
})

test('several that fall due at once come in their order', async () => {
  const ann = newUser()
  const id = await createTask(call, ann, { ...dueIn(60), reminders: [10, 30, 20] })
  const stream = await follow(ann)
  await pass(sql, id, 51)
  await tellAll()
  const events = await Promise.all([30, 20, 10].map((minutes) => eventOf(ann, id, minutes)))
  expect(await stream.until('"minutes":10}\n\n')).toBe(events.join(''))
  await stream.leave()
})

test('a reminder that others see late is not missed', async () => {
  const ann = newUser()
  const [one, two] = [
    await createDue(call, sql, ann),
    await createTask(call, ann, { ...dueIn(60), reminders: [30] }),
  ]
  const stream = await follow(ann)
  const holder = await sql.reserve()
  await holder`begin`
  await tellDueReminders(holder)
  await pass(sql, two, 31)
  // it would be told by now, but for the one that nobody sees yet
  await tellAll()
  await holder`commit`
  holder.release()
  await tellAll()
  const both = [await eventOf(ann, one), await eventOf(ann, two)].join('')
  expect(await stream.until(`"task_id":${two}`).then(() => stream.until('}\n\n'))).toBe(both)
  await stream.leave()
})
