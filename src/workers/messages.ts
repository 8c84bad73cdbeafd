/** What goes between the workers and their supervisor: as JSON, over the channel that `Bun.spawn` makes. */
import type { Budget } from '../limits/counter'
import type { Policy } from '../limits/policy'
import type { Snapshot } from '../telemetry/metrics'

/** What `Counter.take` is called with. */
export type Count = [policy: Policy, key: string, points: number]

export type Near = [policy: Policy, key: string]

/** All that a worker has to say at once; it is dealt with in this order. */
export interface Batch {
  type: 'batch'
  id: number
  /** Users whose streams have ended. */
  left: string[]
  /** Users of whom something was changed. */
  changed: string[]
  /** Users who would like one more stream. */
  places: string[]
  counts: Count[]
}

/** To each place and each count of that batch, in the same order. */
export interface Answers {
  type: 'answers'
  id: number
  places: boolean[]
  budgets: Budget[]
  /** How many workers count. */
  workers: number
}

export interface AllMetrics {
  /** One of each worker, and one of all those that have ended. */
  snapshots: Snapshot[]
  /** How many workers run. */
  workers: number
}

export type FromWorker =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | Batch
  | { type: 'read-metrics'; id: number }
  | { type: 'metrics'; id: number; metrics: Snapshot }

export type ToWorker =
  | Answers
  | { type: 'changed'; users: string[] }
  /** Others have brought these limits near. */
  | { type: 'near'; keys: Near[] }
  | { type: 'tell-metrics'; id: number }
  | ({ type: 'all-metrics'; id: number } & AllMetrics)
