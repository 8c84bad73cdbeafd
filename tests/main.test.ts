import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt, SignJWT } from 'jose'
import { scripts } from '../package.json'
import { runningUrl } from '../src/embedded/server'
import { blockWrites, testDatabase } from './support/database'

const folder = await mkdtemp(join(tmpdir(), 'taskwell-main-'))
const { url: databaseUrl } = await testDatabase()
const MAIN = join(import.meta.dir, '../src/main.ts')
const running = new Set<Bun.Subprocess>()
afterAll(async () => {
  for (const each of running) each.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

type Environment = Record<string, string>

/** The program as its users start it, with this environment and nothing of ours. */
function start(args: string[], env: Environment) {
  const child = Bun.spawn([process.execPath, '--no-env-file', MAIN, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', DATA_DIR: folder, PORT: '0', HOST: '127.0.0.1', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  return child
}

async function run(args: string[], env: Environment) {
  const child = start(args, env)
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((each) => new Response(each).text()),
  )
  return { code: await child.exited, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** The README's command. @param shell `bun` is what Windows has */
function runStart(shell: 'system' | 'bun', env: Environment) {
  const child = Bun.spawn([process.execPath, 'run', `--shell=${shell}`, 'start'], {
    cwd: join(import.meta.dir, '..'),
    env: { PATH: process.env['PATH'] ?? '', DATA_DIR: folder, PORT: '0', HOST: '127.0.0.1', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    // a group of its own, as a terminal has
    detached: true,
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  return child
}

/** Starts to serve and waits for the line that says where. */
async function serve(env: Environment) {
  const child = start(['serve'], env)
  const output = outputOf(child)
  const [, url = ''] = await output.until(/listens on (http:\/\/\S+)/)
  /** Ends it, and gives all that it has printed. */
  const stop = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    return { code: await child.exited, output: await output.rest() }
  }
  return { url, child, output, stop }
}

function outputOf(child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>) {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    async until(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const found = pattern.exec(text)
        if (found) return found
        const { value, done } = await reader.read()
        if (done) throw new Error(`it ended: ${text}${await new Response(child.stderr).text()}`)
        text += value
      }
    },
    async rest(): Promise<string> {
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value
      return text
    },
  }
}

async function serverPid(): Promise<number> {
  const [pid] = (await readFile(join(folder, 'postgres/postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('serving with the embedded database', () => {
  test('goes from nothing to a task and back, and keeps the task', async () => {
    const first = await serve({})
    const token = (await run(['token', 'ann'], {})).stdout.trim()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const created = await fetch(`${first.url}/api/v1/todos`, {
      method: 'POST',
      headers,
      body: '{"title":"kept"}',
    })
    expect(created.status).toBe(201)
    const pid = await serverPid()
    const ended = await first.stop('SIGTERM')
    expect(ended.code).toBe(0)
    expect(ended.output).toContain(`${first.url}/docs`)
    expect(ended.output).toContain('run token <user>')
    expect(ended.output).toContain(`an embedded PostgreSQL in ${folder}`)
    expect(ended.output).not.toContain(token)
    expect(isAlive(pid)).toBe(false)

    const second = await serve({})
    const list = await fetch(`${second.url}/api/v1/todos`, { headers })
    expect(await list.json()).toMatchObject([{ title: 'kept' }])
    expect((await second.stop('SIGINT')).code).toBe(0)
  })

  test('is refused while another process has the folder', async () => {
    const first = await serve({})
    const { code, stderr } = await run(['serve'], {})
    expect(code).toBe(1)
    expect(stderr).toContain('Another Taskwell process is using')
    await first.stop('SIGTERM')
  })

  test('changes its schema while it runs and while it does not', async () => {
    expect(await run(['db', 'status'], {})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Pending: 0'),
    })
    const { stop } = await serve({})
    expect(await run(['db', 'status'], {})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Pending: 0'),
    })
    await stop('SIGTERM')
  })

  test('keeps the development secret where only its owner can read it', async () => {
    expect((await stat(join(folder, 'secret'))).mode & 0o077).toBe(0)
  })
})

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  '%s in the middle of a start leaves nothing running',
  async (signal) => {
    const child = start(['serve'], {})
    // its server is there before it is ready
    let pid = 0
    while (pid === 0) pid = await serverPid().catch(() => 0)
    child.kill(signal)
    expect(await child.exited).toBe(0)
    expect(isAlive(pid)).toBe(false)
  },
)

test('the end of the npx that started it ends it too', async () => {
  // npm calls itself so, and passes no signal on
  const script = `"${process.execPath}" --no-env-file "${MAIN}" serve & wait`
  const npx = Bun.spawn(['sh', '-c', script], {
    argv0: 'npm exec taskwell',
    env: { PATH: process.env['PATH'] ?? '', DATA_DIR: folder, PORT: '0', HOST: '127.0.0.1' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const output = outputOf(npx)
  await output.until(/listens on/)
  const pid = await serverPid()
  npx.kill('SIGKILL')
  expect(await output.rest()).toContain('npx has ended: stopping')
  expect(isAlive(pid)).toBe(false)
})

describe('bun run start', () => {
  const env = { DATABASE_URL: databaseUrl }

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'passes %s on, and ends as the server does',
    async (signal) => {
      const child = runStart('system', env)
      const output = outputOf(child)
      await output.until(/listens on/)
      child.kill(signal)
      expect(await child.exited).toBe(0)
      expect(await output.rest()).toContain('stopped')
    },
  )

  test('serves in the shell that Windows has, and Ctrl-C ends it there', async () => {
    const child = runStart('bun', env)
    const output = outputOf(child)
    const [, url = ''] = await output.until(/listens on (http:\/\/\S+)/)
    expect((await fetch(`${url}/ready`)).status).toBe(200)
    // as a terminal does, to all of the group
    process.kill(-child.pid, 'SIGINT')
    expect(await output.rest()).toContain('stopped')
    await child.exited
  })

  test('has scripts of plain commands alone, which every shell knows', () => {
    for (const script of Object.values(scripts)) expect(script).toMatch(/^(?:bun|biome) [^&|;$<>]*$/)
  })
})

test('a second signal ends it at once, and the embedded server with it', async () => {
  const { url, child, output } = await serve({})
  const pid = await serverPid()
  // a request that is under way holds up the first signal
  const writes = await blockWrites(runningUrl(folder) ?? '')
  const authorization = `Bearer ${(await run(['token', 'ann'], {})).stdout.trim()}`
  const headers = { authorization, 'content-type': 'application/json' }
  const request = fetch(`${url}/api/v1/todos`, { method: 'POST', headers, body: '{"title":"x"}' })
  request.catch(() => {})
  await writes.reached()
  child.kill('SIGTERM')
  await output.until(/stopping/)
  // one that follows at once may be the same one, passed on by a launcher
  while (child.exitCode === null) {
    child.kill('SIGTERM')
    await Bun.sleep(50)
  }
  expect(child.exitCode).toBe(1)
  while (isAlive(pid)) await Bun.sleep(1)
  await writes.forget()
})

describe('serving with a database of its own', () => {
  const env = { DATABASE_URL: databaseUrl, DATA_DIR: join(folder, 'unused') }

  test('embeds nothing', async () => {
    const { url, stop } = await serve(env)
    expect((await fetch(`${url}/ready`)).status).toBe(200)
    await expect(stat(join(folder, 'unused/postgres'))).rejects.toThrow()
    expect((await stop('SIGTERM')).code).toBe(0)
  })

  test('starts without it, and /ready tells', async () => {
    const { url, stop } = await serve({ ...env, DATABASE_URL: 'postgres://u:p@127.0.0.1:1/d' })
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect((await fetch(`${url}/ready`)).status).toBe(503)
    expect((await stop('SIGTERM')).code).toBe(0)
  })

  test('needs a port that is free', async () => {
    const { url, stop } = await serve(env)
    const { code, stderr } = await run(['serve'], { ...env, PORT: new URL(url).port })
    expect(code).toBe(1)
    expect(stderr).toContain('PORT')
    await stop('SIGTERM')
  })

  test('logs JSON lines in production, and nothing else', async () => {
    const production = { ...env, NODE_ENV: 'production', BETTER_AUTH_SECRET: 'x'.repeat(32) }
    const child = start(['serve'], production)
    const output = outputOf(child)
    await output.until(/ready in/)
    child.kill('SIGTERM')
    const lines = (await output.rest()).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
      expect.stringMatching(/^ready in \d+ ms$/),
      'SIGTERM: stopping',
      'stopped',
    ])
    expect(await child.exited).toBe(0)
  })
})

test.each([
  ['a host that is none', { HOST: '999.1.1.1', DATABASE_URL: databaseUrl }, 'HOST'],
  [
    'a folder that cannot be made',
    { DATA_DIR: '/proc/nope', BETTER_AUTH_SECRET: 'x'.repeat(32) },
    'DATA_DIR',
  ],
  ['a folder that is a file', { DATA_DIR: '/etc/passwd' }, 'DATA_DIR'],
])('%s is named', async (_, env, name) => {
  const { code, stderr } = await run(['serve'], env)
  expect(code).toBe(1)
  expect(stderr).toContain(name)
})

describe('a token', () => {
  test('is printed alone, for the user that is named', async () => {
    const { code, stdout } = await run(['token', 'ann'], {})
    expect(code).toBe(0)
    expect(decodeJwt(stdout.trim())).toMatchObject({ sub: 'ann', iss: 'taskwell' })
  })

  test.each([
    ['in production', { NODE_ENV: 'production', BETTER_AUTH_SECRET: 'x'.repeat(32) }, 'in development only'],
    ['without a shared secret', { BETTER_AUTH_URL: 'https://app.example' }, 'those of https://app.example,'],
  ])('is refused %s', async (_, env: Environment, why) => {
    const { code, stdout, stderr } = await run(['token', 'ann'], env)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(why)
  })

  test('of `bun run` is alone on standard output, for a shell to keep', async () => {
    const child = Bun.spawn([process.execPath, 'run', 'token', 'ann'], {
      cwd: join(import.meta.dir, '..'),
      env: { PATH: process.env['PATH'] ?? '', DATA_DIR: folder },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    expect(decodeJwt(await new Response(child.stdout).text())).toMatchObject({ sub: 'ann' })
    expect(await child.exited).toBe(0)
  })
})

describe('the file .env', () => {
  test('adds what the environment leaves out, in development', async () => {
    await writeFile(join(folder, '.env'), 'JWT_EXPIRE_MINUTES=7\n')
    const lifetime = async (env: Environment) => {
      const { exp = 0, iat = 0 } = decodeJwt((await run(['token', 'ann'], env)).stdout.trim())
      // the second may change between the two
      return Math.round((exp - iat) / 60)
    }
    expect(await lifetime({})).toBe(7)
    expect(await lifetime({ JWT_EXPIRE_MINUTES: '9' })).toBe(9)
    await rm(join(folder, '.env'))
  })

  test.each([
    ['a name with dashes', 'my-frontend-key=1\n'],
    ['a byte-order mark', '\uFEFF# made on Windows\r\n'],
    ['a line of prose', 'Ask Bob for the other values.\n'],
    ['a quote that stays open', 'BETTER_AUTH_SECRET=$SECRET\nNOTE="what Bob said\n'],
    ['a shell script', 'export BETTER_AUTH_SECRET=$SECRET\nif true; then echo $X; fi\n'],
  ])('may hold %s, and stays out of the output', async (_, text) => {
    const secret = 'the-secret-of-the-file-.env-in-32-bytes'
    const content = text.includes('$SECRET') ? text : `${text}BETTER_AUTH_SECRET=$SECRET\n`
    await writeFile(join(folder, '.env'), content.replace('$SECRET', secret))
    const { url, stop } = await serve({})
    const token = await new SignJWT({ sub: 'ann' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(secret))
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`${url}/api/v1/todos`, { headers })).status).toBe(200)
    const migrated = await run(['db', 'status'], {})
    expect(migrated).toMatchObject({ code: 0, stdout: expect.stringContaining('Pending: 0') })
    const { output } = await stop('SIGTERM')
    expect(output + migrated.stdout + migrated.stderr).not.toContain(secret)
    await rm(join(folder, '.env'))
  })

  test('is not read in production', async () => {
    await writeFile(join(folder, '.env'), `BETTER_AUTH_SECRET=${'x'.repeat(32)}\n`)
    const { code, stderr } = await run(['serve'], { NODE_ENV: 'production' })
    expect(code).toBe(1)
    expect(stderr).toContain('BETTER_AUTH_SECRET')
    await rm(join(folder, '.env'))
  })
})

describe('a start', () => {
  test('with settings at fault names each of them and ends with 1', async () => {
    const { code, stdout, stderr } = await run(['serve'], {
      PORT: 'x',
      NODE_ENV: 'production',
      JWT_SECRET_KEY: 'hunter2',
    })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    for (const name of ['PORT', 'JWT_SECRET_KEY']) expect(stderr).toContain(name)
    expect(stderr).not.toContain('hunter2')
  })

  test('without a command serves, as containers and service managers start it', async () => {
    const child = start([], { DATABASE_URL: databaseUrl })
    await outputOf(child).until(/listens on/)
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
  })
})

describe('the health command', () => {
  test('succeeds for a server and fails without one', async () => {
    const { url, stop } = await serve({ DATABASE_URL: databaseUrl })
    const { port } = new URL(url)
    expect(await run(['health'], { PORT: port })).toEqual({ code: 0, stdout: '', stderr: '' })
    await stop('SIGTERM')
    expect((await run(['health'], { PORT: port })).code).toBe(1)
  })
})
