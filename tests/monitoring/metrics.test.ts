import { describe, expect, test } from 'bun:test'
import { register as globalRegistry } from 'prom-client'
import { version } from '../../package.json'
import { createApp } from '../../src/app'
import { createCounter } from '../../src/limits/counter'
import { createMetricsApp } from '../../src/monitoring/metrics'
import { createLog } from '../../src/telemetry/log'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics'
import { linesTo, testSettings, toAnswer } from '../support/app'
import { testDatabase } from '../support/database'

const ROUTE = '/api/v1/todos/:id'
const asked = { method: 'GET', route: ROUTE, status: 200, ms: 3 }

const SAMPLE = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\})|(?=\})))+\})? (\S+)$/
const SUFFIXES = { counter: ['_total'], gauge: [''], histogram: ['_bucket', '_sum', '_count'] }

const OF_LINUX = process.platform === 'linux' ? ['process_open_fds', 'process_max_fds'] : []

/** The samples of a text in Prometheus' format; throws at the first line that is not as it should be. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = text.trimEnd().split('\n\n')
  const names = families.map((family) => readFamily(family.split('\n'), samples))
  if (new Set(names).size !== names.length) throw new Error('a family is there twice')
  return samples
}

function readFamily([help = '', kind = '', ...lines]: string[], samples: Map<string, number>): string {
  const [, family = ''] = /^# HELP ([a-z_]+) \S.*\.$/.exec(help) ?? []
  const [, of, type = ''] = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(kind) ?? []
  if (family === '' || of !== family) throw new Error(`not the head of a family: ${help} ${kind}`)
  const base = type === 'counter' ? family.replace(/_total$/, '') : family
  for (const line of lines) {
    const [, name, labels = '', value = ''] = SAMPLE.exec(line) ?? []
    const isOurs = SUFFIXES[type as keyof typeof SUFFIXES].some((suffix) => name === base + suffix)
    if (!isOurs || Number.isNaN(Number(value))) throw new Error(`not a sample of ${family}: ${line}`)
    if (samples.has(`${name}${labels}`)) throw new Error(`twice: ${line}`)
    samples.set(`${name}${labels}`, Number(value))
  }
  return family
}

/** The samples of these metrics whose names begin so. */
async function read(metrics: Metrics, start: string): Promise<Record<string, number>> {
  const samples = parse(await metrics.render())
  return Object.fromEntries([...samples].filter(([name]) => name.startsWith(start)))
}

/** The steps of a histogram's series, from the first bucket to all. */
function steps(samples: Record<string, number>): number[] {
  return Object.entries(samples).flatMap(([name, value]) => (name.includes('_bucket{') ? [value] : []))
}

test.each([
  ['a line that breaks off', '# HELP a B.\n# TYPE a gauge\na 1'],
  ['a sample of another family', '# HELP a B.\n# TYPE a gauge\nb 1\n'],
  ['a value that is no number', '# HELP a B.\n# TYPE a gauge\na NaN\n'],
  ['one series twice', '# HELP a B.\n# TYPE a gauge\na{b="c"} 1\na{b="c"} 2\n'],
  ['a counter without its suffix', '# HELP a B.\n# TYPE a counter\na 1\n'],
  ['labels that are not quoted', '# HELP a B.\n# TYPE a gauge\na{b=c} 1\n'],
  ['no help', '# TYPE a gauge\na 1\n'],
])('the check of the format refuses %s', (_, text) => {
  expect(() => parse(text)).toThrow()
})

describe('requests', () => {
  test('are counted by method, route and status', async () => {
    const metrics = createMetrics()
    metrics.request(asked)
    metrics.request({ ...asked, ms: 30 })
    metrics.request({ ...asked, method: 'DELETE', status: 404 })
    expect(await read(metrics, 'taskwell_http_requests_total')).toEqual({
      [`taskwell_http_requests_total{method="GET",route="${ROUTE}",status="200"}`]: 2,
      [`taskwell_http_requests_total{method="DELETE",route="${ROUTE}",status="404"}`]: 1,
    })
  })

  test('are timed by route, in seconds', async () => {
    const metrics = createMetrics()
    for (const ms of [0.2, 1, 3, 9999, 60_000]) metrics.request({ ...asked, ms })
    const times = await read(metrics, 'taskwell_http_request_duration_seconds')
    const labels = `{method="GET",route="${ROUTE}"}`
    expect(times[`taskwell_http_request_duration_seconds_sum${labels}`]).toBeCloseTo(70.0032, 6)
    expect(times[`taskwell_http_request_duration_seconds_count${labels}`]).toBe(5)
    //                           1 ms  2.5 5                       5 s 10 +Inf
    expect(steps(times)).toEqual([2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5])
  })

  test('of methods that nobody knows are one series, and so are those without a route', async () => {
    const metrics = createMetrics()
    for (const method of ['BREW', 'get', '"}\n', '__proto__', 'constructor']) {
      metrics.request({ method, route: undefined, status: 404, ms: 1 })
    }
    expect(await read(metrics, 'taskwell_http_requests_total')).toEqual({
      'taskwell_http_requests_total{method="other",route="none",status="404"}': 5,
    })
  })
})

