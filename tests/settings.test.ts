import { describe, expect, test } from 'bun:test'
import { loadSettings, SettingsError } from '../src/settings'

const SECRET = 'x'.repeat(32)
const none = () => {
  throw new Error('no secret was to be made')
}

function load(env: Record<string, string>) {
  return loadSettings(env, none)
}

/** The message that stops the start. */
function faults(env: Record<string, string>): string {
  try {
    load(env)
  } catch (error) {
    if (error instanceof SettingsError) return error.message
    throw error
  }
  return ''
}

describe('an empty environment', () => {
  test('gives every default', () => {
    expect(loadSettings({}, () => SECRET)).toEqual({
      production: false,
      host: '0.0.0.0',
      port: 8000,
      databaseUrl: undefined,
      databasePoolSize: 10,
      workers: 1,
      databasePrepare: true,
      dataDir: '.data',
      secret: SECRET,
      jwks: undefined,
      issuers: [],
      audiences: [],
      authorizationServers: [],
      jwtExpireMinutes: 30,
      accounts: true,
      corsOrigins: ['http://localhost:3000'],
      logLevel: 'info',
      rateLimitPerMinute: 600,
      authRateLimitPerMinute: 10,
      trustedProxyHops: 0,
      publicUrl: undefined,
      trashDays: 30,
      redisUrl: undefined,
      requestTimeoutMs: 10_000,
      maxConnections: 10_000,
      keepAliveSeconds: 10,
      metrics: false,
      metricsPort: undefined,
      metricsToken: undefined,
      otelEndpoint: undefined,
      assistant: undefined,
      aiTimeoutMs: 60_000,
      chatRateLimitPerMinute: 10,
    })
  })

  test('cannot be changed afterwards', () => {
    expect(Object.isFrozen(loadSettings({}, () => SECRET))).toBe(true)
  })

  test('is what empty values make too', () => {
    const env = {
      PORT: '',
      DATABASE_URL: '',
      BETTER_AUTH_URL: '',
      CORS_ORIGINS: '',
      LOG_LEVEL: '',
      NODE_ENV: '',
    }
    expect(loadSettings(env, () => SECRET)).toEqual(loadSettings({}, () => SECRET))
  })

  test('makes the development secret in DATA_DIR', () => {
    const asked: string[] = []
    loadSettings({ DATA_DIR: '/elsewhere' }, (dataDir) => {
      asked.push(dataDir)
      return SECRET
    })
    expect(asked).toEqual(['/elsewhere'])
  })
})

test('a folder that cannot keep the development secret is named', () => {
  const failing = () => {
    throw Object.assign(new Error('hunter2'), { code: 'EACCES' })
  }
  expect(() => loadSettings({}, failing)).toThrow(/DATA_DIR: .*EACCES/)
})

describe('the shared secret', () => {
  test('has two names', () => {
    expect(load({ BETTER_AUTH_SECRET: SECRET }).secret).toBe(SECRET)
    expect(load({ JWT_SECRET_KEY: SECRET }).secret).toBe(SECRET)
    expect(load({ JWT_SECRET_KEY: SECRET, BETTER_AUTH_SECRET: SECRET }).secret).toBe(SECRET)
  })

  test('cannot have two values', () => {
    const message = faults({ BETTER_AUTH_SECRET: SECRET, JWT_SECRET_KEY: 'y'.repeat(32) })
    expect(message).toContain('BETTER_AUTH_SECRET and JWT_SECRET_KEY')
    expect(message).not.toMatch(/x{32}|y{32}/)
  })

  test('has at least 32 bytes, and a short one is never shown', () => {
    expect(faults({ BETTER_AUTH_SECRET: 'hunter2' })).toContain('BETTER_AUTH_SECRET')
    expect(faults({ BETTER_AUTH_SECRET: 'hunter2' })).not.toContain('hunter2')
    expect(load({ BETTER_AUTH_SECRET: 'ü'.repeat(16) }).secret).toHaveLength(16)
  })

  test('is not made where Better Auth is trusted', () => {
    expect(load({ BETTER_AUTH_URL: 'https://app.example' }).secret).toBeUndefined()
  })
})

