/** The environment, read once: every name, its default and its limits. Nothing else in the project reads settings. */
import { availableParallelism } from 'node:os'
import { AddressError, readAddress } from './database/address'
import { codeOf } from './system/errors'

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

interface JwksSettings {
  /** The addresses of the keys; each is asked for a key id. */
  urls: readonly string[]
  issuers: readonly string[]
  audiences: readonly string[]
}

export interface AssistantSettings {
  /** Where Chat Completions are, without `/chat/completions`. */
  baseUrl: string
  apiKey: string | undefined
  model: string
}

export interface Settings {
  production: boolean
  host: string
  port: number
  /** If undefined, the embedded PostgreSQL in `dataDir`. */
  databaseUrl: string | undefined
  databasePoolSize: number
  /** How many processes serve on the one port. */
  workers: number
  /** Off for a pooler that cannot keep prepared statements. */
  databasePrepare: boolean
  dataDir: string
  /** The shared HS256 secret; in development made by `developmentSecret` when nothing else is trusted. */
  secret: string | undefined
  jwks: JwksSettings | undefined
  /** What HS256 tokens must name; an empty list is not checked. */
  issuers: readonly string[]
  audiences: readonly string[]
  /** Where programs get OAuth tokens for `/mcp`; perhaps none. */
  authorizationServers: readonly string[]
  jwtExpireMinutes: number
  accounts: boolean
  corsOrigins: readonly string[]
  logLevel: (typeof LOG_LEVELS)[number]
  rateLimitPerMinute: number
  authRateLimitPerMinute: number
  trustedProxyHops: number
  /** The address that clients use, without a slash at the end; a proxy removes its path. */
  publicUrl: string | undefined
  /** How long deleted tasks can be restored, and other devices can learn that they were deleted. */
  trashDays: number
  /** The Redis in which several processes count requests together. */
  redisUrl: string | undefined
  /** How long a request may take. */
  requestTimeoutMs: number
  /** How many streams and requests may be under way. */
  maxConnections: number
  /** How long a connection may be idle; a proxy in front should give up its own sooner. */
  keepAliveSeconds: number
  metrics: boolean
  /** The port of `/metrics`; if undefined, `port`. */
  metricsPort: number | undefined
  /** The bearer token that `/metrics` asks for; if undefined, none. */
  metricsToken: string | undefined
  /** The collector that gets traces; if undefined, there are no traces. */
  otelEndpoint: string | undefined
  /** The model that answers in chats; if undefined, none does. */
  assistant: AssistantSettings | undefined
  /** How long the answer to a message may take. */
  aiTimeoutMs: number
  chatRateLimitPerMinute: number
}

export type DatabaseSettings = Pick<Settings, 'databaseUrl' | 'dataDir'>

