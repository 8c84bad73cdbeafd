/** A check of the check: does `bun run lint` find imports that go the wrong way? */
import { afterAll, expect, test } from 'bun:test'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '..')
const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

/** Runs it on a project that has only these sources. */
async function lint(sources: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-rooms-'))
  folders.push(folder)
  for (const file of ['package.json', 'biome.json', 'eslint.rooms.mjs', '.gitignore']) {
    await cp(join(ROOT, file), join(folder, file))
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const [name, text] of Object.entries(sources)) await Bun.write(join(folder, 'src', name), `${text}\n`)
  const child = Bun.spawn([process.execPath, 'run', '--silent', 'lint'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1' },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const outputs = await Promise.all([child.stdout, child.stderr].map((each) => new Response(each).text()))
  return { code: await child.exited, output: outputs.join('') }
}

/** Name and text of a source, and what is said of it. */
const WRONG = [
  ['http/upward.ts', "export { a } from '../tasks/a'", 'rooms that stand above it'],
  ['http/upward-type.ts', "export type { A } from '../tasks/a'", 'rooms that stand above it'],
  ['http/late.ts', "export const late = () => import('../tasks/a')", 'rooms that stand above it'],
  ['http/late-type.ts', "export type A = import('../tasks/a').A", 'rooms that stand above it'],
  ['sync/neighbour.ts', "export { a } from '../accounts/a'", 'rooms that stand above it'],
  ['settings.ts', "export { a } from './http/a'", 'rooms that stand above it'],
  ['server.ts', "export { a } from './main'", 'rooms that stand above it'],
  ['app.ts', "export { a } from './client/a'", 'rooms that stand above it'],
  ['attic/lost.ts', "export { a } from '../system/a'", 'no place among the rooms'],
  ['tasks/queries.ts', "export { a } from '../http/a'", 'Queries are SQL'],
  ['tasks/list-queries.ts', "export { a } from './a'", 'Queries are SQL'],
  ['sync/queries.ts', "export { a } from 'elysia'", 'Queries are SQL'],
  ['accounts/queries.ts', "export type { A } from '../docs/a'", 'rooms that stand above it'],
  ['client/index.ts', "export type { A } from '../app'", 'nothing from outside'],
  ['client/late.ts', "export const late = () => import('../app')", 'nothing from outside'],
] as const

const RIGHT = {
  'http/a.ts':
    "export { version } from '../../package.json'\nexport { a } from '../database/a'\nexport { b } from './b'",
  'auth/queries.ts':
    "export { a } from '../database/sql'\nexport type { A } from '../http/a'\nexport type { B } from './model'",
  'sync/lists.ts': "export { a } from '../tasks/queries'",
  'monitoring/queries.ts': "export { a } from '../tasks/list-queries'\nexport { b } from './list-queries'",
  'main.ts': "export { a } from './cli/a'",
  'client/send.ts': "export { a } from './index'\nexport type { Task } from './schemas'",
}

const found = await lint({ ...Object.fromEntries(WRONG), ...RIGHT })

/** What is said of a file: ESLint names it once, then each fault on an indented line. */
function saidOf(name: string): string {
  const lines = found.output.split('\n')
  const start = lines.findIndex((line) => line.endsWith(`/src/${name}`))
  const end = lines.findIndex((line, index) => index > start && line === '')
  return start < 0 ? '' : lines.slice(start + 1, end).join('\n')
}

test('wrong imports end it with 1', () => {
  expect(found.code).toBe(1)
})

test.each([...WRONG])('%s may not say %s', (name, _, message) => {
  expect(saidOf(name)).toContain(message)
})

test.each(Object.keys(RIGHT))('%s has no wrong import', (name) => {
  expect(saidOf(name)).toBe('')
})

test('right imports end it with 0', async () => {
  expect(await lint(RIGHT)).toMatchObject({ code: 0 })
})

test.each([
  ['values', 'export { a }'],
  ['types', 'export type { A }'],
])('two files that import %s of each other are reported', async (_, imported) => {
  const { code, output } = await lint({
    'http/a.ts': `${imported} from './b'`,
    'http/b.ts': `${imported} from './a'`,
  })
  expect(code).toBe(1)
  expect(output).toContain('Break the cycle')
})