describe('statements', () => {
  test('are timed by name and outcome, in seconds', async () => {
    const metrics = createMetrics()
    metrics.statement({ name: 'find_task', ms: 2, failed: false })
    metrics.statement({ name: 'find_task', ms: 4, failed: false })
    metrics.statement({ name: 'find_task', ms: 5000, failed: true })
    const times = await read(metrics, 'taskwell_statement_duration_seconds')
    expect(times).toMatchObject({
      'taskwell_statement_duration_seconds_count{name="find_task",outcome="ok"}': 2,
      'taskwell_statement_duration_seconds_sum{name="find_task",outcome="ok"}': 0.006,
      'taskwell_statement_duration_seconds_count{name="find_task",outcome="error"}': 1,
      'taskwell_statement_duration_seconds_sum{name="find_task",outcome="error"}': 5,
    })
  })
})

test('refusals are counted by policy', async () => {
  const metrics = createMetrics()
  metrics.limited('user')
  metrics.limited('address')
  metrics.limited('user')
  expect(await read(metrics, 'taskwell_rate_limited_total')).toEqual({
    'taskwell_rate_limited_total{policy="user"}': 2,
    'taskwell_rate_limited_total{policy="address"}': 1,
  })
})

test('what is watched is as it is when somebody reads', async () => {
  const metrics = createMetrics()
  const now = { statements: 1, streams: 2, requests: 3 }
  metrics.watch({
    poolSize: 10,
    statements: () => now.statements,
    streams: () => now.streams,
    requests: () => now.requests,
  })
  await metrics.render()
  Object.assign(now, { statements: 4, streams: 5, requests: 6 })
  expect(await read(metrics, 'taskwell_')).toMatchObject({
    taskwell_statements_in_progress: 4,
    taskwell_streams_open: 5,
    taskwell_http_requests_in_progress: 6,
    taskwell_database_pool_size: 10,
  })
})

describe('the process', () => {
  test('tells its version', async () => {
    const name = `taskwell_build_info{version="${version}",bun="${Bun.version}"}`
    expect(await read(createMetrics(), 'taskwell_build_info')).toEqual({ [name]: 1 })
  })

  test('tells its memory, its times and its files, and nothing that Bun does not know', async () => {
    const names = Object.keys(await read(createMetrics(), ''))
    expect(names).toEqual(expect.arrayContaining(['process_resident_memory_bytes', ...OF_LINUX]))
    expect(names.filter((name) => !/^(taskwell|process)_/.test(name))).toEqual([])
    const { process_start_time_seconds: startedAt } = await read(createMetrics(), 'process_')
    expect(startedAt).toBeCloseTo(performance.timeOrigin / 1000, -1)
  })

  test('counts the processor time that it uses', async () => {
    const metrics = createMetrics()
    const used = async () =>
      (await read(metrics, 'process_cpu_seconds_total'))['process_cpu_seconds_total'] ?? 0
    const before = await used()
    const start = process.cpuUsage()
    while (process.cpuUsage(start).user < 50_000);
    expect((await used()) - before).toBeGreaterThanOrEqual(0.05)
  })

  test('tells when its event loop was held up', async () => {
    const metrics = createMetrics()
    const held = performance.now() + 400
    while (performance.now() < held);
    const lag = () => read(metrics, 'taskwell_event_loop_lag_seconds')
    while ((await lag())['taskwell_event_loop_lag_seconds_count'] === 0) await Bun.sleep(5)
    // the timer was due 100 ms after the start
    expect((await lag())['taskwell_event_loop_lag_seconds_sum']).toBeGreaterThanOrEqual(0.29)
  })
})