/** Every variable at fault in one message; never a value, which may be a secret. */
export class SettingsError extends Error {
  constructor(faults: readonly string[]) {
    super(`Taskwell cannot start with these settings:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Collects faults instead of throwing at the first, so that one start shows all of them. */
function reader(env: Environment) {
  const faults: string[] = []

  function text(name: string, ...otherNames: string[]): string | undefined {
    const set = [name, ...otherNames].filter((each) => env[each])
    const values = new Set(set.map((each) => env[each]))
    if (values.size > 1) faults.push(`${set.join(' and ')}: two names of one setting, with different values`)
    return set[0] && env[set[0]]
  }
  /** @param rule what the fault says after the name @param parse gives undefined for a value at fault */
  function parsed<T>(name: string, rule: string, parse: (value: string) => T | undefined): T | undefined {
    const value = text(name)
    if (value === undefined) return undefined
    const result = parse(value)
    if (result === undefined) faults.push(`${name}: ${rule}`)
    return result
  }
  function integer(name: string, fallback: number, min: number, max: number, otherwise = ''): number {
    const rule = `must be ${otherwise}a whole number from ${min} to ${max}`
    const number = parsed(name, rule, (value) => {
      const given = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
      return given >= min && given <= max ? given : undefined
    })
    return number ?? fallback
  }
  function oneOf<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const rule = `must be one of ${choices.join(', ')}`
    return parsed(name, rule, (value) => choices.find((each) => each === value)) ?? fallback
  }
  const isOn = (name: string, fallback: 'on' | 'off') => oneOf(name, ['on', 'off'], fallback) === 'on'
  function url(name: string, protocols: readonly string[]): string | undefined {
    const rule = `must be a URL that begins with ${protocols.map((each) => `${each}//`).join(' or ')}`
    return parsed(name, rule, (value) => (isUrl(value, protocols) ? value : undefined))
  }
  const list = (name: string) => commaList(text(name) ?? '')

  return { faults, text, parsed, integer, oneOf, isOn, url, list }
}

function isUrl(value: string, protocols: readonly string[]): boolean {
  const url = URL.parse(value)
  if (url === null || !protocols.includes(url.protocol)) return false
  try {
    // a `%` that begins no escape would fail only later, in the driver
    decodeURIComponent(url.href)
    return true
  } catch {
    return false
  }
}

function commaList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

const HTTP = ['http:', 'https:']

type Reader = ReturnType<typeof reader>

function readSecret(read: Reader): string | undefined {
  const secret = read.text('BETTER_AUTH_SECRET', 'JWT_SECRET_KEY')
  if (secret !== undefined && new TextEncoder().encode(secret).byteLength < 32) {
    read.faults.push('BETTER_AUTH_SECRET (or JWT_SECRET_KEY): must have at least 32 bytes')
  }
  return secret
}

/** Better Auth names its origin as issuer and audience; its OAuth provider names the API's own address as issuer. */
function betterAuthDefaults(url: string | undefined): JwksSettings {
  if (url === undefined) return { urls: [], issuers: [], audiences: [] }
  const { origin, pathname } = new URL(url)
  const path = pathname.replace(/\/+$/, '') || '/api/auth'
  return { urls: [`${origin}${path}/jwks`], issuers: [origin, `${origin}${path}`], audiences: [origin] }
}

/** @param own the issuers and audiences that are set by themselves */
function readJwks(read: Reader, own: Omit<JwksSettings, 'urls'>): JwksSettings | undefined {
  const defaults = betterAuthDefaults(read.url('BETTER_AUTH_URL', HTTP))
  const ownUrls = read.list('AUTH_JWKS_URL')
  if (!ownUrls.every((url) => isUrl(url, HTTP))) {
    read.faults.push(
      'AUTH_JWKS_URL: must be a URL that begins with http:// or https://, or a comma list of them',
    )
  }
  const urls = ownUrls.length > 0 ? ownUrls : defaults.urls
  const issuers = own.issuers.length > 0 ? own.issuers : defaults.issuers
  const audiences = own.audiences.length > 0 ? own.audiences : defaults.audiences
  if (urls.length === 0) return undefined
  const isNeeded = 'is needed with AUTH_JWKS_URL, unless BETTER_AUTH_URL is set'
  if (issuers.length === 0) read.faults.push(`AUTH_ISSUER: ${isNeeded}`)
  if (audiences.length === 0) read.faults.push(`AUTH_AUDIENCE: ${isNeeded}`)
  return { urls, issuers, audiences }
}

/** @param issuers those that are set by themselves; one that is no URL is no server */
function readAuthorizationServers(read: Reader, issuers: readonly string[]): string[] {
  if (issuers.length > 0) return issuers.filter((issuer) => isUrl(issuer, HTTP))
  const url = read.text('BETTER_AUTH_URL')
  // a fault of the URL has been told
  const { issuers: usual } = betterAuthDefaults(url !== undefined && isUrl(url, HTTP) ? url : undefined)
  // its OAuth provider is the issuer with the path
  return usual.slice(-1)
}

function readOrigins(read: Reader): string[] {
  const value = read.text('CORS_ORIGINS', 'ALLOWED_ORIGINS')
  if (value === undefined) return ['http://localhost:3000']
  const origins = value.trimStart().startsWith('[') ? jsonList(value) : commaList(value)
  if (origins?.every(isOrigin)) return origins
  const why = origins?.some((origin) => origin.includes('*'))
    ? '`*` is no wildcard here, because a browser sends its whole origin: list each origin in full'
    : 'must be a JSON list or comma list of full origins such as https://app.example, without a slash at the end'
  read.faults.push(`CORS_ORIGINS (or ALLOWED_ORIGINS): ${why}`)
  return []
}

/** @returns undefined for a URL that cannot be the public one */
function publicUrlOf(value: string): string | undefined {
  if (!isUrl(value, HTTP) || /[?#]/.test(value)) return undefined
  const { origin, pathname, username, password } = new URL(value)
  const path = pathname.replace(/\/+$/, '')
  // the path goes into headers as it is, so an empty segment in it could be taken for a host
  return username === '' && password === '' && !path.includes('//') ? origin + path : undefined
}

/**
 * `scheme://host[:port]` and nothing more, as a browser sends it: anything else would never match. Any scheme, because
 * apps in a shell have their own: `capacitor://localhost`.
 *
 * @see https://datatracker.ietf.org/doc/html/rfc6454#section-6.2
 */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.host === '' || text.includes('*')) return false
  // of schemes that are not the web's, `origin` is "null"
  const origin = HTTP.includes(url.protocol) ? url.origin : `${url.protocol}//${url.host}`
  return text === origin
}

function jsonList(value: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(value)
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined
  } catch {
    return undefined
  }
}

