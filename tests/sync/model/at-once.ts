/** A game whose requests are sent at once: what must be true in whichever order they are done. */
import { expect } from 'bun:test'
import type { Task } from '../../../src/tasks/model'
import type { Answer, TestApp } from '../../support/app'
import type { StoredTask } from '../../support/stored-tasks'
import type { Command } from './commands'
import { type Device, device, take } from './devices'
import { byRevision, Game, table } from './game'
import { type Act, send, type Write } from './requests'
import { tagKey } from './server'

interface Sent {
  write: Write
  answer: Answer
}

/** What was done to a task, and the task then; null if it was deleted. */
interface Done {
  act: Act
  task: Task | null
}
type Answered = Done & { task: Task }

/** Runs the commands of a round concurrently. */
export async function playAtOnce(app: TestApp, rounds: Command[][]): Promise<void> {
  const game = new Game(app)
  const devices = game.devices.slice(0, 3)
  const sent: Sent[] = []
  app.logged.length = 0

  async function fire(write: Write): Promise<void> {
    sent.push({ write, answer: await send(app, write) })
  }
  await game.begin(async (write) => {
    await fire(write)
    learn(game, (await table(app.sql, game.user)).rows)
  })
  for (const round of rounds) {
    const limits = new Map(round.flatMap((each) => (each.do === 'follow' ? [[each.who, each.limit]] : [])))
    await Promise.all([
      ...writesOf(game, round).map(fire),
      ...[...limits].map(([who = 0, limit = 1]) => page(app, game.of(who), limit)),
    ])
    learn(game, (await table(app.sql, game.user)).rows)
  }

  const { rows, live } = await table(app.sql, game.user)
  for (const each of sent) checkStatus(each)
  checkKeys(sent)
  const done = sent.filter(isFirst).flatMap(doneBy)
  checkRevisions(done, rows)
  checkOrigins(done, rows)
  for (const row of rows) checkHistory(row, done)
  checkSteps(rows)
  for (const each of [...devices, device(game.user, '/api/v1/todos')]) {
    while (await page(app, each, 3));
    expect(byRevision(each.tasks.values())).toEqual(live)
  }
}

function writesOf(game: Game, round: Command[]): Write[] {
  return round.flatMap((command) => {
    if (command.do !== 'act' && command.do !== 'batch') return []
    const write = game.writer.writeOf(command, game.writerOf(command))
    return Array<Write>(Math.max(command.times, 1)).fill(write)
  })
}

/** Reads a page of changes. @returns whether there are more */
async function page(app: TestApp, from: Device, limit: number): Promise<boolean> {
  const since = from.cursor ? `&since=${from.cursor.text}` : ''
  const { body } = await app.call('GET', `${from.base}/changes?limit=${limit}${since}`, { as: from.as })
  take(from.tasks, body.changes)
  from.cursor = { text: body.cursor, revision: 0, begun: 0 }
  return body.has_more
}

/** Lets the next commands name the tasks that there are. */
function learn({ model }: Game, rows: StoredTask[]): void {
  model.remember(rows.map(({ id }) => id).filter((id) => !model.rows.has(id)))
  for (const { is_deleted, ended, ...task } of rows) {
    const state = ended ? 'ended' : is_deleted ? 'trash' : 'live'
    model.rows.set(task.id, { task, state, wentWithParent: false, hours: 0, made: 0, changed: 0 })
  }
}

function actsOf({ does }: Write): Act[] {
  return 'task' in does ? [does.task] : 'batch' in does ? does.batch : []
}

function checkStatus({ write, answer }: Sent): void {
  const acts = actsOf(write)
  const mayBeInvalid = acts.some(
    ({ op, fields, to }) =>
      (op === 'move' && !('to' in to)) || fields.tags || fields.list_id || fields.parent_id || fields.repeat,
  )
  const allowed = [
    ...[200, 201, 204],
    ...(acts.some(({ op }) => op !== 'create') ? [404] : []),
    ...(acts.some((act) => act.allowed) ? [412] : []),
    ...(mayBeInvalid || write.headers['idempotency-key'] ? [422] : []),
  ]
  expect({ write, allowed }).toMatchObject({ allowed: expect.arrayContaining([answer.status]) })
}

const isFirst = ({ answer }: Sent) => answer.status < 300 && !answer.headers.has('idempotency-replayed')

/** Of the requests with one key, one is done, and all get its answer. */
function checkKeys(sent: Sent[]): void {
  const keyed = sent.filter(({ write, answer }) => write.headers['idempotency-key'] && answer.status < 300)
  for (const same of Map.groupBy(keyed, ({ write }) => write.headers['idempotency-key']).values()) {
    expect(same.filter(isFirst)).toHaveLength(1)
    for (const { answer } of same) expect(answer.body).toEqual(same[0]?.answer.body)
  }
}

