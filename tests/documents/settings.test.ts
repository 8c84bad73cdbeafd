/** A setting stands in four places: the code, the document, `.env.example` and `compose.yaml`. They have to agree. */
import { describe, expect, test } from 'bun:test'
import { PROBLEMS } from '../../src/http/problems'
import { loadSettings, SettingsError } from '../../src/settings'

type Environment = Record<string, string>

/** Variables that other code than `src/settings.ts` reads, and why the document names them. */
const READ_ELSEWHERE: Environment = {
  OTEL_EXPORTER_OTLP_HEADERS: 'OpenTelemetry reads it',
  OTEL_SERVICE_NAME: 'OpenTelemetry reads it',
  OTEL_TRACES_SAMPLER: 'OpenTelemetry reads it',
  OTEL_TRACES_SAMPLER_ARG: 'OpenTelemetry reads it',
  PGDATABASE: 'completes DATABASE_URL',
  PGPASSWORD: 'completes DATABASE_URL',
  PGUSER: 'completes DATABASE_URL',
}

const NOT_IN_ENV_EXAMPLE: Environment = {
  NODE_ENV: 'it decides whether .env is read',
}

const NOT_IN_COMPOSE: Environment = {
  DATABASE_PREPARE: 'the database of the compose file has no pooler',
  DATA_DIR: 'the compose file has a database and a secret',
  HOST: 'in the container it is the default',
  NODE_ENV: 'the image sets it',
  PORT: 'in the container it is the default; the compose file maps it to PORT of the machine',
}

/** Names that `loadSettings` turns into members of other names. Their defaults are described in words. */
const WITHOUT_MEMBER = [
  'AI_API_KEY',
  'AI_BASE_URL',
  'AI_MODEL',
  'AUTH_AUDIENCE',
  'AUTH_ISSUER',
  'AUTH_JWKS_URL',
  'BETTER_AUTH_SECRET',
  'BETTER_AUTH_URL',
  'NODE_ENV',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
]

/** On which every setting may have its largest value. */
const MACHINE = { platform: 'linux', cores: 4 } as const
const SECRET = 'a-shared-secret-of-at-least-32-bytes'

interface Row {
  /** The first is the setting's own name, the others mean the same. */
  names: [string, ...string[]]
  /** Undefined if the document describes the default in words. */
  plainDefault: string | undefined
  values: string
}