describe('production', () => {
  test('needs a secret or a JWKS', () => {
    const message = faults({ NODE_ENV: 'production' })
    for (const name of ['BETTER_AUTH_SECRET', 'JWT_SECRET_KEY', 'BETTER_AUTH_URL', 'AUTH_JWKS_URL']) {
      expect(message).toContain(name)
    }
    expect(load({ NODE_ENV: 'production', JWT_SECRET_KEY: SECRET }).production).toBe(true)
    expect(load({ NODE_ENV: 'production', BETTER_AUTH_URL: 'https://app.example' }).production).toBe(true)
  })
})

describe('Better Auth', () => {
  test.each(['https://app.example', 'https://app.example/', 'https://app.example/api/auth'])(
    'at %s has its keys, issuers and audience where it puts them',
    (url) => {
      expect(load({ BETTER_AUTH_URL: url }).jwks).toEqual({
        urls: ['https://app.example/api/auth/jwks'],
        issuers: ['https://app.example', 'https://app.example/api/auth'],
        audiences: ['https://app.example'],
      })
    },
  )

  test('can be overridden in each part', () => {
    const env = {
      BETTER_AUTH_URL: 'https://app.example',
      AUTH_JWKS_URL: 'http://inner:3000/jwks, http://other/jwks',
      AUTH_ISSUER: 'a, b',
      AUTH_AUDIENCE: 'c',
    }
    expect(load(env).jwks).toEqual({
      urls: ['http://inner:3000/jwks', 'http://other/jwks'],
      issuers: ['a', 'b'],
      audiences: ['c'],
    })
  })

  test('is not needed with a JWKS, an issuer and an audience', () => {
    const env = { AUTH_JWKS_URL: 'https://id.example/jwks', AUTH_ISSUER: 'i', AUTH_AUDIENCE: 'a' }
    expect(load(env)).toMatchObject({
      jwks: { urls: ['https://id.example/jwks'] },
      issuers: ['i'],
      audiences: ['a'],
    })
  })

  test('or an issuer and an audience are needed with a JWKS', () => {
    const message = faults({ AUTH_JWKS_URL: 'https://id.example/jwks' })
    expect(message).toContain('AUTH_ISSUER')
    expect(message).toContain('AUTH_AUDIENCE')
  })
})

describe('accounts', () => {
  test('are off where somebody else owns the users, unless asked for', () => {
    expect(load({ BETTER_AUTH_SECRET: SECRET }).accounts).toBe(true)
    expect(load({ BETTER_AUTH_URL: 'https://app.example' }).accounts).toBe(false)
    const both = { BETTER_AUTH_URL: 'https://app.example', BETTER_AUTH_SECRET: SECRET, ACCOUNTS: 'on' }
    expect(load(both).accounts).toBe(true)
    expect(load({ BETTER_AUTH_SECRET: SECRET, ACCOUNTS: 'off' }).accounts).toBe(false)
  })

  test('need the shared secret', () => {
    expect(faults({ BETTER_AUTH_URL: 'https://app.example', ACCOUNTS: 'on' })).toContain('ACCOUNTS')
  })
})

