/** What is left of a process that has ended: what it has counted. */
import type { Metric, Snapshot } from '../telemetry/metrics'

type Value = Metric['values'][number]

/**
 * Adds up counters and histograms, and drops the rest. To Prometheus a sum that has lost a part would be a start anew,
 * and all of it new.
 */
export function fold(...snapshots: Snapshot[]): Snapshot {
  const folded = new Map<string, Metric & { byKey: Map<string, Value> }>()
  for (const metric of snapshots.flat()) {
    if (metric.type !== 'counter' && metric.type !== 'histogram') continue
    const into = folded.get(metric.name) ?? { ...metric, values: [], byKey: new Map() }
    folded.set(metric.name, into)
    for (const value of metric.values) {
      const key = keyOf(value)
      const sum = (into.byKey.get(key)?.value ?? 0) + value.value
      into.byKey.set(key, { ...value, value: sum })
    }
  }
  return [...folded.values()].map(({ byKey, ...metric }) => ({ ...metric, values: [...byKey.values()] }))
}

function keyOf({ metricName = '', labels }: Value): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([metricName, sorted])
}
