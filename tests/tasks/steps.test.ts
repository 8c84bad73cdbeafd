/** Steps, which are tasks of a task, and moving tasks to another place. */
import { describe, expect, test } from 'bun:test'
import type { Task } from '../../src/tasks/model'
import { positionBetween, positionOf } from '../../src/tasks/positions'
import { purgeTombstones } from '../../src/tasks/purge'
import { testApp } from '../support/app'

const { call, sql } = await testApp()
const TODOS = '/api/v1/todos'

async function create(as: string, fields: object): Promise<Task> {
  const { status, body } = await call('POST', TODOS, { as, body: { title: 'x', ...fields } })
  expect({ status, body }).toMatchObject({ status: 201 })
  return body
}
const idsOf = async (as: string, query = '') =>
  (await call('GET', `${TODOS}${query}`, { as })).body.map(({ id }: Task) => id)

async function family(as: string) {
  const parent = await create(as, { title: 'parent' })
  const steps = [
    await create(as, { parent_id: parent.id }),
    await create(as, { parent_id: parent.id }),
  ] as const
  return { parent, steps }
}

describe('steps', () => {
  test('go to the trash with their parent, and come back with it', async () => {
    const as = crypto.randomUUID()
    const { parent, steps } = await family(as)
    const early = await create(as, { parent_id: parent.id })
    await call('DELETE', `${TODOS}/${early.id}`, { as })
    expect((await call('DELETE', `${TODOS}/${parent.id}`, { as })).status).toBe(204)
    expect(await idsOf(as)).toEqual([])
    expect(await idsOf(as, '/trash')).toHaveLength(4)
    expect((await call('POST', `${TODOS}/${parent.id}/restore`, { as })).status).toBe(200)
    expect(await idsOf(as, `?parent_id=${parent.id}`)).toEqual([steps[1].id, steps[0].id])
    // what was deleted before stays there, and comes back alone
    expect(await idsOf(as, '/trash')).toEqual([early.id])
    expect((await call('POST', `${TODOS}/${early.id}/restore`, { as })).body.parent_id).toBe(parent.id)
  })

  test('each get a revision of their own, in the order of changes', async () => {
    const as = crypto.randomUUID()
    const { parent } = await family(as)
    const { cursor } = (await call('GET', `${TODOS}/changes`, { as })).body
    await call('DELETE', `${TODOS}/${parent.id}`, { as })
    const { changes } = (await call('GET', `${TODOS}/changes?since=${cursor}`, { as })).body
    expect(changes).toHaveLength(3)
    expect(changes.map(({ revision }: Task) => revision)).toEqual([4, 5, 6])
  })

  test('end with their parent for good', async () => {
    const as = crypto.randomUUID()
    const { parent, steps } = await family(as)
    await call('DELETE', `${TODOS}/${steps[0].id}`, { as })
    await call('DELETE', `${TODOS}/${parent.id}?permanent=true`, { as })
    expect(await idsOf(as, '/trash')).toEqual([])
    for (const { id } of steps)
      expect((await call('POST', `${TODOS}/${id}/restore`, { as })).status).toBe(404)
  })

  test('restored without their parent have none any more', async () => {
    const as = crypto.randomUUID()
    const { parent, steps } = await family(as)
    await call('DELETE', `${TODOS}/${parent.id}`, { as })
    expect((await call('POST', `${TODOS}/${steps[0].id}/restore`, { as })).body.parent_id).toBeNull()
    await call('POST', `${TODOS}/${parent.id}/restore`, { as })
    expect(await idsOf(as, `?parent_id=${parent.id}`)).toEqual([steps[1].id])
  })

  test('stay as they are when their parent is completed', async () => {
    const as = crypto.randomUUID()
    const { parent, steps } = await family(as)
    await call('PATCH', `${TODOS}/${parent.id}/complete`, { as })
    expect((await call('GET', `${TODOS}/${steps[0].id}`, { as })).body).toEqual(steps[0])
  })

  test('have a living parent of the same owner that is no step itself', async () => {
    const as = crypto.randomUUID()
    const { parent, steps } = await family(as)
    const gone = await create(as, {})
    await call('DELETE', `${TODOS}/${gone.id}`, { as })
    const foreign = await create(crypto.randomUUID(), {})
    const other = await create(as, {})
    const refused = async (method: string, path: string, body: object) => {
      const answer = await call(method, path, { as, body })
      expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([422, '/parent_id'])
    }
    for (const parent_id of [gone.id, foreign.id, steps[0].id, 2 ** 40]) {
      await refused('POST', TODOS, { title: 'x', parent_id })
      await refused('PATCH', `${TODOS}/${other.id}`, { parent_id })
    }
    await refused('PATCH', `${TODOS}/${other.id}`, { parent_id: other.id })
    // one level: what has steps becomes none
    await refused('PATCH', `${TODOS}/${parent.id}`, { parent_id: other.id })
    const alone = await call('PATCH', `${TODOS}/${steps[0].id}`, { as, body: { parent_id: null } })
    expect(alone.body.parent_id).toBeNull()
  })

  test('are never left without their parent, even if they are made while it is deleted', async () => {
    const as = crypto.randomUUID()
    for (let n = 0; n < 20; n++) {
      const { id } = await create(as, {})
      const making = [1, 2, 3].map(() => call('POST', TODOS, { as, body: { title: 'x', parent_id: id } }))
      const answers = await Promise.all([...making, call('DELETE', `${TODOS}/${id}`, { as })])
      expect(answers.at(-1)?.status).toBe(204)
    }
    const orphans = await sql`
      select step.id from tasks as step join tasks as parent on parent.user_id = step.user_id and parent.id = step.parent_id
      where step.user_id = ${as} and step.deleted_at is null and parent.deleted_at is not null`
    expect(orphans).toHaveLength(0)
  })
})

