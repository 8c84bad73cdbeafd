/** The commands and programs of the documents do what the text around them says. */
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { SECRET, testApp } from '../support/app'
import { startIssuer } from '../support/issuer'

const root = join(import.meta.dir, '../..')

function blocksOf(document: string, language: string): string[] {
  return [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code = '']) => code,
  )
}

const readme = await Bun.file(join(root, 'README.md')).text()
const api = await Bun.file(join(root, 'docs/api.md')).text()
const client = await Bun.file(join(root, 'docs/client.md')).text()
const betterAuth = await Bun.file(join(root, 'docs/better-auth.md')).text()

const { app } = await testApp()
app.listen({ port: 0, hostname: '127.0.0.1' })
/** An app of somebody who follows the documents. */
const folder = await mkdtemp(join(tmpdir(), 'taskwell-examples-'))
await Bun.write(join(folder, 'package.json'), '{"type":"module"}')
afterAll(async () => {
  await app.stop(true)
  await rm(folder, { recursive: true })
})

/** What the documents say of a server at its usual port is tried with this one. */
const toThisServer = (text: string) => text.replaceAll('localhost:8000', `127.0.0.1:${app.server?.port}`)

/** Every command of `curl` also prints its status. */
const TELLING = `curl() { command curl --silent --write-out '%{stderr}%{http_code}\\n' "$@"; }\n`

