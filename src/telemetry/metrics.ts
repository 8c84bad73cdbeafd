/** What Prometheus reads: counts and times since the start, and how things stand now. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { version } from '../../package.json'
import { METHODS } from './methods'

export interface Metrics {
  /** @param seen.route the pattern, never the path: each value is a series that is kept */
  request(seen: { method: string; route: string | undefined; status: number; ms: number }): void
  /** @param seen.name as the source code calls the statement */
  statement(seen: { name: string; ms: number; failed: boolean }): void
  /** A request refused by a rate limit. */
  limited(policy: string): void
  /** A request refused for its token. */
  refusedToken(reason: string): void
  /** A list that was answered. @param kept whether its page was in memory: as it is now, as it was before, or not at all */
  page(kept: 'current' | 'old' | 'none'): void
  /** What is read when somebody asks. */
  watch(state: State): void
  render(): Promise<string>
  contentType: string
}

interface State {
  poolSize: number
  /** How many are under way. */
  statements(): number
  streams(): number
  requests(): number
}

/** In seconds, as Prometheus would have it: from what costs nothing to the longest that a request may take. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * What prom-client knows of the process and Bun tells truly. Not taken: `process_heap_bytes`, which on Bun is address
 * space, and `nodejs_*`, which are empty, wrong or of another runtime.
 */
const OF_THE_PROCESS = [
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

/** A registry of its own; measures the event loop's lag from now on. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'taskwell_http_requests_total',
    help: 'Requests that were answered.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const requestTimes = new Histogram({
    name: 'taskwell_http_request_duration_seconds',
    help: 'From a request to its answer; of a stream, to its beginning.',
    labelNames: ['method', 'route'],
    buckets: BUCKETS,
    registers,
  })
  const statementTimes = new Histogram({
    name: 'taskwell_statement_duration_seconds',
    help: 'SQL statements, with the time they waited for a connection.',
    labelNames: ['name', 'outcome'],
    buckets: BUCKETS,
    registers,
  })
  const limits = new Counter({
    name: 'taskwell_rate_limited_total',
    help: 'Requests that a rate limit refused.',
    labelNames: ['policy'],
    registers,
  })
  const refusedTokens = new Counter({
    name: 'taskwell_tokens_refused_total',
    help: 'Requests that were refused for their token.',
    labelNames: ['reason'],
    registers,
  })
  const pages = new Counter({
    name: 'taskwell_pages_total',
    help: 'Pages of lists that were answered: from memory (current), or read because the one in memory was old, or none was there.',
    labelNames: ['kept'],
    registers,
  })
  new Gauge({
    name: 'taskwell_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'bun'],
    registers,
  }).set({ version, bun: Bun.version }, 1)
  measureLag(registry)
  watchProcess(registry)

  return {
    request({ method, route = 'none', status, ms }) {
      const labels = { method: METHODS.has(method) ? method : 'other', route }
      requests.inc({ ...labels, status })
      requestTimes.observe(labels, ms / 1000)
    },
    statement({ name, ms, failed }) {
      statementTimes.observe({ name, outcome: failed ? 'error' : 'ok' }, ms / 1000)
    },
    limited: (policy) => limits.inc({ policy }),
    refusedToken: (reason) => refusedTokens.inc({ reason }),
    page: (kept) => pages.inc({ kept }),
    watch: (state) => watch(registry, state),
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

/** How late a timer comes: Bun's `monitorEventLoopDelay` has no buckets, and rubbish where nothing was measured. */
function measureLag(registry: Registry): void {
  const lag = new Histogram({
    name: 'taskwell_event_loop_lag_seconds',
    help: `How late a timer of ${LAG_INTERVAL} ms comes.`,
    buckets: BUCKETS,
    registers: [registry],
  })
  let due = performance.now() + LAG_INTERVAL
  setInterval(() => {
    const now = performance.now()
    lag.observe(Math.max(0, now - due) / 1000)
    due = now + LAG_INTERVAL
  }, LAG_INTERVAL).unref()
}

function watchProcess(registry: Registry): void {
  const all = new Registry()
  // what is not taken is never collected; its own timer of lag is made to rest
  collectDefaultMetrics({ register: all, eventLoopMonitoringPrecision: 60_000 })
  for (const name of OF_THE_PROCESS) {
    const metric = all.getSingleMetric(name)
    // some are Linux's alone
    if (metric) registry.registerMetric(metric)
  }
}
