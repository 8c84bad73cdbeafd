/** A game: the requests that devices send one by one, and what they have to be answered. */
import { expect } from 'bun:test'
import type { Pool } from '../../../src/database/pool'
import { DEFAULT_LIMIT } from '../../../src/http/schemas'
import { purgeIdempotencyKeys, purgeTombstones } from '../../../src/tasks/purge'
import type { Answer, TestApp } from '../../support/app'
import { storedTasks } from '../../support/stored-tasks'
import type { Command } from './commands'
import { type Device, device, HOME, idOf, nth, REPEATING, take, Writer } from './devices'
import { creation, type Known, listWrite, send, taskWrite, type Write } from './requests'
import { type Chosen, dayOf, type Expected, Model, tagKey } from './server'

export async function table(sql: Pool, owner: string) {
  const rows = await storedTasks(sql, owner)
  const live = rows.filter((row) => !row.is_deleted).map(({ is_deleted, ended, ...task }) => task)
  return { rows, live }
}

export const byRevision = <T extends { revision: number }>(tasks: Iterable<T>): T[] =>
  [...tasks].sort((a, b) => a.revision - b.revision)

/** One user with three devices, another user, and the answers that their requests have to get. */
export class Game {
  readonly user = `user-${crypto.randomUUID()}`
  readonly stranger = `stranger-${crypto.randomUUID()}`
  readonly model = new Model(this.user)
  readonly writer = new Writer(this.model)
  readonly devices = [
    device(this.user, '/api/v1/todos'),
    device(this.user, '/api/me/tasks'),
    device(this.user, `/api/${this.user}/tasks`),
    device(this.stranger, '/api/v1/todos'),
  ] as const
  private readonly sent: Write[] = []

  readonly app: TestApp
  constructor(app: TestApp) {
    this.app = app
  }

  /** Makes a task that repeats, in a list if there is one, and a step of it. */
  async begin(send: (write: Write) => Promise<void>): Promise<void> {
    const [from] = this.devices
    const [list] = this.model.lists
    await send(taskWrite(from, creation({ ...REPEATING, list_id: list?.id ?? null }), {}))
    const [parent_id = null] = this.model.ids
    await send(taskWrite(from, creation({ title: 'a step', parent_id }), {}))
  }
  of(who: number): Device {
    return this.devices[who] ?? this.devices[0]
  }
  /** Only the user makes things. */
  writerOf(command: Command): Device {
    const makes = 'act' in command ? command.act.op === 'create' : 'op' in command && command.op === 'create'
    return this.of('who' in command ? (makes ? command.who % 3 : command.who) : 0)
  }

  async write(write: Write): Promise<void> {
    this.sent.push(write)
    const last = this.model.ids.at(-1) ?? 0
    const isOfSeveral = this.isOfSeveral(write)
    const before = this.model.revision
    const answer = await send(this.app, write)
    const chosen = await this.chosenIn(answer, isOfSeveral ? { before, last } : undefined)
    const made = [...chosen.ids]
    const expected = this.model.write(write, chosen)
    check(answer, expected, write)
    if (expected.isReplay || expected.status > 299) return
    expect(chosen.ids).toEqual([])
    this.model.remember(made)
    // times are in milliseconds, so that a change within the same one looks like none
    if (isOfSeveral && made.length > 0) await Bun.sleep(2)
  }
  /** Whether it may change several tasks, or make one without being a create. */
  private isOfSeveral({ does }: Write): boolean {
    if ('batch' in does) return true
    if (!('task' in does)) return false
    const { id, fields } = does.task
    const task = this.model.rows.get(id)?.task
    return Boolean(fields.repeat || task?.repeat || task?.next_id || this.model.stepsOf(id).length > 0)
  }
  /** What the server has chosen: it is in the answer, or among all tasks if the request was of several. */
  private async chosenIn(
    { status, body }: Answer,
    since: { before: number; last: number } | undefined,
  ): Promise<Chosen> {
    const now = new Date().toISOString()
    const none = { ids: [], revisions: new Map(), today: dayOf(now), body }
    if (status > 299) return none
    if (!since) return status === 201 && body.title !== undefined ? { ...none, ids: [body.id] } : none
    const rows = await this.app.sql<{ id: number; revision: number; created_at: string }[]>`
      select id, revision, created_at from tasks
      where user_id = ${this.user} and revision > ${since.before}
      order by id`
    const made = rows.filter(({ id }) => id > since.last)
    return {
      ids: made.map(({ id }) => id),
      revisions: new Map(rows.map(({ id, revision }) => [id, revision])),
      today: dayOf(made[0]?.created_at ?? now),
      body,
    }
  }

