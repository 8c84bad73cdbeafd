import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../../package.json'
import { clientFiles, packClient } from '../../scripts/build-client'
import { readClientPackage } from '../../src/docs/client-package'
import { testApp } from '../support/app'

const root = join(import.meta.dir, '../..')
const files = await clientFiles()
const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
/** The app of a frontend developer, where no types of this project are found. */
const folder = await mkdtemp(join(tmpdir(), 'taskwell-app-'))
afterAll(async () => {
  await app.stop(true)
  await rm(folder, { recursive: true })
})
const address = `http://127.0.0.1:${app.server?.port}/client.tgz`

async function run(command: string[], cwd = folder) {
  const running = Bun.spawn(command, { cwd, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors] = await Promise.all(
    [running.stdout, running.stderr].map((each) => new Response(each).text()),
  )
  return { output: output ?? '', errors: errors ?? '', exitCode: await running.exited }
}

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

  test('is below 15 kB with sync, whose code is loaded late', async () => {
    for (const [name, text] of files)
      await Bun.write(join(folder, 'node_modules/taskwell-client', name), text)
    await Bun.write(join(folder, 'size.ts'), "export { createClient } from 'taskwell-client'\n")
    const bundle = (splitting: boolean) =>
      Bun.build({ entrypoints: [join(folder, 'size.ts')], target: 'browser', minify: true, splitting })
    const sizeOf = async (blob: Blob) => Bun.gzipSync(await blob.arrayBuffer(), { level: 9 }).length
    const [whole] = (await bundle(false)).outputs
    const { outputs } = await bundle(true)
    const [entry] = outputs
    expect(await sizeOf(whole ?? new Blob())).toBeLessThan(15_000)
    expect(await (whole ?? new Blob()).text()).toContain('Another user has signed in')
    expect(await (entry ?? new Blob()).text()).not.toContain('Another user has signed in')
  })
})

const APP = `import {
  allTasks, betterAuthToken, type Change, createClient, type Problem, RequestError, type Task, type TrashedTask, unwrap, type User,
} from 'taskwell-client'

const timer: number = setTimeout(() => {}, 1)
const client = createClient('http://localhost:8000', { storage: 'localStorage', token: undefined })
export async function main(): Promise<unknown[]> {
  const { data, error } = await client.api.v1.todos.post({ title: 'x', description: undefined })
  if (error) return error.status === 422 ? (error.value.errors ?? []) : [error.value.error_code]
  const list = await client.api.v1.todos.get({ query: { count: true, limit: 3 } })
  const titles = list.data?.map((task) => task.title)
  await client.api.v1.todos({ id: data.id }).delete(undefined, { query: { permanent: true } })
  const changed = await client.api.v1.todos({ id: data.id }).patch({ title: 'y' }, { headers: { 'if-match': '"1"' } })
  const current = changed.error?.status === 412 ? changed.error.value.current.title : ''
  const page = await (await client.page({ limit: 20 })).next()
  const tasks: Task[] = await unwrap(client.api({ user_id: 'me' }).tasks.get())
  const trash: TrashedTask[] = await unwrap(client.api.v1.todos.trash.get())
  for await (const task of allTasks(client, { status: 'pending' })) tasks.push(task)
  const batches: Change[][] = []
  const sync = client.sync(new Map<number, Task>(), { onChange: (changes) => batches.push(changes) })
  const user: User | undefined = client.session.user
  const problem: Problem<'EMAIL_TAKEN'> | undefined = undefined
  return [timer, titles, current, page?.total, trash, sync.status, user, problem, RequestError, betterAuthToken]
}
`

const WRONG = `import { createClient } from 'taskwell-client'
// @ts-expect-error no types of Bun come with it
Bun.file('x')
// @ts-expect-error nor of Node
process.exit()
// @ts-expect-error text for a number
createClient('http://localhost:8000').api.v1.todos.get({ query: { limit: '3' } })
`

/** Each differs from the one before in what finds other faults. */
const OPTIONS = [
  ['bundler', 'esnext', ['--strict', '--exactOptionalPropertyTypes', '--noPropertyAccessFromIndexSignature']],
  ['node16', 'node16', ['--strict']],
  ['bundler', 'esnext', ['--strict', 'false', '--skipLibCheck']],
] as const

describe.each(['ts5', 'typescript', 'ts7'])('with %s', (typescript) => {
  test.each(OPTIONS)('an app compiles as %s and %s with %p', async (resolution, module, more) => {
    for (const [name, text] of files)
      await Bun.write(join(folder, 'node_modules/taskwell-client', name), text)
    await Bun.write(join(folder, 'package.json'), '{"type":"module"}')
    await Bun.write(join(folder, 'app.ts'), APP)
    await Bun.write(join(folder, 'wrong.ts'), WRONG)
    const compiler = [process.execPath, join(root, 'node_modules', typescript, 'bin/tsc'), '--noEmit']
    const options = [
      '--target',
      'es2020',
      '--lib',
      'es2020,dom',
      '--moduleResolution',
      resolution,
      '--module',
      module,
    ]
    expect(await run([...compiler, ...options, ...more, 'app.ts', 'wrong.ts'])).toMatchObject({
      output: '',
      exitCode: 0,
    })
  })
})

test.skipIf(!Bun.which('npm'))(
  'npm installs it alone, and Node runs it (skipped if there is no npm)',
  async () => {
    const app = await mkdtemp(join(tmpdir(), 'taskwell-app-'))
    await Bun.write(join(app, 'package.json'), '{"type":"module"}')
    const installed = await run(['npm', 'install', '--no-audit', '--no-fund', address], app)
    expect(installed).toMatchObject({ exitCode: 0 })
    expect(installed.output).toContain('added 1 package')
    await Bun.write(
      join(app, 'app.js'),
      `import { createClient } from 'taskwell-client'
    const client = createClient('${address.replace('/client.tgz', '')}', { storage: 'localStorage' })
    const { data } = await client.health.get()
    const { ended, status } = client.sync(new Map())
    await ended.catch(({ code }) => console.log(data.status, status, code))`,
    )
    expect(await run(['node', 'app.js'], app)).toEqual({
      output: 'healthy connecting TOKEN_MISSING\n',
      errors: '',
      exitCode: 0,
    })
    expect(existsSync(join(app, 'node_modules/elysia'))).toBe(false)
    await rm(app, { recursive: true })
  },
)
