/// <reference path="./assets.d.ts" />
/** Swagger UI, ReDoc, and the document that both show. Nothing comes from another host: Elysia trap 35 (docs/elysia.md). */
import { type AnyElysia, Elysia } from 'elysia'
import redocScript from 'redoc/bundles/redoc.standalone.js' with { type: 'file' }
import favicon from 'swagger-ui-dist/favicon-32x32.png' with { type: 'file' }
import swaggerStyle from 'swagger-ui-dist/swagger-ui.css' with { type: 'file' }
import swaggerScript from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'file' }
import { answerCompressed, type Compressible, compressible } from '../http/compression'
import type { PublicPath } from '../http/public-path'
import { NoQuery } from '../http/schemas'
import { openApi } from './document'
import swaggerPageStyle from './swagger/page.css' with { type: 'text' }
import swaggerStart from './swagger/start.js' with { type: 'text' }

const hidden = { query: NoQuery, detail: { hide: true } }

const JS = 'text/javascript; charset=utf-8'
const CSS = 'text/css; charset=utf-8'

/** A Content-Security-Policy: scripts come from our files, none are evaluated, and nothing goes to another host. */
function policy(styles: readonly string[], workers: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${["'self'", ...styles].join(' ')}`,
    "img-src 'self' data:",
    "connect-src 'self'",
    `worker-src ${workers}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/** Hashes of what ReDoc writes into `<style>`: an empty text, which a script fills later, and the style of its scroll bars. */
const REDOC_STYLES = [
  "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
  "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
]

/** Its links are relative, so it works below any path of a proxy. */
function page(contentSecurityPolicy: string, title: string, head: string, body: string) {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="docs/assets/favicon.png">
${head}
</head>
<body>${body}</body>
</html>`
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
    'content-security-policy': contentSecurityPolicy,
  }
  const htmlBelowSlash = html.replaceAll('"docs/', '"../docs/')
  return ({ path }: { path: string }) => new Response(path.endsWith('/') ? htmlBelowSlash : html, { headers })
}

const SWAGGER_PAGE = page(
  policy([], "'none'"),
  'Taskwell API',
  '<link rel="stylesheet" href="docs/assets/swagger-ui.css"><link rel="stylesheet" href="docs/assets/swagger-page.css">',
  '<div id="ui"></div><script src="docs/assets/swagger-ui.js"></script><script src="docs/assets/swagger-start.js"></script>',
)

const REDOC_PAGE = page(
  // its search runs in a worker that it makes from text
  policy(REDOC_STYLES, 'blob:'),
  'Taskwell API reference',
  '<link rel="stylesheet" href="docs/assets/redoc.css">',
  '<div id="redoc"></div><script src="docs/assets/redoc.js"></script><script src="docs/assets/redoc-start.js"></script>',
)
/** The service's root address without a slash at its end comes from the script's own address. */
const REDOC_START = `Redoc.init(new URL('../../openapi.json', document.currentScript.src).href, { nativeScrollbars: true }, document.getElementById('redoc'))`

/** Replaces the logo in ReDoc's footer, which comes from its vendor's host. */
async function redocWithoutForeignHosts(): Promise<string> {
  const script = await Bun.file(redocScript).text()
  const logo = Buffer.from(await Bun.file(favicon).bytes()).toString('base64')
  return script.replaceAll('https://cdn.redoc.ly/redoc/logo-mini.svg', `data:image/png;base64,${logo}`)
}

const ASSETS: [name: string, type: string, make: () => Promise<string>][] = [
  ['swagger-ui.js', JS, () => Bun.file(swaggerScript).text()],
  ['swagger-ui.css', CSS, () => Bun.file(swaggerStyle).text()],
  ['swagger-page.css', CSS, async () => swaggerPageStyle],
  ['swagger-start.js', JS, async () => swaggerStart],
  ['redoc.js', JS, redocWithoutForeignHosts],
  ['redoc.css', CSS, async () => 'body { margin: 0 }'],
  ['redoc-start.js', JS, async () => REDOC_START],
]

/** For a day: a script or style of the release before does no harm. */
function lasting(type: string) {
  return { 'content-type': type, 'cache-control': 'public, max-age=86400' }
}

const DOCUMENT_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-cache' }

/** Calls `make` once, when it is first needed; after a failure, again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error) => {
      made = undefined
      throw error
    })
    return made
  }
}

/**
 * @param api the routes to document
 * @param publicPath where clients reach them
 */
export function docs(api: AnyElysia, publicPath: PublicPath) {
  const document = once(() => openApi(api))
  /** With the address that was asked last: there are few of them. */
  let latest: { url: string; document: Compressible } | undefined
  const icon = once(() => Bun.file(favicon).bytes())
  const pages = new Elysia({ name: 'docs' })
    .get('/', ({ redirect }) => redirect('/docs'), hidden)
    .get('/docs', SWAGGER_PAGE, hidden)
    .get('/redoc', REDOC_PAGE, hidden)
    .get(
      '/openapi.json',
      async (arrival) => {
        const url = publicPath.address(arrival)
        if (url !== latest?.url) {
          latest = {
            url,
            document: compressible(JSON.stringify({ ...(await document()), servers: [{ url }] })),
          }
        }
        return answerCompressed(arrival, latest.document, DOCUMENT_HEADERS)
      },
      hidden,
    )
    // as bytes: with a file, Bun would answer range requests itself, with its own errors
    .get(
      '/docs/assets/favicon.png',
      async () => new Response(await icon(), { headers: lasting('image/png') }),
      hidden,
    )
  for (const [name, type, make] of ASSETS) {
    const content = once(() => make().then(compressible))
    pages.get(
      `/docs/assets/${name}`,
      async (arrival) => answerCompressed(arrival, await content(), lasting(type)),
      hidden,
    )
  }
  return pages
}
