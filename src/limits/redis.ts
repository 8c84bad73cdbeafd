/** The connection to Redis, in which many processes count requests together; apart, for only they need the library. */
import { hash } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { type Policy, type Used, WINDOW_SECONDS } from './counter'

/** Never asked before the first request, and after each failure left alone for a second. */
export class RedisCounter {
  readonly client: Redis
  readonly #log: Logger
  readonly #timeoutMs: number
  readonly #limiters = new Map<Policy, RateLimiterRedis>()
  #opening: Promise<void> | undefined
  #isLost = false
  #isDropped = false
  #isClosed = false
  #reason: string | undefined

  /** @param timeoutMs how long one answer may take, before Redis counts as gone */
  constructor(url: string, log: Logger, timeoutMs = 200) {
    this.#log = log
    this.#timeoutMs = timeoutMs
    this.client = new Redis(url, {
      lazyConnect: true,
      commandTimeout: timeoutMs,
      connectTimeout: Math.max(timeoutMs, 1000),
      disconnectTimeout: timeoutMs,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 1000,
      reconnectOnError: (error) => {
        this.#noteReason(error)
        return false
      },
    })
    this.client.on('error', (error) => this.#noteReason(error))
    this.client.on('close', () => {
      this.#lose()
      this.#isDropped = false
    })
  }

  /**
   * Counts one request.
   *
   * @param points 0 only looks
   * @returns nothing if Redis does not answer
   */
  async count(policy: Policy, key: string, points: number): Promise<Used | undefined> {
    const limiter = this.#limiter(policy)
    const stored = storedKey(policy, key)
    try {
      await this.#open()
      // `penalty` counts as `consume` does, but past the limit it does not reject
      const result = points > 0 ? await limiter.penalty(stored, points) : await limiter.get(stored)
      this.#regain()
      // a window that has ended may be there for a moment still
      if (result === null || result.msBeforeNext <= 0) return { consumed: 0, endsIn: 0 }
      return { consumed: result.consumedPoints, endsIn: result.msBeforeNext }
    } catch {
      this.#lose()
      return undefined
    }
  }

  #limiter(policy: Policy): RateLimiterRedis {
    const made = this.#limiters.get(policy)
    if (made) return made
    const limiter = new RateLimiterRedis({
      keyPrefix: `taskwell:${policy}`,
      // what is left is counted elsewhere
      points: 1,
      duration: WINDOW_SECONDS,
      storeClient: this.client,
      rejectIfRedisNotReady: true,
    })
    this.#limiters.set(policy, limiter)
    return limiter
  }

  /** Only the very first requests wait for the connection, and not for long. */
  async #open(): Promise<void> {
    if (this.client.status === 'wait') {
      const connected = this.client.connect().catch(() => {})
      this.#opening = Promise.race([connected, Bun.sleep(this.#timeoutMs)]).finally(() => {
        this.#opening = undefined
      })
    }
    await this.#opening
  }

  close(): void {
    this.#isClosed = true
    this.client.disconnect()
  }

  /** Of an error's message no more than Redis's own word for it, such as `WRONGPASS` or `READONLY`. */
  #noteReason(error: Error & { code?: string }): void {
    const reason = error.code ?? /^[A-Z]+(?= )/.exec(error.message)?.[0]
    // with that the library is asked for the script, which it then sends
    if (reason !== 'NOSCRIPT') this.#reason = reason
  }

  #lose(): void {
    if (this.#isClosed) return
    if (this.client.status === 'ready') this.#drop()
    if (this.#isLost) return
    this.#isLost = true
    this.#log.warn({ reason: this.#reason ?? 'no answer' }, 'Redis is lost: each process counts for itself')
  }

  /** On a silent connection every request would wait; the next one is not ready before Redis has answered. */
  #drop(): void {
    if (this.#isDropped) return
    this.#isDropped = true
    this.client.disconnect(true)
  }

  #regain(): void {
    if (!this.#isLost) return
    this.#isLost = false
    this.#reason = undefined
    this.#log.info('Redis is back: the processes count together')
  }
}

/** Users and e-mail addresses are not in Redis in the clear. */
function storedKey(policy: Policy, key: string): string {
  if (policy === 'address' || policy === 'auth-address') return key
  return hash('sha256', key, 'base64url').slice(0, 22)
}
