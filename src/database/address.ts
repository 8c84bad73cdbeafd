/** Parses `DATABASE_URL` as libpq does, and names what Taskwell does not support. */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { createSecureContext, type SecureContextOptions } from 'node:tls'

export interface Host {
  /** A name or an IP address; a folder with a Unix socket in it begins with `/`. */
  name: string
  port: number
}

export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** A file of certificates or of a key, in PEM. */
export interface PemFile {
  path: string
  text: string
}

export interface Tls {
  mode: TlsMode
  /** Who may have signed the server's certificate; unset: the authorities that the runtime trusts. */
  authorities: PemFile | undefined
  /** The client certificate and its key. */
  client: { certificate: PemFile; key: PemFile } | undefined
}

export interface DatabaseAddress {
  hosts: readonly [Host, ...Host[]]
  /** Only the server that takes writes will do: it was asked for, or there are several to choose from. */
  needsPrimary: boolean
  user: string
  password: string
  database: string
  tls: Tls
  applicationName: string
  /** What the server is to set for each connection, in its command line's form: `-c search_path=tasks`. */
  options: string | undefined
  /** How long connecting may take, in seconds; undefined: the caller's default. */
  connectTimeout: number | undefined
}

/** No reason quotes the URL, which may contain a password. */
export class AddressError extends Error {
  readonly reasons: readonly string[]

