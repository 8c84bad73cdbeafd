import { expect, test } from 'bun:test'
import { within } from '../../src/system/timer'

const never = new Promise<string>(() => {})

test('a promise in time gives its value', async () => {
  expect(await within(60_000, Promise.resolve('value'), () => 'late')).toBe('value')
})

test('a promise in time gives its error', async () => {
  const failing = Promise.reject(new Error('failed'))
  await expect(within(60_000, failing, () => 'late')).rejects.toThrow('failed')
})

test('a late promise gives what stands in for it', async () => {
  expect(await within(1, never, () => 'late')).toBe('late')
})

test('a late promise fails as it is told', async () => {
  const fail = () => {
    throw new Error('late')
  }
  await expect(within(1, never, fail)).rejects.toThrow('late')
})
