import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import { openPool } from '../../src/database/pool'
import { startReminding } from '../../src/jobs/remind'
import { createLog } from '../../src/telemetry/log'
import { linesTo, testApp } from '../support/app'
import { createDue, createTask, dueIn, pass } from '../support/reminders'

const { sql, url, call } = await testApp()

let logged: string[]
const log = () => createLog({ logLevel: 'trace', production: true }, linesTo(logged))
beforeEach(() => {
  logged = []
})
afterEach(() => {
  jest.useRealTimers()
})

/** The pool has one connection, so every earlier statement is done when this one is answered. */
const one = openPool({ url, poolSize: 1 })
const settle = async () => {
  for (const _ of [1, 2, 3, 4]) await one`select`
}

async function toldOf(id = 0): Promise<number> {
  return (await sql`select from told_reminders where task_id = ${id}`).length
}

test('reminders are told five seconds after the start, then every five seconds, until a stop', async () => {
  const ids = [await createDue(call, sql, 'ann')]
  for (const _ of [1, 2]) ids.push(await createTask(call, 'ann', { ...dueIn(60), reminders: [30] }))
  // one after the other: with a fake clock, no connection can be made
  const told = async () => [await toldOf(ids[0]), await toldOf(ids[1]), await toldOf(ids[2])]
  await settle()
  jest.useFakeTimers()
  const stop = startReminding(one, log())
  const after = async (milliseconds: number) => {
    jest.advanceTimersByTime(milliseconds)
    await settle()
    return told()
  }
  expect(await after(4999)).toEqual([0, 0, 0])
  expect(await after(1)).toEqual([1, 0, 0])
  await pass(sql, Number(ids[1]), 31)
  expect(await after(4999)).toEqual([1, 0, 0])
  expect(await after(1)).toEqual([1, 1, 0])
  stop()
  await pass(sql, Number(ids[2]), 31)
  expect(await after(60_000)).toEqual([1, 1, 0])
  expect(logged).toEqual([])
})

test('an outage is logged at its beginning and its end, and nothing is lost', async () => {
  const id = await createDue(call, sql, 'ben')
  const stop = startReminding(sql, log(), { firstAfter: 0, interval: 1 })
  await sql`alter table told_reminders rename to away`
  while (logged.length === 0) await Bun.sleep(1)
  await sql`alter table away rename to told_reminders`
  while ((await toldOf(id)) === 0) await Bun.sleep(1)
  while (logged.length === 1) await Bun.sleep(1)
  stop()
  expect(logged.map((line) => JSON.parse(line))).toMatchObject([
    { level: 40, err: { code: '42P01' }, msg: expect.stringContaining('cannot be told') },
    { level: 30, msg: 'reminders can be told again' },
  ])
})

test('after a stop a failure is not logged', async () => {
  const gone = openPool({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 })
  const { promise: started, resolve } = Promise.withResolvers<void>()
  const stop = startReminding(
    (...statement) => {
      resolve()
      return gone(...statement)
    },
    log(),
    { firstAfter: 0 },
  )
  await started
  stop()
  await gone`select`.catch(() => {})
  expect(logged).toEqual([])
  await gone.end()
})
