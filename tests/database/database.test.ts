import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import { dirname, resolve } from 'node:path'
import ts from 'typescript'
import { isUnavailable, Unanswered } from '../../src/database/errors'
import type { Sql } from '../../src/database/sql'
import { codeOf } from '../../src/system/errors'
import {
  answered,
  contextFor,
  failureOf,
  LONG,
  pidOf,
  setCloseUp,
  timed,
  waitForLock,
  write,
} from '../support/close-up'

const { url, proxy, open, lock, untilWaiting, writtenRows } = await setCloseUp()

describe('a name', () => {
  const nameless: [string, (sql: Sql) => Promise<unknown>][] = [
    ['without any comment', (sql) => sql`select 1`],
    ['that has its comment at the end', (sql) => sql`select 1 -- late`],
    [
      'that has a sentence for a name',
      (sql) => sql`
      -- two words
      select 1`,
    ],
    ['that is nothing but a name', (sql) => sql`-- name`],
  ]
  test.each(nameless)('is demanded of a statement %s', async (_, run) => {
    const { sql, running } = open()
    expect(await failureOf(run(sql))).toMatchObject({ message: expect.stringContaining('name') })
    expect(running()).toBe(0)
  })

  test('is what the database knows a statement by', async () => {
    await lock()
    void failureOf(waitForLock(open().sqlFor(contextFor(500).context)))
    expect(await untilWaiting('waitForLock', 1)).toHaveLength(1)
    await untilWaiting('waitForLock', 0)
  })

  test('of each statement in src is that of its function, and of no other', () => {
    const named = [...new Bun.Glob('**/*.ts').scanSync('src')].sort().flatMap(statementsIn)
    expect(named.length).toBeGreaterThan(30)
    for (const { written, enclosing } of named) expect(written).toBe(enclosing)
    const names = named.map(({ written }) => written)
    expect(names).toEqual([...new Set(names)])
  })
})

/** Statements of the service; the migrations and the probe have the driver's own connection. */
function statementsIn(path: string): { written: string | undefined; enclosing: string | undefined }[] {
  if (dirname(path) === 'database') return []
  const file = resolve('src', path)
  const source = ts.createSourceFile(file, ts.sys.readFile(file) ?? '', ts.ScriptTarget.Latest, true)
  const found: ReturnType<typeof statementsIn> = []
  const visit = (node: ts.Node, enclosing?: string) => {
    const name = nameOfNode(node) ?? enclosing
    if (ts.isTaggedTemplateExpression(node) && /(^|\.)sql$/.test(node.tag.getText())) {
      const [, written] = /^.\s*-- (\w+)\n/.exec(node.template.getText()) ?? []
      found.push({ written, enclosing: name })
    }
    ts.forEachChild(node, (child) => visit(child, name))
  }
  visit(source)
  return found
}

function nameOfNode(node: ts.Node): string | undefined {
  if (ts.isFunctionDeclaration(node)) return node.name?.text
  const isFunction =
    ts.isVariableDeclaration(node) && node.initializer !== undefined && ts.isArrowFunction(node.initializer)
  return isFunction ? node.name.getText() : undefined
}

