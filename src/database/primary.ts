/** Which of several hosts is the primary: the one that takes writes. */
import { codeOf } from '../system/errors'
import type { DatabaseAddress, Host } from './address'
import { READY_DEADLINE, withDeadline } from './deadline'
import { NotReady } from './errors'
import { askReadOnly, openProbe } from './pool'

/** How much longer we wait for the last primary than for another host that takes writes, in milliseconds. */
const GRACE = 500
/** After which a host is asked again, in milliseconds. */
const INTERVAL = 100

/**
 * Asks all hosts at once, so that a dead one delays nothing. Hosts are asked again while one is silent, because another
 * one may be promoted meanwhile.
 *
 * @param before the last primary: it stays the primary while it takes writes, whatever the others answer
 * @throws NotReady if at least one answers and none takes writes; otherwise what the first one failed with, after a
 * second at most
 */
export async function findPrimary(address: DatabaseAddress, before?: Host): Promise<Host> {
  const { hosts } = address
  let isOver = false
  const first = hosts.map((host) => ({ host, answer: ask(address, host, host === before) }))
  const beforeHasAnswered = Promise.allSettled(
    first.filter(({ host }) => host === before).map(({ answer }) => answer),
  )
  const candidates = first.map(async ({ host, answer }) => {
    while (!(await answer.catch(() => false))) {
      await Bun.sleep(INTERVAL)
      if (isOver) break
      answer = ask(address, host)
    }
    if (before && host !== before) await Promise.race([beforeHasAnswered, Bun.sleep(GRACE)])
    return host
  })
  const none = Promise.allSettled(first.map(({ answer }) => answer)).then((answers) => {
    const reasons = answers.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
    if (reasons.length < hosts.length) return Promise.race(candidates)
    throw reasons.find((reason) => reason instanceof NotReady) ?? reasons[0]
  })
  return Promise.race([...candidates, none]).finally(() => {
    isOver = true
  })
}

async function ask(address: DatabaseAddress, host: Host, wasPrimary = false): Promise<Host> {
  const sql = openProbe(address, host)
  try {
    const [row] = await withDeadline(askReadOnly(sql), READY_DEADLINE)
    if (row?.read_only !== 'off') throw new NotReady('READ_ONLY')
    return host
  } catch (error) {
    // the server has no free connection for this question, but it serves its open ones
    if (wasPrimary && codeOf(error) === '53300') return host
    throw error
  } finally {
    void sql.end({ timeout: 0 })
  }
}