function doneBy({ write, answer }: Sent): Done[] {
  const results = 'batch' in write.does ? answer.body.results : [answer.status === 204 ? null : answer.body]
  return actsOf(write).map((act, n) => ({ act, task: results[n] }))
}

const isAnswered = (done: Done): done is Answered => done.task !== null

/** No two changes have the same revision, and of the changes of one revision only one succeeded. */
function checkRevisions(done: Done[], rows: StoredTask[]): void {
  // a task that is restored may have been there all the time
  const changed = done.filter(({ act }) => act.op !== 'restore')
  const revisions = changed.filter(isAnswered).map(({ task }) => task.revision)
  expect(new Set(revisions).size).toBe(revisions.length)
  expect(new Set(rows.map(({ revision }) => revision)).size).toBe(rows.length)
  const matched = changed.flatMap(({ act }) =>
    act.allowed?.length === 1 ? [`${act.id}: ${act.allowed}`] : [],
  )
  expect(new Set(matched).size).toBe(matched.length)
}

/** Each acknowledged task exists, and nothing else but the successors that answers name, with copies of steps. */
function checkOrigins(done: Done[], rows: StoredTask[]): void {
  const answered = done.filter(isAnswered)
  const created = answered.filter(({ act }) => act.op === 'create').map(({ task }) => task.id)
  expect(new Set(created).size).toBe(created.length)
  const links = new Set(answered.flatMap(({ task }) => (task.next_id ? [`${task.id} ${task.next_id}`] : [])))
  const successors = new Set([...links].map((link) => Number(link.split(' ')[1])))
  // of one task each
  expect(successors.size).toBe(links.size)
  const stored = new Map(rows.map((row) => [row.id, row]))
  for (const id of [...created, ...successors]) expect(stored.get(id)?.id).toBe(id)
  const moments = new Set([...successors].map((id) => stored.get(id)?.created_at))
  const others = rows.filter(({ id }) => !created.includes(id) && !successors.has(id))
  expect(others.filter(({ created_at }) => !moments.has(created_at))).toEqual([])
}

/** Each answer follows from the one before it, and the stored task from the last. */
function checkHistory(row: StoredTask, done: Done[]): void {
  const own = done.filter(({ act, task }) => (task ?? act).id === row.id)
  const history = own.filter(isAnswered).sort((a, b) => a.task.revision - b.task.revision)
  for (const [n, { act, task }] of history.entries()) {
    const before = history[n - 1]?.task
    expect({ act, ...essence(task) }).toMatchObject({ act, ...expectedAfter(act, before) })
    if (before) checkSuccession(before, task, act)
  }
  const last = history.at(-1)?.task
  if (last && !row.ended) expect(essence(row)).toEqual(essence(last))
  const ops = new Set(own.map(({ act }) => act.op))
  if (ops.has('end')) expect(row.ended).toBe(true)
  const cameBack = done.some(({ act }) => act.op === 'restore' && [row.id, row.parent_id].includes(act.id))
  if (ops.has('delete') && !cameBack) expect(row.is_deleted).toBe(true)
}

/** What changes only with an answer. */
function essence({ title, completed, due_date, repeat, position, tags }: Task) {
  return { title, completed, due_date, repeat, position, tags: tags.map(tagKey).sort() }
}

function expectedAfter({ op, fields, completed }: Act, before: Task | undefined): object {
  const { title, due_date, repeat, tags } = { ...before, ...fields }
  const toggled = before && !before.completed
  const next = op === 'complete' ? (completed ?? toggled) : (fields.completed ?? before?.completed)
  const isCleared = fields.due_date === null
  const known = {
    title,
    completed: next,
    due_date,
    repeat: isCleared ? null : repeat,
    tags: tags?.map(tagKey).sort(),
    position: op === 'move' ? undefined : before?.position,
  }
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined))
}

/** A completion makes at most one successor, which is given up only when the completion is taken back. */
function checkSuccession(before: Task, { completed, next_id }: Task, act: Act): void {
  if (next_id === before.next_id) return
  const isMade = before.next_id === null && !before.completed && completed
  const isGivenUp = next_id === null && before.completed && !completed
  expect({ act, before, next_id, isRight: isMade || isGivenUp }).toMatchObject({ isRight: true })
}

/** No step is alive without its parent, no step has steps, and no two tasks are at one place. */
function checkSteps(rows: StoredTask[]): void {
  const stored = new Map(rows.map((row) => [row.id, row]))
  for (const row of rows) {
    if (row.parent_id === null) continue
    const parent = stored.get(row.parent_id)
    expect({ row, parent }).toMatchObject({ parent: { parent_id: null, ended: false } })
    if (!row.is_deleted) expect({ row, parent }).toMatchObject({ parent: { is_deleted: false } })
  }
  const places = rows.filter(({ ended }) => !ended).map(({ position }) => position)
  expect(new Set(places).size).toBe(places.length)
}
