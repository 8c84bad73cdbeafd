import { afterAll, expect, test } from 'bun:test'
import type { BrowserContext, Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import { type Client, createClient, type Sync, type Task } from '../../src/client/index'
import { serve } from '../../src/server'
import { freePort } from '../../src/system/free-port'
import { createLog } from '../../src/telemetry/log'
import { testSettings } from '../support/app'
import { describeInBrowser, INSECURE_HOST } from '../support/browser'
import { testDatabase } from '../support/database'
import { startFrontend } from '../support/frontend'
import { until } from '../support/time'

/** A global of the page. */
declare const client: Client
/** Globals that `follow` sets. */
declare const sync: Sync
declare const tasks: Map<number, Task>

const TABS = 8

describeInBrowser('tabs of one origin', async (browser) => {
  const frontends = {
    'with Web Locks': await startFrontend(),
    'without Web Locks, over plain http': await startFrontend(INSECURE_HOST),
  }
  const database = await testDatabase()
  const settings = testSettings({
    CORS_ORIGINS: Object.values(frontends)
      .map(({ url }) => url)
      .join(),
    DATABASE_URL: database.url,
    HOST: '127.0.0.1',
    PORT: String(await freePort()),
    METRICS: 'on',
  })
  const server = await serve(settings, createLog({ logLevel: 'silent', production: true }))
  afterAll(() => server.stop())

  async function openStreams(): Promise<number> {
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    return Number(/^taskwell_streams_open (\d+)$/m.exec(metrics)?.[1])
  }

  /** Tabs in which a new user follows all tasks, and the same user's client elsewhere. */
  async function tabsOf(frontend: Awaited<ReturnType<typeof startFrontend>>) {
    const { url } = frontend
    const api = `http://${new URL(url).hostname}:${settings.port}`
    frontend.showClientOf(api)
    const context = await browser.newContext()
    /** The tabs that have asked for events, the last one last. */
    const readers: Page[] = []
    context.on('request', (request) => {
      if (request.method() === 'GET' && request.url().includes('/events'))
        readers.push(request.frame().page())
    })
    const first = await open(context, url)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    const user = await first.evaluate(async (given) => (await client.signUp(given)).data?.user.id, account)
    const tabs = [first]
    while (tabs.length < TABS) tabs.push(await open(context, url))
    for (const tab of tabs) await follow(tab)
    const token = await signAccessToken(String(user), settings)
    const elsewhere = createClient(server.url, { token })
    return { context, tabs, readers, elsewhere, url }
  }
  async function open(context: BrowserContext, url: string): Promise<Page> {
    const page = await context.newPage()
    await page.goto(url)
    return page
  }
  async function follow(tab: Page): Promise<void> {
    await tab.evaluate(async () => {
      const store = new Map<number, Task>()
      Object.assign(globalThis, { tasks: store, sync: client.sync(store) })
      await sync.ready
    })
  }
  async function seeAll(tabs: Page[], titles: string[]): Promise<void> {
    for (const tab of tabs) {
      await tab.waitForFunction(
        (wanted) => String([...tasks.values()].map(({ title }) => title)) === wanted,
        String(titles),
      )
    }
  }

  for (const [title, frontend] of Object.entries(frontends)) {
    test(`${title}, eight share one stream, leave connections for other requests, and go on when the reader is closed`, async () => {
      const { context, tabs, readers, elsewhere } = await tabsOf(frontend)
      const isSecure = title === 'with Web Locks'
      expect(await tabs[0]?.evaluate(() => 'locks' in navigator)).toBe(isSecure)

      await elsewhere.api.v1.todos.post({ title: 'first' })
      await seeAll(tabs, ['first'])
      await until(async () => (await openStreams()) === 1)
      const counts = tabs.map((tab) =>
        tab.evaluate(async () => (await client.api.v1.todos.get()).data?.length),
      )
      expect(await Promise.all(counts)).toEqual(tabs.map(() => 1))

      const reader = readers.at(-1)
      const others = tabs.filter((tab) => tab !== reader)
      expect(others.length).toBe(TABS - 1)
      await reader?.close()
      await elsewhere.api.v1.todos.post({ title: 'second' })
      await seeAll(others, ['first', 'second'])
      await until(async () => (await openStreams()) === 1)
      expect(others).toContain(readers.at(-1) as Page)
      await context.close()
      await until(async () => (await openStreams()) === 0)
    })

    test(`${title}, another tab reads when the reader freezes, and one of the two when it wakes`, async () => {
      const { context, tabs, readers, elsewhere } = await tabsOf(frontend)
      await elsewhere.api.v1.todos.post({ title: 'first' })
      await seeAll(tabs, ['first'])
      await until(async () => (await openStreams()) === 1)
      const [reader] = readers.splice(0).slice(-1)
      if (!reader) throw new Error('nobody reads')
      const others = tabs.filter((tab) => tab !== reader)
      const devtools = await context.newCDPSession(reader)
      await devtools.send('Debugger.enable')
      await devtools.send('Debugger.pause')
      void reader.evaluate(() => 1).catch(() => {})
      await new Promise<void>((paused) => devtools.once('Debugger.paused', () => paused()))
      await elsewhere.api.v1.todos.post({ title: 'second' })
      await seeAll(others, ['first', 'second'])
      await devtools.send('Debugger.resume')
      await devtools.send('Debugger.disable')
      await elsewhere.api.v1.todos.post({ title: 'third' })
      await seeAll(tabs, ['first', 'second', 'third'])
      await until(async () => (await openStreams()) === 1)
      await context.close()
      await until(async () => (await openStreams()) === 0)
    })
  }
})
