import { afterAll, afterEach, describe, expect, spyOn, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pino from 'pino'
import { type Budget, createCounter } from '../../src/limits/counter'
import { addLimit } from '../../src/limits/rate-limiter'
import { RedisCounter } from '../../src/limits/redis'
import { freePort } from '../../src/system/free-port'

type Tuning = NonNullable<Parameters<typeof createCounter>[1]> & { redisTimeoutMs?: number }

const LOST = 'Redis is lost: each process counts for itself'
const BACK = 'Redis is back: the processes count together'
const PASSWORD = 'kept-out-of-the-log'
// so long that a slow machine does not count as a lost Redis
const PATIENT = { redisTimeoutMs: 10_000 }
const IMPATIENT = { redisTimeoutMs: 1000 }

const closings: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close()
})

/** As one process has them; `lines` is its log. */
function limits(redisUrl?: string, { redisTimeoutMs, ...tuning }: Tuning = {}) {
  const lines: { msg: string; reason?: string }[] = []
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const settings = { rateLimitPerMinute: 600, authRateLimitPerMinute: 3, chatRateLimitPerMinute: 1 }
  const shared = redisUrl === undefined ? undefined : new RedisCounter(redisUrl, log, redisTimeoutMs)
  const made = createCounter(settings, { shared, ...tuning })
  closings.push(() => made.close())
  return { ...made, lines, messages: () => lines.map(({ msg }) => msg) }
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await Bun.sleep(5)
}

describe('in memory', () => {
  test('a request is over the limit when as many came before in the same minute', async () => {
    const { take } = limits()
    const budgets: Budget[] = []
    for (let request = 1; request <= 5; request++) budgets.push(await take('auth-address', '192.0.2.1'))
    expect(budgets.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0, 0])
    expect(budgets.map(({ isSpent }) => isSpent)).toEqual([false, false, false, true, true])
    for (const { limit, reset } of budgets) {
      expect(limit).toBe(3)
      expect(reset).toBeWithin(1, 61)
    }
  })

  test('signing in has a limit of its own, smaller than that of all else', async () => {
    const { take } = limits()
    const left: Record<string, number> = {}
    for (const policy of ['user', 'address', 'auth-address', 'auth-account'] as const) {
      left[policy] = (await take(policy, 'one key')).remaining
    }
    expect(left).toEqual({ user: 599, address: 599, 'auth-address': 2, 'auth-account': 2 })
  })

  test('each key counts for itself', async () => {
    const { take } = limits()
    await take('user', 'ann')
    expect((await take('user', 'bob')).remaining).toBe(599)
  })

  test('a look counts nothing, and is spent when the next request would be over the limit', async () => {
    const { take } = limits()
    const look = () => take('auth-account', 'ann@example.com', 0)
    expect(await look()).toMatchObject({ remaining: 3, reset: 1, isSpent: false })
    await take('auth-account', 'ann@example.com', 2)
    expect(await look()).toMatchObject({ remaining: 1, isSpent: false })
    await take('auth-account', 'ann@example.com')
    expect(await look()).toMatchObject({ remaining: 0, isSpent: true })
  })

  test('the budget is full again when the window ends', async () => {
    const { take } = limits(undefined, { windowSeconds: 0.05 })
    await take('auth-address', '192.0.2.1', 4)
    await until(async () => (await take('auth-address', '192.0.2.1', 0)).remaining === 3)
    expect(await take('auth-address', '192.0.2.1')).toMatchObject({ remaining: 2, isSpent: false })
  })

  test('a flood of addresses makes those be forgotten that were longest unused, and no other', async () => {
    const { take } = limits(undefined, { maxKeys: 10 })
    await take('address', 'once')
    for (let other = 0; other < 100; other++) {
      await take('address', 'often')
      await take('address', `other ${other}`)
    }
    expect((await take('address', 'once', 0)).remaining).toBe(600)
    expect((await take('address', 'often', 0)).remaining).toBe(500)
  })

  test('a flood of accounts makes none be forgotten that has reached its limit', async () => {
    const { take } = limits(undefined, { maxKeys: 10 })
    for (let time = 0; time < 3; time++) await take('auth-account', 'tried from many addresses')
    for (let other = 0; other < 100; other++) await take('auth-account', `other ${other}`)
    expect((await take('auth-account', 'tried from many addresses', 0)).isSpent).toBe(true)
  })
})

