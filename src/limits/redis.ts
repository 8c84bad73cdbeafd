/** The connection to Redis, in which many processes count requests together. Only they load this file and its library. */
import { hash } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { type Policy, type Used, WINDOW_SECONDS } from './policy'

/** Counts `points` requests, or none. @returns how many are in the window, and how many milliseconds it still has */
const COUNT = `
  local key, points, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
  if points == 0 then
    return { tonumber(redis.call('get', key) or 0), redis.call('pttl', key) }
  end
  local consumed = redis.call('incrby', key, points)
  if redis.call('pttl', key) < 0 then redis.call('pexpire', key, window) end
  return { consumed, redis.call('pttl', key) }`

/** Connects with the first request. After a failure, it waits for a second before it connects again. */
export class RedisCounter {
  readonly client: Redis
  readonly #log: Logger
  readonly #timeoutMs: number
  #opening: Promise<void> | undefined
  #isLost = false
  #isDropped = false
  #isClosed = false
  #reason: string | undefined

  /** @param timeoutMs how long Redis may take for an answer before it counts as lost */
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

  /** Counts `points` requests, or none. @returns undefined if Redis does not answer */
  async count(policy: Policy, key: string, points: number): Promise<Used | undefined> {
    try {
      await this.#open()
      const counted = this.client.eval(COUNT, 1, storedKey(policy, key), points, WINDOW_SECONDS * 1000)
      // the client does not know what a script answers
      const [consumed, endsIn] = (await counted) as [number, number]
      this.#regain()
      // negative if there is no window, and 0 in its last moment
      return endsIn > 0 ? { consumed, endsIn } : { consumed: 0, endsIn: 0 }
    } catch {
      this.#lose()
      return undefined
    }
  }

  /** Only the very first requests wait for the connection. */
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

  /** Takes only Redis's own word from an error's message, such as `WRONGPASS` or `READONLY`. */
  #noteReason(error: Error & { code?: string }): void {
    this.#reason = error.code ?? /^[A-Z]+(?= )/.exec(error.message)?.[0]
  }

  #lose(): void {
    if (this.#isClosed) return
    // on a silent connection every request would wait; the next connection is ready only when Redis has answered
    if (this.client.status === 'ready' && !this.#isDropped) {
      this.#isDropped = true
      this.client.disconnect(true)
    }
    if (this.#isLost) return
    this.#isLost = true
    this.#log.warn({ reason: this.#reason ?? 'no answer' }, 'Redis is lost: each process counts for itself')
  }

  #regain(): void {
    if (!this.#isLost) return
    this.#isLost = false
    this.#reason = undefined
    this.#log.info('Redis is back: the processes count together')
  }
}

/** Users and e-mail addresses are stored in Redis as a hash only. */
function storedKey(policy: Policy, key: string): string {
  const isAddress = policy === 'address' || policy === 'auth-address'
  return `taskwell:${policy}:${isAddress ? key : hash('sha256', key, 'base64url').slice(0, 22)}`
}