describe('a deadline', () => {
  const waits: [string, (sql: Sql) => Promise<unknown>][] = [
    ['waitForLock', waitForLock],
    [
      'sleep',
      (sql) => sql`
      -- sleep
      select pg_sleep(60)`,
    ],
  ]
  test.each(waits)('ends a statement that waits (%s), and its connection serves again', async (name, run) => {
    await lock()
    const database = open()
    const pid = await pidOf(database)
    const failure = failureOf(run(database.sqlFor(contextFor(400).context)))
    await untilWaiting(name, 1)
    const error = await failure
    expect(error).toBeInstanceOf(Unanswered)
    expect(codeOf(error)).toBe('DEADLINE')
    expect(isUnavailable(error)).toBeTrue()
    await untilWaiting(name, 0)
    expect(await pidOf(database)).toBe(pid)
  })

  test('is one for all statements of a request', async () => {
    await lock()
    const { context } = contextFor(4000)
    const sql = open({ poolSize: 2 }).sqlFor(context)
    const took = await timed(async () => {
      await sql`
          -- first
          select pg_sleep(2)`
      await failureOf(waitForLock(sql))
    })
    // it ends at 4 s; a deadline of each statement would end at 6
    expect(took).toBeWithin(3990, 6000)
  })

  test('is that of a request for what no request waits for', async () => {
    const { sql } = open({ url: proxy.url(url), requestTimeout: 2000 })
    await answered(sql)
    // the server's own limit is the same, and must not come first
    proxy.freeze()
    expect(codeOf(await failureOf(answered(sql)))).toBe('DEADLINE')
  })

  test('that has passed lets nothing be sent any more', async () => {
    const database = open()
    await answered(database.sql)
    expect(codeOf(await failureOf(write(database.sqlFor(contextFor(-1).context), 1)))).toBe('DEADLINE')
    await answered(database.sql)
    expect(await writtenRows()).toEqual([])
  })

  const unreachable: [string, () => Promise<void>, () => Promise<void>][] = [
    ['is silent while it is connected to', async () => proxy.welcome('silence'), async () => proxy.cut()],
    ['accepts and closes', async () => proxy.welcome('close'), async () => {}],
  ]
  test.each(unreachable)('ends a write to a server that %s, for good', async (_, go, comeBack) => {
    const database = open({ url: proxy.url(url), poolSize: 2 })
    await go()
    const sql = database.sqlFor(contextFor(300).context)
    const failures = [1, 2, 3, 4].map((n) => failureOf(write(sql, n)))
    for (const error of await Promise.all(failures)) expect(codeOf(error)).toBe('DEADLINE')
    proxy.welcome('pass')
    await comeBack()
    await Promise.all([write(database.sql, 8), write(database.sql, 9)])
    expect(await writtenRows()).toEqual([8, 9])
  })

  test('ends a write that no connection was free for, for good', async () => {
    const release = await lock()
    const database = open()
    const busy = waitForLock(database.sql)
    await untilWaiting('waitForLock', 1)
    expect(codeOf(await failureOf(write(database.sqlFor(contextFor(200).context), 1)))).toBe('DEADLINE')
    await release()
    await busy
    await write(database.sql, 2)
    expect(await writtenRows()).toEqual([2])
  })
})

describe('a client that goes away', () => {
  test('ends its statement, and its connection serves again', async () => {
    await lock()
    const gone = new AbortController()
    const database = open()
    const pid = await pidOf(database)
    const failure = failureOf(waitForLock(database.sqlFor(contextFor(LONG, { signal: gone.signal }).context)))
    await untilWaiting('waitForLock', 1)
    gone.abort()
    expect(codeOf(await failure)).toBe('ABANDONED')
    await untilWaiting('waitForLock', 0)
    expect(await pidOf(database)).toBe(pid)
  })

  test('before its statement ends that soon', async () => {
    await lock()
    const { context } = contextFor(LONG, { signal: AbortSignal.abort() })
    const database = open()
    expect(codeOf(await failureOf(waitForLock(database.sqlFor(context))))).toBe('ABANDONED')
    await untilWaiting('waitForLock', 0)
  })

  test('after its statement has ended changes nothing', async () => {
    const gone = new AbortController()
    const database = open()
    const sql = database.sqlFor(contextFor(LONG, { signal: gone.signal }).context)
    const pid = await pidOf(database)
    for (let i = 0; i < 3; i++)
      await sql`
        -- slow
        select pg_sleep(0.15)`
    expect(getEventListeners(gone.signal, 'abort')).toHaveLength(0)
    gone.abort()
    expect(await pidOf(database)).toBe(pid)
  })

  test('while its statement waits behind another one costs no connection', async () => {
    const release = await lock()
    const gone = new AbortController()
    const database = open()
    const pid = await pidOf(database)
    // it has no parameter, and so others may follow it on its connection at once
    const ahead = database.sql`
      -- ahead
      select pg_advisory_xact_lock(1)`
    await untilWaiting('ahead', 1)
    const failure = failureOf(answered(database.sqlFor(contextFor(LONG, { signal: gone.signal }).context)))
    await Bun.sleep(200)
    gone.abort()
    expect(codeOf(await failure)).toBe('ABANDONED')
    // longer than a dead connection is waited for
    await Bun.sleep(1500)
    await release()
    await ahead
    expect(await pidOf(database)).toBe(pid)
  })
})