describe('CORS origins', () => {
  test.each([
    ['https://a.example', ['https://a.example']],
    ['https://a.example, http://localhost:5173', ['https://a.example', 'http://localhost:5173']],
    ['["https://a.example","https://b.example"]', ['https://a.example', 'https://b.example']],
    ['[]', []],
    [
      'capacitor://localhost,tauri://localhost, chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb',
      ['capacitor://localhost', 'tauri://localhost', 'chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb'],
    ],
    ['http://[::1]:3000,app://obsidian.md:1', ['http://[::1]:3000', 'app://obsidian.md:1']],
  ])('may be %s', (value, expected) => {
    expect(loadSettings({ CORS_ORIGINS: value }, () => SECRET).corsOrigins).toEqual(expected)
    expect(loadSettings({ ALLOWED_ORIGINS: value }, () => SECRET).corsOrigins).toEqual(expected)
  })

  test.each([
    '*',
    'a.example',
    'https://a.example/',
    'https://a.example/path',
    'https://a.example:443',
    'https://A.example',
    'https://user@a.example',
    'capacitor://localhost/',
    'capacitor://',
    'capacitor:localhost',
    'file:///index.html',
    '["x"',
    '[1]',
    'null',
  ])('cannot be %s', (value) => {
    expect(faults({ CORS_ORIGINS: value, BETTER_AUTH_SECRET: SECRET })).toContain('CORS_ORIGINS')
  })

  test.each(['https://*.example.com', 'http://localhost:*', '["*"]'])(
    'cannot be %s, and say why',
    (value) => {
      expect(faults({ CORS_ORIGINS: value, BETTER_AUTH_SECRET: SECRET })).toContain(
        'CORS_ORIGINS (or ALLOWED_ORIGINS): `*` is no wildcard here',
      )
    },
  )

  test('cannot have two values under two names', () => {
    const env = { CORS_ORIGINS: 'https://a.example', ALLOWED_ORIGINS: 'https://b.example' }
    expect(faults({ ...env, BETTER_AUTH_SECRET: SECRET })).toContain('CORS_ORIGINS and ALLOWED_ORIGINS')
  })
})

describe('the public address', () => {
  test.each([
    ['https://example.com/tasks', 'https://example.com/tasks'],
    ['https://example.com/tasks//', 'https://example.com/tasks'],
    ['http://localhost:8080/a/b/', 'http://localhost:8080/a/b'],
    ['https://example.com/', 'https://example.com'],
    ['HTTPS://Example.com:443/Tasks', 'https://example.com/Tasks'],
    ['https://example.com/@team/a"b', 'https://example.com/@team/a%22b'],
  ])('%p is %p', (value, expected) => {
    expect(loadSettings({ PUBLIC_URL: value }, () => SECRET).publicUrl).toBe(expected)
  })

  test.each([
    '/tasks',
    'example.com/tasks',
    'ftp://example.com',
    'https://',
    'https://ann@example.com',
    'https://ann:secret@example.com',
    'https://example.com?',
    'https://example.com/tasks?a=b',
    'https://example.com/#tasks',
    'https://example.com//host',
    'https://example.com/\\host',
    'https://example.com/a//b',
  ])('%p stops the start', (value) => {
    expect(faults({ PUBLIC_URL: value, BETTER_AUTH_SECRET: SECRET })).toMatch(
      /\n {2}PUBLIC_URL: must be [^\n]+$/,
    )
    expect(faults({ PUBLIC_URL: value, BETTER_AUTH_SECRET: SECRET })).not.toContain('secret')
  })
})

