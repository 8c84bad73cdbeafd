import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Pool } from '../../src/database/pool'
import type { Change } from '../../src/sync/model'
import type { Task } from '../../src/tasks/model'
import { purgeIdempotencyKeys, purgeTombstones } from '../../src/tasks/purge'
import { type Answer, type TestApp, testApp } from '../support/app'
import { storedTasks } from '../support/stored-tasks'

/** How many games are played; `FC_RUNS=20000` plays more. */
const RUNS = Number(process.env['FC_RUNS'] ?? 1500)
/** A purge concerns all users, so games at the same time have their own databases. */
const [one, two, three] = [await testApp(), await testApp(), await testApp()]

type Op = 'create' | 'update' | 'complete' | 'set' | 'delete' | 'end' | 'restore'

const METHODS: Record<Op, [method: string, suffix: string]> = {
  create: ['POST', ''],
  update: ['PATCH', ''],
  complete: ['PATCH', '/complete'],
  set: ['PATCH', '/complete'],
  delete: ['DELETE', ''],
  end: ['DELETE', '?permanent=true'],
  restore: ['POST', '/restore'],
}

/** A request that changes something. When it is sent again, it has the same bytes. */
interface Write {
  op: Op
  as: string
  base: string
  id: number
  body: Partial<Task> | undefined
  headers: Record<string, string>
  /** The revisions that its If-Match names; null: any. */
  allowed: number[] | null
}

const send = ({ call }: TestApp, { op, as, base, id, body, headers }: Write): Promise<Answer> => {
  const [method, suffix] = METHODS[op]
  const path = op === 'create' ? base : `${base}/${id}${suffix}`
  return call(method, path, { as, headers, ...(body && { body }) })
}

/** The fields of a task that the server has to keep; other tests check times. */
type Known = Omit<Task, 'updated_at' | 'completed_at'>
interface Row {
  task: Known
  state: 'live' | 'trash' | 'ended'
  /** Since its deletion. */
  hours: number
}

interface Expected {
  status: number
  code?: string
  task?: Partial<Task>
  isReplay?: boolean
}

/** A simple model of the server. */
class Model {
  revision = 0
  purged = 0
  rows = new Map<number, Row>()
  keys = new Map<string, { said: string; answer: Task | undefined; hours: number }>()
  /** Every task that was ever created. */
  ids: number[] = []

  readonly owner: string
  constructor(owner: string) {
    this.owner = owner
  }

