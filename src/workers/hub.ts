/** The supervisor's end of the channels: what the workers count and know together. */
import type { Budget, Counter } from '../limits/counter'
import { createStreamSlots, type Leave } from '../sync/stream-slots'
import type { Snapshot } from '../telemetry/metrics'
import { broughtNear } from './estimates'
import { fold } from './fold'
import type { Batch, Count, FromWorker, Near, ToWorker } from './messages'

export interface Hub {
  /** Takes a worker in. */
  join(send: (message: ToWorker) => void): Member
}

export interface Member {
  receive(message: FromWorker): void
  /** It has ended: its streams are no more, and what it counted is kept. */
  leave(): void
}

/** In milliseconds: after which a worker's last measurements have to do. */
const METRICS_WITHIN = 1000

interface Known {
  send(message: ToWorker): void
  /** What gives the places back that it has for its streams, by user. */
  places: Map<string, Leave[]>
  last: Snapshot
  telling: Map<number, () => void>
}

export function createHub(limits: Counter, metricsWithin = METRICS_WITHIN): Hub {
  const members = new Set<Known>()
  const places = createStreamSlots()
  let ofTheEnded: Snapshot = []
  let lastId = 0

  async function deal(member: Known, { id, left, changed, places: wanted, counts }: Batch): Promise<void> {
    for (const userId of left) giveBack(member, userId)
    if (changed.length > 0) pass(member, changed)
    if (wanted.length + counts.length === 0) return
    const granted = wanted.map((userId) => grant(member, userId))
    const budgets = await Promise.all(counts.map(([policy, key, points]) => limits.take(policy, key, points)))
    member.send({ type: 'answers', id, places: granted, budgets, workers: members.size })
    warn(member, nearOf(counts, budgets))
  }
  /** After the answers, so that whoever was told less before asks from now on. */
  function warn(from: Known, keys: Near[]): void {
    if (keys.length === 0) return
    for (const member of members) if (member !== from) member.send({ type: 'near', keys })
  }
  function grant(member: Known, userId: string): boolean {
    const leave = places.takeNow(userId)
    if (!leave) return false
    const those = member.places.get(userId)
    if (those) those.push(leave)
    else member.places.set(userId, [leave])
    return true
  }
  function giveBack(member: Known, userId: string): void {
    const those = member.places.get(userId)
    those?.pop()?.()
    if (those?.length === 0) member.places.delete(userId)
  }
  /** To those that have a stream of such a user: whoever has a place listens. */
  function pass(from: Known, changed: string[]): void {
    for (const member of members) {
      const users = member === from ? [] : changed.filter((userId) => member.places.has(userId))
      if (users.length > 0) member.send({ type: 'changed', users })
    }
  }
  async function readMetrics(asking: Known, id: number): Promise<void> {
    await Promise.all([...members].map(refresh))
    const snapshots = [...members].map(({ last }) => last)
    asking.send({ type: 'all-metrics', id, snapshots: [...snapshots, ofTheEnded], workers: members.size })
  }
  async function refresh({ send, telling }: Known): Promise<void> {
    const id = ++lastId
    const { promise, resolve } = Promise.withResolvers<void>()
    telling.set(id, resolve)
    const timer = setTimeout(resolve, metricsWithin)
    send({ type: 'tell-metrics', id })
    await promise
    clearTimeout(timer)
    telling.delete(id)
  }

  return {
    join(send) {
      const member: Known = { send, places: new Map(), last: [], telling: new Map() }
      return {
        receive(message) {
          if (message.type === 'ready') members.add(member)
          else if (message.type === 'batch') void deal(member, message)
          else if (message.type === 'read-metrics') void readMetrics(member, message.id)
          else if (message.type === 'metrics') {
            member.last = message.metrics
            member.telling.get(message.id)?.()
          }
        },
        leave() {
          members.delete(member)
          ofTheEnded = fold(ofTheEnded, member.last)
          for (const done of member.telling.values()) done()
          for (const leave of [...member.places.values()].flat()) leave()
        },
      }
    },
  }
}

function nearOf(counts: Count[], budgets: Budget[]): Near[] {
  return counts.flatMap(([policy, key, points], i): Near[] => {
    const budget = budgets[i]
    return budget && broughtNear(budget, points) ? [[policy, key]] : []
  })
}
