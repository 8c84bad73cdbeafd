import { afterAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { signAccessToken } from '../../src/auth/token'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'

const SCREENSHOTS = process.env['SCREENSHOTS']

/** Another host, as far as a browser is concerned; its script would say that it ran. */
function startSite(page = '<!doctype html><title>site</title>') {
  const asked: string[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: ({ url }) => {
      asked.push(new URL(url).pathname)
      const isScript = url.endsWith('.js')
      return new Response(isScript ? 'globalThis.ran = true' : page, {
        headers: {
          'content-type': isScript ? 'text/javascript' : 'text/html',
          'access-control-allow-origin': '*',
        },
      })
    },
  })
  afterAll(() => server.stop(true))
  return { origin: `http://127.0.0.1:${server.port}`, asked }
}

describeInBrowser('the Content-Security-Policy of the pages', async (browser) => {
  const { app, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const origin = `http://127.0.0.1:${app.server?.port}`

  /** Opens a page and keeps what its policy has stopped, its complaints, and the hosts that it asked. */
  async function open(path: string) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } })
    const page = await context.newPage()
    const violations: string[] = []
    const complaints: string[] = []
    const requested: string[] = []
    await page.exposeFunction('tell', (directive: string) => violations.push(directive))
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        Reflect.get(globalThis, 'tell')(Reflect.get(event, 'effectiveDirective'))
      })
    })
    page.on('request', (request) => requested.push(request.url()))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(origin + path)
    /** What there is to find fault with, once the page asks for nothing more. */
    const faults = async () => {
      await page.waitForLoadState('networkidle')
      // what is told of the past arrives before the answer to this
      await page.evaluate(() => new Promise((done) => setTimeout(done)))
      const foreign = requested.filter((url) => !/^(?:data|blob):/.test(url) && !url.startsWith(`${origin}/`))
      return { violations, complaints, foreign }
    }
    const close = () => context.close()
    return { page, violations, faults, close }
  }

  const NONE = { violations: [], complaints: [], foreign: [] }

  async function screenshot(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` })
  }

  test('lets Swagger UI authorize, send, download and show what came', async () => {
    const { page, faults, close } = await open('/docs')
    await page.locator('button.authorize').first().click()
    await page.locator('.auth-container input').fill(await signAccessToken('browser', settings))
    await page.locator('.auth-container input').press('Enter')
    await page.locator('.auth-btn-wrapper button', { hasText: 'Logout' }).waitFor()
    await page.locator('.btn-done').click()

    const create = page.locator('#operations-Tasks-createTask')
    await create.locator('.opblock-summary').click()
    await create.locator('textarea.body-param__text').fill('{"title": "Under a policy"}')
    await create.locator('button.execute').click()
    const answer = create.locator('.live-responses-table')
    expect(await answer.locator('.microlight').first().textContent()).toContain('Under a policy')
    const download = page.waitForEvent('download')
    await answer.locator('.download-contents').click()
    await (await download).delete()
    await screenshot(page, 'csp-docs')
    expect(await faults()).toEqual(NONE)
    await close()
  })

  test('lets Swagger UI open what a link is to, and unfold and fold', async () => {
    const { page, faults, close } = await open('/docs#/Tasks/listTasks')
    const list = page.locator('#operations-Tasks-listTasks')
    await list.locator('.opblock-body').waitFor()
    await list.locator('.model-example button', { hasText: 'Schema' }).first().click()
    await list.locator('.model-box').first().waitFor()
    await list.locator('.opblock-summary').click()
    await list.locator('.opblock-body').waitFor({ state: 'detached' })
    await page.locator('#operations-tag-Tasks').click()
    await list.waitFor({ state: 'detached' })
    await page.locator('section.models .json-schema-2020-12-accordion').first().click()
    await page.locator('section.models .json-schema-2020-12-body').first().waitFor()
    await screenshot(page, 'csp-docs-models')
    expect(await faults()).toEqual(NONE)
    await close()
  })

  test('lets ReDoc search in its worker, and go to what it found', async () => {
    const { page, faults, close } = await open('/redoc')
    await page.locator('[role=search] input').fill('trash')
    const found = page.locator('[data-role="search:results"] li')
    await found.filter({ hasText: 'List deleted tasks' }).first().click()
    await page.waitForURL(/#.*listTrash/)
    await screenshot(page, 'csp-redoc-search')
    expect(page.workers()).toHaveLength(1)
    expect(await faults()).toEqual(NONE)
    await close()
  })

  test('lets ReDoc open what a link is to, unfold answers, and look as it should', async () => {
    const { page, faults, close } = await open('/redoc#tag/Tasks/operation/createTask')
    const operation = page.locator('[id="tag/Tasks/operation/createTask"]')
    await operation.locator('button', { hasText: '201' }).click()
    await operation.getByText('RESPONSE SCHEMA').first().waitFor()
    await operation.locator('button', { hasText: 'Copy' }).first().click()
    await screenshot(page, 'csp-redoc')
    const menu = await page.locator('.menu-content').boundingBox()
    expect(menu?.width).toBe(260)
    expect(await faults()).toEqual(NONE)
    await close()
  })

  describe.each(['/docs', '/redoc'])('on %s stops', async (path) => {
    const other = startSite()
    const { page, violations, close } = await open(path)
    afterAll(close)
    await page.waitForLoadState('networkidle')

    /** In the page, as a script of its own would: what runs there says so in `ran`. */
    const ATTEMPTS: [what: string, directive: string, attempt: (host: string) => void][] = [
      [
        'an inline script',
        'script-src-elem',
        () => {
          const script = document.createElement('script')
          script.textContent = 'globalThis.ran = true'
          document.body.append(script)
        },
      ],
      [
        "an element's handler",
        'script-src-attr',
        () => {
          const element = document.createElement('div')
          document.body.append(element)
          element.setAttribute('onclick', 'globalThis.ran = true')
          element.click()
        },
      ],
      [
        'a script from another host',
        'script-src-elem',
        (host) => {
          const script = document.createElement('script')
          script.src = `${host}/script.js`
          document.body.append(script)
        },
      ],
      [
        'what is evaluated',
        'script-src',
        // later, for what the test runs by itself may evaluate
        () => void setTimeout(() => Reflect.construct(Function, ['globalThis.ran = true'])()),
      ],
      [
        'a request to another host',
        'connect-src',
        (host) => void fetch(`${host}/data`).then(() => Reflect.set(globalThis, 'ran', true)),
      ],
      [
        'an image from another host',
        'img-src',
        (host) => {
          new Image().src = `${host}/image.png`
        },
      ],
      [
        'an inline style',
        'style-src-elem',
        () => {
          const style = document.createElement('style')
          style.textContent = '* { color: red }'
          document.body.append(style)
        },
      ],
      [
        'a frame',
        'frame-src',
        (host) => {
          const frame = document.createElement('iframe')
          frame.src = host
          document.body.append(frame)
        },
      ],
      [
        'another base',
        'base-uri',
        (host) => {
          const base = document.createElement('base')
          base.href = host
          document.head.append(base)
        },
      ],
      [
        'a form',
        'form-action',
        (host) => {
          const form = document.createElement('form')
          form.action = host
          document.body.append(form)
          form.submit()
        },
      ],
    ]

    test.each(ATTEMPTS)('%s', async (_, directive, attempt) => {
      violations.length = 0
      other.asked.length = 0
      await page.evaluate(() => Reflect.deleteProperty(globalThis, 'ran'))
      await page.evaluate(attempt, other.origin)
      while (!violations.includes(directive))
        await page.evaluate(() => new Promise((done) => setTimeout(done)))
      expect(await page.evaluate(() => Reflect.get(globalThis, 'ran'))).toBeUndefined()
      expect(other.asked).toEqual([])
      expect(page.url()).toStartWith(origin + path)
    })
  })

  test.each(['/docs', '/redoc', '/openapi.json', '/health'])(
    'lets nobody put %s into a frame',
    async (path) => {
      const site = startSite(`<!doctype html><iframe src="${origin}${path}"></iframe>`)
      const page = await browser.newPage()
      const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'))
      await page.goto(site.origin)
      expect((await refused).type()).toBe('error')
      expect(page.frames().map((frame) => frame.url())).not.toContain(origin + path)
      await page.close()
    },
  )
})