describe('a value', () => {
  test.each([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '8000.5'],
    ['PORT', '0x50'],
    ['DATABASE_POOL_SIZE', '0'],
    ['DATABASE_URL', 'mysql://localhost/x'],
    ['DATABASE_URL', 'nonsense'],
    ['DATABASE_URL', 'postgres://u:p%zz@h/d'],
    ['DATABASE_PREPARE', 'yes'],
    ['BETTER_AUTH_URL', 'app.example'],
    ['AUTH_JWKS_URL', 'file:///etc/passwd'],
    ['JWT_EXPIRE_MINUTES', '0'],
    ['ACCOUNTS', 'true'],
    ['LOG_LEVEL', 'verbose'],
    ['RATE_LIMIT_PER_MINUTE', '0'],
    ['AUTH_RATE_LIMIT_PER_MINUTE', 'ten'],
    ['TRUSTED_PROXY_HOPS', '-1'],
    ['TRUSTED_PROXY_HOPS', '101'],
    ['RATE_LIMIT_PER_MINUTE', '1000001'],
    ['AUTH_RATE_LIMIT_PER_MINUTE', '0'],
    ['REDIS_URL', 'http://localhost'],
    ['REDIS_URL', 'localhost:6379'],
    ['REQUEST_TIMEOUT_MS', '99'],
    ['REQUEST_TIMEOUT_MS', '600001'],
    ['REQUEST_TIMEOUT_MS', '10s'],
    ['MAX_CONNECTIONS', '0'],
    ['MAX_CONNECTIONS', '1e3'],
    ['KEEP_ALIVE_SECONDS', '0'],
    ['KEEP_ALIVE_SECONDS', '256'],
    ['METRICS', 'true'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['AI_BASE_URL', 'api.example/v1'],
    ['AI_BASE_URL', 'ws://api.example/v1'],
    ['AI_TIMEOUT_MS', '99'],
    ['CHAT_RATE_LIMIT_PER_MINUTE', '0'],
  ])('cannot be %s=%s', (name, value) => {
    expect(faults({ BETTER_AUTH_SECRET: SECRET, [name]: value })).toContain(`${name}: `)
  })

  test.each([
    ['RATE_LIMIT_PER_MINUTE', '1', { rateLimitPerMinute: 1 }],
    ['RATE_LIMIT_PER_MINUTE', '1000000', { rateLimitPerMinute: 1_000_000 }],
    ['AUTH_RATE_LIMIT_PER_MINUTE', '5', { authRateLimitPerMinute: 5 }],
    ['TRUSTED_PROXY_HOPS', '100', { trustedProxyHops: 100 }],
    ['REDIS_URL', 'redis://:p@cache:6379/1', { redisUrl: 'redis://:p@cache:6379/1' }],
    ['REDIS_URL', 'rediss://cache', { redisUrl: 'rediss://cache' }],
    ['REQUEST_TIMEOUT_MS', '100', { requestTimeoutMs: 100 }],
    ['REQUEST_TIMEOUT_MS', '600000', { requestTimeoutMs: 600_000 }],
    ['MAX_CONNECTIONS', '1', { maxConnections: 1 }],
    ['KEEP_ALIVE_SECONDS', '255', { keepAliveSeconds: 255 }],
    ['METRICS', 'on', { metrics: true, metricsToken: undefined }],
    ['METRICS', 'off', { metrics: false }],
    ['METRICS_TOKEN', 'for-prometheus', { metricsToken: 'for-prometheus', metrics: false }],
    ['METRICS_TOKEN', '', { metricsToken: undefined }],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318', { otelEndpoint: 'http://collector:4318' }],
    ['AI_TIMEOUT_MS', '600000', { aiTimeoutMs: 600_000 }],
    ['CHAT_RATE_LIMIT_PER_MINUTE', '100', { chatRateLimitPerMinute: 100 }],
    ['OPENAI_API_KEY', 'of-another-program', { assistant: undefined }],
  ])('can be %s=%s', (name, value, expected) => {
    expect(load({ BETTER_AUTH_SECRET: SECRET, [name]: value })).toMatchObject(expected)
  })

  test('a model has an address, a name and perhaps a key', () => {
    const given = { BETTER_AUTH_SECRET: SECRET, AI_BASE_URL: 'http://localhost:11434/v1', AI_MODEL: 'qwen3' }
    const assistant = { baseUrl: 'http://localhost:11434/v1', model: 'qwen3', apiKey: undefined }
    expect(load(given).assistant).toEqual(assistant)
    expect(load({ ...given, AI_API_KEY: 'k' }).assistant).toEqual({ ...assistant, apiKey: 'k' })
    expect(load({ ...given, OPENAI_API_KEY: 'k' }).assistant).toEqual({ ...assistant, apiKey: 'k' })
  })

  test('a model without an address, or an address without a model, is at fault', () => {
    expect(faults({ BETTER_AUTH_SECRET: SECRET, AI_MODEL: 'm' })).toContain('AI_BASE_URL: ')
    expect(faults({ BETTER_AUTH_SECRET: SECRET, AI_BASE_URL: 'http://a.example' })).toContain('AI_MODEL: ')
  })

  test('a key that cannot be in a header is at fault, and not shown', () => {
    const message = faults({ BETTER_AUTH_SECRET: SECRET, AI_API_KEY: 'two words' })
    expect(message).toContain('AI_API_KEY (or OPENAI_API_KEY): ')
    expect(message).not.toContain('two words')
  })

  test.each([
    ['https://app.example', undefined, ['https://app.example/api/auth']],
    ['https://app.example/auth', undefined, ['https://app.example/auth']],
    ['https://app.example', 'https://id.example, other', ['https://id.example']],
    [undefined, 'other', []],
    [undefined, undefined, []],
  ])('BETTER_AUTH_URL=%p and AUTH_ISSUER=%p name the authorization servers %p', (url, issuer, expected) => {
    const env = { BETTER_AUTH_URL: url ?? '', AUTH_ISSUER: issuer ?? '', BETTER_AUTH_SECRET: SECRET }
    expect(load(env).authorizationServers).toEqual(expected)
  })

  test('at fault is named with every other, and a password in it is not shown', () => {
    const message = faults({
      PORT: 'x',
      LOG_LEVEL: 'y',
      DATABASE_URL: 'http://me:hunter2@host/db',
      JWT_SECRET_KEY: 'short',
      REDIS_URL: 'http://:hunter2@cache',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://hunter2@collector',
    })
    const names = [
      'PORT',
      'LOG_LEVEL',
      'DATABASE_URL',
      'JWT_SECRET_KEY',
      'REDIS_URL',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
    ]
    for (const name of names) expect(message).toContain(name)
    expect(message).not.toContain('hunter2')
  })

  test.each(['postgres://u:p@h/d', 'postgresql://u@h:5433/d?sslmode=require'])(
    'can be DATABASE_URL=%s',
    (url) => {
      expect(loadSettings({ DATABASE_URL: url }, () => SECRET).databaseUrl).toBe(url)
    },
  )
})