  constructor(reasons: readonly string[]) {
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
 * @param env where `PGUSER`, `PGPASSWORD` and `PGDATABASE` are, for what the text leaves out
 * @throws AddressError with every reason why it cannot be used
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
  if (faults.length > 0 || !user || !hosts || !tls) throw new AddressError(faults)
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

/** What stands for a host in a message. */
export function nameOfHost({ name, port }: Host): string {
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`
}

/**
 * Up to the last `@` before a `/` or `?`, as browsers do; where there is none, to the first one before a `/`, as libpq
 * does, so that a password may hold a `?`.
 */
const URL_PARTS = /^(?:([^/?]*)@|([^/@]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s

function fromUrl(text: string): Keywords {
  const [, before, alsoBefore, hosts = '', database = '', query = ''] = URL_PARTS.exec(text) ?? []
  const [, user = '', password = ''] = /^([^:]*)(?::(.*))?$/s.exec(before ?? alsoBefore ?? '') ?? []
  const places = hosts.split(',').map(readPlace)
  const given = [
    ['user', decode(user)],
    ['password', decode(password)],
    ['dbname', decode(database)],
    ['host', places.map(({ name }) => name).join(',')],
    ['port', places.map(({ port }) => port).join(',')],
    ...query.split('&').map(readParameter),
  ] as const
  // an empty one counts as left out, and of two the last is taken
  return new Map(given.filter(([name, value]) => value !== '' && !(PLACES.has(name) && /^,*$/.test(value))))
}

/** Of several hosts, all may leave these out. */
const PLACES = new Set(['host', 'port'])

/** One host of a URL; its port is checked with all others. */
function readPlace(text: string): { name: string; port: string } {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text)
  if (!parts) throw new AddressError(['contains an invalid host; an IPv6 address there stands in brackets'])
  const [, address, name = '', port = ''] = parts
  return { name: decode(address ?? name), port }
}

function readParameter(text: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([^=]*)=?(.*)$/s.exec(text) ?? []
  const keyword = decode(name)
  if (keyword !== 'ssl') return [keyword, decode(value)]
  // the JDBC driver's name; libpq knows it in this form, too
  if (['true', '1'].includes(value)) return ['sslmode', 'require']
  return ['false', '0', ''].includes(value) ? ['sslmode', ''] : ['sslmode', 'unknown']
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (!decoded.includes('\0')) return decoded
  } catch {}
  throw new AddressError(['has a % that begins no escape of UTF-8; a % itself is written %25'])
}

/** A value is quoted where it holds a space or is empty; a backslash takes the next character as it is. */
const PAIR = /\s*([A-Za-z_]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?)(?=\s|$)/sy

function fromPairs(text: string): Keywords {
  const found = new Map<string, string>()
  const rest = text.trimEnd()
  PAIR.lastIndex = 0
  while (PAIR.lastIndex < rest.length) {
    const [, name, quoted, plain = ''] = PAIR.exec(rest) ?? []
    if (name === undefined) throw new AddressError([FORM])
    const value = (quoted ?? plain).replaceAll(/\\(.)/gs, '$1')
    if (value !== '') found.set(name, value)
  }
  if (found.size === 0) throw new AddressError([FORM])
  return found
}

interface Refusal {
  why: string
  /** Values that change nothing for us. */
  unless?: readonly string[]
}

const NO_KERBEROS: Refusal = { why: 'Kerberos is not supported' }
const NO_OAUTH: Refusal = { why: 'OAuth is not supported' }
const NO_SERVICE: Refusal = { why: 'service files are not read: write out what the file says' }
const NO_REVOCATION: Refusal = { why: 'revocation lists are not read' }
const NO_KEYS: Refusal = { why: 'is not supported: give the password' }
const OTHER_TLS: Refusal = { why: 'is not known to PostgreSQL: sslmode says what is asked of TLS' }

/**
 * Parameters that cannot be ignored: they decide whom we trust, who we are, or where we connect. What is neither here
 * nor read below is dropped: it is for other drivers (Prisma's `schema` and `pgbouncer`) or makes no difference here (Neon's
 * `channel_binding`, keep-alives, `client_encoding`).
 */
const REFUSED: Readonly<Record<string, Refusal>> = {
  hostaddr: { why: 'is not supported: put the address into host' },
  passfile: { why: 'password files are not read: put the password into DATABASE_URL or PGPASSWORD' },
  service: NO_SERVICE,
  servicefile: NO_SERVICE,
  require_auth: { why: 'is not supported' },
  requirepeer: { why: 'is not supported' },
  replication: { why: 'replication connections take no statements', unless: ['false', 'off', 'no', '0'] },
  sslnegotiation: { why: 'only postgres is supported', unless: ['postgres'] },
  sslcertmode: { why: 'only allow is supported', unless: ['allow'] },
  sslpassword: { why: 'is not supported: keep the key in a file without a password' },
  sslcrl: NO_REVOCATION,
  sslcrldir: NO_REVOCATION,
  sslsni: { why: 'only 1 is supported', unless: ['1'] },
  sslcompression: { why: 'is not supported', unless: ['0'] },
  sslkeylogfile: { why: 'is not supported' },
  ssl_min_protocol_version: { why: 'TLSv1.2 is the lowest', unless: ['TLSv1', 'TLSv1.1', 'TLSv1.2'] },
  ssl_max_protocol_version: { why: 'TLSv1.3 is the highest', unless: ['TLSv1.3'] },
  min_protocol_version: { why: '3.0 is what is spoken', unless: ['3.0'] },
  gssencmode: { ...NO_KERBEROS, unless: ['disable', 'prefer'] },
  gssdelegation: { ...NO_KERBEROS, unless: ['0'] },
  gsslib: NO_KERBEROS,
  krbsrvname: NO_KERBEROS,
  scram_client_key: NO_KEYS,
  scram_server_key: NO_KEYS,
  oauth_issuer: NO_OAUTH,
  oauth_client_id: NO_OAUTH,
  oauth_client_secret: NO_OAUTH,
  oauth_scope: NO_OAUTH,
  sslaccept: OTHER_TLS,
  sslidentity: OTHER_TLS,
}

const TLS_KEYWORDS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey']

function refusals(keywords: Keywords): string[] {
  const reasons: string[] = []
  for (const [name, value] of keywords) {
    const refusal = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined
    if (refusal && !refusal.unless?.includes(value)) reasons.push(`${name}: ${refusal.why}`)
    // a misspelled one would end in no TLS at all; it is not named because it may be part of a password
    if (!refusal && /ssl|tls/i.test(name) && !TLS_KEYWORDS.includes(name)) {
      reasons.push(`has a parameter about TLS that ${OTHER_TLS.why}`)
    }
  }
  return reasons
}

function readUser(keywords: Keywords, env: Environment): string {
  const given = keywords.get('user') ?? env['PGUSER']
  const user = given ?? userInfo().username
  // Bun's word for an account without a name
  if (given === undefined && user === 'unknown') throw new AddressError(['user: is missing'])
  return user
}

const DEFAULT_PORT = 5432

/** As many ports as hosts, or one for all. */
function readHosts(keywords: Keywords): [Host, ...Host[]] {
  const names = (keywords.get('host') ?? '').split(',')
  const ports = (keywords.get('port') ?? '').split(',').map(readPort)
  if (ports.length !== 1 && ports.length !== names.length) {
    throw new AddressError(['port: must be one for all hosts, or one for each'])
  }
  const [first, ...others] = names.map((name, i) => ({
    name: readHostName(name),
    port: ports[i] ?? ports[0] ?? DEFAULT_PORT,
  }))
  if (!first) throw new AddressError(['host: is missing'])
  return [first, ...others]
}

function readHostName(text: string): string {
  const name = text.trim().replace(/^\[(.*)\]$/, '$1')
  if (name.startsWith('@')) throw new AddressError(['host: abstract Unix sockets are not supported'])
  return name === '' ? 'localhost' : name
}

function readPort(text: string): number {
  if (text.trim() === '') return DEFAULT_PORT
  const port = /^\s*\d{1,5}\s*$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new AddressError(['port: must be a whole number from 1 to 65535, or a comma list of them'])
}

const TLS_MODES = new Map<string, TlsMode>([
  ['disable', 'disable'],
  // `prefer` also works with servers that require TLS and with servers that have none
  ['allow', 'prefer'],
  ['prefer', 'prefer'],
  ['require', 'require'],
  ['verify-ca', 'verify-ca'],
  ['verify-full', 'verify-full'],
])

const SYSTEM = 'system'

/** Without `sslmode` there is no TLS. libpq differs: it uses TLS if the server has it. */
function readTls(keywords: Keywords): Tls {
  const root = keywords.get('sslrootcert')
  const asked = TLS_MODES.get(keywords.get('sslmode') ?? (root === SYSTEM ? 'verify-full' : 'disable'))
  if (!asked) throw new AddressError([`sslmode: must be one of ${[...TLS_MODES.keys()].join(', ')}`])
  const files = ['sslrootcert', 'sslcert', 'sslkey'].filter((name) => keywords.has(name))
  if (files.length > 0 && (asked === 'disable' || asked === 'prefer')) {
    throw new AddressError([`${files.join(', ')}: need sslmode=require, verify-ca or verify-full`])
  }
  if (root === SYSTEM && asked !== 'verify-full') {
    throw new AddressError(['sslrootcert: system needs sslmode=verify-full'])
  }
  if (keywords.has('sslcert') !== keywords.has('sslkey')) {
    throw new AddressError(['sslcert, sslkey: each needs the other'])
  }
  const authorities = root === SYSTEM ? undefined : readPem(keywords, 'sslrootcert')
  const certificate = readPem(keywords, 'sslcert')
  const key = readPem(keywords, 'sslkey')
  if (authorities) check({ ca: authorities.text }, 'sslrootcert: holds no certificate in PEM')
  if (certificate && key) {
    check({ cert: certificate.text, key: key.text }, 'sslcert, sslkey: are no certificate and its key in PEM')
  }
  return {
    // as in libpq: a given `sslrootcert` is checked
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
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error'
    throw new AddressError([`${name}: the file cannot be read (${code})`])
  }
}

/** The driver would throw only when it connects, and nobody could catch that. */
function check(options: SecureContextOptions, reason: string): void {
  try {
    createSecureContext(options)
  } catch {
    throw new AddressError([reason])
  }
}

/** @returns whether only a primary will do */
function readTarget(keywords: Keywords): boolean {
  const target = keywords.get('target_session_attrs') ?? 'any'
  if (['any', 'read-write', 'primary'].includes(target)) return target !== 'any'
  if (['read-only', 'standby', 'prefer-standby'].includes(target)) {
    throw new AddressError(['target_session_attrs: must lead to a server that takes writes'])
  }
  throw new AddressError(['target_session_attrs: must be one of any, read-write, primary'])
}

/** A day; timers cannot be set for much longer. */
const MAX_TIMEOUT = 86_400

/** As with libpq, 0 and less mean no limit of the URL's own; ours applies. */
function readTimeout(keywords: Keywords): number | undefined {
  const text = keywords.get('connect_timeout')
  if (text === undefined) return undefined
  if (!/^\s*-?\d{1,10}\s*$/.test(text)) {
    throw new AddressError(['connect_timeout: must be a whole number of seconds'])
  }
  const seconds = Number(text)
  return seconds > 0 ? Math.min(seconds, MAX_TIMEOUT) : undefined
}
