/**
 * Small statements of one kind that wait at the same time are sent as one: under load, most of what each would cost is
 * the way to the database and back.
 */
import { within } from '../system/timer'
import { isUnavailable, Unanswered } from './errors'
import { type QueryContext, timeLeft } from './query-context'
import type { Sql } from './sql'

/** A statement for one item, and the same for many. */
export interface Batchable<Item, Answer> {
  /** @returns an answer for each item, in their order; undefined for an item that has to be asked for alone */
  forMany(sql: Sql, items: readonly Item[]): Promise<readonly (Answer | undefined)[]>
  forOne(sql: Sql, item: Item): Promise<Answer>
  /** Of items with the same key, a statement takes only one; left out, it takes all. */
  keyOf?(item: Item): string
}

/** Asks for one item, together with others that wait. @throws what the statement throws */
export type Batched<Item, Answer> = (context: QueryContext, item: Item) => Promise<Answer>

/** Two, so that the database works on one statement while the answers of the other are written here. */
const MAX_UNDER_WAY = 2
/** How many items a statement takes: with many more, all of them wait for one another. */
const MAX_ITEMS = 16
/** In milliseconds. A statement that takes longer waits for a lock or a dead connection: others go on without it. */
const SLOW_AFTER = 20

interface Call<Item, Answer> {
  item: Item
  context: QueryContext
  promise: Promise<Answer>
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** Sends a call at once if fewer than two statements are under way, and otherwise with the next one; no timer is used. */
export function createBatch<Item, Answer>(
  sqlFor: (context: QueryContext) => Sql,
  { forMany, forOne, keyOf }: Batchable<Item, Answer>,
): Batched<Item, Answer> {
  let waiting: Call<Item, Answer>[] = []
  let underWay = 0

  async function send(): Promise<void> {
    underWay++
    while (waiting.length > 0) {
      const calls = firstOf(waiting, keyOf)
      const [first] = calls
      if (!first) break
      const isTaken = new Set(calls)
      waiting = waiting.filter((call) => !isTaken.has(call))
      const asked = calls.length === 1 ? askAlone(first) : askTogether(calls)
      const isQuick = await within(
        SLOW_AFTER,
        asked.then(() => true),
        () => false,
      )
      if (!isQuick) rejectEarlier(calls)
    }
    underWay--
  }
  async function askTogether(calls: readonly Call<Item, Answer>[]): Promise<void> {
    try {
      const sql = sqlFor(contextOfAll(calls.map(({ context }) => context)))
      const items = calls.map(({ item }) => item)
      const answers = await forMany(sql, items)
      for (const [n, call] of calls.entries()) {
        const answer = answers[n]
        if (answer === undefined) void askAlone(call)
        else call.resolve(answer)
      }
    } catch (error) {
      // a refused statement has done nothing, and perhaps only one of the items is at fault
      if (isRefusal(error)) for (const call of calls) void askAlone(call)
      else for (const call of calls) call.reject(error)
    }
  }
  async function askAlone({ item, context, resolve, reject }: Call<Item, Answer>): Promise<void> {
    try {
      resolve(await forOne(sqlFor(context), item))
    } catch (error) {
      reject(error)
    }
  }

  return (context, item) => {
    const call = { item, context, ...Promise.withResolvers<Answer>() }
    waiting.push(call)
    if (underWay < MAX_UNDER_WAY) void send()
    return call.promise
  }
}

/** The calls that came first, one of each key. */
function firstOf<Item, Answer>(
  waiting: readonly Call<Item, Answer>[],
  keyOf: Batchable<Item, Answer>['keyOf'],
): Call<Item, Answer>[] {
  const found = new Map<unknown, Call<Item, Answer>>()
  for (const call of waiting) {
    if (found.size === MAX_ITEMS) break
    const key = keyOf?.(call.item) ?? call
    if (!found.has(key)) found.set(key, call)
  }
  return [...found.values()]
}

/**
 * Each request has its own deadline, though the statement waits until the latest of them. At that one the statement ends,
 * and its requests are told of it before they are answered.
 */
function rejectEarlier<Item, Answer>(calls: readonly Call<Item, Answer>[]): void {
  const latest = Math.max(...calls.map(({ context }) => context.deadline))
  for (const { promise, context, reject } of calls) {
    if (context.deadline === latest) continue
    const timer = setTimeout(() => reject(new Unanswered('DEADLINE')), timeLeft(context))
    promise.catch(() => {}).finally(() => clearTimeout(timer))
  }
}

/** Waits as long as the most patient request, and until the last client has gone. */
function contextOfAll(contexts: readonly QueryContext[]): QueryContext {
  let signal: AbortSignal | undefined
  return {
    deadline: Math.max(...contexts.map(({ deadline }) => deadline)),
    isSafe: contexts.every(({ isSafe }) => isSafe),
    // made only when it is asked for, because the signals of the requests are, too
    get signal() {
      signal ??= whenAllAbort(contexts.map((context) => context.signal))
      return signal
    },
    onStatement(statement) {
      for (const each of contexts) each.onStatement(statement)
    },
  }
}

function whenAllAbort(signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController()
  const check = () => signals.every(({ aborted }) => aborted) && controller.abort()
  for (const each of signals) each.addEventListener('abort', check, { once: true })
  check()
  return controller.signal
}

/** Whether the database has refused the statement itself, so that it may accept it for other items. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'PostgresError' && !isUnavailable(error)
}
