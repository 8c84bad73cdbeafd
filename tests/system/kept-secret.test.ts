import { afterAll, expect, test } from 'bun:test'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keptSecret } from '../../src/system/kept-secret'

const folder = await mkdtemp(join(tmpdir(), 'taskwell-secret-'))
afterAll(() => rm(folder, { recursive: true }))

test('a secret is made once, with 256 bits, for its owner alone', async () => {
  const secret = keptSecret(join(folder, 'once'), 'name')
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
  expect(keptSecret(join(folder, 'once'), 'name')).toBe(secret)
  expect((await stat(join(folder, 'once/name'))).mode & 0o077).toBe(0)
  expect(await readdir(join(folder, 'once'))).toEqual(['name'])
})

test('eight processes at once agree on one', async () => {
  const script = `
    import { keptSecret } from './src/system/kept-secret'
    process.stdout.write(keptSecret(process.argv[1], 'name'))`
  const command = [process.execPath, '-e', script, join(folder, 'race')]
  const all = Array.from({ length: 8 }, () =>
    new Response(Bun.spawn(command, { stdout: 'pipe' }).stdout).text(),
  )
  const secrets = new Set(await Promise.all(all))
  expect(secrets.size).toBe(1)
  expect([...secrets][0]).toHaveLength(43)
})
