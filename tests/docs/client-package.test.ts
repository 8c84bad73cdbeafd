/** How the package is compiled, bundled and run by others is tried by `bun run test:client`. */
import { afterAll, describe, expect, test } from 'bun:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../../package.json'
import { clientFiles, packClient } from '../../scripts/build-client'
import { readClientPackage } from '../../src/docs/client-package'
import { testApp } from '../support/app'

const files = await clientFiles()
const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
afterAll(() => app.stop(true))
const address = `http://127.0.0.1:${app.server?.port}/client.tgz`

describe('the package', () => {
  test('is answered by the server, and the same sources give the same bytes', async () => {
    const answer = await fetch(address)
    expect(answer.headers.get('content-type')).toBe('application/gzip')
    const bytes = await answer.bytes()
    expect(Bun.SHA256.hash(bytes, 'hex')).toBe(Bun.SHA256.hash(await packClient(files), 'hex'))
  })

  test('comes out of a binary, and is 404 if it was not built', async () => {
    const embedded = Object.assign(new Blob(['packed']), { name: 'taskwell-client-1a2b.tgz' })
    expect(await readClientPackage([embedded])).toEqual(new TextEncoder().encode('packed'))
    await expect(readClientPackage([], join(tmpdir(), 'no-such-file'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  test('has the version of the server, and needs no other package', () => {
    const manifest = JSON.parse(files.get('package.json') ?? '')
    expect(manifest).toMatchObject({ name: 'taskwell-client', version, type: 'module', sideEffects: false })
    expect(manifest.dependencies).toBeUndefined()
    expect(manifest.peerDependenciesMeta).toEqual({ react: { optional: true } })
  })

  test('names nothing of the server and of Bun, and what it imports is in it', () => {
    for (const [name, text] of files) {
      if (!/\.(?:js|d\.ts)$/.test(name)) continue
      expect(text, name).not.toMatch(/reference types|bun-types|from ["'](?:elysia|bun|node:)/)
      for (const [, imported = ''] of text.matchAll(/(?:from|import) ?\(?["'](.[^"']*)["']/g)) {
        const file = imported.replace('./', '')
        const isThere = files.has(file) || files.has(file.replace(/\.js$/, '.d.ts'))
        expect(isThere || imported === 'react', `${name} imports ${imported}`).toBe(true)
      }
    }
  })
})
