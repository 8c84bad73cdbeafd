import { afterAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import type { Client } from '../../src/client/index'
import { testApp } from '../support/app'
import { describeInBrowser, INSECURE_HOST } from '../support/browser'
import { startFrontend } from '../support/frontend'

/** A global of the page. */
declare const client: Client

describeInBrowser('a page over plain http', async (browser) => {
  const frontend = await startFrontend(INSECURE_HOST)
  const { app } = await testApp({ CORS_ORIGINS: frontend.url })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const answered: number[] = []
  // a renewal that succeeds is answered after those that fail
  const proxy = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const answer = await fetch(`http://127.0.0.1:${app.server?.port}${pathname}${search}`, request)
      if (request.method === 'POST' && pathname.endsWith('/refresh')) {
        answered.push(answer.status)
        if (answer.ok) await Bun.sleep(500)
      }
      return answer
    },
  })
  afterAll(() => proxy.stop(true))
  frontend.showClientOf(`http://${INSECURE_HOST}:${proxy.port}`)

  /** Tabs of one browser; in the first one a user has just signed up. */
  async function tabsOf(count: number) {
    const context = await browser.newContext()
    const tabs: Page[] = []
    for (let n = 0; n < count; n++) {
      const page = await context.newPage()
      await page.goto(frontend.url)
      tabs.push(page)
    }
    const [first] = tabs
    if (!first) throw new Error('there are no tabs')
    const user = await first.evaluate(async (email) => {
      const { data } = await client.signUp({ email, password: 'correct horse battery' })
      return data?.user.id
    }, `${crypto.randomUUID()}@example.com`)
    return { context, tabs, first, user: String(user) }
  }

  const stored = (tab: Page) =>
    tab.evaluate((prefix) => {
      const entries = Object.entries(localStorage).filter(([key]) => key.startsWith(prefix))
      return entries.map(([, text]) => text).join()
    }, 'taskwell http')

  test('has no Web Locks and no `randomUUID`', async () => {
    const { context, first } = await tabsOf(1)
    const has = await first.evaluate(() => ({
      isSecure: isSecureContext,
      locks: 'locks' in navigator,
      randomUUID: 'randomUUID' in crypto,
    }))
    expect(has).toEqual({ isSecure: false, locks: false, randomUUID: false })
    await context.close()
  })

  test('makes a task', async () => {
    const { context, first } = await tabsOf(1)
    const made = await first.evaluate(async () => {
      const { data, status } = await client.api.v1.todos.post({ title: 'Buy milk' })
      return { title: data?.title, status }
    })
    expect(made).toEqual({ title: 'Buy milk', status: 201 })
    await context.close()
  })

  test('stays signed in, in six tabs that wake at once', async () => {
    const { context, tabs, first, user } = await tabsOf(6)
    for (let round = 1; round <= 3; round++) {
      await first.evaluate(() => {
        for (const [key, text] of Object.entries(localStorage))
          localStorage.setItem(key, JSON.stringify({ ...JSON.parse(text), renewAt: 0 }))
      })
      await Promise.all(tabs.map((tab) => tab.reload()))
      const seen = tabs.map((tab) =>
        tab.evaluate(async () => {
          const { data, error } = await client.api.v1.users.me.get()
          return data?.id ?? String(error?.value.error_code)
        }),
      )
      expect(await Promise.all(seen)).toEqual(tabs.map(() => user))
      // a tab may see late what another tab has written
      while (new Set(await Promise.all(tabs.map(stored))).size > 1) await Bun.sleep(10)
      expect(JSON.parse(await stored(first)).user).toBe(user)
      expect(answered.filter((status) => status === 200).length).toBeGreaterThanOrEqual(round)
    }
    await context.close()
  })

  test('signing out in one tab signs out the others at once', async () => {
    const { context, tabs, first } = await tabsOf(3)
    const others = tabs.filter((tab) => tab !== first)
    for (const tab of others) await tab.waitForFunction(() => client.session.status === 'signed-in')
    await first.evaluate(() => client.signOut())
    for (const tab of others) {
      await tab.waitForFunction(() => client.session.reason === 'signed-out')
      const code = await tab.evaluate(
        async () => (await client.api.v1.users.me.get()).error?.value.error_code,
      )
      expect(code).toBe('TOKEN_MISSING')
    }
    await context.close()
  })
})
