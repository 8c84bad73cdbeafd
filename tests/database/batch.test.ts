import { expect, test } from 'bun:test'
import { type Batchable, createBatch } from '../../src/database/batch'
import { Unanswered } from '../../src/database/errors'
import type { QueryContext } from '../../src/database/query-context'
import type { Sql } from '../../src/database/sql'
import { codeOf } from '../../src/system/errors'
import { contextFor, failureOf } from '../support/close-up'

/** Runs nothing; it has the context that it was made for. */
function sqlRecorder() {
  const contexts: QueryContext[] = []
  const sqlFor = (context: QueryContext): Sql => {
    contexts.push(context)
    return () => expect.unreachable()
  }
  return { contexts, sqlFor }
}

/** A statement that is under way until it is released. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, release: resolve }
}

/** Doubles numbers; the first two statements wait for the gate, and what was asked for is written down. */
function doubling(more: Partial<Batchable<number, number>> = {}) {
  const asked: (number | number[])[] = []
  const { passed, release } = gate()
  const batchable: Batchable<number, number> = {
    async forMany(sql, items) {
      asked.push([...items])
      return more.forMany?.(sql, items) ?? items.map((each) => each * 2)
    },
    async forOne(sql, item) {
      asked.push(item)
      if (asked.length <= 2) await passed
      return more.forOne?.(sql, item) ?? item * 2
    },
  }
  return { batchable, asked, release }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

test('what comes while a statement is under way is asked for together, in order', async () => {
  const { batchable, asked, release } = doubling()
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const answers = Promise.all(numbers(1, 5).map((n) => ask(contextFor().context, n)))
  expect(asked).toEqual([1, 2])
  release()
  expect(await answers).toEqual([2, 4, 6, 8, 10])
  expect(asked).toEqual([1, 2, [3, 4, 5]])
  expect(await ask(contextFor().context, 6)).toBe(12)
  expect(asked).toEqual([1, 2, [3, 4, 5], 6])
})

test('a statement takes sixteen of them', async () => {
  const { batchable, asked, release } = doubling()
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const answers = Promise.all(numbers(1, 35).map((n) => ask(contextFor().context, n)))
  release()
  expect(await answers).toEqual(numbers(1, 35).map((n) => n * 2))
  expect(asked).toEqual([1, 2, numbers(3, 18), numbers(19, 34), 35])
})

test('of items with one key, a statement takes one; the others are next', async () => {
  const { batchable, asked, release } = doubling()
  const ask = createBatch(sqlRecorder().sqlFor, { ...batchable, keyOf: (item) => String(item % 10) })
  const items = [1, 2, 3, 13, 4, 23, 14]
  const answers = Promise.all(items.map((n) => ask(contextFor().context, n)))
  release()
  expect(await answers).toEqual(items.map((n) => n * 2))
  expect(asked).toEqual([1, 2, [3, 4], [13, 14], 23])
})

test('one without an answer is asked for alone', async () => {
  const { batchable, asked, release } = doubling({
    forMany: async (_, items) => items.map((each) => (each === 4 ? undefined : each * 2)),
  })
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const answers = Promise.all(numbers(1, 5).map((n) => ask(contextFor().context, n)))
  release()
  expect(await answers).toEqual([2, 4, 6, 8, 10])
  expect(asked).toEqual([1, 2, [3, 4, 5], 4])
})

/** As the driver gives it for a constraint. */
function refusal(): Error {
  return Object.assign(new Error('refused'), { name: 'PostgresError', code: '23514' })
}

test('if the database refuses them, each is asked for alone, and the one at fault fails', async () => {
  const refuse = refusal()
  const { batchable, asked, release } = doubling({
    forMany: () => Promise.reject(refusal()),
    forOne: async (_, item) => (item === 4 ? Promise.reject(refuse) : item * 2),
  })
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const answers = Promise.allSettled(numbers(1, 5).map((n) => ask(contextFor().context, n)))
  release()
  expect(await answers).toEqual([
    { status: 'fulfilled', value: 2 },
    { status: 'fulfilled', value: 4 },
    { status: 'fulfilled', value: 6 },
    { status: 'rejected', reason: refuse },
    { status: 'fulfilled', value: 10 },
  ])
  expect(asked).toEqual([1, 2, [3, 4, 5], 3, 4, 5])
})

const lost = Object.assign(new Error('lost'), { code: 'CONNECTION_CLOSED' })
const shutdown = Object.assign(new Error('terminated'), { name: 'PostgresError', code: '57P01' })
test.each([
  ['a lost connection', lost],
  ['a server that stops', shutdown],
  ['a deadline', new Unanswered('DEADLINE')],
])('after %s none is asked for again: it may have been done', async (_, error) => {
  const { batchable, asked, release } = doubling({ forMany: () => Promise.reject(error) })
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const answers = numbers(1, 4).map((n) => failureOf(ask(contextFor().context, n)))
  release()
  expect(await Promise.all(answers)).toEqual(['nothing', 'nothing', error, error])
  expect(asked).toEqual([1, 2, [3, 4]])
})

test('statements that hang hold up none that comes later', async () => {
  const { batchable, asked, release } = doubling()
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const hanging = Promise.all([1, 2].map((n) => ask(contextFor().context, n)))
  expect(await Promise.all([3, 4].map((n) => ask(contextFor().context, n)))).toEqual([6, 8])
  expect(asked).toEqual([1, 2, [3, 4]])
  release()
  expect(await hanging).toEqual([2, 4])
})

test('a request has its own deadline, though others wait longer', async () => {
  const { batchable, release } = doubling({ forMany: () => new Promise(() => {}) })
  const ask = createBatch(sqlRecorder().sqlFor, batchable)
  const first = [1, 2].map((n) => ask(contextFor().context, n))
  const hurried = failureOf(ask(contextFor(30).context, 3))
  const patient = ask(contextFor().context, 4)
  release()
  await Promise.all(first)
  expect(codeOf(await hurried)).toBe('DEADLINE')
  expect(await Promise.race([patient, Promise.resolve('waits')])).toBe('waits')
})

test('a statement is given up when all who waited for it have gone, and not before', async () => {
  const { batchable, release } = doubling()
  const { contexts, sqlFor } = sqlRecorder()
  const ask = createBatch(sqlFor, batchable)
  const clients = [1, 2, 3, 4].map(() => new AbortController())
  const answers = Promise.all(clients.map(({ signal }, n) => ask(contextFor(0, { signal }).context, n)))
  release()
  await answers
  const together = contexts[2]?.signal
  expect(together?.aborted).toBe(false)
  clients[2]?.abort()
  expect(together?.aborted).toBe(false)
  clients[3]?.abort()
  expect(together?.aborted).toBe(true)
})

test('one statement waits as long as the most patient, is repeated only if each may be, and all are told of it', async () => {
  const { batchable, release } = doubling()
  const { contexts, sqlFor } = sqlRecorder()
  const ask = createBatch(sqlFor, batchable)
  const calls = [{}, {}, { isSafe: true, deadline: 7 }, { isSafe: false, deadline: 9 }].map((more) =>
    contextFor(0, more),
  )
  const answers = Promise.all(calls.map(({ context }, n) => ask(context, n)))
  release()
  await answers
  const [alone, , together] = contexts
  expect(alone).toBe(calls[0]?.context ?? expect.unreachable())
  expect(together).toMatchObject({ deadline: 9, isSafe: false, signal: { aborted: false } })
  const statement = { name: 'x', startedAt: 0, ms: 1, failed: false }
  together?.onStatement(statement)
  expect(calls.map(({ seen }) => seen)).toEqual([[], [], [statement], [statement]])
})
