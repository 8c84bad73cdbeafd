import { describe, expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AddressError, type DatabaseAddress, nameOfHost, readAddress } from '../../src/database/address'
import { dbmateUrl } from '../../src/database/migrations'
import { loadSettings } from '../../src/settings'

const NO_ENV = {}
const at = (name: string, port = 5432) => ({ name, port })

/** Who connects, and to what. */
const BASE = { hosts: [at('h')], user: 'u', password: 'p', database: 'd' } as const

function reasonsOf(text: string): readonly string[] {
  try {
    readAddress(text, NO_ENV)
    return []
  } catch (error) {
    if (error instanceof AddressError) return error.reasons
    throw error
  }
}

describe('who and where:', () => {
  test.each<[string, Partial<DatabaseAddress>]>([
    ['postgres://u:p@h/d', BASE],
    ['postgresql://u:p@h/d', BASE],
    ['postgres://u:p@h:/d', BASE],
    ['postgres://u:p@h:6543/d', { ...BASE, hosts: [at('h', 6543)] }],
    ['postgres://u:p@[::1]/d', { ...BASE, hosts: [at('::1')] }],
    ['postgres://u:p@[2001:db8::7]:6543/d', { ...BASE, hosts: [at('2001:db8::7', 6543)] }],
    ['postgres://u:p@/d?host=::1&port=6543', { ...BASE, hosts: [at('::1', 6543)] }],
    ['postgres://u:p@/d?host=[::1]', { ...BASE, hosts: [at('::1')] }],
    [
      'postgres://Ann%20B:p%40%3A%2F%25@h/my%20db',
      { ...BASE, user: 'Ann B', password: 'p@:/%', database: 'my db' },
    ],
    ['postgres://u:%C3%BC+@h/d', { ...BASE, password: 'ü+' }],
    ['postgres://u:p:q@h/d', { ...BASE, password: 'p:q' }],
    ['postgres://u:p@q@h/d', { ...BASE, password: 'p@q' }],
    ['postgres://u:p?q@h/d', { ...BASE, password: 'p?q' }],
    ['postgres://u:p#q@h/d', { ...BASE, password: 'p#q' }],
    ['postgres://u@h/d?password=p&user=v', { ...BASE, user: 'v' }],
    ['postgres://u:p@h/d?dbname=e', { ...BASE, database: 'e' }],
    ['postgres://u:p@h/d?dbname=e&dbname=f', { ...BASE, database: 'f' }],
    ['postgres://u:p@h', { ...BASE, database: 'u' }],
    ['postgres://u:p@h/?dbname=', { ...BASE, database: 'u' }],
    ['postgres://u:p@/d', { ...BASE, hosts: [at('localhost')] }],
    ['postgres://u:p@:6543/d', { ...BASE, hosts: [at('localhost', 6543)] }],
    ['postgres://u:p@/d?host=/var/run/postgresql', { ...BASE, hosts: [at('/var/run/postgresql')] }],
    [
      'postgres://u:p@%2Fvar%2Frun%2Fpostgresql:6543/d',
      { ...BASE, hosts: [at('/var/run/postgresql', 6543)] },
    ],
    ['host=h user=u password=p dbname=d', BASE],
    ["  host = h user='u' password = 'p' dbname=d  ", BASE],
    [
      `host=h user=u password='it\\'s a \\\\' dbname=my\\ db`,
      { ...BASE, password: "it's a \\", database: 'my db' },
    ],
    ["host=h port=6543 user=u password=p dbname=''", { ...BASE, hosts: [at('h', 6543)], database: 'u' }],
  ])('%s', (text, expected) => {
    expect(readAddress(text, NO_ENV)).toMatchObject(expected)
  })

  test.each([
    ['u:p@a,b', [at('a'), at('b')]],
    ['u:p@a:1,b:2', [at('a', 1), at('b', 2)]],
    ['u:p@a:1,b', [at('a', 1), at('b')]],
    ['u:p@a,b:2', [at('a'), at('b', 2)]],
    ['u:p@[::1]:1,[::2],c:3', [at('::1', 1), at('::2'), at('c', 3)]],
    ['u:p@/d?host=a,b', [at('a'), at('b')]],
    ['u:p@/d?host=a,b&port=6', [at('a', 6), at('b', 6)]],
    ['u:p@/d?host=a,b&port=1,2', [at('a', 1), at('b', 2)]],
    ['u:p@/d?host=a,b&port=1,', [at('a', 1), at('b')]],
    ['u:p@a,b?port=6', [at('a', 6), at('b', 6)]],
    ['u:p@a:1,/d', [at('a', 1), at('localhost')]],
  ])('postgres://%s', (rest, hosts) => {
    expect(readAddress(`postgres://${rest}`, NO_ENV).hosts).toEqual(hosts as never)
  })

  test('what is left out is in the environment, or is the account', () => {
    const env = { PGUSER: 'ann', PGPASSWORD: 'secret', PGDATABASE: 'tasks' }
    expect(readAddress('postgres://h', env)).toMatchObject({
      user: 'ann',
      password: 'secret',
      database: 'tasks',
    })
    expect(readAddress('postgres://u:p@h/d', env)).toMatchObject(BASE)
    expect(readAddress('postgres://u@h', NO_ENV)).toMatchObject({ password: '', database: 'u' })
  })

  test('hosts have a name for people', () => {
    expect([at('h', 1), at('::1', 2), at('/tmp', 3)].map(nameOfHost)).toEqual(['h:1', '[::1]:2', '/tmp:3'])
  })
})

