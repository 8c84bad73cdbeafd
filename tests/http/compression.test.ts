import { afterAll, describe, expect, test } from 'bun:test'
import { testApp } from '../support/app'

const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
afterAll(() => app.stop(true))
const url = `http://127.0.0.1:${app.server?.port}`

const PATHS = [
  '/openapi.json',
  '/docs/assets/swagger-ui.js',
  '/docs/assets/redoc.js',
  '/docs/assets/swagger-ui.css',
]

/** As it comes, not yet decompressed. */
async function get(path: string, encoding: string | undefined, method = 'GET') {
  const headers = { 'accept-encoding': encoding ?? 'identity' }
  const response = await fetch(url + path, { method, headers, decompress: false })
  return { headers: response.headers, bytes: await response.bytes() }
}

describe.each(PATHS)('%s', (path) => {
  test.each(['gzip', 'GZIP', 'br, gzip;q=0.5', 'deflate, *;q=0.1', '*'])(
    'is compressed for %p',
    async (encoding) => {
      const plain = await get(path, undefined)
      const { headers, bytes } = await get(path, encoding)
      expect(headers.get('content-encoding')).toBe('gzip')
      expect(headers.get('vary')).toContain('Accept-Encoding')
      expect(headers.get('content-type')).toBe(plain.headers.get('content-type'))
      expect(Number(headers.get('content-length'))).toBe(bytes.length)
      expect(bytes.length).toBeLessThan(plain.bytes.length / 3)
      expect(Bun.gunzipSync(bytes)).toEqual(plain.bytes as Uint8Array<ArrayBuffer>)
    },
  )

  test.each(['', 'identity', 'br', 'gzip;q=0', 'gzip;q=0, *', '*;q=0', 'gzipped'])(
    'is not for %p',
    async (encoding) => {
      const { headers, bytes } = await get(path, encoding)
      expect(headers.get('content-encoding')).toBeNull()
      expect(headers.get('vary')).toContain('Accept-Encoding')
      expect(bytes.length).toBeGreaterThan(10_000)
    },
  )

  test.each(['gzip', 'identity'])('has the same headers for HEAD with %s', async (encoding) => {
    const [got, head] = [await get(path, encoding), await get(path, encoding, 'HEAD')]
    expect(head.bytes).toHaveLength(0)
    for (const name of ['content-length', 'content-encoding', 'vary', 'content-type']) {
      expect(head.headers.get(name), name).toBe(got.headers.get(name))
    }
  })
})
