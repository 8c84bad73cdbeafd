/** A worker's end of the channel to its supervisor. */
import type { Budget } from '../limits/counter'
import type { Policy } from '../limits/policy'
import type { Snapshot } from '../telemetry/metrics'
import type { AllMetrics, Answers, Batch, FromWorker, ToWorker } from './messages'

export interface Channel {
  send(message: FromWorker): void
  onMessage(receive: (message: ToWorker) => void): void
}

/** What is asked is answered in time, or with undefined: then a worker has to do without its supervisor. */
export interface Link {
  count(policy: Policy, key: string, points: number): Promise<Budget | undefined>
  /** How many workers count, this one among them. */
  workers(): number
  /** Is told of limits that others have brought near. */
  onNear(near: (policy: Policy, key: string) => void): void
  /** Whether this user may have one more stream. */
  place(userId: string): Promise<boolean | undefined>
  /** A place that was given has become free. */
  leave(userId: string): void
  /** Something of this user's was changed here. */
  changed(userId: string): void
  metrics(): Promise<AllMetrics | undefined>
  /** Is told of users of whom something was changed elsewhere. */
  onChanged(changed: (userId: string) => void): void
  /** Is asked for what this worker has measured. */
  onMetrics(snapshot: () => Promise<Snapshot>): void
}

/** In milliseconds. */
const PATIENCE = {
  answerWithin: 200,
  // the supervisor itself waits a second for the others
  metricsWithin: 2000,
  retryAfter: 1000,
}

interface Asked {
  batch: Batch
  places: ((isGranted: boolean | undefined) => void)[]
  counts: ((budget: Budget | undefined) => void)[]
  timer?: Timer
}

/**
 * While one message waits for its answer, all else is collected for the next: the more there is to ask, the less each
 * costs. After one that was not answered in time nothing more is asked, until the supervisor is heard of again; once a
 * second it is asked for a sign of life.
 */
export function createLink(channel: Channel, patience: Partial<typeof PATIENCE> = {}): Link {
  const { answerWithin, metricsWithin, retryAfter } = { ...PATIENCE, ...patience }
  /** By id: the one that waits for its answer, and those that nobody waits for any more. */
  const asked = new Map<number, Asked>()
  const metricsAsked = new Map<number, (all: AllMetrics) => void>()
  let lastId = 0
  let next: Asked | undefined
  let isWaiting = false
  let isSilent = false
  let workers = 1
  let changed = (_userId: string) => {}
  let near = (_policy: Policy, _key: string) => {}
  let snapshot: (() => Promise<Snapshot>) | undefined

  function collecting(): Asked {
    if (next) return next
    next = {
      batch: { type: 'batch', id: ++lastId, left: [], changed: [], places: [], counts: [] },
      places: [],
      counts: [],
    }
    if (!isWaiting) setImmediate(flush)
    return next
  }
  function flush(): void {
    const sent = next
    if (!sent || isWaiting) return
    next = undefined
    if (sent.places.length + sent.counts.length > 0) {
      isWaiting = true
      asked.set(sent.batch.id, sent)
      // the answer may be there already, where this process had no time to read it
      sent.timer = setTimeout(() => setImmediate(() => giveUp(sent)), answerWithin)
    }
    channel.send(sent.batch)
  }
  function giveUp(late: Asked): void {
    if (!asked.has(late.batch.id)) return
    isSilent = true
    isWaiting = false
    setTimeout(askForLife, retryAfter).unref()
    // kept, with nobody who waits for it: what it grants after all has to be given back
    release(late)
    if (next) {
      release(next)
      Object.assign(next.batch, { changed: [], places: [], counts: [] })
    }
    flush()
  }
  /** An answer that was lost is not the end: whoever has nothing else to say would never hear again. */
  function askForLife(): void {
    if (!isSilent) return
    const { batch, counts } = collecting()
    batch.counts.push(['address', 'nobody', 0])
    counts.push(() => {})
  }
  /** Lets those go on that wait for an answer. */
  function release({ places, counts }: Asked): void {
    for (const done of [...places.splice(0), ...counts.splice(0)]) done(undefined)
  }
  function answer({ id, places, budgets, workers: counting }: Answers): void {
    workers = counting
    const found = asked.get(id)
    if (!found) return
    asked.delete(id)
    clearTimeout(found.timer)
    if (found.places.length + found.counts.length === 0) {
      giveBack(found, places)
      return
    }
    for (const [i, done] of found.places.entries()) done(places[i])
    for (const [i, done] of found.counts.entries()) done(budgets[i])
    isWaiting = false
    flush()
  }
  /** What was granted when nobody waited for it any more. */
  function giveBack({ batch }: Asked, places: boolean[]): void {
    for (const [i, userId] of batch.places.entries()) {
      if (places[i]) collecting().batch.left.push(userId)
    }
  }
  async function tellMetrics(id: number): Promise<void> {
    if (snapshot) channel.send({ type: 'metrics', id, metrics: await snapshot() })
  }
  channel.onMessage((message) => {
    isSilent = false
    if (message.type === 'answers') answer(message)
    else if (message.type === 'changed') for (const userId of message.users) changed(userId)
    else if (message.type === 'near') for (const [policy, key] of message.keys) near(policy, key)
    else if (message.type === 'tell-metrics') void tellMetrics(message.id)
    else metricsAsked.get(message.id)?.(message)
  })

  return {
    count(policy, key, points) {
      if (isSilent) return Promise.resolve(undefined)
      return new Promise((done) => {
        const { batch, counts } = collecting()
        batch.counts.push([policy, key, points])
        counts.push(done)
      })
    },
    place(userId) {
      if (isSilent) return Promise.resolve(undefined)
      return new Promise((done) => {
        const { batch, places } = collecting()
        batch.places.push(userId)
        places.push(done)
      })
    },
    workers: () => workers,
    onNear(tell) {
      near = tell
    },
    leave: (userId) => void collecting().batch.left.push(userId),
    changed(userId) {
      if (!isSilent) collecting().batch.changed.push(userId)
    },
    async metrics() {
      const id = ++lastId
      const { promise, resolve } = Promise.withResolvers<AllMetrics | undefined>()
      metricsAsked.set(id, resolve)
      const timer = setTimeout(resolve, metricsWithin, undefined)
      channel.send({ type: 'read-metrics', id })
      const all = await promise
      clearTimeout(timer)
      metricsAsked.delete(id)
      return all
    },
    onChanged(tell) {
      changed = tell
    },
    onMetrics(ask) {
      snapshot = ask
    },
  }
}