  in(state: Row['state']): Row[] {
    return [...this.rows.values()].filter((row) => row.state === state)
  }
  /** Applies a request. @returns the answer that the server has to give */
  write(write: Write): Expected {
    if (write.op === 'create') return this.create(write)
    const { op, id, allowed, as } = write
    const row = this.rows.get(id)
    const states = { restore: ['live', 'trash'], end: ['live', 'trash'] }[op as string] ?? ['live']
    if (as !== this.owner || !row || !states.includes(row.state))
      return { status: 404, code: 'TASK_NOT_FOUND' }
    if (allowed && !allowed.includes(row.task.revision)) {
      return { status: 412, code: 'PRECONDITION_FAILED', task: row.task }
    }
    if (op === 'restore' && row.state === 'live') return { status: 200, task: row.task }
    const change = op === 'complete' ? { completed: !row.task.completed } : write.body
    row.task = { ...row.task, ...change, revision: ++this.revision }
    row.state = op === 'delete' ? 'trash' : op === 'end' ? 'ended' : 'live'
    row.hours = 0
    return row.state === 'live' ? { status: 200, task: row.task } : { status: 204 }
  }
  private create({ base, body, headers }: Write): Expected {
    const key = headers['idempotency-key']
    const said = JSON.stringify([base, body])
    const first = key === undefined ? undefined : this.keys.get(key)
    if (first && first.said !== said) return { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' }
    if (first) return { status: 201, task: first.answer ?? {}, isReplay: true }
    if (key !== undefined) this.keys.set(key, { said, answer: undefined, hours: 0 })
    const task = {
      description: null,
      completed: false,
      ...body,
      user_id: this.owner,
      revision: ++this.revision,
    }
    return { status: 201, task, isReplay: false }
  }
  /** Takes a new task from its answer, because the server chooses its id and times. */
  made(task: Task, key: string | undefined): void {
    const { updated_at: _, completed_at: __, ...known } = task
    expect(task.id).toBeGreaterThan(this.ids.at(-1) ?? 0)
    this.ids.push(task.id)
    this.rows.set(task.id, { task: known, state: 'live', hours: 0 })
    const stored = this.keys.get(key ?? '')
    if (stored) stored.answer = task
  }
  pass(hours: number, isPurging: boolean): void {
    for (const [key, stored] of this.keys) {
      stored.hours += hours
      if (stored.hours > 24) this.keys.delete(key)
    }
    for (const [id, row] of this.rows) {
      if (row.state === 'live') continue
      row.hours += hours
      if (!isPurging || row.hours <= 30 * 24) continue
      this.rows.delete(id)
      this.purged = Math.max(this.purged, row.task.revision)
    }
  }
}

interface Device {
  as: string
  base: string
  tasks: Map<number, Task>
  cursor: { text: string; revision: number; begun: number } | undefined
  /** The last answer to each list, with the state of the server at that time. */
  lists: Map<string, { tag: string; state: string; tasks: Task[] }>
}

const device = (as: string, base: string): Device => ({
  as,
  base,
  tasks: new Map(),
  cursor: undefined,
  lists: new Map(),
})

function take(tasks: Map<number, Task>, changes: Change[]): void {
  for (const change of changes) {
    if ('deleted' in change) tasks.delete(change.id)
    else tasks.set(change.id, change)
  }
}

async function table(sql: Pool, owner: string) {
  const rows = await storedTasks(sql, owner)
  const live = rows.filter((row) => !row.is_deleted).map(({ is_deleted, ended, ...task }) => task)
  return { rows, live }
}

const byRevision = <T extends { revision: number }>(tasks: Iterable<T>): T[] =>
  [...tasks].sort((a, b) => a.revision - b.revision)

const nth = <T>(items: readonly T[], n: number): T | undefined => items[n % items.length]

const MATCHES = ['none', 'none', 'current', 'current', 'seen', 'seen', 'seen', 'list', 'any', 'weak'] as const
const who = fc.nat(2)
/** 0: the request is lost. 2: the answer is lost, and the device sends the request again. */
const times = fc.constantFrom(1, 1, 1, 1, 2, 2, 0)
const Create = fc.record({
  do: fc.constant('create' as const),
  who,
  key: fc.option(fc.nat(4), { nil: undefined }),
  completed: fc.boolean(),
  times,
})
const Alter = fc.record({
  do: fc.constantFrom('update', 'complete', 'set', 'delete', 'restore', 'end', 'update', 'delete', 'restore'),
  // device 3 belongs to the other user
  who: fc.constantFrom(0, 0, 1, 1, 2, 2, 3),
  task: fc.nat(8),
  match: fc.constantFrom(...MATCHES),
  completed: fc.boolean(),
  times,
})
const Command = fc.oneof(
  { weight: 3, arbitrary: Create },
  { weight: 8, arbitrary: Alter },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), which: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      who,
      path: fc.constantFrom('', '?completed=true', '/trash'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), who, task: fc.nat(8) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('follow' as const), who, limit: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      // no sum of them is exactly one or thirty days
      hours: fc.constantFrom(13, 16 * 24, 31 * 24),
      isPurging: fc.boolean(),
    }),
  },
)
type Command = typeof Command extends fc.Arbitrary<infer T> ? T : never

/** One user with three devices, another user, and the answers that their requests have to get. */
class Play {
  readonly user = `user-${crypto.randomUUID()}`
  readonly stranger = `stranger-${crypto.randomUUID()}`
  readonly model = new Model(this.user)
  readonly devices = [
    device(this.user, '/api/v1/todos'),
    device(this.user, '/api/me/tasks'),
    device(this.user, `/api/${this.user}/tasks`),
    device(this.stranger, '/api/v1/todos'),
  ] as const
  private readonly sent: Write[] = []
  private titles = 0

  readonly app: TestApp
  constructor(app: TestApp) {
    this.app = app
  }

