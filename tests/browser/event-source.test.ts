/** The example of `docs/api.md` for `EventSource`, in a browser. */
import { afterAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import { serve } from '../../src/server'
import { freePort } from '../../src/system/free-port'
import { createLog } from '../../src/telemetry/log'
import { SECRET, testApp, testSettings } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { until } from '../support/time'

const [, example = ''] =
  /^### From EventSource$.*?^```js\n(.*?)^```/ms.exec(
    await Bun.file(join(import.meta.dir, '../../docs/api.md')).text(),
  ) ?? []

function startSite(): string {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } }),
  })
  afterAll(() => server.stop(true))
  return `http://127.0.0.1:${server.port}`
}

describeInBrowser('an EventSource', async (browser) => {
  const [allowed, stranger] = [startSite(), startSite()]
  const port = await freePort()
  // another process on the same database
  const { call, url } = await testApp()
  const settings = testSettings({
    NODE_ENV: 'production',
    BETTER_AUTH_SECRET: SECRET,
    CORS_ORIGINS: allowed,
    DATABASE_URL: url,
    HOST: '127.0.0.1',
    PORT: String(port),
  })
  const start = () => serve(settings, createLog({ logLevel: 'silent', production: true }))
  let server = await start()
  afterAll(() => server.stop())
  const events = `http://127.0.0.1:${port}/api/v1/todos/events`

  async function openPage(site: string): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(site)
    return page
  }
  async function ticketOf(as: string): Promise<string> {
    return (await call('POST', '/api/v1/todos/events/ticket', { as })).body.ticket
  }
  async function create(as: string, title: string): Promise<void> {
    expect((await call('POST', '/api/v1/todos', { as, body: { title } })).status).toBe(201)
  }
  /** Makes `source`, which counts what happens to it. */
  function openSource(page: Page, address: string): Promise<void> {
    return page.evaluate((url) => {
      const source = new EventSource(url)
      const seen = { opened: 0, errors: 0, state: () => source.readyState }
      source.onopen = () => seen.opened++
      source.onerror = () => seen.errors++
      Object.assign(globalThis, { seen })
    }, address)
  }
  const seenBy = (page: Page) =>
    page.evaluate(() => {
      const { seen } = globalThis as unknown as {
        seen: { opened: number; errors: number; state(): number }
      }
      return { opened: seen.opened, errors: seen.errors, state: seen.state() }
    })
  const CLOSED = 2

  test('goes on over a restart of the server, and misses or doubles nothing', async () => {
    const page = await openPage(allowed)
    const applied: string[] = []
    await page.exposeFunction('accessToken', () => signAccessToken('ann', settings))
    await page.exposeFunction('apply', ({ title }: { title: string }) => void applied.push(title))
    await create('ann', 'before')
    await page.addScriptTag({
      content: `${example.replace('http://localhost:8000/api/v1/todos', events.replace('/events', ''))}follow()`,
    })
    await until(() => applied.length === 1)
    await create('ann', 'while it streams')
    await until(() => applied.length === 2)
    const isStreaming = page.waitForRequest((request) => request.url().startsWith(`${events}?`))
    await server.stop()
    await create('ann', 'while the server is away')
    server = await start()
    await isStreaming
    await create('ann', 'after it is back')
    await until(() => applied.includes('after it is back'))
    expect(applied).toEqual(['before', 'while it streams', 'while the server is away', 'after it is back'])
    await page.close()
  })

  test('that is left alone is closed by the browser, when it asks with a used ticket', async () => {
    const page = await openPage(allowed)
    await openSource(page, `${events}?ticket=${await ticketOf('ben')}`)
    await until(async () => (await seenBy(page)).opened === 1)
    await server.stop()
    server = await start()
    await until(async () => (await seenBy(page)).state === CLOSED)
    expect((await seenBy(page)).opened).toBe(1)
    await page.close()
  })

  test('of a page of another origin gets nothing', async () => {
    const page = await openPage(stranger)
    await openSource(page, `${events}?ticket=${await ticketOf('cat')}`)
    await until(async () => (await seenBy(page)).errors > 0)
    expect(await seenBy(page)).toEqual({ opened: 0, errors: 1, state: CLOSED })
    await page.close()
  })
})