function readDatabase(read: Reader): DatabaseSettings {
  const databaseUrl = read.text('DATABASE_URL')
  try {
    if (databaseUrl !== undefined) readAddress(databaseUrl)
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    read.faults.push(...error.reasons.map((reason) => `DATABASE_URL: ${reason}`))
  }
  return { databaseUrl, dataDir: read.text('DATA_DIR') ?? '.data' }
}

/**
 * Reads only what changing the schema needs: in production this is a step of its own, which need not know the secrets.
 *
 * @throws SettingsError that names every variable at fault
 */
export function loadDatabaseSettings(env: Environment): DatabaseSettings {
  const read = reader(env)
  const settings = readDatabase(read)
  if (read.faults.length > 0) throw new SettingsError(read.faults)
  return settings
}

const THIS_MACHINE = { platform: process.platform, cores: availableParallelism() }
const MAX_WORKERS = 64

/** Each worker needs a connection to the database, and only Linux divides the connections of a port among processes. */
function readWorkers(read: Reader, poolSize: number, { platform, cores }: typeof THIS_MACHINE): number {
  const isLinux = platform === 'linux'
  if (read.text('WORKERS') === 'auto') return isLinux ? Math.min(cores, poolSize, MAX_WORKERS) : 1
  const workers = read.integer('WORKERS', 1, 1, MAX_WORKERS, 'auto or ')
  if (workers > 1 && !isLinux) read.faults.push('WORKERS: more than 1 works on Linux only')
  if (workers > poolSize) read.faults.push('WORKERS: must not be above DATABASE_POOL_SIZE')
  return workers
}

/** If several processes shared a port, it would give the metrics of any one of them. So each process has its own port. */
function readMetricsPort(read: Reader, isOn: boolean, workers: number): number | undefined {
  // the n-th worker has the n-th port
  if (read.text('METRICS_PORT')) return read.integer('METRICS_PORT', 1, 1, 65_536 - workers)
  if (isOn && workers > 1) read.faults.push('METRICS_PORT: is needed with METRICS=on and several WORKERS')
  return undefined
}

/** A key alone may belong to another program; an address or a model alone is a mistake. */
function readAssistant(read: Reader): AssistantSettings | undefined {
  const baseUrl = read.url('AI_BASE_URL', HTTP)
  const model = read.text('AI_MODEL')
  const apiKey = read.text('AI_API_KEY', 'OPENAI_API_KEY')
  if (read.text('AI_BASE_URL') !== undefined && model === undefined) {
    read.faults.push('AI_MODEL: is needed with AI_BASE_URL')
  }
  if (model !== undefined && read.text('AI_BASE_URL') === undefined) {
    read.faults.push('AI_BASE_URL: is needed with AI_MODEL')
  }
  // it becomes a header
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    read.faults.push('AI_API_KEY (or OPENAI_API_KEY): must have only visible ASCII characters')
  }
  if (baseUrl === undefined || model === undefined) return undefined
  return { baseUrl, apiKey, model }
}