  of(who: number): Device {
    return this.devices[who] ?? this.devices[0]
  }
  writeOf(command: typeof Create | typeof Alter extends fc.Arbitrary<infer T> ? T : never): Write {
    const { as, base, tasks } = this.of(command.who)
    const title = `title ${this.titles++}`
    if (command.do === 'create') {
      const { key, completed } = command
      const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': `key-${key}` }
      return { op: 'create', as, base, id: 0, body: { title, completed }, headers, allowed: null }
    }
    const { do: op, task, match, completed } = command
    const id = nth(this.model.ids, task) ?? 2 ** 40
    const current = this.model.rows.get(id)?.task.revision ?? 1
    const seen = tasks.get(id)?.revision ?? 1
    const allowed = {
      none: null,
      any: null,
      current: [current],
      seen: [seen],
      list: [seen, current],
      // weak, as after a proxy that compresses
      weak: [current],
    }[match]
    const tags = allowed?.map((revision) => `"${revision}"`).join(', ')
    const ifMatch = { none: undefined, any: '*', weak: `W/"${current}"` }[match as string] ?? tags
    const body = { update: { title }, set: { completed } }[op as string]
    return {
      op,
      as,
      base,
      id,
      body,
      headers: ifMatch && match !== 'none' ? { 'if-match': ifMatch } : {},
      allowed,
    }
  }
  async write(write: Write): Promise<void> {
    this.sent.push(write)
    const { status, code, task, isReplay } = this.model.write(write)
    const { body, headers, ...answer } = await send(this.app, write)
    expect({ status: answer.status, code: body.error_code }).toEqual({ status, code })
    if (task) expect(status === 412 ? body.current : body).toMatchObject(task)
    if (task) expect(headers.get('etag')).toBe(`"${task.revision}"`)
    if (isReplay !== undefined) expect(headers.get('idempotency-replayed')).toBe(isReplay ? 'true' : null)
    if (isReplay !== undefined) expect(headers.get('location')).toBe(`${write.base}/${body.id}`)
    if (isReplay === false) this.model.made(body, write.headers['idempotency-key'])
  }
  async list(from: Device, path: string): Promise<void> {
    const known = from.lists.get(path)
    const { model } = this
    const rows = model.in(path === '/trash' ? 'trash' : 'live').map((row) => row.task)
    const tasks = path === '/trash' ? byRevision(rows).reverse() : rows.sort((a, b) => b.id - a.id)
    const shown = path === '?completed=true' ? tasks.filter((task) => task.completed) : tasks
    const headers: Record<string, string> = known ? { 'if-none-match': known.tag } : {}
    const answer = await this.app.call('GET', from.base + path, { as: from.as, headers })
    if (answer.status === 304) expect(answer.headers.get('etag')).toBe(known?.tag ?? '')
    const state = path === '/trash' ? `${model.revision}, ${model.purged}` : `${model.revision}`
    expect(answer.status).toBe(known?.state === state ? 304 : 200)
    const now: Task[] = answer.status === 304 ? (known?.tasks ?? []) : answer.body
    expect(now).toMatchObject(shown)
    from.lists.set(path, { tag: answer.headers.get('etag') ?? '', state, tasks: now })
  }
  async read(from: Device, task: number): Promise<void> {
    const id = nth(this.model.ids, task) ?? 2 ** 40
    const row = this.model.rows.get(id)
    const seen = from.tasks.get(id)?.revision ?? 1
    const headers = { 'if-none-match': `"${seen}"` }
    const { status } = await this.app.call('GET', `${from.base}/${id}`, { as: from.as, headers })
    expect(status).toBe(row?.state !== 'live' ? 404 : row.task.revision === seen ? 304 : 200)
  }
  /** Reads a page of changes. @returns whether there are more */
  async follow(from: Device, limit: number): Promise<boolean> {
    const { cursor } = from
    const { revision, purged, rows } = this.model
    const begun = cursor?.begun ?? revision
    const known = cursor?.revision ?? 0
    const query = cursor ? `&since=${cursor.text}` : ''
    const { status, body } = await this.app.call('GET', `${from.base}/changes?limit=${limit}${query}`, {
      as: from.as,
    })
    if (cursor && purged > Math.max(known, begun)) {
      expect([status, body.error_code]).toEqual([410, 'CURSOR_EXPIRED'])
      from.cursor = undefined
      from.tasks.clear()
      return true
    }
    const newer = [...rows.values()].filter(
      ({ state, task }) => task.revision > known && (state === 'live' || task.revision > begun),
    )
    const expected = byRevision(
      newer.map(({ state, task }) =>
        state === 'live' ? task : { id: task.id, revision: task.revision, deleted: true },
      ),
    )
    const hasMore = expected.length > limit
    expect({ status, changes: body.changes, has_more: body.has_more }).toMatchObject({
      status: 200,
      changes: expected.slice(0, limit),
      has_more: hasMore,
    })
    take(from.tasks, body.changes)
    from.cursor = {
      text: body.cursor,
      revision: hasMore ? (expected[limit - 1]?.revision ?? 0) : revision,
      begun,
    }
    return hasMore
  }
  /** Acts as if this much time had passed. */
  async wait(hours: number, isPurging: boolean): Promise<void> {
    const { sql } = this.app
    this.model.pass(hours, isPurging)
    await sql`
      update tasks set deleted_at = deleted_at - make_interval(hours => ${hours})
      where user_id = ${this.user} and deleted_at is not null`
    await sql`
      update idempotency_keys set expires_at = expires_at - make_interval(hours => ${hours})
      where user_id = ${this.user}`
    if (!isPurging) return
    while (await purgeTombstones(sql, 30));
    while (await purgeIdempotencyKeys(sql));
  }
  async run(command: Command): Promise<void> {
    switch (command.do) {
      case 'list':
        return this.list(this.of(command.who), command.path)
      case 'read':
        return this.read(this.of(command.who), command.task)
      case 'follow':
        return void (await this.follow(this.of(command.who), command.limit))
      case 'wait':
        return this.wait(command.hours, command.isPurging)
      case 'repeat': {
        const again = nth(this.sent, command.which)
        return again && this.write(again)
      }
      default: {
        const write = this.writeOf(command)
        for (let time = 0; time < command.times; time++) await this.write(write)
      }
    }
  }
}