describe('workers', () => {
  const linux = { platform: 'linux', cores: 4 } as const
  const of = (env: Record<string, string>, machine: Parameters<typeof loadSettings>[2] = linux) =>
    loadSettings({ JWT_SECRET_KEY: SECRET, ...env }, none, machine).workers

  test.each([
    ['1', '10', 1],
    ['10', '10', 10],
    ['64', '64', 64],
    ['auto', '10', 4],
    ['auto', '3', 3],
  ])('WORKERS=%s with DATABASE_POOL_SIZE=%s are %i', (WORKERS, DATABASE_POOL_SIZE, workers) => {
    expect(of({ WORKERS, DATABASE_POOL_SIZE })).toBe(workers)
  })

  test.each(['0', '65', '1.5', 'all', '-1'])('WORKERS=%s is at fault', (WORKERS) => {
    expect(() => of({ WORKERS, DATABASE_POOL_SIZE: '100' })).toThrow(
      'WORKERS: must be auto or a whole number from 1 to 64',
    )
  })

  test('are not more than there are connections to the database', () => {
    expect(() => of({ WORKERS: '3', DATABASE_POOL_SIZE: '2' })).toThrow(/WORKERS: .*DATABASE_POOL_SIZE/)
  })

  test('are one where the system shares out no connections', () => {
    const mac = { platform: 'darwin', cores: 4 } as const
    expect(of({ WORKERS: 'auto' }, mac)).toBe(1)
    expect(of({ WORKERS: '1' }, mac)).toBe(1)
    expect(() => of({ WORKERS: '2' }, mac)).toThrow('WORKERS: more than 1 works on Linux only')
  })

  test.each([
    ['', '1', undefined],
    ['9464', '1', 9464],
    ['65534', '2', 65_534],
  ])('METRICS_PORT=%s with WORKERS=%s is %p', (METRICS_PORT, WORKERS, port) => {
    const env = { JWT_SECRET_KEY: SECRET, METRICS_PORT, WORKERS }
    expect(loadSettings(env, none, linux).metricsPort).toBe(port)
  })

  test.each([
    ['1', '0', /METRICS_PORT: must be a whole number from 1 to 65535$/],
    ['2', '65535', /METRICS_PORT: must be a whole number from 1 to 65534$/],
    ['2', '', /METRICS_PORT: is needed with METRICS=on/],
  ])('WORKERS=%s with METRICS_PORT=%s is at fault', (WORKERS, METRICS_PORT, fault) => {
    expect(() => of({ METRICS: 'on', METRICS_PORT, WORKERS })).toThrow(fault)
  })

  test('need no METRICS_PORT without metrics', () => {
    expect(of({ WORKERS: '2' })).toBe(2)
  })
})
