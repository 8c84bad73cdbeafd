/** Waiting for a connection. */
import { expect, test } from 'bun:test'
import { rest } from '../../src/client/rest'

const A_DAY = 86_400_000
const page = globalThis as { document?: { visibilityState: string } }

test.each(['online', 'visibilitychange'])('the event `%s` ends it', async (event) => {
  const resting = rest(A_DAY, new AbortController().signal)
  dispatchEvent(new Event(event))
  expect(await resting).toBeUndefined()
})

test('a page that is hidden does not end it', async () => {
  const ended: string[] = []
  page.document = { visibilityState: 'hidden' }
  const resting = rest(A_DAY, new AbortController().signal).then(() => ended.push('rest'))
  dispatchEvent(new Event('visibilitychange'))
  await rest(1, new AbortController().signal)
  ended.push('another rest')
  delete page.document
  dispatchEvent(new Event('visibilitychange'))
  await resting
  expect(ended).toEqual(['another rest', 'rest'])
})

test('a signal ends it, also one that was given before', async () => {
  const stopping = new AbortController()
  const resting = rest(A_DAY, stopping.signal)
  stopping.abort()
  await resting
  await rest(A_DAY, stopping.signal)
})
