/** Workers and their supervisor in one process: what is sent arrives, as JSON, a moment later. */

import type { Hub } from '../../src/workers/hub'
import { createLink } from '../../src/workers/link'
import type { FromWorker, ToWorker } from '../../src/workers/messages'

/** Joins a worker whose supervisor this is. */
export function join(hub: Hub, patience?: Parameters<typeof createLink>[1]) {
  const sent: FromWorker[] = []
  const unheard: FromWorker[] = []
  let isFrozen = false
  let receive = (_message: ToWorker) => {}
  const tell = (message: ToWorker) => {
    const text = JSON.stringify(message)
    setImmediate(() => receive(JSON.parse(text)))
  }
  const member = hub.join(tell)
  const link = createLink(
    {
      send(message) {
        sent.push(message)
        if (isFrozen) unheard.push(message)
        else setImmediate(() => member.receive(JSON.parse(JSON.stringify(message))))
      },
      onMessage(handle) {
        receive = handle
      },
    },
    patience,
  )
  member.receive({ type: 'ready' })
  return {
    link,
    /** What the worker has sent. */
    sent,
    end: () => member.leave(),
    /** From now on the supervisor hears nothing. */
    freeze: () => {
      isFrozen = true
    },
    /** It hears again, and never what it has missed. */
    forget: () => {
      isFrozen = false
      unheard.length = 0
    },
    /** It hears again, and first what it has missed. */
    thaw: () => {
      isFrozen = false
      for (const message of unheard.splice(0)) member.receive(message)
    },
  }
}
