/** Parses `DATABASE_URL` as libpq does, and refuses what Taskwell does not support. */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { codeOf } from '../system/errors'

export interface Host {
  /** A name, an IP address, or the folder of a Unix socket, which begins with `/`. */
  name: string
  port: number
}

type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** Certificates or a key in PEM. */
interface PemFile {
  path: string
  text: string
}

export interface Tls {
  mode: TlsMode
  /** The certificate authorities that we trust; if undefined, those of the runtime. */
  authorities: PemFile | undefined
  /** The client certificate and its key. */
  client: { certificate: PemFile; key: PemFile } | undefined
}

export interface DatabaseAddress {
  hosts: readonly [Host, ...Host[]]
  /** Only the host that takes writes is used: the URL asks for it, or there are several hosts. */
  needsPrimary: boolean
  user: string
  password: string
  database: string
  tls: Tls
  applicationName: string
  /** Settings for each connection in the form of the server's command line: `-c search_path=tasks`. */
  options: string | undefined
  /** How long connecting may take, in seconds; if undefined, the caller's default. */
  connectTimeout: number | undefined
}

/** Why a URL cannot be used. No reason quotes the URL, which may contain a password. */
export class AddressError extends Error {
  readonly reasons: readonly string[]

  constructor(...reasons: string[]) {
    super(reasons.join('; '))
    this.reasons = reasons
  }
}

type Environment = Readonly<Record<string, string | undefined>>
type Keywords = ReadonlyMap<string, string>

const FORM = 'must be a URL that begins with postgres:// or postgresql://, or keyword=value pairs'

/**
 * Reads a URL or keyword=value pairs.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 *
 * @param env has `PGUSER`, `PGPASSWORD` and `PGDATABASE`, for what the text leaves out
 * @throws AddressError with every reason why the text cannot be used
 */
export function readAddress(text: string, env: Environment = process.env): DatabaseAddress {
  const url = /^postgres(?:ql)?:\/\/(.*)$/s.exec(text)
  const keywords = url ? fromUrl(url[1] ?? '') : fromPairs(text)
  const faults = refusals(keywords)
  const collect = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof AddressError)) throw error
      faults.push(...error.reasons)
      return undefined
    }
  }
  const user = collect(() => readUser(keywords, env))
  const hosts = collect(() => readHosts(keywords))
  const tls = collect(() => readTls(keywords))
  const wantsPrimary = collect(() => readTarget(keywords))
  const connectTimeout = collect(() => readTimeout(keywords))
  if (faults.length > 0 || !user || !hosts || !tls) throw new AddressError(...faults)
  return {
    hosts,
    needsPrimary: wantsPrimary === true || hosts.length > 1,
    user,
    password: keywords.get('password') ?? env['PGPASSWORD'] ?? '',
    database: keywords.get('dbname') ?? env['PGDATABASE'] ?? user,
    tls,
    applicationName: keywords.get('application_name') ?? 'taskwell',
    options: keywords.get('options'),
    connectTimeout,
  }
}

