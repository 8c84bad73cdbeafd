/** What the program says about itself and refuses: each case is a process, in a folder of its own. */
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scripts, version } from '../../package.json'

const MAIN = join(import.meta.dir, '../../src/main.ts')
const folder = await mkdtemp(join(tmpdir(), 'taskwell-usage-'))
afterAll(() => rm(folder, { recursive: true }))

/** With settings that would refuse any start, so that help has to do without them. */
async function run(args: readonly string[], env: Record<string, string> = { PORT: 'wrong' }) {
  const child = Bun.spawn([process.execPath, '--no-env-file', MAIN, ...args], {
    cwd: folder,
    // no PATH, because the messages depend on whether npx is in it
    env: { PATH: '', DATA_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { stdout, stderr, code }
}

const called = Object.entries(scripts).flatMap(([name, script]) => {
  const [, words] = /^bun src\/main\.ts (.*)$/.exec(script) ?? []
  return words === undefined ? [] : [{ name, words }]
})

describe('help', () => {
  test('lists every command that package.json calls, and the exit codes', async () => {
    const { stdout, stderr, code } = await run(['--help'])
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    for (const { words } of called) expect(stdout).toMatch(new RegExp(`^  ${words} `, 'm'))
    for (const line of [/^ +0 +done/m, /^ +1 +failed/m, /^ +2 +wrong usage/m]) expect(stdout).toMatch(line)
    expect(stdout).not.toContain('worker')
  })

  test.each([[['-h']], [['help']], [['--help', '--version']]])('is also %p', async (args) => {
    expect(await run(args)).toEqual(await run(['--help']))
  })

  test.each(called)('of $words says to type `bun run $name`', async ({ name, words }) => {
    const { stdout, code } = await run([...words.split(' '), '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^Usage: bun run ${name}( <\\w+>)?\n`))
    expect(await run(['help', ...words.split(' ')])).toMatchObject({ stdout })
  })

  test('names npx if Bun comes from there', async () => {
    const bin = join(folder, '_npx/1/node_modules/.bin')
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, 'bun'), '', { mode: 0o755 })
    const { stdout } = await run(['token', '--help'], { PATH: bin })
    expect(stdout).toStartWith(`Usage: npx --yes bun@${Bun.version} run token <user>\n`)
    await rm(join(folder, '_npx'), { recursive: true })
  })

  test.each([[['db', '-h']], [['help', 'db']]])('%p lists the commands of the database', async (args) => {
    const { stdout, code } = await run(args)
    expect(code).toBe(0)
    for (const each of ['up', 'down', 'status', 'new <name>', 'url'])
      expect(stdout).toContain(`  db ${each} `)
    expect(stdout).not.toContain('token')
  })

  test('of serve names settings that there are', async () => {
    const { stdout } = await run(['serve', '--help'])
    const names = [...stdout.matchAll(/\b(?:PORT|HOST|[A-Z]+(?:_[A-Z]+)+)\b/g)].map(([name]) => name)
    expect(names).toContain('DATABASE_URL')
    const documented = await Bun.file(join(import.meta.dir, '../../docs/settings.md')).text()
    for (const name of names) expect(documented).toContain(`\`${name}\``)
  })

  test('fits a terminal of 120 columns', async () => {
    for (const args of [[], ...called.map(({ words }) => words.split(' ')), ['health']]) {
      const { stdout } = await run([...args, '--help'])
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThan(120)
    }
  })
})

test.each(['-V', '--version'])('%s prints the version', async (option) => {
  expect(await run([option])).toEqual({ stdout: `${version}\n`, stderr: '', code: 0 })
})

describe('wrong usage', () => {
  test.each([
    [['tokn'], 'There is no command `tokn`. Did you mean `bun run token <user>`?'],
    [['start'], 'There is no command `start`. Did you mean `bun run start`?'],
    [['status'], 'There is no command `status`. Did you mean `bun run db:status`?'],
    [['helth'], 'There is no command `helth`. Did you mean `bun src/main.ts health`?'],
    [['nonsense'], 'There is no command `nonsense`.'],
    [['nonsense', '--help'], 'There is no command `nonsense`.'],
    [['help', 'nonsense'], 'There is no command `nonsense`.'],
    [['wroker'], 'There is no command `wroker`.'],
    [['db', 'stauts'], 'There is no command `db stauts`. Did you mean `bun run db:status`?'],
    [['db', 'sideways'], 'There is no command `db sideways`.'],
    [['--hepl'], 'There is no option `--hepl`. Did you mean `--help`?'],
    [
      ['serve', '--port', '80'],
      'There is no option `--port`. Settings are environment variables, such as `PORT=8000`.',
    ],
    [['-x'], 'There is no option `-x`. Settings are environment variables, such as `PORT=8000`.'],
    [
      ['--toString'],
      'There is no option `--toString`. Settings are environment variables, such as `PORT=8000`.',
    ],
    [['--help=token'], '`--help` takes no value'],
  ])('%p is refused, with the help of the program', async (args, fault) => {
    const stderr = `${fault}\nHelp: bun src/main.ts --help\n`
    expect(await run(args)).toEqual({ stdout: '', stderr, code: 2 })
  })

  test.each([
    [['db'], 'After `db`, one of these is missing: up, down, status, new, url', 'bun src/main.ts db'],
    [['token'], 'The user is missing: bun run token <user>', 'bun run token'],
    [['token', ''], 'The user is missing: bun run token <user>', 'bun run token'],
    [['token', 'ann', 'lee'], '`lee` is too much: bun run token <user>', 'bun run token'],
    [['serve', 'x'], '`x` is too much: bun run start', 'bun run start'],
    [['db', 'up', 'x'], '`x` is too much: bun run db:up', 'bun run db:up'],
    [['db', 'down', 'x'], '`x` is too much: bun run db:down', 'bun run db:down'],
    [['db', 'status', 'x'], '`x` is too much: bun run db:status', 'bun run db:status'],
    [['db', 'url', 'x'], '`x` is too much: bun run db:url', 'bun run db:url'],
    [['db', 'new'], 'The name is missing: bun run db:new <name>', 'bun run db:new'],
    [['db', 'new', 'a', 'b'], '`b` is too much: bun run db:new <name>', 'bun run db:new'],
    [['health', 'x'], '`x` is too much: bun src/main.ts health', 'bun src/main.ts health'],
    [
      ['worker'],
      'The number is missing: bun src/main.ts worker <number> <workers>',
      'bun src/main.ts worker',
    ],
  ])('%p is refused, with the help of the command', async (args, fault, program) => {
    const stderr = `${fault}\nHelp: ${program} --help\n`
    expect(await run(args)).toEqual({ stdout: '', stderr, code: 2 })
  })

  test('has started and written nothing', async () => {
    expect(await readdir(folder)).toEqual([])
  })
})
