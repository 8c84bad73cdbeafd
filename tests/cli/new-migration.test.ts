/** `db new`, in a copy of the sources, because it writes among them. */
import { afterAll, expect, test } from 'bun:test'
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const folder = await mkdtemp(join(tmpdir(), 'taskwell-new-'))
for (const part of ['src', 'db', 'package.json']) {
  await cp(join(ROOT, part), join(folder, part), { recursive: true })
}
await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
afterAll(() => rm(folder, { recursive: true }))

test('makes a migration of that name', async () => {
  const child = Bun.spawn([process.execPath, 'src/main.ts', 'db', 'new', 'add_labels'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  expect(await child.exited).toBe(0)
  const added = new Set(await readdir(join(folder, 'db/migrations'))).difference(
    new Set(await readdir(join(ROOT, 'db/migrations'))),
  )
  expect([...added]).toEqual([expect.stringMatching(/^\d+_add_labels\.sql$/)])
})
