import { expect, test } from 'bun:test'
import { createQueue } from '../../src/system/queue'
import { turns } from '../support/time'

test('those of one key come one after the other, in their order', async () => {
  const queue = createQueue()
  const done: number[] = []
  const works = [1, 2, 3, 4].map(async (number) => {
    const leave = await queue.enter('ann')
    await turns(10 - number)
    done.push(number)
    leave()
  })
  await Promise.all(works)
  expect(done).toEqual([1, 2, 3, 4])
})

test('those of different keys do not wait for each other', async () => {
  const queue = createQueue()
  await queue.enter('ann')
  const leave = await queue.enter('bob')
  leave()
  leave()
  expect(await queue.enter('bob')).toBeFunction()
})