/** Runs the commands one by one; then every device reads all changes. */
async function play(app: TestApp, commands: Command[]): Promise<void> {
  const game = new Play(app)
  const { model, devices, user, stranger } = game
  const [, , , other] = devices
  app.logged.length = 0
  const headers = { 'idempotency-key': 'key-0' }
  await app.call('POST', other.base, { as: stranger, headers, body: { title: 'not yours' } })
  const before = await table(app.sql, stranger)

  for (const command of commands) await game.run(command)

  const { rows, live } = await table(app.sql, user)
  expect(rows).toMatchObject(
    byRevision([...model.rows.values()].map((row) => row.task)).map((task) =>
      model.rows.get(task.id)?.state === 'ended' ? { id: task.id, revision: task.revision, title: '' } : task,
    ),
  )
  expect(rows.filter((row) => row.is_deleted && !row.ended)).toMatchObject(
    byRevision(model.in('trash').map((row) => row.task)),
  )
  for (const [index, each] of devices.slice(0, 3).entries()) {
    while (await game.follow(each, index + 2));
    expect(byRevision(each.tasks.values())).toEqual(live)
    await game.list(each, '')
    await game.list(each, '/trash')
  }
  // and tombstones are purged
  await game.wait(31 * 24, true)
  await game.list(devices[0], '/trash')
  while (await game.follow(devices[0], 4));
  expect(byRevision(devices[0].tasks.values())).toEqual(live)
  expect(await table(app.sql, stranger)).toEqual(before)
}

const HOUR = 3_600_000
const LENGTH = { maxLength: 30, size: 'max' } as const

test(
  'three devices of a user get the answers of a simple model, even if requests are lost or repeated',
  async () => {
    // two games at a time, each on its own database
    const played = [one, two].map((app) =>
      fc.assert(
        fc.asyncProperty(fc.array(Command, LENGTH), (commands) => play(app, commands)),
        { numRuns: RUNS / 2 },
      ),
    )
    await Promise.all(played)
  },
  HOUR,
)

