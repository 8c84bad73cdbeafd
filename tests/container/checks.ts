/**
 * What a deployment relies on, checked on what is deployed: `bun run test:container`. It builds first, so the
 * ordinary tests leave it out.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import postgres from 'postgres'
import { signAccessToken } from '../../src/auth/token'
import { freePort } from '../../src/system/free-port'
import { createSubject, type Run } from './subject'

const SERVER_URL = process.env['DATABASE_URL']
if (!SERVER_URL) throw new Error('DATABASE_URL is not set: run these with `bun run test:container`')

const SECRET = 'a-shared-secret-of-at-least-32-bytes'
const PORT = await freePort()
const ORIGIN = `http://127.0.0.1:${PORT}`

/** In milliseconds. */
const POLL_INTERVAL = 20
setDefaultTimeout(30_000)

const subject = await createSubject()
process.stdout.write(`Checking ${subject.title} (${subject.means})\n`)

const admin = postgres(SERVER_URL, { max: 1, onnotice: () => {} })
const name = `container_${crypto.randomUUID().replaceAll('-', '')}`
await admin`create database ${admin(name)} template template0`
const DATABASE_URL = Object.assign(new URL(SERVER_URL), { pathname: `/${name}` }).href
const SERVING = { PORT: String(PORT), DATABASE_URL, BETTER_AUTH_SECRET: SECRET }

afterAll(async () => {
  await subject.dispose()
  await admin`drop database ${admin(name)} with (force)`
  await admin.end()
}, 60_000)

describe(subject.title, () => {
  test('without settings it ends with 1 and names the variables that it needs', async () => {
    const run = subject.run({})
    expect(await run.exited).toBe(1)
    const output = await run.output
    for (const variable of ['BETTER_AUTH_SECRET', 'BETTER_AUTH_URL', 'AUTH_JWKS_URL']) {
      expect(output).toContain(variable)
    }
  })

  test('a secret that is too short is named and not shown', async () => {
    const run = subject.run({ ...SERVING, BETTER_AUTH_SECRET: 'too-short-to-be-safe' })
    expect(await run.exited).toBe(1)
    expect(await run.output).toContain('BETTER_AUTH_SECRET')
    expect(await run.output).not.toContain('too-short-to-be-safe')
  })

  test('without a database it ends with 1 and says that it has none of its own', async () => {
    const run = subject.run({ BETTER_AUTH_SECRET: SECRET })
    expect(await run.exited).toBe(1)
    expect(await run.output).toContain('There is no embedded PostgreSQL here')
    expect(await run.output).toContain('DATABASE_URL')
  })

  test('it prints its help without settings, and calls itself taskwell', async () => {
    const run = subject.run({}, 'serve', '--help')
    expect(await run.exited).toBe(0)
    expect(await run.output).toStartWith('Usage: taskwell serve\n')
  })

  test('an unknown command ends with 2 and is named', async () => {
    const run = subject.run(SERVING, 'heath')
    expect(await run.exited).toBe(2)
    expect(await run.output).toContain('Did you mean `taskwell health`?')
  })

  test('it has no migrations, and says which image has them', async () => {
    const run = subject.run(SERVING, 'db', 'up')
    expect(await run.exited).toBe(1)
    expect(await run.output).toContain('taskwell-migrate')
  })

  test('the migrations need DATABASE_URL and nothing else', async () => {
    const run = subject.migrate({ DATABASE_URL })
    const output = await run.output
    expect({ code: await run.exited, output }).toMatchObject({ code: 0 })
  })

  test('/health and /ready answer 200', () =>
    serving(async () => {
      expect((await fetch(`${ORIGIN}/health`)).status).toBe(200)
      expect((await fetch(`${ORIGIN}/ready`)).status).toBe(200)
    }))

  test('the health command ends with 0 while it serves', () =>
    serving(async () => {
      expect(await subject.run(SERVING, 'health').exited).toBe(0)
    }))

  test('the health command ends with 1 while nothing serves', async () => {
    expect(await subject.run(SERVING, 'health').exited).toBe(1)
  })

  test.each([
    ['/docs', 'text/html', 300],
    ['/docs/assets/swagger-ui.js', 'text/javascript', 1_000_000],
    ['/docs/assets/swagger-ui.css', 'text/css', 100_000],
    ['/docs/assets/favicon.png', 'image/png', 500],
    ['/redoc', 'text/html', 300],
    ['/docs/assets/redoc.js', 'text/javascript', 500_000],
    ['/openapi.json', 'application/json', 10_000],
  ])('%s is inside', (path, type, leastBytes) =>
    serving(async () => {
      const response = await fetch(ORIGIN + path)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toStartWith(type)
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(leastBytes)
    }),
  )

  test('a task is still there after a restart', async () => {
    const token = await signAccessToken('ann', {
      secret: SECRET,
      jwtExpireMinutes: 5,
      issuers: [],
      audiences: [],
    })
    const authorization = `Bearer ${token}`
    const created = await serving(async () => {
      const response = await fetch(`${ORIGIN}/api/v1/todos`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ title: 'Outlive a restart' }),
      })
      expect(response.status).toBe(201)
      return response.json()
    })
    await serving(async () => {
      const response = await fetch(`${ORIGIN}/api/v1/todos/${created.id}`, { headers: { authorization } })
      expect(await response.json()).toEqual(created)
    })
  })

  test('it does not run as root', () =>
    serving(async (run) => {
      expect(await run.userId()).toBeGreaterThan(0)
    }))

  test('it ends with 0 on SIGTERM', async () => {
    const run = await startServing()
    run.kill('SIGTERM')
    expect(await run.exited).toBe(0)
  })

  // without an image there is nothing to ask
  describe.skipIf(subject.image === undefined)('of itself it says', () => {
    const { user = '', variables = [], history = '' } = subject.image ?? {}

    test('that its user is a number, and not root', () => {
      expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    })

    test('that it sets PATH, NODE_ENV and an option of the runtime, and no other variable', () => {
      expect([...variables].sort()).toEqual(['BUN_JSC_heapGrowthMaxIncrease', 'NODE_ENV', 'PATH'])
    })

    test('that it has a health check, and nothing of a secret', () => {
      expect(history).toContain('HEALTHCHECK')
      expect(history).not.toMatch(/secret|password|token/i)
    })
  })
})

/** Starts the service, uses it, and ends it. */
async function serving<T>(use: (run: Run) => Promise<T>): Promise<T> {
  const run = await startServing()
  try {
    return await use(run)
  } finally {
    run.kill('SIGTERM')
    await run.exited
  }
}

/** @throws Error with its output if it ends before it answers */
async function startServing(): Promise<Run> {
  const run = subject.run(SERVING)
  let hasEnded = false
  void run.exited.then(() => {
    hasEnded = true
  })
  while (!(await isHealthy())) {
    if (hasEnded) throw new Error(`It ended before it answered:\n${await run.output}`)
    await Bun.sleep(POLL_INTERVAL)
  }
  return run
}

async function isHealthy(): Promise<boolean> {
  const response = await fetch(`${ORIGIN}/health`).catch(() => undefined)
  return response?.ok ?? false
}
