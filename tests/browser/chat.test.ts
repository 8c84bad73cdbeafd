/** The assistant behind `useChat` of the AI SDK, in a page of another origin. */
import { afterAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { startBundle } from '../support/frontend'
import { tokenOf } from '../support/http-connection'
import { chunk, refuses, says, startScriptedModel, streams, uses } from '../support/scripted-model'

describeInBrowser('a chat in React', async (browser) => {
  const frontend = await startBundle('chat-app.ts')
  const model = startScriptedModel()
  const { app, call } = await testApp({ ...model.env, CORS_ORIGINS: frontend })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))

  async function open() {
    const user = crypto.randomUUID()
    const context = await browser.newContext()
    afterAll(() => context.close())
    const page = await context.newPage()
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(error.message))
    const given = new URLSearchParams({
      api: `http://127.0.0.1:${app.server?.port}`,
      token: await tokenOf(user),
    })
    await page.goto(`${frontend}/?${given}`)
    return { user, page, faults }
  }
  async function send(page: Page, text: string) {
    await page.fill('input', text)
    await page.click('text=Send')
  }
  const shows = (page: Page, selector: string, text: string) =>
    page.locator(selector, { hasText: text }).first().waitFor()
  const said = (page: Page) => page.locator('li').allTextContents()

  test('shows words as they come, then tools with their results, and goes on in its conversation', async () => {
    const { user, page, faults } = await open()
    const { promise: seen, resolve: goOn } = Promise.withResolvers<void>()
    model.script(
      streams([chunk({ content: 'Hello' }), seen, chunk({ content: ' Ann' }), chunk({}, 'stop')]),
      uses([['add_task', { title: 'Buy milk' }]]),
      says('Done.'),
    )
    await send(page, 'Hi')
    await shows(page, '.assistant', 'Hello')
    await shows(page, 'h1', 'streaming')
    goOn()
    await shows(page, 'h1', 'ready')
    await send(page, 'Add milk')
    await shows(page, '.assistant', 'Done.')
    await shows(page, 'h1', 'ready')
    const [task] = (await call('GET', '/api/v1/todos', { as: user })).body
    const result = JSON.stringify({ task_id: task.id, status: 'created', title: 'Buy milk' })
    expect(await said(page)).toEqual([
      'Hi',
      'Hello Ann',
      'Add milk',
      `[tool-add_task output-available ${result}]Done.`,
    ])
    expect((await call('GET', '/api/v1/conversations', { as: user })).body).toHaveLength(1)
    expect(faults).toEqual([])
  })

  test('that is stopped ends the request to the model, and can be gone on with', async () => {
    const { page, faults } = await open()
    model.script(streams([chunk({ content: 'Once' })], { end: 'hang' }), says('The end.'))
    await send(page, 'Tell me a story')
    await shows(page, '.assistant', 'Once')
    await page.click('text=Stop')
    await (await model.asked(1)).left
    await shows(page, 'h1', 'ready')
    await send(page, 'And then?')
    await shows(page, '.assistant', 'The end.')
    expect(faults).toEqual([])
  })

  test('shows what fails before the first word and after it, and asks again in the same conversation', async () => {
    const { user, page, faults } = await open()
    const { promise: seen, resolve: cut } = Promise.withResolvers<void>()
    model.script(refuses(500), streams([chunk({ content: 'We' }), seen], { end: 'cut' }), says('Well.'))
    await send(page, 'How are you?')
    await shows(page, 'h1', 'error')
    expect(JSON.parse((await page.textContent('#error')) ?? '')).toMatchObject({
      status: 503,
      error_code: 'ASSISTANT_UNAVAILABLE',
    })
    await page.click('text=Again')
    await shows(page, '.assistant', 'We')
    cut()
    await page.getByText('The assistant cannot answer at the moment', { exact: true }).waitFor()
    expect(await said(page)).toEqual(['How are you?', 'We'])
    await page.click('text=Again')
    await shows(page, '.assistant', 'Well.')
    expect(await said(page)).toEqual(['How are you?', 'Well.'])
    expect((await call('GET', '/api/v1/conversations', { as: user })).body).toHaveLength(1)
    expect(faults).toEqual([])
  })
})
