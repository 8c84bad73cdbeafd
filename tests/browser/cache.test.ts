import { afterAll, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'

describeInBrowser('a browser that keeps answers', async (browser) => {
  const { app, call, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })

  test('shows nobody the list of who was signed in before', async () => {
    for (const as of ['ann', 'bob']) await call('POST', '/api/v1/todos', { as, body: { title: `of ${as}` } })
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${app.server?.port}/docs`)
    for (const as of ['ann', 'bob', 'ann']) {
      const authorization = `Bearer ${await signAccessToken(as, settings)}`
      const titles = await page.evaluate(async (header) => {
        const response = await fetch('/api/v1/todos', { headers: { authorization: header } })
        const tasks: { title: string }[] = await response.json()
        return tasks.map(({ title }) => title)
      }, authorization)
      expect(titles).toEqual([`of ${as}`])
    }
    await page.close()
  })
})
