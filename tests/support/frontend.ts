/** Serves pages of frontends. */
import { afterAll } from 'bun:test'
import { join } from 'node:path'

/**
 * A frontend with an origin of its own: an empty page, and the client as a bundler makes it for browsers.
 *
 * @param hostname the name under which the browser finds this machine
 */
export async function startFrontend(hostname = '127.0.0.1') {
  const entrypoints = [join(import.meta.dir, '../../src/client/index.ts')]
  const { outputs } = await Bun.build({ entrypoints, target: 'browser' })
  const [bundle] = outputs
  const html = (api: string) => `<!doctype html><title>frontend</title><link rel="icon" href="data:,">
    <script type="module">
      import { createClient } from '/client.js'
      Object.assign(globalThis, { createClient, client: createClient('${api}', { storage: localStorage }) })
    </script>`
  let page = ''
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: ({ url }) =>
      url.endsWith('/client.js')
        ? new Response(bundle, { headers: { 'content-type': 'text/javascript' } })
        : new Response(page, { headers: { 'content-type': 'text/html' } }),
  })
  afterAll(() => server.stop(true))
  return {
    url: `http://${hostname}:${server.port}`,
    showClientOf(api: string) {
      page = html(api)
    },
  }
}

/**
 * A frontend with an origin of its own, made for browsers by a bundler.
 *
 * @param file its script, in this folder
 * @returns its URL
 */
export async function startBundle(file: string): Promise<string> {
  const entrypoints = [join(import.meta.dir, file)]
  const define = { 'process.env.NODE_ENV': '"production"' }
  const { outputs } = await Bun.build({ entrypoints, target: 'browser', define })
  const html =
    '<!doctype html><title>page</title><link rel="icon" href="data:,"><script type="module" src="/app.js"></script>'
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: ({ url }) =>
      url.endsWith('/app.js')
        ? new Response(outputs[0], { headers: { 'content-type': 'text/javascript' } })
        : new Response(html, { headers: { 'content-type': 'text/html' } }),
  })
  afterAll(() => server.stop(true))
  return `http://127.0.0.1:${server.port}`
}