  /** Lists tasks, tags or lists, and compares them with the model's. */
  async list(from: Device, kind: (Command & { do: 'list' })['kind'], which = 0): Promise<void> {
    const [address, items] = this.listed(from, kind, which)
    const known = from.answers.get(address)
    const headers: Record<string, string> = known ? { 'if-none-match': known.tag } : {}
    const answer = await this.app.call('GET', address, { as: from.as, headers })
    const { revision, purged } = this.model
    const state = kind === 'trash' ? `${revision}, ${purged}` : `${revision}`
    if (answer.status === 304) expect(answer.headers.get('etag')).toBe(known?.tag ?? '')
    expect([address, answer.status]).toEqual([address, known?.state === state ? 304 : 200])
    const now: object[] = answer.status === 304 ? (known?.items ?? []) : answer.body
    expect(now).toMatchObject(items)
    from.answers.set(address, { tag: answer.headers.get('etag') ?? '', state, items: now })
  }
  /** @returns the address of a list, and what has to be in it */
  private listed(
    { base, lists, tags }: Device,
    kind: (Command & { do: 'list' })['kind'],
    which: number,
  ): [address: string, items: object[]] {
    const { model } = this
    const live = model.in('live').map(({ task }) => task)
    const find = (query: string, isFound: (task: Known) => boolean): [string, object[]] => {
      const found = live.filter(isFound).sort((a, b) => b.id - a.id)
      return [`${base}?${query}`, found.slice(0, DEFAULT_LIMIT)]
    }
    const has = (name: string) => (task: Known) => task.tags.some((tag) => tagKey(tag) === name)
    const parents = live.flatMap(({ parent_id }) => parent_id ?? [])
    const listIds = model.lists.map((each) => each.id)
    const id = kind === 'in list' ? idOf(listIds, model.listIds, which) : idOf(parents, model.ids, which)
    switch (kind) {
      case 'all':
        return find('', () => true)
      case 'completed':
        return find('completed=true', ({ completed }) => completed)
      case 'trash': {
        const trash = byRevision(model.in('trash').map(({ task }) => task)).reverse()
        return [`${base}/trash`, trash.slice(0, DEFAULT_LIMIT)]
      }
      case 'arranged':
        return [`${base}?sort=position`, model.arranged().slice(0, DEFAULT_LIMIT)]
      case 'tag':
        return find('tag=HoMe', has('home'))
      case 'tags':
        return find('tag=WORK,home&status=pending', (task) => {
          return !task.completed && has('home')(task) && has('work')(task)
        })
      case 'in list':
        return find(`list_id=${id}`, ({ list_id }) => list_id === id)
      case 'inbox':
        return find('list_id=none', ({ list_id }) => list_id === null)
      case 'steps':
        return find(`parent_id=${id}`, ({ parent_id }) => parent_id === id)
      case 'no steps':
        return find('parent_id=none', ({ parent_id }) => parent_id === null)
      case 'lists':
        return [lists, model.allLists()]
      case 'all tags':
        return [tags, model.allTags()]
    }
  }

  async read(from: Device, task: number): Promise<void> {
    const id = idOf(this.model.idsIn('live'), this.model.ids, task)
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
        return this.list(this.of(command.who), command.kind, command.which)
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
        const write = this.writer.writeOf(command, this.writerOf(command))
        for (let time = 0; time < command.times; time++) await this.write(write)
      }
    }
  }
}

/** Compares an answer with that of the model. */
function check({ status, headers, body }: Answer, expected: Expected, write: Write): void {
  const { code, pointer, current, revision, isReplay } = expected
  const [error] = body.errors ?? []
  const answer = { status, code: body.error_code, ...(pointer !== undefined && { pointer: error?.pointer }) }
  expect({ ...answer, write }).toEqual({
    status: expected.status,
    code,
    ...(pointer !== undefined && { pointer }),
    write,
  })
  if (current) expect(body.current).toMatchObject(current)
  if (current) expect(headers.get('etag')).toBe(`"${current.revision}"`)
  if (expected.body && isReplay) expect(body).toEqual(expected.body)
  else if (expected.body) expect(body).toMatchObject(expected.body)
  if (revision !== undefined) expect(headers.get('etag')).toBe(`"${revision}"`)
  if (isReplay !== undefined) expect(headers.get('idempotency-replayed')).toBe(isReplay ? 'true' : null)
  if (expected.status === 201) expect(headers.get('location')).toBe(`${write.path}/${body.id}`)
}

/** Runs the commands one by one; then every device reads all changes. */
export async function play(app: TestApp, commands: Command[]): Promise<void> {
  const game = new Game(app)
  const { model, devices, user, stranger } = game
  const [, , , other] = devices
  app.logged.length = 0
  const headers = { 'idempotency-key': 'key-0' }
  await app.call('POST', other.base, {
    as: stranger,
    headers,
    body: { title: 'not yours', tags: ['theirs'] },
  })
  const before = await table(app.sql, stranger)

  await game.write(listWrite(devices[0], HOME, {}))
  await game.begin((write) => game.write(write))
  for (const command of commands) await game.run(command)

  const { rows, live } = await table(app.sql, user)
  const known = [...model.rows.values()].map(({ task, state }) => ({ task, state, revision: task.revision }))
  expect(rows).toMatchObject(
    byRevision(known).map(({ task, state }) =>
      state === 'ended' ? { id: task.id, revision: task.revision, title: '', tags: [], ended: true } : task,
    ),
  )
  expect(rows.filter((row) => row.is_deleted && !row.ended)).toMatchObject(
    byRevision(model.in('trash').map((row) => row.task)),
  )
  for (const [index, each] of devices.slice(0, 3).entries()) {
    while (await game.follow(each, index + 2));
    expect(byRevision(each.tasks.values())).toEqual(live)
    for (const kind of ['all', 'trash', 'arranged', 'lists', 'all tags'] as const) await game.list(each, kind)
  }
  // and tombstones are purged
  await game.wait(31 * 24, true)
  await game.list(devices[0], 'trash')
  while (await game.follow(devices[0], 4));
  expect(byRevision(devices[0].tasks.values())).toEqual(live)
  expect(await table(app.sql, stranger)).toEqual(before)
}
