/** What Prometheus reads: counts and times since the start, and the present state. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { version } from '../../package.json'
import { METHODS } from './methods'

export type Metrics = ReturnType<typeof createMetrics>

interface State {
  poolSize: number
  /** How many are under way or wait for a connection. */
  statements(): number
  streams(): number
  requests(): number
}

/** In seconds: from an answer that needs no database to the usual deadline of a request. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** In seconds: from a quick model to the longest `AI_TIMEOUT_MS`. */
const CHAT_BUCKETS = [0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600]

/**
 * The metrics of prom-client that are right on Bun. Others are not: `process_heap_bytes` is address space there, and
 * `nodejs_*` are empty, wrong or about another runtime.
 */
const PROCESS_METRICS = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_virtual_memory_bytes',
  'process_open_fds',
  'process_max_fds',
]

/** In milliseconds. */
const LAG_INTERVAL = 100

/** Has a registry of its own, and measures the event loop's lag from now on. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    buckets = BUCKETS,
  ) => new Histogram({ name, help, labelNames, buckets, registers })

  const requests = counter('taskwell_http_requests_total', 'Requests that were answered.', [
    'method',
    'route',
    'status',
  ])
  const requestTimes = histogram(
    'taskwell_http_request_duration_seconds',
    'From a request to its answer; of a stream, to its beginning.',
    ['method', 'route'],
  )
  const statementTimes = histogram(
    'taskwell_statement_duration_seconds',
    'SQL statements, with the time they waited for a connection.',
    ['name', 'outcome'],
  )
  const limits = counter('taskwell_rate_limited_total', 'Requests that a rate limit refused.', ['policy'])
  const refusedTokens = counter(
    'taskwell_tokens_refused_total',
    'Requests that were refused for their token.',
    ['reason'],
  )
  const pages = counter(
    'taskwell_pages_total',
    'Pages of lists that were answered: from memory (current), or read because the one in memory was old, or there was none.',
    ['kept'],
  )
  const tools = counter('taskwell_tools_total', 'Tools that assistants have run.', ['tool', 'outcome'])
  const chatTimes = histogram(
    'taskwell_chat_duration_seconds',
    'From a message to the end of its answer.',
    ['outcome'],
    CHAT_BUCKETS,
  )
  const chatTokens = counter('taskwell_chat_tokens_total', 'Tokens that the model has read and written.', [
    'kind',
  ])
  new Gauge({
    name: 'taskwell_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'bun'],
    registers,
  }).set({ version, bun: Bun.version }, 1)
  measureLag(
    histogram('taskwell_event_loop_lag_seconds', `How late a timer of ${LAG_INTERVAL} ms comes.`, []),
  )
  watchProcess(registry)

  return {
    /** @param seen.route the pattern, never the path: each value is a series that is kept */
    request(seen: { method: string; route: string | undefined; status: number; ms: number }): void {
      const { method, route = 'none', status, ms } = seen
      const labels = { method: METHODS.has(method) ? method : 'other', route }
      requests.inc({ ...labels, status })
      requestTimes.observe(labels, ms / 1000)
    },
    /** @param seen.name as the source code calls the statement */
    statement({ name, ms, failed }: { name: string; ms: number; failed: boolean }): void {
      statementTimes.observe({ name, outcome: failed ? 'error' : 'ok' }, ms / 1000)
    },
    /** A rate limit has refused a request. */
    limited: (policy: string) => limits.inc({ policy }),
    /** A request was refused for its token. */
    refusedToken: (reason: string) => refusedTokens.inc({ reason }),
    /** An assistant has run a tool, over MCP or in a chat. */
    tool: ({ tool, failed }: { tool: string; failed: boolean }) =>
      tools.inc({ tool, outcome: failed ? 'error' : 'ok' }),
    /** A message to the assistant was answered, or was not. The outcome is one of a few words. */
    chat({
      outcome,
      ms,
      usage,
    }: {
      outcome: string
      ms: number
      usage: { input: number; output: number }
    }): void {
      chatTimes.observe({ outcome }, ms / 1000)
      chatTokens.inc({ kind: 'input' }, usage.input)
      chatTokens.inc({ kind: 'output' }, usage.output)
    },
    /** A list was answered. @param kept whether its page was in memory: as it is now, as it was before, or not at all */
    page: (kept: 'current' | 'old' | 'none') => pages.inc({ kept }),
    /** Sets what the present state is read from, whenever the metrics are asked for. */
    watch: (state: State) => watch(registry, state),
    render: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function watch(registry: Registry, { poolSize, statements, streams, requests }: State): void {
  const gauges: [name: string, help: string, read: () => number][] = [
    ['taskwell_http_requests_in_progress', 'Requests that are not answered yet.', requests],
    ['taskwell_streams_open', 'Event streams that clients have open.', streams],
    ['taskwell_statements_in_progress', 'SQL statements under way, or waiting for a connection.', statements],
    ['taskwell_database_pool_size', 'Database connections at most.', () => poolSize],
  ]
  for (const [name, help, read] of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  }
}

/** Bun's `monitorEventLoopDelay` has no buckets, and wrong values as long as nothing was measured. */
function measureLag(lag: Histogram): void {
  let due = performance.now() + LAG_INTERVAL
  setInterval(() => {
    const now = performance.now()
    lag.observe(Math.max(0, now - due) / 1000)
    due = now + LAG_INTERVAL
  }, LAG_INTERVAL).unref()
}

function watchProcess(registry: Registry): void {
  const all = new Registry()
  // metrics that we do not take are never collected; the library's own timer for lag is made to run rarely
  collectDefaultMetrics({ register: all, eventLoopMonitoringPrecision: 60_000 })
  for (const name of PROCESS_METRICS) {
    const metric = all.getSingleMetric(name)
    // some exist on Linux only
    if (metric) registry.registerMetric(metric)
  }
}