/** Each keyword that libpq has, and what becomes of it. */
describe('of what libpq knows', () => {
  test.each<[string, Partial<DatabaseAddress>]>([
    ['application_name=other', { applicationName: 'other' }],
    ['options=-c%20search_path%3Dtasks', { options: '-c search_path=tasks' }],
    ['connect_timeout=2', { connectTimeout: 2 }],
    ['connect_timeout=0', { connectTimeout: undefined }],
    ['connect_timeout=-1', { connectTimeout: undefined }],
    ['connect_timeout=9999999999', { connectTimeout: 86_400 }],
    ['target_session_attrs=any', { needsPrimary: false }],
    ['target_session_attrs=read-write', { needsPrimary: true }],
    ['target_session_attrs=primary', { needsPrimary: true }],
  ])('%s works', (parameter, expected) => {
    expect(readAddress(`postgres://u:p@h/d?${parameter}`, NO_ENV)).toMatchObject({ ...BASE, ...expected })
  })

  test.each([
    ['', 'disable'],
    ['sslmode=disable', 'disable'],
    ['sslmode=allow', 'prefer'],
    ['sslmode=prefer', 'prefer'],
    ['sslmode=require', 'require'],
    ['sslmode=verify-ca', 'verify-ca'],
    ['sslmode=verify-full', 'verify-full'],
    ['sslrootcert=system', 'verify-full'],
    ['sslrootcert=system&sslmode=verify-full', 'verify-full'],
    ['ssl=true', 'require'],
    ['ssl=false', 'disable'],
  ] as const)('%p asks for TLS as %s', (parameter, mode) => {
    expect(readAddress(`postgres://u:p@h/d?${parameter}`, NO_ENV).tls.mode).toBe(mode)
  })

  test.each([
    'channel_binding=require',
    'client_encoding=LATIN1',
    'fallback_application_name=x',
    'gssdelegation=0',
    'gssencmode=disable',
    'gssencmode=prefer',
    'keepalives=0',
    'keepalives_count=3',
    'keepalives_idle=3',
    'keepalives_interval=3',
    'load_balance_hosts=random',
    'max_protocol_version=latest',
    'min_protocol_version=3.0',
    'replication=false',
    'ssl_max_protocol_version=TLSv1.3',
    'ssl_min_protocol_version=TLSv1.2',
    'sslcertmode=allow',
    'sslcompression=0',
    'sslnegotiation=postgres',
    'sslsni=1',
    'tcp_user_timeout=3',
    // of other drivers
    'pgbouncer=true&schema=public&connection_limit=1',
    'supa=base-pooler.x',
    'currentSchema=public&reWriteBatchedInserts=true',
  ])('%s changes nothing', (parameter) => {
    expect(readAddress(`postgres://u:p@h/d?${parameter}`, NO_ENV)).toEqual(
      readAddress('postgres://u:p@h/d', NO_ENV),
    )
  })

  test.each([
    'connect_timeout=soon',
    'gssdelegation=1',
    'gssencmode=require',
    'gsslib=gssapi',
    'hostaddr=127.0.0.1',
    'krbsrvname=postgres',
    'min_protocol_version=3.2',
    'oauth_client_id=x',
    'oauth_client_secret=x',
    'oauth_issuer=x',
    'oauth_scope=x',
    'passfile=/x',
    'port=0',
    'port=65536',
    'port=x',
    'port=1,2',
    'replication=database',
    'require_auth=scram-sha-256',
    'requirepeer=postgres',
    'scram_client_key=x',
    'scram_server_key=x',
    'service=x',
    'servicefile=/x',
    'ssl_max_protocol_version=TLSv1.2',
    'ssl_min_protocol_version=TLSv1.3',
    'sslaccept=strict',
    'sslcert=/x',
    'sslcertmode=require',
    'sslcompression=1',
    'sslcrl=/x',
    'sslcrldir=/x',
    'sslidentity=/x',
    'sslkey=/x',
    'sslkeylogfile=/x',
    'sslmode=no-verify',
    'sslnegotiation=direct',
    'sslpassword=x',
    'sslrootcert=/x',
    'sslsni=0',
    'target_session_attrs=prefer-standby',
    'target_session_attrs=read-only',
    'target_session_attrs=standby',
    'target_session_attrs=x',
  ])('%s is refused by its name', (parameter) => {
    const [name] = parameter.split('=')
    const [reason = ''] = reasonsOf(`postgres://u:p@h/d?${parameter}`)
    expect(reason).toMatch(new RegExp(`^${name}[:,] `))
  })

  test.each([
    ['ssl=maybe', 'sslmode: must be one of'],
    ['sslrootcert=system&sslmode=require', 'sslrootcert: system needs sslmode=verify-full'],
    ['sslrootcert=/nowhere&sslmode=require', 'sslrootcert: the file cannot be read (ENOENT)'],
    ['sslrootcert=/nowhere&sslmode=prefer', 'sslrootcert: need sslmode='],
    ['sslcert=/nowhere&sslmode=require', 'sslcert, sslkey: each needs the other'],
    ['host=@abstract', 'host: abstract'],
    ['sslmod=require', 'TLS'],
    ['SSLMODE=require', 'TLS'],
    ['x=%zz', 'has a %'],
    ['x=%00', 'has a %'],
  ])('%s is refused: %s', (parameter, reason) => {
    expect(reasonsOf(`postgres://u:p@h/d?${parameter}`).join()).toContain(reason)
  })

  test('the same is refused as a keyword', () => {
    expect(reasonsOf('host=h user=u service=x sslmode=x')).toEqual([
      expect.stringMatching(/^service: /),
      expect.stringMatching(/^sslmode: /),
    ])
  })
})