/** Runs the commands of a batch concurrently, and checks what must be true in any order. */
async function playAtOnce(app: TestApp, batches: Command[][]): Promise<void> {
  const game = new Play(app)
  const { ids, rows } = game.model
  const devices = game.devices.slice(0, 3)
  const done: (Write & { answer: Answer })[] = []
  app.logged.length = 0

  async function fire(write: Write): Promise<void> {
    done.push({ ...write, answer: await send(app, write) })
  }
  async function page(from: Device, limit: number): Promise<boolean> {
    const since = from.cursor ? `&since=${from.cursor.text}` : ''
    const { body } = await app.call('GET', `${from.base}/changes?limit=${limit}${since}`, { as: from.as })
    take(from.tasks, body.changes)
    from.cursor = { text: body.cursor, revision: 0, begun: 0 }
    return body.has_more
  }
  for (const batch of batches) {
    const limits = new Map<Device, number>()
    const writes: Write[] = []
    for (const command of batch) {
      if (command.do === 'follow') limits.set(game.of(command.who), command.limit)
      // without `set`, a task's state tells whether the number of its toggles was odd
      if (!('times' in command) || command.do === 'set') continue
      const write = game.writeOf(command)
      writes.push(...Array<Write>(Math.max(command.times, 1)).fill(write))
    }
    await Promise.all([...writes.map(fire), ...[...limits].map(([each, limit]) => page(each, limit))])
    for (const task of (await table(app.sql, game.user)).rows) {
      if (!rows.has(task.id)) ids.push(task.id)
      rows.set(task.id, { task, state: 'live', hours: 0 })
    }
  }

  const { rows: stored, live } = await table(app.sql, game.user)
  const byId = new Map(stored.map((row) => [row.id, row]))
  const changed = done.filter(({ op, answer }) => op !== 'restore' && answer.status < 300)
  const made = changed.filter(
    ({ op, answer }) => op === 'create' && !answer.headers.has('idempotency-replayed'),
  )
  for (const { op, allowed, headers, answer } of done) {
    const allowedStatus = [
      200,
      201,
      204,
      404,
      ...(allowed ? [412] : []),
      ...(headers['idempotency-key'] ? [422] : []),
    ]
    expect({ op, allowed, allowedStatus }).toMatchObject({
      allowedStatus: expect.arrayContaining([answer.status]),
    })
  }
  // each acknowledged task exists, once
  expect(stored.map(({ id }) => id).sort((a, b) => a - b)).toEqual(
    made.map(({ answer }) => answer.body.id as number).sort((a, b) => a - b),
  )
  const keyed = changed.filter(({ headers }) => headers['idempotency-key'])
  for (const { headers, answer } of keyed) {
    const others = keyed.filter((each) => each.headers['idempotency-key'] === headers['idempotency-key'])
    expect(new Set(others.map((each) => each.answer.body.id))).toEqual(new Set([answer.body.id]))
  }
  // no two changes have the same revision, and of the changes of one revision only one succeeded
  const first = changed.filter(
    ({ op, answer }) => op !== 'create' || !answer.headers.has('idempotency-replayed'),
  )
  const revisions = first.flatMap(({ answer }) =>
    answer.status === 204 ? [] : [answer.body.revision as number],
  )
  expect(new Set(revisions).size).toBe(revisions.length)
  expect(new Set(stored.map(({ revision }) => revision)).size).toBe(stored.length)
  const matched = changed.flatMap(({ id, allowed }) => (allowed?.length === 1 ? [`${id}: ${allowed}`] : []))
  expect(new Set(matched).size).toBe(matched.length)
  for (const { answer: creation } of made) {
    const { id, completed } = creation.body
    const row = byId.get(id)
    const own = changed.filter((each) => each.id === id)
    const toggles = own.filter(({ op }) => op === 'complete').length
    expect(row?.completed).toBe((toggles % 2 === 1) !== completed)
    const titled = [creation, ...own.filter(({ op }) => op === 'update').map(({ answer }) => answer)]
    const last = titled.sort((a, b) => a.body.revision - b.body.revision).at(-1)
    expect(row?.title).toBe(row?.ended ? '' : last?.body.title)
  }
  const from = device(game.user, '/api/v1/todos')
  for (const each of [...devices, from]) {
    while (await page(each, 3));
    expect(byRevision(each.tasks.values())).toEqual(live)
  }
}

test(
  'what three devices write at once is neither lost nor done twice',
  async () => {
    const batches = fc.array(fc.array(Command, { maxLength: 9, size: 'max' }), { maxLength: 4, size: 'max' })
    await fc.assert(
      fc.asyncProperty(batches, (commands) => playAtOnce(three, commands)),
      { numRuns: RUNS / 5 },
    )
  },
  HOUR,
)
