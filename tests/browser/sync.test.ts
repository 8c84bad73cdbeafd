import { afterAll, expect, test } from 'bun:test'
import type { BrowserContext, Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import { type Client, createClient, type StorageName, type Sync, type Task } from '../../src/client/index'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { startFrontend } from '../support/frontend'

/** Globals of the page. */
declare const client: Client
declare const sync: Sync
declare const tasks: Map<number, Task>

describeInBrowser('synchronized pages', async (browser) => {
  const frontend = await startFrontend()
  const { app, settings } = await testApp({
    CORS_ORIGINS: frontend.url,
    AUTH_RATE_LIMIT_PER_MINUTE: '1000000',
  })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const api = `http://127.0.0.1:${app.server?.port}`
  frontend.showClientOf(api)

  async function open(context: BrowserContext): Promise<Page> {
    const page = await context.newPage()
    await page.goto(frontend.url)
    return page
  }
  /** Follows all tasks, without waiting for anything. */
  function follow(page: Page, storage: StorageName): Promise<void> {
    return page.evaluate(
      ([address, name]) => {
        const made = (globalThis as unknown as { createClient: typeof createClient }).createClient(address, {
          storage: name,
        })
        const store = new Map<number, Task>()
        Object.assign(globalThis, { client: made, tasks: store, sync: made.sync(store) })
      },
      [api, storage] as const,
    )
  }
  async function signedUp(storage: StorageName) {
    const context = await browser.newContext()
    afterAll(() => context.close())
    const page = await open(context)
    const id = await page.evaluate(
      async ([address, name, email]) => {
        const { createClient: create } = globalThis as unknown as { createClient: typeof createClient }
        const made = create(address, { storage: name })
        return (await made.signUp({ email, password: 'correct horse battery' })).data?.user.id
      },
      [api, storage, `${crypto.randomUUID()}@example.com`] as const,
    )
    const elsewhere = createClient(api, { token: await signAccessToken(String(id), settings) })
    return { context, page, create: (title: string) => elsewhere.api.v1.todos.post({ title }) }
  }
  const isNow = async (page: Page, status: string) => {
    await page.waitForFunction((wanted) => sync.status === wanted, status)
  }
  const has = async (page: Page, ...titles: string[]) => {
    const wanted = titles.join()
    await page.waitForFunction(
      (text) => [...tasks.values()].map(({ title }) => title).join() === text,
      wanted,
    )
  }

  test.each(['localStorage', 'indexedDB'] as const)(
    'have their tasks at once when they are loaded again without a server, from %s',
    async (storage) => {
      const { context, page, create } = await signedUp(storage)
      await create('first')
      await follow(page, storage)
      await has(page, 'first')
      await isNow(page, 'live')
      await create('second')
      await has(page, 'first', 'second')
      await page.evaluate(async () => {
        sync.stop()
        await sync.ended
      })
      await context.route(`${api}/**`, (route) => route.abort())
      await page.reload()
      await follow(page, storage)
      await has(page, 'first', 'second')
      await isNow(page, 'offline')
      const asked: string[] = []
      context.on('request', (request) => request.url().includes('/changes') && asked.push(request.url()))
      await create('third')
      await context.unroute(`${api}/**`)
      await has(page, 'first', 'second', 'third')
      expect(asked.every((url) => url.includes('since='))).toBe(true)
      await isNow(page, 'live')
    },
  )

  test('keep what came just before they were loaded again', async () => {
    const { context, page, create } = await signedUp('localStorage')
    await follow(page, 'localStorage')
    await isNow(page, 'live')
    await create('last')
    await has(page, 'last')
    await context.route(`${api}/**`, (route) => route.abort())
    await page.reload()
    await follow(page, 'localStorage')
    await has(page, 'last')
  })

  test('are offline as soon as the browser is, and live as soon as it is back', async () => {
    const { context, page, create } = await signedUp('localStorage')
    await follow(page, 'localStorage')
    await isNow(page, 'live')
    await context.setOffline(true)
    await isNow(page, 'offline')
    expect(await page.evaluate(() => sync.error?.message)).toBeString()
    await create('meanwhile')
    await context.setOffline(false)
    await has(page, 'meanwhile')
    await isNow(page, 'live')
  })

  test.each(['localStorage', 'indexedDB'] as const)(
    'are emptied in all tabs when the user signs out in one, and %s as well',
    async (storage) => {
      const { context, page, create } = await signedUp(storage)
      await create('first')
      const other = await open(context)
      for (const tab of [page, other]) {
        await follow(tab, storage)
        await has(tab, 'first')
        await isNow(tab, 'live')
      }
      await page.evaluate(() => client.signOut())
      for (const tab of [page, other]) {
        await isNow(tab, 'ended')
        await has(tab)
        expect(await tab.evaluate(async () => sync.ended.then(() => sync.error?.message ?? 'none'))).toBe(
          'none',
        )
      }
      const left = await page.evaluate(async () => {
        const [database] = await indexedDB.databases()
        if (!database?.name) return localStorage.length
        const opened = await new Promise<IDBDatabase>((resolve) => {
          const request = indexedDB.open(database.name ?? '')
          request.onsuccess = () => resolve(request.result)
        })
        return new Promise<number>((resolve) => {
          const request = opened.transaction('items').objectStore('items').count()
          request.onsuccess = () => resolve(request.result)
        })
      })
      expect(left).toBe(0)
    },
  )
})
