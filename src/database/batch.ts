/**
 * Small statements of one kind that wait at the same time are sent as one: under load, most of what each would cost is
 * the way to the database and back.
 */
import { fromDatabaseError, Unanswered } from './errors'
import { type QueryContext, timeLeft } from './query-context'
import type { Sql } from './sql'

/** What can be asked for one item or for many. */
export interface Batchable<Item, Answer> {
  /** @returns an answer for each item, in their order; undefined for an item that has to be asked for alone */
  forMany(sql: Sql, items: readonly Item[]): Promise<readonly (Answer | undefined)[]>
  forOne(sql: Sql, item: Item): Promise<Answer>
  /** Of items with the same key, a statement takes one; left out, it takes all. */
  keyOf?(item: Item): string
}

/** Asks for one item, together with others that wait. @throws what the statement throws */
export type Shared<Item, Answer> = (context: QueryContext, item: Item) => Promise<Answer>

/** The database works on one statement while the answers of the other are written here. */
const MOST_UNDER_WAY = 2
/** How many items a statement takes: with many more, all of them wait for one another. */
const MOST_ITEMS = 16
/** In milliseconds. A statement that takes longer waits for a lock or for a dead connection: others go on without it. */
const PATIENCE = 20

/** A call is sent at once if fewer than two statements are under way, and else joins the next one: no timer is waited for. */
export function share<Item, Answer>(
  sqlFor: (context: QueryContext) => Sql,
  { forMany, forOne, keyOf }: Batchable<Item, Answer>,
): Shared<Item, Answer> {
  interface Call {
    item: Item
    context: QueryContext
    promise: Promise<Answer>
    resolve(answer: Answer): void
    reject(error: unknown): void
  }
  let waiting: Call[] = []
  let underWay = 0

  async function send(): Promise<void> {
    underWay++
    while (waiting.length > 0) {
      const calls = take()
      const [first] = calls
      if (!first) break
      const isDone = await withPatience(calls.length === 1 ? askAlone(first) : ask(calls))
      if (!isDone) for (const call of calls) limit(call)
    }
    underWay--
  }
  /** Those that came first; the others stay. */
  function take(): Call[] {
    const taken = new Map<unknown, Call>()
    for (const call of waiting) {
      if (taken.size === MOST_ITEMS) break
      const key = keyOf?.(call.item) ?? call
      if (!taken.has(key)) taken.set(key, call)
    }
    const calls = [...taken.values()]
    const isTaken = new Set(calls)
    waiting = waiting.filter((call) => !isTaken.has(call))
    return calls
  }
  /** Each request has its own deadline, whatever the statement waits for. */
  function limit({ promise, context, reject }: Call): void {
    const timer = setTimeout(() => reject(new Unanswered('DEADLINE')), timeLeft(context))
    promise.catch(() => {}).finally(() => clearTimeout(timer))
  }
  async function ask(calls: readonly Call[]): Promise<void> {
    try {
      const sql = sqlFor(allOf(calls.map(({ context }) => context)))
      const items = calls.map(({ item }) => item)
      const answers = await forMany(sql, items)
      for (const [n, call] of calls.entries()) {
        const answer = answers[n]
        if (answer === undefined) void askAlone(call)
        else call.resolve(answer)
      }
    } catch (error) {
      // a statement that was refused has done nothing, and only one of the items need be at fault
      if (isRefusal(error)) for (const call of calls) void askAlone(call)
      else for (const call of calls) call.reject(error)
    }
  }
  async function askAlone({ item, context, resolve, reject }: Call): Promise<void> {
    try {
      resolve(await forOne(sqlFor(context), item))
    } catch (error) {
      reject(error)
    }
  }

  return (context, item) => {
    const call: Call = { item, context, ...Promise.withResolvers<Answer>() }
    waiting.push(call)
    if (underWay < MOST_UNDER_WAY) void send()
    return call.promise
  }
}

/** @returns whether it was answered in time */
async function withPatience(answered: Promise<void>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), PATIENCE)
  const isDone = await Promise.race([answered.then(() => true), promise])
  clearTimeout(timer)
  return isDone
}

/** Waits as long as the most patient of them, and until all of them have gone. */
function allOf(contexts: readonly QueryContext[]): QueryContext {
  let signal: AbortSignal | undefined
  return {
    deadline: Math.max(...contexts.map(({ deadline }) => deadline)),
    isSafe: contexts.every(({ isSafe }) => isSafe),
    // made when it is asked for, which is seldom: so are those of the requests
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

/** Whether the database has looked at the statement and said no. */
function isRefusal(error: unknown): boolean {
  const isItsOwn = error instanceof Error && error.name === 'PostgresError'
  return isItsOwn && fromDatabaseError(error) === undefined
}
