import { afterAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import type { Client } from '../../src/client/index'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { startBundle } from '../support/frontend'

/** Globals of the page. */
declare global {
  var client: Client
  var rendered: string[]
}

describeInBrowser('the hooks for React', async (browser) => {
  const frontend = await startBundle('react-app.ts')
  const { app } = await testApp({ CORS_ORIGINS: frontend, AUTH_RATE_LIMIT_PER_MINUTE: '1000000' })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const api = `http://127.0.0.1:${app.server?.port}`

  async function open() {
    const context = await browser.newContext()
    afterAll(() => context.close())
    const page = await context.newPage()
    const faults: string[] = []
    const streams: string[] = []
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('request', (request) => request.url().includes('/events') && streams.push(request.url()))
    await page.goto(`${frontend}/?api=${api}`)
    return { page, faults, streams }
  }
  const signUp = (page: Page, email: string) =>
    page.evaluate(async (given) => {
      await client.signUp({ email: given, password: 'correct horse battery' })
    }, email)
  const create = (page: Page, title: string) =>
    page.evaluate(async (given) => {
      await client.api.v1.todos.post({ title: given })
    }, title)
  const shows = (page: Page, selector: string, text: string) =>
    page.locator(selector, { hasText: text }).first().waitFor()

  test('show who is signed in and all tasks, live, from one stream', async () => {
    const { page, faults, streams } = await open()
    const email = `${crypto.randomUUID()}@example.com`
    await shows(page, '#who', 'signed-out')
    await shows(page, '#one h1', 'ended')
    await signUp(page, email)
    await shows(page, '#who', `signed-in ${email}`)
    await shows(page, '#one h1', 'live')
    await create(page, 'first')
    await create(page, 'second')
    await shows(page, '#other li', 'first')
    expect(await page.locator('#one li').allTextContents()).toEqual(['second', 'first'])
    expect(await page.locator('#other li').allTextContents()).toEqual(['second', 'first'])
    expect(streams.length).toBe(1)

    await page.reload()
    await shows(page, '#who', `signed-in ${email}`)
    await shows(page, '#one li', 'second')
    expect(faults).toEqual([])
  })

  test('show nothing of a user who has signed out to the next one', async () => {
    const { page, faults } = await open()
    await signUp(page, `${crypto.randomUUID()}@example.com`)
    await create(page, 'of Ann')
    await shows(page, '#one li', 'of Ann')
    await page.evaluate(() => client.signOut())
    await shows(page, '#who', 'signed-out signed-out')
    await shows(page, '#one h1', 'ended')
    expect(await page.locator('li').count()).toBe(0)
    await signUp(page, `${crypto.randomUUID()}@example.com`)
    await create(page, 'of Bob')
    await shows(page, '#one li', 'of Bob')
    expect(await page.locator('#one li').allTextContents()).toEqual(['of Bob'])
    expect(faults).toEqual([])
  })

  test('begin anew after a while without components, and know nothing of an earlier user then', async () => {
    const { page, faults } = await open()
    await page.clock.install()
    await page.reload()
    await signUp(page, `${crypto.randomUUID()}@example.com`)
    await create(page, 'of Ann')
    await shows(page, '#one li', 'of Ann')
    await page.click('button')
    await page.clock.fastForward(6000)
    await page.evaluate(() => client.signOut())
    await signUp(page, `${crypto.randomUUID()}@example.com`)
    await page.evaluate(() => void rendered.splice(0))
    await page.click('button')
    await create(page, 'of Bob')
    await shows(page, '#one li', 'of Bob')
    expect(new Set(await page.evaluate(() => rendered))).toEqual(new Set(['', 'of Bob']))
    expect(faults).toEqual([])
  })

  test('keep the tasks for components that come back soon', async () => {
    const { page, streams } = await open()
    await signUp(page, `${crypto.randomUUID()}@example.com`)
    await create(page, 'first')
    await shows(page, '#one li', 'first')
    await page.click('button')
    expect(await page.locator('li').count()).toBe(0)
    await page.click('button')
    expect(await page.locator('#one li').allTextContents()).toEqual(['first'])
    await create(page, 'second')
    await shows(page, '#one li', 'second')
    expect(streams.length).toBe(1)
  })
})
