/** What bundlers make of the package, and how large it is. */
import { ok, strictEqual } from 'node:assert'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { launchBrowser } from '../support/browser'
import { run } from './command'

/** In bytes, for all of the package, compressed. */
const LIMIT = 18_000
/** It stands in the code of `sync` alone. */
const SYNC_MARK = 'Another user has signed in'

/** What an app need not use. */
const EXPORTS = ['allTasks', 'betterAuthToken']

/** @returns what esbuild makes of a module in the folder `app` */
export async function build(app: string, tools: string, text: string, options: string[]): Promise<string> {
  await Bun.write(join(app, 'entry.js'), text)
  const esbuild = join(tools, 'node_modules/.bin/esbuild')
  return run(app, [esbuild, 'entry.js', '--bundle', '--minify', '--log-level=warning', ...options])
}

async function compressedSize(text: string): Promise<number> {
  return (await Bun.$`gzip -9 < ${new Response(text)}`.quiet()).stdout.length
}

export async function checkSize(app: string, tools: string): Promise<string> {
  const bundle = (text: string) => build(app, tools, text, ['--format=esm'])
  const whole = await compressedSize(await bundle("export * from 'taskwell-client'"))
  ok(whole < LIMIT, `all of it has ${whole} bytes`)

  const use = (...names: string[]) =>
    bundle(`import { ${names.join(', ')} } from 'taskwell-client'\nconsole.log(${names.join(', ')})`)
  const little = await use('createClient')
  for (const name of EXPORTS) {
    const more = (await use('createClient', name)).length - little.length
    ok(more > 100, `an app that does not use ${name} has it in its bundle`)
  }
  return `${whole} bytes compressed, ${await compressedSize(little)} of them for createClient with sync`
}

/** Builds `apps/vite` and visits it in a browser; its origin is not the server's. */
export async function checkVite(app: string, tools: string, url: string, port: number): Promise<string> {
  await cp(join(tools, 'apps/vite'), app, { recursive: true })
  const vite = ['node', join(tools, 'node_modules/vite/bin/vite.js'), 'build']
  await run(app, [...vite, '--config', 'size.config.js'])
  const whole = await compressedSize(await Bun.file(join(app, 'size/all.js')).text())
  ok(whole < LIMIT, `all of it has ${whole} bytes`)

  await run(app, vite, { VITE_API: url })
  const dist = join(app, 'dist')
  const html = await Bun.file(join(dist, 'index.html')).text()
  let first = 0
  let isLate = false
  for (const name of await readdir(join(dist, 'assets'))) {
    const text = await Bun.file(join(dist, 'assets', name)).text()
    if (html.includes(name)) first += await compressedSize(text)
    if (text.includes(SYNC_MARK)) isLate = !html.includes(name)
  }
  ok(isLate, 'the code of sync is loaded with the page')
  strictEqual(await visit(dist, port), 'signed-in live Buy milk')
  return `${whole} bytes compressed; a page that loads sync late has ${first} at first`
}

/** @returns the page's title, or what went wrong before it was set */
async function visit(dist: string, port: number): Promise<string> {
  const server = Bun.serve({
    port,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      const file = Bun.file(join(dist, pathname === '/' ? 'index.html' : pathname))
      return file.size > 0 ? new Response(file) : new Response(null, { status: 404 })
    },
  })
  const browser = await launchBrowser()
  try {
    const page = await browser.newPage()
    const failed = new Promise<string>((resolve) => {
      page.on('pageerror', ({ message }) => resolve(message))
      page.on(
        'console',
        (said) => said.type() === 'error' && resolve(`${said.text()} ${said.location().url}`),
      )
    })
    await page.goto(`http://127.0.0.1:${port}/`)
    const titled = page.waitForFunction("document.title !== 'app' && document.title")
    return await Promise.race([failed, titled.then((handle) => handle.jsonValue()).then(String)])
  } finally {
    await browser.close()
    await server.stop(true)
  }
}
