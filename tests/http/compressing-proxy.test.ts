import { afterAll, describe, expect, test } from 'bun:test'
import { signAccessToken } from '../../src/auth/token'
import { freePort } from '../../src/system/free-port'
import { testApp } from '../support/app'
import { NGINX, startNginx } from '../support/nginx'

const TODOS = '/api/v1/todos'

async function behindNginx(command: string): Promise<void> {
  const { app, settings } = await testApp()
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const port = await freePort()
  await startNginx(command, {
    port,
    files: {},
    locations: `
    gzip on;
    gzip_types *;
    gzip_min_length 0;
    gzip_proxied any;
    location / { proxy_pass http://127.0.0.1:${app.server?.port}; }`,
  })
  const authorization = `Bearer ${await signAccessToken('ann', settings)}`
  const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json', 'accept-encoding': 'gzip', ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })

  test('a tag that the proxy has made weak guards writes as the strong one does', async () => {
    const created = await send('POST', TODOS, { title: 'first', description: 'x'.repeat(900) })
    const path = created.headers.get('location') ?? ''
    const read = await send('GET', path)
    const tag = read.headers.get('etag') ?? ''
    expect(tag).toStartWith('W/"')
    expect((await send('GET', path, undefined, { 'if-none-match': tag })).status).toBe(304)
    expect((await send('PATCH', path, { title: 'second' }, { 'if-match': tag })).status).toBe(200)
    expect((await send('PATCH', path, { title: 'third' }, { 'if-match': tag })).status).toBe(412)
    expect((await send('DELETE', path, undefined, { 'if-match': tag })).status).toBe(412)
  })
}

describe('behind a proxy that compresses', async () => {
  if (NGINX) await behindNginx(NGINX)
  else test.skip('there is no nginx here; install one', () => {})
})