async function run(
  command: string[],
  cwd: string,
): Promise<{ output: string; errors: string; exitCode: number }> {
  const env = {
    ...process.env,
    BETTER_AUTH_SECRET: SECRET,
    // a machine may have another Bun, or none
    PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
  }
  const running = Bun.spawn(command, { cwd, env, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors] = await Promise.all(
    [running.stdout, running.stderr].map((each) => new Response(each).text()),
  )
  return { output: output ?? '', errors: errors ?? '', exitCode: await running.exited }
}

/** @returns the statuses of `curl` in their order, and all that was printed */
async function follow(blocks: string[]): Promise<{ statuses: number[]; output: string }> {
  const script = blocks.filter((block) => /\bcurl |\b(?:TOKEN|COOKIE)=/.test(block)).join('')
  const { output, errors } = await run(['bash', '-c', TELLING + toThisServer(script)], root)
  return { statuses: [...errors.matchAll(/^\d{3}$/gm)].map(Number), output }
}

const isInstall = (block: string) => block.startsWith('npm install ')

/** Installs the client as a document says. */
function install(document: string) {
  const [command = ''] = blocksOf(document, 'sh').filter(isInstall)
  expect(command).toContain('/client.tgz')
  // it says the same to a machine that has Bun alone
  const here = Bun.which('npm') ? command : command.replace('npm install', 'bun add')
  return run(['bash', '-c', toThisServer(here)], folder)
}

/** Runs a program in the folder where the client is installed. */
async function execute(program: string) {
  await Bun.write(join(folder, 'program.ts'), toThisServer(program))
  return run([process.execPath, 'program.ts'], folder)
}

describe('the README', () => {
  test.each(['first', 'second'])('makes a task in a minute and lists it, the %s time too', async (time) => {
    const { statuses, output } = await follow(blocksOf(readme, 'sh').filter((block) => !isInstall(block)))
    expect(statuses).toEqual([201, 200])
    expect(output.match(/"title":"Buy milk"/g)).toHaveLength(time === 'first' ? 2 : 3)
  })

  test('installs the client and runs a first program, twice', async () => {
    expect(await install(readme)).toMatchObject({ exitCode: 0 })
    const [program = ''] = blocksOf(readme, 'ts')
    expect(await execute(program)).toEqual({ output: 'Buy bread true\n', errors: '', exitCode: 0 })
    const again = await execute(program)
    expect(again).toEqual({ output: 'Buy bread true\n'.repeat(2), errors: '', exitCode: 0 })
    const wrong = await execute(program.replace('correct horse', 'wrong horse'))
    expect(wrong.exitCode).toBe(1)
    expect(wrong.errors).toContain('error: The e-mail address or the password is wrong')
  })
})

test('the commands of docs/api.md are answered as it says', async () => {
  const { statuses, output } = await follow(blocksOf(api, 'sh'))
  const tasks = [201, 200]
  const planning = [201, 200]
  const pages = [200, 200]
  const batch = [200]
  const lostUpdate = [200, 412]
  const lostAnswer = [201, 201]
  const lists = [201, 200, 200]
  const tags = [200, 200, 200, 200]
  const trash = [204, 200, 200, 204]
  const synchronization = [200, 200, 201, 200]
  const signingIn = [201, 200, 200, 200]
  const programs = [201, 200, 200]
  expect(statuses).toEqual([
    ...tasks,
    ...planning,
    ...pages,
    ...batch,
    ...lostUpdate,
    ...lostAnswer,
    ...lists,
    ...tags,
    ...trash,
    ...synchronization,
    ...signingIn,
    ...programs,
  ])
  expect(output.match(/^idempotency-replayed: true/gim)).toHaveLength(1)
  expect(output).toMatch(/^id: .*\ndata: .*"title":"Buy tea"/m)
})

/** What an example takes from the code around it. */
const AROUND = `import { allTasks, type Client, createClient, type Page, RequestError, type Task, unwrap } from 'taskwell-client'
declare const client: Client
declare const task: Task
declare const session: { accessToken(): Promise<string> }
declare function render(tasks: Map<number, Task>): void
`

test('the programs of docs/client.md run one after the other', async () => {
  expect(await install(client)).toMatchObject({ exitCode: 0 })
  const examples = blocksOf(client, 'ts').map((example) =>
    // each has names of its own; and the members of a module are imported once
    example.startsWith('import ') || example.startsWith('export ')
      ? ''
      : `{\n${example.replace('client.signOut()', '$&; await client.signIn(ann)')}}\n`,
  )
  const program = `
    import * as taskwell from 'taskwell-client'
    const { allTasks, createClient, RequestError, unwrap } = taskwell
    type Task = taskwell.Task
    const client = createClient('http://localhost:8000')
    const ann = { email: 'ann@example.com', password: 'correct horse battery' }
    await client.signUp(ann)
    await client.signIn(ann)
    const { data: task } = await client.api.v1.todos.post({ title: 'Buy soap' })
    const session = { accessToken: async () => 'no token' }
    const render = () => {}
    ${examples.join('')}
    process.exit()`
  const { output, errors, exitCode } = await execute(program)
  expect({ errors, exitCode }).toEqual({ errors: '', exitCode: 0 })
  expect(output).toContain('Hello ann@example.com')
})

test('the commands and the program of docs/better-auth.md take a user of Better Auth to the tasks', async () => {
  const issuer = startIssuer()
  const { app } = await testApp({ BETTER_AUTH_URL: issuer.url })
  app.listen({ port: 0, hostname: '127.0.0.1' })
  afterAll(() => app.stop(true))
  const signedUp = await fetch(`${issuer.url}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: issuer.url },
    body: JSON.stringify({ email: 'ann@example.com', password: 'correct horse battery', name: 'Ann' }),
  })
  const cookie = signedUp.headers.getSetCookie()[0]?.split(';')[0]
  const toThese = (text: string) =>
    text
      .replaceAll('http://localhost:3000', issuer.url)
      .replaceAll('localhost:3000', new URL(issuer.url).host)
      .replaceAll('localhost:8000', `127.0.0.1:${app.server?.port}`)

  const commands = blocksOf(betterAuth, 'sh').filter((block) => block.includes('curl'))
  const { statuses, output } = await follow([`COOKIE='${cookie}'\n`, ...commands].map(toThese))
  expect(statuses).toEqual([200, 200, 200])
  expect(output).toMatch(/"keys":.*\[\]$/s)

  expect(await install(client)).toMatchObject({ exitCode: 0 })
  const program = blocksOf(betterAuth, 'ts').find((block) => block.includes('clientOf'))
  const ask = `console.log((await (await clientOf('${cookie}')).api.v1.todos.get()).data)`
  expect(await execute(toThese(`${program}\n${ask}`))).toEqual({ output: '[]\n', errors: '', exitCode: 0 })
  const refused = await execute(toThese(`${program}\n${ask.replace(String(cookie), 'none')}`))
  expect(refused.errors).toContain('Better Auth answered 401')
})

test('the programs compile with what the client declares', async () => {
  // inside the project, where its libraries are found
  const sources = await mkdtemp(join(root, 'dist/examples-'))
  const examples = [readme, client, betterAuth].flatMap((document) => [
    ...blocksOf(document, 'ts').map((example) => ['ts', example] as const),
    ...blocksOf(document, 'tsx').map((example) => ['tsx', example] as const),
  ])
  expect(examples.length).toBeGreaterThan(18)
  for (const [index, [ending, example]] of examples.entries()) {
    const source = example.includes('import ') ? example : AROUND + example
    await Bun.write(join(sources, `example-${index}.${ending}`), source)
  }
  await Bun.write(
    join(sources, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tests/client-project/tsconfig.json'),
      compilerOptions: {
        jsx: 'react-jsx',
        paths: {
          'taskwell-client': [join(root, 'src/client/index.ts')],
          'taskwell-client/react': [join(root, 'src/client/react.ts')],
        },
      },
      include: ['.'],
    }),
  )
  const { output, exitCode } = await run(
    [process.execPath, join(root, 'node_modules/ts7/bin/tsc'), '-p', sources],
    root,
  )
  await rm(sources, { recursive: true })
  expect({ output, exitCode }).toEqual({ output: '', exitCode: 0 })
})
