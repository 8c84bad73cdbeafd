/** The environment, read once: every name, its default and its limits. Nothing else in the project reads settings. */
import { availableParallelism } from 'node:os'
import { AddressError, readAddress } from './database/address'
import { codeOf } from './system/errors'

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

export interface JwksSettings {
  /** Where the keys are; each is asked for a key id. */
  urls: readonly string[]
  issuers: readonly string[]
  audiences: readonly string[]
}

export interface Settings {
  production: boolean
  host: string
  port: number
  /** Unset: the embedded PostgreSQL in `dataDir`. */
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
  /** What HS256 tokens must name; empty: not checked. */
  issuers: readonly string[]
  audiences: readonly string[]
  jwtExpireMinutes: number
  accounts: boolean
  corsOrigins: readonly string[]
  logLevel: (typeof LOG_LEVELS)[number]
  rateLimitPerMinute: number
  authRateLimitPerMinute: number
  trustedProxyHops: number
  /** Where clients reach the service, without a slash at the end; a proxy takes its path off. */
  publicUrl: string | undefined
  /** How long deleted tasks can be restored, and other devices can learn of their end. */
  trashDays: number
  /** Where several processes share their limits. */
  redisUrl: string | undefined
  /** How long a request may take. */
  requestTimeoutMs: number
  /** How many streams and requests may be under way. */
  maxConnections: number
  /** How long a connection may be idle; a proxy in front should give up its own sooner. */
  keepAliveSeconds: number
  metrics: boolean
  /** Where `/metrics` is, if not on `port`. */
  metricsPort: number | undefined
  /** What `/metrics` asks for, if anything. */
  metricsToken: string | undefined
  /** Where traces go, if anywhere. */
  otelEndpoint: string | undefined
}

/** Which database. */
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
  function integer(name: string, fallback: number, min: number, max: number, otherwise = ''): number {
    const value = text(name)
    if (value === undefined) return fallback
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (number >= min && number <= max) return number
    faults.push(`${name}: must be ${otherwise}a whole number from ${min} to ${max}`)
    return fallback
  }
  function oneOf<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = text(name)
    if (value === undefined) return fallback
    const choice = choices.find((each) => each === value)
    if (choice !== undefined) return choice
    faults.push(`${name}: must be one of ${choices.join(', ')}`)
    return fallback
  }
  function url(name: string, protocols: readonly string[]): string | undefined {
    const value = text(name)
    if (value === undefined || isUrl(value, protocols)) return value
    faults.push(`${name}: must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`)
    return undefined
  }
  return { faults, text, integer, oneOf, url }
}

function isUrl(value: string, protocols: readonly string[]): boolean {
  const url = URL.parse(value)
  return url !== null && protocols.includes(url.protocol) && isDecodable(url.href)
}

function commaList(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** A `%` that begins no escape would fail only later, in the driver. */
function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== ''
  } catch {
    return false
  }
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
function betterAuthDefaults(url: string | undefined): JwksSettings | undefined {
  if (url === undefined) return undefined
  const { origin, pathname } = new URL(url)
  const path = pathname.replace(/\/+$/, '') || '/api/auth'
  return { urls: [`${origin}${path}/jwks`], issuers: [origin, `${origin}${path}`], audiences: [origin] }
}