const document = await Bun.file('docs/settings.md').text()
const rows = [...document.matchAll(/^\| (`[A-Z].*?) \| (.*?) \| (.*?) \|/gm)].map(
  ([, names = '', byDefault = '', values = '']): Row => {
    const [name = '', ...otherNames] = codeSpans(names)
    const plainDefault = /^`([^`]*)`$/.exec(byDefault)?.[1]
    return { names: [name, ...otherNames], plainDefault, values }
  },
)
const documented = rows.flatMap(({ names }) => names)

function codeSpans(markdown: string): string[] {
  return [...markdown.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
}

/** Every name that `loadSettings` asks for. */
function namesRead(env: Environment): Set<string> {
  const names = new Set<string>()
  const recorder = new Proxy(env, {
    get(target, name) {
      names.add(String(name))
      return target[String(name)]
    },
  })
  loadSettings(recorder, () => SECRET, MACHINE)
  return names
}

/** What the start says to these settings; undefined if they are good. */
function faultOf(env: Environment): string | undefined {
  try {
    loadSettings({ DATABASE_POOL_SIZE: '1000', ...env }, () => SECRET, MACHINE)
    return undefined
  } catch (error) {
    if (error instanceof SettingsError) return error.message
    throw error
  }
}

/** `TRASH_DAYS` is `trashDays` in the settings. Undefined if there is no value by default. */
function defaultOf(name: string): string | undefined {
  if (WITHOUT_MEMBER.includes(name)) return undefined
  const member = name.toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  const settings: Record<string, unknown> = { ...loadSettings({}, () => SECRET, MACHINE) }
  if (!(member in settings)) throw new Error(`${name} has no member ${member}`)
  const value = settings[member]
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return value === undefined ? undefined : String(value)
}

const envExample = [
  ...(await Bun.file('.env.example').text()).matchAll(/((?:^# .*\n)*?)^# ([A-Z_]+)=(.*)$/gm),
].map(([, comments = '', name = '', value = '']) => ({ comments, name, value }))
const exampleEnvironment: Environment = Object.fromEntries(envExample.map(({ name, value }) => [name, value]))

describe('the document of settings', () => {
  test('has every setting that the code reads, and no other one', () => {
    const whenUnset = namesRead({})
    const whenSet = namesRead({ ...exampleEnvironment, BETTER_AUTH_SECRET: SECRET })
    expect(documented.toSorted()).toEqual([...whenUnset.union(whenSet)].toSorted())
  })

  test('mentions no variable that does not exist', () => {
    const known = new Set([...documented, ...Object.keys(READ_ELSEWHERE), ...Object.keys(PROBLEMS)])
    const mentioned = codeSpans(document).flatMap((code) => /^[A-Z][A-Z\d_]{2,}/.exec(code) ?? [])
    expect(mentioned.length).toBeGreaterThan(documented.length)
    expect(mentioned.filter((name) => !known.has(name))).toEqual([])
  })

  test.each(rows)('tells the default of $names', ({ names: [name], plainDefault }) => {
    expect(defaultOf(name)).toBe(plainDefault)
  })

  test.each(
    rows
      .flatMap(({ names: [name], values }) => ({ name, values, fault: faultOf({ [name]: '?' }) ?? '' }))
      .filter(({ fault }) => /must be one of|whole number/.test(fault)),
  )('tells which values $name may have', ({ name, values, fault }) => {
    const [, choices] = new RegExp(`${name}: must be one of (.*)`).exec(fault) ?? []
    const [, min, max] = /whole number from (\d+) to (\d+)/.exec(fault) ?? []
    if (choices !== undefined) expect(codeSpans(values).join(', ')).toBe(choices)
    else expect(values.replaceAll(',', '')).toStartWith(`${min} to ${max}`)
  })
})

describe('.env.example', () => {
  test('has every setting', () => {
    const expected = rows.map(({ names: [name] }) => name).filter((name) => !(name in NOT_IN_ENV_EXAMPLE))
    expect(envExample.map(({ name }) => name).toSorted()).toEqual(expected.toSorted())
  })

  test.each(rows.filter(({ names }) => names.length > 1))(
    'mentions the other name of $names',
    ({ names }) => {
      const [name, ...otherNames] = names
      const comments = envExample.find((each) => each.name === name)?.comments
      for (const otherName of otherNames) expect(comments).toContain(otherName)
    },
  )

  test.each(envExample)('gives the default of $name, or calls it an example', ({ comments, name, value }) => {
    const plainDefault = rows.find(({ names }) => names[0] === name)?.plainDefault
    if (plainDefault !== undefined) expect(value).toBe(plainDefault)
    else expect(value === '' || comments.includes('# example')).toBe(true)
  })

  test('has only values that Taskwell accepts', () => {
    expect(faultOf({ ...exampleEnvironment, BETTER_AUTH_SECRET: SECRET })).toBeUndefined()
  })
})

describe('compose.yaml', async () => {
  const compose = Bun.YAML.parse(await Bun.file('compose.yaml').text()) as {
    services: { api: { environment: Environment } }
  }
  const { environment } = compose.services.api

  test('passes on every setting, and what OpenTelemetry reads', () => {
    const settings = rows.map(({ names: [name] }) => name).filter((name) => !(name in NOT_IN_COMPOSE))
    const telemetry = Object.keys(READ_ELSEWHERE).filter((name) => name.startsWith('OTEL_'))
    expect(Object.keys(environment).toSorted()).toEqual([...settings, ...telemetry].toSorted())
  })

  test.each(Object.entries(environment).filter(([name]) => name !== 'DATABASE_URL'))(
    'passes on %s under its own name',
    (name, value) => {
      expect(value).toMatch(new RegExp(`^\\$\\{${name}:[-?].*\\}$`))
    },
  )
})