/** How messages name a host. */
export function nameOfHost({ name, port }: Host): string {
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`
}

/**
 * The login ends at the last `@` before a `/` or `?`, as in browsers; if there is none, at the first `@` before a `/`, as
 * in libpq, so that a password may contain a `?`.
 */
const URL_PARTS = /^(?:([^/?]*)@|([^/@]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s

function fromUrl(text: string): Keywords {
  const [, before, alsoBefore, hosts = '', database = '', query = ''] = URL_PARTS.exec(text) ?? []
  const [, user = '', password = ''] = /^([^:]*)(?::(.*))?$/s.exec(before ?? alsoBefore ?? '') ?? []
  const split = hosts.split(',').map(splitHost)
  const given = [
    ['user', decode(user)],
    ['password', decode(password)],
    ['dbname', decode(database)],
    ['host', split.map(({ name }) => name).join(',')],
    ['port', split.map(({ port }) => port).join(',')],
    ...query.split('&').map(readParameter),
  ] as const
  // an empty value counts as left out, and the last of two is taken
  return new Map(given.filter(([name, value]) => value !== '' && !(LISTS.has(name) && /^,*$/.test(value))))
}

/** Their values are comma lists: `,,` if three hosts leave the value out. */
const LISTS = new Set(['host', 'port'])

/** Splits one host of a URL; `readHosts` checks the port. */
function splitHost(text: string): { name: string; port: string } {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text)
  if (!parts) throw new AddressError('contains an invalid host; an IPv6 address there stands in brackets')
  const [, address, name = '', port = ''] = parts
  return { name: decode(address ?? name), port }
}

function readParameter(text: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([^=]*)=?(.*)$/s.exec(text) ?? []
  const keyword = decode(name)
  if (keyword !== 'ssl') return [keyword, decode(value)]
  // JDBC's name for it, which libpq accepts, too
  if (['true', '1'].includes(value)) return ['sslmode', 'require']
  return ['false', '0', ''].includes(value) ? ['sslmode', ''] : ['sslmode', 'unknown']
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (!decoded.includes('\0')) return decoded
  } catch {}
  throw new AddressError('has a % that begins no escape of UTF-8; a % itself is written %25')
}

/** A value with a space is quoted, and an empty one may be; a backslash escapes the next character. */
const PAIR = /\s*([A-Za-z_]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?)(?=\s|$)/sy

function fromPairs(text: string): Keywords {
  const found = new Map<string, string>()
  const rest = text.trimEnd()
  PAIR.lastIndex = 0
  while (PAIR.lastIndex < rest.length) {
    const [, name, quoted, plain = ''] = PAIR.exec(rest) ?? []
    if (name === undefined) throw new AddressError(FORM)
    const value = (quoted ?? plain).replaceAll(/\\(.)/gs, '$1')
    if (value !== '') found.set(name, value)
  }
  if (found.size === 0) throw new AddressError(FORM)
  return found
}

/** Why a parameter is refused, and the values that are allowed because they change nothing here. */
type Refusal = readonly [why: string, ...harmless: string[]]

const NOT_SUPPORTED = 'is not supported'
const NOT_OF_TLS = 'is not known to PostgreSQL: sslmode says what is asked of TLS'

const each = (names: string[], why: string) =>
  Object.fromEntries(names.map((name): [string, Refusal] => [name, [why]]))

/**
 * Parameters that cannot be ignored, because they decide whom we trust, who we are or where we connect. All others that
 * are not read below are dropped: they belong to other drivers (Prisma's `schema` and `pgbouncer`) or make no difference
 * here (Neon's `channel_binding`, keep-alives, `client_encoding`).
 */
const REFUSED: Readonly<Record<string, Refusal>> = {
  hostaddr: ['is not supported: put the address into host'],
  passfile: ['password files are not read: put the password into DATABASE_URL or PGPASSWORD'],
  replication: ['replication connections take no statements', 'false', 'off', 'no', '0'],
  min_protocol_version: ['only protocol version 3.0 is supported', '3.0'],
  sslnegotiation: ['only postgres is supported', 'postgres'],
  sslcertmode: ['only allow is supported', 'allow'],
  sslpassword: ['is not supported: keep the key in a file without a password'],
  sslsni: ['only 1 is supported', '1'],
  sslcompression: [NOT_SUPPORTED, '0'],
  ssl_min_protocol_version: ['TLSv1.2 is the lowest', 'TLSv1', 'TLSv1.1', 'TLSv1.2'],
  ssl_max_protocol_version: ['TLSv1.3 is the highest', 'TLSv1.3'],
  gssencmode: ['Kerberos is not supported', 'disable', 'prefer'],
  gssdelegation: ['Kerberos is not supported', '0'],
  ...each(['gsslib', 'krbsrvname'], 'Kerberos is not supported'),
  ...each(['service', 'servicefile'], 'service files are not read: write out what the file says'),
  ...each(['sslcrl', 'sslcrldir'], 'revocation lists are not read'),
  ...each(['scram_client_key', 'scram_server_key'], 'is not supported: give the password'),
  ...each(['require_auth', 'requirepeer', 'sslkeylogfile'], NOT_SUPPORTED),
  ...each(
    ['oauth_issuer', 'oauth_client_id', 'oauth_client_secret', 'oauth_scope'],
    'OAuth is not supported',
  ),
  ...each(['sslaccept', 'sslidentity'], NOT_OF_TLS),
}

const TLS_KEYWORDS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey']

function refusals(keywords: Keywords): string[] {
  const reasons: string[] = []
  for (const [name, value] of keywords) {
    const [why, ...harmless] = (Object.hasOwn(REFUSED, name) && REFUSED[name]) || []
    if (why !== undefined && !harmless.includes(value)) reasons.push(`${name}: ${why}`)
    // a misspelled one would end in no TLS at all; it is not named, because it may be part of a password
    if (why === undefined && /ssl|tls/i.test(name) && !TLS_KEYWORDS.includes(name)) {
      reasons.push(`has a parameter about TLS that ${NOT_OF_TLS}`)
    }
  }
  return reasons
}

function readUser(keywords: Keywords, env: Environment): string {
  const given = keywords.get('user') ?? env['PGUSER']
  const user = given ?? userInfo().username
  // Bun's name for an account without a name
  if (given === undefined && user === 'unknown') throw new AddressError('user: is missing')
  return user
}

const DEFAULT_PORT = 5432

function readHosts(keywords: Keywords): [Host, ...Host[]] {
  const names = (keywords.get('host') ?? '').split(',')
  const ports = (keywords.get('port') ?? '').split(',').map(readPort)
  if (ports.length !== 1 && ports.length !== names.length) {
    throw new AddressError('port: must be one for all hosts, or one for each')
  }
  const [first, ...others] = names.map((name, i) => ({
    name: readHostName(name),
    port: ports[i] ?? ports[0] ?? DEFAULT_PORT,
  }))
  if (!first) throw new AddressError('host: is missing')
  return [first, ...others]
}

function readHostName(text: string): string {
  const name = text.trim().replace(/^\[(.*)\]$/, '$1')
  if (name.startsWith('@')) throw new AddressError('host: abstract Unix sockets are not supported')
  return name === '' ? 'localhost' : name
}

function readPort(text: string): number {
  if (text.trim() === '') return DEFAULT_PORT
  const port = /^\s*\d{1,5}\s*$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new AddressError('port: must be a whole number from 1 to 65535, or a comma list of them')
}

const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** Without `sslmode` there is no TLS; libpq would use TLS if the server has it. */
function readTls(keywords: Keywords): Tls {
  const root = keywords.get('sslrootcert')
  const name = keywords.get('sslmode') ?? (root === 'system' ? 'verify-full' : 'disable')
  const sslmode = TLS_MODES.find((each) => each === name)
  if (!sslmode) throw new AddressError(`sslmode: must be one of ${TLS_MODES.join(', ')}`)
  // `prefer` also works with servers that require TLS and with servers that have none
  const asked = sslmode === 'allow' ? 'prefer' : sslmode
  const files = ['sslrootcert', 'sslcert', 'sslkey'].filter((name) => keywords.has(name))
  if (files.length > 0 && (asked === 'disable' || asked === 'prefer')) {
    throw new AddressError(`${files.join(', ')}: need sslmode=require, verify-ca or verify-full`)
  }
  if (root === 'system' && asked !== 'verify-full') {
    throw new AddressError('sslrootcert: system needs sslmode=verify-full')
  }
  if (keywords.has('sslcert') !== keywords.has('sslkey')) {
    throw new AddressError('sslcert, sslkey: each needs the other')
  }
  const authorities = root === 'system' ? undefined : readPem(keywords, 'sslrootcert')
  const certificate = readPem(keywords, 'sslcert')
  const key = readPem(keywords, 'sslkey')
  if (authorities) check({ ca: authorities.text }, 'sslrootcert: holds no certificate in PEM')
  if (certificate && key) {
    check({ cert: certificate.text, key: key.text }, 'sslcert, sslkey: are no certificate and its key in PEM')
  }
  return {
    // as in libpq, a given `sslrootcert` is used to check the server
    mode: asked === 'require' && authorities ? 'verify-ca' : asked,
    authorities,
    client: certificate && key && { certificate, key },
  }
}

function readPem(keywords: Keywords, name: string): PemFile | undefined {
  const path = keywords.get(name)
  if (path === undefined) return undefined
  try {
    return { path, text: readFileSync(path, 'utf8') }
  } catch (error) {
    throw new AddressError(`${name}: the file cannot be read (${codeOf(error) || 'unknown error'})`)
  }
}

/** The driver would only fail when it connects, with an error that cannot be caught. */
function check(options: SecureContextOptions, reason: string): void {
  try {
    createSecureContext(options)
  } catch {
    throw new AddressError(reason)
  }
}

/** @returns whether only the primary will do */
function readTarget(keywords: Keywords): boolean {
  const target = keywords.get('target_session_attrs') ?? 'any'
  if (['any', 'read-write', 'primary'].includes(target)) return target !== 'any'
  throw new AddressError('target_session_attrs: must be any, read-write or primary, to take writes')
}

/** A day, in seconds; timers cannot be set for much longer. */
const MAX_TIMEOUT = 86_400

/** As in libpq, 0 and less mean that the URL sets no limit; ours applies. */
function readTimeout(keywords: Keywords): number | undefined {
  const text = keywords.get('connect_timeout')
  if (text === undefined) return undefined
  if (!/^\s*-?\d{1,10}\s*$/.test(text)) {
    throw new AddressError('connect_timeout: must be a whole number of seconds')
  }
  const seconds = Number(text)
  return seconds > 0 ? Math.min(seconds, MAX_TIMEOUT) : undefined
}