function readJwks(read: Reader): JwksSettings | undefined {
  const defaults = betterAuthDefaults(read.url('BETTER_AUTH_URL', HTTP))
  const urls = commaList(read.text('AUTH_JWKS_URL'))
  const issuers = commaList(read.text('AUTH_ISSUER'))
  const audiences = commaList(read.text('AUTH_AUDIENCE'))
  if (!urls.every((url) => isUrl(url, HTTP))) {
    read.faults.push(
      'AUTH_JWKS_URL: must be a URL that begins with http:// or https://, or a comma list of them',
    )
  }
  if (urls.length === 0 && defaults === undefined) return undefined
  if (defaults === undefined && issuers.length === 0) {
    read.faults.push('AUTH_ISSUER: is needed with AUTH_JWKS_URL, unless BETTER_AUTH_URL is set')
  }
  if (defaults === undefined && audiences.length === 0) {
    read.faults.push('AUTH_AUDIENCE: is needed with AUTH_JWKS_URL, unless BETTER_AUTH_URL is set')
  }
  return {
    urls: urls.length > 0 ? urls : (defaults?.urls ?? []),
    issuers: issuers.length > 0 ? issuers : (defaults?.issuers ?? []),
    audiences: audiences.length > 0 ? audiences : (defaults?.audiences ?? []),
  }
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

/** The path goes into headers as it is, so an empty segment in it could be taken for a host. */
function readPublicUrl(read: Reader): string | undefined {
  const value = read.text('PUBLIC_URL')
  if (value === undefined) return undefined
  const url = isUrl(value, HTTP) ? new URL(value) : undefined
  const path = url?.pathname.replace(/\/+$/, '')
  const isPlain = url?.username === '' && url.password === '' && !/[?#]/.test(value)
  if (isPlain && !path?.includes('//')) return url.origin + path
  read.faults.push('PUBLIC_URL: must be a URL such as https://example.com/tasks, with nothing after its path')
  return undefined
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
 * Reads what changing the schema needs: a step of its own in production, which is not to be trusted with secrets.
 *
 * @throws SettingsError that names every variable at fault
 */
export function loadDatabaseSettings(env: Environment): DatabaseSettings {
  const read = reader(env)
  const settings = readDatabase(read)
  if (read.faults.length > 0) throw new SettingsError(read.faults)
  return settings
}

export interface Machine {
  platform: NodeJS.Platform
  cores: number
}

const THIS_MACHINE: Machine = { platform: process.platform, cores: availableParallelism() }
const MAX_WORKERS = 64

/** Each needs a connection to the database, and only Linux shares out a port's connections among processes. */
function readWorkers(read: Reader, poolSize: number, { platform, cores }: Machine): number {
  const isLinux = platform === 'linux'
  if (read.text('WORKERS') === 'auto') return isLinux ? Math.min(cores, poolSize, MAX_WORKERS) : 1
  const workers = read.integer('WORKERS', 1, 1, MAX_WORKERS, 'auto or ')
  if (workers > 1 && !isLinux) read.faults.push('WORKERS: more than 1 works on Linux only')
  if (workers > poolSize) read.faults.push('WORKERS: must not be above DATABASE_POOL_SIZE')
  return workers
}

/** A port that several processes share would give the metrics of a random one, so each process has its own. */
function readMetricsPort(read: Reader, isOn: boolean, workers: number): number | undefined {
  // the n-th worker has the n-th port
  if (read.text('METRICS_PORT')) return read.integer('METRICS_PORT', 1, 1, 65_536 - workers)
  if (isOn && workers > 1) read.faults.push('METRICS_PORT: is needed with METRICS=on and several WORKERS')
  return undefined
}

/**
 * Reads and checks the whole environment.
 *
 * @param env names to values; an empty value counts as unset
 * @param developmentSecret called once, only in development and only when neither a secret nor a JWKS is set
 * @param machine what it runs on
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
  const jwks = readJwks(read)
  const databasePoolSize = read.integer('DATABASE_POOL_SIZE', 10, 1, 1000)
  const workers = readWorkers(read, databasePoolSize, machine)
  const metrics = read.oneOf('METRICS', ['on', 'off'], 'off') === 'on'
  const accounts = read.oneOf('ACCOUNTS', ['on', 'off'], jwks ? 'off' : 'on') === 'on'
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
    databasePrepare: read.oneOf('DATABASE_PREPARE', ['on', 'off'], 'on') === 'on',
    dataDir,
    jwks,
    issuers: commaList(read.text('AUTH_ISSUER')),
    audiences: commaList(read.text('AUTH_AUDIENCE')),
    jwtExpireMinutes: read.integer('JWT_EXPIRE_MINUTES', 30, 1, 525_600),
    accounts,
    corsOrigins: readOrigins(read),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    rateLimitPerMinute: read.integer('RATE_LIMIT_PER_MINUTE', 600, 1, 1_000_000),
    authRateLimitPerMinute: read.integer('AUTH_RATE_LIMIT_PER_MINUTE', 10, 1, 1_000_000),
    trashDays: read.integer('TRASH_DAYS', 30, 1, 36_500),
    trustedProxyHops: read.integer('TRUSTED_PROXY_HOPS', 0, 0, 100),
    publicUrl: readPublicUrl(read),
    redisUrl: read.url('REDIS_URL', ['redis:', 'rediss:']),
    requestTimeoutMs: read.integer('REQUEST_TIMEOUT_MS', 10_000, 100, 600_000),
    maxConnections: read.integer('MAX_CONNECTIONS', 10_000, 1, 1_000_000),
    keepAliveSeconds: read.integer('KEEP_ALIVE_SECONDS', 10, 1, 255),
    metrics,
    metricsPort: readMetricsPort(read, metrics, workers),
    metricsToken: read.text('METRICS_TOKEN'),
    otelEndpoint: read.url('OTEL_EXPORTER_OTLP_ENDPOINT', HTTP),
  }
  if (read.faults.length > 0) throw new SettingsError(read.faults)
  if (secret !== undefined || jwks !== undefined) return Object.freeze({ ...settings, secret })
  try {
    return Object.freeze({ ...settings, secret: developmentSecret(dataDir) })
  } catch (cause) {
    throw new SettingsError([`DATA_DIR: a secret cannot be kept there (${codeOf(cause) || 'unknown error'})`])
  }
}
