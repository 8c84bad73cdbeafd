import { afterAll, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { SECRET, testApp } from '../support/app'
import { describeInBrowser } from '../support/browser'

/** A site of another origin, with nothing on it. */
function startSite(): string {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () =>
      new Response('<!doctype html><title>site</title>', { headers: { 'content-type': 'text/html' } }),
  })
  afterAll(() => server.stop(true))
  return `http://127.0.0.1:${server.port}`
}

describeInBrowser('calls from a page of another origin', async (browser) => {
  const allowed = startSite()
  const stranger = startSite()
  const { app, settings } = await testApp({
    NODE_ENV: 'production',
    BETTER_AUTH_SECRET: SECRET,
    CORS_ORIGINS: allowed,
  })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(async () => {
    await app.stop(true)
  })
  const api = `http://127.0.0.1:${app.server?.port}/api/v1/todos`
  const authorization = `Bearer ${await signAccessToken('page', settings)}`

  interface Seen {
    status: number
    body: unknown
    link: string | null
    requestId: string | null
    total: string | null
  }

  /** The part of `RequestInit` that Bun's and the browser's types agree on. */
  interface Init {
    method?: string
    headers?: Record<string, string>
    body?: string
    credentials?: 'include'
  }

  /** What a script on that site gets to see of the answer; a string if the browser keeps it from the script. */
  async function fetchFrom(site: string, url: string, init: Init): Promise<Seen | string> {
    const page = await browser.newPage()
    await page.goto(site)
    const seen = await page.evaluate(
      async ([address, options]) => {
        try {
          const response = await fetch(address, options)
          const text = await response.text()
          return {
            status: response.status,
            body: text && JSON.parse(text),
            link: response.headers.get('link'),
            requestId: response.headers.get('x-request-id'),
            total: response.headers.get('x-total-count'),
          }
        } catch (error) {
          return String(error)
        }
      },
      [url, init] as const,
    )
    await page.close()
    return seen
  }

  const json = { authorization, 'content-type': 'application/json' }
  const create = {
    method: 'POST',
    headers: json,
    body: '{"title":"from a page"}',
    credentials: 'include',
  } as const

  test('an allowed page passes the preflight, writes, and reads the exposed headers', async () => {
    expect(await fetchFrom(allowed, api, create)).toMatchObject({
      status: 201,
      body: { title: 'from a page' },
    })
    expect(await fetchFrom(allowed, api, create)).toMatchObject({ status: 201 })
    const list = await fetchFrom(allowed, `${api}?limit=1&count=true`, { headers: { authorization } })
    expect(list).toMatchObject({ status: 200, total: '2', link: expect.stringContaining('rel="next"') })
  })

  test('an allowed page may change and delete', async () => {
    const created = await fetchFrom(allowed, api, create)
    const { id } = (created as Seen).body as { id: number }
    const change = { method: 'PATCH', headers: json, body: '{"completed":true}' }
    expect(await fetchFrom(allowed, `${api}/${id}`, change)).toMatchObject({ status: 200 })
    const put = { method: 'PUT', headers: json, body: '{"title":"put"}' }
    expect(await fetchFrom(allowed, `${api}/${id}`, put)).toMatchObject({ status: 200 })
    expect(
      await fetchFrom(allowed, `${api}/${id}`, { method: 'DELETE', headers: { authorization } }),
    ).toMatchObject({
      status: 204,
    })
  })

  test('an allowed page can read errors of every kind', async () => {
    const unknownToken = { headers: { authorization: 'Bearer a.b.c' } }
    expect(await fetchFrom(allowed, api, {})).toMatchObject({
      status: 401,
      body: { error_code: 'TOKEN_MISSING' },
    })
    expect(await fetchFrom(allowed, api, unknownToken)).toMatchObject({
      status: 401,
      requestId: expect.any(String),
    })
    expect(await fetchFrom(allowed, `${api}?x=1`, { headers: json })).toMatchObject({ status: 422 })
    expect(await fetchFrom(allowed, `${api}/nothing/here`, {})).toMatchObject({ status: 404 })
    expect(await fetchFrom(allowed, api, { method: 'DELETE' })).toMatchObject({ status: 405 })
    const large = { ...create, body: JSON.stringify({ title: 'x'.repeat(70_000) }) }
    expect(await fetchFrom(allowed, api, large)).toMatchObject({ status: 413 })
  })

  test('any other page gets nothing to see', async () => {
    expect(await fetchFrom(stranger, api, { headers: { authorization } })).toContain('TypeError')
    expect(await fetchFrom(stranger, api, create)).toContain('TypeError')
    expect(await fetchFrom(stranger, api, {})).toContain('TypeError')
  })
})
