import { afterAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import type { allTasks, Client, Task } from '../../src/client/index'
import { freePort } from '../../src/system/free-port'
import { testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'
import { NGINX, startNginx } from '../support/nginx'

const SCREENSHOTS = process.env['SCREENSHOTS']

/** What the site's page puts there. */
declare const taskwell: {
  createClient(url: string, options: { storage: unknown }): Client
  allTasks: typeof allTasks
}

/** A frontend beside the API: one empty page, and the client as a bundler makes it for browsers. */
async function frontend() {
  const entrypoints = [join(import.meta.dir, '../../src/client/index.ts')]
  const { outputs } = await Bun.build({ entrypoints, target: 'browser' })
  const [bundle] = outputs
  if (!bundle) throw new Error('the client was not bundled')
  return {
    'index.html': `<!doctype html><title>frontend</title><link rel="icon" href="data:,">
      <script type="module">
        import * as client from '/client.js'
        globalThis.taskwell = client
      </script>`,
    'client.js': await bundle.text(),
  }
}

/** A service that hears nothing of the path. */
async function startBehind(env: Record<string, string>) {
  const { app } = await testApp(env)
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  return app.server?.port
}

const command = NGINX
if (command) describeInBrowser('behind a path of nginx', (browser) => behindNginx(command, browser))
else test.skip('behind a path of nginx: there is no nginx here; install one', () => {})

async function behindNginx(command: string, browser: Browser): Promise<void> {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const configured = await startBehind({ PUBLIC_URL: `${origin}/tasks` })
  const forwarded = await startBehind({ TRUSTED_PROXY_HOPS: '1' })
  const silent = await startBehind({})
  const common = `
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;`
  await startNginx(command, {
    port,
    files: await frontend(),
    locations: `
    location /tasks/ {
      proxy_pass http://127.0.0.1:${configured}/; ${common}
    }
    location /a/b/ {
      proxy_pass http://127.0.0.1:${forwarded}/; ${common}
      proxy_set_header X-Forwarded-Prefix /a/b;
    }
    location /clean/ {
      proxy_pass http://127.0.0.1:${forwarded}/; ${common}
      proxy_set_header X-Forwarded-Prefix "";
    }
    location /silent/ {
      proxy_pass http://127.0.0.1:${silent}/; ${common}
    }`,
  })

  /** Opens a page and keeps what it asked for, what failed, and what its policy has stopped. */
  async function open(path: string) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } })
    const page = await context.newPage()
    const requested: string[] = []
    const faults: string[] = []
    await page.exposeFunction('tell', (directive: string) => faults.push(`stopped: ${directive}`))
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        Reflect.get(globalThis, 'tell')(Reflect.get(event, 'effectiveDirective'))
      })
    })
    page.on('request', (request) => requested.push(request.url()))
    page.on('requestfailed', (request) => faults.push(`failed: ${request.url()}`))
    page.on(
      'response',
      (response) => response.status() >= 400 && faults.push(`${response.status()}: ${response.url()}`),
    )
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
    page.on('pageerror', (error) => faults.push(error.message))
    await page.goto(origin + path)
    /** What went elsewhere than below the root, once the page asks for nothing more. */
    const beyond = async (root: string) => {
      await page.waitForLoadState('networkidle')
      return requested.filter((url) => !/^(?:data|blob):/.test(url) && !url.startsWith(origin + root))
    }
    return { page, requested, faults, beyond, close: () => context.close() }
  }

  async function screenshot(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name.replaceAll('/', '-')}.png` })
  }

  /** Sends what "Try it out" of an operation is to send. @returns the address, and what is shown of the answer */
  async function tryOut(page: Page, operation: string, body: unknown) {
    const block = page.locator(`#operations-${operation}`)
    await block.locator('.opblock-summary').click()
    await block.locator('textarea.body-param__text').fill(JSON.stringify(body))
    await block.locator('button.execute').click()
    const live = block.locator('.live-responses-table')
    await live.waitFor()
    return {
      address: await block.locator('.request-url .microlight').textContent(),
      answer: (await live.textContent()) ?? '',
    }
  }

  describe.each([
    ['/tasks', 'by PUBLIC_URL', ''],
    ['/a/b', 'by X-Forwarded-Prefix', '/'],
    ['/silent', 'that nobody has named', ''],
  ])('%s, %s', (root, _, slash) => {
    test(`/docs${slash} shows every operation`, async () => {
      const { page, faults, beyond, close } = await open(`${root}/docs${slash}`)
      await page.getByText('/api/v1/todos/{id}/complete').waitFor()
      expect(await page.locator('.servers option').allTextContents()).toEqual([origin + root])
      expect(await page.locator('.information-container a.link').getAttribute('href')).toBe(
        `${origin}${root}/openapi.json`,
      )
      await screenshot(page, `behind${root}/docs`)
      expect(await beyond(root)).toEqual([])
      expect(faults).toEqual([])
      await close()
    })

    test(`/redoc${slash} shows the document, and its logo`, async () => {
      const { page, faults, beyond, close } = await open(`${root}/redoc${slash}`)
      await page.locator('[id="tag/Tasks/operation/createTask"]').waitFor()
      const logo = page.locator('img[alt="redocly logo"]')
      expect(await logo.evaluate((image) => Reflect.get(image, 'naturalWidth'))).toBe(32)
      await screenshot(page, `behind${root}/redoc`)
      expect(await beyond(root)).toEqual([])
      expect(faults).toEqual([])
      await close()
    })

    test('the client signs in, walks through pages, changes, and follows as things happen', async () => {
      const { page, requested, faults, beyond, close } = await open('/')
      const email = `${crypto.randomUUID()}@example.com`
      const seen = await page.evaluate(
        async ([url, account]) => {
          const client = taskwell.createClient(url, { storage: Reflect.get(globalThis, 'localStorage') })
          await client.signUp(account)
          await client.signOut()
          await client.signIn(account)
          const tasks = new Map<number, Task>()
          const heard = new Set<string>()
          const sync = client.sync(tasks, {
            onChange(changes) {
              for (const change of changes) if ('title' in change) heard.add(change.title)
            },
          })
          await sync.ready
          for (const title of ['one', 'two', 'three']) await client.api.v1.todos.post({ title })
          const walked: Task[] = []
          for await (const task of taskwell.allTasks(client, { limit: 1, order: 'asc' })) walked.push(task)
          const [first] = walked
          if (first) await client.update(first, ({ title }) => ({ title: `${title}!` }))
          while (!heard.has('one!')) await new Promise((done) => setTimeout(done, 10))
          sync.stop()
          return {
            walked: walked.map(({ title }) => title),
            kept: [...tasks.values()].map(({ title }) => title).sort(),
          }
        },
        [`${origin}${root}`, { email, password: 'correct horse battery' }] as const,
      )
      expect(seen).toEqual({ walked: ['one', 'two', 'three'], kept: ['one!', 'three', 'two'] })
      // all of that came while one stream was open
      const api = requested.filter((url) => url.startsWith(`${origin}${root}/api/v1/todos/`))
      expect(api.filter((url) => url.includes('/events'))).toHaveLength(1)
      expect(await beyond('/')).toEqual([])
      // the stream, which has been stopped
      expect(faults.filter((fault) => !/^failed: .*\/events\?/.test(fault))).toEqual([])
      await close()
    })
  })

  test('a user who signs up on the page is authorized there, and "Try it out" reaches the API', async () => {
    const root = '/tasks'
    const { page, faults, beyond, close } = await open(`${root}/docs`)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    const signUp = await tryOut(page, 'Sign-in-register', account)
    expect(signUp.address).toBe(`${origin}${root}/api/v1/auth/register`)
    const created = await tryOut(page, 'Tasks-createTask', { title: 'From below a path' })
    expect(created.address).toBe(`${origin}${root}/api/v1/todos`)
    expect(created.answer).toContain('From below a path')
    expect(created.answer).toContain(`location: ${root}/api/v1/todos/`)
    await screenshot(page, `behind${root}-tried`)
    expect(await beyond(root)).toEqual([])
    expect(faults).toEqual([])
    await close()
  })

  test.each(['/tasks', '/tasks/', '/a/b', '/a/b/'])('%s leads to the docs', async (path) => {
    const { page, faults, close } = await open(path)
    expect(page.url()).toBe(`${origin}${path.replace(/\/$/, '')}/docs`)
    expect(faults).toEqual([])
    await close()
  })

  test.each([
    ['/a/b/', '/a/b/docs'],
    ['/clean/', '/docs'],
  ])('what a client says of a path is lost on its way through %s', async (path, start) => {
    const headers = { 'x-forwarded-prefix': '/stranger' }
    const answer = await fetch(origin + path, { headers, redirect: 'manual' })
    expect(answer.headers.get('location')).toBe(start)
  })

  test('"Try it out" goes to where the page came from, also where the public address is another', async () => {
    const direct = await startBehind({ PUBLIC_URL: 'https://example.com/tasks' })
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${direct}/docs`)
    const account = { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
    const { address } = await tryOut(page, 'Sign-in-register', account)
    expect(address).toBe(`http://127.0.0.1:${direct}/api/v1/auth/register`)
    const created = await tryOut(page, 'Tasks-createTask', { title: 'Beside the page' })
    expect(created.answer).toContain('Beside the page')
    await page.close()
  })
}
