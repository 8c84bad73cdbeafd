/** `bun run dev`, in a copy of the sources, because the test changes them. */
import { afterAll, expect, test } from 'bun:test'
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const folder = await mkdtemp(join(tmpdir(), 'taskwell-dev-'))
for (const part of ['src', 'scripts', 'db', 'package.json']) {
  await cp(join(ROOT, part), join(folder, part), { recursive: true })
}
await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))

const env = { PATH: process.env['PATH'] ?? '', DATA_DIR: join(folder, 'data'), PORT: '0', HOST: '127.0.0.1' }
const options = { cwd: folder, env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' } as const
const running = new Set<Bun.Subprocess>()
afterAll(async () => {
  for (const each of running) each.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

function startDev(more: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, 'scripts/dev.ts'], {
    ...options,
    env: { ...env, ...more },
    // a group of its own, as a terminal has
    detached: true,
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  return child
}

/** Waits for a text in the output, each time from behind the last one. */
function outputOf(child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>) {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    async until(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = pattern.exec(text)
        if (found) {
          text = text.slice(found.index + found[0].length)
          return found[1] ?? found[0]
        }
        const { value, done } = await reader.read()
        if (done) throw new Error(`it ended: ${text}${await new Response(child.stderr).text()}`)
        text += value
      }
    },
  }
}

async function printUrl() {
  const child = Bun.spawn([process.execPath, 'src/main.ts', 'db', 'url'], options)
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((each) => new Response(each).text()),
  )
  return { code: await child.exited, stdout: stdout ?? '', stderr: stderr ?? '' }
}

const postgresPid = async () =>
  Number((await readFile(join(folder, 'data/postgres/postmaster.pid'), 'utf8')).split('\n')[0])

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function change(file: string, from: string, to: string): Promise<void> {
  const path = join(folder, file)
  await Bun.write(path, (await Bun.file(path).text()).replace(from, to))
}

test('a changed source starts the server again, and PostgreSQL runs on until Ctrl-C', async () => {
  const dev = startDev()
  const output = outputOf(dev)
  const ready = async (url: string) => (await fetch(`${url}/ready`)).status
  expect(await ready(await output.until(/Taskwell listens on (\S+)/))).toBe(200)
  const pid = await postgresPid()
  expect((await printUrl()).stdout).toMatch(/^postgres:\/\/postgres:\S+@127\.0\.0\.1:\d+\/postgres\S*\n$/)

  await change('src/cli/welcome.ts', 'Taskwell listens', 'The first change listens')
  await output.until(/The first change listens on (\S+)/)

  // a file that is loaded late, so that the program itself reports the error and exits
  await change('src/server.ts', 'export async function serve', 'const = ; export async function serve')
  await output.until(/src\/server\.ts:\d+:\d+/)
  await output.until(/It starts again when a file in src changes/)
  await change('src/server.ts', 'const = ; ', '')
  expect(await ready(await output.until(/The first change listens on (\S+)/))).toBe(200)
  expect(await postgresPid()).toBe(pid)

  process.kill(-dev.pid, 'SIGINT')
  expect(await dev.exited).toBe(0)
  expect(isAlive(pid)).toBe(false)
  // nothing is left in its group
  expect(() => process.kill(-dev.pid, 0)).toThrow()
})

test('without a database, db:url says how to start one', async () => {
  const { code, stdout, stderr } = await printUrl()
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain('bun run dev')
})

test('production is refused', async () => {
  const dev = startDev({ NODE_ENV: 'production', BETTER_AUTH_SECRET: 'x'.repeat(32) })
  expect(await new Response(dev.stderr).text()).toContain('for development')
  expect(await dev.exited).toBe(1)
})
