/** What a worker has in common with the others, as the service knows it. */

import { Problem } from '../http/problems'
import type { Budget, Counter } from '../limits/counter'
import type { Live } from '../sync/live'
import type { StreamSlots } from '../sync/stream-slots'
import type { Metrics } from '../telemetry/metrics'
import { createEstimates } from './estimates'
import type { Link } from './link'
import { renderAll } from './metrics'

/** Makes of what a process has for itself what it has together with others. */
export interface Sharing {
  limits(own: Counter): Counter
  places(own: StreamSlots): StreamSlots
  live(own: Live): Live
  metrics(own: Metrics): Metrics
}

/** While the supervisor says nothing, each worker counts for itself. */
export function shareOver(link: Link, options?: Parameters<typeof createEstimates>[1]): Sharing {
  return {
    limits(own) {
      const estimates = createEstimates(link, options)
      const takeOwnUnless = async (
        asked: Promise<Budget | undefined>,
        ...count: Parameters<Counter['take']>
      ): Promise<Budget> => (await asked) ?? own.take(...count)
      return {
        ...own,
        take(policy, key, points = 1) {
          const taken = estimates.take(policy, key, points)
          return taken instanceof Promise ? takeOwnUnless(taken, policy, key, points) : taken
        },
      }
    },
    places: (own) => ({
      async take(userId) {
        const leaveOwn = await own.take(userId)
        // as many here are as many in all
        if (!leaveOwn) return undefined
        const isGranted = await link.place(userId)
        if (isGranted === false) {
          leaveOwn()
          return undefined
        }
        let isLeft = false
        return () => {
          if (isLeft) return
          isLeft = true
          leaveOwn()
          if (isGranted) link.leave(userId)
        }
      },
    }),
    live(own) {
      link.onChanged(own.changed)
      return {
        ...own,
        changed(userId) {
          own.changed(userId)
          link.changed(userId)
        },
      }
    },
    metrics(own) {
      link.onMetrics(own.snapshot)
      return {
        ...own,
        async render() {
          const all = await link.metrics()
          // only its own would look as if the others had begun anew
          if (!all) throw new Problem('OVERLOADED')
          return renderAll(all)
        },
      }
    },
  }
}
