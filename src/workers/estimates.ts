/** Counts requests whose limit is far away without waiting for the supervisor, which is told of them a moment later. */
import type { Budget } from '../limits/counter'
import type { Policy } from '../limits/policy'
import type { Link } from './link'

export interface Estimates {
  /** @returns undefined where the supervisor does not answer */
  take(policy: Policy, key: string, points: number): Budget | Promise<Budget | undefined>
}

interface Options {
  /** In milliseconds, for how long points are collected. */
  tellAfter?: number
  /** When more are known, all are forgotten. */
  maxKeys?: number
}

/** What is known of a key, in its window. */
interface Known {
  policy: Policy
  key: string
  limit: number
  /** When the supervisor was last heard. */
  consumed: number
  /** Counted here, and not in `consumed`. */
  own: number
  /** Those of them that the supervisor has not been told. */
  untold: number
  /** In milliseconds since 1970. */
  endsAt: number
}

/** Smaller limits are always asked for. */
const LARGE = 100

/** @param consumed of a window; up to half of it, a worker may count by itself */
function isFar(limit: number, consumed: number): boolean {
  return limit >= LARGE && consumed < limit / 2
}

/** Whether these points brought a limit near, of which those have to know who count by themselves. */
export function broughtNear({ limit, remaining }: Budget, points: number): boolean {
  const consumed = limit - remaining
  return limit >= LARGE && !isFar(limit, consumed) && isFar(limit, consumed - points)
}

/** Makes the estimates of one worker. */
export function createEstimates(link: Link, { tellAfter = 5, maxKeys = 50_000 }: Options = {}): Estimates {
  const known = new Map<string, Known>()
  const untold = new Set<Known>()
  let timer: Timer | undefined

  link.onNear((policy, key) => {
    const found = known.get(nameOf(policy, key))
    if (found) found.consumed = found.limit
  })

  function countHere(found: Known, points: number, now: number): Budget | undefined {
    // the supervisor told whole seconds, so in the last one the window may have ended
    if (found.endsAt - now <= 1000) return undefined
    // the others may have counted as many
    if (!isFar(found.limit, found.consumed + (found.own + points) * link.workers())) return undefined
    if (points > 0) {
      found.own += points
      found.untold += points
      untold.add(found)
      timer ??= setTimeout(tellAll, tellAfter)
    }
    const { policy, limit, consumed, own, endsAt } = found
    const reset = Math.ceil((endsAt - now) / 1000)
    return { policy, limit, remaining: limit - consumed - own, reset, isSpent: false }
  }
  function tellAll(): void {
    clearTimeout(timer)
    timer = undefined
    for (const each of untold) void tell(each)
  }
  async function tell(one: Known): Promise<void> {
    const points = one.untold
    one.untold = 0
    untold.delete(one)
    const budget = await link.count(one.policy, one.key, points)
    one.own -= points
    learn(one.policy, one.key, budget)
  }
  async function ask(policy: Policy, key: string, points: number): Promise<Budget | undefined> {
    const budget = await link.count(policy, key, points)
    learn(policy, key, budget)
    return budget
  }
  function learn(policy: Policy, key: string, budget: Budget | undefined): void {
    if (!budget) forgetAll()
    else if (budget.limit >= LARGE) keep(policy, key, budget)
  }
  function keep(policy: Policy, key: string, { limit, remaining, reset }: Budget): void {
    const heard = { limit, consumed: limit - remaining, endsAt: Date.now() + reset * 1000 }
    const name = nameOf(policy, key)
    const found = known.get(name)
    if (found) {
      Object.assign(found, heard)
      return
    }
    if (known.size >= maxKeys) forgetAll()
    known.set(name, { policy, key, ...heard, own: 0, untold: 0 })
  }
  function forgetAll(): void {
    known.clear()
    tellAll()
  }

  return {
    take(policy, key, points) {
      const found = known.get(nameOf(policy, key))
      const budget = found && countHere(found, points, Date.now())
      if (budget) return budget
      // first what came first
      if (found && found.untold > 0) void tell(found)
      return ask(policy, key, points)
    },
  }
}

function nameOf(policy: Policy, key: string): string {
  return `${policy} ${key}`
}
