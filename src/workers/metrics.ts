/** The measurements of several processes as those of one. */
import { AggregatorRegistry, Gauge } from 'prom-client'
import type { AllMetrics } from './messages'

/** All others are added up. */
const AGGREGATORS: Record<string, string> = {
  taskwell_build_info: 'first',
  // of the youngest, so that it is seen when one is restarted again and again
  process_start_time_seconds: 'max',
  // of the fullest, since each has its own limit
  process_open_fds: 'max',
  process_max_fds: 'min',
}

/** @returns the text for Prometheus */
export async function renderAll({ snapshots, workers }: AllMetrics): Promise<string> {
  const all = snapshots.map((metrics) =>
    metrics.map((metric) => ({ ...metric, aggregator: AGGREGATORS[metric.name] ?? 'sum' })),
  )
  const registry = AggregatorRegistry.aggregate(all)
  new Gauge({
    name: 'taskwell_workers',
    help: 'Processes that serve, of WORKERS.',
    registers: [registry],
  }).set(workers)
  return registry.metrics()
}
