import { afterAll, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { allTasks, createClient } from '../../src/client/index'
import { testApp } from '../support/app'

const { app, settings } = await testApp()
app.listen({ hostname: '127.0.0.1', port: 0 })
afterAll(() => app.stop(true))
const url = String(app.server?.url)

test('a batch whose answer is lost is done once, and answers its tasks', async () => {
  const token = await signAccessToken('ann', settings)
  let losses = 1
  const losing = async (target: string, init: RequestInit) => {
    const response = await fetch(target, init)
    if (init.method === 'POST' && losses-- > 0) throw new Error('lost')
    return response
  }
  const client = createClient(url, { token, fetcher: losing })
  const { data, error } = await client.batch([
    { op: 'create', body: { title: 'one', tags: ['home'] } },
    { op: 'create', body: { title: 'two', priority: 'high' } },
  ])
  expect(error).toBeNull()
  expect(data?.results).toMatchObject([{ title: 'one', tags: ['home'] }, { title: 'two' }])
  const found = await Array.fromAsync(allTasks(client, { tag: ['HOME'], priority: ['none', 'low'] }))
  expect(found.map(({ title }) => title)).toEqual(['one'])
  expect(await Array.fromAsync(allTasks(client))).toHaveLength(2)
})

test('a batch that fails does nothing, and points to the operation', async () => {
  const client = createClient(url, { token: await signAccessToken('bob', settings) })
  const { error } = await client.batch([
    { op: 'create', body: { title: 'one' } },
    { op: 'delete', id: 2 ** 40 },
  ])
  expect(error?.code).toBe('TASK_NOT_FOUND')
  expect(error?.value).toMatchObject({ errors: [{ pointer: '/operations/1' }] })
  expect(await Array.fromAsync(allTasks(client))).toEqual([])
})
