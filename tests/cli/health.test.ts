import { expect, test } from 'bun:test'
import { checkHealth } from '../../src/cli/health'

function answering(status: number) {
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('', { status }) })
  return { at: { host: '127.0.0.1', port: server.port ?? 0 }, stop: () => server.stop(true) }
}

test('a server that answers 200 is well', async () => {
  const { at, stop } = answering(200)
  await checkHealth(at)
  await stop()
})

test('a server that answers anything else is not', async () => {
  const { at, stop } = answering(503)
  await expect(checkHealth(at)).rejects.toThrow(`http://127.0.0.1:${at.port}/health answered 503.`)
  await stop()
})

test('a port without a server is named', async () => {
  const { at, stop } = answering(200)
  await stop()
  await expect(checkHealth(at)).rejects.toThrow(
    `Nothing answers at http://127.0.0.1:${at.port}/health (ECONNREFUSED).`,
  )
})
