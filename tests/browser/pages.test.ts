import { afterAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'

const SCREENSHOTS = process.env['SCREENSHOTS']

describeInBrowser('the pages', async (browser) => {
  const { app, call, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const origin = `http://127.0.0.1:${app.server?.port}`

  /** Opens a page and keeps what it asked for and complained about. */
  async function open(path: string) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } })
    const requested: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => requested.push(request.url()))
    page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(origin + path)
    /** What went to another host, once the page asks for nothing more. */
    const foreign = async () => {
      await page.waitForLoadState('networkidle')
      return requested.filter((url) => !/^(?:data|blob):/.test(url) && !url.startsWith(origin))
    }
    return { page, complaints, foreign }
  }

  async function screenshot(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` })
  }

  test('/ leads to the docs', async () => {
    const { page } = await open('/')
    expect(page.url()).toBe(`${origin}/docs`)
    await page.close()
  })

  test('Swagger UI shows every operation and asks no other host', async () => {
    const { page, complaints, foreign } = await open('/docs')
    await page.getByText('/api/v1/todos/{id}/complete').waitFor()
    await screenshot(page, 'docs')
    const { body: document } = await call('GET', '/openapi.json')
    const operations = Object.values(document.paths).flatMap((item) => Object.keys(item as object))
    expect(await page.locator('.opblock').count()).toBe(operations.length)
    expect(await foreign()).toEqual([])
    expect(complaints).toEqual([])
    await page.close()
  })

  test('after Authorize, "Try it out" creates a task and lists it', async () => {
    const { page, complaints } = await open('/docs')
    await page.locator('button.authorize').first().click()
    await page.locator('.auth-container input').fill(await signAccessToken('browser', settings))
    await page.locator('.auth-btn-wrapper button.authorize').click()
    await screenshot(page, 'docs-authorize')
    await page.locator('.btn-done').click()

    const create = page.locator('#operations-Tasks-createTask')
    await create.locator('.opblock-summary').click()
    await create.locator('textarea.body-param__text').fill('{"title": "From the docs page"}')
    await create.locator('button.execute').click()
    expect(await create.locator('tr.response .response-col_status').first().textContent()).toBe('201')
    await screenshot(page, 'docs-created')

    const list = page.locator('#operations-Tasks-listTasks')
    await list.locator('.opblock-summary').click()
    await list.locator('button.execute').click()
    await list.locator('.live-responses-table').waitFor()
    expect(await list.locator('.live-responses-table').textContent()).toContain('From the docs page')
    expect(complaints).toEqual([])
    await page.close()
  })

  /** Sends what "Try it out" of an operation is to send. @returns the answer's status and body */
  async function tryOut(page: Page, operation: string, body?: string) {
    const block = page.locator(`#operations-${operation}`)
    await block.locator('.opblock-summary').click()
    if (body !== undefined) await block.locator('textarea.body-param__text').fill(body)
    await block.locator('button.execute').click()
    const live = block.locator('.live-responses-table')
    await live.waitFor()
    return {
      status: await live.locator('.response-col_status').last().textContent(),
      body: (await live.locator('.response-col_description .microlight').first().textContent()) ?? '',
    }
  }

  test('an event stream shows what comes in the first seconds, as the document describes it', async () => {
    const { page, complaints } = await open('/docs')
    const account = { email: 'events@example.com', password: 'correct horse battery' }
    const { body } = await call('POST', '/api/v1/auth/register', { body: account })
    await page.evaluate((token) => {
      const { ui } = globalThis as unknown as {
        ui: { preauthorizeApiKey(name: string, value: string): void }
      }
      ui.preauthorizeApiKey('bearer', token)
    }, body.access_token)
    const opened = page.waitForResponse((response) => response.url().endsWith('/api/v1/todos/events'))
    const shown = tryOut(page, 'Tasks-streamEvents')
    await opened
    const headers = { authorization: `Bearer ${body.access_token}` }
    await call('POST', '/api/v1/todos', { headers, body: { title: 'Buy milk' } })
    const stream = await shown
    expect(stream.status).toBe('200')
    expect(stream.body).toContain('"title":"Buy milk"')
    expect(stream.body).toContain(': this page listens for 5 seconds')
    await screenshot(page, 'docs-events')
    // the page breaks off what would not end
    expect(complaints).toEqual([`failed: ${origin}/api/v1/todos/events`])
    await page.close()
  })

  test('a problem and the headers are folded until they are asked for', async () => {
    const { page } = await open('/docs')
    const block = page.locator('#operations-Tasks-readTask')
    await block.locator('.opblock-summary-control').click()
    const row = block.locator('tr.response[data-code="404"]')
    expect(await row.textContent()).toBe('404TASK_NOT_FOUND')
    await row.getByRole('button', { name: '404' }).press('Enter')
    await row.getByText('"error_code"').waitFor()
    const headers = row.locator('details')
    expect(await headers.getByText('RateLimit-Policy').isVisible()).toBe(false)
    await headers.locator('summary').click()
    expect(await headers.getByText('RateLimit-Policy').isVisible()).toBe(true)
    await page.close()
  })

  /** They have the most parameters, problems, and the longest examples. */
  const LARGEST = [
    'Tasks-listTasks',
    'Tasks-createTask',
    'Tasks_of_a_user-readChangesOfUser',
    'Account-updateUser',
  ]

  test.each([
    ['a phone', 390, Number.POSITIVE_INFINITY],
    ['a screen', 1440, 900],
  ])('an operation fits %s', async (name, width, height) => {
    const { page } = await open('/docs')
    await page.setViewportSize({ width, height: 900 })
    for (const id of LARGEST) {
      const block = page.locator(`#operations-${id}`)
      await block.locator('.opblock-summary-control').click()
      await block.locator('.responses-table').waitFor()
      expect((await block.boundingBox())?.height, id).toBeLessThanOrEqual(height)
      expect(await page.evaluate(() => document.documentElement.scrollWidth), id).toBe(width)
    }
    await screenshot(page, `docs-on-${name}`)
    await page.close()
  })

  test('what `login` answered is what Authorize takes', async () => {
    const { page, complaints } = await open('/docs')
    const account = { email: 'docs@example.com', password: 'correct horse battery' }
    await call('POST', '/api/v1/auth/register', { body: account })
    const login = await tryOut(page, 'Sign-in-login', JSON.stringify(account))
    expect(login.status).toContain('200')
    await screenshot(page, 'docs-login')

    // the page has taken it already; taken by hand, it must be as good
    await page.locator('button.authorize').first().click()
    await page.locator('.auth-btn-wrapper button', { hasText: 'Logout' }).click()
    await page.locator('.auth-container input').fill(JSON.parse(login.body).access_token)
    await page.locator('.auth-btn-wrapper button.authorize').click()
    await page.locator('.btn-done').click()
    const user = await tryOut(page, 'Account-readUser')
    expect(user.status).toContain('200')
    expect(user.body).toContain(account.email)
    expect(complaints).toEqual([])
    await page.close()
  })

  test('who signs up on the page is signed in on the page', async () => {
    const { page, complaints } = await open('/docs')
    const account = { email: 'page@example.com', password: 'correct horse battery' }
    expect((await tryOut(page, 'Sign-in-register', JSON.stringify(account))).status).toContain('201')
    const user = await tryOut(page, 'Account-readUser')
    await screenshot(page, 'docs-signed-up')
    expect(user.body).toContain(account.email)
    expect(complaints).toEqual([])
    await page.close()
  })

  test('ReDoc shows the reference and asks no other host', async () => {
    const { page, complaints, foreign } = await open('/redoc')
    await page.getByRole('heading', { name: 'Complete a task, or take it back' }).first().waitFor()
    await screenshot(page, 'redoc')
    expect(await foreign()).toEqual([])
    expect(complaints).toEqual([])
    await page.close()
  })
})
