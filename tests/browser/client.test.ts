import { afterAll, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import type { BrowserContext, Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import type {
  Client,
  createClient as CreateClient,
  KeyValueStorage,
  StorageName,
} from '../../src/client/index'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { startFrontend } from '../support/frontend'

/** Globals of the page. */
declare global {
  var client: Client
}
declare const createClient: typeof CreateClient

describeInBrowser('the client in pages', async (browser) => {
  const frontend = await startFrontend()
  const { app, settings } = await testApp({
    CORS_ORIGINS: frontend.url,
    AUTH_RATE_LIMIT_PER_MINUTE: '1000000',
  })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const api = `http://127.0.0.1:${app.server?.port}`
  frontend.showClientOf(api)

  /** A browser in which a user has just signed up. */
  async function signedUp() {
    const context = await browser.newContext()
    const requests: string[] = []
    context.on('request', (request) => requests.push(`${request.method()} ${request.url().replace(api, '')}`))
    const tab = await open(context)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    const user = await tab.evaluate(async (given) => {
      const { data } = await client.signUp(given)
      return data?.user.id
    }, account)
    const count = (wanted: string) => requests.filter((request) => request === wanted).length
    return { context, tab, account, user: String(user), count }
  }

  /** Puts a client with that storage into the place of the page's own. @returns what its session is at that moment */
  function replaceStorage(page: Page, storage: StorageName): Promise<string> {
    const open = ([address, name]: [string, StorageName]) => {
      globalThis.client = createClient(address, { storage: name })
      return client.session.status
    }
    return page.evaluate(open, [api, storage] as [string, StorageName])
  }

  async function open(context: BrowserContext): Promise<Page> {
    const page = await context.newPage()
    await page.goto(frontend.url)
    return page
  }

  /** The id of the signed-in user, or the error code. */
  function whoIs(page: Page): Promise<string> {
    return page.evaluate(async () => {
      const { data, error } = await client.api.v1.users.me.get()
      return data?.id ?? String(error?.value.error_code)
    })
  }

  /** Makes the access token in the storage expire, as after a night. */
  async function sleepOver(page: Page): Promise<void> {
    const stored = await page.evaluate(() => Object.entries(localStorage))
    const [[key, text] = ['', '']] = stored
    const tokens = JSON.parse(text)
    const sessionId = String(decodeJwt(tokens.access)['sid'])
    const access = await signAccessToken(tokens.user, { ...settings, jwtExpireMinutes: -1 }, sessionId)
    const slept = JSON.stringify({ ...tokens, access, renewAt: 0 })
    await page.evaluate((entry) => localStorage.setItem(...entry), [key, slept] as [string, string])
  }

  /** Holds answers of `refresh` back until `pass` is called. */
  async function holdRefresh(context: BrowserContext) {
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
    const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
    await context.route(`${api}/api/v1/auth/refresh`, async (route) => {
      const response = await route.fetch()
      reach()
      await passed
      // the page may be gone by now
      await route.fulfill({ response }).catch(() => {})
    })
    return { reached, pass }
  }

  test('a user stays signed in when the page is loaded again, and in other tabs', async () => {
    const { context, tab, user } = await signedUp()
    await tab.reload()
    expect([await whoIs(tab), await whoIs(await open(context))]).toEqual([user, user])
    await context.close()
  })

  test('two tabs that wake at the same moment renew once, and both go on', async () => {
    const { context, tab, user, count } = await signedUp()
    await sleepOver(tab)
    const tabs = [await open(context), await open(context)]
    const { reached, pass } = await holdRefresh(context)
    const seen = Promise.all(tabs.map(whoIs))
    await reached
    await tab.waitForFunction(async () => (await navigator.locks.query()).pending?.length === 1)
    pass()
    expect(await seen).toEqual([user, user])
    expect(count('POST /api/v1/auth/refresh')).toBe(1)
    // neither tab has sent the expired token
    expect(count('GET /api/v1/users/me')).toBe(2)
    await context.close()
  })

  test('a page that is loaded again during a renewal goes on', async () => {
    const { context, tab, user, count } = await signedUp()
    await sleepOver(tab)
    await tab.reload()
    const { reached, pass } = await holdRefresh(context)
    const interrupted = whoIs(tab).catch(() => 'interrupted')
    await reached
    await tab.reload()
    expect(await interrupted).toBe('interrupted')
    pass()
    expect(await whoIs(tab)).toBe(user)
    expect(count('POST /api/v1/auth/refresh')).toBe(2)
    await context.close()
  })

  test('signing out in one tab signs out the other at its next renewal, and leaves nothing behind', async () => {
    const { context, tab, user, count } = await signedUp()
    await sleepOver(tab)
    const { reached, pass } = await holdRefresh(context)
    const [renewing, other] = [await open(context), await open(context)]
    const seen = whoIs(renewing)
    await reached
    await other.evaluate(() => client.signOut())
    pass()
    expect(await seen).toBe('TOKEN_MISSING')
    expect(await tab.evaluate(() => localStorage.length)).toBe(0)
    expect(await whoIs(await open(context))).toBe('TOKEN_MISSING')
    expect(count('POST /api/v1/auth/logout')).toBe(1)
    expect(user).not.toBe('undefined')
    await context.close()
  })

  const STORAGES = ['localStorage', 'indexedDB'] as const

  test.each(STORAGES)('with `%s`, a user stays signed in when the page is loaded again', async (storage) => {
    const { context, tab, account } = await signedUp()
    await replaceStorage(tab, storage)
    await tab.evaluate(async (given) => void (await client.signIn(given)), account)
    await tab.reload()
    const status = await replaceStorage(tab, storage)
    const email = await tab.evaluate(async () => (await client.session.ready).user?.email)
    // there is no moment in which the page does not know, if the storage answers at once
    expect({ status, email }).toEqual({
      status: storage === 'localStorage' ? 'signed-in' : 'loading',
      email: account.email,
    })
    await context.close()
  })

  test.each(STORAGES)('with `%s`, signing out in one tab signs out the others at once', async (storage) => {
    const { context, tab, account, count } = await signedUp()
    const others = [await open(context), await open(context)]
    for (const page of [tab, ...others]) await replaceStorage(page, storage)
    await tab.evaluate(async (given) => void (await client.signIn(given)), account)
    for (const page of others) await page.waitForFunction(() => client.session.status === 'signed-in')
    const before = count('GET /api/v1/users/me')
    await tab.evaluate(() => client.signOut())
    for (const page of others) {
      await page.waitForFunction(() => client.session.reason === 'signed-out')
      expect(await whoIs(page)).toBe('TOKEN_MISSING')
    }
    // without asking the server
    expect(count('GET /api/v1/users/me')).toBe(before + 2)
    expect(count('POST /api/v1/auth/refresh')).toBe(0)
    await context.close()
  })

  test('without `BroadcastChannel`, signing out in one tab signs out the other all the same', async () => {
    const context = await browser.newContext()
    await context.addInitScript(() => Reflect.deleteProperty(globalThis, 'BroadcastChannel'))
    const [tab, other] = [await open(context), await open(context)]
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    await tab.evaluate(async (given) => void (await client.signUp(given)), account)
    await other.waitForFunction(() => client.session.status === 'signed-in')
    await tab.evaluate(() => client.signOut())
    await other.waitForFunction(() => client.session.reason === 'signed-out')
    expect(await whoIs(other)).toBe('TOKEN_MISSING')
    await context.close()
  })

  test('another user who signs in in another tab replaces the one of this tab', async () => {
    const { context, tab } = await signedUp()
    const other = await open(context)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    await other.evaluate(async (given) => void (await client.signUp(given)), account)
    await tab.waitForFunction(() => client.session.reason === 'replaced')
    expect(await whoIs(tab)).toBe('TOKEN_MISSING')
    // a page that is loaded again shows the new user
    await tab.reload()
    expect(await tab.evaluate(() => client.session.user?.email)).toBe(account.email)
    await context.close()
  })

  test('a tab that was frozen while another signed out wakes signed out', async () => {
    const { context, tab } = await signedUp()
    const other = await open(context)
    const devtools = await context.newCDPSession(tab)
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    await other.evaluate(() => client.signOut())
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await tab.waitForFunction(() => client.session.reason === 'signed-out')
    expect(await whoIs(tab)).toBe('TOKEN_MISSING')
    await context.close()
  })

  test.each(['pageshow', 'visibilitychange', 'resume'])(
    'a page looks into the storage again at `%s`',
    async (name) => {
      const { context, tab } = await signedUp()
      const reason = await tab.evaluate(
        async ([address, event]) => {
          // a storage that tells of no change
          const items = new Map(Object.entries(localStorage))
          const storage: KeyValueStorage = {
            getItem: (key) => items.get(key) ?? null,
            setItem: (key, value) => items.set(key, value),
            removeItem: (key) => items.delete(key),
          }
          const { session } = createClient(address, { storage })
          const before = session.status
          items.clear()
          const changed = new Promise((resolve) => session.onChange(resolve))
          const target = event === 'pageshow' ? globalThis : document
          target.dispatchEvent(new Event(event))
          await changed
          return `${before} ${session.reason}`
        },
        [api, name] as [string, string],
      )
      expect(reason).toBe('signed-in signed-out')
      await context.close()
    },
  )
})