test('no two share anything, nor does anybody through the library', async () => {
  const metrics = createMetrics()
  createMetrics().request(asked)
  expect(await read(metrics, 'taskwell_http_requests_total')).toEqual({})
  expect(globalRegistry.getMetricsAsArray()).toEqual([])
})

const { database } = await testDatabase()

describe('GET /metrics', () => {
  const log = createLog({ logLevel: 'silent', production: true })
  const metrics = createMetrics()
  metrics.request(asked)

  function ask(token: string | undefined, headers: Record<string, string> = {}, query = '') {
    const settings = testSettings(token === undefined ? {} : { METRICS_TOKEN: token })
    const app = createApp({ settings, database, log, metrics })
    return app.handle(new Request(`http://localhost/metrics${query}`, { headers }))
  }

  test('is text for Prometheus, kept by no cache', async () => {
    const answer = await ask(undefined)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(parse(await answer.text()).size).toBeGreaterThan(40)
  })

  test('takes no parameter', async () => {
    expect((await ask(undefined, {}, '?name=x')).status).toBe(422)
  })

  test.each(['Bearer s3cret', 'bearer   s3cret'])('with a token set, %s reads it', async (authorization) => {
    expect((await ask('s3cret', { authorization })).status).toBe(200)
  })

  test.each([
    ['no header', undefined, 'TOKEN_MISSING'],
    ['another scheme', 'Basic s3cret', 'TOKEN_MISSING'],
    ['no token', 'Bearer ', 'TOKEN_MISSING'],
    ['another token', 'Bearer s3creT', 'TOKEN_INVALID'],
    ['the start of the token', 'Bearer s3cre', 'TOKEN_INVALID'],
    ['more than the token', 'Bearer s3cret2', 'TOKEN_INVALID'],
    ['the token twice', 'Bearer s3cret, Bearer s3cret', 'TOKEN_INVALID'],
  ])('with a token set, %s is a 401', async (_, authorization, code) => {
    const answer = await ask('s3cret', authorization === undefined ? {} : { authorization })
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ error_code: code })
  })
})

describe('METRICS_PORT', () => {
  const lines: string[] = []
  const log = createLog({ logLevel: 'info', production: true }, linesTo(lines))
  const metrics = createMetrics()
  const settings = testSettings({ METRICS_PORT: '9464', METRICS_TOKEN: 's3cret', RATE_LIMIT_PER_MINUTE: '3' })
  const app = createMetricsApp({ settings, log, counter: createCounter(settings), metrics })
  const authorization = 'Bearer s3cret'
  const ask = async (path: string, method = 'GET', headers: Record<string, string> = { authorization }) =>
    toAnswer(await app.handle(new Request(`http://localhost${path}`, { method, headers })))

  test('has the metrics, with a line in the log, and counts itself', async () => {
    await ask('/metrics')
    const { status, headers, body } = await ask('/metrics', 'GET', {
      authorization,
      'x-request-id': 'scrape',
    })
    expect(status).toBe(200)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(parse(body).get('taskwell_http_requests_total{method="GET",route="/metrics",status="200"}')).toBe(
      1,
    )
    const logged = lines.map((line) => JSON.parse(line))
    expect(logged).toContainEqual(expect.objectContaining({ request_id: 'scrape', status: 200 }))
  })

  test.each([
    ['GET', '/metrics?name=x', 422, 'VALIDATION_ERROR'],
    ['POST', '/metrics', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/ready', 404, 'NOT_FOUND'],
    ['GET', '/api/v1/todos', 404, 'NOT_FOUND'],
  ])('answers %s %s with %i', async (method, path, status, error_code) => {
    expect(await ask(path, method)).toMatchObject({ status, body: { error_code } })
  })

  test('refuses clients that ask too often without the token, and not Prometheus', async () => {
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) statuses.push((await ask('/metrics', 'GET', {})).status)
    expect(statuses.at(-1)).toBe(429)
    expect((await ask('/metrics')).status).toBe(200)
  })

  test('takes them from the port of the service', async () => {
    const service = createApp({ settings, database, log, metrics })
    const headers = { authorization }
    expect((await service.handle(new Request('http://localhost/metrics', { headers }))).status).toBe(404)
  })
})
