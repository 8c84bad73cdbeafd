import { afterAll, describe, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { type ClientOptions, createClient, type Task, type TaskUpdate } from '../../src/client/index'
import { isLike } from '../../src/client/tasks'
import { testApp } from '../support/app'

const { app, settings } = await testApp()
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))

const url = String(app.server?.url)

/** A task that its user can change on two devices. */
async function taskOnTwoDevices() {
  const token = await signAccessToken(crypto.randomUUID(), settings)
  const connect = (options: ClientOptions = {}) => createClient(url, { token, ...options })
  const { data, error } = await connect().api.v1.todos.post({ title: 'Buy milk' })
  if (error) throw error
  const { id } = data
  const read = async () => (await connect().api.v1.todos({ id }).get()).data
  return { task: data, here: connect(), there: connect(), connect, read }
}

/** Loses the answer to the first change, after `meanwhile`. */
function losing(meanwhile: () => Promise<unknown> = async () => {}) {
  let isLost = false
  return async (requested: string, init: RequestInit) => {
    const response = await fetch(requested, init)
    if (init.method !== 'PATCH' || isLost) return response
    isLost = true
    await meanwhile()
    throw new Error('lost')
  }
}

const adding = (text: string) => (task: Task) => ({ description: `${task.description ?? ''}${text}` })
const raising = ({ description }: Task) => ({ description: String(Number(description) + 1) })

describe('a change', () => {
  test('of a task that has not changed since is made', async () => {
    const { task, here, read } = await taskOnTwoDevices()
    const { data, error } = await here.update(task, { title: 'Buy oat milk' })
    expect(error).toBeNull()
    expect(data).toMatchObject({ title: 'Buy oat milk', description: null })
    expect(await read()).toEqual(data)
  })

  test('of a task that has changed since is refused, with the task as it is now', async () => {
    const { task, here, there, read } = await taskOnTwoDevices()
    const { data: theirs } = await there.update(task, { title: 'theirs' })
    const { error } = await here.update(task, { title: 'mine' })
    if (error?.status !== 412) throw new Error('expected a 412')
    expect(error.value.current).toEqual(theirs as Task)
    expect(await read()).toEqual(theirs)
  })

  test.each([
    ['as an object', { description: 'mine' }],
    ['as a function', adding('mine')],
  ])('whose answer is lost succeeds, once, %s', async (_, change) => {
    const { task, connect, read } = await taskOnTwoDevices()
    const { data, error, status } = await connect({ fetcher: losing() }).update(task, change)
    expect({ error, status: status as number }).toEqual({ error: null, status: 200 })
    expect(data).toMatchObject({ description: 'mine' })
    expect(await read()).toEqual(data)
  })

  test('whose answer is lost also shows what another device has changed', async () => {
    const { task, there, connect } = await taskOnTwoDevices()
    const fetcher = losing(() => there.api.v1.todos({ id: task.id }).patch({ completed: true }))
    const { data } = await connect({ fetcher }).update(task, { title: 'mine' })
    expect(data).toMatchObject({ title: 'mine', completed: true })
  })
})

describe('a change by a function', () => {
  test('is asked for again, with the task as it is now', async () => {
    const { task, here, there } = await taskOnTwoDevices()
    const { data: theirs } = await there.update(task, { description: 'theirs' })
    const asked: Task[] = []
    const { data } = await here.update(task, (current) => {
      asked.push(current)
      return adding(', mine')(current)
    })
    expect(asked).toEqual([task, theirs as Task])
    expect(data).toMatchObject({ description: 'theirs, mine' })
  })

  test("that is equal to another device's change is made as well", async () => {
    const { task, here, there } = await taskOnTwoDevices()
    await there.update(task, raising)
    expect((await here.update(task, raising)).data?.description).toBe('2')
  })

  test('is lost in none of twenty rounds on two devices at once', async () => {
    const { task, here, there, read } = await taskOnTwoDevices()
    const add = async (client: typeof here, text: string) => {
      for (let n = 0; n < 20; n++) while ((await client.update(task, adding(text))).error?.status === 412);
    }
    await Promise.all([add(here, 'a'), add(there, 'b')])
    const letters = [...((await read())?.description ?? '')].toSorted().join('')
    expect(letters).toBe('a'.repeat(20) + 'b'.repeat(20))
  })

  test('is given up if another device is always quicker', async () => {
    const { task, here, there } = await taskOnTwoDevices()
    let asked = 0
    const fetcher = async (requested: string, init: RequestInit) => {
      asked++
      await there.api.v1.todos({ id: task.id }).patch({ title: `theirs ${asked}` })
      return fetch(requested, init)
    }
    const token = () => signAccessToken(task.user_id, settings)
    const { error } = await createClient(url, { token, fetcher }).update(task, adding('mine'))
    expect({ status: error?.status as number, asked }).toEqual({ status: 412, asked: 11 })
    expect((await here.api.v1.todos({ id: task.id }).get()).data?.description).toBeNull()
  })

  test('that throws changes nothing', async () => {
    const { task, here, read } = await taskOnTwoDevices()
    const fail = () => {
      throw new Error('not mine to change')
    }
    await expect(here.update(task, fail)).rejects.toThrow('not mine to change')
    expect(await read()).toEqual(task)
  })
})

test.each<[string, TaskUpdate | ((task: Task) => TaskUpdate)]>([
  ['an object', { title: 'x' }],
  ['a function', () => ({ title: 'x' })],
])('%s for a task that is gone is 404', async (_, change) => {
  const { task, here, there } = await taskOnTwoDevices()
  await there.api.v1.todos({ id: task.id }).delete()
  expect((await here.update(task, change)).error?.status as number).toBe(404)
})

test.each<[string, TaskUpdate | ((task: Task) => TaskUpdate)]>([
  ['an object', {}],
  ['a function', () => ({ title: ' ' })],
])('%s that is not valid is 422', async (_, change) => {
  const { task, here } = await taskOnTwoDevices()
  expect((await here.update(task, change)).error?.status as number).toBe(422)
})

test('a task has wanted values if its lists have the same elements, in the same order unless they are names', async () => {
  const { task } = await taskOnTwoDevices()
  const tagged = { ...task, tags: ['home', 'shop'], reminders: [5, 10] }
  const alike = ([['home', 'shop'], ['Shop', 'home'], ['home'], undefined] as const).map((tags) =>
    isLike(tagged, { title: task.title, tags } as TaskUpdate),
  )
  expect(alike).toEqual([true, true, false, true])
  expect(isLike(tagged, { reminders: [5, 10] })).toBe(true)
  expect(isLike(tagged, { reminders: [10, 5] })).toBe(false)
})