/**
 * Reads and checks the whole environment.
 *
 * @param env names to values; an empty value counts as unset
 * @param developmentSecret called once, only in development and only when neither a secret nor a JWKS is set
 * @param machine limits the number of workers
 * @returns frozen settings
 * @throws SettingsError that names every variable at fault
 */
export function loadSettings(
  env: Environment,
  developmentSecret: (dataDir: string) => string,
  machine = THIS_MACHINE,
): Settings {
  const read = reader(env)
  const production = env['NODE_ENV'] === 'production'
  const { databaseUrl, dataDir } = readDatabase(read)
  const secret = readSecret(read)
  const issuers = read.list('AUTH_ISSUER')
  const audiences = read.list('AUTH_AUDIENCE')
  const jwks = readJwks(read, { issuers, audiences })
  const databasePoolSize = read.integer('DATABASE_POOL_SIZE', 10, 1, 1000)
  const workers = readWorkers(read, databasePoolSize, machine)
  const metrics = read.isOn('METRICS', 'off')
  const accounts = read.isOn('ACCOUNTS', jwks ? 'off' : 'on')
  if (production && secret === undefined && jwks === undefined) {
    read.faults.push(
      'BETTER_AUTH_SECRET (or JWT_SECRET_KEY), BETTER_AUTH_URL or AUTH_JWKS_URL: one of them is needed in production',
    )
  }
  if (accounts && jwks !== undefined && secret === undefined) {
    read.faults.push('ACCOUNTS: on needs BETTER_AUTH_SECRET (or JWT_SECRET_KEY)')
  }
  const settings = {
    production,
    host: read.text('HOST') ?? '0.0.0.0',
    port: read.integer('PORT', 8000, 0, 65535),
    databaseUrl,
    databasePoolSize,
    workers,
    databasePrepare: read.isOn('DATABASE_PREPARE', 'on'),
    dataDir,
    jwks,
    issuers,
    audiences,
    authorizationServers: readAuthorizationServers(read, issuers),
    jwtExpireMinutes: read.integer('JWT_EXPIRE_MINUTES', 30, 1, 525_600),
    accounts,
    corsOrigins: readOrigins(read),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    rateLimitPerMinute: read.integer('RATE_LIMIT_PER_MINUTE', 600, 1, 1_000_000),
    authRateLimitPerMinute: read.integer('AUTH_RATE_LIMIT_PER_MINUTE', 10, 1, 1_000_000),
    trashDays: read.integer('TRASH_DAYS', 30, 1, 36_500),
    trustedProxyHops: read.integer('TRUSTED_PROXY_HOPS', 0, 0, 100),
    publicUrl: read.parsed(
      'PUBLIC_URL',
      'must be a URL such as https://example.com/tasks, with nothing after its path',
      publicUrlOf,
    ),
    redisUrl: read.url('REDIS_URL', ['redis:', 'rediss:']),
    requestTimeoutMs: read.integer('REQUEST_TIMEOUT_MS', 10_000, 100, 600_000),
    maxConnections: read.integer('MAX_CONNECTIONS', 10_000, 1, 1_000_000),
    keepAliveSeconds: read.integer('KEEP_ALIVE_SECONDS', 10, 1, 255),
    metrics,
    metricsPort: readMetricsPort(read, metrics, workers),
    metricsToken: read.text('METRICS_TOKEN'),
    otelEndpoint: read.url('OTEL_EXPORTER_OTLP_ENDPOINT', HTTP),
    assistant: readAssistant(read),
    aiTimeoutMs: read.integer('AI_TIMEOUT_MS', 60_000, 100, 600_000),
    chatRateLimitPerMinute: read.integer('CHAT_RATE_LIMIT_PER_MINUTE', 10, 1, 1_000_000),
  }
  if (read.faults.length > 0) throw new SettingsError(read.faults)
  if (secret !== undefined || jwks !== undefined) return Object.freeze({ ...settings, secret })
  try {
    return Object.freeze({ ...settings, secret: developmentSecret(dataDir) })
  } catch (cause) {
    throw new SettingsError([`DATA_DIR: a secret cannot be kept there (${codeOf(cause) || 'unknown error'})`])
  }
}
