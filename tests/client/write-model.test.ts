/** Whatever fails on the way: nothing that the user does is lost, done twice, or written over what others do. */
import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { signAccessToken } from '../../src/auth/token'
import { createClient, type Operation, type Task } from '../../src/client/index'
import { testApp } from '../support/app'
import { memoryStorage } from '../support/memory-storage'
import { until } from '../support/time'

const { app, settings, sql } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
const url = `http://127.0.0.1:${app.server?.port}`
afterAll(() => app.stop(true))

const which = fc.nat(6)
const Step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('update' as const, 'delete' as const), which }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('complete there' as const, 'delete there' as const), which }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('lose' as const, 'refuse' as const, 'down' as const) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('up' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reload' as const) }) },
)
type Step = typeof Step extends fc.Arbitrary<infer T> ? T : never

async function play(steps: Step[]): Promise<void> {
  const id = crypto.randomUUID()
  const token = await signAccessToken(id, settings)
  const other = createClient(url, { token }).api.v1.todos
  const storage = memoryStorage()
  const faults: ('lose' | 'refuse')[] = []
  let isDown = false
  let names = 0
  /** What the user wants the title to be, by what the task was created with. */
  const wanted = new Map<string, string>()
  const conflicts: Operation[] = []

  async function fetcher(requested: string, init: RequestInit): Promise<Response> {
    if (isDown) throw new TypeError('no connection')
    if (init.method === 'GET') return fetch(requested, init)
    const fault = faults.shift()
    if (fault === 'refuse') return new Response('', { status: 503 })
    const response = await fetch(requested, init)
    if (fault === 'lose') throw new TypeError('lost')
    return response
  }
  async function open() {
    const store = new Map<number, Task>()
    const client = createClient(url, { token, fetcher })
    const onConflict = (operation: Operation) => void conflicts.push(operation)
    const sync = client.sync(store, { storage, onConflict })
    // before that, a page that is closed keeps nothing
    await until(() => sync.status !== 'connecting')
    return { sync, store }
  }
  let page = await open()
  const shown = (which: number) => [...page.store.values()][which % Math.max(page.store.size, 1)]
  const list = async () => (await other.get({ query: { limit: 200, order: 'asc' } })).data ?? []
  const write = (operation: Operation) => void page.sync.write(operation)

  async function take(step: Step): Promise<void> {
    if (step.do === 'create') {
      const name = `task ${names++}`
      wanted.set(name, name)
      return write({ op: 'create', body: { title: name, description: name } })
    }
    if (step.do === 'update' || step.do === 'delete') {
      const task = shown(step.which)
      if (!task) return
      if (step.do === 'delete') return write({ op: 'delete', id: task.id })
      const title = `title ${names++}`
      wanted.set(String(task.description), title)
      return write({ op: 'update', id: task.id, body: { title } })
    }
    if (step.do === 'complete there' || step.do === 'delete there') {
      const tasks = await list()
      const task = tasks[step.which % Math.max(tasks.length, 1)]
      if (!task) return
      if (step.do === 'delete there') await other({ id: task.id }).delete()
      else await other({ id: task.id }).complete.patch({ completed: !task.completed })
      return
    }
    if (step.do === 'lose' || step.do === 'refuse') return void faults.push(step.do)
    if (step.do === 'wait') return Bun.sleep(60)
    if (step.do === 'reload') {
      page.sync.stop()
      await page.sync.ended
      page = await open()
      return
    }
    isDown = step.do === 'down'
    if (!isDown) dispatchEvent(new Event('online'))
  }

  for (const step of steps) await take(step)
  isDown = false
  faults.length = 0
  dispatchEvent(new Event('online'))
  await page.sync.ready
  await until(() => page.sync.pending.length === 0)
  const tasks = await list()
  const inStore = () => [...page.store.values()].sort((one, two) => one.id - two.id)
  await until(() => Bun.deepEquals(inStore(), tasks))
  page.sync.stop()

  const rows = await sql<{ description: string }[]>`
    select description from tasks where user_id = ${id} order by id`
  // each was made once, and in order
  expect(rows.map(({ description }) => description)).toEqual([...wanted.keys()])
  for (const { title, description } of tasks) expect(title).toBe(String(wanted.get(String(description))))
  // only a deletion on either side is one
  const gone = new Set(rows.map(({ description }) => description))
  for (const { description } of tasks) gone.delete(String(description))
  for (const operation of conflicts) expect(['delete', 'update']).toContain(operation.op)
  if (gone.size === 0) expect(conflicts.filter(({ op }) => op === 'update')).toEqual([])
}

test('a page whose requests are lost or refused, and that is loaded again, does what the user wants', async () => {
  await fc.assert(fc.asyncProperty(fc.array(Step, { maxLength: 25, size: 'max' }), play), {
    numRuns: Number(process.env['RUNS'] ?? 12),
  })
}, 600_000)