describe('the headers', () => {
  const budget = { policy: 'user', limit: 600, remaining: 599, reset: 42, isSpent: false } as const

  test('say what is left and what is allowed', () => {
    const headers = {}
    addLimit(headers, budget)
    expect(headers).toEqual({ ratelimit: '"user";r=599;t=42', 'ratelimit-policy': '"user";q=600;w=60' })
  })

  test('list every budget', () => {
    const headers = {}
    addLimit(headers, { ...budget, policy: 'auth-address', limit: 10, remaining: 0 })
    addLimit(headers, budget)
    expect(headers).toEqual({
      ratelimit: '"auth-address";r=0;t=42, "user";r=599;t=42',
      'ratelimit-policy': '"auth-address";q=10;w=60, "user";q=600;w=60',
    })
  })
})

const server = Bun.which('redis-server') ?? Bun.which('valkey-server')

// where the whole project is checked, a missing server is a fault and no reason to skip
if (!server && process.env['REQUIRE_REDIS']) throw new Error('There is no redis-server or valkey-server')

if (server) describe('in Redis', () => inRedis(server))
else test.skip('in Redis: there is no redis-server or valkey-server here; install one', () => {})

async function redisServer(command: string) {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-redis-'))
  const port = await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  const run = () => Bun.spawn([command, ...args, '--requirepass', PASSWORD], { stdout: 'ignore' })
  let child = run()
  const admin = new Redis({ host: '127.0.0.1', port, password: PASSWORD, retryStrategy: () => 20 })
  admin.on('error', () => {})
  const ready = () => until(() => admin.ping().then(Boolean, () => false))
  await ready()
  return {
    admin,
    url: `redis://:${PASSWORD}@127.0.0.1:${port}`,
    signal: (name: NodeJS.Signals) => child.kill(name),
    async kill() {
      child.kill('SIGKILL')
      await child.exited
    },
    async restart() {
      child = run()
      await ready()
    },
    async stop() {
      admin.disconnect()
      child.kill('SIGKILL')
      await child.exited
      await rm(folder, { recursive: true })
    },
  }
}