describe('moving', () => {
  const move = (as: string, id: number, body: object, headers = {}) =>
    call('POST', `${TODOS}/${id}/move`, { as, body, headers })

  test('puts a task last also if another is behind the place of a task that has been purged', async () => {
    const as = crypto.randomUUID()
    const [a, b, newest] = [await create(as, {}), await create(as, {}), await create(as, {})]
    await move(as, a.id, { to: 'last' })
    await call('DELETE', `${TODOS}/${newest.id}?permanent=true`, { as })
    await sql`update tasks set deleted_at = now() - interval '31 days' where id = ${newest.id}`
    while (await purgeTombstones(sql, 30));
    await move(as, b.id, { to: 'last' })
    expect(await idsOf(as, '?sort=position')).toEqual([a.id, b.id])
    await move(as, a.id, { after: b.id })
    expect(await idsOf(as, '?sort=position')).toEqual([b.id, a.id])
    const { id } = await create(as, {})
    expect(await idsOf(as, '?sort=position')).toEqual([b.id, a.id, id])
  })

  test('changes the place of this task alone', async () => {
    const as = crypto.randomUUID()
    const [a, b, c, d] = (await Promise.all([1, 2, 3, 4].map(() => create(as, {}))))
      .sort((x, y) => x.id - y.id)
      .map(({ id }) => id) as [number, number, number, number]
    const order = () => idsOf(as, '?sort=position')
    expect(await order()).toEqual([a, b, c, d])
    const moved = await move(as, d, { after: a })
    expect(moved).toMatchObject({ status: 200, body: { id: d, revision: 5 } })
    expect(moved.headers.get('etag')).toBe('"5"')
    expect(await order()).toEqual([a, d, b, c])
    await move(as, c, { before: d })
    expect(await order()).toEqual([a, c, d, b])
    await move(as, b, { to: 'first' })
    await move(as, a, { to: 'last' })
    expect(await order()).toEqual([b, c, d, a])
    // what is new comes last
    const { id: e } = await create(as, {})
    expect(await order()).toEqual([b, c, d, a, e])
    expect(await idsOf(as, '?sort=position&order=desc')).toEqual([e, a, d, c, b])
    const { changes } = (await call('GET', `${TODOS}/changes`, { as })).body
    expect(changes.find(({ id }: Task) => id === e).revision).toBe(9)
  })

  test('is as any model of a list has it', async () => {
    const as = crypto.randomUUID()
    let order: number[] = []
    let seed = 7
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return (seed >> 8) % below
    }
    for (let n = 0; n < 150; n++) {
      if (order.length < 4 || random(6) === 0) {
        order.push((await create(as, {})).id)
        continue
      }
      const id = order[random(order.length)] ?? 0
      const others = order.filter((each) => each !== id)
      const place = random(others.length)
      const neighbour = others[place] ?? 0
      const way = random(4)
      const target = [{ after: neighbour }, { before: neighbour }, { to: 'first' }, { to: 'last' }][way] ?? {}
      expect((await move(as, id, target)).status).toBe(200)
      order = others.toSpliced([place + 1, place, 0, others.length][way] ?? 0, 0, id)
    }
    expect(await idsOf(as, '?sort=position&limit=200')).toEqual(order)
  })

  test('fifty tasks at once to the same place moves all of them', async () => {
    const as = crypto.randomUUID()
    const tasks = await Promise.all(Array.from({ length: 50 }, () => create(as, {})))
    const answers = await Promise.all(tasks.map(({ id }) => move(as, id, { to: 'first' })))
    expect(answers.map(({ status }) => status)).toEqual(tasks.map(() => 200))
    expect(new Set(answers.map(({ body }) => body.position)).size).toBe(50)
  })

  test('is refused without a neighbour, and heeds If-Match', async () => {
    const as = crypto.randomUUID()
    const [one, other] = [await create(as, {}), await create(as, {})]
    await call('DELETE', `${TODOS}/${other.id}`, { as })
    const foreign = await create(crypto.randomUUID(), {})
    for (const neighbour of [other.id, foreign.id, one.id, 2 ** 40]) {
      const after = await move(as, one.id, { after: neighbour })
      expect([after.status, after.body.errors[0].pointer]).toEqual([422, '/after'])
      const before = await move(as, one.id, { before: neighbour })
      expect([before.status, before.body.errors[0].pointer]).toEqual([422, '/before'])
    }
    for (const body of [{}, { to: 'middle' }, { after: 1, before: 2 }, { after: '1' }]) {
      expect((await move(as, one.id, body)).status).toBe(422)
    }
    expect((await move(as, one.id, { to: 'first' }, { 'if-match': '"9"' })).status).toBe(412)
    expect((await move(as, one.id, { to: 'first' }, { 'if-match': '"1"' })).status).toBe(200)
    expect((await move(as, foreign.id, { to: 'first' })).status).toBe(404)
    expect((await move(as, other.id, { to: 'first' })).status).toBe(404)
  })

  test('into a gap that is full is refused, not a fault', async () => {
    const as = crypto.randomUUID()
    const [low, high, third] = [await create(as, {}), await create(as, {}), await create(as, {})]
    let position = positionOf(high.id)
    while (position.length < 1000) position = positionBetween(low.position, position)
    await sql`update tasks set position = ${position} where id = ${high.id}`
    let answer = await move(as, third.id, { after: low.id })
    for (let n = 0; n < 10 && answer.status === 200; n++) {
      await sql`update tasks set position = ${answer.body.position} where id = ${high.id}`
      answer = await move(as, third.id, { after: low.id })
    }
    expect(answer.status).toBe(422)
  })

  test('has the same order in the database', async () => {
    const [row] = await sql<{ position: string }[]>`select position_of(null, 42) as position`
    expect(row?.position).toBe(positionOf(42))
  })
})
