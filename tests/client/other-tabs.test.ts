import { afterEach, expect, test } from 'bun:test'
import { joinOtherTabs } from '../../src/client/other-tabs'
import { pageIsHidden } from '../../src/client/page-events'
import { memoryStorage } from '../support/memory-storage'
import { until } from '../support/time'

/** What a page has, and Bun does not. */
function usePage(visibilityState = 'visible') {
  const document = Object.assign(new EventTarget(), { visibilityState })
  Object.assign(globalThis, { document })
  return document
}
afterEach(() => {
  Reflect.deleteProperty(globalThis, 'document')
})

test('a tab hears that another one has stored something, with the reason that it gives', async () => {
  const key = crypto.randomUUID()
  const heard: unknown[] = []
  const one = joinOtherTabs(key, memoryStorage(), () => {})
  joinOtherTabs(key, memoryStorage(), (reason) => heard.push(reason))
  one.say()
  one.say('expired')
  await until(() => heard.length === 2)
  expect(heard).toEqual([undefined, 'expired'])
})

test('a page looks again at the event `storage` and when it comes back', () => {
  const document = usePage()
  const key = crypto.randomUUID()
  let times = 0
  joinOtherTabs(key, memoryStorage(), () => times++)
  const stored = (name: string | null) => dispatchEvent(Object.assign(new Event('storage'), { key: name }))
  stored(key)
  stored(null)
  expect(times).toBe(2)
  stored('of another app')
  expect(times).toBe(2)
  dispatchEvent(new Event('pageshow'))
  document.dispatchEvent(new Event('visibilitychange'))
  document.dispatchEvent(new Event('resume'))
  expect(times).toBe(5)
})

test('without a storage there is nothing to say', () => {
  expect(joinOtherTabs('key', undefined, () => {}).say()).toBeUndefined()
})

test('a page knows whether it is hidden', () => {
  expect(pageIsHidden()).toBe(false)
  usePage('hidden')
  expect(pageIsHidden()).toBe(true)
})