async function inRedis(command: string) {
  const redis = await redisServer(command)
  // where ioredis says what nobody listens to
  const shouted = spyOn(console, 'error')
  const warnings: Error[] = []
  process.on('warning', (warning) => warnings.push(warning))
  afterAll(() => redis.stop())
  afterEach(async () => {
    expect(shouted).not.toHaveBeenCalled()
    expect(warnings).toEqual([])
    await redis.admin.flushall()
  })

  type Process = ReturnType<typeof limits>

  let probes = 0
  async function untilShared({ take }: Process): Promise<void> {
    await until(async () => {
      const probe = `probe ${++probes}`
      await take('address', probe)
      return (await redis.admin.exists(`taskwell:address:${probe}`)) === 1
    })
  }

  async function requests({ take }: Process, count: number): Promise<Budget[]> {
    const budgets: Budget[] = []
    for (let request = 0; request < count; request++) budgets.push(await take('user', 'ann'))
    return budgets
  }

  test('two processes count together', async () => {
    const [one, other] = [limits(redis.url, PATIENT), limits(redis.url, PATIENT)]
    const left: number[] = []
    for (const process of [one, other, one, other]) left.push((await process.take('user', 'ann')).remaining)
    expect(left).toEqual([599, 598, 597, 596])
    expect(await other.take('user', 'ann', 0)).toMatchObject({ remaining: 596, isSpent: false })
    expect([...one.lines, ...other.lines]).toEqual([])
  })

  test('requests at once are counted once each, the very first as well', async () => {
    const processes = [limits(redis.url, PATIENT), limits(redis.url, PATIENT)]
    const budgets = await Promise.all(
      processes.flatMap(({ take }) => Array.from({ length: 20 }, () => take('user', 'ann'))),
    )
    const left = budgets.map(({ remaining }) => remaining).sort((a, b) => b - a)
    expect(left).toEqual(Array.from({ length: 40 }, (_, index) => 599 - index))
  })

  test('a request over the limit is over it in every process, until the window ends', async () => {
    const [one, other] = [limits(redis.url, PATIENT), limits(redis.url, PATIENT)]
    for (let request = 1; request <= 3; request++) await one.take('auth-account', 'ann@example.com')
    const over = await other.take('auth-account', 'ann@example.com')
    expect(over).toMatchObject({ remaining: 0, isSpent: true })
    expect(over.reset).toBeWithin(1, 61)
    const [key = ''] = await redis.admin.keys('*')
    await redis.admin.pexpire(key, 1)
    await until(async () => (await redis.admin.exists(key)) === 0)
    expect(await one.take('auth-account', 'ann@example.com')).toMatchObject({ remaining: 2, isSpent: false })
  })

  test('every count ends by itself within a minute', async () => {
    const process = limits(redis.url, PATIENT)
    for (const policy of ['user', 'address', 'auth-address', 'auth-account'] as const)
      await process.take(policy, 'key')
    const keys = await redis.admin.keys('*')
    expect(keys.length).toBe(4)
    for (const key of keys) expect(await redis.admin.pttl(key)).toBeWithin(1, 60_001)
  })

  test('a window that another version has begun is counted on, and ends when it would have', async () => {
    const key = 'taskwell:address:192.0.2.1'
    await redis.admin.set(key, '5', 'EX', 30)
    const process = limits(redis.url, PATIENT)
    expect(await process.take('address', '192.0.2.1', 0)).toMatchObject({ remaining: 595 })
    const budget = await process.take('address', '192.0.2.1')
    expect(budget.remaining).toBe(594)
    expect(budget.reset).toBeWithin(1, 31)
    expect(await redis.admin.get(key)).toBe('6')
  })

  test('a look leaves nothing behind', async () => {
    const process = limits(redis.url, PATIENT)
    expect(await process.take('user', 'ann', 0)).toMatchObject({ remaining: 600, isSpent: false })
    expect(await redis.admin.keys('*')).toEqual([])
  })

  test('neither a user nor an e-mail address can be read in its keys', async () => {
    const process = limits(redis.url, PATIENT)
    await process.take('user', 'user-of-somebody')
    await process.take('auth-account', 'ann@example.com')
    await process.take('auth-account', `${'x'.repeat(10_000)}@example.com`)
    await process.take('address', '2001:db8:1:2::/64')
    const keys = (await redis.admin.keys('*')).sort()
    expect(keys).toEqual([
      'taskwell:address:2001:db8:1:2::/64',
      expect.stringMatching(/^taskwell:auth-account:[\w-]{22}$/),
      expect.stringMatching(/^taskwell:auth-account:[\w-]{22}$/),
      expect.stringMatching(/^taskwell:user:[\w-]{22}$/),
    ])
  })

  test('nothing is connected before the first request', async () => {
    const { url, connections } = closingServer()
    const process = limits(url)
    await fetch(url.replace(/.*@/, 'http://')).catch(() => {})
    expect(connections()).toBe(1)
    await process.take('user', 'ann')
    await until(() => connections() === 2)
  })

  describe('when Redis is gone, memory counts, and Redis again when it is back', () => {
    afterEach(() => redis.signal('SIGCONT'))

    test('killed and started again', async () => {
      const [one, other] = [limits(redis.url, PATIENT), limits(redis.url, PATIENT)]
      await untilShared(one)
      await redis.kill()
      const left = (await requests(one, 50)).map(({ remaining }) => remaining)
      expect(left).toEqual(Array.from({ length: 50 }, (_, index) => 599 - index))
      await redis.restart()
      await untilShared(one)
      await untilShared(other)
      await one.take('user', 'bob')
      expect((await other.take('user', 'bob')).remaining).toBe(598)
      expect(one.messages()).toEqual([LOST, BACK])
    })

    test('silent, twice: the first requests wait a moment, those after them do not', async () => {
      const process = limits(redis.url, IMPATIENT)
      for (let outage = 1; outage <= 2; outage++) {
        await untilShared(process)
        expect(process.messages()).toHaveLength(2 * (outage - 1))
        redis.signal('SIGSTOP')
        const begun = performance.now()
        await Promise.all(Array.from({ length: 50 }, () => process.take('user', 'bob')))
        expect((await process.take('user', 'bob', 0)).remaining).toBe(600 - 50 * outage)
        await requests(process, 250)
        // a wait for each request would take minutes
        expect(performance.now() - begun).toBeLessThan(20_000)
        expect(process.messages()).toHaveLength(2 * outage - 1)
        redis.signal('SIGCONT')
      }
      await untilShared(process)
      expect(process.messages()).toEqual([LOST, BACK, LOST, BACK])
    })

    test('silent from the first request on, and when only looked at', async () => {
      redis.signal('SIGSTOP')
      const process = limits(redis.url, IMPATIENT)
      expect((await process.take('user', 'ann', 0)).remaining).toBe(600)
      expect((await requests(process, 100)).at(-1)?.remaining).toBe(500)
      expect(process.messages()).toEqual([LOST])
      redis.signal('SIGCONT')
      await untilShared(process)
      expect(process.messages()).toEqual([LOST, BACK])
    })

    test('answering with errors', async () => {
      const process = limits(redis.url, PATIENT)
      await untilShared(process)
      await redis.admin.config('SET', 'maxmemory', '1')
      expect((await requests(process, 50)).at(-1)?.remaining).toBe(550)
      await redis.admin.config('SET', 'maxmemory', '0')
      await redis.admin.flushall()
      await untilShared(process)
      expect(process.messages()).toEqual([LOST, BACK])
      expect(process.lines[0]?.reason).toBe('OOM')
    })
  })

  test.each([
    ['refused', async () => `redis://:${PASSWORD}@127.0.0.1:${await freePort()}`, /^ECONNREFUSED$/],
    ['of another password', () => redis.url.replace(PASSWORD, `wrong-${PASSWORD}`), /^WRONGPASS$/],
    ['closed at once', () => closingServer().url, /^(EPIPE|ECONNRESET|no answer)$/],
  ])(
    'a connection %s leaves the counting to memory, and is told once, without the password',
    async (_, url, reason) => {
      const process = limits(await url(), PATIENT)
      expect((await requests(process, 50)).at(-1)?.remaining).toBe(550)
      await until(() => process.lines.length > 0)
      expect(process.messages()).toEqual([LOST])
      expect(process.lines[0]?.reason).toMatch(reason)
      expect(JSON.stringify(process.lines)).not.toContain(PASSWORD)
    },
  )

  test('closed, it counts in memory and says nothing', async () => {
    const process = limits(redis.url, PATIENT)
    await untilShared(process)
    await process.close()
    expect((await process.take('user', 'ann')).remaining).toBe(599)
    expect(process.lines).toEqual([])
  })
}

function closingServer() {
  let opened = 0
  const open = (socket: Bun.Socket) => {
    opened++
    socket.end()
  }
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { open, data() {} } })
  closings.push(() => listener.stop(true))
  return { url: `redis://:${PASSWORD}@127.0.0.1:${listener.port}`, connections: () => opened }
}