describe('what is neither a URL nor keywords', () => {
  test.each([
    'nonsense',
    'mysql://localhost/x?a=b',
    'http://me:hunter2@host/db',
    'host=h hunter2',
    "host=h password='hunter2",
    'host = h password hunter2=',
    'postgres://::1/hunter2',
    'postgres://[::1/hunter2',
    'postgres://u:p@h:1:2/hunter2',
    'postgres://u:hunter2%zz@h/d',
    'postgres://u:hunter2/x?sslhunter2=1@h/d',
    'postgres://u:hunter2/x?service=hunter2@h/d',
  ])('is refused, and never shown: %s', (DATABASE_URL) => {
    const load = () => loadSettings({ DATABASE_URL, JWT_SECRET_KEY: 'x'.repeat(32) }, () => '')
    expect(load).toThrow(/DATABASE_URL: /)
    expect(load).not.toThrow(/hunter2/)
  })
})

test('settings name all that is wrong with it at once', () => {
  const env = { DATABASE_URL: 'postgres://u:p@h:x/d?service=y&sslmode=z', PORT: 'x' }
  expect(() => loadSettings(env, () => '')).toThrow(
    /DATABASE_URL: service: .*\n.*DATABASE_URL: port: .*\n.*DATABASE_URL: sslmode: .*\n.*PORT: /,
  )
})

describe('dbmate', () => {
  const told = (text: string) => {
    const address = readAddress(text, NO_ENV)
    return dbmateUrl(address, address.hosts[0])
  }

  test.each([
    ['postgres://u:p@h/d', 'postgres://u:p@/d?host=h&port=5432&sslmode=disable&application_name=taskwell'],
    [
      'postgres://u%20v:p%40@[::1]:6543/my%20db?sslmode=require&connect_timeout=3&options=-c%20a%3Db',
      'postgres://u%20v:p%40@/my%20db?host=%3A%3A1&port=6543&sslmode=require&application_name=taskwell&options=-c+a%3Db&connect_timeout=3',
    ],
    [
      'postgres://u:p@%2Ftmp/d?sslmode=require',
      'postgres://u:p@/d?host=%2Ftmp&port=5432&sslmode=disable&application_name=taskwell',
    ],
  ])('is told %s as %s', (text, expected) => {
    expect(told(text)).toBe(expected)
  })
})

test('files that hold no certificate are refused at the start, because the driver fails later and uncaught', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-pem-'))
  const path = join(folder, 'none.pem')
  await writeFile(path, 'none')
  const reasons = (parameters: string) => reasonsOf(`postgres://u:p@h/d?sslmode=require&${parameters}`)
  expect(reasons(`sslrootcert=${path}`)).toEqual(['sslrootcert: holds no certificate in PEM'])
  expect(reasons(`sslcert=${path}&sslkey=${path}`)).toEqual([
    'sslcert, sslkey: are no certificate and its key in PEM',
  ])
  await rm(folder, { recursive: true })
})
