/** The examples of the README and of `docs/api.md` do what the text around them says. */
import { afterAll, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testApp } from '../support/app'

const root = join(import.meta.dir, '../..')

function blocksOf(document: string, language: string): string[] {
  return [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code = '']) => code,
  )
}

const readme = await Bun.file(join(root, 'README.md')).text()
const api = await Bun.file(join(root, 'docs/api.md')).text()

const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
afterAll(async () => {
  await app.stop(true)
})

/** Every command of `curl` also prints its status. */
const TELLING = `curl() { command curl --silent --write-out '%{stderr}%{http_code}\\n' "$@"; }\n`

/** @returns the statuses in their order, and all that was printed */
async function run(blocks: string[]): Promise<{ statuses: number[]; output: string }> {
  const script = blocks
    .filter((block) => block.includes('curl '))
    .join('')
    .replaceAll('localhost:8000', `127.0.0.1:${app.server?.port}`)
  const bash = Bun.spawn(['bash', '-c', TELLING + script], { stdout: 'pipe', stderr: 'pipe' })
  const [output, statuses] = await Promise.all(
    [bash.stdout, bash.stderr].map((each) => new Response(each).text()),
  )
  return { statuses: (statuses ?? '').trim().split('\n').map(Number), output: output ?? '' }
}

test('the minute of the README makes a task and lists it', async () => {
  const { statuses, output } = await run(blocksOf(readme, 'sh'))
  expect(statuses).toEqual([201, 201, 200])
  expect(output.match(/"title":"Buy milk"/g)).toHaveLength(2)
})

test('the commands of docs/api.md are answered as it says', async () => {
  const { statuses, output } = await run(blocksOf(api, 'sh'))
  const tasks = [201, 201, 200, 200, 200]
  const lostUpdate = [200, 412]
  const lostAnswer = [201, 201]
  const trash = [204, 200, 200, 204]
  const synchronization = [200, 200, 201, 200]
  const signingIn = [200, 200]
  expect(statuses).toEqual([
    ...tasks,
    ...lostUpdate,
    ...lostAnswer,
    ...trash,
    ...synchronization,
    ...signingIn,
  ])
  expect(output.match(/^idempotency-replayed: true/gim)).toHaveLength(1)
  expect(output).toMatch(/^id: .*\ndata: .*"title":"Buy tea"/m)
})

/** What an example takes from the code around it. */
const AROUND = `import { allTasks, type Client, createClient, type Task } from 'taskwell-client'
declare const client: Client
declare const task: Task
declare const session: { accessToken(): Promise<string> }
declare function render(tasks: Map<number, Task>): void
`

test('the examples for TypeScript compile', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-examples-'))
  const examples = [...blocksOf(readme, 'ts'), ...blocksOf(api, 'ts')]
  expect(examples.length).toBeGreaterThan(5)
  for (const [index, example] of examples.entries()) {
    const source = example.includes('import ') ? example : AROUND + example
    await Bun.write(join(folder, `example-${index}.ts`), source)
  }
  await Bun.write(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tests/client-project/tsconfig.json'),
      compilerOptions: { paths: { 'taskwell-client': [join(root, 'src/client/index.ts')] } },
      include: ['.'],
    }),
  )
  const compiler = Bun.spawn([process.execPath, join(root, 'node_modules/ts7/bin/tsc'), '-p', folder], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const output = await new Response(compiler.stdout).text()
  await rm(folder, { recursive: true })
  expect({ output, exitCode: await compiler.exited }).toEqual({ output: '', exitCode: 0 })
})
